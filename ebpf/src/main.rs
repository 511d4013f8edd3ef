//! The kernel side of tracebee: three programs on the socket layer, one on the TCP state.
//!
//! Each leaves as early as it can, reads only what it needs and writes one record per event. No
//! layout of a kernel structure is compiled in: user space passes the offsets ([`layout`]).
//! Every program must be loadable without the others.
#![no_std]
#![no_main]

mod arch;
mod bytes;
mod emit;
mod layout;
mod process;
mod receive;
mod send;
mod socket;
mod state;

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

/// `tcp_sendmsg_locked(sk, msg, skb, size_goal)`: bytes are about to be copied into the socket.
#[btf_tracepoint(function = "tcp_sendmsg_locked")]
pub(crate) fn tcp_sendmsg_locked(ctx: BtfTracePointContext) -> i32 {
    send::announced(&ctx);
    0
}

/// `sock_send_length(sk, ret, flags)`: a send returned.
#[btf_tracepoint(function = "sock_send_length")]
pub(crate) fn sock_send_length(ctx: BtfTracePointContext) -> i32 {
    send::returned(&ctx);
    0
}

/// `sock_recv_length(sk, ret, flags)`: a receive returned.
#[btf_tracepoint(function = "sock_recv_length")]
pub(crate) fn sock_recv_length(ctx: BtfTracePointContext) -> i32 {
    receive::returned(&ctx);
    0
}

/// `inet_sock_set_state(sk, old, new)`: a connection is made, half closed or gone.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub(crate) fn inet_sock_set_state(ctx: BtfTracePointContext) -> i32 {
    state::changed(&ctx);
    0
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing in here panics; the verifier would refuse a program that could.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
