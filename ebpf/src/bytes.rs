//! Copying a process's bytes into a data record.

use aya_ebpf::{
    helpers::generated::{
        bpf_get_smp_processor_id, bpf_loop, bpf_probe_read_kernel, bpf_probe_read_user,
    },
    maps::Array,
};
use core::ffi::c_void;
use tracebee_common::{
    CAPTURE_MAX, MESSAGE_MAX,
    record::{Data, FLAG_FIRST, FLAG_REST, TAIL},
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

/// Bytes of one record, where more follow.
const PIECE: u64 = CAPTURE_MAX as u64;

/// Records of one read or write, at most.
const PIECES: u32 = MESSAGE_MAX.div_ceil(CAPTURE_MAX) as u32;

/// How many of `length` bytes to capture now.
#[inline(always)]
pub(crate) fn allowance(state: &Socket, length: u64) -> u64 {
    let limit = if state.whole != 0 {
        MESSAGE_MAX as u64
    } else if length <= SHORT && state.brief == 0 {
        SHORT
    } else {
        state.budget as u64
    };
    if length < limit { length } else { limit }
}

/// As many of them as one record holds.
#[inline(always)]
pub(crate) fn of_one(wanted: u64) -> u64 {
    if wanted < PIECE { wanted } else { PIECE }
}

/// Where the bytes of a read or write lie.
#[derive(Clone, Copy)]
pub(crate) enum Body {
    Buffer(u64),
    Vector(Vector),
    /// Pages of a sendfile or splice, and what a call that is not known moved: counted by position,
    /// not read.
    Unseen,
}

/// What lies in the area of a record: bytes of the front of a message, then of its end.
#[derive(Clone, Copy)]
struct Captured {
    front: u32,
    tail: u32,
}

/// The front of a read or write, in the area of its first record.
pub(crate) struct Copied {
    captured: Captured,
    /// All that is to be captured of this record could be.
    pub(crate) whole: bool,
    /// Bytes that the record tells of.
    pub(crate) length: u64,
    /// Bytes behind these, and how many of them are to be captured.
    left: u64,
    wanted: u64,
}

/// Copies the front of `length` bytes for the first record, of which `wanted` are to be captured in
/// all.
#[inline(always)]
pub(crate) fn copy(scratch: &mut Scratch, body: Body, length: u64, wanted: u64) -> Copied {
    begin(scratch, body);
    let mut scratch: *mut Scratch = scratch;
    next(&mut scratch, length, wanted)
}

/// Copies the next record's bytes of the `length` that are left. `scratch` points to a live reference: it
/// is what the callback of [`copy_next`] is given.
#[inline(always)]
fn next(scratch: &mut *mut Scratch, length: u64, wanted: u64) -> Copied {
    if wanted <= PIECE {
        let captured = copy_next(scratch, length, wanted);
        let whole = u64::from(captured.front) == wanted;
        return Copied { captured, whole, length, left: 0, wanted: 0 };
    }
    let Captured { front, .. } = copy_next(scratch, PIECE, PIECE);
    let captured = Captured { front, tail: 0 };
    if u64::from(front) < PIECE {
        return Copied { captured, whole: false, length, left: 0, wanted: 0 };
    }
    let (left, wanted) = (length - PIECE, wanted - PIECE);
    Copied { captured, whole: true, length: PIECE, left, wanted }
}

/// A walk over the segments of a vector, as the callback of `bpf_loop` sees it. A plain loop of
/// this length has more paths than the verifier follows. It lies in the map, not on the stack:
/// what the verifier knows nothing of, it does not tell iterations apart by.
#[repr(C)]
struct Walk {
    /// The next segment's `struct iovec`.
    vector: u64,
    /// 1: the vector itself (not what it points to) lies in kernel memory.
    imported: u64,
    /// Segments from there on.
    count: u64,
    /// Bytes of the next segment that are not part of the message, or are behind.
    skip: u64,
    /// Bytes of this record from here on.
    left: u64,
    /// Bytes to copy, and how many were.
    limit: u64,
    filled: u64,
    /// The last segment: where it is, and how many bytes of the record it has.
    last: u64,
    last_length: u64,
    /// Not 0: there is no vector, but one buffer, whose next byte is here.
    buffer: u64,
    /// Bytes of the message behind this record, and how many of them are to be captured.
    rest: u64,
    wanted: u64,
}

/// Where the segments of a message are.
#[derive(Clone, Copy)]
pub(crate) struct Vector {
    /// Address of the `struct iovec`s.
    pub(crate) address: u64,
    /// Whether they (not what they point to) lie in kernel memory.
    pub(crate) imported: bool,
    /// How many there are.
    pub(crate) count: u64,
    /// Bytes of the first segment that are not part of the message.
    pub(crate) skip: u64,
}

/// Goes to the first byte of a message.
#[inline(always)]
fn begin(scratch: &mut Scratch, body: Body) {
    let walk = &mut scratch.walk;
    (walk.buffer, walk.count) = (0, 0);
    match body {
        Body::Buffer(address) => walk.buffer = address,
        Body::Vector(from) => {
            walk.vector = from.address;
            walk.imported = from.imported as u64;
            walk.count = from.count;
            walk.skip = from.skip;
        }
        Body::Unseen => {}
    }
}

/// Copies up to `limit` of the next `length` bytes of a message and, if that is not all, the last of
/// them, or of their last segment; nothing of what cannot be read.
#[inline(always)]
fn copy_next(context: &mut *mut Scratch, length: u64, limit: u64) -> Captured {
    // SAFETY: as `next` says.
    let scratch = unsafe { &mut **context };
    let buffer = scratch.walk.buffer;
    if buffer != 0 {
        scratch.walk.buffer = buffer + length;
        let front = append(scratch, 0, buffer, limit);
        let all = u64::from(front) == length;
        return Captured {
            front,
            tail: if all { 0 } else { append_tail(scratch, front, buffer, length) },
        };
    }
    let walk = &mut scratch.walk;
    (walk.left, walk.limit, walk.filled) = (length, limit, 0);
    (walk.last, walk.last_length) = (0, 0);
    // SAFETY: the callback gets exactly this context, which outlives the call.
    let (filled, last, last_length) = unsafe {
        bpf_loop(SEGMENTS, next_segment as *mut c_void, (&raw mut *context).cast(), 0);
        let walk = &raw const (**context).walk;
        (
            (&raw const (*walk).filled).read_volatile(),
            (&raw const (*walk).last).read_volatile(),
            (&raw const (*walk).last_length).read_volatile(),
        )
    };
    let front = filled as u32;
    let all = filled == length;
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

unsafe extern "C" fn next_segment(_index: u32, context: *mut c_void) -> i64 {
    // SAFETY: `context` is that of `copy_next`, a live reference.
    let scratch = unsafe { &mut **context.cast::<*mut Scratch>() };
    let walk = &mut scratch.walk;
    if walk.count == 0 || walk.left == 0 {
        return STOP;
    }
    let mut segment = [0u64; 2];
    let from = walk.vector as *const _;
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
    let (base, length) = (segment[0] + walk.skip, segment[1].saturating_sub(walk.skip));
    let here = if length <= walk.left { length } else { walk.left };
    if here == length {
        walk.vector += 16;
        walk.count -= 1;
        walk.skip = 0;
    } else {
        walk.skip += here;
    }
    if here == 0 {
        return GO_ON;
    }
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

/// Copies 1 to [`CAPTURE_MAX`] bytes at `base` behind the first `at` of the area; how many: none if
/// they cannot be read.
#[inline(always)]
fn append(scratch: &mut Scratch, at: u32, base: u64, length: u64) -> u32 {
    const MASK: u32 = CAPTURE_MAX as u32 - 1;
    if length == 0 {
        return 0;
    }
    let length = (core::hint::black_box(length as u32 - 1) & MASK) + 1;
    let at = core::hint::black_box(at) & MASK;
    // SAFETY: the offset is below CAPTURE_MAX, the length not above it, and the area is twice that.
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
/// if they cannot be read, or if there is no room.
#[inline(always)]
fn append_tail(scratch: &mut Scratch, at: u32, base: u64, length: u64) -> u32 {
    if at >= CAPTURE_MAX as u32 {
        return 0;
    }
    let wanted = if length < TAIL as u64 { length } else { TAIL as u64 };
    append(scratch, at, base + length - wanted, wanted)
}

/// Writes the records with what was captured: the first, which is about `copied`, and those of the
/// bytes behind it.
#[inline(always)]
pub(crate) fn output(scratch: &mut Scratch, state: &mut Socket, copied: Copied) {
    scratch.data.length = copied.length as u32;
    write(scratch, copied.captured);
    if copied.left == 0 {
        return;
    }
    (scratch.walk.rest, scratch.walk.wanted) = (copied.left, copied.wanted);
    let mut context = Pieces { scratch, state };
    // SAFETY: the callback gets exactly this context, which outlives the call.
    unsafe { bpf_loop(PIECES, next_piece as *mut c_void, (&raw mut context).cast(), 0) };
}

/// What the callback of [`output`] sees.
#[repr(C)]
struct Pieces {
    scratch: *mut Scratch,
    state: *mut Socket,
}

unsafe extern "C" fn next_piece(_index: u32, context: *mut c_void) -> i64 {
    // SAFETY: `context` is that of `output`: live references.
    let Pieces { scratch: context, state } = unsafe { &mut *context.cast::<Pieces>() };
    // SAFETY: as above.
    let (scratch, state) = unsafe { (&mut **context, &mut **state) };
    // In place: this is called by a program with a stack of its own and calls another, and older
    // kernels (6.1) give all three 512 bytes together.
    let header = &mut scratch.data.header;
    header.number = state.number;
    state.number = header.number.wrapping_add(1);
    header.losses = emit::losses();
    header.flags = header.flags & !FLAG_FIRST | FLAG_REST;
    scratch.data.position += u64::from(scratch.data.length);
    let (rest, wanted) = (scratch.walk.rest, scratch.walk.wanted);
    let copied = next(context, rest, wanted);
    (scratch.walk.rest, scratch.walk.wanted) = (copied.left, copied.wanted);
    scratch.data.length = copied.length as u32;
    write(scratch, copied.captured);
    if scratch.walk.rest == 0 { STOP } else { GO_ON }
}

#[inline(always)]
fn write(scratch: &mut Scratch, captured: Captured) {
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
