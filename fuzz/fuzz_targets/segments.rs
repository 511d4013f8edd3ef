//! TCP segments in any order, from the capture to the spans; holds the source to its contract.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tracebee::replay::fuzz::segments(data));
