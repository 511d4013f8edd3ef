//! What the kernel remembers of one TCP socket, kept with the socket itself: no table to fill,
//! nothing to clean up.

use aya_ebpf::{
    bindings::BPF_SK_STORAGE_GET_F_CREATE,
    btf_maps::SkStorage,
    helpers::generated::{bpf_get_socket_cookie, bpf_sk_storage_get, bpf_skc_to_tcp_sock},
    macros::{btf_map, map},
    maps::{Array, HashMap},
};
use core::ptr;
use tracebee_common::{Control, HEAD_LIMIT, counter, mode, record, sequence};

use crate::{
    emit,
    layout::{self, member},
};

/// State of one socket. All zero when the kernel makes it.
#[repr(C)]
pub(crate) struct Socket {
    pub(crate) cookie: u64,
    /// Number of the next record. Two threads that read and write at the same instant may give
    /// out one number twice, never leave one out: a jump is a loss.
    pub(crate) number: u32,
    /// Explicit padding.
    pub(crate) reserved: u32,
    pub(crate) established: u64,
    /// Position that belongs to `sent_sequence`.
    pub(crate) sent: u64,
    /// Position that belongs to `received_sequence`: the end of what was read.
    pub(crate) received: u64,
    /// End of the last announcement.
    pub(crate) announced: u64,
    pub(crate) skip_sent: u64,
    pub(crate) skip_received: u64,
    pub(crate) sent_sequence: u32,
    pub(crate) received_sequence: u32,
    pub(crate) sent_base: u32,
    pub(crate) received_base: u32,
    pub(crate) turn: u32,
    /// Bytes that may still be captured in this turn.
    pub(crate) budget: u32,
    pub(crate) mode: u32,
    pub(crate) generation: u32,
    pub(crate) role: u8,
    /// 0 none yet, 1 received, 2 sent.
    pub(crate) direction: u8,
    pub(crate) opened: u8,
    pub(crate) pending: u8,
}

pub(crate) const RECEIVED: u8 = 1;
pub(crate) const SENT: u8 = 2;

#[btf_map]
static SOCKETS: SkStorage<Socket> = SkStorage::new();

/// What user space wants of single connections, by cookie.
#[map]
static CONTROL: HashMap<u64, Control> = HashMap::with_max_entries(65_536, 0);

/// Grows with every change of [`CONTROL`], so that a socket looks there only when there is news.
#[map]
static GENERATION: Array<u32> = Array::with_max_entries(1, 0);

/// A TCP socket: the typed pointer and what we keep with it.
pub(crate) struct Tcp {
    pub(crate) tp: *const u8,
    pub(crate) state: &'static mut Socket,
    /// True if this event is the first that we see of a connection older than the agent.
    pub(crate) joined: bool,
}

/// The `tcp_sock` of `sk`, null if it is of another kind (MPTCP included).
///
/// # Safety
/// `sk` is the typed argument of a tracepoint.
#[inline(always)]
pub(crate) unsafe fn tcp_sock(sk: *const u8) -> *const u8 {
    // SAFETY: the verifier checks the argument's type.
    unsafe { bpf_skc_to_tcp_sock(sk.cast_mut().cast()).cast::<u8>().cast_const() }
}

/// The socket's state, if it has one.
///
/// # Safety
/// As [`tcp_sock`].
#[inline(always)]
pub(crate) unsafe fn get(sk: *const u8) -> Option<&'static mut Socket> {
    // SAFETY: see above; the storage lives as long as the program runs (RCU).
    unsafe { storage(sk, 0).as_mut() }
}

/// The socket's state, made if it has none: then the connection is older than the agent, unless
/// `role` tells otherwise.
///
/// # Safety
/// As [`tcp_sock`].
#[inline(always)]
pub(crate) unsafe fn get_or_create(sk: *const u8, tp: *const u8, role: u8) -> Option<Tcp> {
    // SAFETY: see above.
    unsafe {
        let Some(state) = storage(sk, BPF_SK_STORAGE_GET_F_CREATE.into()).as_mut() else {
            emit::count(counter::NO_STORAGE);
            return None;
        };
        let mut joined = false;
        if state.cookie == 0 {
            state.cookie = bpf_get_socket_cookie(sk.cast_mut().cast());
            joined = role == record::ROLE_UNKNOWN;
            if joined {
                join(state, tp);
            } else {
                begin(state, tp, role);
            }
        }
        Some(Tcp { tp, state, joined })
    }
}

/// A connection just established: both streams are at their start.
#[inline(always)]
unsafe fn begin(state: &mut Socket, tp: *const u8, role: u8) {
    // SAFETY: `tp` is a typed pointer.
    unsafe {
        state.role = role;
        state.sent_sequence = member(tp, layout::write_seq());
        state.received_sequence = member(tp, layout::copied_seq());
        state.sent_base = state.sent_sequence;
        state.received_base = state.received_sequence;
        state.established = emit::now();
    }
}

/// A connection older than the agent: positions from the kernel's own byte counters, which count
/// payload only, on both ends alike.
#[inline(always)]
unsafe fn join(state: &mut Socket, tp: *const u8) {
    // SAFETY: `tp` is a typed pointer.
    unsafe {
        let sent: u64 = member(tp, layout::bytes_sent());
        let again: u64 = member(tp, layout::bytes_retrans());
        let next: u32 = member(tp, layout::snd_nxt());
        let out = sent.wrapping_sub(again);
        state.sent_sequence = member(tp, layout::write_seq());
        state.sent_base = next.wrapping_sub(out as u32);
        state.sent = sequence::position(out, next, state.sent_sequence);
        let received: u64 = member(tp, layout::bytes_received());
        let expected: u32 = member(tp, layout::rcv_nxt());
        state.received_sequence = member(tp, layout::copied_seq());
        state.received_base = expected.wrapping_sub(received as u32);
        state.received = sequence::position(received, expected, state.received_sequence);
        state.established = emit::now();
    }
}

/// Notes that bytes went in `direction` and reads news from user space. False: leave it alone.
#[inline(always)]
pub(crate) fn turn(state: &mut Socket, direction: u8) -> bool {
    if let Some(generation) = GENERATION.get(0)
        && *generation != state.generation
    {
        state.generation = *generation;
        // SAFETY: a torn read of the value gives a late or early limit, never a bad access.
        if let Some(control) = unsafe { CONTROL.get(&state.cookie) } {
            state.mode = control.mode;
            state.skip_sent = control.skip_sent;
            state.skip_received = control.skip_received;
        }
    }
    if state.mode == mode::IGNORE {
        return false;
    }
    if state.direction != direction {
        state.direction = direction;
        state.turn = state.turn.wrapping_add(1);
        state.budget = HEAD_LIMIT;
    }
    true
}

#[inline(always)]
unsafe fn storage(sk: *const u8, flags: u64) -> *mut Socket {
    // SAFETY: the map is a static; the verifier checks `sk`.
    unsafe {
        bpf_sk_storage_get(
            (&raw const SOCKETS).cast_mut().cast(),
            sk.cast_mut().cast(),
            ptr::null_mut(),
            flags,
        )
        .cast::<Socket>()
    }
}
