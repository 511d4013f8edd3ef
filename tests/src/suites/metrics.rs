//! What Prometheus is told: valid by its own parser, true by the workload's log, and served
//! whoever else asks, holds on or talks nonsense.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use tracebee_tests::agent::Agent;
use tracebee_tests::clients::Client;
use tracebee_tests::paths::free_port;
use tracebee_tests::plan::Plan;
use tracebee_tests::process::Process;
use tracebee_tests::report::Report;
use tracebee_tests::servers::{self, Which, python};
use tracebee_tests::sink::{Keep, Sink};

use crate::Setting;

/// Calls of the workload, and its connections.
const CALLS: usize = 3000;
const CONNECTIONS: usize = 4;
/// Who asks slowly, or never comes to the point.
const SLOW: usize = 100;
/// Bytes of a request that never ends.
const HUGE: usize = 4 << 20;
/// Longest that an answer may take; until the numbers are there.
const LIMIT: Duration = Duration::from_secs(15);
/// Numbers that the kernel keeps are fetched every second.
const POLL: Duration = Duration::from_millis(200);

/// Samples by name: labels and value.
#[derive(Debug, Deserialize)]
pub(super) struct Page(BTreeMap<String, Vec<(Labels, f64)>>);

type Labels = BTreeMap<String, String>;

impl Page {
    /// The sample with this label, or the only one.
    pub(super) fn value(&self, name: &str, label: &str) -> Result<f64> {
        let samples = self.0.get(name).with_context(|| format!("no {name}"))?;
        let mut fitting = samples
            .iter()
            .filter(|(labels, _)| label.is_empty() || labels.values().any(|value| value == label));
        let (_, value) = fitting.next().with_context(|| format!("no {name} {label}"))?;
        ensure!(fitting.next().is_none(), "more than one {name} {label}");
        Ok(*value)
    }

    fn sum(&self, name: &str) -> f64 {
        self.0.get(name).into_iter().flatten().map(|(_, value)| value).sum()
    }
}

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let server = servers::start(Which::Go, dir)?;
    let sink = Sink::start(Keep::Ids)?;
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    // Totals are compared here, so that others' traffic must stay outside, that of scrapers too.
    let (endpoint, listen, port) = (sink.grpc(), address.to_string(), server.port.to_string());
    let arguments = ["--otlp-endpoint", &endpoint, "--metrics-listen", &listen, "--port", &port];
    let statistics = Statistics::on()?;
    let agent = Agent::start(&setting.binary, dir, &arguments)?;

    let first = scrape(setting, address)?;
    for name in ["tracebee_calls_total", "tracebee_losses_total", "tracebee_links_total"] {
        report.equal(&format!("{name} at the start"), 0.0, first.sum(name));
    }

    let mut plan = Plan::default();
    for n in 0..CALLS {
        plan.get(&setting.id(&[&n.to_string()]), &server.base(n % 2 == 1), "/bytes/100");
    }
    let mut load = Client::Go.spawn(&plan, dir, CONNECTIONS)?;
    let hostile = hostile(address)?;
    let mut pages = vec![first];
    while load.running() {
        pages.push(scrape(setting, address)?);
    }
    let log = load.finish()?;
    report.equal("calls of the workload", CALLS, log.len());
    let calls = CALLS as f64;
    let deadline = Instant::now() + LIMIT;
    let last = loop {
        let page = scrape(setting, address)?;
        if page.value("tracebee_exported_spans_total", "")? >= 2.0 * calls
            || Instant::now() > deadline
        {
            break page;
        }
        std::thread::sleep(POLL);
    };
    drop(hostile);

    for (name, label, expected) in [
        ("tracebee_calls_total", "", 2.0 * calls),
        ("tracebee_spans_total", "", 2.0 * calls),
        ("tracebee_links_total", "seq", calls),
        ("tracebee_links_total", "header", 0.0),
        ("tracebee_unlinked_calls_total", "", calls),
        ("tracebee_exported_spans_total", "", 2.0 * calls),
        ("tracebee_export_requests_total", "taken", sink.received().requests() as f64),
        ("tracebee_export_requests_total", "refused", 0.0),
        ("tracebee_queue_spans", "otlp", 0.0),
        ("tracebee_queue_bytes", "otlp", 0.0),
        ("tracebee_ring_size_bytes", "", f64::from(16 << 20)),
    ] {
        report.equal(&format!("{name} {label}"), expected, last.value(name, label)?);
    }
    report.equal("losses", 0.0, last.sum("tracebee_losses_total"));
    report.equal("spans at the receiver", 2 * CALLS as u64, sink.received().different());
    costs(report, &last, &agent)?;
    pages.push(last);
    for pair in pages.windows(2) {
        never_falls(report, &pair[0], &pair[1]);
    }
    drop(statistics);
    report.note(format!("{} pages", pages.len()));
    agent.stop().map(drop)
}

/// What it costs is at least something, and what everybody can see in `/proc`.
fn costs(report: &mut Report, page: &Page, agent: &Agent) -> Result<()> {
    // Each end of a call: a record for the request and one for the answer.
    let (events, bytes) = ("tracebee_events_total", "tracebee_event_bytes_total");
    let (events, bytes) = (page.value(events, "")?, page.value(bytes, "")?);
    report.check(events >= 4.0 * CALLS as f64 && bytes > 100.0 * events, || {
        format!("{events} events of {bytes} bytes")
    });
    for name in [
        "tracebee_ring_peak_bytes",
        "process_cpu_seconds_total",
        "process_virtual_memory_bytes",
        "process_open_fds",
        "process_threads",
    ] {
        let value = page.value(name, "")?;
        report.check(value > 0.0, || format!("{name} is {value}"));
    }
    for name in ["tracebee_program_runs_total", "tracebee_program_run_seconds_total"] {
        report.check(page.sum(name) > 0.0, || format!("{name} stays 0"));
    }
    let (told, pss) = (page.value("process_resident_memory_bytes", "")?, agent.pss_kib()?);
    report.check(told >= pss as f64 * 1024.0 * 0.9, || format!("{told} bytes, {pss} KiB"));
    let ring = page.value("tracebee_ring_bytes", "")?;
    report.check(ring <= f64::from(16 << 20), || format!("{ring} bytes in the ring"));
    Ok(())
}

fn never_falls(report: &mut Report, before: &Page, after: &Page) {
    for (name, samples) in before.0.iter().filter(|(name, _)| name.ends_with("_total")) {
        for (labels, value) in samples {
            let later = after.0.get(name).into_iter().flatten().find(|(l, _)| l == labels);
            report.check(later.is_some_and(|(_, later)| later >= value), || {
                format!("{name} {labels:?} was {value}, then {later:?}")
            });
        }
    }
}

/// What no scraper does; kept open until the end.
fn hostile(address: SocketAddr) -> Result<Vec<TcpStream>> {
    let mut open = Vec::new();
    let mut begin = |bytes: &[u8]| -> Result<()> {
        let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
        stream.set_write_timeout(Some(LIMIT))?;
        // The agent may have heard enough before all is written.
        _ = stream.write_all(bytes);
        open.push(stream);
        Ok(())
    };
    begin(&[b'x'; HUGE])?;
    begin(&[b"GET /metrics HTTP/1.1\r\nx: ", &vec![b'y'; HUGE][..]].concat())?;
    begin(b"POST /metrics HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999\r\n\r\n")?;
    begin(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS client")?;
    for n in 0..SLOW {
        begin(if n % 2 == 0 { b"GET /metrics HT" } else { b"" })?;
    }
    Ok(open)
}

/// Asks as Prometheus does, and has the answer decoded by its own parser.
pub(super) fn scrape(setting: &Setting, address: SocketAddr) -> Result<Page> {
    let dir = setting.dir.path();
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let accept = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5";
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nAccept: {accept}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("the answer to a scrape")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer")?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "scrape: {head}");
    let content_type = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    ensure!(head.lines().any(|line| line.eq_ignore_ascii_case(content_type)), "{head}");
    let file = dir.join("page");
    std::fs::write(&file, body)?;
    let file = file.to_str().context("the path of a page")?;
    let mut decoder =
        Process::spawn("openmetrics", dir, &mut python("raw/openmetrics.py", &[file]))?;
    decoder.succeed(LIMIT)?;
    serde_json::from_str(&decoder.stdout()).context("the decoder's output")
}

/// The kernel counts what its programs cost, as long as this lives.
struct Statistics(String);

impl Statistics {
    const FILE: &str = "/proc/sys/kernel/bpf_stats_enabled";

    fn on() -> Result<Self> {
        let before = std::fs::read_to_string(Self::FILE)?;
        std::fs::write(Self::FILE, "1")?;
        Ok(Self(before))
    }
}

impl Drop for Statistics {
    fn drop(&mut self) {
        // Nothing depends on it.
        _ = std::fs::write(Self::FILE, self.0.trim());
    }
}
