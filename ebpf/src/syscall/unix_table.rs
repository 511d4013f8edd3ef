//! What is remembered of UNIX stream sockets, by the address of the `struct sock`.
//!
//! The kernel tells of neither end of their lives. An entry is believed for a socket with the same
//! inode number only; those that were not used for the longest time make room for others.

use aya_ebpf::{
    macros::map,
    maps::{LruHashMap, PerCpuArray},
};
use tracebee_common::{counter, tables};

use super::table::unnamed;
use crate::{
    emit, layout,
    memory::{Memory as _, Probed},
    unix::{self, End, Unix},
};

/// One socket.
#[derive(Default)]
#[repr(C)]
pub(super) struct Entry {
    pub(super) end: End,
    /// Thread that is in a send, 0 if none.
    pub(super) sender: u32,
    /// Explicit padding.
    reserved: u32,
}

/// Connected sockets that are known at once; user space sets it to none for the other backend, for
/// the memory is taken when the table is made.
#[map]
static UNIX_TABLE: LruHashMap<u64, Entry> = LruHashMap::with_max_entries(tables::UNIX_SOCKETS, 0);

/// Where a new entry is made, for the reason of the other table.
#[map]
static NEW_UNIX_ENTRY: PerCpuArray<Entry> = PerCpuArray::with_max_entries(1, 0);

/// The entry of the socket at `sk`, whose inode number is `inode`, made if there is none.
#[inline(always)]
pub(super) fn get_or_create(sk: Probed, inode: u32) -> Option<&'static mut Entry> {
    if let Some(entry) = get(sk.0, inode) {
        return Some(entry);
    }
    // SAFETY: an offset of a member.
    let cookie: u64 = unsafe { sk.read(layout::skc_cookie()) };
    // SAFETY: this CPU's own; a program is not interrupted by another one that makes entries.
    let entry = unsafe { &mut *NEW_UNIX_ENTRY.get_ptr_mut(0)? };
    *entry = Entry::default();
    entry.end.begin(sk.0, if cookie != 0 { cookie } else { unnamed() }, inode);
    if UNIX_TABLE.insert(sk.0, &*entry, 0).is_err() {
        emit::count(counter::NO_STORAGE);
        return None;
    }
    get(sk.0, inode)
}

/// The entry of the socket at address `sk`, if it is that of inode number `inode`.
#[inline(always)]
pub(super) fn get(sk: u64, inode: u32) -> Option<&'static mut Entry> {
    // SAFETY: entries are never freed, only given to another socket.
    let entry = unsafe { &mut *UNIX_TABLE.get_ptr_mut(sk)? };
    if entry.end.inode == inode { Some(entry) } else { None }
}

/// The socket with its peer, as far as that is known.
#[inline(always)]
pub(super) fn pair(sk: Probed, own: &'static mut End) -> Unix<Probed> {
    // SAFETY: offsets of members; every read is checked. Entries are never freed.
    let peer = unsafe {
        let address: u64 = sk.read(layout::unix_peer());
        if own.peer_inode == 0 && address != 0 {
            own.peer_inode = unix::inode(address);
        }
        UNIX_TABLE.get_ptr_mut(address).map(|entry| &mut (*entry).end)
    };
    // The address is the peer's as long as this socket refers to it, closed or not, but an entry
    // may be of one before it. Either of the two knows the other's number: one that is closed soon
    // may never have had one that this end could read.
    let peer = match peer {
        Some(peer)
            if own.peer_inode != 0 && peer.inode == own.peer_inode
                || own.inode != 0 && peer.peer_inode == own.inode =>
        {
            Some(peer)
        }
        _ => None,
    };
    Unix { sk, own, peer }
}
