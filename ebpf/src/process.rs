//! Who a process is, read while it certainly lives: once per program that a process runs, with
//! its first connection. A process may be gone before user space gets to look at `/proc`.

use aya_ebpf::{
    helpers::generated::{
        bpf_get_current_comm, bpf_get_current_task_btf, bpf_get_smp_processor_id,
        bpf_probe_read_user,
    },
    macros::map,
    maps::{Array, LruHashMap},
};
use tracebee_common::{
    record::{self, ARGUMENTS_MAX, ENVIRONMENT_MAX, Header, Process},
    tables,
};

use crate::{emit, layout, memory::kernel};

/// What each process ran when it was told of: the least recently used go.
#[map]
static PROCESSES: LruHashMap<u32, u64> = LruHashMap::with_max_entries(tables::PROCESSES, 0);

/// Twice what is used, as in [`crate::bytes`].
#[repr(C)]
struct Scratch {
    process: Process,
    text: [u8; 2 * (ARGUMENTS_MAX + ENVIRONMENT_MAX)],
}

#[map]
static PROCESS_AREA: Array<Scratch> = Array::with_max_entries(1, 0);

/// Tells user space of the current process, if it does not know what it runs. Not inlined: what it
/// takes of the stack is missing elsewhere.
#[inline(never)]
pub(crate) fn tell(pid: u32) {
    // SAFETY: a helper without arguments; every address is read by a helper that checks it.
    unsafe {
        let task = bpf_get_current_task_btf() as u64;
        let leader: u64 = kernel(task, layout::group_leader());
        let started: u64 = kernel(leader, layout::start_boottime());
        let mm: u64 = kernel(task, layout::task_mm());
        // An exec gives the process another address space, a new process has another start.
        let program = mm ^ started;
        if let Some(known) = PROCESSES.get_ptr(pid)
            && *known == program
        {
            return;
        }
        if mm == 0 || PROCESSES.insert(pid, program, 0).is_err() {
            return;
        }
        let Some(scratch) = PROCESS_AREA.get_ptr_mut(bpf_get_smp_processor_id()) else { return };
        let scratch = &mut *scratch;
        let arguments = text(scratch, 0, mm, layout::arg_start(), layout::arg_end(), ARGUMENTS_MAX);
        let environment =
            text(scratch, arguments, mm, layout::env_start(), layout::env_end(), ENVIRONMENT_MAX);
        scratch.process = Process {
            header: Header { kind: record::PROCESS, time: emit::now(), ..Header::default() },
            started,
            pid,
            arguments,
            environment,
            reserved: 0,
            comm: [0; 16],
        };
        let comm = &mut scratch.process.comm;
        bpf_get_current_comm(comm.as_mut_ptr().cast(), comm.len() as u32);
        let size = core::hint::black_box(arguments + environment) as usize
            & (ARGUMENTS_MAX + ENVIRONMENT_MAX - 1);
        let bytes = core::slice::from_raw_parts(
            core::ptr::from_ref(scratch).cast::<u8>(),
            size_of::<Process>() + size,
        );
        // At once: the sooner user space looks, the more of it is still there.
        if !emit::output_now(bytes) {
            // With its next connection, then. Absent is what is wanted.
            let _ = PROCESSES.remove(pid);
        }
    }
}

/// Copies what lies between two addresses that `mm` names to `at`; how many bytes it was.
#[inline(always)]
unsafe fn text(
    scratch: &mut Scratch,
    at: u32,
    mm: u64,
    start: usize,
    end: usize,
    most: usize,
) -> u32 {
    // SAFETY: offset and length are each below half of the area.
    unsafe {
        let from: u64 = kernel(mm, start);
        let to: u64 = kernel(mm, end);
        let there = to.saturating_sub(from);
        let wanted = if there < most as u64 { there } else { most as u64 - 1 };
        let length = core::hint::black_box(wanted as u32) & (most as u32 - 1);
        let at = core::hint::black_box(at) & (ARGUMENTS_MAX as u32 - 1);
        if length == 0 {
            return 0;
        }
        let to = scratch.text.as_mut_ptr().add(at as usize);
        if bpf_probe_read_user(to.cast(), length, from as *const _) != 0 { 0 } else { length }
    }
}
