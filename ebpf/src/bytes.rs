//! Copying a process's bytes into a data record.

use aya_ebpf::{
    helpers::generated::{bpf_get_smp_processor_id, bpf_probe_read_user},
    maps::Array,
};
use tracebee_common::{CAPTURE_MAX, counter, mode, record::Data};

use crate::{emit, socket::Socket};

/// Where a record is put together. The area behind the record is twice what is used, so that any
/// masked offset plus any masked length lies inside: the verifier wants to see that.
#[repr(C)]
pub(crate) struct Scratch {
    pub(crate) data: Data,
    pub(crate) bytes: [u8; 2 * CAPTURE_MAX],
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

/// Segments of a vectored read or write that are looked at. Real programs write up to a few
/// hundred (gathering small chunks), at most `UIO_MAXIOV` (1024).
const SEGMENTS: u64 = 280;

/// How many of `length` bytes to capture now.
#[inline(always)]
pub(crate) fn allowance(state: &Socket, length: u64) -> u64 {
    let limit =
        if state.mode == mode::EVERYTHING { CAPTURE_MAX as u64 - 1 } else { state.budget as u64 };
    if length < limit { length } else { limit }
}

/// Copies up to `limit` bytes from one buffer; how many it was.
#[inline(always)]
pub(crate) fn copy_one(scratch: &mut Scratch, base: u64, limit: u64) -> u32 {
    append(scratch, 0, base, limit)
}

/// Copies up to `limit` bytes from a vector of `count` segments at `vector` in user memory,
/// without the first `skip` bytes of the first segment; how many it was.
#[inline(always)]
pub(crate) fn copy_vector(
    scratch: &mut Scratch,
    vector: u64,
    count: u64,
    skip: u64,
    limit: u64,
) -> u32 {
    let mut filled: u32 = 0;
    let mut skip = skip;
    let mut i = 0;
    while i < SEGMENTS {
        if i >= count || filled as u64 >= limit {
            break;
        }
        let mut segment = [0u64; 2];
        // SAFETY: a checked read into our stack.
        let failed = unsafe {
            bpf_probe_read_user((&raw mut segment).cast(), 16, (vector + i * 16) as *const _)
        };
        if failed != 0 {
            emit::count(counter::UNREADABLE);
            break;
        }
        let length = if segment[1] > skip { segment[1] - skip } else { 0 };
        let room = limit - filled as u64;
        let wanted = if length < room { length } else { room };
        if wanted > 0 {
            let copied = append(scratch, filled, segment[0] + skip, wanted);
            filled += copied;
            if (copied as u64) < wanted {
                break;
            }
        }
        skip = 0;
        i += 1;
    }
    filled
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
    if failed != 0 {
        emit::count(counter::UNREADABLE);
        return 0;
    }
    length
}

/// Writes the record with the first `captured` bytes of the area.
#[inline(always)]
pub(crate) fn output(scratch: &mut Scratch, captured: u32) {
    scratch.data.captured = captured;
    let size = core::hint::black_box(captured) as usize & (CAPTURE_MAX - 1);
    // SAFETY: record and area are contiguous (`repr(C)`, no padding) and `size` is inside.
    let bytes = unsafe {
        core::slice::from_raw_parts(
            core::ptr::from_ref(scratch).cast::<u8>(),
            size_of::<Data>() + size,
        )
    };
    emit::output(bytes);
}
