//! Backend 1: tracepoints of the socket layer, which hand over typed sockets and messages.

mod lengths;
mod receive;
mod send;
mod storage;
mod unix;

use core::ffi::c_void;

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use tracebee_common::record::tcp;

use crate::{
    layout,
    memory::Memory as _,
    remaining::{self, Context},
    socket::{self, Tcp},
    state,
};

/// `tcp_sendmsg_locked(sk, msg, skb, size_goal)`: bytes are about to be copied into the socket.
#[btf_tracepoint(function = "tcp_sendmsg_locked")]
pub(crate) fn tcp_sendmsg_locked(ctx: BtfTracePointContext) -> i32 {
    send::announced(&ctx);
    0
}

/// `sock_send_length(sk, ret, flags)`: a send returned, on a socket of any family.
#[btf_tracepoint(function = "sock_send_length")]
pub(crate) fn sock_send_length(ctx: BtfTracePointContext) -> i32 {
    send::returned(&ctx);
    0
}

/// `sock_recv_length(sk, ret, flags)`: a receive returned, on a socket of any family.
#[btf_tracepoint(function = "sock_recv_length")]
pub(crate) fn sock_recv_length(ctx: BtfTracePointContext) -> i32 {
    receive::returned(&ctx);
    0
}

/// `inet_sock_set_state(sk, old, new)`: a connection is made, half closed or gone.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub(crate) fn inet_sock_set_state(ctx: BtfTracePointContext) -> i32 {
    state::changed::<storage::Storage>(&ctx);
    0
}

/// Over the storage of all TCP sockets.
///
/// # Safety
/// The kernel calls it.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/bpf_sk_storage_map")]
pub(crate) unsafe extern "C" fn remaining_sockets(context: *mut c_void) -> i32 {
    // SAFETY: the argument of an iterator's program; the verifier knows the socket's type.
    unsafe {
        let context = Context::new(context);
        let sk = context.socket();
        if sk.is_null() {
            return 0;
        }
        let Some(tp) = socket::tcp_sock(sk) else { return 0 };
        // Its end was told.
        if tp.read::<u8>(layout::skc_state()) == tcp::CLOSE {
            return 0;
        }
        let Some(state) = storage::get(sk) else { return 0 };
        remaining::announced(context, &mut Tcp { tp, state, joined: false });
    }
    0
}

/// The same of UNIX sockets.
///
/// # Safety
/// The kernel calls it.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/bpf_sk_storage_map")]
pub(crate) unsafe extern "C" fn remaining_unix_sockets(context: *mut c_void) -> i32 {
    // SAFETY: as above.
    unsafe {
        let context = Context::new(context);
        let sk = context.socket();
        if sk.is_null() {
            return 0;
        }
        if let Some(end) = storage::end(sk) {
            remaining::stands(context, &mut end.socket);
        }
    }
    0
}
