//! From a descriptor of the current process to its file, and to its socket.

use aya_ebpf::helpers::generated::bpf_get_current_task_btf;

use crate::{
    layout,
    memory::{kernel, member},
};

const S_IFMT: u16 = 0o170_000;
const S_IFSOCK: u16 = 0o140_000;

/// The `struct file` that descriptor `fd` names, 0 if there is none.
#[inline(always)]
pub(crate) fn file(fd: u32) -> u64 {
    // SAFETY: typed pointers from the current task on, as far as the types say where they lead;
    // from there on every read is checked.
    unsafe {
        let task = bpf_get_current_task_btf() as *const u8;
        let files: *const u8 = member(task, layout::task_files());
        if files.is_null() {
            return 0;
        }
        let table: *const u8 = member(files, layout::files_fdt());
        if table.is_null() {
            return 0;
        }
        let count: u32 = member(table, layout::max_fds());
        if fd >= count {
            return 0;
        }
        let descriptors: u64 = member(table, layout::fdtable_fd());
        kernel(descriptors + u64::from(fd) * 8, 0)
    }
}

/// The `struct sock` of a `struct file`, and its inode; none if it is no socket's.
#[inline(always)]
pub(crate) fn sock(file: u64) -> Option<(u64, u64)> {
    // SAFETY: every read is checked, and of nothing comes zero.
    unsafe {
        let inode: u64 = kernel(file, layout::file_inode());
        let mode: u16 = kernel(inode, layout::inode_mode());
        if mode & S_IFMT != S_IFSOCK {
            return None;
        }
        let socket: u64 = kernel(file, layout::private_data());
        Some((kernel(socket, layout::socket_sk()), inode))
    }
}
