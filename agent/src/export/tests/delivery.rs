//! Spans from push to receiver, over real sockets, by both protocols.

use std::collections::HashMap;
use std::io::Write;
use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::super::{Config, Exporters, Filter, OtlpConfig, Output, Protocol, QUEUE_BYTES};
use super::receiver::{Pki, Receiver, Reply};
use super::{client_span, flatten, otlp_config, span};
use crate::stats::{Loss, Stats};
use crate::trace::Span;

const BOTH: [Protocol; 2] = [Protocol::Grpc, Protocol::HttpProtobuf];
/// Ample for a flush to a receiver that works.
const FLUSH: Duration = Duration::from_secs(30);

fn config(protocol: Protocol, address: &str, variables: &[(&str, &str)]) -> OtlpConfig {
    let protocol = match protocol {
        Protocol::Grpc => "grpc",
        Protocol::HttpProtobuf => "http/protobuf",
    };
    let mut all =
        vec![("OTEL_EXPORTER_OTLP_PROTOCOL", protocol), ("OTEL_BSP_SCHEDULE_DELAY", "20")];
    all.extend(variables);
    otlp_config(address, &all)
}

fn start(otlp: OtlpConfig) -> (Exporters, Arc<Stats>) {
    let stats = Arc::new(Stats::default());
    let config = Config {
        otlp: Some(otlp),
        output: Output::None,
        filter: Filter::default(),
        queue: QUEUE_BYTES,
    };
    (Exporters::start(config, Arc::clone(&stats)).expect("starts"), stats)
}

fn start_for(receiver: &Receiver, protocol: Protocol) -> (Exporters, Arc<Stats>) {
    start(config(protocol, &format!("http://{}", receiver.address), &[]))
}

fn spans(ids: std::ops::Range<u64>) -> Vec<Span> {
    ids.map(|id| if id % 3 == 0 { client_span(id) } else { span(id) }).collect()
}

/// Exported, failed, rejected, dropped at the queue.
fn counts(stats: &Stats) -> [u64; 4] {
    [
        stats.exported.load(Ordering::Relaxed),
        stats.lost(Loss::ExportFailed),
        stats.lost(Loss::ExportRejected),
        stats.lost(Loss::QueueFull),
    ]
}

fn ids(range: std::ops::Range<u64>) -> Vec<u64> {
    range.collect()
}

#[test]
fn every_span_arrives_once_with_headers_and_gzip() {
    for protocol in BOTH {
        for compression in ["none", "gzip"] {
            let receiver = Receiver::start(protocol, vec![]);
            let (exporters, stats) = start(config(
                protocol,
                &format!("http://{}", receiver.address),
                &[
                    ("OTEL_EXPORTER_OTLP_COMPRESSION", compression),
                    ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b"),
                ],
            ));
            for chunk in [1..2, 2..700, 700..2001] {
                exporters.push(&mut spans(chunk));
            }
            exporters.shutdown(FLUSH);
            assert_eq!(receiver.wait_for_spans(2000), ids(1..2001), "{protocol:?} {compression}");
            assert_eq!(counts(&stats), [2000, 0, 0, 0]);
            assert_eq!(stats.spans.load(Ordering::Relaxed), 2000);

            let taken = receiver.taken();
            let names: HashMap<_, _> = taken
                .iter()
                .flat_map(|seen| flatten(seen.request.clone()))
                .map(|(service, span)| (span.span_id, (service, span.name)))
                .collect();
            assert_eq!(names[&3_u64.to_be_bytes()[..]], ("cart".to_owned(), "POST".to_owned()));
            assert_eq!(
                names[&1_u64.to_be_bytes()[..]],
                ("shop".to_owned(), "GET /movies/{id}".to_owned())
            );
            for seen in &taken {
                assert!(seen.request.resource_spans.len() <= 2, "grouped by resource");
                assert!(flatten(seen.request.clone()).len() <= 512);
                assert_eq!(seen.header("api-key"), Some("a b"));
                let agent = seen.header("user-agent").expect("a user agent");
                assert!(agent.starts_with("tracebee/"), "{agent}");
                assert!(agent.contains(" OTel-OTLP-Exporter-Rust/"), "{agent}");
                match protocol {
                    Protocol::Grpc => {
                        let encoding = seen.header("grpc-encoding").unwrap_or("none");
                        assert_eq!(encoding, compression);
                    }
                    Protocol::HttpProtobuf => {
                        assert_eq!(seen.path, "POST /v1/traces HTTP/1.1");
                        assert_eq!(seen.header("content-type"), Some("application/x-protobuf"));
                        let encoding = seen.header("content-encoding").unwrap_or("none");
                        assert_eq!(encoding, compression);
                    }
                }
            }
        }
    }
}

#[test]
fn own_ca_and_client_certificate() {
    let pki = Pki::new();
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.into_os_string().into_string().expect("UTF-8")
    };
    let ca = file("ca.pem", &pki.ca);
    let cert = file("cert.pem", &pki.client.0);
    let key = file("key.pem", &pki.client.1);
    for protocol in BOTH {
        let receiver = Receiver::start_at(protocol, vec![], Some(&pki), "127.0.0.1:0");
        let address = format!("https://localhost:{}", receiver.address.port());
        let trust = ("OTEL_EXPORTER_OTLP_CERTIFICATE", ca.as_str());
        let identity = [
            trust,
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &cert),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &key),
        ];
        let (exporters, stats) = start(config(protocol, &address, &identity));
        exporters.push(&mut spans(1..10));
        exporters.shutdown(FLUSH);
        assert_eq!(receiver.wait_for_spans(9), ids(1..10), "{protocol:?}");
        assert_eq!(counts(&stats), [9, 0, 0, 0]);

        // Without the CA, and without the certificate, nothing goes through.
        for variables in [&identity[1..], &identity[..1]] {
            let (exporters, stats) = start(config(protocol, &address, variables));
            exporters.push(&mut spans(1..10));
            exporters.shutdown(Duration::from_millis(700));
            assert_eq!(counts(&stats), [0, 9, 0, 0], "{protocol:?} {}", variables.len());
        }
        assert_eq!(receiver.span_ids().len(), 9);
    }
}

#[test]
fn replies_are_understood() {
    for protocol in BOTH {
        for (script, expected) in [
            (vec![Reply::Partial(4)], [6, 0, 4, 0]),
            (vec![Reply::Bad], [0, 10, 0, 0]),
            (vec![Reply::Busy(None), Reply::Busy(None)], [10, 0, 0, 0]),
            (vec![Reply::TooLarge, Reply::TooLarge], [10, 0, 0, 0]),
        ] {
            let receiver = Receiver::start(protocol, script.clone());
            let (exporters, stats) = start_for(&receiver, protocol);
            exporters.push(&mut spans(1..11));
            exporters.shutdown(FLUSH);
            assert_eq!(counts(&stats), expected, "{protocol:?} {script:?}");
            let taken = (expected[0] + expected[2]) as usize;
            assert_eq!(receiver.wait_for_spans(taken).len(), taken, "{protocol:?} {script:?}");
        }
    }
}

#[test]
fn receiver_decides_when_to_come_back() {
    for protocol in BOTH {
        let wait = Duration::from_secs(1);
        let receiver = Receiver::start(protocol, vec![Reply::Busy(Some(wait))]);
        let (exporters, stats) = start_for(&receiver, protocol);
        let pushed = Instant::now();
        exporters.push(&mut spans(1..3));
        assert_eq!(receiver.wait_for_spans(2), [1, 2]);
        assert!(pushed.elapsed() >= wait, "{protocol:?}");
        exporters.shutdown(FLUSH);
        assert_eq!(counts(&stats), [2, 0, 0, 0]);
    }
}

#[test]
fn receiver_that_comes_up_late_gets_all_that_was_kept() {
    for protocol in BOTH {
        // A port that is free, as nobody else knows it.
        let reserved = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = reserved.local_addr().expect("an address").to_string();
        drop(reserved);
        let (exporters, stats) = start(config(
            protocol,
            &format!("http://{address}"),
            &[("OTEL_BSP_MAX_QUEUE_SIZE", "1000")],
        ));
        // Some are in hand, a thousand wait, the others are shed.
        for chunk in 0..40 {
            exporters.push(&mut spans(chunk * 100 + 1..chunk * 100 + 101));
            std::thread::sleep(Duration::from_millis(5));
        }
        let shed = counts(&stats)[3];
        assert!((950..=3000).contains(&shed), "{shed}");
        assert_eq!(counts(&stats), [0, 0, 0, shed], "nothing is given up while it is away");

        let receiver = Receiver::start_at(protocol, vec![], None, &address);
        let got = receiver.wait_for_spans(4000 - shed as usize);
        exporters.shutdown(FLUSH);
        assert_eq!(counts(&stats), [4000 - shed, 0, 0, shed], "{protocol:?}");
        assert_eq!(receiver.span_ids().len() as u64, 4000 - shed);
        let mut once = got.clone();
        once.dedup();
        assert_eq!(once, got, "no span twice");
    }
}

#[test]
fn slow_request_does_not_stall_the_others() {
    for protocol in BOTH {
        let receiver = Receiver::start(protocol, vec![Reply::Hang]);
        let (exporters, stats) = start_for(&receiver, protocol);
        exporters.push(&mut spans(1..1025));
        assert_eq!(receiver.wait_for_spans(512).len(), 512, "{protocol:?}");
        // The receiver has them a moment before its answer is here.
        let end = Instant::now() + FLUSH;
        while counts(&stats)[0] < 512 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        exporters.shutdown(Duration::ZERO);
        assert_eq!(counts(&stats), [512, 512, 0, 0]);
    }
}

#[test]
fn request_without_answer_is_repeated() {
    for protocol in BOTH {
        let receiver = Receiver::start(protocol, vec![Reply::Hang]);
        let (exporters, stats) = start(config(
            protocol,
            &format!("http://{}", receiver.address),
            &[("OTEL_EXPORTER_OTLP_TIMEOUT", "100")],
        ));
        exporters.push(&mut spans(1..5));
        exporters.shutdown(FLUSH);
        assert_eq!(receiver.wait_for_spans(4), [1, 2, 3, 4], "{protocol:?}");
        assert_eq!(counts(&stats), [4, 0, 0, 0]);
    }
}

#[test]
fn shutdown_is_bounded_and_counts_the_rest() {
    for protocol in BOTH {
        let receiver = Receiver::start(protocol, vec![Reply::Hang; 9]);
        let (exporters, stats) = start_for(&receiver, protocol);
        exporters.push(&mut spans(1..4001));
        let begun = Instant::now();
        exporters.shutdown(Duration::from_millis(300));
        // Without a bound it would take the timeout of ten seconds.
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(counts(&stats), [0, 4000, 0, 0], "{protocol:?}");
    }
}

#[test]
fn sinks_do_not_disturb_each_other() {
    /// Standard output that can be read.
    #[derive(Clone, Default)]
    struct Screen(Arc<Mutex<Vec<u8>>>);
    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no test panics here").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let receiver = Receiver::start(Protocol::Grpc, vec![]);
    let stats = Arc::new(Stats::default());
    let screen = Screen::default();
    let config = Config {
        otlp: Some(config(Protocol::Grpc, &format!("http://{}", receiver.address), &[])),
        output: Output::Text,
        filter: super::super::FilterArgs { service: vec!["cart".into()], ..Default::default() }
            .filter(),
        queue: QUEUE_BYTES,
    };
    let exporters = Exporters::start_with(config, Arc::clone(&stats), Box::new(screen.clone()))
        .expect("starts");
    exporters.push(&mut spans(1..91));
    assert!(!exporters.output_closed());
    exporters.shutdown(FLUSH);
    assert_eq!(receiver.wait_for_spans(90), ids(1..91), "OTLP is not filtered");
    let text = String::from_utf8(screen.0.lock().expect("no test panics here").clone());
    let text = text.expect("text is UTF-8");
    assert_eq!(text.lines().count(), 30);
    assert!(text.lines().all(|line| line.contains("  cart ")), "{text}");
    assert_eq!(counts(&stats), [90, 0, 0, 0]);
}
