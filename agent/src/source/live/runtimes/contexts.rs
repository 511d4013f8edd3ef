//! The processes that run CPython: what is watched in their interpreters, for as long as one runs.

use std::path::Path;

use rustc_hash::{FxHashMap, FxHashSet};

use super::Look;
use crate::runtime::python::{self, Found, Unknown};
use crate::source::live::loader::{Kernel, Watch};

/// The interpreters that are run at the moment.
#[derive(Default)]
pub(super) struct Contexts {
    files: FxHashMap<(u64, u64), Interpreter>,
    /// Which one each process runs.
    processes: FxHashMap<u32, (u64, u64)>,
}

/// One that somebody runs, an executable or a library.
#[derive(Default)]
struct Interpreter {
    /// Dropped with the last process: containers come with files of their own, and go.
    watches: Vec<Watch>,
    /// Whether what uvloop's event loop calls is watched, too.
    enters: bool,
    users: FxHashSet<u32>,
}

impl Contexts {
    /// Follows the process `pid`, if it runs this.
    pub(super) fn follow(&mut self, kernel: &mut Kernel, pid: u32) -> Look {
        let look = match python::find(Path::new("/proc"), pid) {
            Ok(Some(found)) => match self.learn(kernel, pid, &found) {
                Ok(()) => return Look::Follows,
                Err(why) => Look::Unknown(why),
            },
            Ok(None) | Err(Unknown::Io(_)) => Look::Other,
            Err(error @ Unknown::Elsewhere(_)) => Look::Later(error.to_string()),
            Err(error) => Look::Unknown(error.to_string()),
        };
        self.forget(kernel, pid);
        look
    }

    /// Forgets a process.
    pub(super) fn forget(&mut self, kernel: &mut Kernel, pid: u32) {
        let Some(identity) = self.processes.remove(&pid) else { return };
        kernel.forget_python(pid);
        let Some(interpreter) = self.files.get_mut(&identity) else { return };
        interpreter.users.remove(&pid);
        if interpreter.users.is_empty() {
            self.files.remove(&identity);
        }
    }

    /// The processes that are followed.
    pub(super) fn pids(&self) -> impl Iterator<Item = u32> {
        self.processes.keys().copied()
    }

    fn learn(&mut self, kernel: &mut Kernel, pid: u32, found: &Found) -> Result<(), String> {
        if self.processes.get(&pid) != Some(&found.identity) {
            self.forget(kernel, pid);
        }
        let interpreter = self.files.entry(found.identity).or_default();
        interpreter.users.insert(pid);
        self.processes.insert(pid, found.identity);
        let copy = interpreter.watches.is_empty().then_some(found.copy);
        let enter = found.enter.filter(|_| !interpreter.enters);
        if copy.is_some() || enter.is_some() {
            let watch = kernel.watch_python(&found.file, copy, enter).map_err(|error| {
                format!("watching CPython in {}: {error}", found.file.display())
            })?;
            interpreter.watches.push(watch);
            interpreter.enters |= enter.is_some();
        }
        kernel
            .follow_python(pid, found.layout)
            .map_err(|error| format!("no room for it: {error}"))?;
        tracing::debug!("process {pid} runs CPython {}", found.version);
        Ok(())
    }
}
