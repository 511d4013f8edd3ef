//! Backend 1: tracepoints of the socket layer, which hand over typed sockets and messages.

mod receive;
mod send;
mod storage;
mod unix;

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::state;

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
