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

use aya_ebpf::{bindings::pt_regs, macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{arch, state};

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
