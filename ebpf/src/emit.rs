//! Records into the ring, and the counters of what did not get there.

use aya_ebpf::{
    helpers::{bpf_ktime_get_boot_ns, generated::bpf_probe_read_kernel},
    macros::map,
    maps::{PerCpuArray, RingBuf},
};
use tracebee_common::{
    counter,
    record::{self, Conn, Header},
};

use crate::{layout, memory::Memory, process, socket::Tcp};

/// The one ring; user space sets its size.
#[map]
static RING: RingBuf = RingBuf::with_byte_size(16 * 1024 * 1024, 0);

#[map]
static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(counter::COUNT, 0);

const BPF_RB_AVAIL_DATA: u64 = 0;
const BPF_RB_NO_WAKEUP: u64 = 1;
const BPF_RB_FORCE_WAKEUP: u64 = 2;
const AF_INET: u16 = 2;

/// `CLOCK_BOOTTIME` in nanoseconds.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// Adds one to a counter.
#[inline(always)]
pub(crate) fn count(slot: u32) {
    if let Some(value) = COUNTERS.get_ptr_mut(slot) {
        // SAFETY: this CPU's own slot.
        unsafe { *value += 1 }
    }
}

/// Writes one record; false if there is no room, which is counted, and seen by the reader as a
/// jump of the number.
#[inline(always)]
pub(crate) fn output(bytes: &[u8]) -> bool {
    write(bytes, layout::ring_room() as u64)
}

/// Writes one of the records that tell how a connection ended: into the rest of the ring, too.
#[inline(always)]
pub(crate) fn output_last(bytes: &[u8]) -> bool {
    write(bytes, u64::MAX)
}

#[inline(always)]
fn write(bytes: &[u8], room: u64) -> bool {
    let waiting = RING.query(BPF_RB_AVAIL_DATA);
    if waiting + bytes.len() as u64 > room {
        count(counter::RING_FULL);
        return false;
    }
    let wake = layout::ring_wake() as u64;
    let crosses = (waiting & (wake - 1)) + bytes.len() as u64 >= wake;
    let flags = if crosses { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP };
    let written = RING.output::<[u8]>(bytes, flags).is_ok();
    if !written {
        count(counter::RING_FULL);
    }
    written
}

/// Writes one record and wakes the reader; false as in [`output`].
#[inline(always)]
pub(crate) fn output_now(bytes: &[u8]) -> bool {
    let room = layout::ring_room() as u64;
    let written = RING.query(BPF_RB_AVAIL_DATA) + bytes.len() as u64 <= room
        && RING.output::<[u8]>(bytes, BPF_RB_FORCE_WAKEUP).is_ok();
    if !written {
        count(counter::RING_FULL);
    }
    written
}

/// The header of the socket's next record.
#[inline(always)]
pub(crate) fn header<M: Memory>(tcp: &mut Tcp<M>, kind: u8, flags: u8, time: u64) -> Header {
    let number = tcp.state.number;
    tcp.state.number = number.wrapping_add(1);
    Header { kind, flags, reserved: 0, number, cookie: tcp.state.cookie, time }
}

/// Announces a connection, once, before its first data. False: there was no room; what follows
/// would mean nothing without it.
#[inline(always)]
pub(crate) fn open<M: Memory>(tcp: &mut Tcp<M>, pid: u32) -> bool {
    if tcp.state.opened != 0 {
        return true;
    }
    process::tell(pid);
    if tcp.state.pid == 0 {
        tcp.state.pid = pid;
    }
    announce(tcp, output)
}

/// Announces a connection in the end that found no room before: for it, there is some.
#[inline(always)]
pub(crate) fn open_last<M: Memory>(tcp: &mut Tcp<M>) -> bool {
    announce(tcp, output_last)
}

#[inline(always)]
fn announce<M: Memory>(tcp: &mut Tcp<M>, output: impl FnOnce(&[u8]) -> bool) -> bool {
    let time = now();
    let header = header(tcp, record::CONN, 0, time);
    let tp = tcp.tp;
    // SAFETY: the offsets are those of members; the addresses of 16 bytes are copied by a helper
    // that checks the read.
    unsafe {
        let mut conn = Conn {
            header,
            established: tcp.state.established,
            sent_base: tcp.state.sent_base,
            received_base: tcp.state.received_base,
            pid: tcp.state.pid,
            netns: 0,
            family: tp.read(layout::skc_family()),
            local_port: tcp.state.port,
            remote_port: u16::from_be(tp.read(layout::skc_dport())),
            role: tcp.state.role,
            reserved: 0,
            local: [0; 16],
            remote: [0; 16],
        };
        let base = tp.address();
        let (local, remote, size) = if conn.family == AF_INET {
            (layout::skc_rcv_saddr(), layout::skc_daddr(), 4)
        } else {
            (layout::skc_v6_rcv_saddr(), layout::skc_v6_daddr(), 16)
        };
        bpf_probe_read_kernel(conn.local.as_mut_ptr().cast(), size, base.add(local).cast());
        bpf_probe_read_kernel(conn.remote.as_mut_ptr().cast(), size, base.add(remote).cast());
        let mut net: u64 = 0;
        bpf_probe_read_kernel((&raw mut net).cast(), 8, base.add(layout::skc_net()).cast());
        bpf_probe_read_kernel(
            (&raw mut conn.netns).cast(),
            4,
            (net as *const u8).add(layout::net_inum()).cast(),
        );
        if !output(as_bytes(&conn)) {
            return false;
        }
    }
    tcp.state.opened = 1;
    true
}

/// The bytes of a record.
#[inline(always)]
pub(crate) fn as_bytes<T: zerocopy::IntoBytes + zerocopy::Immutable>(record: &T) -> &[u8] {
    record.as_bytes()
}
