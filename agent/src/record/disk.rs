//! Chunks on their way to the file, in a bounded queue before a thread that writes them.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::stats::{Loss, Stats};

/// Most bytes that wait: a second of a disk that writes 32 MB/s.
pub(super) const MAX_WAITING: usize = 32 << 20;
/// A disk has caught up when so little waits: below the limit, so that being behind is a few long
/// gaps in a recording and not many short ones.
const CAUGHT_UP: usize = MAX_WAITING / 4;

/// Records that are written together.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    /// How many events are among them.
    pub(super) events: u64,
}

/// A chunk that was not taken.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// Too much waits.
    Full(Chunk),
    /// The file cannot be written.
    Failed(Chunk),
}

/// The queue and its thread.
#[derive(Debug)]
pub(super) struct Disk(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    path: PathBuf,
    stats: Arc<Stats>,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Chunk>,
    waiting: usize,
    /// No more chunks will come.
    closed: bool,
    failed: bool,
    done: bool,
}

impl Disk {
    /// Starts the thread that writes to `file`, which messages call `path`.
    ///
    /// # Errors
    /// If there can be no more threads.
    pub(super) fn start(
        file: impl Write + Send + 'static,
        path: &Path,
        stats: Arc<Stats>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            path: path.to_owned(),
            stats,
        });
        let writer = Arc::clone(&shared);
        thread::Builder::new().name("record".into()).spawn(move || writer.write(file))?;
        Ok(Self(shared))
    }

    /// Takes a chunk, if there is room for it; never waits for the file.
    pub(super) fn push(&self, chunk: Chunk) -> Result<(), NotTaken> {
        let mut state = self.0.state();
        if state.failed {
            return Err(NotTaken::Failed(chunk));
        }
        if state.waiting + chunk.bytes.len() > MAX_WAITING {
            return Err(NotTaken::Full(chunk));
        }
        state.push(chunk);
        self.0.changed.notify_all();
        Ok(())
    }

    /// Takes the last chunk, also where there is no room.
    pub(super) fn close(&self, last: Chunk) {
        let mut state = self.0.state();
        if state.failed {
            self.0.stats.lose(Loss::Unrecorded, last.events);
        } else {
            state.push(last);
        }
        state.closed = true;
        self.0.changed.notify_all();
    }

    /// True if little waits, or the file has failed, which the next push will tell.
    pub(super) fn has_caught_up(&self) -> bool {
        let state = self.0.state();
        state.failed || state.waiting <= CAUGHT_UP
    }

    /// Waits up to `limit` for the end of the thread, after [`close`](Self::close).
    pub(super) fn wait(&self, limit: Duration) -> bool {
        let state = self.0.state();
        let waited = self.0.changed.wait_timeout_while(state, limit, |state| !state.done);
        waited.unwrap_or_else(PoisonError::into_inner).0.done
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: writes until there is nothing more, or writing fails.
    fn write(&self, mut file: impl Write) {
        while let Some(chunk) = self.next() {
            let written = file.write_all(&chunk.bytes);
            self.state().waiting -= chunk.bytes.len();
            if let Err(error) = written {
                self.fail(&error, chunk.events);
                break;
            }
        }
        if let Err(error) = file.flush() {
            self.fail(&error, 0);
        }
        self.state().done = true;
        self.changed.notify_all();
    }

    /// The next chunk; waits for it. It counts as waiting until it is written.
    fn next(&self) -> Option<Chunk> {
        let state = self.state();
        let empty = |state: &mut State| state.chunks.is_empty() && !state.closed;
        let waited = self.changed.wait_while(state, empty);
        waited.unwrap_or_else(PoisonError::into_inner).chunks.pop_front()
    }

    fn fail(&self, error: &io::Error, events: u64) {
        let mut state = self.state();
        let dropped: u64 = state.chunks.drain(..).map(|chunk| chunk.events).sum();
        state.failed = true;
        drop(state);
        self.stats.lose(Loss::Unrecorded, events + dropped);
        let path = self.path.display();
        eprintln!("tracebee: warning: {path}: {error}; recording ends, tracing goes on");
    }
}

impl State {
    fn push(&mut self, chunk: Chunk) {
        self.waiting += chunk.bytes.len();
        self.chunks.push_back(chunk);
    }
}
