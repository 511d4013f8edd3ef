//! Connections made, half closed and gone. Runs often in softirq: who is `current` means nothing.

use aya_ebpf::programs::BtfTracePointContext;
use tracebee_common::{
    mode,
    record::{self, State, tcp},
    sequence,
};

use crate::{
    emit, layout,
    memory::{Memory as _, Typed},
    socket::{self, Socket, Tcp},
};

/// Where the states of sockets are kept, found by the typed argument of a tracepoint.
pub(crate) trait Home {
    /// The socket's state, if it has one.
    ///
    /// # Safety
    /// `sk` is the typed argument of a tracepoint.
    unsafe fn get(sk: *const u8) -> Option<&'static mut Socket>;

    /// Makes the state of a connection just established.
    ///
    /// # Safety
    /// As [`get`](Self::get).
    unsafe fn begin(sk: *const u8, tp: Typed, role: u8);
}

/// `inet_sock_set_state`.
#[inline(always)]
pub(crate) fn changed<H: Home>(ctx: &BtfTracePointContext) {
    let sk: *const u8 = ctx.arg(0);
    let old = ctx.arg::<i32>(1) as u8;
    let new = ctx.arg::<i32>(2) as u8;
    if new == tcp::SYN_SENT || new == tcp::SYN_RECV || new == tcp::LISTEN {
        return;
    }
    // SAFETY: typed argument of the tracepoint; offsets from this kernel's BTF.
    unsafe {
        let Some(tp) = socket::tcp_sock(sk) else { return };
        if new == tcp::ESTABLISHED {
            let role = match old {
                tcp::SYN_SENT => record::ROLE_CLIENT,
                tcp::SYN_RECV => record::ROLE_SERVER,
                _ => return,
            };
            H::begin(sk, tp, role);
            return;
        }
        let Some(state) = H::get(sk) else { return };
        let closed = new == tcp::CLOSE;
        if closed {
            // Of a connection that said nothing since.
            socket::news(state);
        }
        let counted = closed && state.calls != 0;
        let silent = matches!(state.mode, mode::IGNORE | mode::COUNT);
        if state.opened == 0 && !counted || silent && !closed {
            return;
        }
        let written: u32 = tp.read(layout::write_seq());
        let expected: u32 = tp.read(layout::rcv_nxt());
        // A FIN takes a sequence number: ours once we closed, the peer's once it did.
        let fin_sent = !matches!(old, tcp::ESTABLISHED | tcp::CLOSE_WAIT) as u64;
        let fin_received = (matches!(old, tcp::CLOSE_WAIT | tcp::LAST_ACK | tcp::CLOSING)
            || matches!(new, tcp::CLOSE_WAIT | tcp::CLOSING)) as u64;
        let sent = sequence::position(state.sent, state.sent_sequence, written);
        let received = sequence::position(state.received, state.received_sequence, expected);
        let error: i32 = tp.read(layout::sk_err());
        let mut tcp = Tcp { tp, state, joined: false };
        let time = emit::now();
        let record = State {
            header: emit::header(&mut tcp, record::STATE, 0, time),
            sent: sent.saturating_sub(fin_sent),
            received: received.saturating_sub(fin_received),
            error,
            old,
            new,
            reserved: 0,
            left_out: tcp.state.calls,
            reserved2: 0,
        };
        emit::output(emit::as_bytes(&record));
    }
}
