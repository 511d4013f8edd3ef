//! The processes that are reverse proxies.

use std::path::Path;

use rustc_hash::FxHashSet;
use tracebee_common::runtime::kind;

use super::Look;
use crate::runtime::{Unknown, proxy};
use crate::source::live::kernel::Kernel;

/// Those that are followed.
#[derive(Default)]
pub(super) struct Proxies(FxHashSet<u32>);

impl Proxies {
    /// Follows the process `pid`, if it is one.
    pub(super) fn follow(&mut self, kernel: &mut Kernel, pid: u32) -> Look {
        match proxy::find(Path::new("/proc"), pid) {
            Ok(Some(found)) => match kernel.follow(pid, found.layout) {
                Ok(()) => {
                    tracing::debug!("process {pid} is a proxy, {}", found.name);
                    self.0.insert(pid);
                    Look::Follows
                }
                Err(error) => Look::Unknown(format!("no room for it: {error}")),
            },
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

    /// Forgets a process.
    pub(super) fn forget(&mut self, kernel: &mut Kernel, pid: u32) {
        if self.0.remove(&pid) {
            kernel.forget(pid, kind::PROXY);
        }
    }

    /// The processes that are followed.
    pub(super) fn pids(&self) -> impl Iterator<Item = u32> {
        self.0.iter().copied()
    }
}
