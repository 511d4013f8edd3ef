//! The kernel side of tracebee: programs that watch sockets at work.
//!
//! Each leaves as early as it can, reads only what it needs and writes one record per event. No
//! layout of a kernel structure is compiled in: user space passes the offsets ([`layout`]).
//! Every program must be loadable without the others.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![expect(internal_features, reason = "an atomic addition, which old kernels have, too")]

mod arch;
mod bytes;
mod descriptor;
mod emit;
mod go;
mod layer;
mod layout;
mod memory;
mod process;
mod proxy;
mod python;
mod receive;
mod remaining;
mod runtime;
mod send;
mod socket;
mod state;
mod syscall;
mod unix;
mod work;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing in here panics; the verifier would refuse a program that could.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
