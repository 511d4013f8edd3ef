//! File formats, link layers, tags and fragments.

use tracebee::source::capture::file::{File, OpenError};

use crate::outcome::{Outcome, replay};
use tracebee_tests::capture::files::{ETHERNET, Frame, Order, Pcapng, pcap, pcap_with};
use tracebee_tests::capture::talk::{Client, EPOCH, Server, Talk, answer, get};
use tracebee_tests::capture::wire;

fn talk() -> Talk {
    Talk::new().open().call("/a", 200, 10).call("/b", 404, 2000).close()
}

fn talk_v6() -> Talk {
    let talk = Talk::between("[fd00::9]:40000", "[fd00::1]:80", [1, 2]);
    talk.open().call("/a", 200, 10).call("/b", 404, 2000).close()
}

#[track_caller]
fn expect(outcome: &Outcome) {
    assert_eq!(outcome.lines(), ["/a 200", "/b 404"]);
    assert_eq!(outcome.losses(), []);
}

/// The time of the first call's request.
const FIRST: u64 = EPOCH + 3_000_000;

#[test]
fn pcap_in_either_order_with_either_fraction() {
    for order in [Order::Little, Order::Big] {
        for nanoseconds in [false, true] {
            let mut frames = talk().frames();
            for frame in &mut frames {
                frame.time += 987;
            }
            let outcome = replay(&[&pcap_with(order, nanoseconds, ETHERNET, &frames)]);
            expect(&outcome);
            let fraction = if nanoseconds { 987 } else { 0 };
            assert_eq!(outcome.spans[0].start, FIRST + fraction);
        }
    }
}

#[test]
fn link_types_with_other_bits() {
    // The upper half says that frames end with 4 bytes of check sequence.
    expect(&replay(&[&pcap_with(Order::Little, true, 0x4400_0001, &talk().frames())]));
}

#[test]
fn link_layers() {
    type Wrap = fn(&[u8]) -> Vec<u8>;
    let layers: [(u32, Wrap); 10] = [
        (0, |ip| wire::null(ip, false)),
        (0, |ip| wire::null(ip, true)),
        (108, |ip| wire::null(ip, true)),
        (113, wire::cooked),
        (276, wire::cooked2),
        (101, <[u8]>::to_vec),
        (12, <[u8]>::to_vec),
        (1, |ip| wire::ethernet(&[0x8100], ip)),
        (1, |ip| wire::ethernet(&[0x88a8, 0x8100], ip)),
        (1, |ip| wire::ethernet(&[0x8100, 0x8100], ip)),
    ];
    for talk in [talk(), talk_v6()] {
        for (link, wrap) in layers {
            let frames: Vec<_> = talk
                .packets
                .iter()
                .map(|(time, segment)| Frame::new(*time, wrap(&segment.ip())))
                .collect();
            expect(&replay(&[&pcap_with(Order::Little, true, link, &frames)]));
        }
        let raw = if talk.ends[0].is_ipv4() { 228 } else { 229 };
        let frames: Vec<_> =
            talk.packets.iter().map(|(time, s)| Frame::new(*time, s.ip())).collect();
        expect(&replay(&[&pcap_with(Order::Little, true, raw, &frames)]));
    }
}

#[test]
fn a_link_layer_that_is_not_read() {
    let outcome = replay(&[&pcap_with(Order::Little, true, 105, &talk().frames())]);
    assert_eq!(outcome.lines(), [""; 0]);
    assert_eq!(outcome.losses(), [("bad_packet", talk().packets.len() as u64)]);
}

#[test]
fn extension_headers() {
    let talk = talk_v6();
    let frames: Vec<_> = talk
        .packets
        .iter()
        .map(|(time, segment)| {
            let ip = segment.ip();
            // Hop-by-hop, then destination options, then TCP; padding inside.
            let mut payload = vec![60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0];
            payload.extend(segment.tcp());
            let address = |at: usize| ip[at..at + 16].try_into().expect("16 bytes");
            let packet = wire::ipv6(address(8), address(24), 0, &payload);
            Frame::new(*time, wire::ethernet(&[], &packet))
        })
        .collect();
    expect(&replay(&[&pcap(&frames)]));
}

#[test]
fn fragments_in_any_order() {
    for talk in [talk(), talk_v6()] {
        let mut frames = Vec::new();
        for (n, (time, segment)) in talk.packets.iter().enumerate() {
            let mut parts = if segment.from.is_ipv4() {
                segment.fragments_v4(n as u16, 512)
            } else {
                segment.fragments_v6(n as u32, 512)
            };
            match n % 3 {
                0 => {}
                1 => parts.reverse(),
                _ => parts.rotate_left(1),
            }
            frames.extend(parts.into_iter().map(|part| Frame::new(*time, part)));
        }
        expect(&replay(&[&pcap(&frames)]));
        // The largest segment without its second part.
        let missing = frames.iter().position(|frame| frame.length > 500).expect("fragments");
        frames.remove(missing + 1);
        let outcome = replay(&[&pcap(&frames)]);
        assert!(outcome.losses().contains(&("bad_packet", 1)), "{:?}", outcome.losses());
    }
}

#[test]
fn a_segment_that_a_card_is_yet_to_cut() {
    // Longer than an IP header can say: the length is 0.
    let whole = answer(200, 100_000);
    let talk = Talk::new().open().say(Client, get("/tso")).ack(Server);
    let mut frames = talk.frames();
    let segment = talk.at(Server, 0, wire::ACK, &whole);
    let mut bytes = wire::ethernet(
        &[],
        &[wire::ipv4([10, 0, 0, 1], [10, 0, 0, 9], 0, 0x4000, 6, b""), segment.tcp()].concat(),
    );
    bytes[16..18].fill(0);
    frames.push(Frame::new(talk.time, bytes.clone()));
    for cut in [bytes.len(), 200] {
        frames.last_mut().expect("frames").bytes.truncate(cut);
        let outcome = replay(&[&pcap(&frames)]);
        assert_eq!(outcome.lines(), ["/tso 200"], "{cut} bytes captured");
        assert_eq!(outcome.losses(), []);
    }
}

#[test]
fn pcapng_in_either_order_with_any_resolution() {
    for order in [Order::Little, Order::Big] {
        // Units per second: none said (10^6), 10^9, 10^3, 10^12, 2^20, 2^40.
        type Units = fn(u64) -> u128;
        let resolutions: [(Option<u8>, Units); 5] = [
            (None, |t| u128::from(t) / 1000),
            (Some(9), u128::from),
            (Some(12), |t| u128::from(t) * 1000),
            (Some(0x94), |t| (u128::from(t) << 20).div_ceil(1_000_000_000)),
            (Some(0x80 | 30), |t| (u128::from(t) << 30).div_ceil(1_000_000_000)),
        ];
        for (resolution, units) in resolutions {
            // Times count from some other moment, in seconds.
            for offset in [None, Some(1_700_000_000), Some(-5)] {
                let mut file = Pcapng::new(order);
                file.interface(1, resolution, offset);
                let origin = offset.unwrap_or(0) * 1_000_000_000;
                for frame in talk().frames() {
                    let time = frame.time.checked_add_signed(-origin).expect("times fit");
                    let Ok(units) = u64::try_from(units(time)) else { continue };
                    file.packet(0, units, &frame);
                }
                let outcome = replay(&[&file.out]);
                if outcome.packets() == 0 {
                    continue;
                }
                expect(&outcome);
                let start = outcome.spans[0].start;
                assert!(start.abs_diff(FIRST) < 1000, "{resolution:?} {offset:?}: {start}");
            }
        }
    }
}

#[test]
fn pcapng_with_sections_interfaces_and_other_blocks() {
    let frames = talk().frames();
    let mut file = Pcapng::new(Order::Little);
    // Nobody's packets come from the second interface; the third has another link layer and unit.
    file.interface(1, None, None);
    file.interface(147, None, None);
    file.interface(101, Some(9), None);
    for (n, (frame, (time, segment))) in frames.iter().zip(&talk().packets).enumerate() {
        match n {
            3 => file.packet(2, *time, &Frame::new(*time, segment.ip())),
            // An interface that is not there.
            4 => {
                file.packet(9, 0, frame);
                file.packet(0, time / 1000, frame);
            }
            5 => {
                // A section in the other byte order, which has interfaces of its own.
                file.section(Order::Big);
                file.interface(1, Some(9), None);
                file.packet(0, *time, frame);
            }
            n if n > 5 => file.packet(0, *time, frame),
            _ => file.packet(0, time / 1000, frame),
        }
        file.block(0x0bad, b"a block of a vendor");
        file.block(5, &[0; 12]);
    }
    // Longer than any block that is looked at.
    file.block(4, &vec![0; 3 << 20]);
    let outcome = replay(&[&file.out]);
    assert_eq!(outcome.lines(), ["/a 200", "/b 404"]);
    assert_eq!(outcome.losses(), [("bad_packet", 1)]);
}

#[test]
fn pcapng_simple_packets() {
    let mut file = Pcapng::new(Order::Little);
    file.interface(1, None, None);
    for frame in talk().frames() {
        file.simple(&frame);
    }
    expect(&replay(&[&file.out]));
}

#[test]
fn a_damaged_file_is_read_up_to_the_damage() {
    let frames = talk().frames();
    let whole = pcap(&frames);
    for end in 24..whole.len() {
        let outcome = replay(&[&whole[..end]]);
        assert!(outcome.lines().iter().all(|line| ["/a 200", "/b 404"].contains(&&**line)));
    }
    let mut ng = Pcapng::new(Order::Little);
    ng.interface(1, Some(9), None);
    for frame in &frames {
        ng.packet(0, frame.time, frame);
    }
    for end in 36..ng.out.len() {
        let outcome = replay(&[&ng.out[..end]]);
        assert!(outcome.lines().iter().all(|line| ["/a 200", "/b 404"].contains(&&**line)));
    }
    // A packet that claims to be longer than any is: what comes before it counts.
    let mut broken = pcap(&frames[..6]);
    broken.extend([0; 8]);
    broken.extend([0xff; 8]);
    broken.extend(&whole[24..]);
    assert_eq!(replay(&[&broken]).lines(), ["/a 200"]);
}

#[test]
fn what_is_no_capture() {
    let open = |bytes: &[u8]| File::open(bytes).map(|_| ()).expect_err("no header").to_string();
    assert!(matches!(File::open(&b""[..]).err(), Some(OpenError::Empty)));
    assert_eq!(
        open(b"GET / HTTP/1.1"),
        "not a recording of tracebee, nor a pcap or pcapng capture"
    );
    assert_eq!(open(b"abc"), "not a recording of tracebee, nor a pcap or pcapng capture");
    assert_eq!(open(&[0x1f, 0x8b, 8, 0, 0]), "the file is compressed; decompress it first");
    assert_eq!(open(&pcap(&[])[..20]), "the header of the pcap capture is damaged");
    assert_eq!(
        open(&Pcapng::new(Order::Big).out[..20]),
        "the header of the pcapng capture is damaged"
    );
    let mut version = pcap(&[]);
    version[4] = 9;
    assert_eq!(open(&version), "the header of the pcap capture is damaged");
    expect_nothing(&pcap(&[]));
    expect_nothing(&Pcapng::new(Order::Big).out);
}

fn expect_nothing(file: &[u8]) {
    let outcome = replay(&[file]);
    assert_eq!((outcome.packets(), outcome.losses()), (0, vec![]));
}
