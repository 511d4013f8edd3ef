//! Bytes on their way out.

use aya_ebpf::programs::BtfTracePointContext;
use tracebee_common::{counter, record};

use super::{lengths, receive, storage, unix};
use crate::{
    arch,
    bytes::{Body, Vector},
    emit, layout,
    memory::member,
    send::{self, Told},
    socket::{self, SENT, Tcp, Who},
};

/// `tcp_sendmsg_locked` fires before each chunk is copied, with what is left of the message; it
/// fires before the kernel looks for space, so an announcement may come to nothing.
#[inline(always)]
pub(super) fn announced(ctx: &BtfTracePointContext) {
    let sk: *const u8 = ctx.arg(0);
    let msg: *const u8 = ctx.arg(1);
    let skb: *const u8 = ctx.arg(2);
    let Some(who) = Who::current(ctx) else { return };
    // SAFETY: typed arguments of the tracepoint; offsets from this kernel's BTF.
    unsafe {
        let Some(tp) = socket::tcp_sock(sk) else { return };
        let Some(mut tcp) = storage::get_or_create(sk, tp, record::ROLE_UNKNOWN) else { return };
        let left: u64 = member(msg, layout::iter_count());
        let space = send::space(tp);
        if space <= 0 && skb.is_null() {
            // No room and nothing to append to: the send waits or fails, and what is copied
            // later is announced again.
            return;
        }
        let position = send::position(&mut tcp);
        let end = position + left;
        let continued = end == tcp.state.announced && tcp.state.pending != 0;
        if continued && tcp.state.whole == 0 {
            // What is left has not gone before now.
            tcp.state.told = emit::now();
            return;
        }
        tcp.state.announced = end;
        let Some(first) = socket::turn(tcp.state, SENT, position) else { return };
        tcp.state.pending = send::PENDING;
        let kind = member::<u8>(msg, layout::iter_type()) as usize;
        let address: u64 = member(msg, layout::iter_pointer());
        let skip: u64 = member(msg, layout::iov_offset());
        let body = if kind == layout::iter_ubuf() {
            Body::Buffer(address + skip)
        } else if kind == layout::iter_iovec() {
            let count: u64 = member(msg, layout::nr_segs());
            Body::Vector(Vector { address, imported: true, count, skip })
        } else {
            Body::Unseen
        };
        let sure = send::sure(left, space);
        let told = Told { first, sure, again: true, time: emit::now() };
        send::tell(&mut tcp, who, position, left, body, told);
    }
}

/// `sock_send_length`: how far a pending announcement really came.
#[inline(always)]
pub(super) fn returned(ctx: &BtfTracePointContext) {
    let sk: *const u8 = ctx.arg(0);
    // SAFETY: typed argument of the tracepoint.
    unsafe {
        let Some(tp) = socket::tcp_sock(sk) else {
            unix::sent(ctx);
            return;
        };
        if layout::lengths() != 0 {
            lengths::sent(ctx, sk, tp);
            return;
        }
        let Some(state) = storage::get(sk) else { return };
        // Each chunk was announced: the last of it went right after that.
        send::returned(&mut Tcp { tp, state, joined: false }, |tcp| tcp.state.told);
    }
}

/// Where the bytes of the send under way lie.
#[inline(always)]
pub(super) fn body() -> Body {
    let call = receive::call();
    match call.number {
        // Of several messages it is not known which this is.
        arch::SENDMMSG if call.third != 1 => Body::Unseen,
        arch::SENDFILE | arch::SPLICE => Body::Unseen,
        number if arch::sends(number) => match send::message(&call) {
            Some((_, body)) => body,
            None => Body::Unseen,
        },
        _ => {
            emit::count(counter::UNKNOWN_CALL);
            Body::Unseen
        }
    }
}
