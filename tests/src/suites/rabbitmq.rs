//! RabbitMQ: pika, aio-pika, amqplib, amqp091-go and the Java client against a real broker. Truth is
//! the clients' own logs: each message that was sent, and each time that one was brought, exactly one
//! span, with the right destination, size and end.

pub(super) mod consumers;
pub(super) mod senders;
pub(super) mod trouble;
mod wire;

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use tracebee_tests::agent::{Agent, captured_by};
use tracebee_tests::check::CLOCK_SLACK;
use tracebee_tests::paths::{self, installed};
use tracebee_tests::process::Process;
use tracebee_tests::rabbitmq::RabbitMq;
use tracebee_tests::report::Report;
use tracebee_tests::servers::python;
use tracebee_tests::span::{Kind, Span};
use tracebee_tests::wireshark::capture::Capture;

use super::database::{in_full, node};
use crate::Setting;

/// Longest that a client may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Where the broker of the committed capture was.
const FIXTURE_PORT: u16 = 5672;

/// Stands in bodies, headers and nowhere else.
const SECRET: &str = "secret";

/// The clients, and what their messages' ids begin with.
const CLIENTS: [(&str, &str); 5] =
    [("pika", "pk"), ("aio-pika", "ap"), ("amqplib", "nd"), ("amqp091-go", "go"), ("java", "jv")];

/// What a client did with a message.
#[derive(Debug, Deserialize)]
struct Truth {
    operation: String,
    id: Option<String>,
    size: Option<i64>,
    destination: String,
    pid: u32,
    /// Unix time in nanoseconds before the library was asked to send or settle, and after it had; no
    /// end where it does not say.
    start: Option<u64>,
    end: Option<u64>,
    /// When the message was there.
    at: Option<u64>,
    settled: Option<String>,
    error: Option<String>,
    #[serde(default)]
    confirmed: bool,
    trace: Option<String>,
    tag: Option<i64>,
    #[serde(default)]
    redelivered: bool,
    /// Whether it came to anything the library did not know.
    #[serde(default)]
    unsure: bool,
}

/// By what a span is found: its operation, the message's id, else its destination, and whether it was
/// brought again.
type Key = (String, String, bool);

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let broker = RabbitMq::start(dir)?;
    let port = broker.port.to_string();
    let capture = Capture::start(dir, "rabbitmq", &format!("tcp port {port}"))?;
    let agent = Agent::start(&setting.binary, dir, &["--output", "json", "--port", &port])?;
    let mut log = Vec::new();
    for (program, tag) in CLIENTS {
        let file = dir.join(format!("{program}.log"));
        Process::spawn(program, dir, &mut client(program, tag, &port, &file))?.succeed(LIMIT)?;
        log.extend(read(&file)?);
    }
    let stopped = agent.stop()?;
    broker.stop()?;
    wire::check(report, setting, &capture.stop()?, broker_port(&port))?;
    let fixture = paths::tests().join("../agent/tests/fixtures/rabbitmq.pcap");
    wire::check(report, setting, &fixture, FIXTURE_PORT)?;
    let spans = stopped.spans()?;
    messages(report, &spans, &log);
    for span in &spans {
        let kind = match span.text("messaging.operation.name") {
            Some("publish") => Kind::Producer,
            Some("consume") => Kind::Consumer,
            _ => Kind::Client,
        };
        report.check(span.kind == kind, || format!("is of another kind: {}", in_full(span)));
        report.equal("port", Some(i64::from(broker_port(&port))), span.int("server.port"));
        report.equal("system", Some("rabbitmq"), span.text("messaging.system"));
    }
    report.check(!stopped.stdout()?.contains(SECRET), || "a secret is in the output".into());
    for loss in ["gap", "joined_midway", "ring_full", "stopped", "table_full", "unreadable"] {
        report.equal(loss, 0, stopped.summary(loss));
    }
    report.note(format!("{} messages, {} spans", log.len(), spans.len()));
    Ok(())
}

/// What a client wrote.
fn read(file: &Path) -> Result<Vec<Truth>> {
    let text = std::fs::read_to_string(file)?;
    let read = |line: &str| serde_json::from_str(line).with_context(|| line.to_owned());
    text.lines().map(read).collect()
}

fn broker_port(port: &str) -> u16 {
    port.parse().unwrap_or_default()
}

fn client(program: &str, tag: &str, port: &str, log: &Path) -> Command {
    let mut command = match program {
        "pika" => python("rabbitmq/pika_client.py", &[]),
        "aio-pika" => python("rabbitmq/aio_pika_client.py", &[]),
        "amqplib" => node("rabbitmq/client.js"),
        "java" => {
            let dir = installed("java-rabbitmq");
            let mut java = Command::new("java");
            let path = format!("{0}:{0}/*", dir.display());
            java.args(["-Xmx64m", "-cp", &path, "Client"]);
            java
        }
        _ => Command::new(installed("go/rabbitmq")),
    };
    command.arg(port).arg(log).arg(tag);
    command
}

/// What was logged is told once, as it was; nothing else is told.
fn messages(report: &mut Report, spans: &[Span], log: &[Truth]) {
    let mut found: HashMap<Key, Vec<&Span>> = HashMap::new();
    let sent = sent(spans);
    for span in spans {
        let text = |key| span.text(key).unwrap_or_default().to_owned();
        let id = match span.text("messaging.message.id") {
            Some(id) => id.to_owned(),
            None => text("messaging.destination.name"),
        };
        let again = span.attributes.contains_key("tracebee.messaging.redelivered");
        found.entry((text("messaging.operation.name"), id, again)).or_default().push(span);
    }
    for truth in log {
        let id = truth.id.clone().unwrap_or_else(|| truth.destination.clone());
        let name = format!("{} {id}", truth.operation);
        let key = (truth.operation.clone(), id, truth.redelivered);
        let spans = found.remove(&key).unwrap_or_default();
        report.equal(&format!("{name}: spans"), 1, spans.len());
        if let [span] = spans[..] {
            // Each has an id of its own. Where sends are told of when they are over, order says nothing.
            let in_order = captured_by() != Some("lengths");
            let id = truth.id.as_deref().filter(|_| in_order);
            let by = id.and_then(|id| sent.get(id).copied());
            message(report, &name, truth, span, by);
        }
    }
    for span in found.values().flatten() {
        report.fail(format!("nobody did this: {}", in_full(span)));
    }
}

/// What was published, by the message's id.
fn sent(spans: &[Span]) -> HashMap<&str, &Span> {
    let published = spans.iter().filter(|span| span.kind == Kind::Producer);
    published.filter_map(|span| Some((span.text("messaging.message.id")?, span))).collect()
}

/// Compares a span; `by` is that of the publishing which is to be above it, if one is and the message
/// does not say otherwise.
fn message(report: &mut Report, name: &str, truth: &Truth, span: &Span, by: Option<&Span>) {
    report.equal(name, truth.pid, span.pid());
    report.equal(name, format!("{} {}", truth.operation, truth.destination), span.name.clone());
    let destination = span.text("messaging.destination.name");
    report.equal(name, Some(&*truth.destination), destination);
    report.equal(name, truth.size, span.int("messaging.message.body.size"));
    report.equal(name, truth.error.as_deref(), span.text("error.type"));
    report.equal(name, truth.error.is_some(), span.error);
    let settled = span.text("tracebee.messaging.settled");
    report.equal(name, truth.settled.as_deref(), settled);
    let confirmed = span.attributes.contains_key("tracebee.messaging.confirmed");
    report.equal(name, truth.confirmed, confirmed);
    if truth.tag.is_some() {
        let tag = span.int("messaging.rabbitmq.message.delivery_tag");
        report.equal(name, truth.tag, tag);
    }
    let brought = truth.at.is_some() || truth.operation == "get";
    let said = truth.trace.as_deref().map(|t| (t[3..35].to_owned(), t[36..52].to_owned()));
    let by = by.filter(|_| brought).map(|by| (by.trace.clone(), by.id.clone()));
    let above = said.or(by);
    let parent = span.parent.clone().map(|parent| (span.trace.clone(), parent));
    report.equal(name, &above, &parent);
    if brought {
        report.equal(name, above.as_slice(), &*span.links);
    }
    times(report, name, truth, span);
}

fn times(report: &mut Report, name: &str, truth: &Truth, span: &Span) {
    let mut before = |what, earlier: u64, later: u64| {
        report.check(earlier <= later + CLOCK_SLACK, || {
            format!("{name}: {what} by {} ns", earlier - later)
        });
    };
    match truth.at {
        // Brought: over when it was there, or when it was settled.
        Some(at) => {
            before("was brought before it begins", span.start, at);
            if let (Some(start), true) = (truth.start, truth.settled.is_some()) {
                before("ends before it is settled", start, span.end);
            }
            if let (Some(end), true) = (truth.end, truth.settled.is_some()) {
                before("ends after it was settled", span.end, end);
            } else if truth.settled.is_none() {
                before("ends after it was there", span.end, at);
            }
        }
        None => {
            if let Some(start) = truth.start {
                before("begins before it is sent", start, span.start);
            }
            if let Some(end) = truth.end {
                before("ends after it was sent", span.end, end);
            }
        }
    }
}
