//! Which request a unit of work is about.
//!
//! At any instant a thread runs a unit of work, its context; what that is, its runtime decides
//! ([`crate::python`], [`crate::go`]). Bytes that are read from an accepted connection in a context
//! are what it is about from then on; a context that is forked from another is about the same; what
//! a context sends to others belongs to what it is about. User space knows where requests begin and
//! end.
//! Of a proxy ([`crate::proxy`]), the connections of its clients are the contexts.

use aya_ebpf::{macros::map, maps::LruHashMap};
use tracebee_common::{record::Work, runtime::kind, tables};

use crate::{
    go, proxy, python, runtime,
    socket::{Socket, Who},
};

/// A unit of work of a process.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Context {
    /// Which process, and which program of those that it has executed.
    pub(crate) process: u64,
    /// What its runtime calls it, the cookie of a client's socket, or what stands for a thread: never
    /// 0.
    pub(crate) number: u64,
}

/// What the current thread is doing.
#[derive(Clone, Copy)]
pub(crate) struct Doing {
    /// The context that it is in, 0 for none that is known.
    context: u64,
    /// [`Context::process`].
    process: u64,
    /// It reads before it enters the context that the bytes are for.
    reads_outside: bool,
    /// Contexts take connections that others drive.
    takes: bool,
    /// Clients' connections are the contexts.
    proxy: bool,
}

impl Doing {
    /// What the thread `tid` of process `pid`, the current one, is doing.
    #[inline(always)]
    pub(crate) fn of(pid: u32, tid: u32) -> Self {
        let executed = executed(pid);
        Self {
            context: if executed & (PYTHON | GO) == 0 { 0 } else { context(pid, tid) },
            process: executed & !u64::from(u32::MAX) | u64::from(pid),
            reads_outside: executed & READS_OUTSIDE != 0,
            takes: executed & GO != 0,
            proxy: executed & PROXY != 0,
        }
    }
}

/// What [`executed`] says; the upper half tells programs apart that a process has executed.
const PYTHON: u64 = 1;
const READS_OUTSIDE: u64 = 2;
const GO: u64 = 4;
const PROXY: u64 = 8;

/// What a process executes. This and [`context`] are functions of their own to the verifier, as
/// [`sender`] is.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn executed(pid: u32) -> u64 {
    let Some(runtime) = runtime::of(pid) else { return 0 };
    match runtime.kind {
        kind::PYTHON if runtime.python.reads_outside == 0 => PYTHON,
        kind::PYTHON => PYTHON | READS_OUTSIDE,
        kind::GO => go::still(&mut runtime.go).map_or(0, |go| go::process(go, 0) | GO),
        kind::PROXY => PROXY,
        _ => 0,
    }
}

/// The context that the current thread is in, 0 for none that is known.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn context(pid: u32, tid: u32) -> u64 {
    let Some(runtime) = runtime::of(pid) else { return 0 };
    match runtime.kind {
        kind::PYTHON => python::context(&runtime.python, tid),
        kind::GO => go::still(&mut runtime.go).map_or(0, go::in_call),
        _ => 0,
    }
}

/// [`Work::how`]: a fork has made the context about it.
const INHERITED: u32 = 1;
/// The same: nothing ever will.
const NEVER: u32 = 2;

/// What each is about. Those that nobody worked in for the longest time make room for others: their
/// calls stay unlinked.
#[map]
static WORK: LruHashMap<Context, Work> = LruHashMap::with_max_entries(tables::CONTEXTS, 0);

/// Bytes that a thread has read and that no context was about yet, by thread.
#[map]
static READ: LruHashMap<u32, Work> = LruHashMap::with_max_entries(tables::THREADS, 0);

/// What each thread has entered with something that it had read before: the context's number. As long
/// as it is in it, it is about that, which is kept under the number of the thread.
#[map]
static ENTERED: LruHashMap<u32, u64> = LruHashMap::with_max_entries(tables::THREADS, 0);

/// Beside the number of a thread: what it sends for a task that is not running any more.
const WRITES: u64 = 1 << 62;

/// Under which number it is kept what a context is about, in which the current thread is.
#[inline(always)]
fn stands_for(tid: u32, number: u64) -> u64 {
    // SAFETY: only this thread writes it.
    let entered = unsafe { ENTERED.get(tid).copied() };
    if entered == Some(number) { tid.into() } else { number }
}

/// What a context is about, in which the current thread is; `reads_outside` as in [`Doing`].
#[inline(always)]
pub(crate) fn now(tid: u32, context: Context, reads_outside: bool) -> Option<Work> {
    let number = if reads_outside { stands_for(tid, context.number) } else { context.number };
    of(Context { number, ..context })
}

/// What a context is about.
#[inline(always)]
pub(crate) fn of(context: Context) -> Option<Work> {
    // SAFETY: a copy; a torn one names bytes that were never read, which user space finds.
    unsafe { WORK.get(context).copied() }
}

/// The current thread enters a context, with what it has read for it or for something else.
#[inline(always)]
pub(crate) fn entered(process: u64, tid: u32, number: u64, read: Option<Work>) {
    let _ = match read {
        Some(_) => ENTERED.insert(tid, number, 0),
        None => ENTERED.remove(tid),
    };
    set(Context { process, number: tid.into() }, read);
}

/// The current thread sends for others what is about `work`, until it is said that it does not.
#[inline(always)]
pub(crate) fn writing(process: u64, tid: u32, work: Option<Work>) {
    set(Context { process, number: WRITES | u64::from(tid) }, work);
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

/// `context` takes up what was read in another.
#[inline(always)]
pub(crate) fn takes_up(context: Context, work: Option<Work>) {
    set(context, work.map(|work| Work { how: INHERITED, ..work }));
}

/// What a context is about that has read it, and not taken it up.
#[inline(always)]
pub(crate) fn has_read(tid: u32, context: Context, reads_outside: bool) -> Option<Work> {
    now(tid, context, reads_outside).filter(|work| work.how == 0)
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
        Some(work) if put(&WORK, context, work) => {}
        // Absent is what is wanted.
        _ => {
            let _ = WORK.remove(context);
        }
    }
}

/// Puts a value into a table; false if there is no room. One that is there is written over where it
/// lies: another entry would cost several times as much. Who reads it meanwhile may find a torn one.
#[inline(always)]
fn put<K>(table: &LruHashMap<K, Work>, key: K, work: Work) -> bool {
    if let Some(known) = table.get_ptr_mut(&key) {
        // SAFETY: a value of the table; an entry that makes room for another stays readable and
        // writable as long as the program runs.
        unsafe { *known = work };
        return true;
    }
    table.insert(&key, &work, 0).is_ok()
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
    let Doing { context, process, reads_outside, takes, proxy } = who.doing;
    if reads_outside {
        // Should its end have been missed.
        writing(who.pid.into(), who.tid, None);
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
        let context = Context { process, number: context };
        if !(takes && of(context).is_some_and(|work| work.how == NEVER)) {
            set(context, Some(work));
        }
    } else if reads_outside {
        put(&READ, who.tid, work);
    } else if proxy {
        set(Context { process: who.pid.into(), number: state.cookie }, Some(work));
    } else {
        return Work::default();
    }
    work
}

/// What the current thread sends on a connection, the `struct sock` at `sk`, is about; zeros if that is
/// not known.
#[inline(always)]
pub(crate) fn sending(state: &Socket, who: Who, sk: *const u8) -> Work {
    if state.accepted != 0 {
        return Work::default();
    }
    let Doing { context, process, reads_outside, takes, proxy } = who.doing;
    if takes && let Some(work) = go::taken(state.cookie) {
        return work;
    }
    if context == 0 && !reads_outside && !proxy {
        return Work::default();
    }
    let file = if context == 0 { proxy::file(sk) } else { 0 };
    let thread = u64::from(who.pid) << 32 | u64::from(who.tid);
    let number = sender(thread, context, reads_outside as u64, file);
    of(Context { process, number }).unwrap_or_default()
}

/// The number of the unit of work that sends, on the socket of a `struct file`, 0 if it is not known. A
/// function of its own to the verifier, which looks through it once and not on every way that leads to
/// it.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn sender(thread: u64, context: u64, reads_outside: u64, file: u64) -> u64 {
    let (pid, tid) = ((thread >> 32) as u32, thread as u32);
    if reads_outside != 0 {
        let writes = Context { process: pid.into(), number: WRITES | u64::from(tid) };
        // SAFETY: only looked up.
        if unsafe { WORK.get(writes).is_some() } {
            return writes.number;
        }
        if context != 0 {
            return stands_for(tid, context);
        }
    }
    if context == 0 { proxy::client(file, pid) } else { context }
}
