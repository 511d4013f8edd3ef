//! The processes that run CPython: what is watched in their interpreters and event loops, for as long
//! as one runs.

use std::collections::hash_map::Entry;
use std::path::Path;

use aya::programs::ProgramError;
use rustc_hash::{FxHashMap, FxHashSet};
use tracebee_common::runtime::kind;

use super::Look;
use crate::runtime::Unknown;
use crate::runtime::library::Library;
use crate::runtime::python::{self, Found};
use crate::source::live::kernel::Kernel;
use crate::source::live::watch::Watch;

/// The files that are executed at the moment.
#[derive(Default)]
pub(super) struct Contexts {
    files: FxHashMap<(u64, u64), File>,
    /// Which ones each process executes.
    processes: FxHashMap<u32, Vec<(u64, u64)>>,
}

/// An interpreter, as an executable or a library, or a library of it.
#[derive(Default)]
struct File {
    /// By the kernel program that is told, and by place. Dropped with the last process: containers come
    /// with files of their own, and go.
    watches: FxHashMap<(&'static str, u64), Watch>,
    users: FxHashSet<u32>,
}

impl Contexts {
    /// Follows the process `pid`, if it runs this.
    pub(super) fn follow(&mut self, kernel: &mut Kernel, pid: u32) -> Look {
        let look = match python::find(Path::new("/proc"), pid) {
            Ok(Some(found)) => match self.learn(kernel, pid, &found) {
                Ok(()) => return found.lacks.map_or(Look::Follows, Look::Unknown),
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
        let Some(files) = self.processes.remove(&pid) else { return };
        kernel.forget(pid, kind::PYTHON);
        for identity in files {
            let Some(file) = self.files.get_mut(&identity) else { continue };
            file.users.remove(&pid);
            if file.users.is_empty() {
                self.files.remove(&identity);
            }
        }
    }

    /// The processes that are followed.
    pub(super) fn pids(&self) -> impl Iterator<Item = u32> {
        self.processes.keys().copied()
    }

    fn learn(&mut self, kernel: &mut Kernel, pid: u32, found: &Found) -> Result<(), String> {
        if self.processes.get(&pid).is_some_and(|files| !files.contains(&found.identity)) {
            self.forget(kernel, pid);
        }
        self.watch(kernel, pid, found)
            .map_err(|error| format!("watching CPython in {}: {error}", found.file.display()))?;
        kernel.follow(pid, found.layout).map_err(|error| format!("no room for it: {error}"))?;
        tracing::debug!("process {pid} runs CPython {}", found.version);
        Ok(())
    }

    /// Has watched what is not yet, of the interpreter and of its libraries.
    fn watch(&mut self, kernel: &mut Kernel, pid: u32, found: &Found) -> Result<(), ProgramError> {
        let mut watch = |identity, path: &Path, functions: &[(&'static str, u64)]| {
            let file = self.files.entry(identity).or_default();
            if file.users.insert(pid) {
                self.processes.entry(pid).or_default().push(identity);
            }
            for &(name, offset) in functions {
                if let Entry::Vacant(entry) = file.watches.entry((name, offset)) {
                    entry.insert(kernel.watch(name, path, offset)?);
                }
            }
            Ok::<_, ProgramError>(())
        };
        watch(found.identity, &found.file, &found.functions)?;
        for Library { file, identity, functions } in &found.libraries {
            watch(*identity, file, functions)?;
        }
        Ok(())
    }
}
