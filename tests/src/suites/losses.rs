//! A small ring, and an agent that does not get to read it now and then: it overflows. On each
//! connection, every call in the client's log has its span or is counted as lost, at both ends.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tracebee_tests::agent::Agent;
use tracebee_tests::check::{self, Spans};
use tracebee_tests::clients::Client;
use tracebee_tests::plan::{Plan, Truth};
use tracebee_tests::report::Report;
use tracebee_tests::servers::{self, Which};
use tracebee_tests::span::{Kind, Span};

use crate::Setting;

/// The smallest ring that the agent takes.
const RING: &str = "262144";
/// Connections that are kept.
const KEPT: usize = 100;
/// Clients that make a connection for each call.
const SHORT: usize = 4;
/// More calls than any client makes before it is stopped.
const ENDLESS: usize = 300_000;
/// How often the agent is kept from running, and for how long each time.
const PAUSES: usize = 6;
const PAUSE: Duration = Duration::from_millis(300);
/// Between pauses: long enough for connections that are only seen in part.
const RUN: Duration = Duration::from_millis(400);
/// For the last words of the connections to be read.
const SETTLE: Duration = Duration::from_millis(1500);

/// Calls by turns: answers of known size, long and short, in chunks, and bodies that are sent.
const CALLS: &[(&str, &str, usize)] = &[
    ("GET", "/bytes/100", 0),
    ("POST", "/echo", 5000),
    ("GET", "/chunked/20000", 0),
    ("GET", "/bytes/100", 0),
    ("HEAD", "/bytes/1000", 0),
    ("GET", "/bytes/100000", 0),
    ("GET", "/status/404", 0),
    ("POST", "/echo", 300_000),
    ("POST", CHUNKED, 20_000),
];

/// A body that is sent in chunks.
const CHUNKED: &str = "/echo#chunked";

/// Calls of one end of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    spans: u64,
    /// What the agent says of it: calls with a span, and without.
    told: u64,
    lost: u64,
}

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let server = servers::start(Which::Go, dir)?;
    let port = server.port.to_string();
    let arguments =
        ["--output", "json", "--ring-size", RING, "--log-level", "info", "--port", &port];
    let agent = Agent::start(&setting.binary, dir, &arguments)?;

    let plan = |label: &str, pause: &str| {
        let mut plan = Plan::default();
        for n in 0..ENDLESS {
            let (method, path, body) = CALLS[n % CALLS.len()];
            let id = setting.id(&[label, &n.to_string()]);
            let (path, flag) = path.split_once('#').unwrap_or((path, ""));
            let flags = format!("{pause},{flag}");
            plan.call(&id, method, &server.base(n % 2 == 1), path, body, &flags);
        }
        plan
    };
    let mut kept = Client::Go.spawn(&plan("kept", "pause=4"), dir, KEPT)?;
    let mut short = Client::GoClose.spawn(&plan("short", "pause=40"), dir, SHORT)?;
    for _ in 0..PAUSES {
        std::thread::sleep(RUN);
        agent.pause();
        std::thread::sleep(PAUSE);
        agent.go_on();
        ensure!(kept.running() && short.running(), "the load ended: {}", kept.stderr());
    }
    std::thread::sleep(RUN);
    let mut log = kept.stop()?;
    log.extend(short.stop()?);
    std::thread::sleep(SETTLE);
    let stopped = agent.stop()?;
    let spans = stopped.spans()?;

    let reasons = ["gap", "unrecognised", "joined_midway", "stopped", "table_full", "shed"];
    let lost: u64 = reasons.iter().map(|reason| stopped.summary(reason)).sum();
    report.check(stopped.summary("ring_full") > 0 && stopped.summary("gap") > 0, || {
        format!("nothing was lost, the suite proves nothing:\n{}", stopped.stderr)
    });
    report.equal("spans that found no room in a queue", 0, stopped.summary("queue_full"));
    // Children of calls that were lost at the client's end only.
    check::whole_but(report, &spans, lost);
    right(report, &Spans::new(&spans), &log);

    let counts = counts(&spans, &log, &stopped.stderr, server.port)?;
    let mut calls: HashMap<u16, u64> = HashMap::new();
    for truth in &log {
        *calls.entry(truth.port.context("the client logs its port")?).or_default() += 1;
    }
    let (mut partly, mut wholly) = (0, 0);
    for (port, calls) in &calls {
        for kind in [Kind::Client, Kind::Server] {
            let count = counts.get(&(*port, kind)).copied().unwrap_or_default();
            let Count { spans, told, lost } = count;
            report.check(spans + lost == *calls, || {
                format!(
                    "connection from port {port}, {kind:?}: {calls} calls, {spans} spans and \
                     {lost} lost"
                )
            });
            // Less, if another connection from that port lost nothing.
            report.check(told <= spans, || {
                format!("connection from port {port}, {kind:?}: {spans} spans, {told} said")
            });
            partly += u64::from(lost > 0 && spans > 0);
            wholly += u64::from(spans == 0);
        }
    }
    let said: u64 = counts.values().map(|count| count.lost).sum();
    report.equal("calls lost, by connection and by reason", said, lost);
    report.check(partly > 0, || "no connection lost a part of its calls".into());
    report.note(format!(
        "{} calls on {} connections, {} spans, {lost} lost ({} shed), {} records; of the ends, \
         {partly} lost calls and {wholly} all of them",
        log.len(),
        calls.len(),
        spans.len(),
        stopped.summary("shed"),
        stopped.summary("ring_full")
    ));
    Ok(())
}

/// Whatever was lost around it, a span is right.
fn right(report: &mut Report, spans: &Spans<'_>, log: &[Truth]) {
    for truth in log {
        for span in spans.of(&truth.call) {
            let what = || format!("{}: {}", truth.call, check::brief(span));
            report.check(span.text("http.request.method") == Some(&truth.method), what);
            report
                .check(span.int("http.response.status_code") == Some(truth.status.into()), || {
                    format!("{} instead of status {}", what(), truth.status)
                });
            for (key, size) in [
                ("http.request.body.size", truth.sent),
                ("http.response.body.size", truth.received),
            ] {
                let told = span.int(key);
                report.check(told.is_none_or(|told| told as u64 == size), || {
                    format!("{}: {key} {told:?} instead of {size}", what())
                });
            }
            let early = truth.start.saturating_sub(span.start + check::CLOCK_SLACK);
            let late = span.end.saturating_sub(truth.end + check::CLOCK_SLACK);
            report.check(early == 0 && (late == 0 || span.kind == Kind::Server), || {
                format!("{}: {early} ns too early, {late} ns too late", what())
            });
        }
        for kind in [Kind::Client, Kind::Server] {
            let number = spans.of(&truth.call).iter().filter(|span| span.kind == kind).count();
            report.check(number <= 1, || format!("{}: {number} {kind:?} spans", truth.call));
        }
    }
}

/// By the client's port and the end: spans, and what the agent says of the connection.
fn counts(
    spans: &[Span],
    log: &[Truth],
    stderr: &str,
    server: u16,
) -> Result<HashMap<(u16, Kind), Count>> {
    let ports: HashMap<&str, Option<u16>> =
        log.iter().map(|truth| (truth.call.as_str(), truth.port)).collect();
    let mut counts: HashMap<(u16, Kind), Count> = HashMap::new();
    for span in spans {
        let call = span.call().with_context(|| format!("whose? {}", check::brief(span)))?;
        let port = ports.get(call).copied().flatten();
        let port = port.with_context(|| format!("{call} is not in the log"))?;
        counts.entry((port, span.kind)).or_default().spans += 1;
    }
    // connection 127.0.0.1:1 to 127.0.0.1:2, client, pid 3: 4 calls told, 5 lost; 6 kernel ...
    for line in stderr.lines().filter_map(|line| line.split_once(" connection ")) {
        let words: Vec<&str> = line.1.split([' ', ',', ':', ';']).collect();
        let number = |before: &str| -> Result<u64> {
            let at = words.iter().position(|word| *word == before);
            let word = at.and_then(|at| words[..at].iter().rev().find(|word| !word.is_empty()));
            word.and_then(|word| word.parse().ok()).with_context(|| format!("{before}: {line:?}"))
        };
        let (local, rest) = line.1.split_once(" to ").context("to")?;
        let (remote, _) = rest.split_once(", ").context("end")?;
        let port = |address: &str| -> Result<u16> {
            Ok(address.rsplit_once(':').context("port")?.1.parse()?)
        };
        let (local, remote) = (port(local)?, port(remote)?);
        let key = if remote == server {
            (local, Kind::Client)
        } else {
            ensure!(local == server, "whose connection? {line:?}");
            (remote, Kind::Server)
        };
        let count = counts.entry(key).or_default();
        count.told += number("calls")?;
        count.lost += number("lost")?;
    }
    Ok(counts)
}
