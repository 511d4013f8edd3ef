//! What the processes run whose units of work can be followed: by process id, one look for all
//! runtimes, as most processes run none.

use aya_ebpf::{bindings::BPF_F_NO_PREALLOC, macros::map, maps::HashMap};
use tracebee_common::{runtime::Runtime, tables};

/// User space fills it.
#[map]
static RUNTIMES: HashMap<u32, Runtime> =
    HashMap::with_max_entries(tables::RUNTIMES, BPF_F_NO_PREALLOC);

/// That of a process.
#[inline(always)]
pub(crate) fn of(pid: u32) -> Option<&'static mut Runtime> {
    // SAFETY: user space replaces whole entries when a process executes another program.
    RUNTIMES.get_ptr_mut(pid).map(|runtime| unsafe { &mut *runtime })
}
