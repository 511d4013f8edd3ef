//! The sockets that may be traced, by their descriptors.

use crate::{
    descriptor, layout,
    memory::{Memory as _, Probed, kernel},
    unix,
};

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const IPPROTO_TCP: u16 = 6;

/// A socket that may be traced.
#[derive(Clone, Copy)]
pub(super) enum Found {
    /// A `struct tcp_sock`.
    Tcp(Probed),
    /// A `struct unix_sock` of a stream, and its inode number.
    Unix(Probed, u32),
}

/// The socket that descriptor `fd` names; none if it is of another kind (MPTCP included), or if a
/// protocol between it and the process changes the bytes (kTLS).
#[inline(always)]
pub(super) fn socket(fd: u64) -> Option<Found> {
    let (sk, inode) = descriptor::sock(descriptor::file(fd as u32))?;
    let tp = Probed(sk);
    // SAFETY: every read is checked.
    unsafe {
        let family: u16 = tp.read(layout::skc_family());
        if family == AF_UNIX {
            let number: u64 = kernel(inode, layout::inode_number());
            return if unix::streams(tp) { Some(Found::Unix(tp, number as u32)) } else { None };
        }
        if family != AF_INET && family != AF_INET6 {
            return None;
        }
        if tp.read::<u16>(layout::sk_protocol()) != IPPROTO_TCP {
            return None;
        }
        if tp.read::<u64>(layout::ulp_ops()) != 0 {
            return None;
        }
        Some(Found::Tcp(tp))
    }
}
