//! Bytes on their way out, whoever tells of them.

use aya_ebpf::{helpers::generated::bpf_probe_read_user, macros::map};
use tracebee_common::{
    mode,
    record::{self, Data, FLAG_FIRST, FLAG_PENDING, FLAG_SENT, Sent},
    sequence,
};

use crate::{
    arch::{self, Call},
    bytes::{self, Area, Body, Copied, Scratch, Vector},
    emit, layout,
    memory::Memory,
    socket::{self, Connection, Socket, Tcp, Who},
    work,
};

#[map]
static SEND_AREA: Area = Area::with_max_entries(1, 0);

/// This CPU's area of the programs that send.
#[inline(always)]
pub(crate) fn scratch() -> Option<&'static mut bytes::Scratch> {
    bytes::scratch(&SEND_AREA)
}

/// An announcement this small with room in the socket is copied whole before anything else runs.
const SURE: u64 = 4096;

/// `Socket::pending`: the last announcement may come to nothing, or to less.
pub(crate) const PENDING: u8 = 1;

/// Where the socket's sent stream ends now; notes it.
///
/// # Safety
/// `tcp` is a TCP socket.
#[inline(always)]
pub(crate) unsafe fn position<M: Memory>(tcp: &mut Tcp<M>) -> u64 {
    // SAFETY: passed on to the caller.
    let sequence: u32 = unsafe { tcp.tp.read(layout::write_seq()) };
    let position = sequence::position(tcp.state.sent, tcp.state.sent_sequence, sequence);
    tcp.state.sent = position;
    tcp.state.sent_sequence = sequence;
    position
}

/// Bytes of room in the socket's send buffer; none or less: a send waits or fails.
///
/// # Safety
/// As [`position`].
#[inline(always)]
pub(crate) unsafe fn space<M: Memory>(tp: M) -> i32 {
    // SAFETY: passed on to the caller.
    unsafe {
        let queued: i32 = tp.read(layout::sk_wmem_queued());
        let limit: i32 = tp.read(layout::sk_sndbuf());
        limit - queued
    }
}

/// True if `left` bytes that are offered while there is so much room are certain to go.
#[inline(always)]
pub(crate) fn sure(left: u64, space: i32) -> bool {
    left <= SURE && space as u64 >= left
}

/// What is known of a send besides its bytes.
#[derive(Clone, Copy)]
pub(crate) struct Told {
    /// A message begins with it.
    pub(crate) first: bool,
    /// All of it will go; else, only what is accepted later on.
    pub(crate) sure: bool,
    /// What does not go at once is announced again.
    pub(crate) again: bool,
    /// When it goes.
    pub(crate) time: u64,
}

/// Copies the front of a message of `left` bytes: of one that is announced `again`, no more than one
/// record holds.
#[inline(always)]
pub(crate) fn copy(
    scratch: &mut Scratch,
    state: &mut Socket,
    left: u64,
    body: Body,
    again: bool,
) -> Copied {
    let wanted = bytes::allowance(state, left);
    let wanted = if again { bytes::of_one(wanted) } else { wanted };
    state.budget = state.budget.saturating_sub(wanted as u32);
    bytes::copy(scratch, body, left, wanted)
}

/// Tells of `left` bytes at `position`.
#[inline(always)]
pub(crate) fn tell<C: Connection>(
    connection: &mut C,
    who: Who,
    position: u64,
    left: u64,
    body: Body,
    told: Told,
) {
    if !emit::open(connection, who.pid) {
        return;
    }
    let Some(scratch) = scratch() else { return };
    let sk = connection.address();
    let state = connection.state();
    let copied = copy(scratch, state, left, body, told.again);
    // What we cannot read, the kernel may not be able to read either.
    let pending = !told.sure || !copied.whole;
    state.pending = if pending { PENDING } else { 0 };
    let flags = FLAG_SENT
        | if pending { FLAG_PENDING } else { 0 }
        | if told.first { FLAG_FIRST } else { 0 };
    let time = told.time;
    state.told = time;
    scratch.data = Data {
        header: emit::header(state, record::DATA, flags, time),
        position,
        length: 0,
        captured: 0,
        pid: who.pid,
        tid: who.tid,
        waited: 0,
        tail: 0,
        messages: state.messages,
        left_out: state.calls,
        sent: 0,
        work: work::sending(state, who, sk),
    };
    bytes::output(scratch, state, copied);
}

/// When the last of what a socket was given went, where it is told of by a send that returns: by
/// then the peer may have read all of it.
///
/// # Safety
/// As [`position`].
#[inline(always)]
pub(crate) unsafe fn gone<M: Memory>(tcp: &Tcp<M>) -> u64 {
    // SAFETY: passed on to the caller.
    unsafe {
        let given: u32 = tcp.tp.read(layout::write_seq());
        let acknowledged: u32 = tcp.tp.read(layout::snd_una());
        // When the last that is acknowledged left is known. Where that is not all, it went with the
        // last packet, whichever way that went, or earlier.
        let packet =
            if acknowledged == given { layout::rack_mstamp() } else { layout::tcp_mstamp() };
        let went = emit::now().saturating_sub(socket::since(tcp.tp, packet) * 1000);
        if went > tcp.state.told { went } else { tcp.state.told }
    }
}

/// A send returned: how far a pending announcement really came, and `when` the last of it went.
///
/// # Safety
/// As [`position`].
#[inline(always)]
pub(crate) unsafe fn returned<M: Memory>(tcp: &mut Tcp<M>, when: impl FnOnce(&Tcp<M>) -> u64) {
    // SAFETY: passed on to the caller.
    unsafe {
        let sequence: u32 = tcp.tp.read(layout::write_seq());
        let state = &mut *tcp.state;
        let position = sequence::position(state.sent, state.sent_sequence, sequence);
        if state.opened == 0 || (state.pending == 0 && position == state.announced) {
            return;
        }
        state.sent = position;
        state.sent_sequence = sequence;
        let told = state.pending != 0 || state.left_out == 0;
        state.pending = 0;
        state.announced = position;
        if state.mode == mode::IGNORE || !told {
            return;
        }
        let time = when(tcp);
        let sent = Sent { header: emit::header(tcp.state, record::SENT, 0, time), position };
        emit::output(emit::as_bytes(&sent));
    }
}

/// How many bytes a call offers, and where they lie.
#[inline(always)]
pub(crate) fn message(call: &Call) -> Option<(u64, Body)> {
    let [address, count] = match call.number {
        arch::WRITE | arch::SENDTO => return Some((call.third, Body::Buffer(call.second))),
        arch::SENDFILE => return Some((call.fourth, Body::Unseen)),
        arch::SPLICE => return Some((call.fifth, Body::Unseen)),
        arch::WRITEV | arch::PWRITEV2 => [call.second, call.third],
        // Of several messages the first; the others are a gap of known size.
        arch::SENDMSG | arch::SENDMMSG => {
            // struct user_msghdr: name, namelen, iov at 16, iovlen at 24.
            let mut vector = [0u64; 2];
            // SAFETY: a checked read into our stack.
            let failed = unsafe {
                bpf_probe_read_user((&raw mut vector).cast(), 16, (call.second + 16) as *const _)
            };
            if failed != 0 {
                return None;
            }
            vector
        }
        _ => return None,
    };
    let length = bytes::vector_length(scratch()?, address, count);
    Some((length, Body::Vector(Vector { address, imported: false, count, skip: 0 })))
}
