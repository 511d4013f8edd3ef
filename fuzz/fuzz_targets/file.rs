//! Capture files and recordings, from the first byte to the spans.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tracebee::replay::fuzz::file(data));
