//! Bytes that came in.

use aya_ebpf::{bindings::pt_regs, programs::BtfTracePointContext};
use tracebee_common::counter;

use super::{
    fd::{self, Found},
    table, unix,
};
use crate::{
    arch, emit, layout,
    memory::Memory as _,
    receive::{self, Arrival},
    socket::{Tcp, Who},
};

/// A receive returned.
#[inline(always)]
pub(super) fn returned(ctx: &BtfTracePointContext) {
    let result: i64 = ctx.arg(1);
    if result <= 0 && !receive::ends(result as i32) {
        return;
    }
    let Some(who) = Who::current(ctx) else { return };
    let regs: *const pt_regs = ctx.arg(0);
    // SAFETY: typed argument of the tracepoint; offsets from this kernel's BTF.
    unsafe {
        let Some(call) = arch::arguments(regs) else { return };
        let flags = match call.number {
            arch::RECVFROM | arch::RECVMMSG => call.fourth as i32,
            arch::RECVMSG => call.third as i32,
            _ => 0,
        };
        if !receive::consumes(flags) {
            return;
        }
        let tp = match fd::socket(call.first) {
            Some(Found::Tcp(tp)) => tp,
            Some(Found::Unix(sk, inode)) if result > 0 => {
                let several = call.number == arch::RECVMMSG;
                let length =
                    if several { unix::several(&call, result) as u32 } else { result as u32 };
                let arrival = Arrival { length, flags, call: || call, overtakes: None };
                unix::received(ctx, sk, inode, who, arrival);
                return;
            }
            Some(Found::Unix(sk, inode)) => {
                unix::ended(sk, inode, result);
                return;
            }
            None => return,
        };
        if result <= 0 {
            return;
        }
        let Some((entry, joined)) = table::get_or_join(tp) else { return };
        let end: u32 = tp.read(layout::copied_seq());
        let step = end.wrapping_sub(entry.socket.received_sequence);
        if step == 0 && !joined {
            // Another thread closed the descriptor meanwhile, and it names another socket now: not
            // the one that these bytes came from.
            emit::count(counter::UNKNOWN_CALL);
            return;
        }
        // recvmmsg returns a number of messages.
        let length = if call.number == arch::RECVMMSG { step } else { result as u32 };
        let mut tcp = Tcp { tp, state: &mut entry.socket, joined };
        let arrival = Arrival { length, flags, call: || call, overtakes: None };
        receive::arrived(ctx, &mut tcp, who, arrival);
    }
}

/// A call of a 32-bit program returned: what it moved through a socket is not read.
#[inline(always)]
pub(super) fn unknown(ctx: &BtfTracePointContext) {
    if ctx.arg::<i64>(1) <= 0 {
        return;
    }
    // SAFETY: typed argument of the tracepoint.
    let descriptor = unsafe { arch::narrow_descriptor(ctx.arg(0)) };
    if descriptor.and_then(fd::socket).is_some() {
        emit::count(counter::UNKNOWN_CALL);
    }
}
