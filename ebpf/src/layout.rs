//! Where the members of kernel structures are on the running kernel.
//!
//! User space finds the offsets in the kernel's BTF and sets these read-only globals before it
//! loads the object, so to the verifier they are constants.

use core::ptr::read_volatile;

macro_rules! globals {
    ($($(#[$doc:meta])* $function:ident = $name:ident;)*) => {
        $(
            #[unsafe(no_mangle)]
            static $name: u32 = 0;

            $(#[$doc])*
            #[inline(always)]
            pub(crate) fn $function() -> usize {
                // SAFETY: a plain static; volatile because the loader changes its value.
                unsafe { read_volatile(&raw const $name) as usize }
            }
        )*
    };
}

globals! {
    /// `struct sock_common.skc_family`.
    skc_family = SKC_FAMILY;
    /// `struct sock_common.skc_daddr`.
    skc_daddr = SKC_DADDR;
    /// `struct sock_common.skc_rcv_saddr`.
    skc_rcv_saddr = SKC_RCV_SADDR;
    /// `struct sock_common.skc_dport`.
    skc_dport = SKC_DPORT;
    /// `struct sock_common.skc_num`.
    skc_num = SKC_NUM;
    /// `struct sock_common.skc_v6_daddr`.
    skc_v6_daddr = SKC_V6_DADDR;
    /// `struct sock_common.skc_v6_rcv_saddr`.
    skc_v6_rcv_saddr = SKC_V6_RCV_SADDR;
    /// `struct sock_common.skc_net`.
    skc_net = SKC_NET;
    /// `struct sock_common.skc_state`.
    skc_state = SKC_STATE;
    /// `struct sock_common.skc_cookie`.
    skc_cookie = SKC_COOKIE;
    /// `struct net.ns.inum`.
    net_inum = NET_INUM;
    /// `struct sock.sk_err`.
    sk_err = SK_ERR;
    /// `struct sock.sk_protocol`.
    sk_protocol = SK_PROTOCOL;
    /// `struct inet_connection_sock.icsk_ulp_ops`.
    ulp_ops = ICSK_ULP_OPS;
    /// `struct sock.sk_wmem_queued`.
    sk_wmem_queued = SK_WMEM_QUEUED;
    /// `struct sock.sk_sndbuf`.
    sk_sndbuf = SK_SNDBUF;
    /// `struct tcp_sock.write_seq`.
    write_seq = TP_WRITE_SEQ;
    /// `struct tcp_sock.copied_seq`.
    copied_seq = TP_COPIED_SEQ;
    /// `struct tcp_sock.snd_una`.
    snd_una = TP_SND_UNA;
    /// `struct tcp_sock.rack.mstamp`: when the last acknowledged packet was sent, in microseconds.
    rack_mstamp = TP_RACK_MSTAMP;
    /// `struct tcp_sock.snd_nxt`.
    snd_nxt = TP_SND_NXT;
    /// `struct tcp_sock.rcv_nxt`.
    rcv_nxt = TP_RCV_NXT;
    /// `struct tcp_sock.bytes_sent`.
    bytes_sent = TP_BYTES_SENT;
    /// `struct tcp_sock.bytes_retrans`.
    bytes_retrans = TP_BYTES_RETRANS;
    /// `struct tcp_sock.bytes_received`.
    bytes_received = TP_BYTES_RECEIVED;
    /// `struct tcp_sock.tcp_mstamp`.
    tcp_mstamp = TP_TCP_MSTAMP;
    /// `struct tcp_sock.tcp_wstamp_ns`: when the last packet left.
    tcp_wstamp = TP_TCP_WSTAMP_NS;
    /// `struct tcp_sock.first_tx_mstamp`: when the last packet that is acknowledged left, or if
    /// there was nothing to acknowledge, the first one since; in microseconds.
    first_tx_mstamp = TP_FIRST_TX_MSTAMP;
    /// `struct msghdr.msg_iter.iter_type`.
    iter_type = ITER_TYPE;
    /// `struct msghdr.msg_iter.iov_offset`.
    iov_offset = ITER_IOV_OFFSET;
    /// `struct msghdr.msg_iter.count`.
    iter_count = ITER_COUNT;
    /// `struct msghdr.msg_iter.ubuf` and `.__iov`, which share their place.
    iter_pointer = ITER_POINTER;
    /// `struct msghdr.msg_iter.nr_segs`.
    nr_segs = ITER_NR_SEGS;
    /// Value of `ITER_UBUF`.
    iter_ubuf = ENUM_ITER_UBUF;
    /// Value of `ITER_IOVEC`.
    iter_iovec = ENUM_ITER_IOVEC;
    /// `struct task_struct.group_leader`.
    group_leader = TASK_GROUP_LEADER;
    /// `struct task_struct.start_boottime`.
    start_boottime = TASK_START_BOOTTIME;
    /// `struct task_struct.mm`.
    task_mm = TASK_MM;
    /// `struct task_struct.thread.fsbase`: where a thread's own data are (x86-64).
    task_fsbase = TASK_FSBASE;
    /// `struct task_struct.files`.
    task_files = TASK_FILES;
    /// `struct files_struct.fdt`.
    files_fdt = FILES_FDT;
    /// `struct fdtable.max_fds`.
    max_fds = FDTABLE_MAX_FDS;
    /// `struct fdtable.fd`.
    fdtable_fd = FDTABLE_FD;
    /// `struct file.f_inode`.
    file_inode = FILE_F_INODE;
    /// `struct file.f_ep`: the list of what waits for it by epoll.
    file_ep = FILE_F_EP;
    /// `struct epitem.fllink`: its place in that list.
    epitem_link = EPITEM_FLLINK;
    /// `struct epitem.event.data`: what the process gave epoll with it.
    epitem_data = EPITEM_EVENT_DATA;
    /// `struct file.private_data`.
    private_data = FILE_PRIVATE_DATA;
    /// `struct inode.i_mode`.
    inode_mode = INODE_I_MODE;
    /// `struct socket.sk`.
    socket_sk = SOCKET_SK;
    /// `struct socket.file`.
    socket_file = SOCKET_FILE;
    /// `struct inode.i_ino`.
    inode_number = INODE_I_INO;
    /// `struct sock.sk_type`.
    sk_type = SK_TYPE;
    /// `struct sock.sk_socket`.
    sk_socket = SK_SOCKET;
    /// `struct sock.sk_max_ack_backlog`.
    sk_max_ack_backlog = SK_MAX_ACK_BACKLOG;
    /// `struct sock.sk_shutdown`.
    sk_shutdown = SK_SHUTDOWN;
    /// `struct sock.sk_receive_queue.qlen`.
    sk_receive_queue_qlen = SK_RECEIVE_QUEUE_QLEN;
    /// `struct sock.sk_wmem_alloc`.
    sk_wmem_alloc = SK_WMEM_ALLOC;
    /// `struct unix_sock.peer`.
    unix_peer = UNIX_PEER;
    /// `struct unix_sock.addr`.
    unix_addr = UNIX_ADDR;
    /// `struct unix_address.len`: of the name, its family included.
    address_length = UNIX_ADDRESS_LEN;
    /// `struct unix_address.name`.
    address_name = UNIX_ADDRESS_NAME;
    /// `struct mm_struct.arg_start`.
    arg_start = MM_ARG_START;
    /// `struct mm_struct.arg_end`.
    arg_end = MM_ARG_END;
    /// `struct mm_struct.env_start`.
    env_start = MM_ENV_START;
    /// `struct mm_struct.env_end`.
    env_end = MM_ENV_END;
    /// Thread group id of the agent, whose own traffic is none of its business.
    own_pid = OWN_PID;
    /// Not 0: sends are only seen by `sock_send_length`, when they are over.
    lengths = LENGTHS;
    /// Bytes that may wait in the ring, but for the ends of connections.
    ring_room = RING_ROOM;
    /// The reader is woken whenever so many bytes more are waiting, a power of two.
    ring_wake = RING_WAKE;
}
