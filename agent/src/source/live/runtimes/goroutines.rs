//! The processes that run Go: what is watched in their executables, for as long as one is executed.

use std::path::Path;

use rustc_hash::{FxHashMap, FxHashSet};
use tracebee_common::runtime::{Go, Start, kind};

use super::Look;
use crate::runtime::Unknown;
use crate::runtime::go::{self, Image, Process};
use crate::source::live::kernel::Kernel;
use crate::source::live::watch::Watch;

/// The executables that are run at the moment.
#[derive(Default)]
pub(super) struct Goroutines {
    files: FxHashMap<(u64, u64), Executable>,
    /// Which one each process runs.
    processes: FxHashMap<u32, (u64, u64)>,
    /// Numbers that were given out.
    last_file: u32,
    last_generation: u32,
}

/// One that somebody runs.
struct Executable {
    number: u32,
    /// None if it cannot be followed.
    image: Option<Image>,
    /// Dropped with the last process: a file may be written again as soon as nobody runs it, and what
    /// is watched in it would be something else.
    watch: Option<Watch>,
    users: FxHashSet<u32>,
}

impl Goroutines {
    /// Follows the process `pid`, if it runs Go.
    pub(super) fn follow(&mut self, kernel: &mut Kernel, pid: u32) -> Look {
        match go::process(Path::new("/proc"), pid) {
            Ok(Some(process)) => match self.follow_in(kernel, pid, &process) {
                Ok(()) => Look::Follows,
                Err(why) => Look::Unknown(why),
            },
            // The kernel's own, or gone.
            Ok(None) | Err(Unknown::Io(_)) => {
                self.forget(kernel, pid);
                Look::Other
            }
            Err(error) => {
                self.forget(kernel, pid);
                Look::Unknown(error.to_string())
            }
        }
    }

    /// # Errors
    /// Its goroutines cannot be followed.
    fn follow_in(
        &mut self,
        kernel: &mut Kernel,
        pid: u32,
        process: &Process,
    ) -> Result<(), String> {
        if self.processes.get(&pid) != Some(&process.identity) {
            self.forget(kernel, pid);
        }
        let mut known = Ok(());
        if !self.files.contains_key(&process.identity) {
            known = self.learn(kernel, process);
        }
        let Some(executable) = self.files.get_mut(&process.identity) else {
            return known;
        };
        executable.users.insert(pid);
        self.processes.insert(pid, process.identity);
        if let Some(image) = executable.image.as_ref().filter(|_| executable.watch.is_some()) {
            self.last_generation = self.last_generation.wrapping_add(1).max(1);
            let layout = Go {
                bias: process.bias,
                file: executable.number,
                generation: self.last_generation,
                ..image.layout
            };
            kernel.follow(pid, layout).map_err(|error| format!("no room for it: {error}"))?;
            tracing::debug!("process {pid} runs Go {}", image.version);
        }
        known
    }

    /// Forgets a process.
    pub(super) fn forget(&mut self, kernel: &mut Kernel, pid: u32) {
        let Some(identity) = self.processes.remove(&pid) else { return };
        kernel.forget(pid, kind::GO);
        let Some(executable) = self.files.get_mut(&identity) else { return };
        executable.users.remove(&pid);
        if executable.users.is_empty()
            && let Some(executable) = self.files.remove(&identity)
            && let Some(image) = executable.image
        {
            kernel.forget_starts(starts(executable.number, &image));
        }
    }

    /// True if a process is followed.
    pub(super) fn follows(&self, pid: u32) -> bool {
        let file = self.processes.get(&pid).and_then(|identity| self.files.get(identity));
        file.is_some_and(|file| file.watch.is_some())
    }

    /// The processes that are followed.
    pub(super) fn pids(&self) -> impl Iterator<Item = u32> {
        self.processes.keys().copied()
    }

    /// Reads an executable, and has it watched. It is kept in any case: reading it again would tell
    /// the same.
    fn learn(&mut self, kernel: &mut Kernel, process: &Process) -> Result<(), String> {
        self.last_file = self.last_file.wrapping_add(1).max(1);
        let number = self.last_file;
        let image = match go::image(&process.file) {
            Ok(image) => Ok(image),
            // Gone meanwhile.
            Err(Unknown::Io(_)) => return Ok(()),
            Err(error) => Err(error.to_string()),
        };
        let watched = image.as_ref().map_err(String::clone).and_then(|image| {
            // First what is not to be inherited, then that anything is.
            kernel
                .know_starts(starts(number, image))
                .map_err(|error| format!("no room for its goroutines: {error}"))?;
            kernel.watch_go(&process.file, &image.points).map_err(|error| {
                kernel.forget_starts(starts(number, image));
                format!("watching it: {error}")
            })
        });
        let (watch, result) = match watched {
            Ok(watch) => (Some(watch), Ok(())),
            Err(error) => (None, Err(error)),
        };
        let users = FxHashSet::default();
        let executable = Executable { number, image: image.ok(), watch, users };
        self.files.insert(process.identity, executable);
        result
    }
}

fn starts(file: u32, image: &Image) -> impl Iterator<Item = (Start, u32)> {
    let start = move |address| Start { file, reserved: 0, address };
    image.starts.iter().map(move |(address, what)| (start(*address), *what))
}
