//! Go: its context is the goroutine that a thread runs.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_F_NO_PREALLOC, pt_regs},
    helpers::{
        bpf_get_current_pid_tgid,
        generated::{bpf_get_attach_cookie, bpf_get_current_task_btf, bpf_task_pt_regs},
    },
    macros::{map, uprobe},
    maps::{HashMap, LruHashMap},
    programs::ProbeContext,
};
use tracebee_common::{
    record::Work,
    runtime::{Go, Start, kind, point, start},
    tables,
};

use crate::{
    arch, layout,
    memory::{kernel, user},
    runtime, syscall,
    work::{self, Context},
};

/// Where goroutines are started that are not part of what the starting one works on: one of
/// [`start`].
#[map]
static STARTS: HashMap<Start, u32> = HashMap::with_max_entries(tables::STARTS, BPF_F_NO_PREALLOC);

/// What the goroutine is about that has taken a connection, by the cookie of its socket; zeros if
/// that is not known. Others drive the connection: this goes before what these are about.
#[map]
static TAKEN: LruHashMap<u64, Work> = LruHashMap::with_max_entries(tables::TAKEN, 0);

/// `runtime.g.stack`, of two addresses, is what a `g` begins with.
const STACK: u32 = 0;

/// The current process `pid`, if it runs this.
#[inline(always)]
fn of(pid: u32) -> Option<&'static Go> {
    let runtime = runtime::of(pid)?;
    if runtime.kind == kind::GO { still(&mut runtime.go) } else { None }
}

/// The same, if the current process is still what user space has seen.
#[inline(always)]
pub(crate) fn still(go: &mut Go) -> Option<&Go> {
    // SAFETY: a helper without arguments and a checked read.
    let space: u64 = unsafe { kernel(bpf_get_current_task_btf() as u64, layout::task_mm()) };
    // Two threads that note it at once note the same.
    if go.space == 0 {
        go.space = space;
    }
    if go.space == space { Some(go) } else { None }
}

/// The process, as contexts are told apart by.
#[inline(always)]
pub(crate) fn process(go: &Go, pid: u32) -> u64 {
    u64::from(go.generation) << 32 | u64::from(pid)
}

/// The goroutine that is in a system call, 0 if none is: C code has its own stacks, and the
/// scheduler's goroutines have no number.
#[inline(always)]
pub(crate) fn in_call(go: &Go) -> u64 {
    // SAFETY: both helpers give typed pointers of the current task.
    unsafe {
        let regs = bpf_task_pt_regs(bpf_get_current_task_btf().cast());
        running(go, arch::goroutine(regs as *const _))
    }
}

/// The number of a goroutine by its `g`, if the stack pointer lies in its stack: whatever else the
/// register holds is none that runs.
#[inline(always)]
fn running(go: &Go, (g, sp): (u64, u64)) -> u64 {
    let bounds: [u64; 2] = user(g, STACK);
    if sp < bounds[0] || sp >= bounds[1] { 0 } else { user(g, go.goid) }
}

/// A goroutine of the current process came to a place that is watched.
#[uprobe]
pub(crate) fn go_at(ctx: ProbeContext) -> u32 {
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let Some(go) = of(pid) else { return 0 };
    let process = process(go, pid);
    let regs: *const pt_regs = ctx.as_ptr().cast();
    // SAFETY: the argument of the program.
    let what = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
    // SAFETY: the same: registers of the moment.
    unsafe {
        match what {
            point::FORKS => forks(go, process, regs),
            point::DRIVES => drives(go, process, regs),
            point::WAITS => {
                let number = running(go, arch::goroutine_at(regs));
                if number != 0 {
                    work::waits(Context { process, number });
                }
            }
            _ => {}
        }
    }
    0
}

/// `runtime.newproc1` returns a goroutine, which does not run yet.
///
/// # Safety
/// `regs` is the argument of a probe.
#[inline(always)]
unsafe fn forks(go: &Go, process: u64, regs: *const pt_regs) {
    // SAFETY: passed on to the caller.
    let (new, (g, _)) = unsafe { (arch::first_at(regs), arch::goroutine_at(regs)) };
    let number: u64 = user(new, go.goid);
    if number == 0 {
        return;
    }
    let parent: u64 = if go.parent != 0 {
        user(new, go.parent)
    } else {
        // This runs on the scheduler's stack, of which `m.curg` has called it.
        let thread: u64 = user(g, go.m);
        user(user(thread, go.curg), go.goid)
    };
    let after: u64 = user(new, go.gopc);
    let start = Start { file: go.file, reserved: 0, address: after.wrapping_sub(go.bias) };
    // SAFETY: a copy of a number that user space does not change.
    let of = unsafe { STARTS.get(start).copied() }.unwrap_or(0);
    let child = Context { process, number };
    match of {
        start::NEVER => work::never(child),
        start::NOBODYS => work::set(child, None),
        _ => work::inherit(child, Context { process, number: parent }),
    }
}

/// `net/http.(*persistConn).roundTrip` begins: what goes out on the connection from now on, by
/// whatever goroutine, is the caller's.
///
/// # Safety
/// As [`forks`].
#[inline(always)]
unsafe fn drives(go: &Go, process: u64, regs: *const pt_regs) {
    // The receiver, in Go's own order of registers; in it `alt`, which is HTTP/2, and `conn`.
    const ALT: u32 = 0;
    const CONN: u32 = 80;
    // SAFETY: passed on to the caller.
    let (connection, g) = unsafe { (arch::first_at(regs), arch::goroutine_at(regs)) };
    if user::<u64>(connection, ALT) != 0 {
        return;
    }
    // An interface: a type, and the address of a `net.TCPConn` or `net.UnixConn`, which begin with
    // that of their `netFD`.
    let file: u64 = user(user(connection, CONN + 8), 0);
    let Some(cookie) = socket(file) else { return };
    let number = running(go, g);
    let about = if number == 0 { None } else { work::of(Context { process, number }) };
    let _ = TAKEN.insert(cookie, about.unwrap_or_default(), 0);
}

/// The socket of a `net.netFD`, if that is one: what is wrapped in another type is not.
#[inline(always)]
fn socket(file: u64) -> Option<u64> {
    // `pfd.Sysfd`, `family` and `sotype`.
    const DESCRIPTOR: u32 = 16;
    const FAMILY: u32 = 56;
    const TYPE: u32 = 64;
    const SOCK_STREAM: u64 = 1;
    const AF_UNIX: u64 = 1;
    const AF_INET: u64 = 2;
    const AF_INET6: u64 = 10;
    let family: u64 = user(file, FAMILY);
    if !matches!(family, AF_UNIX | AF_INET | AF_INET6) || user::<u64>(file, TYPE) != SOCK_STREAM {
        return None;
    }
    syscall::cookie(user(file, DESCRIPTOR))
}

/// What a connection is taken for: zeros if that is not known, none if nobody took it.
#[inline(always)]
pub(crate) fn taken(cookie: u64) -> Option<Work> {
    // SAFETY: a copy; a torn one names bytes that were never read, which user space finds.
    unsafe { TAKEN.get(cookie).copied() }
}
