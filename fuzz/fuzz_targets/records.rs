//! Records with right checksums, from a recording to the spans.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tracebee::replay::fuzz::records(data));
