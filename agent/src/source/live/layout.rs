//! Where members of kernel structures are, from the running kernel's own type information.

use btf_rs::{Btf, Type};

/// The kernel's type information.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Why an offset could not be found.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The file is not there or is damaged.
    #[error(
        "reading the kernel's type information {VMLINUX}: {0}; it needs a kernel built with \
         CONFIG_DEBUG_INFO_BTF=y"
    )]
    Unreadable(btf_rs::Error),
    /// The kernel has no such member.
    #[error("this kernel's {0} has no member {1}")]
    Missing(&'static str, &'static str),
}

/// How the kernel programs get to see what goes through sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Tracepoints of the socket layer.
    Socket,
    /// Those of them that tell of sends when they are over.
    Lengths,
    /// Tracepoints of all system calls.
    Syscall,
}

/// The read-only globals of the kernel programs, by name, and the member that each stands for.
/// A path may go through anonymous structures and unions without naming them. These are needed
/// always.
const MEMBERS: &[(&str, &str, &str)] = &[
    ("SKC_FAMILY", "sock_common", "skc_family"),
    ("SKC_DADDR", "sock_common", "skc_daddr"),
    ("SKC_RCV_SADDR", "sock_common", "skc_rcv_saddr"),
    ("SKC_DPORT", "sock_common", "skc_dport"),
    ("SKC_NUM", "sock_common", "skc_num"),
    ("SKC_V6_DADDR", "sock_common", "skc_v6_daddr"),
    ("SKC_V6_RCV_SADDR", "sock_common", "skc_v6_rcv_saddr"),
    ("SKC_NET", "sock_common", "skc_net"),
    ("SKC_STATE", "sock_common", "skc_state"),
    ("NET_INUM", "net", "ns.inum"),
    ("SK_ERR", "sock", "sk_err"),
    ("SK_WMEM_QUEUED", "sock", "sk_wmem_queued"),
    ("SK_SNDBUF", "sock", "sk_sndbuf"),
    ("TP_WRITE_SEQ", "tcp_sock", "write_seq"),
    ("TP_COPIED_SEQ", "tcp_sock", "copied_seq"),
    ("TP_SND_UNA", "tcp_sock", "snd_una"),
    ("TP_RACK_MSTAMP", "tcp_sock", "rack.mstamp"),
    ("TP_SND_NXT", "tcp_sock", "snd_nxt"),
    ("TP_RCV_NXT", "tcp_sock", "rcv_nxt"),
    ("TP_BYTES_SENT", "tcp_sock", "bytes_sent"),
    ("TP_BYTES_RETRANS", "tcp_sock", "bytes_retrans"),
    ("TP_BYTES_RECEIVED", "tcp_sock", "bytes_received"),
    ("TP_TCP_MSTAMP", "tcp_sock", "tcp_mstamp"),
    ("SK_TYPE", "sock", "sk_type"),
    ("SK_SOCKET", "sock", "sk_socket"),
    ("SK_SHUTDOWN", "sock", "sk_shutdown"),
    ("SK_MAX_ACK_BACKLOG", "sock", "sk_max_ack_backlog"),
    ("SK_RECEIVE_QUEUE_QLEN", "sock", "sk_receive_queue.qlen"),
    ("UNIX_PEER", "unix_sock", "peer"),
    ("UNIX_ADDR", "unix_sock", "addr"),
    ("UNIX_ADDRESS_LEN", "unix_address", "len"),
    ("UNIX_ADDRESS_NAME", "unix_address", "name"),
    ("SOCKET_FILE", "socket", "file"),
    ("FILE_F_INODE", "file", "f_inode"),
    ("INODE_I_INO", "inode", "i_ino"),
    ("TASK_GROUP_LEADER", "task_struct", "group_leader"),
    ("TASK_START_BOOTTIME", "task_struct", "start_boottime"),
    ("TASK_MM", "task_struct", "mm"),
    ("MM_ARG_START", "mm_struct", "arg_start"),
    ("MM_ARG_END", "mm_struct", "arg_end"),
    ("MM_ENV_START", "mm_struct", "env_start"),
    ("MM_ENV_END", "mm_struct", "env_end"),
    ("ICSK_ULP_OPS", "inet_connection_sock", "icsk_ulp_ops"),
    ("SKC_COOKIE", "sock_common", "skc_cookie"),
    ("SK_PROTOCOL", "sock", "sk_protocol"),
    ("TASK_FILES", "task_struct", "files"),
    ("FILES_FDT", "files_struct", "fdt"),
    ("FDTABLE_MAX_FDS", "fdtable", "max_fds"),
    ("FDTABLE_FD", "fdtable", "fd"),
    ("FILE_PRIVATE_DATA", "file", "private_data"),
    ("INODE_I_MODE", "inode", "i_mode"),
    ("SOCKET_SK", "socket", "sk"),
];

/// These by the hooks of the socket layer.
const SOCKET_MEMBERS: &[(&str, &str, &str)] = &[
    ("ITER_TYPE", "msghdr", "msg_iter.iter_type"),
    ("ITER_IOV_OFFSET", "msghdr", "msg_iter.iov_offset"),
    ("ITER_COUNT", "msghdr", "msg_iter.count"),
    ("ITER_POINTER", "msghdr", "msg_iter.ubuf"),
    ("ITER_NR_SEGS", "msghdr", "msg_iter.nr_segs"),
];

/// These where sends are told of when they are over.
const LENGTHS_MEMBERS: &[(&str, &str, &str)] = &[
    ("SKC_STATE", "sock_common", "skc_state"),
    ("TP_TCP_WSTAMP_NS", "tcp_sock", "tcp_wstamp_ns"),
    ("TP_FIRST_TX_MSTAMP", "tcp_sock", "first_tx_mstamp"),
];

/// These by the hooks of system calls.
const SYSCALL_MEMBERS: &[(&str, &str, &str)] = &[("SK_WMEM_ALLOC", "sock", "sk_wmem_alloc")];

/// These where the kernel has them; zero otherwise.
const OPTIONAL_MEMBERS: &[(&str, &str, &str)] = &[
    ("TASK_FSBASE", "task_struct", "thread.fsbase"),
    ("FILE_F_EP", "file", "f_ep"),
    ("EPITEM_FLLINK", "epitem", "fllink"),
    ("EPITEM_EVENT_DATA", "epitem", "event.data"),
];

/// Enumerators of the hooks of the socket layer whose values differ between kernels.
const SOCKET_ENUMERATORS: &[(&str, &str, &str)] =
    &[("ENUM_ITER_UBUF", "iter_type", "ITER_UBUF"), ("ENUM_ITER_IOVEC", "iter_type", "ITER_IOVEC")];

/// Values of the layout globals of a backend on this kernel.
///
/// # Errors
/// The type information cannot be read, or a member is missing.
pub fn read(backend: Backend) -> Result<Vec<(&'static str, u32)>, LayoutError> {
    let btf = Btf::from_file(VMLINUX).map_err(LayoutError::Unreadable)?;
    let (members, enumerators) = match backend {
        Backend::Socket => (SOCKET_MEMBERS, SOCKET_ENUMERATORS),
        Backend::Lengths => (LENGTHS_MEMBERS, [].as_slice()),
        Backend::Syscall => (SYSCALL_MEMBERS, [].as_slice()),
    };
    let mut values = Vec::new();
    for &(global, structure, path) in MEMBERS.iter().chain(members) {
        let offset = member(&btf, structure, path).ok_or(LayoutError::Missing(structure, path))?;
        values.push((global, offset));
    }
    for &(global, structure, path) in OPTIONAL_MEMBERS {
        values.push((global, member(&btf, structure, path).unwrap_or(0)));
    }
    for &(global, name, enumerator) in enumerators {
        let value = enumerator_value(&btf, name, enumerator)
            .ok_or(LayoutError::Missing(name, enumerator))?;
        values.push((global, value));
    }
    Ok(values)
}

fn member(btf: &Btf, structure: &str, path: &str) -> Option<u32> {
    let types = btf.resolve_types_by_name(structure).ok()?;
    let mut current = types.into_iter().find(|t| matches!(t, Type::Struct(_)))?;
    let mut offset = 0;
    for name in path.split('.') {
        let (bits, next) = find(btf, &current, name, 0)?;
        offset += bits / 8;
        current = next;
    }
    Some(offset)
}

/// Nesting of anonymous structures that is followed; the kernel has about three.
const MAX_NESTING: u32 = 8;

fn find(btf: &Btf, within: &Type, name: &str, depth: u32) -> Option<(u32, Type)> {
    let (Type::Struct(structure) | Type::Union(structure)) = within else { return None };
    if depth > MAX_NESTING {
        return None;
    }
    for member in &structure.members {
        let found = btf.resolve_name(member).unwrap_or_default();
        if found == name {
            return Some((member.bit_offset(), resolve(btf, member)?));
        }
        if found.is_empty()
            && let Some((bits, inner)) =
                resolve(btf, member).and_then(|inner| find(btf, &inner, name, depth + 1))
        {
            return Some((member.bit_offset() + bits, inner));
        }
    }
    None
}

/// The member's type without `typedef`, `const` and `volatile`.
fn resolve(btf: &Btf, member: &btf_rs::Member) -> Option<Type> {
    let mut current = btf.resolve_chained_type(member).ok()?;
    for _ in 0..MAX_NESTING {
        current = match &current {
            Type::Typedef(t) => btf.resolve_chained_type(t).ok()?,
            Type::Const(t) | Type::Volatile(t) => btf.resolve_chained_type(t).ok()?,
            _ => return Some(current),
        };
    }
    None
}

fn enumerator_value(btf: &Btf, name: &str, enumerator: &str) -> Option<u32> {
    btf.resolve_types_by_name(name).ok()?.into_iter().find_map(|t| {
        let Type::Enum(found) = t else { return None };
        found
            .members
            .iter()
            .find(|m| btf.resolve_name(*m).is_ok_and(|n| n == enumerator))
            .map(btf_rs::EnumMember::val)
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn finds_every_member_on_this_kernel() {
        if !std::path::Path::new(super::VMLINUX).exists() {
            println!("skipped: this kernel has no {}", super::VMLINUX);
            return;
        }
        for backend in [super::Backend::Socket, super::Backend::Lengths, super::Backend::Syscall] {
            super::read(backend).expect("this kernel has all members");
        }
    }
}
