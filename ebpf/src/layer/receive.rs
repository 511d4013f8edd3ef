//! Bytes that came in.

use aya_ebpf::{
    helpers::generated::{bpf_get_current_task_btf, bpf_task_pt_regs},
    programs::BtfTracePointContext,
};
use tracebee_common::record;

use super::{lengths, storage, unix};
use crate::{
    arch::{self, Call},
    layout,
    receive::{self, Arrival},
    socket::{self, Who},
};

/// `sock_recv_length` fires after every receive, with its result.
#[inline(always)]
pub(super) fn returned(ctx: &BtfTracePointContext) {
    let result: i32 = ctx.arg(1);
    let flags: i32 = ctx.arg(2);
    if !receive::consumes(flags) {
        return;
    }
    if result <= 0 && !receive::ends(result) {
        return;
    }
    let sk: *const u8 = ctx.arg(0);
    let Some(who) = Who::current(ctx) else { return };
    // SAFETY: typed arguments of the tracepoint; offsets from this kernel's BTF.
    unsafe {
        let Some(tp) = socket::tcp_sock(sk) else {
            unix::received(ctx, who, result, flags);
            return;
        };
        if result <= 0 {
            return;
        }
        let Some(mut tcp) = storage::get_or_create(sk, tp, record::ROLE_UNKNOWN) else { return };
        let overtakes = if layout::lengths() != 0 {
            if lengths::translated(tp) {
                return;
            }
            lengths::overtaken(&mut tcp)
        } else {
            None
        };
        let arrival = Arrival { length: result as u32, flags, call, overtakes };
        receive::arrived(ctx, &mut tcp, who, arrival);
    }
}

/// The system call under way, with a number that is none if it is none that is known.
#[inline(always)]
pub(super) fn call() -> Call {
    // SAFETY: both helpers give typed pointers of the current task.
    unsafe {
        let task = bpf_get_current_task_btf();
        let regs = bpf_task_pt_regs(task.cast());
        arch::call(regs as *const _).unwrap_or(Call::NONE)
    }
}
