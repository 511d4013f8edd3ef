//! TCP where a send is seen only when it is over (`sock_send_length` without
//! `tcp_sendmsg_locked`: Linux 6.12). The peer may have read the bytes by then, and its answer may
//! have come.
//!
//! - Where a send's bytes are in the stream is where the stream ended before, if all that the
//!   stream grew by since is what the send says that it sent. Else two threads sent at once, and
//!   what grew is a gap: whose bytes come first nobody can tell.
//! - What was sent before a read is what the stream has grown to by then. A read that finds more
//!   of it than was told of takes the send's turn for it ([`Owed`]), and says so: user space puts
//!   the two in order.
//! - When the bytes went is when TCP sent the packets.

use aya_ebpf::{helpers::bpf_ktime_get_ns, programs::BtfTracePointContext};
use tracebee_common::{
    counter,
    record::{self, Data, FLAG_FIRST, FLAG_SENT, tcp},
};

use super::{send::body, storage};
use crate::{
    bytes::{self, Body},
    emit, layout,
    memory::{Memory as _, Typed},
    send,
    socket::{self, Owed, SENT, Tcp, Who},
    state, work,
};

/// True if a protocol between the socket and the process changes the bytes (kTLS): what a send
/// says that it sent is not what the stream grows by.
///
/// # Safety
/// `tp` is a `struct tcp_sock`.
#[inline(always)]
pub(super) unsafe fn translated(tp: Typed) -> bool {
    // SAFETY: passed on to the caller.
    unsafe { tp.read::<u64>(layout::ulp_ops()) != 0 }
}

/// By how much the stream that a socket sends has grown since it was told of: a FIN is none of it,
/// and `length` bytes are what it may have grown by.
///
/// # Safety
/// As [`translated`].
#[inline(always)]
unsafe fn grown(tcp: &Tcp<Typed>, length: u32) -> u32 {
    // SAFETY: passed on to the caller.
    unsafe {
        let end: u32 = tcp.tp.read(layout::write_seq());
        let step = end.wrapping_sub(tcp.state.sent_sequence);
        let open = matches!(tcp.tp.read(layout::skc_state()), tcp::ESTABLISHED | tcp::CLOSE_WAIT);
        if !open && step == length.wrapping_add(1) { length } else { step }
    }
}

/// A read returns bytes: how far a send that it overtakes has come, if there is one that will be
/// told of.
///
/// # Safety
/// As [`translated`].
#[inline(always)]
pub(super) unsafe fn overtaken(tcp: &mut Tcp<Typed>) -> Option<u32> {
    // SAFETY: passed on to the caller.
    let step = unsafe { grown(tcp, 0) };
    let state = &mut *tcp.state;
    let before = if state.told > state.heard { state.told } else { state.heard };
    state.heard = emit::now();
    if tcp.joined || step as i32 <= 0 {
        return None;
    }
    let end = state.sent_sequence.wrapping_add(step);
    let known = state.owed.kind != 0 && state.owed.end.wrapping_sub(state.sent_sequence) as i32 > 0;
    if !known {
        let kind = match socket::turn(state, SENT, state.sent) {
            Some(true) => Owed::FIRST,
            Some(false) => Owed::TURN,
            None => Owed::SILENT,
        };
        let messages = state.messages;
        state.owed = Owed { after: before, messages, end, kind, ..state.owed };
    }
    if state.owed.kind == Owed::SILENT {
        return None;
    }
    Some(end.wrapping_sub(state.sent_base))
}

/// `sock_send_length` of a TCP socket.
///
/// # Safety
/// `sk` is the typed argument of the tracepoint, `tp` the same as a `struct tcp_sock`.
#[inline(always)]
pub(super) unsafe fn sent(ctx: &BtfTracePointContext, sk: *const u8, tp: Typed) {
    let result: i32 = ctx.arg(1);
    if result <= 0 {
        return;
    }
    let Some(who) = Who::current(ctx) else { return };
    // SAFETY: passed on to the caller; offsets from this kernel's BTF.
    unsafe {
        if translated(tp) {
            return;
        }
        let Some(mut tcp) = storage::get_or_create(sk, tp, record::ROLE_UNKNOWN) else { return };
        let length = result as u32;
        if tcp.joined {
            // The state was taken after this very send.
            tcp.state.sent = tcp.state.sent.saturating_sub(u64::from(length));
            tcp.state.sent_sequence = tcp.state.sent_sequence.wrapping_sub(length);
        }
        let step = grown(&tcp, length);
        let state = &mut *tcp.state;
        let before = state.sent_sequence;
        let end = before.wrapping_add(step);
        let position = state.sent;
        if step as i32 <= 0 {
            // Told of as part of another thread's.
            emit::count(counter::UNREADABLE);
            return;
        }
        state.sent_sequence = end;
        state.sent = position + u64::from(step);
        state.announced = state.sent;
        let owed = state.owed;
        state.owed.kind = 0;
        let mine = owed.kind != 0 && owed.end.wrapping_sub(before) as i32 > 0;
        let (first, messages, after) = if mine {
            let first = match owed.kind {
                Owed::SILENT => None,
                kind => Some(kind == Owed::FIRST),
            };
            (first, owed.messages, owed.after)
        } else {
            let first = socket::turn(state, SENT, position);
            let after = if state.told > state.heard { state.told } else { state.heard };
            (first, state.messages, after)
        };
        let after = if after > state.established { after } else { state.established };
        let (began, last) = went(tp, before, end, after);
        state.told = last;
        let Some(first) = first else { return };
        let unknown = state.opened == 0;
        if !emit::open(&mut tcp, who.pid) {
            return;
        }
        let Some(scratch) = send::scratch() else { return };
        let state = &mut *tcp.state;
        let body = if step == length {
            body()
        } else {
            emit::count(counter::UNREADABLE);
            Body::Unseen
        };
        let copied = send::copy(scratch, state, u64::from(step), body, false);
        let flags = FLAG_SENT | if first { FLAG_FIRST } else { 0 };
        scratch.data = Data {
            header: emit::header(state, record::DATA, flags, last),
            position,
            length: 0,
            captured: 0,
            pid: who.pid,
            tid: who.tid,
            // Rounded up: the first byte did not go later than that.
            waited: socket::micros(last - began + 999),
            tail: 0,
            messages,
            left_out: state.calls,
            sent: 0,
            work: work::sending(state, who, sk),
        };
        bytes::output(scratch, state, copied);
        let now: u8 = tp.read(layout::skc_state());
        if unknown && matches!(now, tcp::CLOSE_WAIT | tcp::CLOSE) {
            // That was not told when it came, of a connection of which nothing was known.
            state::tell(&mut tcp, tcp::ESTABLISHED, now);
        }
    }
}

/// Most bytes of one packet (`GSO_LEGACY_MAX_SIZE`, include/linux/netdevice.h).
const PACKET: u32 = 65536;

/// When the first of the bytes from `from` to `to` went, at the latest, and the last of them.
/// They did not go before `after`.
///
/// # Safety
/// As [`translated`].
#[inline(always)]
unsafe fn went(tp: Typed, from: u32, to: u32, after: u64) -> (u64, u64) {
    // SAFETY: passed on to the caller.
    unsafe {
        let next: u32 = tp.read(layout::snd_nxt());
        let acknowledged: u32 = tp.read(layout::snd_una());
        let now = emit::now();
        if next.wrapping_sub(from) as i32 <= 0 {
            // Nagle's algorithm or a cork keeps them.
            return (now, now);
        }
        let flight = at(tp.read::<u64>(layout::first_tx_mstamp()) * 1000);
        let last = if acknowledged.wrapping_sub(to) as i32 >= 0 {
            flight
        } else if next.wrapping_sub(to) as i32 >= 0 {
            // Each of the two may be of a packet after that: one that was sent, and one that came.
            let packet = at(tp.read(layout::tcp_wstamp()));
            let either = at(tp.read::<u64>(layout::tcp_mstamp()) * 1000);
            if packet < either { packet } else { either }
        } else {
            now
        };
        let last = if last > after { last } else { after };
        // What one packet can carry went with the last, or microseconds before it; the flight may
        // have begun with what was sent before.
        let several = to.wrapping_sub(from) > PACKET;
        let first = if several && flight >= after && flight < last { flight } else { last };
        (first, last)
    }
}

/// A time of `CLOCK_MONOTONIC` by our clock, not later than that and not later than now.
#[inline(always)]
fn at(monotonic: u64) -> u64 {
    let now = emit::now();
    // SAFETY: a helper without arguments.
    now - unsafe { bpf_ktime_get_ns() }.saturating_sub(monotonic)
}
