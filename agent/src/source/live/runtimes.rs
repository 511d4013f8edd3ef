//! Runtimes whose unit of work the kernel programs can follow: found when a process has its first
//! connection, and when the agent starts.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::Path;

use aya::programs::ProgramError;
use rustc_hash::{FxHashMap, FxHashSet};

use super::loader::Kernel;
use crate::runtime::proxy;
use crate::runtime::python::{self, Unknown};
use crate::runtime::uvloop::Old;

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
    proxies: FxHashSet<u32>,
    /// Files whose functions are watched, and by which kernel programs.
    watched: FxHashMap<(u64, u64), Vec<&'static str>>,
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

    /// A process runs a program from now on.
    pub(super) fn runs(&mut self, pid: u32) {
        self.waiting.push_back((pid, 0));
    }

    /// Looks at some of those that wait.
    pub(super) fn look(&mut self, kernel: &mut Kernel) {
        for _ in 0..BATCH.min(self.waiting.len()) {
            let Some((pid, attempts)) = self.waiting.pop_front() else { return };
            self.look_for_proxy(kernel, pid);
            match python::find(Path::new("/proc"), pid) {
                Ok(Some(found)) => self.follow(kernel, pid, &found),
                Ok(None) | Err(Unknown::Io(_)) => self.forget(kernel, pid),
                Err(Unknown::Elsewhere(_)) if attempts + 1 < ATTEMPTS => {
                    self.waiting.push_back((pid, attempts + 1));
                    return;
                }
                Err(error) => {
                    self.forget(kernel, pid);
                    self.say(format!("the calls of process {pid} are not linked: {error}"));
                }
            }
        }
    }

    /// Forgets processes that are gone: to be called from time to time.
    pub(super) fn sweep(&mut self, kernel: &mut Kernel) {
        let gone = |pid: &u32| !Path::new(&format!("/proc/{pid}")).exists();
        let known = self.followed.iter().chain(&self.proxies);
        let gone: Vec<u32> = known.copied().filter(gone).collect();
        for pid in gone {
            self.forget(kernel, pid);
            self.forget_proxy(kernel, pid);
        }
    }

    fn look_for_proxy(&mut self, kernel: &mut Kernel, pid: u32) {
        match proxy::find(Path::new("/proc"), pid) {
            Ok(Some(found)) => match kernel.follow_proxy(pid, found.layout) {
                Ok(()) => {
                    tracing::debug!("process {pid} is a proxy, {}", found.name);
                    self.proxies.insert(pid);
                }
                Err(error) => self.say(format!("no room to follow process {pid}: {error}")),
            },
            Ok(None) | Err(proxy::Unknown::Io(_)) => self.forget_proxy(kernel, pid),
            Err(error) => {
                self.forget_proxy(kernel, pid);
                self.say(format!("the calls of process {pid} are not linked by requests: {error}"));
            }
        }
    }

    fn forget_proxy(&mut self, kernel: &mut Kernel, pid: u32) {
        if self.proxies.remove(&pid) {
            kernel.forget_proxy(pid);
        }
    }

    fn follow(&mut self, kernel: &mut Kernel, pid: u32, found: &python::Found) {
        if let Err(error) = self.watch(kernel, found) {
            self.forget(kernel, pid);
            self.say(format!("watching CPython in {}: {error}", found.file.display()));
            return;
        }
        if let Some(lacks) = &found.lacks {
            self.say(format!("calls of process {pid} may not be linked: {lacks}"));
        }
        match kernel.follow_python(pid, found.layout) {
            Ok(()) => {
                tracing::debug!("process {pid} runs CPython {}", found.version);
                self.followed.insert(pid);
            }
            Err(error) => self.say(format!("no room to follow process {pid}: {error}")),
        }
    }

    /// Has watched what is not yet: of the interpreter, and of uvloop in the process.
    fn watch(&mut self, kernel: &mut Kernel, found: &python::Found) -> Result<(), ProgramError> {
        type Functions<'a> = &'a [(&'static str, u64)];
        let mut watch = |identity, file: &Path, functions: Functions<'_>| {
            let watched = self.watched.entry(identity).or_default();
            for &(name, offset) in functions {
                if !watched.contains(&name) {
                    kernel.watch(name, file, offset)?;
                    watched.push(name);
                }
            }
            Ok::<_, ProgramError>(())
        };
        let copies = [("python_copies", found.copy), ("python_copied", found.copy)];
        watch(found.identity, &found.file, &copies)?;
        if let Some(enter) = found.enter {
            watch(found.identity, &found.file, &[("python_enters", enter)])?;
        }
        if let Some(Old { file, identity, runs, keeps, writes }) = &found.old_uvloop {
            // The return first: what begins must be seen to end.
            let functions = [
                ("uvloop_wrote", *writes),
                ("uvloop_writes", *writes),
                ("uvloop_keeps", *keeps),
                ("uvloop_runs", *runs),
            ];
            watch(*identity, file, &functions)?;
        }
        Ok(())
    }

    fn forget(&mut self, kernel: &mut Kernel, pid: u32) {
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
