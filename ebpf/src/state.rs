//! Connections made, half closed and gone. Runs often in softirq: who is `current` means nothing.

use aya_ebpf::programs::BtfTracePointContext;
use tracebee_common::{
    mode,
    record::{self, FLAG_OVERTAKES, FLAG_SENT, State, tcp},
    sequence,
};

use crate::{
    emit, layout,
    memory::{Memory as _, Typed},
    socket::{self, SENT, Socket, Tcp},
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
        let last = new == tcp::CLOSE;
        if last {
            // Of a connection that said nothing since.
            socket::news(state);
        }
        let silent = state.opened == 0 || matches!(state.mode, mode::IGNORE | mode::COUNT);
        // A connection on which nothing was told, or to be told, is nobody's.
        if silent && !(last && (state.number != 0 || state.calls != 0)) {
            return;
        }
        tell(&mut Tcp { tp, state, joined: false }, old, new);
    }
}

/// Tells of a change of the state from `old` to `new`.
///
/// # Safety
/// `tcp` is a TCP socket.
#[inline(always)]
pub(crate) unsafe fn tell(tcp: &mut Tcp<Typed>, old: u8, new: u8) {
    // SAFETY: passed on to the caller; offsets from this kernel's BTF.
    unsafe {
        let tp = tcp.tp;
        let written: u32 = tp.read(layout::write_seq());
        let expected: u32 = tp.read(layout::rcv_nxt());
        // A FIN takes a sequence number: ours once we closed, the peer's once it did.
        let fin_sent = !matches!(old, tcp::ESTABLISHED | tcp::CLOSE_WAIT) as u64;
        let fin_received = (matches!(old, tcp::CLOSE_WAIT | tcp::LAST_ACK | tcp::CLOSING)
            || matches!(new, tcp::CLOSE_WAIT | tcp::CLOSING)) as u64;
        let state = &*tcp.state;
        let sent = sequence::position(state.sent, state.sent_sequence, written);
        let sent = sent.saturating_sub(fin_sent);
        let received = sequence::position(state.received, state.received_sequence, expected);
        let error: i32 = tp.read(layout::sk_err());
        if tcp.state.opened == 0 && !emit::open_last(tcp) {
            return;
        }
        let state = &mut *tcp.state;
        let told = state.left_out == 0;
        let overtakes = layout::lengths() != 0 && told && sent > state.sent;
        let flags = if state.direction == SENT { FLAG_SENT } else { 0 }
            | if overtakes { FLAG_OVERTAKES } else { 0 };
        let time = emit::now();
        let record = State {
            header: emit::header(state, record::STATE, flags, time),
            sent,
            received: received.saturating_sub(fin_received),
            error,
            old,
            new,
            reserved: 0,
            messages: state.messages,
            left_out: state.calls,
            reserved2: 0,
        };
        if new == tcp::CLOSE {
            emit::output_last(state.opened, &record);
        } else {
            emit::output(emit::as_bytes(&record));
        }
    }
}
