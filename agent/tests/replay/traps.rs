//! What happens to TCP between a wire and a file, one trap a test.

use std::time::Duration;

use crate::outcome::{replay, replay_with};
use tracebee_tests::capture::files::{Frame, pcap};
use tracebee_tests::capture::talk::{Client, End, STEP, Server, Talk, answer, get};
use tracebee_tests::capture::wire::{ACK, PSH, RST, SYN, Segment};

/// What a talk comes to: its calls, and what is lost.
#[track_caller]
fn expect(talk: &Talk, calls: &[&str], losses: &[(&str, u64)]) {
    expect_frames(&talk.frames(), calls, losses);
}

#[track_caller]
fn expect_frames(frames: &[Frame], calls: &[&str], losses: &[(&str, u64)]) {
    let outcome = replay(&[&pcap(frames)]);
    assert_eq!(outcome.lines(), calls);
    assert_eq!(outcome.losses(), losses);
    assert_eq!(outcome.packets(), frames.len() as u64);
}

/// Moves packet `n` to place `to`; times stay with the places.
fn moved(mut talk: Talk, n: usize, to: usize) -> Talk {
    let times: Vec<u64> = talk.packets.iter().map(|(time, _)| *time).collect();
    let packet = talk.packets.remove(n);
    talk.packets.insert(to, packet);
    for (packet, time) in talk.packets.iter_mut().zip(times) {
        packet.0 = time;
    }
    talk
}

fn without(mut talk: Talk, n: usize) -> Talk {
    talk.packets.remove(n);
    talk
}

/// Packets: 0-2 handshake, 3 request, 4 response, 5 ack, 6-8 close.
fn one_call() -> Talk {
    Talk::new().open().call("/a", 200, 10).ack(Client).close()
}

/// Packets: 0-2 handshake, then request and response of `/a`, `/b`, `/c`, then the close.
fn three_calls() -> Talk {
    Talk::new().open().call("/a", 200, 10).call("/b", 404, 20).call("/c", 500, 30).close()
}

const THREE: &[&str] = &["/a 200", "/b 404", "/c 500 500"];

#[test]
fn a_call_is_one_span_of_its_server() {
    let outcome = replay(&[&pcap(&one_call().frames())]);
    assert_eq!(outcome.lines(), ["/a 200"]);
    assert_eq!(outcome.losses(), []);
    let span = &outcome.spans[0];
    assert_eq!(&*span.resource.service, "10.0.0.1:80");
    let start = one_call().packets[3].0;
    assert_eq!((span.start, span.end), (start, start + STEP), "the capture's own times");
    let host = span.resource.attributes.iter().find(|(key, _)| key.starts_with("host."));
    assert_eq!(host, None, "nothing is said of the host that replays");
}

#[test]
fn several_calls_on_one_connection() {
    expect(&three_calls(), THREE, &[]);
}

#[test]
fn any_packet_twice() {
    for n in 0..one_call().packets.len() {
        for at in n..=one_call().packets.len() {
            let mut talk = one_call();
            let packet = talk.packets[n].clone();
            talk.packets.insert(at, packet);
            let outcome = replay(&[&pcap(&talk.frames())]);
            assert_eq!(outcome.lines(), ["/a 200"], "{n} again at {at}");
            assert_eq!(outcome.losses(), [], "{n} again at {at}");
        }
    }
}

#[test]
fn any_packet_elsewhere() {
    let count = three_calls().packets.len();
    for n in 0..count {
        for to in 0..count {
            let outcome = replay(&[&pcap(&moved(three_calls(), n, to).frames())]);
            assert_eq!(outcome.lines(), THREE, "{n} moved to {to}");
            assert_eq!(outcome.losses(), [], "{n} moved to {to}");
        }
    }
}

#[test]
fn any_packet_missing() {
    for n in 0..three_calls().packets.len() {
        let outcome = replay(&[&pcap(&without(three_calls(), n).frames())]);
        for line in outcome.lines() {
            assert!(THREE.contains(&&*line), "{line} made up without {n}");
        }
        let missing = THREE.len() - outcome.spans.len();
        let expected = usize::from((3..9).contains(&n));
        assert_eq!(missing, expected, "without {n}: {:?}", outcome.losses());
        assert_eq!(outcome.losses().is_empty(), missing == 0, "without {n}");
    }
}

#[test]
fn overlapping_segments_the_first_bytes_win() {
    let mut talk = Talk::new().open();
    let request = get("/a");
    let first = talk.at(Client, 0, PSH | ACK, &request[..10]);
    let mut forged = request.clone();
    forged[5..10].fill(b'!');
    // Repeats bytes 5 to 10 with others, and goes on.
    let second = talk.at(Client, 5, PSH | ACK, &forged[5..20]);
    // Overlaps on both sides.
    let third = talk.at(Client, 15, PSH | ACK, &request[15..]);
    talk.push(first);
    talk.push(second);
    talk.push(third);
    talk.sent[0] = request.len() as u64;
    let talk = talk.say(Server, answer(200, 3)).close();
    expect(&talk, &["/a 200"], &[]);
}

#[test]
fn overlap_in_what_waits() {
    let mut talk = Talk::new().open();
    let request = get("/waits");
    let part = |talk: &Talk, from: usize, to: usize| {
        talk.at(Client, from as u64, PSH | ACK, &request[from..to])
    };
    for (from, to) in [(20, 25), (8, 12), (6, 22), (24, request.len()), (0, 7)] {
        let segment = part(&talk, from, to);
        talk.push(segment);
    }
    talk.sent[0] = request.len() as u64;
    expect(&talk.say(Server, answer(200, 3)).close(), &["/waits 200"], &[]);
}

#[test]
fn a_hole_that_is_filled_late_holds_the_rest_back() {
    let mut talk = Talk::new().open();
    let request = get("/late");
    let first = talk.at(Client, 0, PSH | ACK, &request[..10]);
    let second = talk.at(Client, 10, PSH | ACK, &request[10..]);
    talk.push(second);
    talk.push(first);
    let filled = talk.time - STEP;
    talk.sent[0] = request.len() as u64;
    let outcome = replay(&[&pcap(&talk.say(Server, answer(200, 3)).close().frames())]);
    assert_eq!(outcome.lines(), ["/late 200"]);
    assert_eq!(outcome.spans[0].start, filled, "the server could not read it before");
}

#[test]
fn a_hole_of_known_size_in_a_body_costs_nothing() {
    let body = answer(200, 50_000);
    let talk = Talk::new()
        .open()
        .say(Client, get("/big"))
        .say(Server, &body[..10_000])
        .unseen(Server, &body[10_000..40_000])
        .say(Server, &body[40_000..])
        .ack(Client)
        .call("/next", 200, 1)
        .close();
    expect(&talk, &["/big 200", "/next 200"], &[("capture_gap", 1)]);
}

#[test]
fn a_response_that_was_not_captured_is_never_anothers() {
    let talk = Talk::new()
        .open()
        .say(Client, get("/lost"))
        .unseen(Server, answer(200, 5))
        .ack(Client)
        .call("/next", 404, 1)
        .close();
    expect(&talk, &["/next 404"], &[("gap", 1), ("capture_gap", 1)]);
}

#[test]
fn a_call_that_was_not_captured_between_two() {
    let talk = Talk::new()
        .open()
        .call("/a", 200, 1)
        .unseen(Client, get("/unseen"))
        .unseen(Server, answer(500, 7))
        .call("/b", 404, 1)
        .close();
    // Whether `/b` begins where it seems to is not certain: it is counted, as is what is missing.
    expect(&talk, &["/a 200"], &[("gap", 1), ("capture_gap", 2)]);
}

#[test]
fn without_the_handshake_the_bytes_tell_who_is_who() {
    // The server has the higher port, so that a guess by ports is wrong.
    for server in ["10.0.0.1:80", "10.0.0.1:50000"] {
        let mut talk = Talk::between("10.0.0.9:40000", server, [7, 9]);
        talk.sent = [12_345, 678];
        let talk = talk.call("/a", 200, 10).call("/b", 404, 20).close();
        let outcome = replay(&[&pcap(&talk.frames())]);
        assert_eq!(outcome.lines(), ["/a 200", "/b 404"]);
        assert_eq!(&*outcome.spans[0].resource.service, server);
        assert_eq!(outcome.losses(), []);
    }
}

#[test]
fn joined_in_the_middle_of_a_response() {
    let mut talk = Talk::new();
    talk.sent = [100, 4000];
    let talk = talk.say(Server, vec![b'x'; 3000]).ack(Client).call("/a", 200, 10).close();
    expect(&talk, &["/a 200"], &[]);
}

#[test]
fn joined_in_a_body_that_looks_like_an_answer() {
    const HEAD: &[u8] = b"HTTP/1.1 299 Wrong\r\nContent-Length: 3\r\n\r\nxyz";
    for seen in 1..=HEAD.len() {
        let mut talk = Talk::new();
        talk.sent = [100, 4000];
        let talk = talk.say(Client, &HEAD[..seen]).say(Server, answer(201, 10));
        let talk = talk.call("/a", 200, 10).call("/b", 404, 20).close();
        println!("{seen} bytes");
        expect(&talk, &["/a 200", "/b 404"], &[("joined_midway", 1)]);
    }
}

#[test]
fn the_client_that_gives_up_unanswered() {
    let talk = Talk::new().open().say(Client, get("/slow")).ack(Server).close();
    expect(&talk, &["/slow client_closed"], &[]);
}

#[test]
fn the_last_byte_before_the_end_is_missing() {
    let request = get("/slow");
    let (most, last) = request.split_at(request.len() - 1);
    let talk = Talk::new().open().say(Client, most).unseen(Client, last).ack(Server).close();
    expect(&talk, &["/slow client_closed"], &[("capture_gap", 1)]);
}

/// By its number, what is missing may be a FIN: of that, too, the capture lacks a packet.
#[test]
fn the_last_byte_before_a_reset_is_missing() {
    let request = get("/slow");
    let (most, last) = request.split_at(request.len() - 1);
    for resets in [Client, Server] {
        // Whether something tells of the reset in time, or the capture ends with it.
        for wait in [0, 3_000_000_000] {
            let talk = Talk::new().open().say(Client, most).unseen(Client, last).ack(Server);
            let talk = talk.reset(resets).wait(wait).ack(resets.other());
            println!("{resets:?}, {wait}");
            expect(&talk, &["/slow connection_reset"], &[("capture_gap", 1)]);
            let talk = Talk::new().open().call("/a", 200, 10).unseen(Server, "\0").ack(Client);
            let talk = talk.reset(resets).wait(wait).ack(resets.other());
            expect(&talk, &["/a 200"], &[("capture_gap", 1)]);
        }
    }
}

#[test]
fn a_half_closed_connection_is_answered() {
    let talk = Talk::new()
        .open()
        .say(Client, get("/half"))
        .fin(Client)
        .say(Server, answer(200, 5))
        .fin(Server)
        .ack(Client);
    expect(&talk, &["/half 200"], &[]);
}

#[test]
fn a_body_until_close() {
    let talk = Talk::new()
        .open()
        .say(Client, get("/close"))
        .say(Server, "HTTP/1.0 200 OK\r\n\r\nsome ")
        .say(Server, "bytes")
        .fin(Server)
        .fin(Client)
        .ack(Server);
    let outcome = replay(&[&pcap(&talk.frames())]);
    assert_eq!(outcome.calls()[0].size, Some(10));
    assert_eq!(outcome.lines(), ["/close 200"]);
}

#[test]
fn a_reset_ends_what_is_open() {
    let talk = Talk::new().open().call("/a", 200, 1).say(Client, get("/b")).reset(Server);
    expect(&talk, &["/a 200", "/b connection_reset"], &[]);
}

#[test]
fn a_stale_reset_is_not_believed() {
    let mut talk = Talk::new().open().call("/a", 200, 1).ack(Client);
    let stale = talk.at(Server, 0, RST, b"");
    talk.push(stale);
    let mut elsewhere = talk.at(Server, 0, RST, b"");
    elsewhere.sequence = elsewhere.sequence.wrapping_add(1 << 29);
    talk.push(elsewhere);
    expect(&talk.call("/b", 200, 1).close(), &["/a 200", "/b 200"], &[]);
}

#[test]
fn a_refused_connection_is_nothing() {
    let mut talk = Talk::new();
    let mut syn = talk.at(Client, 0, SYN, b"");
    syn.sequence = talk.initial[0];
    talk.push(syn);
    let mut refused = talk.at(Server, 0, RST | ACK, b"");
    refused.sequence = 0;
    talk.push(refused);
    expect(&talk, &[], &[]);
}

/// The FIN that the reset acknowledges was not captured, nor the SYN of the next connection on the
/// same ports, of which the first packet carries nothing.
#[test]
fn a_reset_does_not_end_the_next_connection() {
    let first = Talk::new().open().call("/a", 200, 10).unseen(Client, "\0").reset(Server);
    let mut next = Talk::between("10.0.0.9:40000", "10.0.0.1:80", [1 << 30, 1 << 29]);
    next.time = first.time;
    let response = answer(200, 10);
    let (begin, rest) = response.split_at(30);
    let next = next.ack(Client).wait(3_000_000_000).say(Server, "x").say(Client, get("/b"));
    let next = next.say(Server, begin).wait(3_000_000_000).say(Server, rest).call("/c", 200, 10);
    let frames = [first.frames(), next.frames()].concat();
    expect_frames(&frames, &["/a 200", "/b 200", "/c 200"], &[("capture_gap", 1)]);
}

#[test]
fn ports_that_are_used_again() {
    // The same ports, three times: after a close, after a reset, and after nothing at all.
    let mut frames = Vec::new();
    let mut time = 0;
    for (n, initial) in [(0, [1000, 2000]), (1, [900_000, 77]), (2, [5, u32::MAX - 3])] {
        let mut talk = Talk::between("10.0.0.9:40000", "10.0.0.1:80", initial);
        talk.time += time;
        let talk = talk.open().call(&format!("/{n}"), 200, 10);
        let talk = match n {
            0 => talk.close(),
            1 => talk.reset(Client),
            _ => talk,
        };
        time += talk.packets.len() as u64 * STEP;
        frames.extend(talk.frames());
    }
    let again = Talk::between("10.0.0.9:40000", "10.0.0.1:80", [88, 99]);
    frames.extend(again.open().call("/3", 200, 10).close().frames());
    expect_frames(&frames, &["/0 200", "/1 200", "/2 200", "/3 200"], &[]);
}

#[test]
fn a_repeat_after_the_end_is_no_new_connection() {
    let talk = one_call();
    let late: Vec<_> = talk.packets.clone();
    let mut talk = talk.wait(10_000_000_000);
    for (_, packet) in late {
        talk.push(packet);
    }
    expect(&talk, &["/a 200"], &[]);
}

#[test]
fn sequence_numbers_wrap() {
    for initial in [u32::MAX - 30, u32::MAX - 1, u32::MAX, 0] {
        let talk =
            Talk::between("10.0.0.9:40000", "10.0.0.1:80", [initial, initial.wrapping_sub(7)]);
        let talk = talk.open().call("/a", 200, 500).call("/b", 404, 20).close();
        expect(&talk, &["/a 200", "/b 404"], &[]);
    }
}

#[test]
fn more_than_four_gibibytes_that_nobody_captured() {
    let mut talk = Talk::new().open().say(Client, get("/huge"));
    let head = format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\n\r\n", 5u64 << 30);
    talk = talk.say(Server, head);
    for _ in 0..10 {
        talk.sent[1] += 1 << 29;
        talk = talk.ack(Client).wait(2_000_000_000);
    }
    let outcome = replay(&[&pcap(&talk.call("/next", 200, 1).close().frames())]);
    assert_eq!(outcome.lines(), ["/huge 200", "/next 200"]);
    assert_eq!(outcome.calls()[0].size, Some(5 << 30));
}

#[test]
fn what_follows_a_hole_in_the_first_request_is_not_its_beginning() {
    let request = b"POST /real HTTP/1.1\r\nContent-Length: 60\r\n\r\n";
    let body = [&get("/decoy")[..], &[b'x'; 25]].concat();
    let talk = Talk::new()
        .open()
        .say(Client, &request[..10])
        .unseen(Client, &request[10..])
        .say(Client, body)
        .say(Server, answer(200, 5))
        .call("/next", 200, 1)
        .close();
    expect(&talk, &["/next 200"], &[("gap", 1), ("capture_gap", 1)]);
}

#[test]
fn packets_captured_in_part() {
    // 14 + 20 + 24 bytes of headers, and as much again of HTTP: all heads, no bodies.
    let talk = Talk::new().open().call("/a", 200, 3000).call("/b", 404, 3000).close();
    let frames: Vec<_> = talk.frames().into_iter().map(|frame| frame.cut(120)).collect();
    expect_frames(&frames, &["/a 200", "/b 404"], &[]);
    // Nothing but headers, the TCP options cut: nothing is made up.
    let frames: Vec<_> = talk.frames().into_iter().map(|frame| frame.cut(56)).collect();
    expect_frames(&frames, &[], &[]);
    // The TCP header itself is cut.
    let frames: Vec<_> = talk.frames().into_iter().map(|frame| frame.cut(50)).collect();
    let count = frames.len() as u64;
    expect_frames(&frames, &[], &[("bad_packet", count)]);
}

#[test]
fn one_direction_alone_makes_no_call() {
    for end in [Client, Server] {
        let mut talk = three_calls().wait(100_000_000_000);
        let own = talk.ends[end as usize];
        talk.packets.retain(|(_, segment)| segment.from == own);
        let file = pcap(&talk.frames());
        let outcome = replay_with(&[&file], Some(Duration::from_secs(1)));
        assert_eq!(outcome.lines(), [""; 0], "only {end:?} was captured");
        assert!(!outcome.losses().is_empty(), "only {end:?} was captured");
    }
}

#[test]
fn a_capture_that_ends_in_the_middle() {
    let talk = Talk::new().open().call("/a", 200, 1).say(Client, get("/open"));
    expect(&talk, &["/a 200"], &[("stopped", 1)]);
}

#[test]
fn a_request_times_out_in_the_captures_time() {
    let talk = Talk::new().open().say(Client, get("/slow")).ack(Server).wait(500_000_000_000);
    let talk = talk.say(Server, answer(200, 1)).call("/next", 200, 1).close();
    let file = pcap(&talk.frames());
    let outcome = replay_with(&[&file], Some(Duration::from_secs(60)));
    assert_eq!(outcome.lines(), ["/slow timeout", "/next 200"]);
    assert_eq!(outcome.spans[0].end - outcome.spans[0].start, 60_000_000_000);
    assert_eq!(replay(&[&file]).lines(), ["/slow 200", "/next 200"]);
}

#[test]
fn one_time_that_is_wrong_times_nothing_out() {
    let mut talk = Talk::new().open().say(Client, get("/a")).ack(Server).ack(Server);
    talk.packets.last_mut().expect("packets").0 += 10 * 365 * 24 * 3600 * 1_000_000_000;
    let talk = talk.say(Server, answer(200, 1)).close();
    let outcome = replay_with(&[&pcap(&talk.frames())], Some(Duration::from_secs(60)));
    assert_eq!(outcome.lines(), ["/a 200"]);
}

#[test]
fn a_connection_over_two_files() {
    let frames = three_calls().frames();
    for at in 0..frames.len() {
        let outcome = replay(&[&pcap(&frames[..at]), &pcap(&frames[at..])]);
        assert_eq!(outcome.lines(), THREE);
        assert_eq!(outcome.losses(), []);
    }
}

#[test]
fn files_in_the_wrong_order_time_nothing_out() {
    let mut early = Talk::between("10.0.0.8:40000", "10.0.0.1:80", [3, 4]);
    early.time -= 3_600_000_000_000;
    let early = early.open().call("/early", 200, 1).close();
    let files = [pcap(&three_calls().frames()), pcap(&early.frames())];
    let outcome = replay_with(&[&files[0], &files[1]], Some(Duration::from_secs(60)));
    assert_eq!(outcome.lines(), [THREE, &["/early 200"]].concat());
}

#[test]
fn pipelined_requests_keep_their_answers() {
    let requests = [get("/1"), get("/2"), get("/3")].concat();
    let answers = [answer(200, 1), answer(404, 2), answer(503, 3)].concat();
    let talk = Talk::new().open().say(Client, requests).say(Server, answers).close();
    expect(&talk, &["/1 200", "/2 404", "/3 503 503"], &[]);
}

#[test]
fn a_window_of_holes_is_bounded() {
    // Every second byte of 16 MiB, never acknowledged: more than is kept.
    let mut talk = Talk::new().open().say(Client, get("/holes")).ack(Server);
    for n in 0..20_000u64 {
        let segment = talk.at(Client, talk.sent[0] + 800 * n + 1, ACK, &[b'x'; 700]);
        talk.push(segment);
    }
    let outcome = replay(&[&pcap(&talk.frames())]);
    assert_eq!(outcome.lines(), [""; 0]);
    assert!(outcome.losses().contains(&("capture_gap", 20_000)), "{:?}", outcome.losses());
}

#[test]
fn more_connections_than_are_followed() {
    let mut frames = Vec::new();
    for n in 0..70_000u32 {
        let client = format!("10.{}.{}.{}:40000", 1 + (n >> 16), n >> 8 & 255, n & 255);
        let talk = Talk::between(&client, "10.0.0.1:80", [n, n + 1]);
        frames.extend(talk.open().say(Client, get("/open")).frames());
    }
    let outcome = replay(&[&pcap(&frames)]);
    assert_eq!(outcome.lines(), [""; 0]);
    let losses = outcome.losses();
    assert!(losses.contains(&("stopped", 70_000)), "{losses:?}");
    assert!(losses.contains(&("table_full", 8192)), "{losses:?}");
}

#[test]
fn something_else_than_http_is_nothing() {
    let talk = Talk::new().open().say(Server, "SSH-2.0-one\r\n").say(Client, "SSH-2.0-two\r\n");
    expect(&talk.close(), &[], &[]);
    let mut udp = one_call().frames();
    for frame in &mut udp {
        frame.bytes[23] = 17;
    }
    expect_frames(&udp, &[], &[]);
}

#[test]
fn nobody_talks_to_himself() {
    let address = "10.0.0.1:80".parse().expect("an address");
    let mut talk = Talk::new();
    for n in 0..3 {
        let bytes = get("/self");
        let segment = Segment {
            from: address,
            to: address,
            sequence: n,
            acknowledged: n,
            flags: if n == 0 { SYN } else { ACK },
            bytes,
        };
        talk.push(segment);
    }
    expect(&talk, &[], &[]);
}

#[test]
fn acknowledged_but_never_captured_does_not_wait_for_ever() {
    let mut talk = Talk::new().open().say(Client, get("/a"));
    let whole = answer(200, 100_000);
    talk = talk.say(Server, &whole[..500]);
    talk.sent[1] += 1000;
    // Much later data, acknowledged on the way; nothing of it is kept for long.
    for part in whole[1500..].chunks(500) {
        talk = talk.say(Server, part).ack(Client);
    }
    let mid = talk.packets.len();
    let talk = talk.call("/b", 200, 1).close();
    assert!(mid > 300);
    expect(&talk, &["/a 200", "/b 200"], &[("capture_gap", 1)]);
}

#[test]
fn both_ends_know_their_peer_by_either_address() {
    let talk = Talk::between("[fd00::9]:40000", "[fd00::1]:80", [1, 2]);
    let outcome = replay(&[&pcap(&talk.open().call("/six", 200, 1).close().frames())]);
    assert_eq!(outcome.lines(), ["/six 200"]);
    assert_eq!(&*outcome.spans[0].resource.service, "[fd00::1]:80");
    let _: [End; 2] = [Client, Server];
}

/// Packets: 0-2 handshake, 3 request, 4 ack, 5-7 close by the server.
fn hung_up() -> Talk {
    Talk::new().open().say(Client, get("/a")).ack(Server).fin(Server).fin(Client).ack(Server)
}

#[test]
fn who_closed_first_is_told_whatever_the_order() {
    expect(&hung_up(), &["/a closed"], &[]);
    expect(&moved(hung_up(), 5, 6), &["/a closed"], &[]);
    expect(&moved(hung_up(), 5, 7), &["/a closed"], &[]);
    let given_up = Talk::new().open().say(Client, get("/a")).fin(Client).fin(Server).ack(Client);
    expect(&given_up, &["/a client_closed"], &[]);
    expect(&moved(given_up, 4, 6), &["/a client_closed"], &[]);
}

#[test]
fn an_end_that_was_not_captured_but_acknowledged() {
    // Nobody knows whether that number was the end, or a byte.
    expect(&without(hung_up(), 5), &[], &[("stopped", 1)]);
}
