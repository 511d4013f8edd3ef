//! Runtimes whose unit of work the kernel programs can follow: found when a process has its first
//! connection, and when the agent starts.

mod contexts;
mod goroutines;
mod proxies;

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::Path;

use self::contexts::Contexts;
use self::goroutines::Goroutines;
use self::proxies::Proxies;
use super::kernel::Kernel;

/// Processes that are looked at in one go; the others wait for the next.
const BATCH: usize = 8;
/// How often a process is looked at that is not there yet: its interpreter has still to begin.
const ATTEMPTS: u8 = 3;

/// The processes that are followed.
#[derive(Default)]
pub(super) struct Runtimes {
    /// To be looked at, and how often that was done.
    waiting: VecDeque<(u32, u8)>,
    python: Contexts,
    go: Goroutines,
    proxies: Proxies,
    /// Of which it was said that they cannot be followed.
    said: BTreeSet<String>,
}

/// What a look at a process said of one runtime.
enum Look {
    /// It is executed by this one, and by no other.
    Follows,
    /// By another, or the process is gone.
    Other,
    /// It has still to begin.
    Later(String),
    /// By this one, but it cannot be followed.
    Unknown(String),
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
        match self.follow(kernel, pid) {
            Look::Later(_) if attempts + 1 < ATTEMPTS => {
                self.waiting.push_back((pid, attempts + 1));
            }
            Look::Later(why) | Look::Unknown(why) => {
                self.say(format!("the calls of process {pid} are not linked: {why}"));
            }
            Look::Follows | Look::Other => {}
        }
    }

    /// Forgets processes that are gone: to be called from time to time.
    pub(super) fn sweep(&mut self, kernel: &mut Kernel) {
        let gone = |pid: &u32| !Path::new(&format!("/proc/{pid}")).exists();
        let followed = self.python.pids().chain(self.go.pids()).chain(self.proxies.pids());
        let gone: Vec<u32> = followed.filter(gone).collect();
        for pid in gone {
            self.python.forget(kernel, pid);
            self.go.forget(kernel, pid);
            self.proxies.forget(kernel, pid);
        }
    }

    /// By the first that it runs. What it ran before is forgotten.
    fn follow(&mut self, kernel: &mut Kernel, pid: u32) -> Look {
        let python = self.python.follow(kernel, pid);
        if !matches!(python, Look::Other) {
            self.go.forget(kernel, pid);
            self.proxies.forget(kernel, pid);
            return python;
        }
        let proxy = self.proxies.follow(kernel, pid);
        if !matches!(proxy, Look::Other) {
            self.go.forget(kernel, pid);
            return proxy;
        }
        self.go.follow(kernel, pid)
    }

    /// Once for each reason.
    fn say(&mut self, message: String) {
        const MAX_SAID: usize = 64;
        if self.said.len() < MAX_SAID && self.said.insert(message.clone()) {
            tracing::info!("{message}");
        }
    }
}
