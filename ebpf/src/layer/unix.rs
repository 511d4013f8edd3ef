//! UNIX stream sockets. Both hooks run when everything is over; the bytes lie where the system call
//! was told that they are.

use aya_ebpf::{
    helpers::generated::{bpf_get_socket_cookie, bpf_skc_to_unix_sock},
    programs::BtfTracePointContext,
};

use super::{receive, send, storage};
use crate::{
    layout,
    memory::{Typed, member},
    receive::Arrival,
    socket::Who,
    unix::{self, Unix},
};

/// A receive on a socket that is not TCP returned `result`.
#[inline(always)]
pub(super) fn received(ctx: &BtfTracePointContext, who: Who, result: i32, flags: i32) {
    // SAFETY: typed argument of the tracepoint; offsets from this kernel's BTF.
    unsafe {
        let Some(mut unix) = socket(ctx.arg(0)) else { return };
        if result > 0 {
            let arrival =
                Arrival { length: result as u32, flags, call: receive::call, overtakes: None };
            unix::received(ctx, &mut unix, who, arrival);
        } else {
            unix::ended(&mut unix, result);
        }
    }
}

/// A send on a socket that is not TCP returned.
#[inline(always)]
pub(super) fn sent(ctx: &BtfTracePointContext) {
    let result: i32 = ctx.arg(1);
    let Some(who) = Who::current(ctx) else { return };
    // SAFETY: typed argument of the tracepoint; offsets from this kernel's BTF.
    unsafe {
        let Some(mut unix) = socket(ctx.arg(0)) else { return };
        if result > 0 {
            unix::sent(&mut unix, who, result as u64, || send::body());
        } else {
            unix::ended(&mut unix, result);
        }
    }
}

/// The UNIX stream socket at `sk`, if it is one and connected.
#[inline(always)]
unsafe fn socket(sk: *const u8) -> Option<Unix<Typed>> {
    // SAFETY: passed on to the caller; the verifier checks the argument's type.
    unsafe {
        let found = bpf_skc_to_unix_sock(sk.cast_mut().cast()).cast::<u8>().cast_const();
        if found.is_null() {
            return None;
        }
        let typed = Typed::new(found);
        if !unix::streams(typed) {
            return None;
        }
        let own = storage::end_or_create(sk)?;
        if own.socket.cookie == 0 {
            let cookie = bpf_get_socket_cookie(sk.cast_mut().cast());
            own.begin(sk as u64, cookie, unix::inode(sk as u64));
        }
        let peer: *const u8 = member(found, layout::unix_peer());
        let peer = if peer.is_null() { None } else { storage::end(peer) };
        Some(Unix { sk: typed, own, peer })
    }
}
