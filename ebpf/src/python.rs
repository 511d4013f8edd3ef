//! CPython: its context is the `PyContext` that a thread has entered, which asyncio and uvloop enter
//! for every step of a task, and `asyncio.to_thread` for its function.

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, generated::bpf_get_current_task_btf},
    macros::{map, uprobe, uretprobe},
    maps::LruHashMap,
    programs::{ProbeContext, RetProbeContext},
};
use tracebee_common::{
    record::Work,
    runtime::{Python, kind, reads},
    tables,
};

use crate::{
    layout,
    memory::{kernel, user},
    runtime,
    work::{self, Context},
};

/// Where each thread's state was found.
#[map]
static STATES: LruHashMap<u32, u64> = LruHashMap::with_max_entries(tables::THREADS, 0);

/// The context that a thread copies at the moment, 0 if it has none.
#[map]
static COPIES: LruHashMap<u32, u64> = LruHashMap::with_max_entries(tables::THREADS, 0);

/// Threads and interpreters that are looked at for a thread's state: it is searched once, and what
/// is further down stays unlinked.
const WALK: u32 = 128;

/// The runtime of a process, if it is this one.
#[inline(always)]
fn of(pid: u32) -> Option<&'static Python> {
    let runtime = runtime::of(pid)?;
    if runtime.kind == kind::PYTHON { Some(&runtime.python) } else { None }
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
            work::now(tid, Context { process, number: parent }, python.reads_outside != 0)
        }
        _ => None,
    };
    work::set(Context { process, number }, about);
    0
}

/// `PyContext_Enter(context)`: uvloop enters the context of a connection after it has read, and does
/// nothing in between. That context may be one for all connections of a server: what was read is what
/// it is about until the thread enters another, or this one again.
#[uprobe]
pub(crate) fn python_enters(ctx: ProbeContext) -> u32 {
    if let (Some((python, pid, tid)), Some(number)) = (current(), ctx.arg::<u64>(0)) {
        // Of versions that enter in another way this is the beginning of something else.
        let read = work::take_read(tid).filter(|_| python.reads_outside == reads::ENTERS);
        enters(python, pid, tid, number, read);
    }
    0
}

/// `run_in_context1(context, method, argument)`: the same of uvloop up to 0.22, which passes what it has
/// read so.
#[uprobe]
pub(crate) fn uvloop_runs(ctx: ProbeContext) -> u32 {
    if let (Some((python, pid, tid)), Some(number)) = (current(), ctx.arg::<u64>(0)) {
        enters(python, pid, tid, number, work::take_read(tid));
    }
    0
}

#[inline(always)]
fn enters(python: &Python, pid: u32, tid: u32, number: u64, read: Option<Work>) {
    if read.is_some() || context(python, tid) == 0 {
        work::entered(pid.into(), tid, number, read);
    }
}

/// What the bytes are about that wait in a stream of uvloop, by the address of the stream. Nothing if
/// they are about several things.
#[map]
static WRITES: LruHashMap<Context, Work> = LruHashMap::with_max_entries(tables::THREADS, 0);

/// `UVStream._buffer_write(self, data)`: uvloop up to 0.22 keeps what a task writes until the end of
/// its turn.
#[uprobe]
pub(crate) fn uvloop_keeps(ctx: ProbeContext) -> u32 {
    let (Some((python, pid, tid)), Some(stream)) = (current(), ctx.arg::<u64>(0)) else { return 0 };
    let process = u64::from(pid);
    let number = context(python, tid);
    let about = if number == 0 { None } else { work::now(tid, Context { process, number }, true) };
    let about = about.unwrap_or_default();
    let stream = Context { process, number: stream };
    // SAFETY: a copy; a torn one names bytes that were never read, which user space finds.
    let mixed = unsafe { WRITES.get(stream).is_some_and(|before| *before != about) };
    let _ = WRITES.insert(stream, if mixed { Work::default() } else { about }, 0);
    0
}

/// `UVStream._exec_write(self)` sends it.
#[uprobe]
pub(crate) fn uvloop_writes(ctx: ProbeContext) -> u32 {
    if let (Some((_, pid, tid)), Some(number)) = (current(), ctx.arg::<u64>(0)) {
        let stream = Context { process: pid.into(), number };
        // SAFETY: as above.
        let about = unsafe { WRITES.get(stream).copied() };
        let _ = WRITES.remove(stream);
        work::writing(pid.into(), tid, Some(about.unwrap_or_default()));
    }
    0
}

/// `UVStream._exec_write` returns.
#[uretprobe]
pub(crate) fn uvloop_wrote(_ctx: RetProbeContext) -> u32 {
    if let Some((_, pid, tid)) = current() {
        work::writing(pid.into(), tid, None);
    }
    0
}
