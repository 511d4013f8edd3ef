//! What depends on the processor: where a system call keeps its number and arguments.

use aya_ebpf::bindings::pt_regs;

/// A system call under way in the current task.
pub(crate) struct Call {
    /// Its number.
    pub(crate) number: u64,
    /// Second argument: a buffer, a `struct msghdr` or a vector.
    pub(crate) second: u64,
    /// Third argument: a length or a count.
    pub(crate) third: u64,
}

impl Call {
    /// None that is known.
    pub(crate) const NONE: Self = Self { number: u64::MAX, second: 0, third: 0 };
}

#[cfg(bpf_target_arch = "x86_64")]
mod imp {
    use super::{Call, pt_regs};

    pub(crate) const READ: u64 = 0;
    pub(crate) const READV: u64 = 19;
    pub(crate) const RECVFROM: u64 = 45;
    pub(crate) const RECVMSG: u64 = 47;

    // arch/x86/include/asm/ptrace.h: `ax` holds -ENOSYS from entry until the call has a result,
    // so anything else means that these registers are not those of a call under way. A 32-bit
    // caller runs with the 32-bit code segment (__USER32_CS, 0x23).
    const UNFINISHED: u64 = (-38i64) as u64;
    const USER32_CS: u64 = 0x23;

    #[inline(always)]
    pub(crate) unsafe fn call(regs: *const pt_regs) -> Option<Call> {
        use crate::memory::member;
        use core::mem::offset_of;
        let regs = regs.cast::<u8>();
        // SAFETY: pt_regs is the kernel's user ABI layout and the pointer is a typed one.
        unsafe {
            if member::<u64>(regs, offset_of!(pt_regs, rax)) != UNFINISHED
                || member::<u64>(regs, offset_of!(pt_regs, cs)) & 0xffff == USER32_CS
            {
                return None;
            }
            Some(Call {
                number: member(regs, offset_of!(pt_regs, orig_rax)),
                second: member(regs, offset_of!(pt_regs, rsi)),
                third: member(regs, offset_of!(pt_regs, rdx)),
            })
        }
    }
}

#[cfg(bpf_target_arch = "aarch64")]
mod imp {
    use super::{Call, pt_regs};

    pub(crate) const READ: u64 = 63;
    pub(crate) const READV: u64 = 65;
    pub(crate) const RECVFROM: u64 = 207;
    pub(crate) const RECVMSG: u64 = 212;

    #[inline(always)]
    pub(crate) unsafe fn call(_regs: *const pt_regs) -> Option<Call> {
        // `syscallno` lies behind the user part of pt_regs; until its offset is passed in from
        // BTF, receives on this architecture are gaps of known size.
        None
    }
}

pub(crate) use imp::{READ, READV, RECVFROM, RECVMSG, call};
