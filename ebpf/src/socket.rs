//! What the kernel side remembers of a socket, and TCP sockets.

use aya_ebpf::{
    EbpfContext as _,
    bindings::BPF_F_NO_PREALLOC,
    helpers::{
        bpf_ktime_get_ns,
        generated::{bpf_probe_read_kernel, bpf_skc_to_tcp_sock},
    },
    macros::map,
    maps::{Array, HashMap},
    programs::BtfTracePointContext,
};
use tracebee_common::{
    BRIEF_LIMIT, Control, HEAD_LIMIT, Load, mode,
    record::{self, Conn, FLAG_AFTER, Messages},
    sample, sequence, tables,
};

use crate::{
    emit, layout,
    memory::{Memory, Typed, kernel},
    work::Doing,
};

const AF_INET: u16 = 2;

/// State of one socket. All zero when it is made.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Socket {
    pub(crate) cookie: u64,
    /// Number of the next record. Two threads that read and write at the same instant may give
    /// out one number twice, never leave one out: a jump is a loss.
    pub(crate) number: u32,
    /// The process that used it first.
    pub(crate) pid: u32,
    pub(crate) established: u64,
    /// Position that belongs to `sent_sequence`.
    pub(crate) sent: u64,
    /// Position that belongs to `received_sequence`: the end of what was read.
    pub(crate) received: u64,
    /// End of the last announcement, and when it was.
    pub(crate) announced: u64,
    pub(crate) told: u64,
    /// [`Control::asked`].
    pub(crate) asked: u64,
    pub(crate) sent_sequence: u32,
    pub(crate) received_sequence: u32,
    pub(crate) sent_base: u32,
    pub(crate) received_base: u32,
    /// Messages that began: turns of each side.
    pub(crate) messages: Messages,
    /// Bytes that may still be captured in this turn.
    pub(crate) budget: u32,
    /// One of [`mode`], without [`mode::ANNOUNCE`].
    pub(crate) mode: u32,
    pub(crate) generation: u32,
    /// Calls that were left out.
    pub(crate) calls: u32,
    /// [`Control::told`] of the last word to announce it again.
    pub(crate) announcement: u32,
    /// Not 0: the exchange under way is left out.
    pub(crate) left_out: u8,
    /// Not 0: as much is captured as of [`mode::EVERYTHING`].
    pub(crate) whole: u8,
    /// Not 0: it was accepted, also where the role is not told because it is older than the agent.
    pub(crate) accepted: u8,
    /// Not 0: it answers what nobody is told of, and short reads and writes count, too.
    pub(crate) brief: u8,
    pub(crate) role: u8,
    /// 0 none yet, 1 received, 2 sent.
    pub(crate) direction: u8,
    /// [`ANNOUNCED`] or [`BESIDE`], 0 for neither.
    pub(crate) opened: u8,
    pub(crate) pending: u8,
    /// Its own port: in the end it has none any more.
    pub(crate) port: u16,
    /// Explicit padding.
    pub(crate) reserved: u16,
    /// When bytes were last read; only where sends are told of when they are over.
    pub(crate) heard: u64,
    /// The same: a send that was overtaken.
    pub(crate) owed: Owed,
}

/// A send under way, of which a read proves that it came before it: its turn is taken then, not
/// when it is told of.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct Owed {
    /// It went after this time.
    pub(crate) after: u64,
    /// The messages so far, this one included.
    pub(crate) messages: Messages,
    /// How far it had come, as a sequence number.
    pub(crate) end: u32,
    /// One of the constants below, 0 for none.
    pub(crate) kind: u8,
    /// Explicit padding.
    pub(crate) reserved: [u8; 3],
}

impl Owed {
    /// Nothing will be told of it.
    pub(crate) const SILENT: u8 = 1;
    /// Its turn has begun.
    pub(crate) const TURN: u8 = 2;
    /// The same, and a message begins with it.
    pub(crate) const FIRST: u8 = 3;
}

/// [`Socket::opened`]: it was announced.
pub(crate) const ANNOUNCED: u8 = 1;
/// The same, in the end and beside the ring, which had no room.
pub(crate) const BESIDE: u8 = 2;

pub(crate) const RECEIVED: u8 = 1;
pub(crate) const SENT: u8 = 2;

/// What user space wants of single connections, by cookie.
#[map]
static CONTROL: HashMap<u64, Control> =
    HashMap::with_max_entries(tables::CONTROLLED, BPF_F_NO_PREALLOC);

/// Grows with every change of [`CONTROL`], so that a socket looks there only when there is news.
#[map]
static GENERATION: Array<u32> = Array::with_max_entries(1, 0);

/// What is left out of all connections.
#[map]
static LOAD: Array<Load> = Array::with_max_entries(1, 0);

/// A TCP socket and what we remember of it.
pub(crate) struct Tcp<M> {
    /// The `struct tcp_sock`.
    pub(crate) tp: M,
    pub(crate) state: &'static mut Socket,
    /// True if this event is the first that we see of a connection older than the agent.
    pub(crate) joined: bool,
}

/// A connection with a state, of whatever family.
pub(crate) trait Connection {
    /// What is remembered of it.
    fn state(&mut self) -> &mut Socket;

    /// The `struct sock`.
    fn address(&self) -> *const u8;

    /// Puts the record that it begins with into `output`; false if there was no room.
    fn announce(&mut self, output: impl FnOnce(&[u8]) -> bool) -> bool;
}

impl<M: Memory> Connection for Tcp<M> {
    #[inline(always)]
    fn state(&mut self) -> &mut Socket {
        self.state
    }

    #[inline(always)]
    fn address(&self) -> *const u8 {
        self.tp.address()
    }

    #[inline(always)]
    fn announce(&mut self, output: impl FnOnce(&[u8]) -> bool) -> bool {
        let flags = if layout::lengths() != 0 { FLAG_AFTER } else { 0 };
        let header = emit::header(self.state, record::CONN, flags, emit::now());
        let tp = self.tp;
        // SAFETY: the offsets are those of members; the addresses of 16 bytes are copied by a
        // helper that checks the read.
        unsafe {
            let mut conn = Conn {
                header,
                established: self.state.established,
                sent_base: self.state.sent_base,
                received_base: self.state.received_base,
                pid: self.state.pid,
                netns: netns(tp),
                family: tp.read(layout::skc_family()),
                local_port: self.state.port,
                remote_port: u16::from_be(tp.read(layout::skc_dport())),
                role: self.state.role,
                reserved: 0,
                local: [0; 16],
                remote: [0; 16],
            };
            let base = tp.address();
            let (local, remote, size) = if conn.family == AF_INET {
                (layout::skc_rcv_saddr(), layout::skc_daddr(), 4)
            } else {
                (layout::skc_v6_rcv_saddr(), layout::skc_v6_daddr(), 16)
            };
            bpf_probe_read_kernel(conn.local.as_mut_ptr().cast(), size, base.add(local).cast());
            bpf_probe_read_kernel(conn.remote.as_mut_ptr().cast(), size, base.add(remote).cast());
            output(emit::as_bytes(&conn))
        }
    }
}

/// Inode of the network namespace of a `struct sock`.
///
/// # Safety
/// `sk` is one.
#[inline(always)]
pub(crate) unsafe fn netns<M: Memory>(sk: M) -> u32 {
    // SAFETY: passed on to the caller.
    unsafe {
        let net: u64 = kernel(sk.address() as u64, layout::skc_net());
        kernel(net, layout::net_inum())
    }
}

/// Who called.
#[derive(Clone, Copy)]
pub(crate) struct Who {
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    /// What it works on, as far as its runtime tells.
    pub(crate) doing: Doing,
}

impl Who {
    /// The current thread; none if it is the agent's own.
    ///
    /// What it is doing is looked up here, before the programs branch: the search is long, and the
    /// verifier follows it once for each way that leads to it.
    #[inline(always)]
    pub(crate) fn current(ctx: &BtfTracePointContext) -> Option<Self> {
        let (pid, tid) = (ctx.tgid(), ctx.pid());
        if pid as usize == layout::own_pid() {
            return None;
        }
        Some(Self { pid, tid, doing: Doing::of(pid, tid) })
    }
}

/// The `tcp_sock` of `sk`, none if it is of another kind (MPTCP included).
///
/// # Safety
/// `sk` is the typed argument of a tracepoint.
#[inline(always)]
pub(crate) unsafe fn tcp_sock(sk: *const u8) -> Option<Typed> {
    // SAFETY: the verifier checks the argument's type.
    unsafe {
        let tp = bpf_skc_to_tcp_sock(sk.cast_mut().cast()).cast::<u8>().cast_const();
        if tp.is_null() { None } else { Some(Typed::new(tp)) }
    }
}

/// A connection just established: both streams are at their start.
///
/// # Safety
/// `tp` is a `struct tcp_sock`.
#[inline(always)]
pub(crate) unsafe fn begin<M: Memory>(state: &mut Socket, tp: M, role: u8) {
    // SAFETY: passed on to the caller.
    unsafe {
        state.role = role;
        state.accepted = (role == record::ROLE_SERVER) as u8;
        state.port = tp.read(layout::skc_num());
        state.sent_sequence = tp.read(layout::write_seq());
        state.received_sequence = tp.read(layout::copied_seq());
        state.sent_base = state.sent_sequence;
        state.received_base = state.received_sequence;
        state.established = emit::now();
    }
}

/// A connection older than the agent: positions from the kernel's own byte counters, which count
/// payload only, on both ends alike.
///
/// # Safety
/// As [`begin`].
#[inline(always)]
pub(crate) unsafe fn join<M: Memory>(state: &mut Socket, tp: M) {
    // SAFETY: passed on to the caller.
    unsafe {
        state.port = tp.read(layout::skc_num());
        // A socket that was accepted is a copy of the one that listens, its queue's limit included.
        // No limit says nothing: listen(2) takes 0, too.
        state.accepted = (tp.read::<u32>(layout::sk_max_ack_backlog()) != 0) as u8;
        let sent: u64 = tp.read(layout::bytes_sent());
        let again: u64 = tp.read(layout::bytes_retrans());
        let next: u32 = tp.read(layout::snd_nxt());
        let out = sent.wrapping_sub(again);
        state.sent_sequence = tp.read(layout::write_seq());
        state.sent_base = next.wrapping_sub(out as u32);
        state.sent = sequence::position(out, next, state.sent_sequence);
        state.announced = state.sent;
        let received: u64 = tp.read(layout::bytes_received());
        let expected: u32 = tp.read(layout::rcv_nxt());
        state.received_sequence = tp.read(layout::copied_seq());
        state.received_base = expected.wrapping_sub(received as u32);
        state.received = sequence::position(received, expected, state.received_sequence);
        state.established = emit::now();
    }
}

/// Microseconds since the last packet of the connection, either way.
///
/// # Safety
/// `tp` is a `struct tcp_sock`.
#[inline(always)]
pub(crate) unsafe fn rested<M: Memory>(tp: M) -> u32 {
    // SAFETY: passed on to the caller.
    let rested = unsafe { since(tp, layout::tcp_mstamp()) };
    if rested > u32::MAX as u64 { u32::MAX } else { rested as u32 }
}

/// Microseconds since a time of the connection's own clock, which is the member at `offset`.
///
/// # Safety
/// As [`rested`].
#[inline(always)]
pub(crate) unsafe fn since<M: Memory>(tp: M, offset: usize) -> u64 {
    // SAFETY: passed on to the caller; a helper without arguments.
    let (then, now) = unsafe { (tp.read::<u64>(offset), bpf_ktime_get_ns() / 1000) };
    now.saturating_sub(then)
}

/// Nanoseconds as microseconds that fit into a record.
#[inline(always)]
pub(crate) fn micros(nanos: u64) -> u32 {
    let micros = nanos / 1000;
    if micros > u64::from(u32::MAX) { u32::MAX } else { micros as u32 }
}

/// Notes that bytes went in `direction`, the first of them at `position`, and reads news from user
/// space. None: leave it alone; else, whether a message begins with them.
#[inline(always)]
pub(crate) fn turn(state: &mut Socket, direction: u8, position: u64) -> Option<bool> {
    news(state);
    let load = LOAD.get(0)?;
    state.whole = (state.mode == mode::EVERYTHING && load.no_bodies == 0) as u8;
    let first = state.direction != direction;
    if first {
        state.direction = direction;
        state.budget = HEAD_LIMIT;
        let asks = if state.role == record::ROLE_CLIENT { SENT } else { RECEIVED };
        if direction == asks {
            state.left_out = leaves_out(state, load, position) as u8;
            state.calls = state.calls.wrapping_add(state.left_out as u32);
        }
        if state.left_out == 0 {
            // Also where nobody looks: how many there were is told in the end.
            let Messages { received, sent } = &mut state.messages;
            let number = if direction == SENT { sent } else { received };
            *number = number.wrapping_add(1);
        }
    }
    state.brief = is_brief(state, direction) as u8;
    if state.brief != 0 && state.budget > BRIEF_LIMIT {
        state.budget = BRIEF_LIMIT;
    }
    if state.mode == mode::IGNORE || state.left_out != 0 { None } else { Some(first) }
}

/// True if what goes in `direction` answers a request of which nobody is told: nothing came behind it.
#[inline(always)]
fn is_brief(state: &Socket, direction: u8) -> bool {
    match state.mode {
        mode::BRIEF_SENT => direction == SENT && state.received <= state.asked,
        mode::BRIEF_RECEIVED => direction == RECEIVED && state.announced <= state.asked,
        _ => false,
    }
}

/// Reads what user space wants of this connection, if there is news.
#[inline(always)]
pub(crate) fn news(state: &mut Socket) {
    let Some(generation) = GENERATION.get(0) else { return };
    if *generation == state.generation {
        return;
    }
    state.generation = *generation;
    // SAFETY: a torn read of the value gives a late or early limit, never a bad access.
    let Some(control) = (unsafe { CONTROL.get(&state.cookie) }) else { return };
    if control.mode == mode::ANNOUNCE {
        // Once: the word stays in the table until the connection is gone.
        if control.told != state.announcement {
            state.announcement = control.told;
            state.opened = 0;
            state.mode = mode::HEADS;
        }
    } else {
        if control.mode == mode::COUNT && state.mode != mode::COUNT {
            // Nobody was told of the calls before, either.
            let Messages { received, sent } = state.messages;
            state.calls += if state.role == record::ROLE_CLIENT { sent } else { received };
            state.left_out = 1;
        }
        state.mode = control.mode;
    }
    state.asked = control.asked;
}

/// True if the exchange that begins at `position` is to be left out. Which calls are sampled is
/// only certain where it is known which end this is; user space decides about the others.
#[inline(always)]
fn leaves_out(state: &Socket, load: &Load, position: u64) -> bool {
    if state.mode == mode::IGNORE {
        return false;
    }
    if state.mode == mode::COUNT || load.no_connections != 0 && state.opened == 0 {
        return true;
    }
    let (client, server, share) = match state.role {
        record::ROLE_CLIENT => (state.sent_base, state.received_base, load.asked),
        record::ROLE_SERVER => (state.received_base, state.sent_base, load.answered),
        _ => return false,
    };
    share != 0 && sample::number(client, server, position) < share
}
