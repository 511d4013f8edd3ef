//! Bytes on their way out.

use aya_ebpf::{bindings::pt_regs, programs::BtfTracePointContext};
use tracebee_common::{counter, record::tcp, sequence};

use super::{
    fd::{self, Found},
    table, unix,
};
use crate::{
    arch::{self, Call},
    bytes::Body,
    emit, layout,
    memory::Memory as _,
    send::{self, Told},
    socket::{self, SENT, Tcp, Who},
};

/// A send begins: where the stream ends now, its bytes will begin.
#[inline(always)]
pub(super) fn entered(ctx: &BtfTracePointContext) {
    let Some(who) = Who::current(ctx) else { return };
    let regs: *const pt_regs = ctx.arg(0);
    // SAFETY: typed argument of the tracepoint; offsets from this kernel's BTF.
    unsafe {
        let Some(call) = arch::arguments(regs) else { return };
        let tp = match fd::socket(descriptor(&call)) {
            Some(Found::Tcp(tp)) => tp,
            Some(Found::Unix(sk, inode)) => {
                unix::entered(sk, inode, who, &call);
                return;
            }
            None => return,
        };
        let state: u8 = tp.read(layout::skc_state());
        if state != tcp::ESTABLISHED && state != tcp::CLOSE_WAIT {
            return;
        }
        let Some((entry, joined)) = table::get_or_join(tp) else { return };
        if entry.sender != 0 && entry.sender != who.tid {
            // Two threads at once: whose bytes go first is decided behind this hook. A gap.
            emit::count(counter::UNREADABLE);
            return;
        }
        entry.sender = who.tid;
        let mut tcp = Tcp { tp, state: &mut entry.socket, joined };
        let space = send::space(tp);
        if space <= 0 {
            // No room: the send waits or fails. What came of it is known when it returns.
            return;
        }
        let Some((left, body)) = send::message(&call) else { return };
        if left == 0 {
            return;
        }
        let position = send::position(&mut tcp);
        tcp.state.announced = position + left;
        let Some(first) = socket::turn(tcp.state, SENT, position) else { return };
        tcp.state.pending = send::PENDING;
        let sure = send::sure(left, space) && tp.read::<i32>(layout::sk_err()) == 0;
        let told = Told { first, sure, again: false, time: emit::now() };
        send::tell(&mut tcp, who, position, left, body, told);
    }
}

/// A send returned: how far it came, or all of it if there was no room for it at first.
#[inline(always)]
pub(super) fn returned(ctx: &BtfTracePointContext) {
    let Some(who) = Who::current(ctx) else { return };
    let regs: *const pt_regs = ctx.arg(0);
    // SAFETY: typed argument of the tracepoint; offsets from this kernel's BTF.
    unsafe {
        let Some(call) = arch::arguments(regs) else { return };
        let tp = match fd::socket(descriptor(&call)) {
            Some(Found::Tcp(tp)) => tp,
            Some(Found::Unix(sk, inode)) => {
                unix::returned(sk, inode, who, &call, ctx.arg::<i64>(1));
                return;
            }
            None => return,
        };
        let Some(entry) = table::get(tp) else { return };
        if entry.sender != who.tid {
            return;
        }
        entry.sender = 0;
        let mut tcp = Tcp { tp, state: &mut entry.socket, joined: false };
        let before = tcp.state.sent;
        let sequence: u32 = tp.read(layout::write_seq());
        let position = sequence::position(before, tcp.state.sent_sequence, sequence);
        if tcp.state.pending != 0 || position <= tcp.state.announced {
            send::returned(&mut tcp, |tcp| send::gone(tcp));
            return;
        }
        tcp.state.sent = position;
        tcp.state.sent_sequence = sequence;
        tcp.state.announced = position;
        let Some(first) = socket::turn(tcp.state, SENT, before) else { return };
        let length = position - before;
        let body = match send::message(&call) {
            // All that went since is what this call was offered.
            Some((left, body)) if length <= left && length == ctx.arg::<u64>(1) => body,
            _ => Body::Unseen,
        };
        let told = Told { first, sure: true, again: false, time: send::gone(&tcp) };
        send::tell(&mut tcp, who, before, length, body, told);
    }
}

/// The descriptor that a call sends on.
#[inline(always)]
fn descriptor(call: &Call) -> u64 {
    if call.number == arch::SPLICE { call.third } else { call.first }
}
