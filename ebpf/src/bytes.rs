//! Copying a process's bytes into a data record.

use aya_ebpf::{
    helpers::generated::{
        bpf_get_smp_processor_id, bpf_loop, bpf_probe_read_kernel, bpf_probe_read_user,
    },
    maps::Array,
};
use core::ffi::c_void;
use tracebee_common::{
    CAPTURE_MAX,
    record::{Data, TAIL},
};

use crate::{emit, socket::Socket};

/// Where a record is put together. The area behind the record is twice what is used, so that any
/// masked offset plus any masked length lies inside: the verifier wants to see that.
#[repr(C)]
pub(crate) struct Scratch {
    pub(crate) data: Data,
    pub(crate) bytes: [u8; 2 * CAPTURE_MAX],
    walk: Walk,
}

/// One area per CPU (a per-CPU map's values may not exceed 32 KiB). Each program has its own:
/// one may interrupt another, but none itself.
pub(crate) type Area = Array<Scratch>;

/// This CPU's area.
#[inline(always)]
pub(crate) fn scratch(area: &Area) -> Option<&'static mut Scratch> {
    // SAFETY: a helper without arguments; tracepoint programs stay on their CPU.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let scratch = area.get_ptr_mut(cpu)?;
    // SAFETY: nobody else uses this CPU's area of this program while it runs.
    Some(unsafe { &mut *scratch })
}

/// Segments of a vectored read or write that are looked at. The kernel takes no more (`UIO_MAXIOV`).
const SEGMENTS: u32 = 1024;

/// Reads and writes up to this length are captured whole, however much of the turn there was: they
/// are how pipelined answers and events come, and they cost less than the call that made them.
const SHORT: u64 = 4096;

/// How many of `length` bytes to capture now.
#[inline(always)]
pub(crate) fn allowance(state: &Socket, length: u64) -> u64 {
    let limit = if state.whole != 0 || length <= SHORT && state.brief == 0 {
        CAPTURE_MAX as u64 - 1
    } else {
        state.budget as u64
    };
    if length < limit { length } else { limit }
}

/// What lies in the area of a record: bytes of the front of a message, then of its end.
#[derive(Clone, Copy)]
pub(crate) struct Captured {
    pub(crate) front: u32,
    pub(crate) tail: u32,
}

impl Captured {
    pub(crate) const NOTHING: Self = Self { front: 0, tail: 0 };
}

/// Copies up to `limit` of `length` bytes from one buffer, none if they cannot be read, and the last
/// of them if that is not all.
#[inline(always)]
pub(crate) fn copy_one(scratch: &mut Scratch, base: u64, length: u64, limit: u64) -> Captured {
    let front = append(scratch, 0, base, limit);
    let all = u64::from(front) == length;
    Captured { front, tail: if all { 0 } else { append_tail(scratch, front, base, length) } }
}

/// A walk over the segments of a vector, as the callback of `bpf_loop` sees it. A plain loop of
/// this length has more paths than the verifier follows. It lies in the map, not on the stack:
/// what the verifier knows nothing of, it does not tell iterations apart by.
#[repr(C)]
struct Walk {
    vector: u64,
    /// 1: the vector itself (not what it points to) lies in kernel memory.
    imported: u64,
    count: u64,
    /// Bytes of the first segment that are not part of the message.
    skip: u64,
    /// Bytes of the message from here on.
    left: u64,
    /// Bytes to copy, and how many were.
    limit: u64,
    filled: u64,
    /// The last segment: where it is, and how many bytes of the message it has.
    last: u64,
    last_length: u64,
}

/// Where the segments of a message are.
pub(crate) struct Vector {
    /// Address of the `struct iovec`s.
    pub(crate) address: u64,
    /// Whether they (not what they point to) lie in kernel memory.
    pub(crate) imported: bool,
    /// How many there are.
    pub(crate) count: u64,
    /// Bytes of the first segment that are not part of the message.
    pub(crate) skip: u64,
    /// Bytes of the message.
    pub(crate) length: u64,
}

/// Copies up to `limit` bytes of a message in segments and, if that is not all, the last of the last
/// segment.
#[inline(always)]
pub(crate) fn copy_vector(scratch: &mut Scratch, from: &Vector, limit: u64) -> Captured {
    scratch.walk = Walk {
        vector: from.address,
        imported: from.imported as u64,
        count: from.count,
        skip: from.skip,
        left: from.length,
        limit,
        filled: 0,
        last: 0,
        last_length: 0,
    };
    let mut context: *mut Scratch = scratch;
    // SAFETY: the callback gets exactly this context, which outlives the call.
    let (filled, last, last_length) = unsafe {
        bpf_loop(SEGMENTS, next_segment as *mut c_void, (&raw mut context).cast(), 0);
        let walk = &raw const (*context).walk;
        (
            (&raw const (*walk).filled).read_volatile(),
            (&raw const (*walk).last).read_volatile(),
            (&raw const (*walk).last_length).read_volatile(),
        )
    };
    let front = filled as u32;
    let all = filled == from.length;
    Captured { front, tail: if all { 0 } else { append_tail(scratch, front, last, last_length) } }
}

/// Bytes that a vector has room for, as a read or write of it would see them.
#[inline(always)]
pub(crate) fn vector_length(scratch: &mut Scratch, address: u64, count: u64) -> u64 {
    scratch.walk.vector = address;
    scratch.walk.count = count;
    scratch.walk.left = 0;
    let mut context: *mut Scratch = scratch;
    // SAFETY: as in `copy_vector`.
    unsafe {
        bpf_loop(SEGMENTS, next_length as *mut c_void, (&raw mut context).cast(), 0);
        (&raw const (*context).walk.left).read_volatile()
    }
}

unsafe extern "C" fn next_length(index: u32, context: *mut c_void) -> i64 {
    // SAFETY: `context` is that of `vector_length`, a live reference.
    let scratch = unsafe { &mut **context.cast::<*mut Scratch>() };
    let walk = &mut scratch.walk;
    if u64::from(index) >= walk.count {
        return STOP;
    }
    let mut length = 0u64;
    let from = (walk.vector + u64::from(index) * 16 + 8) as *const _;
    // SAFETY: a checked read into our stack.
    if unsafe { bpf_probe_read_user((&raw mut length).cast(), 8, from) } != 0 {
        return STOP;
    }
    walk.left = walk.left.saturating_add(length);
    GO_ON
}

const GO_ON: i64 = 0;
const STOP: i64 = 1;

unsafe extern "C" fn next_segment(index: u32, context: *mut c_void) -> i64 {
    // SAFETY: `context` is that of `copy_vector`, a live reference.
    let scratch = unsafe { &mut **context.cast::<*mut Scratch>() };
    let walk = &mut scratch.walk;
    if u64::from(index) >= walk.count || walk.left == 0 {
        return STOP;
    }
    let mut segment = [0u64; 2];
    let from = (walk.vector + u64::from(index) * 16) as *const _;
    // SAFETY: checked reads into our stack.
    let failed = unsafe {
        if walk.imported != 0 {
            bpf_probe_read_kernel((&raw mut segment).cast(), 16, from)
        } else {
            bpf_probe_read_user((&raw mut segment).cast(), 16, from)
        }
    };
    if failed != 0 {
        return STOP;
    }
    let skip = walk.skip;
    walk.skip = 0;
    if segment[1] <= skip {
        return GO_ON;
    }
    let base = segment[0] + skip;
    let length = segment[1] - skip;
    let here = if length < walk.left { length } else { walk.left };
    walk.left -= here;
    if walk.left == 0 {
        (walk.last, walk.last_length) = (base, here);
    }
    let room = walk.limit - walk.filled;
    let wanted = if here < room { here } else { room };
    if wanted == 0 {
        return GO_ON;
    }
    let filled = walk.filled as u32;
    let copied = append(scratch, filled, base, wanted);
    scratch.walk.filled += u64::from(copied);
    if u64::from(copied) < wanted { STOP } else { GO_ON }
}

#[inline(always)]
fn append(scratch: &mut Scratch, at: u32, base: u64, length: u64) -> u32 {
    const MASK: u32 = CAPTURE_MAX as u32 - 1;
    let length = core::hint::black_box(length as u32) & MASK;
    let at = core::hint::black_box(at) & MASK;
    if length == 0 {
        return 0;
    }
    // SAFETY: offset and length are each below CAPTURE_MAX and the area is twice that.
    let failed = unsafe {
        bpf_probe_read_user(
            scratch.bytes.as_mut_ptr().add(at as usize).cast(),
            length,
            base as *const _,
        )
    };
    if failed != 0 { 0 } else { length }
}

/// Puts the last of `length` bytes at `base` behind the first `at` bytes of the area; how many: none
/// if they cannot be read.
#[inline(always)]
fn append_tail(scratch: &mut Scratch, at: u32, base: u64, length: u64) -> u32 {
    let wanted = if length < TAIL as u64 { length } else { TAIL as u64 };
    // Masked: older kernels lose sight of a bound that was compared.
    let wanted = core::hint::black_box(wanted as u32) & (2 * TAIL as u32 - 1);
    append(scratch, at, base + length - u64::from(wanted), u64::from(wanted))
}

/// Writes the record with what was captured.
#[inline(always)]
pub(crate) fn output(scratch: &mut Scratch, captured: Captured) {
    let Captured { front, tail } = captured;
    scratch.data.captured = front;
    scratch.data.tail = tail;
    let size = core::hint::black_box(front + tail) as usize & (2 * CAPTURE_MAX - 1);
    // SAFETY: record and area are contiguous (`repr(C)`, no padding) and `size` is inside.
    let bytes = unsafe {
        core::slice::from_raw_parts(
            core::ptr::from_ref(scratch).cast::<u8>(),
            size_of::<Data>() + size,
        )
    };
    emit::output(bytes);
}
