//! CPython: its context is the `PyContext` that a thread has entered, which asyncio and uvloop enter
//! for every step of a task, and `asyncio.to_thread` for its function.

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, generated::bpf_get_current_task_btf},
    macros::{map, uprobe, uretprobe},
    maps::{HashMap, LruHashMap},
    programs::{ProbeContext, RetProbeContext},
};
use tracebee_common::runtime::{MAX_PROCESSES, Python};

use crate::{
    layout,
    memory::{kernel, user},
    work::{self, Context},
};

/// The processes that run it, by process id. User space fills it.
#[map]
static PYTHON: HashMap<u32, Python> = HashMap::with_max_entries(MAX_PROCESSES, 0);

/// Where each thread's state was found.
#[map]
static STATES: LruHashMap<u32, u64> = LruHashMap::with_max_entries(16_384, 0);

/// The context that a thread copies at the moment, 0 if it has none.
#[map]
static COPIES: LruHashMap<u32, u64> = LruHashMap::with_max_entries(16_384, 0);

/// Threads and interpreters that are looked at for a thread's state: it is searched once, and what
/// is further down stays unlinked.
const WALK: u32 = 128;

/// The runtime of a process, if it is this one.
#[inline(always)]
pub(crate) fn of(pid: u32) -> Option<&'static Python> {
    // SAFETY: user space replaces whole entries when a process executes another program.
    unsafe { PYTHON.get(pid) }
}

/// The context of the current thread, if that says what it works on; else 0.
#[inline(always)]
pub(crate) fn context(python: &Python, tid: u32) -> u64 {
    let Some(thread) = state(python, tid) else { return 0 };
    let number: u64 = user(thread, python.context);
    if number != 0 && says_something(python, number) { number } else { 0 }
}

/// Not every context is one of work: a thread has one below all others, which lives as long as the
/// thread. `ctx_entered` says that somebody runs in it on purpose; since 3.14 that is said of the one
/// below all others, too, where a thread was started in it, but it has none before it.
#[inline(always)]
fn says_something(python: &Python, context: u64) -> bool {
    user::<u32>(context, python.entered) != 0
        && (python.threads_enter == 0 || user::<u64>(context, python.previous) != 0)
}

/// The `PyThreadState` of the current thread. The interpreter's own word for it is empty around
/// system calls, or another thread's: found is the one that has the thread's own address.
#[inline(always)]
fn state(python: &Python, tid: u32) -> Option<u64> {
    // SAFETY: a helper without arguments; a checked read.
    let own: u64 = unsafe { kernel(bpf_get_current_task_btf() as u64, layout::task_fsbase()) };
    if own == 0 {
        return None;
    }
    // SAFETY: only this thread writes it.
    if let Some(known) = unsafe { STATES.get(tid).copied() }
        && user::<u64>(known, python.thread_id) == own
    {
        return Some(known);
    }
    let mut interpreter: u64 = user(python.interpreters, 0);
    let mut thread: u64 = user(interpreter, python.threads);
    for _ in 0..WALK {
        if interpreter == 0 {
            return None;
        }
        if thread == 0 {
            interpreter = user(interpreter, python.interpreter_next);
            thread = user(interpreter, python.threads);
        } else if user::<u64>(thread, python.thread_id) == own {
            let _ = STATES.insert(tid, thread, 0);
            return Some(thread);
        } else {
            thread = user(thread, python.thread_next);
        }
    }
    None
}

/// The current thread, if it is one of CPython.
#[inline(always)]
fn current() -> Option<(&'static Python, u32, u32)> {
    let id = bpf_get_current_pid_tgid();
    let (pid, tid) = ((id >> 32) as u32, id as u32);
    Some((of(pid)?, pid, tid))
}

/// `PyContext_CopyCurrent()` begins: a context is forked from the current one.
#[uprobe]
pub(crate) fn python_copies(_ctx: ProbeContext) -> u32 {
    if let Some((python, _, tid)) = current()
        && let Some(thread) = state(python, tid)
    {
        let _ = COPIES.insert(tid, user::<u64>(thread, python.context), 0);
    }
    0
}

/// `PyContext_CopyCurrent()` returns the new context. Addresses come back: whatever was known of a
/// context at this one was another.
#[uretprobe]
pub(crate) fn python_copied(ctx: RetProbeContext) -> u32 {
    let Some((python, pid, tid)) = current() else { return 0 };
    let number: u64 = ctx.ret();
    if number == 0 {
        return 0;
    }
    let process = u64::from(pid);
    // SAFETY: only this thread writes it.
    let parent = unsafe { COPIES.get(tid).copied() };
    let _ = COPIES.remove(tid);
    let about = match parent {
        Some(0) => {
            // The thread had none, and got one for this.
            if let Some(thread) = state(python, tid) {
                let fresh: u64 = user(thread, python.context);
                work::set(Context { process, number: fresh }, None);
            }
            None
        }
        Some(parent) if says_something(python, parent) => {
            work::of(Context { process, number: parent })
        }
        _ => None,
    };
    work::set(Context { process, number }, about);
    0
}

/// `PyContext_Enter(context)`: uvloop reads before it enters the context of the connection, and does
/// nothing in between.
#[uprobe]
pub(crate) fn python_enters(ctx: ProbeContext) -> u32 {
    if let Some((_, pid, tid)) = current()
        && let Some(work) = work::take_read(tid)
        && let Some(number) = ctx.arg::<u64>(0)
    {
        work::set(Context { process: pid.into(), number }, Some(work));
    }
    0
}
