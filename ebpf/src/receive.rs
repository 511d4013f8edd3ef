//! Bytes that came in, whoever tells of them.

use aya_ebpf::{
    helpers::generated::bpf_probe_read_user, macros::map, programs::BtfTracePointContext,
};
use aya_log_ebpf::debug;
use tracebee_common::{
    counter,
    record::{self, Data, FLAG_FIRST, FLAG_OVERTAKES, Work},
};

use crate::{
    arch::{self, Call},
    bytes::{self, Area, Body, Vector},
    emit, layout,
    memory::Memory,
    socket::{self, Connection, RECEIVED, Tcp, Who},
    work,
};

#[map]
static RECEIVE_AREA: Area = Area::with_max_entries(1, 0);

const MSG_OOB: i32 = 0x1;
const MSG_PEEK: i32 = 0x2;
const MSG_TRUNC: i32 = 0x20;
const MSG_ERRQUEUE: i32 = 0x2000;

/// True if a receive with these flags takes bytes out of the stream.
#[inline(always)]
pub(crate) fn consumes(flags: i32) -> bool {
    flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB) == 0
}

/// True if a receive with this result may be the end of a stream for which there is no other sign.
#[inline(always)]
pub(crate) fn ends(result: i32) -> bool {
    const ECONNRESET: i32 = 104;
    result == 0 || result == -ECONNRESET
}

/// A receive that returned.
pub(crate) struct Arrival<F> {
    /// Bytes.
    pub(crate) length: u32,
    pub(crate) flags: i32,
    /// Finds the system call, if it is of interest.
    pub(crate) call: F,
    /// It overtakes a send that came to here ([`Data::sent`]).
    pub(crate) overtakes: Option<u32>,
}

/// Tells of bytes that were received.
///
/// # Safety
/// `tcp` is a TCP socket.
#[inline(always)]
pub(crate) unsafe fn arrived<M: Memory>(
    ctx: &BtfTracePointContext,
    tcp: &mut Tcp<M>,
    who: Who,
    arrival: Arrival<impl FnOnce() -> Call>,
) {
    // SAFETY: passed on to the caller.
    unsafe {
        let length = arrival.length;
        let tp = tcp.tp;
        let mut end: u32 = tp.read(layout::copied_seq());
        if !tcp.joined {
            // One too far: this read also consumed the FIN.
            if end.wrapping_sub(length) == tcp.state.received_sequence.wrapping_add(1) {
                end = end.wrapping_sub(1);
            }
        } else {
            // The state was taken after this very read.
            tcp.state.received = tcp.state.received.saturating_sub(length as u64);
            tcp.state.received_sequence = end.wrapping_sub(length);
        }
        let step = end.wrapping_sub(tcp.state.received_sequence);
        let position = if step < length {
            // Another thread moved it: these bytes overlap what was seen.
            tcp.state.received
        } else {
            tcp.state.received + (step - length) as u64
        };
        tcp.state.received_sequence = end;
        tcp.state.received = position + length as u64;
        let work = work::read(tcp.state, who, position, length);
        let Some(first) = socket::turn(tcp.state, RECEIVED, position) else { return };
        // How long these bytes have been waiting to be read, at least.
        let waited = socket::rested(tp);
        let chunk = Chunk { position, first, waited, work };
        tell(ctx, tcp, who, chunk, arrival);
    }
}

/// What is known of received bytes besides how many they are.
#[derive(Clone, Copy)]
pub(crate) struct Chunk {
    /// Position of the first.
    pub(crate) position: u64,
    /// A message begins with it.
    pub(crate) first: bool,
    /// Microseconds that they lay in the socket, at least.
    pub(crate) waited: u32,
    /// They, if the unit of work that read them is known.
    pub(crate) work: Work,
}

/// Tells of bytes that were received.
#[inline(always)]
pub(crate) fn tell<C: Connection>(
    ctx: &BtfTracePointContext,
    connection: &mut C,
    who: Who,
    chunk: Chunk,
    arrival: Arrival<impl FnOnce() -> Call>,
) {
    let Chunk { position, first, waited, work } = chunk;
    let Arrival { length, flags, call, overtakes } = arrival;
    if !emit::open(connection, who.pid) {
        return;
    }
    let Some(scratch) = bytes::scratch(&RECEIVE_AREA) else { return };
    let state = connection.state();
    let copied = if flags & MSG_TRUNC == 0 {
        let call = call();
        let wanted = bytes::allowance(state, length as u64);
        let copied = bytes::copy(scratch, body(&call), length as u64, wanted);
        if !copied.whole {
            let slot = if known(&call) { counter::UNREADABLE } else { counter::UNKNOWN_CALL };
            emit::count(slot);
            debug!(ctx, "pid {}: {} bytes of call {} not read", who.pid, wanted, call.number);
        }
        state.budget = state.budget.saturating_sub(wanted as u32);
        copied
    } else {
        bytes::copy(scratch, Body::Unseen, length as u64, 0)
    };
    let time = emit::now();
    let flags =
        if first { FLAG_FIRST } else { 0 } | if overtakes.is_some() { FLAG_OVERTAKES } else { 0 };
    scratch.data = Data {
        header: emit::header(state, record::DATA, flags, time),
        position,
        length: 0,
        captured: 0,
        pid: who.pid,
        tid: who.tid,
        waited,
        tail: 0,
        messages: state.messages,
        left_out: state.calls,
        sent: overtakes.unwrap_or(0),
        work,
    };
    bytes::output(scratch, state, copied);
}

#[inline(always)]
fn known(call: &Call) -> bool {
    matches!(call.number, arch::READ | arch::RECVFROM | arch::READV | arch::PREADV2 | arch::RECVMSG)
}

/// Where the system call under way was told to put the bytes.
#[inline(always)]
fn body(call: &Call) -> Body {
    let [address, count] = match call.number {
        arch::READ | arch::RECVFROM => return Body::Buffer(call.second),
        arch::READV | arch::PREADV2 => [call.second, call.third],
        arch::RECVMSG => {
            // struct user_msghdr: name, namelen, iov at 16, iovlen at 24.
            let mut vector = [0u64; 2];
            // SAFETY: a checked read into our stack.
            let failed = unsafe {
                bpf_probe_read_user((&raw mut vector).cast(), 16, (call.second + 16) as *const _)
            };
            if failed != 0 {
                return Body::Unseen;
            }
            vector
        }
        _ => return Body::Unseen,
    };
    Body::Vector(Vector { address, imported: false, count, skip: 0 })
}
