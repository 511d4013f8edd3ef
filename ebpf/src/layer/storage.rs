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
};

#[btf_map]
static SOCKETS: SkStorage<Socket> = SkStorage::new();

/// The socket's state, if it has one.
///
/// # Safety
/// `sk` is the typed argument of a tracepoint.
#[inline(always)]
pub(crate) unsafe fn get(sk: *const u8) -> Option<&'static mut Socket> {
    // SAFETY: see above; the storage lives as long as the program runs (RCU).
    unsafe { storage(sk, 0).as_mut() }
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
        let Some(state) = storage(sk, BPF_SK_STORAGE_GET_F_CREATE.into()).as_mut() else {
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
