//! Two ways of reading the kernel's memory, and one of reading a process's.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_user};
use core::ptr::read_volatile;

/// A kernel structure whose members can be read.
pub(crate) trait Memory: Copy {
    /// A member.
    ///
    /// # Safety
    /// `offset` is that of a member of type `T` of the structure.
    unsafe fn read<T: Copy + Default>(self, offset: usize) -> T;

    /// Where it is, for helpers that check what they read.
    fn address(self) -> *const u8;
}

/// A structure that the verifier knows by its type (a BTF pointer): members cost one instruction.
#[derive(Clone, Copy)]
pub(crate) struct Typed(*const u8);

impl Typed {
    /// # Safety
    /// `base` is such a pointer.
    #[inline(always)]
    pub(crate) unsafe fn new(base: *const u8) -> Self {
        Self(base)
    }
}

impl Memory for Typed {
    #[inline(always)]
    unsafe fn read<T: Copy + Default>(self, offset: usize) -> T {
        // SAFETY: passed on to the caller; the kernel turns a fault into a zero.
        unsafe { member(self.0, offset) }
    }

    #[inline(always)]
    fn address(self) -> *const u8 {
        self.0
    }
}

/// A structure at an address that the verifier knows nothing of: members are read by a helper.
#[derive(Clone, Copy)]
pub(crate) struct Probed(pub(crate) u64);

impl Memory for Probed {
    #[inline(always)]
    unsafe fn read<T: Copy + Default>(self, offset: usize) -> T {
        // SAFETY: passed on to the caller; a fault gives a zero.
        unsafe { kernel(self.0, offset) }
    }

    #[inline(always)]
    fn address(self) -> *const u8 {
        self.0 as *const u8
    }
}

/// A member of a structure that the verifier knows by its type (a BTF pointer).
///
/// # Safety
/// `base` is such a pointer and `offset` that of a member of type `T`; the kernel turns a fault
/// into a zero.
#[inline(always)]
pub(crate) unsafe fn member<T: Copy>(base: *const u8, offset: usize) -> T {
    // SAFETY: passed on to the caller; checked by the verifier.
    unsafe { read_volatile(base.add(offset).cast::<T>()) }
}

/// A member of a structure at `base`, zero if it cannot be read.
///
/// # Safety
/// Any bytes are a value of `T`.
#[inline(always)]
pub(crate) unsafe fn kernel<T: Default>(base: u64, offset: usize) -> T {
    let mut value = T::default();
    // SAFETY: a checked read into our stack.
    unsafe {
        bpf_probe_read_kernel(
            (&raw mut value).cast(),
            size_of::<T>() as u32,
            (base + offset as u64) as *const _,
        );
    }
    value
}

/// A member of a structure of the current process, zero if it cannot be read.
#[inline(always)]
pub(crate) fn user<T: Default>(base: u64, offset: u32) -> T {
    let mut value = T::default();
    if base != 0 {
        // SAFETY: a checked read into our stack.
        unsafe {
            bpf_probe_read_user(
                (&raw mut value).cast(),
                size_of::<T>() as u32,
                (base + u64::from(offset)) as *const _,
            );
        }
    }
    value
}
