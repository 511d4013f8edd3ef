//! Bytes on their way out.

use aya_ebpf::{EbpfContext as _, macros::map, programs::BtfTracePointContext};
use tracebee_common::{
    mode,
    record::{self, Data, FLAG_PENDING, FLAG_SENT, Sent},
    sequence,
};

use crate::{
    bytes::{self, Area, Tail, Vector},
    emit,
    layout::{self, member},
    socket::{self, SENT},
};

#[map]
static SEND_AREA: Area = Area::with_max_entries(1, 0);

/// An announcement this small with room in the socket is copied whole before anything else runs.
const SURE: u64 = 4096;

/// `Socket::pending`: the last announcement may come to nothing, or to less.
const PENDING: u8 = 1;

/// `tcp_sendmsg_locked` fires before each chunk is copied, with what is left of the message; it
/// fires before the kernel looks for space, so an announcement may come to nothing.
#[inline(always)]
pub(crate) fn announced(ctx: &BtfTracePointContext) {
    let sk: *const u8 = ctx.arg(0);
    let msg: *const u8 = ctx.arg(1);
    let skb: *const u8 = ctx.arg(2);
    let pid = ctx.tgid();
    if pid as usize == layout::own_pid() {
        return;
    }
    // SAFETY: typed arguments of the tracepoint; offsets from this kernel's BTF.
    unsafe {
        let tp = socket::tcp_sock(sk);
        if tp.is_null() {
            return;
        }
        let Some(mut tcp) = socket::get_or_create(sk, tp, record::ROLE_UNKNOWN) else { return };
        let left: u64 = member(msg, layout::iter_count());
        let sequence: u32 = member(tp, layout::write_seq());
        let queued: i32 = member(tp, layout::sk_wmem_queued());
        let limit: i32 = member(tp, layout::sk_sndbuf());
        let space = limit - queued;
        if space <= 0 && skb.is_null() {
            // No room and nothing to append to: the send waits or fails, and what is copied
            // later is announced again.
            return;
        }
        let position = sequence::position(tcp.state.sent, tcp.state.sent_sequence, sequence);
        tcp.state.sent = position;
        tcp.state.sent_sequence = sequence;
        let end = position + left;
        let continued = end == tcp.state.announced && tcp.state.pending != 0;
        if continued && tcp.state.mode != mode::EVERYTHING {
            return;
        }
        tcp.state.announced = end;
        if !socket::turn(tcp.state, SENT) {
            return;
        }
        tcp.state.pending = PENDING;
        if end <= tcp.state.skip_sent {
            return;
        }
        if !emit::open(&mut tcp, pid) {
            return;
        }
        let Some(scratch) = bytes::scratch(&SEND_AREA) else { return };
        let wanted = bytes::allowance(tcp.state, left);
        let (mut captured, mut tail) = (0, Tail::UNKNOWN);
        let kind = member::<u8>(msg, layout::iter_type()) as usize;
        let address: u64 = member(msg, layout::iter_pointer());
        let skip: u64 = member(msg, layout::iov_offset());
        if kind == layout::iter_ubuf() {
            captured = bytes::copy_one(scratch, address + skip, wanted);
            if (captured as u64) < left {
                tail = Tail::of(address + skip, left);
            }
        } else if kind == layout::iter_iovec() {
            let count: u64 = member(msg, layout::nr_segs());
            let from = Vector { address, imported: true, count, skip, length: left };
            (captured, tail) = bytes::copy_vector(scratch, &from, wanted);
        }
        // Pages of a sendfile or splice are counted by position, not read.
        tcp.state.budget = tcp.state.budget.saturating_sub(wanted as u32);
        // What we cannot read, the kernel may not be able to read either.
        let unreadable = (captured as u64) < wanted;
        let pending = unreadable || left > SURE || (space as u64) < left;
        tcp.state.pending = if pending { PENDING } else { 0 };
        let time = emit::now();
        scratch.data = Data {
            header: emit::header(
                &mut tcp,
                record::DATA,
                FLAG_SENT | if pending { FLAG_PENDING } else { 0 },
                time,
            ),
            position,
            length: left as u32,
            captured: 0,
            pid,
            tid: ctx.pid(),
            waited: 0,
            turn: tcp.state.turn,
            tail: tail.bytes,
            tail_length: tail.length,
            reserved: 0,
        };
        bytes::output(scratch, captured);
    }
}

/// `sock_send_length`: how far a pending announcement really came.
#[inline(always)]
pub(crate) fn returned(ctx: &BtfTracePointContext) {
    let sk: *const u8 = ctx.arg(0);
    // SAFETY: typed argument of the tracepoint.
    unsafe {
        let tp = socket::tcp_sock(sk);
        if tp.is_null() {
            return;
        }
        let Some(state) = socket::get(sk) else { return };
        let sequence: u32 = member(tp, layout::write_seq());
        let position = sequence::position(state.sent, state.sent_sequence, sequence);
        if state.opened == 0 || (state.pending == 0 && position == state.announced) {
            return;
        }
        state.sent = position;
        state.sent_sequence = sequence;
        state.pending = 0;
        if state.mode == mode::IGNORE || position < state.skip_sent {
            return;
        }
        state.announced = position;
        let mut tcp = socket::Tcp { tp, state, joined: false };
        let time = emit::now();
        let sent = Sent { header: emit::header(&mut tcp, record::SENT, 0, time), position };
        emit::output(emit::as_bytes(&sent));
    }
}
