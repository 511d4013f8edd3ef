//! Who sent a message, where it does not say so: of messages that look alike, none is given to another's
//! sender. The logs know each by a number in its body, which the agent does not look at.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use tracebee_tests::agent::{Agent, captured_by};
use tracebee_tests::process::Process;
use tracebee_tests::rabbitmq::RabbitMq;
use tracebee_tests::report::Report;
use tracebee_tests::servers::python;
use tracebee_tests::span::{Kind, Span};

use super::LIMIT;
use crate::Setting;

/// Messages that are sent.
const COUNT: (usize, usize) = (2_000, 20_000);
/// How long they may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Where they are taken from, and where they go that are turned down.
const QUEUES: [&str; 3] = ["one", "two", "dead"];
const TAG: &str = "alike";

#[derive(Debug, Deserialize)]
struct Line {
    operation: String,
    pid: u32,
    number: usize,
    id: Option<String>,
    kind: Option<String>,
    start: Option<u64>,
    end: Option<u64>,
    tag: Option<i64>,
    #[serde(default)]
    dead: bool,
}

/// What was linked, of one kind of message.
#[derive(Default)]
struct Share {
    brought: usize,
    linked: usize,
}

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let count = if setting.full { COUNT.1 } else { COUNT.0 };
    let broker = RabbitMq::start(dir)?;
    let port = broker.port.to_string();
    let agent = Agent::start(&setting.binary, dir, &["--output", "json", "--port", &port])?;
    let program = |name: &str, what: &str, rest: &str| -> Result<Process> {
        let mut command: Command = python("rabbitmq/senders.py", &[]);
        command.arg(&port).arg(dir.join(format!("{name}.log"))).args([TAG, what, rest]);
        Process::spawn(name, dir, &mut command)
    };
    program("declare", "declare", "")?.succeed(LIMIT)?;
    let mut takers = Vec::new();
    for queue in QUEUES {
        let mut taker = program(queue, "take", &format!("{TAG}-{queue}"))?;
        let ready = dir.join(format!("{queue}.log.ready"));
        taker.wait_until("consumer", LIMIT, |_| ready.exists())?;
        takers.push(taker);
    }
    program("send", "send", &count.to_string())?.succeed(PATIENCE)?;
    for (taker, queue) in takers.iter_mut().zip(QUEUES) {
        std::fs::write(dir.join(format!("{queue}.log.stop")), "")?;
        taker.succeed(PATIENCE)?;
    }
    let stopped = agent.stop()?;
    broker.stop()?;
    for loss in ["gap", "joined_midway", "ring_full", "table_full", "unreadable"] {
        report.equal(loss, 0, stopped.summary(loss));
    }
    let sent = read(&dir.join("send.log"))?;
    let mut taken = Vec::new();
    for queue in QUEUES {
        taken.extend(read(&dir.join(format!("{queue}.log")))?);
    }
    links(report, &stopped.spans()?, &sent, &taken)
}

fn read(file: &Path) -> Result<Vec<Line>> {
    let text = std::fs::read_to_string(file)?;
    let read = |line: &str| serde_json::from_str(line).with_context(|| line.to_owned());
    text.lines().map(read).collect()
}

fn links(report: &mut Report, spans: &[Span], sent: &[Line], taken: &[Line]) -> Result<()> {
    let mut published: HashMap<Option<&str>, Vec<&Span>> = HashMap::new();
    for span in spans.iter().filter(|span| span.kind == Kind::Producer) {
        published.entry(span.text("messaging.message.id")).or_default().push(span);
    }
    // The span of each message that has an id: of those that share one, by when it was sent.
    let mut senders: HashMap<usize, &Span> = HashMap::new();
    for line in sent.iter().filter(|line| line.id.is_some()) {
        let (start, end) = (line.start.context("a start")?, line.end.context("an end")?);
        let all = published.get(&line.id.as_deref()).map_or(&[][..], Vec::as_slice);
        let mut of_it = all.iter().filter(|span| start <= span.start && span.start <= end);
        match (of_it.next(), of_it.next()) {
            (Some(span), None) => drop(senders.insert(line.number, span)),
            _ => report.fail(format!("no span, or two, of message {}", line.number)),
        }
    }
    let kinds: HashMap<usize, &str> =
        sent.iter().filter_map(|line| Some((line.number, line.kind.as_deref()?))).collect();
    let mut brought: HashMap<(u32, i64), &Span> = HashMap::new();
    for span in spans.iter().filter(|span| span.kind == Kind::Consumer) {
        let tag = span.int("messaging.rabbitmq.message.delivery_tag").context("a tag")?;
        brought.insert((span.pid(), tag), span);
    }
    let mut shares: HashMap<&str, Share> = HashMap::new();
    for line in taken.iter().filter(|line| line.operation == "consume") {
        let kind = if line.dead { "dead" } else { kinds[&line.number] };
        let share = shares.entry(kind).or_default();
        share.brought += 1;
        let Some(span) = brought.get(&(line.pid, line.tag.unwrap_or_default())) else {
            report.fail(format!("message {} was brought, and has no span", line.number));
            continue;
        };
        let Some(parent) = &span.parent else { continue };
        share.linked += 1;
        report.equal("link", Some("queue"), span.text("tracebee.link"));
        let right = senders.get(&line.number).is_some_and(|sender| sender.id == *parent);
        report.check(right, || format!("message {} has another's sender", line.number));
        let link = (span.trace.clone(), parent.clone());
        report.equal("what it is linked with", &[link][..], &*span.links);
    }
    let mut of = |kind: &str| -> (usize, usize) {
        let Share { brought, linked } = shares.remove(kind).unwrap_or_default();
        report.note(format!("{kind}: {linked} of {brought} linked"));
        (linked, brought)
    };
    let [own, all, none, shared, dead] = ["own", "all", "none", "shared", "dead"].map(&mut of);
    // Where sends are told of after they are over, order says nothing.
    let exact = captured_by() != Some("lengths");
    for (what, (linked, brought)) in [("own", own), ("all", all)] {
        let enough = brought > 100 && (linked == brought || !exact);
        report.check(enough, || format!("{what}: only {linked} of {brought} have a sender"));
    }
    report.check(none.0 == 0 && dead.0 == 0, || "what has no name of its own is linked".into());
    report.check(none.1 > 100 && shared.1 > 100 && dead.1 > 10, || "too few messages".into());
    Ok(())
}
