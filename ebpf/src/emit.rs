//! Records into the ring, and the counters of what did not get there.

use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    helpers::bpf_ktime_get_boot_ns,
    macros::map,
    maps::{Array, HashMap, PerCpuArray, RingBuf},
};
use tracebee_common::{
    counter,
    record::{Conn, Header, State},
    tables,
};
use zerocopy::FromBytes as _;

use crate::{
    layout,
    memory::Memory,
    process,
    socket::{ANNOUNCED, BESIDE, Connection, Socket, Tcp},
};

/// The one ring; user space sets its size.
#[map]
static RING: RingBuf = RingBuf::with_byte_size(16 * 1024 * 1024, 0);

/// Last records of connections for which the ring had no room, by cookie; user space takes them out.
#[map]
static LAST: HashMap<u64, State> = HashMap::with_max_entries(tables::LAST, BPF_F_NO_PREALLOC);

/// The announcements of those that were not announced before, which are taken out with them.
#[map]
static LAST_CONNS: HashMap<u64, Conn> = HashMap::with_max_entries(tables::LAST, BPF_F_NO_PREALLOC);

#[map]
static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(counter::COUNT, 0);

/// Records that found no room, of all CPUs, wrapping ([`Header::losses`]).
#[map]
static LOSSES: Array<u64> = Array::with_max_entries(1, 0);

const BPF_RB_AVAIL_DATA: u64 = 0;
const BPF_RB_NO_WAKEUP: u64 = 1;
const BPF_RB_FORCE_WAKEUP: u64 = 2;

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

/// A record found no room.
#[inline(always)]
fn lose() {
    count(counter::RING_FULL);
    if let Some(losses) = LOSSES.get_ptr_mut(0) {
        // SAFETY: the map's only value, which no program changes in another way. The stable
        // `fetch_add` is not there for a target that cannot compare and exchange.
        unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(losses, 1) };
    }
}

/// How many records found no room so far.
#[inline(always)]
pub(crate) fn losses() -> u16 {
    // SAFETY: as in `lose`.
    LOSSES.get_ptr(0).map_or(0, |losses| unsafe { losses.read_volatile() } as u16)
}

/// Writes one record; false if there is no room, which is counted, and seen by the reader as a
/// jump of the number.
#[inline(always)]
pub(crate) fn output(bytes: &[u8]) -> bool {
    write(bytes, layout::ring_room() as u64)
}

/// Writes the record that tells how a connection ended: into the rest of the ring, too, or beside it
/// if there is no room or its announcement (`opened`) is there.
#[inline(always)]
pub(crate) fn output_last(opened: u8, record: &State) {
    if opened == BESIDE || !write(as_bytes(record), u64::MAX) {
        // Without it, what else was lost on the connection would not be known.
        let _ = LAST.insert(record.header.cookie, record, 0);
    }
}

#[inline(always)]
fn write(bytes: &[u8], room: u64) -> bool {
    let waiting = RING.query(BPF_RB_AVAIL_DATA);
    if waiting + bytes.len() as u64 > room {
        lose();
        return false;
    }
    let wake = layout::ring_wake() as u64;
    let crosses = (waiting & (wake - 1)) + bytes.len() as u64 >= wake;
    let flags = if crosses { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP };
    let written = RING.output::<[u8]>(bytes, flags).is_ok();
    if !written {
        lose();
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
        lose();
    }
    written
}

/// The header of the socket's next record.
#[inline(always)]
pub(crate) fn header(state: &mut Socket, kind: u8, flags: u8, time: u64) -> Header {
    let number = state.number;
    state.number = number.wrapping_add(1);
    Header { kind, flags, losses: losses(), number, cookie: state.cookie, time }
}

/// Announces a connection, once, before its first data. False: there was no room; what follows
/// would mean nothing without it.
#[inline(always)]
pub(crate) fn open<C: Connection>(connection: &mut C, pid: u32) -> bool {
    if connection.state().opened != 0 {
        return true;
    }
    process::tell(pid);
    let state = connection.state();
    if state.pid == 0 {
        state.pid = pid;
    }
    announce(connection, output)
}

/// Announces a connection in the end that found no room before: for it, there is some, or some
/// beside the ring.
#[inline(always)]
pub(crate) fn open_last<M: Memory>(tcp: &mut Tcp<M>) -> bool {
    let mut written = false;
    let announced = announce(tcp, |bytes| {
        written = write(bytes, u64::MAX);
        written
            || Conn::ref_from_bytes(bytes)
                .is_ok_and(|conn| LAST_CONNS.insert(conn.header.cookie, conn, 0).is_ok())
    });
    if announced && !written {
        tcp.state.opened = BESIDE;
    }
    announced
}

#[inline(always)]
fn announce<C: Connection>(connection: &mut C, output: impl FnOnce(&[u8]) -> bool) -> bool {
    if !connection.announce(output) {
        return false;
    }
    connection.state().opened = ANNOUNCED;
    true
}

/// The bytes of a record.
#[inline(always)]
pub(crate) fn as_bytes<T: zerocopy::IntoBytes + zerocopy::Immutable>(record: &T) -> &[u8] {
    record.as_bytes()
}
