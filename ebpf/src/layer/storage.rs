//! What is remembered of a socket, kept with the socket itself: no table to fill, nothing to clean
//! up. It takes a typed pointer to the socket.

use aya_ebpf::{
    bindings::BPF_SK_STORAGE_GET_F_CREATE,
    btf_maps::SkStorage,
    helpers::generated::{bpf_get_socket_cookie, bpf_sk_storage_get},
    macros::btf_map,
};
use core::ptr;
use tracebee_common::{counter, record};

use crate::{
    emit,
    memory::Typed,
    socket::{self, Socket, Tcp},
    state::Home,
    unix::End,
};

const CREATE: u64 = BPF_SK_STORAGE_GET_F_CREATE as u64;

#[btf_map]
static SOCKETS: SkStorage<Socket> = SkStorage::new();

#[btf_map]
static UNIX_SOCKETS: SkStorage<End> = SkStorage::new();

/// The socket's state, if it has one.
///
/// # Safety
/// `sk` is the typed argument of a tracepoint.
#[inline(always)]
pub(crate) unsafe fn get(sk: *const u8) -> Option<&'static mut Socket> {
    // SAFETY: see above; the storage lives as long as the program runs (RCU).
    unsafe { storage((&raw const SOCKETS).cast(), sk, 0).cast::<Socket>().as_mut() }
}

/// The same of a UNIX socket; `sk` may also be the peer that such an argument leads to.
///
/// # Safety
/// As [`get`].
#[inline(always)]
pub(crate) unsafe fn end(sk: *const u8) -> Option<&'static mut End> {
    // SAFETY: see above.
    unsafe { storage((&raw const UNIX_SOCKETS).cast(), sk, 0).cast::<End>().as_mut() }
}

/// The same, made if it has none: all zero.
///
/// # Safety
/// As [`get`].
#[inline(always)]
pub(crate) unsafe fn end_or_create(sk: *const u8) -> Option<&'static mut End> {
    // SAFETY: see above.
    let end =
        unsafe { storage((&raw const UNIX_SOCKETS).cast(), sk, CREATE).cast::<End>().as_mut() };
    if end.is_none() {
        emit::count(counter::NO_STORAGE);
    }
    end
}

/// The socket's state, made if it has none: then the connection is older than the agent, unless
/// `role` tells otherwise.
///
/// # Safety
/// As [`get`].
#[inline(always)]
pub(crate) unsafe fn get_or_create(sk: *const u8, tp: Typed, role: u8) -> Option<Tcp<Typed>> {
    // SAFETY: see above.
    unsafe {
        let made = storage((&raw const SOCKETS).cast(), sk, CREATE).cast::<Socket>();
        let Some(state) = made.as_mut() else {
            emit::count(counter::NO_STORAGE);
            return None;
        };
        let mut joined = false;
        if state.cookie == 0 {
            state.cookie = bpf_get_socket_cookie(sk.cast_mut().cast());
            joined = role == record::ROLE_UNKNOWN;
            if joined {
                socket::join(state, tp);
            } else {
                socket::begin(state, tp, role);
            }
        }
        Some(Tcp { tp, state, joined })
    }
}

/// The storage of the sockets themselves.
pub(super) struct Storage;

impl Home for Storage {
    #[inline(always)]
    unsafe fn get(sk: *const u8) -> Option<&'static mut Socket> {
        // SAFETY: passed on to the caller.
        unsafe { get(sk) }
    }

    #[inline(always)]
    unsafe fn begin(sk: *const u8, tp: Typed, role: u8) {
        // SAFETY: passed on to the caller.
        unsafe { get_or_create(sk, tp, role) };
    }
}

#[inline(always)]
unsafe fn storage(map: *const u8, sk: *const u8, flags: u64) -> *mut u8 {
    // SAFETY: the map is a static; the verifier checks `sk`.
    unsafe {
        bpf_sk_storage_get(map.cast_mut().cast(), sk.cast_mut().cast(), ptr::null_mut(), flags)
            .cast::<u8>()
    }
}
