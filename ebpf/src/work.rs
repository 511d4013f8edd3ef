//! Which request a unit of work is about.
//!
//! At any instant a thread runs a unit of work, its context; what that is, its runtime decides
//! ([`crate::python`], [`crate::go`]). Bytes that are read from an accepted connection in a context
//! are what it is about from then on; a context that is forked from another is about the same; what
//! a context sends to others belongs to what it is about. User space knows where requests begin and
//! end.
//! Of a proxy ([`crate::proxy`]), the connections of its clients are the contexts.

use aya_ebpf::{macros::map, maps::LruHashMap};
use tracebee_common::record::Work;

use crate::{
    go, proxy, python,
    socket::{Socket, Who},
};

/// A unit of work of a process.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Context {
    /// Which process, and which program of those that it has executed.
    pub(crate) process: u64,
    /// What its runtime calls it, or the cookie of a client's socket: never 0.
    pub(crate) number: u64,
}

/// [`Context::process`].
#[inline(always)]
pub(crate) fn process(generation: u32, pid: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(pid)
}

/// What the current thread is doing.
#[derive(Clone, Copy)]
pub(crate) struct Doing {
    /// The context that it is in, 0 for none that is known.
    context: u64,
    /// Which of the programs that the process has executed.
    generation: u32,
    /// It reads before it enters the context that the bytes are for.
    reads_outside: bool,
    /// Contexts take connections that others drive.
    takes: bool,
}

impl Doing {
    /// What the thread `tid` of process `pid`, the current one, is doing.
    #[inline(always)]
    pub(crate) fn of(pid: u32, tid: u32) -> Self {
        if let Some(python) = python::of(pid) {
            return Self {
                context: context(pid, tid),
                generation: 0,
                reads_outside: python.reads_outside != 0,
                takes: false,
            };
        }
        match go::of(pid) {
            Some(go) => Self {
                context: context(pid, tid),
                generation: go.generation,
                reads_outside: false,
                takes: true,
            },
            None => Self { context: 0, generation: 0, reads_outside: false, takes: false },
        }
    }
}

/// The number of the context that the thread `tid` of process `pid`, the current one, is in; 0 for none
/// that is known. A function of its own: what it has on the stack is gone when the programs call
/// others, which together may have 512 bytes (6.1).
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn context(pid: u32, tid: u32) -> u64 {
    if let Some(python) = python::of(pid) {
        return python::context(python, tid);
    }
    match go::of(pid) {
        Some(go) => go::in_call(go),
        None => 0,
    }
}

/// [`Work::how`]: a fork has made the context about it.
const INHERITED: u32 = 1;
/// The same: nothing ever will.
const NEVER: u32 = 2;

/// What each is about. Those that nobody worked in for the longest time make room for others: their
/// calls stay unlinked.
#[map]
static WORK: LruHashMap<Context, Work> = LruHashMap::with_max_entries(65_536, 0);

/// Bytes that a thread has read and that no context was about yet, by thread.
#[map]
static READ: LruHashMap<u32, Work> = LruHashMap::with_max_entries(16_384, 0);

/// A context that a thread has entered, and what that is about as long as it is in it.
#[derive(Clone, Copy)]
#[repr(C)]
struct Entered {
    number: u64,
    work: Work,
}

/// The last that each thread has entered with what it had read before.
#[map]
static ENTERED: LruHashMap<u32, Entered> = LruHashMap::with_max_entries(16_384, 0);

/// What a context is about, in which the current thread is; `reads_outside` as in [`Doing`].
#[inline(always)]
pub(crate) fn now(tid: u32, context: Context, reads_outside: bool) -> Option<Work> {
    // SAFETY: only this thread writes it.
    if reads_outside
        && let Some(entered) = unsafe { ENTERED.get(tid).copied() }
        && entered.number == context.number
    {
        return Some(entered.work);
    }
    of(context)
}

/// What a context is about.
#[inline(always)]
pub(crate) fn of(context: Context) -> Option<Work> {
    // SAFETY: a copy; a torn one names bytes that were never read, which user space finds.
    unsafe { WORK.get(context).copied() }
}

/// The current thread enters a context, with what it has read for it or for something else.
#[inline(always)]
pub(crate) fn entered(tid: u32, number: u64, read: Option<Work>) {
    let _ = match read {
        Some(work) => ENTERED.insert(tid, Entered { number, work }, 0),
        None => ENTERED.remove(tid),
    };
}

/// `child` is forked from `parent`, and about the same.
#[inline(always)]
pub(crate) fn inherit(child: Context, parent: Context) {
    let work = match of(parent) {
        Some(work) if work.cookie != 0 => Some(Work { how: INHERITED, ..work }),
        _ => None,
    };
    set(child, work);
}

/// Whatever `context` reads or sends is not its own.
#[inline(always)]
pub(crate) fn never(context: Context) {
    set(context, Some(Work { how: NEVER, ..Work::default() }));
}

/// `context` waits for what others do, and may do their work after that: unless it has read what it
/// is about itself, that is not known any more.
#[inline(always)]
pub(crate) fn waits(context: Context) {
    if of(context).is_some_and(|work| work.how == INHERITED) {
        set(context, None);
    }
}

/// From now on `context` is about `work`, or about nothing that is known.
#[inline(always)]
pub(crate) fn set(context: Context, work: Option<Work>) {
    match work {
        Some(work) if WORK.insert(context, work, 0).is_ok() => {}
        // Absent is what is wanted.
        _ => {
            let _ = WORK.remove(context);
        }
    }
}

/// What the current thread has read before it entered the context that this is for.
#[inline(always)]
pub(crate) fn take_read(tid: u32) -> Option<Work> {
    // SAFETY: as in `of`; only this thread writes it.
    let work = unsafe { READ.get(tid).copied() }?;
    let _ = READ.remove(tid);
    Some(work)
}

/// The current thread reads `length` bytes at `position` of a connection. Returns what its context
/// is about from now on; zeros if it has none.
#[inline(always)]
pub(crate) fn read(state: &Socket, who: Who, position: u64, length: u32) -> Work {
    let Doing { context, reads_outside, takes, .. } = who.doing;
    if reads_outside {
        // Should its end have been missed.
        python::wrote(who.tid);
    }
    if state.accepted == 0 {
        // An answer, most likely: whatever the thread enters next is not about a request.
        if reads_outside {
            let _ = READ.remove(who.tid);
        }
        return Work::default();
    }
    let work = Work { cookie: state.cookie, position, length, how: 0 };
    if context != 0 {
        let context = context_of(who);
        if !(takes && of(context).is_some_and(|work| work.how == NEVER)) {
            set(context, Some(work));
        }
    } else if reads_outside {
        let _ = READ.insert(who.tid, work, 0);
    } else if proxy::is(who.pid) {
        set(Context { process: who.pid.into(), number: state.cookie }, Some(work));
    } else {
        return Work::default();
    }
    work
}

/// What the current thread sends on a connection, the `struct sock` at `sk`, is about this; zeros if
/// that is not known.
#[inline(always)]
pub(crate) fn sending(state: &Socket, who: Who, sk: *const u8) -> Work {
    let Doing { context, reads_outside, takes, .. } = who.doing;
    if state.accepted != 0 {
        return Work::default();
    }
    if takes && let Some(work) = go::taken(state.cookie) {
        return work;
    }
    if reads_outside && let Some(work) = python::writing(who.tid) {
        return work;
    }
    let context = match context {
        0 if proxy::is(who.pid) => {
            Context { process: who.pid.into(), number: proxy::client(sk, who.pid) }
        }
        _ => context_of(who),
    };
    if context.number == 0 {
        return Work::default();
    }
    now(who.tid, context, reads_outside).unwrap_or_default()
}

/// The context of the current thread; its number is 0 if it has none.
#[inline(always)]
fn context_of(who: Who) -> Context {
    let Doing { context, generation, .. } = who.doing;
    Context { process: process(generation, who.pid), number: context }
}
