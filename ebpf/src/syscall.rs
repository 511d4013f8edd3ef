//! Backend 3: raw system call tracepoints, where the socket layer's are missing. Sends are seen
//! when they enter, before the bytes go; receives when they leave, with their bytes.
//!
//! Whatever goes through a socket without one of these calls is not seen and shows as a gap when
//! the next call tells its position: io_uring, and what the kernel itself sends.

mod fd;
mod receive;
mod send;
mod table;
mod unix;
mod unix_table;

use core::ffi::c_void;

use aya_ebpf::{bindings::pt_regs, macros::btf_tracepoint, programs::BtfTracePointContext};
use tracebee_common::record::tcp;

use self::fd::Found;
use crate::{
    arch, layout,
    memory::{Memory as _, Probed},
    remaining::{self, Context},
    socket::Tcp,
    state,
};

/// Cookie of the socket that a descriptor of the current process names, as records have it.
#[inline(always)]
pub(crate) fn cookie(fd: u64) -> Option<u64> {
    // SAFETY: a socket of the current process.
    unsafe {
        // Where a table has them, older ones may have a number of ours.
        let (sk, known) = match fd::socket(fd)? {
            Found::Tcp(sk) => (sk, table::get(sk).map(|entry| entry.socket.cookie)),
            Found::Unix(sk, inode) => {
                (sk, unix_table::get(sk.0, inode).map(|entry| entry.end.socket.cookie))
            }
        };
        let cookie = match known {
            Some(cookie) => cookie,
            None => sk.read(layout::skc_cookie()),
        };
        if cookie == 0 { None } else { Some(cookie) }
    }
}

/// `sys_enter(regs, id)`: any system call of any process begins.
#[btf_tracepoint(function = "sys_enter")]
pub(crate) fn sys_enter(ctx: BtfTracePointContext) -> i32 {
    if arch::sends(ctx.arg::<u64>(1)) {
        send::entered(&ctx);
    }
    0
}

/// `sys_exit(regs, ret)`: any system call of any process ends.
#[btf_tracepoint(function = "sys_exit")]
#[inline(always)]
pub(crate) fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    let regs: *const pt_regs = ctx.arg(0);
    // SAFETY: typed argument of the tracepoint.
    let (number, narrow) = unsafe { (arch::number(regs), arch::narrow(regs)) };
    if narrow {
        receive::unknown(&ctx);
        return 0;
    }
    if arch::sends(number) {
        send::returned(&ctx);
    }
    if arch::receives(number) {
        receive::returned(&ctx);
    }
    0
}

/// `inet_sock_set_state(sk, old, new)`: a connection is made, half closed or gone.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub(crate) fn table_sock_set_state(ctx: BtfTracePointContext) -> i32 {
    state::changed::<table::Table>(&ctx);
    0
}

/// `tcp_destroy_sock(sk)`: nobody has the socket any more. Not sooner: what came before the end is
/// read after it.
#[btf_tracepoint(function = "tcp_destroy_sock")]
pub(crate) fn tcp_destroy_sock(ctx: BtfTracePointContext) -> i32 {
    table::forget(ctx.arg(0));
    0
}

/// Over the table of TCP sockets.
///
/// # Safety
/// The kernel calls it.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/bpf_map_elem")]
pub(crate) unsafe extern "C" fn remaining_entries(context: *mut c_void) -> i32 {
    // SAFETY: the argument of an iterator's program, with a table whose keys are addresses.
    unsafe {
        let context = Context::new(context);
        let key = context.key();
        if key.is_null() {
            return 0;
        }
        let tp = Probed(*key);
        let Some(entry) = table::get(tp) else { return 0 };
        // Its end was told.
        if tp.read::<u8>(layout::skc_state()) == tcp::CLOSE {
            return 0;
        }
        remaining::announced(context, &mut Tcp { tp, state: &mut entry.socket, joined: false });
    }
    0
}

/// Over that of UNIX sockets.
///
/// # Safety
/// The kernel calls it.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/bpf_map_elem")]
pub(crate) unsafe extern "C" fn remaining_unix_entries(context: *mut c_void) -> i32 {
    // SAFETY: as above, and with values that are entries.
    unsafe {
        let context = Context::new(context);
        let entry = context.value::<unix_table::Entry>();
        if entry.is_null() {
            return 0;
        }
        remaining::stands(context, &mut (*entry).end.socket);
    }
    0
}
