//! Runtimes whose unit of work the kernel programs can follow: found when a process has its first
//! connection, and when the agent starts.

mod goroutines;

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::Path;

use rustc_hash::{FxHashMap, FxHashSet};

use self::goroutines::Goroutines;
use super::loader::Kernel;
use crate::runtime::python::{self, Unknown};

/// Processes that are looked at in one go; the others wait for the next.
const BATCH: usize = 8;
/// How often a process is looked at that is not there yet: its interpreter has still to begin.
const ATTEMPTS: u8 = 3;

/// The processes that are followed.
#[derive(Default)]
pub(super) struct Runtimes {
    /// To be looked at, and how often that was done.
    waiting: VecDeque<(u32, u8)>,
    followed: FxHashSet<u32>,
    go: Goroutines,
    /// Files whose functions are watched, and whether those of uvloop's event loop are.
    watched: FxHashMap<(u64, u64), bool>,
    /// Of which it was said that they cannot be followed.
    said: BTreeSet<String>,
}

impl Runtimes {
    /// Has every process of this host looked at.
    pub(super) fn all(&mut self, kernel: &mut Kernel) {
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        self.waiting.extend(pids.map(|pid| (pid, 0)));
        while !self.waiting.is_empty() {
            self.look(kernel);
        }
    }

    /// A process runs a program from now on. True if it is known from now on what each of its units of
    /// work is about.
    pub(super) fn runs(&mut self, kernel: &mut Kernel, pid: u32) -> bool {
        self.look_at(kernel, pid, 0);
        self.go.follows(pid)
    }

    /// Looks at some of those that wait.
    pub(super) fn look(&mut self, kernel: &mut Kernel) {
        for _ in 0..BATCH.min(self.waiting.len()) {
            let Some((pid, attempts)) = self.waiting.pop_front() else { return };
            self.look_at(kernel, pid, attempts);
        }
    }

    fn look_at(&mut self, kernel: &mut Kernel, pid: u32, attempts: u8) {
        match python::find(Path::new("/proc"), pid) {
            Ok(Some(found)) => self.follow(kernel, pid, &found),
            Ok(None) => {
                self.forget_python(kernel, pid);
                self.follow_go(kernel, pid);
            }
            Err(Unknown::Io(_)) => self.forget(kernel, pid),
            Err(Unknown::Elsewhere(_)) if attempts + 1 < ATTEMPTS => {
                self.waiting.push_back((pid, attempts + 1));
            }
            Err(error) => {
                self.forget(kernel, pid);
                self.say(format!("the calls of process {pid} are not linked: {error}"));
            }
        }
    }

    /// Forgets processes that are gone: to be called from time to time.
    pub(super) fn sweep(&mut self, kernel: &mut Kernel) {
        let gone = |pid: &u32| !Path::new(&format!("/proc/{pid}")).exists();
        let followed = self.followed.iter().copied().chain(self.go.pids());
        let gone: Vec<u32> = followed.filter(gone).collect();
        for pid in gone {
            self.forget(kernel, pid);
        }
    }

    fn follow(&mut self, kernel: &mut Kernel, pid: u32, found: &python::Found) {
        let enters = found.enter.is_some();
        let known = self.watched.get(&found.identity).copied();
        let attached = match known {
            Some(entered) if entered || !enters => Ok(()),
            Some(_) => kernel.watch_python(&found.file, None, found.enter),
            None => kernel.watch_python(&found.file, Some(found.copy), found.enter),
        };
        if let Err(error) = attached {
            self.forget(kernel, pid);
            self.say(format!("watching CPython in {}: {error}", found.file.display()));
            return;
        }
        self.watched.insert(found.identity, enters || known == Some(true));
        match kernel.follow_python(pid, found.layout) {
            Ok(()) => {
                tracing::debug!("process {pid} runs CPython {}", found.version);
                self.followed.insert(pid);
            }
            Err(error) => self.say(format!("no room to follow process {pid}: {error}")),
        }
    }

    fn follow_go(&mut self, kernel: &mut Kernel, pid: u32) {
        match self.go.follow(kernel, pid) {
            Ok(true) => {}
            Ok(false) => self.go.forget(kernel, pid),
            Err(error) => self.say(format!("the calls of process {pid} are not linked: {error}")),
        }
    }

    fn forget(&mut self, kernel: &mut Kernel, pid: u32) {
        self.forget_python(kernel, pid);
        self.go.forget(kernel, pid);
    }

    fn forget_python(&mut self, kernel: &mut Kernel, pid: u32) {
        if self.followed.remove(&pid) {
            kernel.forget_python(pid);
        }
    }

    /// Once for each reason.
    fn say(&mut self, message: String) {
        const MAX_SAID: usize = 64;
        if self.said.len() < MAX_SAID && self.said.insert(message.clone()) {
            tracing::info!("{message}");
        }
    }
}
