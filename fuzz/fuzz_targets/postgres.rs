//! Conversations of PostgreSQL; see `tracebee::protocol::fuzz` for what the bytes mean.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tracebee::protocol::postgres::fuzz(data));
