//! UNIX stream sockets.

use aya_ebpf::{helpers::generated::bpf_probe_read_user, programs::BtfTracePointContext};
use tracebee_common::counter;

use super::unix_table;
use crate::{
    arch::{self, Call},
    bytes::Body,
    emit, layout,
    memory::{Memory as _, Probed, kernel},
    receive::Arrival,
    send::{self, Told},
    socket::{self, SENT, Who},
    unix,
};

/// A send begins on the socket at `sk`.
#[inline(always)]
pub(super) fn entered(sk: Probed, inode: u32, who: Who, call: &Call) {
    let Some(entry) = unix_table::get_or_create(sk, inode) else { return };
    if entry.sender != 0 && entry.sender != who.tid {
        // Two threads at once: whose bytes go first is decided behind this hook. A gap.
        emit::count(counter::UNREADABLE);
        return;
    }
    entry.sender = who.tid;
    let mut unix = unix_table::pair(sk, &mut entry.end);
    if !room(sk) {
        // The send waits or fails. What came of it is known when it returns.
        return;
    }
    let Some((left, body)) = send::message(call) else { return };
    if left == 0 {
        return;
    }
    let received = unix.peer_received();
    let socket = &mut unix.own.socket;
    if received > socket.sent {
        // Bytes went by another way.
        socket.sent = received;
    }
    let position = socket.sent;
    socket.announced = position + left;
    let Some(first) = socket::turn(socket, SENT, position) else { return };
    socket.pending = send::PENDING;
    // How much of it goes at once depends on how the kernel cuts it into packets.
    let sure = send::sure(left, i32::MAX) && call.number != arch::SENDMMSG && healthy(&unix);
    let told = Told { first, sure, again: false, time: emit::now() };
    send::tell(&mut unix, who, position, left, body, told);
}

/// A send returned `result`.
#[inline(always)]
pub(super) fn returned(sk: Probed, inode: u32, who: Who, call: &Call, result: i64) {
    let Some(entry) = unix_table::get(sk.0, inode) else { return };
    if entry.sender != who.tid {
        return;
    }
    entry.sender = 0;
    let mut unix = unix_table::pair(sk, &mut entry.end);
    // SAFETY: `sk` is a UNIX stream socket.
    unsafe {
        if result < 0 {
            unix::returned(&mut unix, 0);
            unix::ended(&mut unix, result as i32);
            return;
        }
        let length =
            if call.number == arch::SENDMMSG { several(call, result) } else { result as u64 };
        if length == 0 {
            return;
        }
        if unix.own.socket.announced > unix.own.socket.sent {
            unix::returned(&mut unix, length);
            return;
        }
        unix::sent(&mut unix, who, length, || match send::message(call) {
            Some((_, body)) if call.number != arch::SENDMMSG => body,
            _ => Body::Unseen,
        });
    }
}

/// A receive returned `result`.
#[inline(always)]
pub(super) fn received(
    ctx: &BtfTracePointContext,
    sk: Probed,
    inode: u32,
    who: Who,
    arrived: Arrival<impl FnOnce() -> Call>,
) {
    let Some(entry) = unix_table::get_or_create(sk, inode) else { return };
    let mut unix = unix_table::pair(sk, &mut entry.end);
    // SAFETY: `sk` is a UNIX stream socket.
    unsafe { unix::received(ctx, &mut unix, who, arrived) }
}

/// A receive returned `result`, which is no number of bytes.
#[inline(always)]
pub(super) fn ended(sk: Probed, inode: u32, result: i64) {
    let Some(entry) = unix_table::get(sk.0, inode) else { return };
    let mut unix = unix_table::pair(sk, &mut entry.end);
    // SAFETY: `sk` is a UNIX stream socket.
    unsafe { unix::ended(&mut unix, result as i32) }
}

/// True if the socket takes bytes now (`sock_writeable` decides by the same two).
#[inline(always)]
fn room(sk: Probed) -> bool {
    // SAFETY: offsets of members.
    unsafe { sk.read::<i32>(layout::sk_wmem_alloc()) < sk.read::<i32>(layout::sk_sndbuf()) }
}

/// True if nothing was seen that makes a send fail.
#[inline(always)]
fn healthy(unix: &unix::Unix<Probed>) -> bool {
    // SAFETY: offsets of members.
    unsafe {
        let peer: u64 = unix.sk.read(layout::unix_peer());
        unix.sk.read::<u8>(layout::sk_shutdown()) & unix::SEND_SHUTDOWN == 0
            && kernel::<u8>(peer, layout::sk_shutdown()) & unix::RCV_SHUTDOWN == 0
            && unix.sk.read::<i32>(layout::sk_err()) == 0
    }
}

/// Bytes of the messages that one `sendmmsg` or `recvmmsg` moved: each has its own count
/// (`struct mmsghdr`).
#[inline(always)]
pub(super) fn several(call: &Call, messages: i64) -> u64 {
    const SIZE: u64 = 64;
    const COUNT: u64 = 56;
    /// Who sends more at once over a stream is counted as unreadable.
    const MOST: i64 = 8;
    if messages > MOST {
        emit::count(counter::UNREADABLE);
    }
    let mut total = 0;
    for n in 0..MOST {
        if n >= messages {
            break;
        }
        let mut length = 0u32;
        let from = (call.second + n as u64 * SIZE + COUNT) as *const _;
        // SAFETY: a checked read into our stack.
        unsafe { bpf_probe_read_user((&raw mut length).cast(), 4, from) };
        total += u64::from(length);
    }
    total
}
