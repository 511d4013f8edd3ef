//! Conversations of AMQP 0-9-1; see `tracebee::protocol::fuzz` for what the bytes mean.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tracebee::protocol::amqp::fuzz(data));
