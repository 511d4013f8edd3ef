//! From a descriptor of the current process to its socket.

use aya_ebpf::helpers::generated::bpf_get_current_task_btf;

use crate::{
    layout,
    memory::{Memory as _, Probed, kernel, member},
    unix,
};

const S_IFMT: u16 = 0o170_000;
const S_IFSOCK: u16 = 0o140_000;
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
    let fd = fd as u32;
    // SAFETY: typed pointers from the current task on, as far as the types say where they lead;
    // from there on every read is checked.
    unsafe {
        let task = bpf_get_current_task_btf() as *const u8;
        let files: *const u8 = member(task, layout::task_files());
        if files.is_null() {
            return None;
        }
        let table: *const u8 = member(files, layout::files_fdt());
        if table.is_null() {
            return None;
        }
        let count: u32 = member(table, layout::max_fds());
        if fd >= count {
            return None;
        }
        let descriptors: u64 = member(table, layout::fdtable_fd());
        let file: u64 = kernel(descriptors + u64::from(fd) * 8, 0);
        let inode: u64 = kernel(file, layout::file_inode());
        let mode: u16 = kernel(inode, layout::inode_mode());
        if mode & S_IFMT != S_IFSOCK {
            return None;
        }
        let socket: u64 = kernel(file, layout::private_data());
        let tp = Probed(kernel(socket, layout::socket_sk()));
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
