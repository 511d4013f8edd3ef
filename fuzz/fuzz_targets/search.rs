//! Bodies of Elasticsearch and OpenSearch; see `tracebee::protocol::search::fuzz` for what the bytes
//! mean.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tracebee::protocol::search::fuzz(data));
