//! What depends on the processor: where a system call keeps its number and arguments.

use aya_ebpf::bindings::pt_regs;

/// A system call of the current task.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    /// Its number.
    pub(crate) number: u64,
    /// First argument: a descriptor.
    pub(crate) first: u64,
    /// Second argument: a buffer, a `struct msghdr` or a vector.
    pub(crate) second: u64,
    /// Third argument: a length or a count.
    pub(crate) third: u64,
    /// Fourth argument.
    pub(crate) fourth: u64,
    /// Fifth argument.
    pub(crate) fifth: u64,
}

impl Call {
    /// None that is known.
    pub(crate) const NONE: Self =
        Self { number: u64::MAX, first: 0, second: 0, third: 0, fourth: 0, fifth: 0 };
}

/// True if a call of this number may send on a socket.
#[inline(always)]
pub(crate) fn sends(number: u64) -> bool {
    matches!(number, WRITE | WRITEV | PWRITEV2 | SENDTO | SENDMSG | SENDMMSG | SENDFILE | SPLICE)
}

/// True if a call of this number may receive from a socket.
#[inline(always)]
pub(crate) fn receives(number: u64) -> bool {
    matches!(number, READ | READV | PREADV2 | RECVFROM | RECVMSG | RECVMMSG | SPLICE)
}

#[cfg(bpf_target_arch = "x86_64")]
mod imp {
    use super::{Call, pt_regs};
    use crate::memory::member;
    use aya_ebpf::helpers::generated::bpf_probe_read_user;
    use core::mem::offset_of;

    pub(crate) const READ: u64 = 0;
    pub(crate) const WRITE: u64 = 1;
    pub(crate) const READV: u64 = 19;
    pub(crate) const WRITEV: u64 = 20;
    pub(crate) const SENDFILE: u64 = 40;
    pub(crate) const SENDTO: u64 = 44;
    pub(crate) const RECVFROM: u64 = 45;
    pub(crate) const SENDMSG: u64 = 46;
    pub(crate) const RECVMSG: u64 = 47;
    pub(crate) const SPLICE: u64 = 275;
    pub(crate) const RECVMMSG: u64 = 299;
    pub(crate) const SENDMMSG: u64 = 307;
    pub(crate) const PREADV2: u64 = 327;
    pub(crate) const PWRITEV2: u64 = 328;

    // arch/x86/include/asm/ptrace.h: `ax` holds -ENOSYS from entry until the call has a result,
    // so anything else means that these registers are not those of a call under way. A 32-bit
    // caller runs with the 32-bit code segment (__USER32_CS, 0x23).
    const UNFINISHED: u64 = (-38i64) as u64;
    const USER32_CS: u64 = 0x23;

    /// The call under way.
    ///
    /// # Safety
    /// `regs` is a typed pointer.
    #[inline(always)]
    pub(crate) unsafe fn call(regs: *const pt_regs) -> Option<Call> {
        // SAFETY: passed on to the caller.
        unsafe {
            if member::<u64>(regs.cast(), offset_of!(pt_regs, rax)) != UNFINISHED {
                return None;
            }
            arguments(regs)
        }
    }

    /// Number of the call that the registers are of.
    ///
    /// # Safety
    /// As [`call`].
    #[inline(always)]
    pub(crate) unsafe fn number(regs: *const pt_regs) -> u64 {
        // SAFETY: passed on to the caller.
        unsafe { member(regs.cast(), offset_of!(pt_regs, orig_rax)) }
    }

    /// True if the caller is a 32-bit program, whose calls have other numbers and registers.
    ///
    /// # Safety
    /// As [`call`].
    #[inline(always)]
    pub(crate) unsafe fn narrow(regs: *const pt_regs) -> bool {
        // SAFETY: passed on to the caller.
        let segment: u64 = unsafe { member(regs.cast(), offset_of!(pt_regs, cs)) };
        segment & 0xffff == USER32_CS
    }

    /// The descriptor that a call of a 32-bit program reads or writes, if it does.
    ///
    /// # Safety
    /// As [`call`].
    #[inline(always)]
    pub(crate) unsafe fn narrow_descriptor(regs: *const pt_regs) -> Option<u64> {
        // arch/x86/entry/syscalls/syscall_32.tbl.
        const SOCKETCALL: u64 = 102;
        // SAFETY: passed on to the caller; a checked read into our stack.
        unsafe {
            match number(regs) {
                // read, write, readv, writev, sendfile, sendfile64, splice, recvmmsg, sendmmsg,
                // sendto, sendmsg, recvfrom, recvmsg
                3 | 4 | 145 | 146 | 187 | 239 | 313 | 337 | 345 | 369..=372 => {
                    Some(member(regs.cast(), offset_of!(pt_regs, rbx)))
                }
                // send, recv, sendto, recvfrom, sendmsg, recvmsg, recvmmsg, sendmmsg: the
                // arguments lie in memory.
                SOCKETCALL => {
                    let which: u64 = member(regs.cast(), offset_of!(pt_regs, rbx));
                    if !matches!(which, 9..=12 | 16 | 17 | 19 | 20) {
                        return None;
                    }
                    let arguments: u64 = member(regs.cast(), offset_of!(pt_regs, rcx));
                    let mut first = 0u32;
                    bpf_probe_read_user((&raw mut first).cast(), 4, arguments as *const _);
                    Some(u64::from(first))
                }
                _ => None,
            }
        }
    }

    /// The current goroutine's `g` and the stack pointer of Go code that is in a system call.
    ///
    /// # Safety
    /// As [`call`].
    #[inline(always)]
    pub(crate) unsafe fn goroutine(regs: *const pt_regs) -> (u64, u64) {
        // SAFETY: passed on to the caller.
        unsafe {
            (
                member(regs.cast(), offset_of!(pt_regs, r14)),
                member(regs.cast(), offset_of!(pt_regs, rsp)),
            )
        }
    }

    /// The same where Go code is watched.
    ///
    /// # Safety
    /// `regs` is the argument of a probe.
    #[inline(always)]
    pub(crate) unsafe fn goroutine_at(regs: *const pt_regs) -> (u64, u64) {
        // SAFETY: passed on to the caller.
        unsafe { ((*regs).r14, (*regs).rsp) }
    }

    /// The first argument or result of a Go function.
    ///
    /// # Safety
    /// As [`goroutine_at`].
    #[inline(always)]
    pub(crate) unsafe fn first_at(regs: *const pt_regs) -> u64 {
        // SAFETY: passed on to the caller.
        unsafe { (*regs).rax }
    }

    /// The call with its arguments, which stay in the registers until it has returned; none if
    /// the caller is a 32-bit program.
    ///
    /// # Safety
    /// As [`call`].
    #[inline(always)]
    pub(crate) unsafe fn arguments(regs: *const pt_regs) -> Option<Call> {
        let regs = regs.cast::<u8>();
        // SAFETY: pt_regs is the kernel's user ABI layout and the pointer is a typed one.
        unsafe {
            if narrow(regs.cast()) {
                return None;
            }
            Some(Call {
                number: member(regs, offset_of!(pt_regs, orig_rax)),
                first: member(regs, offset_of!(pt_regs, rdi)),
                second: member(regs, offset_of!(pt_regs, rsi)),
                third: member(regs, offset_of!(pt_regs, rdx)),
                fourth: member(regs, offset_of!(pt_regs, r10)),
                fifth: member(regs, offset_of!(pt_regs, r8)),
            })
        }
    }
}

#[cfg(bpf_target_arch = "aarch64")]
mod imp {
    use super::{Call, pt_regs};

    pub(crate) const READ: u64 = 63;
    pub(crate) const WRITE: u64 = 64;
    pub(crate) const READV: u64 = 65;
    pub(crate) const WRITEV: u64 = 66;
    pub(crate) const SENDFILE: u64 = 71;
    pub(crate) const SPLICE: u64 = 76;
    pub(crate) const SENDTO: u64 = 206;
    pub(crate) const RECVFROM: u64 = 207;
    pub(crate) const SENDMSG: u64 = 211;
    pub(crate) const RECVMSG: u64 = 212;
    pub(crate) const RECVMMSG: u64 = 243;
    pub(crate) const SENDMMSG: u64 = 269;
    pub(crate) const PREADV2: u64 = 286;
    pub(crate) const PWRITEV2: u64 = 287;

    // `syscallno` and `orig_x0` lie behind the user part of pt_regs; until their offsets are
    // passed in from BTF, receives on this architecture are gaps of known size.

    #[inline(always)]
    pub(crate) unsafe fn call(_regs: *const pt_regs) -> Option<Call> {
        None
    }

    #[inline(always)]
    pub(crate) unsafe fn number(_regs: *const pt_regs) -> u64 {
        u64::MAX
    }

    #[inline(always)]
    pub(crate) unsafe fn narrow(_regs: *const pt_regs) -> bool {
        false
    }

    #[inline(always)]
    pub(crate) unsafe fn narrow_descriptor(_regs: *const pt_regs) -> Option<u64> {
        None
    }

    #[inline(always)]
    pub(crate) unsafe fn arguments(_regs: *const pt_regs) -> Option<Call> {
        None
    }

    // `g` is in x28 and the first argument in x0, which was not tried yet.

    #[inline(always)]
    pub(crate) unsafe fn goroutine(_regs: *const pt_regs) -> (u64, u64) {
        (0, 0)
    }

    #[inline(always)]
    pub(crate) unsafe fn goroutine_at(_regs: *const pt_regs) -> (u64, u64) {
        (0, 0)
    }

    #[inline(always)]
    pub(crate) unsafe fn first_at(_regs: *const pt_regs) -> u64 {
        0
    }
}

pub(crate) use imp::{
    PREADV2, PWRITEV2, READ, READV, RECVFROM, RECVMMSG, RECVMSG, SENDFILE, SENDMMSG, SENDMSG,
    SENDTO, SPLICE, WRITE, WRITEV, arguments, call, first_at, goroutine, goroutine_at, narrow,
    narrow_descriptor, number,
};
