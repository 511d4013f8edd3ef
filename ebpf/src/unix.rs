//! UNIX stream sockets: what they do means the same in both backends.
//!
//! They have no sequence numbers. Each end counts its bytes from the first that it is seen to move;
//! of a socket that is no older than the agent, that is the first at all. Both ends are on this
//! host, so each can look at what is remembered of the other. That tells what a hook that runs
//! after a send cannot know: whether the peer had read the bytes, and when. It also tells of bytes
//! that took another way (splice, io_uring): without that, positions would be wrong unnoticed.

use core::sync::atomic::{Ordering, compiler_fence};

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    helpers::generated::{bpf_get_smp_processor_id, bpf_probe_read_kernel},
    macros::map,
    maps::{Array, HashMap},
    programs::BtfTracePointContext,
};
use tracebee_common::{
    OLDER_COMPLETE, mode,
    record::{
        self, Data, FLAG_FIRST, FLAG_OLDER, FLAG_SENT, Header, Messages, Name, Sent, State, tcp,
    },
    tables,
};

use crate::{
    arch::Call,
    bytes::{self, Body},
    emit, layout,
    memory::{Memory, kernel},
    receive::{self, Arrival, Chunk},
    send,
    socket::{self, Connection, RECEIVED, SENT, Socket, Who},
    work,
};

/// Inode numbers of the UNIX sockets that are older than the agent. User space fills it after the
/// programs are attached, [`OLDER_COMPLETE`] last. Where there are more, none counts as younger.
#[map]
static OLDER: HashMap<u32, u8> = HashMap::with_max_entries(tables::OLDER, BPF_F_NO_PREALLOC);

/// Where an announcement is put together, one for each CPU: it is too large for the stack.
#[map]
static UNIX_AREA: Array<record::Unix> = Array::with_max_entries(1, 0);

const SOCK_STREAM: u16 = 1;
// include/net/sock.h
pub(crate) const RCV_SHUTDOWN: u8 = 1;
pub(crate) const SEND_SHUTDOWN: u8 = 2;
const BOTH: u8 = RCV_SHUTDOWN | SEND_SHUTDOWN;
const EPIPE: i32 = 32;
const ECONNRESET: i32 = 104;

/// One end of a connection. All zero when it is made.
#[derive(Default)]
#[repr(C)]
pub(crate) struct End {
    pub(crate) socket: Socket,
    /// When bytes were last read.
    reached: u64,
    /// When the first bytes of this turn were read, and their position.
    turned: u64,
    turned_at: u64,
    /// Inode numbers of the socket and of its peer, 0 where not known.
    pub(crate) inode: u32,
    pub(crate) peer_inode: u32,
    /// Number of the record that a send under way will have, and the messages so far in it.
    owed: u32,
    owed_messages: Messages,
    /// One of the `OWES_` constants.
    owes: u8,
    /// Its first bytes may have gone before the agent came.
    older: u8,
    /// What was told of its end.
    ended: u8,
    /// Which end it is by its addresses; [`Socket::role`] is set only where the connection has a
    /// name that both ends know, by which calls are left out under load.
    role: u8,
}

/// [`End::owes`]: no send is under way whose bytes were read.
const OWES_NOTHING: u8 = 0;
/// One is: nothing will be told of it.
const OWES_SILENCE: u8 = 1;
/// One is: its turn has begun.
const OWES_TURN: u8 = 2;
/// One is, and its record has a number.
const OWES_NUMBER: u8 = 3;
/// Beside one of these: a message begins with it.
const OWES_FIRST: u8 = 4;

const FINISHED: u8 = 1;
const CLOSED: u8 = 2;

/// A UNIX stream socket, and what is remembered of it and of its peer.
pub(crate) struct Unix<M> {
    /// The `struct unix_sock`.
    pub(crate) sk: M,
    pub(crate) own: &'static mut End,
    pub(crate) peer: Option<&'static mut End>,
}

/// True if a `struct sock` is of the type that has streams.
///
/// # Safety
/// `sk` is one.
#[inline(always)]
pub(crate) unsafe fn streams<M: Memory>(sk: M) -> bool {
    // SAFETY: passed on to the caller.
    unsafe { sk.read::<u16>(layout::sk_type()) == SOCK_STREAM }
}

/// Inode number of the socket at `sk`; 0 if no process has it: not yet accepted, or closed.
///
/// # Safety
/// Every read is checked.
#[inline(always)]
pub(crate) unsafe fn inode(sk: u64) -> u32 {
    // SAFETY: passed on to the caller.
    unsafe {
        let socket: u64 = kernel(sk, layout::sk_socket());
        if socket == 0 {
            return 0;
        }
        let file: u64 = kernel(socket, layout::socket_file());
        let inode: u64 = kernel(file, layout::file_inode());
        kernel::<u64>(inode, layout::inode_number()) as u32
    }
}

impl End {
    /// An end that is seen for the first time: the `struct unix_sock` at `sk`.
    #[inline(always)]
    pub(crate) fn begin(&mut self, sk: u64, cookie: u64, own: u32) {
        self.socket.cookie = cookie;
        self.socket.established = emit::now();
        self.inode = own;
        // SAFETY: offsets of members; every read is checked, and of nothing comes zero.
        let (local, remote): (u64, u64) = unsafe {
            let peer: u64 = kernel(sk, layout::unix_peer());
            if peer != 0 {
                self.peer_inode = inode(peer);
            }
            (
                kernel(sk, layout::unix_addr()),
                if peer == 0 { 0 } else { kernel(peer, layout::unix_addr()) },
            )
        };
        // An accepted socket has the address that is listened at, which most clients lack.
        self.role = match (local, remote) {
            (0, 0) => record::ROLE_UNKNOWN,
            (0, _) => record::ROLE_CLIENT,
            (_, 0) => record::ROLE_SERVER,
            _ => record::ROLE_UNKNOWN,
        };
        self.socket.accepted = (self.role == record::ROLE_SERVER) as u8;
        // On the stack: a constant may share its place with a global that the loader sets.
        let complete = core::hint::black_box(OLDER_COMPLETE);
        // SAFETY: one byte.
        let listed = unsafe { OLDER.get(&own).is_some() || OLDER.get(&complete).is_none() };
        self.older = u8::from(listed || own == 0);
        if self.older != 0 {
            return;
        }
        if self.role == record::ROLE_CLIENT {
            self.socket.role = self.role;
            self.socket.sent_base = own;
        } else if self.role == record::ROLE_SERVER && self.peer_inode != 0 {
            self.socket.role = self.role;
            self.socket.received_base = self.peer_inode;
        }
    }

    /// Tells of an end or a half of it, once.
    #[inline(always)]
    fn end(&mut self, ended: u8, new: u8, error: i32) {
        if self.ended >= ended {
            return;
        }
        self.ended = ended;
        let socket = &mut self.socket;
        let closed = ended == CLOSED;
        if closed {
            // Of a connection that said nothing since.
            socket::news(socket);
        }
        // One that found no room for its announcement is not announced in the end, either: whoever
        // closed it may not be the one who is here.
        let silent = matches!(socket.mode, mode::IGNORE | mode::COUNT);
        if socket.opened == 0 || silent && !closed {
            return;
        }
        let flags = if socket.direction == SENT { FLAG_SENT } else { 0 };
        let time = emit::now();
        let record = State {
            header: emit::header(socket, record::STATE, flags, time),
            sent: socket.sent,
            received: socket.received,
            error,
            old: tcp::ESTABLISHED,
            new,
            reserved: 0,
            messages: socket.messages,
            left_out: socket.calls,
            reserved2: 0,
        };
        if closed {
            emit::output_last(socket.opened, &record);
        } else {
            emit::output(emit::as_bytes(&record));
        }
    }
}

impl<M: Memory> Unix<M> {
    /// True if the counts of both ends are those of the streams.
    #[inline(always)]
    fn exact(&self) -> bool {
        self.own.older == 0 && self.peer.as_ref().is_some_and(|peer| peer.older == 0)
    }

    /// How far the peer has sent, and when it last did; nothing if that cannot be compared.
    #[inline(always)]
    fn peer_sent(&self) -> (u64, u64) {
        match &self.peer {
            Some(peer) if self.exact() => {
                let sent = peer.socket.sent;
                compiler_fence(Ordering::SeqCst);
                (sent, peer.socket.told)
            }
            _ => (0, 0),
        }
    }

    /// How far the peer has received; nothing if that cannot be compared.
    #[inline(always)]
    pub(crate) fn peer_received(&self) -> u64 {
        match &self.peer {
            Some(peer) if self.exact() => peer.socket.received,
            _ => 0,
        }
    }

    /// When the first byte of what was just sent from `from` to `to` went, and when the last had:
    /// now, if the peer did not have it before.
    #[inline(always)]
    fn went(&self, from: u64, to: u64) -> (u64, u64) {
        let now = emit::now();
        let received = self.peer_received();
        compiler_fence(Ordering::SeqCst);
        let Some(peer) = &self.peer else { return (now, now) };
        if received <= from {
            return (now, now);
        }
        let last = if received >= to { peer.reached } else { now };
        let first = if peer.turned_at >= from { peer.turned } else { peer.reached };
        (if first < last { first } else { last }, last)
    }

    /// Bytes waiting to be read, in packets.
    #[inline(always)]
    unsafe fn queued(&self) -> u32 {
        // SAFETY: a member.
        unsafe { self.sk.read(layout::sk_receive_queue_qlen()) }
    }
}

/// Tells of a receive that returned bytes.
///
/// # Safety
/// `unix` is a UNIX stream socket.
#[inline(always)]
pub(crate) unsafe fn received<M: Memory>(
    ctx: &BtfTracePointContext,
    unix: &mut Unix<M>,
    who: Who,
    arrival: Arrival<impl FnOnce() -> Call>,
) {
    let now = emit::now();
    let length = u64::from(arrival.length);
    let (peer_sent, peer_told) = unix.peer_sent();
    let peer_received = unix.peer_received();
    let exact = unix.exact();
    let mut position = unix.own.socket.received;
    // Everything that was sent is read, and it is more than was seen.
    // SAFETY: passed on to the caller.
    if peer_sent > position + length && unsafe { unix.queued() } == 0 {
        position = peer_sent - length;
    }
    let end = position + length;
    let own = &mut *unix.own;
    let work = work::read(&own.socket, who, position, arrival.length);
    if own.socket.direction != RECEIVED {
        own.turned = now;
        own.turned_at = position;
    }
    own.reached = now;
    // Last: its peer's hook, on another CPU, looks here first and then when that was.
    compiler_fence(Ordering::SeqCst);
    own.socket.received = end;
    if exact && own.owes == OWES_NOTHING && own.socket.announced < peer_received {
        // The peer has read what a send brought whose hook has still to run; and this may be the
        // answer to it. That send comes before this, in turns and in records.
        let sent = own.socket.sent;
        own.owes = match socket::turn(&mut own.socket, SENT, sent) {
            Some(true) => OWES_TURN | OWES_FIRST,
            Some(false) => OWES_TURN,
            None => OWES_SILENCE,
        };
        own.owed_messages = own.socket.messages;
    }
    let Some(first) = socket::turn(&mut own.socket, RECEIVED, position) else { return };
    if !emit::open(unix, who.pid) {
        return;
    }
    let own = &mut *unix.own;
    if own.owes & !OWES_FIRST == OWES_TURN {
        own.owes = OWES_NUMBER | own.owes & OWES_FIRST;
        own.owed = own.socket.number;
        own.socket.number = own.owed.wrapping_add(1);
    }
    let waited = if peer_told != 0 && peer_sent >= end { now.saturating_sub(peer_told) } else { 0 };
    let chunk = Chunk { position, first, waited: socket::micros(waited), work };
    receive::tell(ctx, unix, who, chunk, arrival);
}

/// Tells of `length` bytes of which nothing was said before they went.
///
/// # Safety
/// As [`received`].
#[inline(always)]
pub(crate) unsafe fn sent<M: Memory>(
    unix: &mut Unix<M>,
    who: Who,
    length: u64,
    body: impl FnOnce() -> Body,
) {
    let mut position = unix.own.socket.sent;
    let peer_received = unix.peer_received();
    if peer_received > position + length {
        // The peer has read more than was seen to go.
        position = peer_received - length;
    }
    let end = position + length;
    let (began, last) = unix.went(position, end);
    let own = &mut *unix.own;
    let owed = own.owes & !OWES_FIRST;
    let owed_first = own.owes & OWES_FIRST != 0;
    let number = if owed == OWES_NUMBER { Some(own.owed) } else { None };
    own.owes = OWES_NOTHING;
    own.socket.announced = end;
    own.socket.pending = 0;
    own.socket.told = last;
    // Last, as at a receive.
    compiler_fence(Ordering::SeqCst);
    own.socket.sent = end;
    let first = match owed {
        OWES_NOTHING => socket::turn(&mut own.socket, SENT, position),
        OWES_SILENCE => None,
        _ => Some(owed_first),
    };
    let messages = if owed == OWES_NOTHING { own.socket.messages } else { own.owed_messages };
    let Some(first) = first else { return };
    if !emit::open(unix, who.pid) {
        return;
    }
    let Some(scratch) = send::scratch() else { return };
    let sk = unix.sk.address();
    let socket = &mut unix.own.socket;
    // Behind a number that was given out before, there are those of other records.
    let again = number.is_some();
    let copied = send::copy(scratch, socket, length, body(), again);
    let flags = FLAG_SENT | if first { FLAG_FIRST } else { 0 };
    let header = match number {
        Some(number) => {
            let cookie = socket.cookie;
            let losses = emit::losses();
            Header { kind: record::DATA, flags, losses, number, cookie, time: last }
        }
        None => emit::header(socket, record::DATA, flags, last),
    };
    scratch.data = Data {
        header,
        position,
        length: 0,
        captured: 0,
        pid: who.pid,
        tid: who.tid,
        // Rounded up: the first byte did not go later than that.
        waited: socket::micros(last - began + 999),
        tail: 0,
        messages,
        left_out: socket.calls,
        sent: 0,
        work: work::sending(socket, who, sk),
    };
    bytes::output(scratch, socket, copied);
}

/// A send of which something was said before its bytes went has returned.
///
/// # Safety
/// As [`received`].
#[inline(always)]
pub(crate) unsafe fn returned<M: Memory>(unix: &mut Unix<M>, length: u64) {
    let from = unix.own.socket.sent;
    let position = from + length;
    let (_, last) = unix.went(from, position);
    let socket = &mut unix.own.socket;
    socket.sent = position;
    if socket.pending == 0 && position == socket.announced {
        return;
    }
    let told = socket.pending != 0 || socket.left_out == 0;
    socket.pending = 0;
    socket.announced = position;
    if socket.opened == 0 || socket.mode == mode::IGNORE || !told {
        return;
    }
    let time = if last > socket.told { last } else { socket.told };
    let sent = Sent { header: emit::header(socket, record::SENT, 0, time), position };
    emit::output(emit::as_bytes(&sent));
}

/// A receive or a send found the end of the stream: `result` is what it returned. Nothing tells of
/// a close, but its peer notices.
///
/// # Safety
/// As [`received`].
#[inline(always)]
pub(crate) unsafe fn ended<M: Memory>(unix: &mut Unix<M>, result: i32) {
    let error = -result;
    // SAFETY: passed on to the caller.
    let (shutdown, queued): (u8, u32) =
        unsafe { (unix.sk.read(layout::sk_shutdown()), unix.queued()) };
    let over = shutdown & BOTH == BOTH;
    match error {
        // A receive of no bytes is no end.
        0 if shutdown & RCV_SHUTDOWN != 0 && queued == 0 => {}
        // What the peer still had to say will be read.
        EPIPE if over && queued == 0 => {}
        // It closed without reading what it was sent.
        ECONNRESET => {}
        _ => return,
    }
    let reset = error == ECONNRESET;
    if !reset {
        unix.own.end(FINISHED, tcp::CLOSE_WAIT, 0);
    }
    if let Some(peer) = &mut unix.peer {
        peer.end(FINISHED, tcp::FIN_WAIT1, 0);
    }
    if over || reset {
        unix.own.end(CLOSED, tcp::CLOSE, if reset { error } else { 0 });
        if let Some(peer) = &mut unix.peer {
            peer.end(CLOSED, tcp::CLOSE, 0);
        }
    }
}

impl<M: Memory> Connection for Unix<M> {
    #[inline(always)]
    fn state(&mut self) -> &mut Socket {
        &mut self.own.socket
    }

    #[inline(always)]
    fn address(&self) -> *const u8 {
        self.sk.address()
    }

    #[inline(always)]
    fn announce(&mut self, output: impl FnOnce(&[u8]) -> bool) -> bool {
        let Self { sk, own, .. } = self;
        // SAFETY: offsets of members, checked reads; this CPU's own area.
        unsafe {
            let peer: u64 = sk.read(layout::unix_peer());
            let local: u64 = sk.read(layout::unix_addr());
            let remote: u64 = if peer == 0 { 0 } else { kernel(peer, layout::unix_addr()) };
            if own.peer_inode == 0 && peer != 0 {
                own.peer_inode = inode(peer);
            }
            let Some(record) = UNIX_AREA.get_ptr_mut(bpf_get_smp_processor_id()) else {
                return false;
            };
            let record = &mut *record;
            let flags = if own.older != 0 { FLAG_OLDER } else { 0 };
            record.header = emit::header(&mut own.socket, record::UNIX, flags, emit::now());
            record.established = own.socket.established;
            record.inode = own.inode;
            record.peer_inode = own.peer_inode;
            record.pid = own.socket.pid;
            record.netns = socket::netns(*sk);
            record.role = own.role;
            name(&mut record.local, local);
            name(&mut record.remote, remote);
            output(emit::as_bytes(record))
        }
    }
}

/// Copies a `struct unix_address`; nothing if there is none.
#[inline(always)]
unsafe fn name(into: &mut Name, address: u64) {
    into.length = 0;
    if address == 0 {
        return;
    }
    // SAFETY: a checked read of no more than the buffer holds.
    unsafe {
        let length: u32 = kernel(address, layout::address_length());
        let from = address + layout::address_name() as u64 + size_of::<u16>() as u64;
        let length = length.saturating_sub(size_of::<u16>() as u32);
        let length = core::hint::black_box(length) & (into.bytes.len() as u32 - 1);
        if bpf_probe_read_kernel(into.bytes.as_mut_ptr().cast(), length, from as *const _) == 0 {
            into.length = length;
        }
    }
}
