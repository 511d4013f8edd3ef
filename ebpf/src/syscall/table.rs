//! What is remembered of sockets where no typed pointer leads to their own storage: a table by
//! the address of the `struct sock`.
//!
//! An address is a socket's own only as long as the socket lives, and is used again soon. The
//! kernel tells of both ends of a life (`inet_sock_set_state`, `tcp_destroy_sock`); should a word
//! of that be missed, an entry is believed only for a socket with the same cookie and peer.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    helpers::generated::{bpf_get_smp_processor_id, bpf_get_socket_cookie},
    macros::map,
    maps::{HashMap, PerCpuArray},
};
use tracebee_common::{counter, record::tcp, tables};

use crate::{
    emit, layout,
    memory::{Memory, Typed},
    socket::{self, Socket},
    state::Home,
};

/// One socket.
#[derive(Default)]
#[repr(C)]
pub(super) struct Entry {
    pub(super) socket: Socket,
    /// The kernel's cookie of the socket, 0 if nobody had asked for one when it was made.
    cookie: u64,
    /// Thread that is in a send, 0 if none.
    pub(super) sender: u32,
    /// Port of the peer, in network order.
    peer: u16,
    /// Explicit padding.
    reserved: u16,
}

/// Connections of the host; memory is taken as they come. A table that is full is counted.
#[map]
static TABLE: HashMap<u64, Entry> = HashMap::with_max_entries(tables::SOCKETS, BPF_F_NO_PREALLOC);

/// Where a new entry is made: too large for the stack, of which old verifiers (6.1) give a program and
/// what it calls 512 bytes together.
#[map]
static NEW_ENTRY: PerCpuArray<Entry> = PerCpuArray::with_max_entries(1, 0);

/// How many sockets without a cookie each CPU has met.
#[map]
static UNNAMED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// The entry of a socket, and whether it was made now: then the connection is older than the agent.
/// None for a socket that is not connected.
///
/// # Safety
/// `tp` is a `struct tcp_sock`.
#[inline(always)]
pub(super) unsafe fn get_or_join<M: Memory>(tp: M) -> Option<(&'static mut Entry, bool)> {
    // SAFETY: passed on to the caller.
    unsafe {
        if let Some(entry) = get(tp) {
            return Some((entry, false));
        }
        let state: u8 = tp.read(layout::skc_state());
        if !matches!(
            state,
            tcp::ESTABLISHED | tcp::CLOSE_WAIT | tcp::FIN_WAIT1 | tcp::FIN_WAIT2 | tcp::LAST_ACK
        ) {
            return None;
        }
        let cookie: u64 = tp.read(layout::skc_cookie());
        let entry = blank(tp, cookie)?;
        entry.socket.cookie = if cookie != 0 { cookie } else { unnamed() };
        socket::join(&mut entry.socket, tp);
        insert(tp, entry).map(|entry| (entry, true))
    }
}

/// The entry of a socket, if it has one.
///
/// # Safety
/// As [`get_or_join`].
#[inline(always)]
pub(super) unsafe fn get<M: Memory>(tp: M) -> Option<&'static mut Entry> {
    // SAFETY: passed on to the caller. The entry stays as long as the socket does, which a
    // descriptor of the current call holds, or the hook's own argument.
    unsafe {
        let entry = &mut *TABLE.get_ptr_mut(tp.address() as u64)?;
        let cookie: u64 = tp.read(layout::skc_cookie());
        let peer: u16 = tp.read(layout::skc_dport());
        // Somebody may have asked for the cookie since.
        let same = (entry.cookie == cookie || entry.cookie == 0) && entry.peer == peer;
        if same { Some(entry) } else { None }
    }
}

/// Forgets a socket that is gone.
#[inline(always)]
pub(super) fn forget(sk: u64) {
    // Absent is what is wanted.
    let _ = TABLE.remove(sk);
}

/// The table, for the hook that tells of connections made and ended.
pub(super) struct Table;

impl Home for Table {
    #[inline(always)]
    unsafe fn get(sk: *const u8) -> Option<&'static mut Socket> {
        // SAFETY: passed on to the caller; every `struct sock` begins with the members that are
        // read of it.
        unsafe { get(Typed::new(sk)).map(|entry| &mut entry.socket) }
    }

    #[inline(always)]
    unsafe fn begin(sk: *const u8, tp: Typed, role: u8) {
        // SAFETY: passed on to the caller.
        unsafe {
            let cookie = bpf_get_socket_cookie(sk.cast_mut().cast());
            let Some(entry) = blank(tp, cookie) else { return };
            entry.socket.cookie = cookie;
            socket::begin(&mut entry.socket, tp, role);
            insert(tp, entry);
        }
    }
}

/// An entry that is not in the table yet.
///
/// # Safety
/// As [`get_or_join`].
#[inline(always)]
unsafe fn blank<M: Memory>(tp: M, cookie: u64) -> Option<&'static mut Entry> {
    // SAFETY: this CPU's own; a program is not interrupted by another one that makes entries. The rest
    // is passed on to the caller.
    unsafe {
        let entry = &mut *NEW_ENTRY.get_ptr_mut(0)?;
        *entry = Entry { cookie, peer: tp.read(layout::skc_dport()), ..Entry::default() };
        Some(entry)
    }
}

#[inline(always)]
fn insert<M: Memory>(tp: M, entry: &Entry) -> Option<&'static mut Entry> {
    let key = tp.address() as u64;
    if TABLE.insert(key, entry, 0).is_err() {
        emit::count(counter::NO_STORAGE);
        return None;
    }
    // SAFETY: as in `get`.
    TABLE.get_ptr_mut(key).map(|entry| unsafe { &mut *entry })
}

/// A name for a socket that has no cookie: only a typed pointer could make it one. The kernel's
/// own count up from 0 or, made in an interrupt, down from the highest number; these lie between.
#[inline(always)]
pub(super) fn unnamed() -> u64 {
    const BETWEEN: u64 = 1 << 62;
    // SAFETY: a helper without arguments; this CPU's own slot, used with preemption off.
    unsafe {
        let cpu = u64::from(bpf_get_smp_processor_id());
        let Some(count) = UNNAMED.get_ptr_mut(0) else { return BETWEEN };
        *count += 1;
        BETWEEN | cpu << 40 | *count
    }
}
