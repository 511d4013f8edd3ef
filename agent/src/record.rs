//! `run --record FILE`: what the pipeline is given, on its way to a file.
//!
//! Everything is written by a thread of its own. Where the disk cannot keep up, or a limit is
//! reached, the recording loses and says so; tracing loses nothing.

mod create;
mod disk;
mod kernel;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashSet;

use self::disk::{Chunk, Disk, NotTaken};
use self::kernel::Kernel;
use crate::pipeline::Pipeline;
use crate::source::recording::{Ending, HEADER, Item, encode, header};
use crate::source::{ConnectionId, End, Event, Opened, Time};
use crate::stats::{Loss, Stats};

pub use create::RecordError;

/// Bytes that are handed to the writing thread together.
const CHUNK: usize = 256 * 1024;
/// Bytes of the record that ends a recording: for it there is always room.
const LAST: u64 = 10;

/// Stands before a live pipeline and writes down what it is given.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    disk: Disk,
    stats: Arc<Stats>,
    state: State,
    chunk: Chunk,
    /// Bytes that the file may still grow by.
    room: u64,
    max: u64,
    /// The clock offset that the recording knows.
    offset: i64,
    kernel: Kernel,
    /// Events that were not recorded, in all.
    unrecorded: u64,
    /// Once events were not recorded: the connections that were announced since.
    announced: Option<FxHashSet<ConnectionId>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Writing,
    /// The disk is too slow: nothing is recorded until it has caught up.
    Behind,
    /// The limit is reached or the disk failed.
    Closed,
}

impl Recorder {
    /// Begins a recording of at most `max` bytes in a new file, which replaces a regular file of
    /// that name and which only its owner can read.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn create(
        path: &Path,
        max: u64,
        pipeline: &mut Pipeline,
        stats: Arc<Stats>,
    ) -> Result<Self, RecordError> {
        let fail = |error| RecordError::new(path, error);
        let file = create::create(path).map_err(fail)?;
        let disk = Disk::start(file, path, Arc::clone(&stats)).map_err(fail)?;
        Ok(Self::with(disk, path, max, pipeline, stats))
    }

    fn with(disk: Disk, path: &Path, max: u64, pipeline: &mut Pipeline, stats: Arc<Stats>) -> Self {
        pipeline.watch_processes();
        let offset = pipeline.offset();
        let mut chunk = Chunk::default();
        chunk.bytes.extend(header(offset));
        Self {
            path: path.to_owned(),
            disk,
            stats,
            state: State::Writing,
            chunk,
            room: max.saturating_sub(HEADER as u64),
            max,
            offset,
            kernel: Kernel::default(),
            unrecorded: 0,
            announced: None,
        }
    }

    /// Gives an event to the pipeline, and records it.
    ///
    /// Of connections that the pipeline does not follow only the beginning is recorded: whoever
    /// excludes traffic does not want it in a file.
    pub fn event(&mut self, pipeline: &mut Pipeline, event: Event<'_>) {
        let id = used(&event);
        if id.is_some_and(|id| pipeline.opened(id).is_none()) {
            pipeline.on(event);
            return;
        }
        if !self.ready(pipeline) {
            self.lose(1);
            pipeline.on(event);
            pipeline.learnt();
            return;
        }
        if let Some(id) = id {
            // The pipeline may forget it with this event.
            self.announce(pipeline, id);
        }
        let copy = event.clone();
        pipeline.on(event);
        self.learn(pipeline);
        self.remember(&copy);
        match copy {
            // Decided now, with flags that a replay does not have.
            Event::Opened(opened) if pipeline.opened(opened.id).is_none() => {
                self.write(&Item::Refused(opened));
            }
            event => self.write(&Item::Event(event)),
        }
    }

    /// Records that the pipeline was just told that it is `now`.
    pub fn tick(&mut self, pipeline: &mut Pipeline, now: Time) {
        if self.ready(pipeline) {
            self.learn(pipeline);
            self.anchor(pipeline);
            self.kernel_losses();
            self.write(&Item::Tick(now));
            // So that not much is missing if the agent is killed.
            self.ship();
        } else {
            pipeline.learnt();
        }
    }

    /// Runs `collect`, which counts what the kernel side has lost.
    pub fn collect(&mut self, collect: impl FnOnce()) {
        self.kernel.collect(&self.stats, collect);
    }

    /// Records that the pipeline was just stopped: the recording is complete. [`wait`](Self::wait)
    /// for it.
    pub fn stop(&mut self, pipeline: &mut Pipeline) {
        if self.ready(pipeline) {
            self.learn(pipeline);
        } else if self.state == State::Behind {
            // The last chunk is always taken. It must be small: no processes.
            self.state = State::Writing;
            self.write(&Item::Unrecorded(self.unrecorded));
        }
        self.kernel_losses();
        self.close(Ending::Stopped);
    }

    /// Waits up to `limit` until everything is written; a warning if that was not enough.
    pub fn wait(self, limit: Duration) {
        if !self.disk.wait(limit) {
            let path = self.path.display();
            eprintln!("tracebee: warning: {path}: not written to its end: the disk is too slow");
        }
    }

    /// True if something can be recorded now.
    fn ready(&mut self, pipeline: &Pipeline) -> bool {
        if self.state == State::Behind && self.disk.has_caught_up() {
            self.state = State::Writing;
            self.announced = Some(FxHashSet::default());
            // What a replay was told before may be out of date, or in a chunk that was dropped.
            self.write(&Item::Unrecorded(self.unrecorded));
            self.offset = pipeline.offset();
            self.write(&Item::Anchor(self.offset));
            for process in pipeline.processes() {
                self.write(&Item::Process(process));
            }
            self.kernel.forget();
        }
        self.state == State::Writing
    }

    /// Announces a connection again that is not known since events were lost.
    fn announce(&mut self, pipeline: &Pipeline, id: ConnectionId) {
        if let Some(announced) = &mut self.announced
            && let Some(opened) = pipeline.opened(id)
            && announced.insert(id)
        {
            let opened = Opened { midlife: true, ..opened.clone() };
            self.write(&Item::Event(Event::Opened(opened)));
        }
    }

    fn remember(&mut self, event: &Event<'_>) {
        let Some(announced) = &mut self.announced else { return };
        if let Event::Opened(opened) = event {
            announced.insert(opened.id);
        } else if let Event::Ended { id, end: End::Closed { .. } | End::Unseen, .. } = event {
            announced.remove(id);
        }
    }

    fn learn(&mut self, pipeline: &mut Pipeline) {
        for process in pipeline.learnt() {
            self.write(&Item::Process(process));
        }
    }

    fn anchor(&mut self, pipeline: &Pipeline) {
        if self.offset != pipeline.offset() {
            self.offset = pipeline.offset();
            self.write(&Item::Anchor(self.offset));
        }
    }

    fn kernel_losses(&mut self) {
        while let Some((reason, total)) = self.kernel.news() {
            self.write(&Item::Lost { reason, total });
        }
    }

    fn write(&mut self, item: &Item<'_>) {
        let event = u64::from(matches!(item, Item::Event(_) | Item::Refused(_)));
        if self.state != State::Writing {
            // Also in the middle of something: what follows a lost chunk means nothing.
            self.lose(event);
            return;
        }
        let start = self.chunk.bytes.len();
        encode(item, &mut self.chunk.bytes);
        let size = (self.chunk.bytes.len() - start) as u64;
        if size + LAST > self.room {
            self.chunk.bytes.truncate(start);
            self.lose(event);
            self.close(Ending::Limit);
            eprintln!(
                "tracebee: warning: {}: the recording has reached its limit of {} bytes \
                 (--record-max); it ends here, tracing goes on",
                self.path.display(),
                self.max
            );
            return;
        }
        self.room -= size;
        self.chunk.events += event;
        if self.chunk.bytes.len() >= CHUNK {
            self.ship();
        }
    }

    /// Hands the chunk over.
    fn ship(&mut self) {
        if self.chunk.bytes.is_empty() || self.state != State::Writing {
            return;
        }
        match self.disk.push(std::mem::take(&mut self.chunk)) {
            Ok(()) => {}
            Err(NotTaken::Full(chunk)) => {
                self.state = State::Behind;
                self.room += chunk.bytes.len() as u64;
                self.lose(chunk.events);
            }
            Err(NotTaken::Failed(chunk)) => {
                self.state = State::Closed;
                self.lose(chunk.events);
            }
        }
    }

    fn close(&mut self, ending: Ending) {
        if self.state != State::Closed {
            self.state = State::Closed;
            encode(&Item::End(ending), &mut self.chunk.bytes);
            self.disk.close(std::mem::take(&mut self.chunk));
        }
    }

    fn lose(&mut self, events: u64) {
        self.unrecorded += events;
        self.stats.lose(Loss::Unrecorded, events);
    }
}

/// The connection that an event is about, if it must be known already.
fn used(event: &Event<'_>) -> Option<ConnectionId> {
    match event {
        Event::Program(_) | Event::Opened(_) => None,
        Event::Data(data) => Some(data.id),
        Event::Sent { id, .. } | Event::Ended { id, .. } | Event::LeftOut { id, .. } => Some(*id),
        Event::Lost(lost) => Some(lost.id),
    }
}
