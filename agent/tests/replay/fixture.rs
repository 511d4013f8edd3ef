//! A capture of real programs: curl and Python's http.server on loopback, by
//! `tcpdump -i lo -s 400 -w loopback-http.pcap tcp port 18765`, so that bodies are cut:
//!
//! ```text
//! curl /a.txt; curl /big.bin; curl /none?x=1; curl -I /a.txt; curl /a.txt /big.bin
//! ```

use tracebee_tests::capture::generator::Seen;

use crate::outcome::replay;

const LOOPBACK: &[u8] = include_bytes!("../fixtures/loopback-http.pcap");

#[test]
fn curl_and_python() {
    let outcome = replay(&[LOOPBACK]);
    let lines =
        ["/a.txt 200", "/big.bin 200", "/none 404", "/a.txt 200", "/a.txt 200", "/big.bin 200"];
    assert_eq!(outcome.lines(), lines);
    assert_eq!(outcome.losses(), []);
    let call = |path: &str, status, size| Seen {
        path: path.to_owned(),
        status: Some(status),
        error: None,
        size: Some(size),
    };
    let mut calls = outcome.calls();
    calls.dedup();
    // The answer to HEAD has no body, whatever its fields say.
    let expected = [
        call("/a.txt", 200, 0),
        call("/a.txt", 200, 6),
        call("/big.bin", 200, 300_000),
        call("/none", 404, 335),
    ];
    assert_eq!(calls, expected);
    assert!(outcome.spans.iter().all(|span| &*span.resource.service == "127.0.0.1:18765"));
}
