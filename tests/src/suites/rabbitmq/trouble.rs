//! RabbitMQ when things go wrong: brokers that stop and crash under clients that connect again, consumers
//! that are killed with messages in their hands, and all that a broker refuses.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tracebee_tests::agent::{Agent, now};
use tracebee_tests::process::Process;
use tracebee_tests::rabbitmq::RabbitMq;
use tracebee_tests::report::Report;
use tracebee_tests::servers::python;
use tracebee_tests::span::Span;

use super::{LIMIT, SECRET, Truth, message, read, sent};
use crate::Setting;
use crate::suites::database::in_full;

/// Clients that go on whatever becomes of the broker, and what their messages' ids begin with.
const STEADY: [(&str, &str); 2] = [("pika", "sp"), ("aio-pika", "sa")];
/// How long the steady ones work between two blows.
const WORK: Duration = Duration::from_secs(2);
/// Messages of each consumer that is killed.
const HELD: usize = 20;
/// How many are killed.
const KILLED: (usize, usize) = (6, 60);
/// What the agent may hold more after the second half of them than after the first, in KiB: less than
/// one connection of each would take.
const MORE_MEMORY: u64 = 1024;
/// How long the agent may take to take in what went by.
const SETTLE: Duration = Duration::from_secs(2);

/// From when to when there was no broker.
struct Outage(u64, u64);

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let mut broker = RabbitMq::start(dir)?;
    let port = broker.port.to_string();
    let agent = Agent::start(&setting.binary, dir, &["--output", "json", "--port", &port])?;
    let mut log = errors(dir, &port)?;
    log.extend(killed(report, setting, &agent, &port)?);
    let outages = restarts(dir, &mut broker, &mut log)?;
    let stopped = agent.stop()?;
    broker.stop()?;
    let spans = stopped.spans()?;
    told(report, &spans, &log, &outages);
    report.check(!stopped.stdout()?.contains(SECRET), || "a secret is in the output".into());
    for loss in ["gap", "joined_midway", "ring_full", "table_full", "unreadable", "stopped"] {
        report.equal(loss, 0, stopped.summary(loss));
    }
    let again = log.iter().filter(|truth| truth.redelivered).count();
    report.check(again > HELD, || format!("only {again} messages were brought again"));
    report.note(format!("{} messages, {again} of them again", log.len()));
    Ok(())
}

/// What the broker refuses.
fn errors(dir: &Path, port: &str) -> Result<Vec<Truth>> {
    let file = dir.join("errors.log");
    let mut command = python("rabbitmq/errors.py", &[]);
    command.arg(port).arg(&file).arg("er");
    Process::spawn("errors", dir, &mut command)?.succeed(LIMIT)?;
    read(&file)
}

/// Consumers are killed, and others are brought what they held; the agent holds nothing of them.
fn killed(report: &mut Report, setting: &Setting, agent: &Agent, port: &str) -> Result<Vec<Truth>> {
    let dir = setting.dir.path();
    let count = if setting.full { KILLED.1 } else { KILLED.0 };
    let (mut log, mut memory) = (Vec::new(), [0; 2]);
    for number in 0..count {
        let tag = format!("k{number}");
        let file = dir.join(format!("{tag}.log"));
        let client = |what: &str, count: usize| -> Result<Process> {
            let mut command = python("rabbitmq/killed.py", &[]);
            command.arg(port).arg(&file).args([&*tag, what, &count.to_string()]);
            Process::spawn(&format!("{tag}-{what}"), dir, &mut command)
        };
        client("send", HELD)?.succeed(LIMIT)?;
        let mut holds = client("hold", HELD)?;
        let held = dir.join(format!("{tag}.log.hold"));
        holds.wait_until("messages in hand", LIMIT, |_| held.exists())?;
        holds.signal(libc::SIGKILL);
        holds.wait(LIMIT)?;
        client("take", HELD - HELD / 4)?.succeed(LIMIT)?;
        log.extend(read(&file)?);
        std::thread::sleep(SETTLE / count as u32);
        let half = 2 * number / count;
        memory[half] = memory[half].max(agent.own_kib()?);
    }
    let [before, after] = memory;
    report.check(after <= before + MORE_MEMORY, || format!("{before}, then {after} KiB"));
    report.note(format!("{count} consumers killed, {before} to {after} KiB"));
    Ok(log)
}

/// Stops the broker, and kills it, under clients that go on.
fn restarts(dir: &Path, broker: &mut RabbitMq, log: &mut Vec<Truth>) -> Result<Vec<Outage>> {
    let mut clients = Vec::new();
    for (kind, tag) in STEADY {
        let file = dir.join(format!("{tag}.log"));
        let mut command: Command = python("rabbitmq/steady.py", &[kind]);
        command.arg(broker.port.to_string()).arg(&file).arg(tag);
        clients.push((Process::spawn(tag, dir, &mut command)?, file));
    }
    let mut outages = Vec::new();
    go_on(&clients)?;
    for crashes in [false, true] {
        let begun = now();
        if crashes {
            broker.crash(dir)?
        } else {
            broker.restart(dir)?
        };
        go_on(&clients)?;
        // Which of its clients were there again at once nobody knows.
        outages.push(Outage(begun, now()));
        std::thread::sleep(WORK);
    }
    for (mut client, file) in clients {
        std::fs::write(file.with_extension("log.stop"), "")?;
        client.succeed(LIMIT)?;
        log.extend(read(&file)?);
    }
    Ok(outages)
}

/// Waits until each client has been brought messages again.
fn go_on(clients: &[(Process, std::path::PathBuf)]) -> Result<()> {
    let brought = |file: &Path| -> Result<usize> {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        Ok(text.lines().filter(|line| line.contains("\"settled\": \"ack\"")).count())
    };
    for (_, file) in clients {
        let (before, deadline) = (brought(file)?, Instant::now() + LIMIT);
        while brought(file)? < before + 20 {
            ensure!(Instant::now() < deadline, "{}: nothing is brought any more", file.display());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

/// Each of the log is told once. What was under way when the broker went may have ended in any way,
/// but never twice, and what is told of it is nothing that did not happen.
fn told(report: &mut Report, spans: &[Span], log: &[Truth], outages: &[Outage]) {
    let in_outage = |start: u64, end: u64| outages.iter().any(|o| start <= o.1 && o.0 <= end);
    let key = |pid: u32, operation: &str, name: &str, tag: Option<i64>, again: bool| {
        (pid, operation.to_owned(), name.to_owned(), tag, again)
    };
    let mut found: HashMap<_, Vec<&Span>> = HashMap::new();
    for span in spans {
        let text = |key| span.text(key).unwrap_or_default();
        let operation = text("messaging.operation.name");
        let name = match span.text("messaging.message.id") {
            Some(id) => id,
            None if operation == "close" => text("error.type"),
            None => text("messaging.destination.name"),
        };
        let tag = span.int("messaging.rabbitmq.message.delivery_tag");
        let again = span.attributes.contains_key("tracebee.messaging.redelivered");
        found.entry(key(span.pid(), operation, name, tag, again)).or_default().push(span);
    }
    let sent = sent(spans);
    for truth in log {
        let error = || truth.error.clone().filter(|_| truth.operation == "close");
        let name = truth.id.clone().or_else(error).unwrap_or_else(|| truth.destination.clone());
        let what = format!("{} {name}", truth.operation);
        let key = key(truth.pid, &truth.operation, &name, truth.tag, truth.redelivered);
        let (start, end) = (truth.start.or(truth.at), truth.end.or(truth.at));
        let unsure = truth.unsure || in_outage(start.unwrap_or(0), end.unwrap_or(u64::MAX));
        let Some(one) = found.get_mut(&key).and_then(|spans| {
            // Those without an id come in the order in which they were asked for.
            (!spans.is_empty()).then(|| spans.remove(0))
        }) else {
            report.check(unsure, || format!("{what}: no span"));
            continue;
        };
        if truth.operation == "close" {
            report.equal(&what, truth.error.as_deref(), one.text("error.type"));
        } else if !unsure {
            // A broker that was started again is another, and nobody says who sent what it brings.
            let by = sent.get(&*name).filter(|_| one.parent.is_some()).copied();
            message(report, &what, truth, one, by);
        }
    }
    for span in found.values().flatten() {
        let brought = span.text("messaging.operation.name") == Some("consume");
        let went = span.text("error.type") == Some("320");
        // Read when its connection was about to end, and never handed to the program.
        let dropped = brought && span.text("tracebee.messaging.settled").is_none();
        let told = in_outage(span.start, span.end) && (dropped || went);
        report.check(told, || format!("nobody did this: {}", in_full(span)));
    }
}
