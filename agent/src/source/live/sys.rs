//! The system call `bpf` where the loader's library does not know a command or a form of one.

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

use aya::maps::{Map, MapData};

/// `BPF_LINK_CREATE`.
pub(super) const LINK_CREATE: libc::c_long = 28;

/// A command whose answer is a descriptor; `attributes` is the part of `union bpf_attr`
/// (`include/uapi/linux/bpf.h`) that it reads, with padding spelled out.
pub(super) fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: attributes of this size, without padding; what they point to lives as long.
    let fd = unsafe {
        libc::syscall(libc::SYS_bpf, command, &raw const *attributes, size_of::<T>() as u32)
    };
    match i32::try_from(fd) {
        // SAFETY: a new descriptor, of which nothing else knows.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What any map of ours is.
pub(super) fn data(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::PerCpuHashMap(data)
        | Map::RingBuf(data)
        | Map::SkStorage(data) => Some(data),
        _ => None,
    }
}
