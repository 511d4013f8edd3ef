//! Work that follows a message: calls of consumers hang under the message that they are made for, or under
//! none. Each call bears the message's id in its URL, which the agent does not know the meaning of.

use std::collections::{HashMap, HashSet};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use tracebee_tests::agent::Agent;
use tracebee_tests::paths::installed;
use tracebee_tests::process::Process;
use tracebee_tests::rabbitmq::RabbitMq;
use tracebee_tests::report::Report;
use tracebee_tests::servers::{self, python};
use tracebee_tests::span::{Kind, Span};

use crate::Setting;

/// How long a consumer may take.
const LIMIT: Duration = Duration::from_secs(120);
/// Messages of each.
const COUNT: (usize, usize) = (600, 10_000);
/// After so many messages at the latest a process that works on one at a time is believed.
const PROOFS: usize = 70;

/// A kind of consumer.
struct Consumer {
    name: &'static str,
    /// What is known of its calls is what it works on: else it shows nothing.
    tells: bool,
    /// Each of its threads has to be believed once for all of them.
    java: bool,
}

const fn consumer(name: &'static str, tells: bool) -> Consumer {
    Consumer { name, tells, java: false }
}

const ALL: [Consumer; 7] = [
    consumer("one", true),
    consumer("threads", true),
    consumer("many", false),
    consumer("first", false),
    consumer("timer", false),
    consumer("tasks", false),
    Consumer { name: "executor", tells: false, java: true },
];

#[derive(Debug, Deserialize)]
struct Line {
    id: String,
}

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let count = if setting.full { COUNT.1 } else { COUNT.0 };
    let broker = RabbitMq::start(dir)?;
    let down = servers::nginx(dir, 1, &[10])?;
    let (port, asked) = (broker.port.to_string(), down.port.to_string());
    let flags = ["--output", "json", "--port", &port, "--port", &asked];
    let agent = Agent::start(&setting.binary, dir, &flags)?;
    let mut calls = HashMap::new();
    for Consumer { name, java, .. } in &ALL {
        let mut command = if *java {
            let jars = installed("java-rabbitmq");
            let mut java = Command::new("java");
            java.args(["-Xmx64m", "-cp", &format!("{0}:{0}/*", jars.display()), "Worker"]);
            java
        } else {
            python("rabbitmq/worker.py", &[])
        };
        let log = dir.join(format!("{name}.log"));
        command.arg(&port).arg(&log).args([name, name, &*count.to_string(), &*asked]);
        Process::spawn(name, dir, &mut command)?.succeed(LIMIT)?;
        for line in std::fs::read_to_string(&log)?.lines() {
            let line: Line = serde_json::from_str(line).with_context(|| line.to_owned())?;
            calls.insert(line.id, *name);
        }
    }
    let stopped = agent.stop()?;
    broker.stop()?;
    for loss in ["gap", "ring_full", "table_full", "unreadable"] {
        report.equal(loss, 0, stopped.summary(loss));
    }
    parents(report, &stopped.spans()?, &calls, count)
}

/// What was found of one consumer's calls.
#[derive(Default)]
struct Found {
    made: usize,
    linked: usize,
    /// Messages the calls of which are linked.
    messages: HashSet<String>,
}

fn parents(
    report: &mut Report,
    spans: &[Span],
    calls: &HashMap<String, &str>,
    count: usize,
) -> Result<()> {
    let by_id: HashMap<&str, &Span> = spans.iter().map(|span| (&*span.id, span)).collect();
    let mut found: HashMap<&str, Found> = HashMap::new();
    let mut seen = HashSet::new();
    for span in spans {
        // Messages that it sends while it works are part of that, too.
        let sent = span.text("messaging.message.id").filter(|id| id.ends_with(".done"));
        let call = match span.kind {
            Kind::Client => span.call().filter(|call| calls.contains_key(*call)),
            Kind::Producer => sent,
            _ => None,
        };
        let Some(call) = call else { continue };
        let (message, _) = call.rsplit_once('.').context("a call's id")?;
        let consumer = message.split('-').next().unwrap_or_default();
        let of = found.entry(ALL.iter().find(|it| it.name == consumer).context("whose")?.name);
        let of = of.or_default();
        of.made += 1;
        if span.kind == Kind::Client {
            seen.insert(call);
        }
        let Some(parent) = &span.parent else { continue };
        of.linked += 1;
        of.messages.insert(message.to_owned());
        let parent = by_id.get(&**parent);
        let right = parent.is_some_and(|parent| {
            parent.kind == Kind::Consumer && parent.text("messaging.message.id") == Some(message)
        });
        report.check(right, || format!("{call} hangs under {:?}", parent.map(|it| &it.attributes)));
        report.equal(call, Some("thread"), span.text("tracebee.link"));
    }
    for call in calls.keys().filter(|call| !seen.contains(&***call)) {
        report.fail(format!("{call} has no span"));
    }
    for Consumer { name, tells, .. } in &ALL {
        let Found { made, linked, messages } = found.remove(name).unwrap_or_default();
        report.note(format!("{name}: {linked} of {made} linked"));
        let enough = if *tells { messages.len() + PROOFS >= count } else { linked == 0 };
        report.check(made > count && enough, || {
            format!("{name}: {linked} of {made} linked, of {} messages", messages.len())
        });
    }
    Ok(())
}
