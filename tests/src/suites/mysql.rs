//! MySQL: real clients of a real MariaDB. What the clients wrote down is the truth, and what the
//! server logged: each call exactly one span, with the right operation, outcome and rows, within
//! the client's own time. Wireshark reads the same traffic.

mod wire;

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use tracebee_tests::agent::{Agent, Stopped};
use tracebee_tests::check::CLOCK_SLACK;
use tracebee_tests::mysql::{Logged, MariaDb};
use tracebee_tests::paths::{installed, workload};
use tracebee_tests::process::Process;
use tracebee_tests::report::Report;
use tracebee_tests::servers::python;
use tracebee_tests::span::{Kind, Span};

use crate::Setting;

/// Longest that a client may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Stands in values, rows, files and passwords of the clients, never in names.
const SECRET: &str = "secret";

/// What the server logs of what makes a call.
const CALLS: &[&str] = &["Query", "Execute", "Init DB"];

/// What a client did in one go.
#[derive(Debug, Deserialize)]
struct Asked {
    pid: u32,
    /// The server's number of its connection.
    connection: u64,
    /// Unix time in nanoseconds before the library was asked and after everything was read.
    start: u64,
    end: u64,
    calls: Vec<Call>,
}

/// One call as it must be seen.
#[derive(Debug, Deserialize)]
struct Call {
    summary: String,
    operation: Option<String>,
    namespace: Option<String>,
    returned: Option<i64>,
    affected: Option<i64>,
    code: Option<String>,
    batch: Option<i64>,
    /// Its answer is longer than what is surely captured of it.
    long: bool,
    /// The server logs it.
    logged: bool,
}

/// A client: what it is called, what it did, and how spans must name its server.
struct Client {
    name: &'static str,
    asked: Vec<Asked>,
    system: &'static str,
}

fn node(script: &str) -> Command {
    let mut node = Command::new("node");
    node.arg(workload(script)).env("NODE_PATH", installed("node/node_modules"));
    node
}

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let server = MariaDb::start(dir)?;
    let port = server.port;
    let (log, signal) = (dir.join("older.log"), dir.join("begin"));
    let mut command = node("mysql/special.js");
    command.arg(port.to_string()).arg(&log).arg("older").arg(&signal);
    let mut older = Process::spawn("older", dir, &mut command)?;
    older.wait_until("its connection", LIMIT, |older| older.stdout().contains("waiting"))?;

    let capture = wire::Capture::start(dir, port)?;
    let record = dir.join("mysql.rec");
    let record = record.to_str().context("path")?;
    let agent = Agent::start(&setting.binary, dir, &["--output", "json", "--record", record])?;
    let mut clients = Vec::new();
    for (name, command) in [
        ("pymysql", python("mysql/pymysql_client.py", &[])),
        ("go-sql-driver", Command::new(installed("go/mysql"))),
        ("mysql2", node("mysql/client.js")),
    ] {
        clients.push(Client {
            name,
            asked: work(name, command, port, dir, &[])?,
            system: "mariadb",
        });
    }
    let file = capture.stop()?;
    for kind in ["tls", "compressed"] {
        work(kind, node("mysql/special.js"), port, dir, &[kind])?;
    }
    std::fs::write(&signal, "")?;
    older.succeed(LIMIT)?;
    // The greeting was not seen.
    clients.push(Client { name: "older", asked: read(&log)?, system: "mysql" });
    let stopped = agent.stop()?;
    let logged = server.stop()?;
    check(report, &stopped, &clients, &logged, port)?;
    wire::check(report, setting, &file, port)
}

/// Runs a client; what it wrote down.
fn work(
    name: &str,
    mut command: Command,
    port: u16,
    dir: &Path,
    more: &[&str],
) -> Result<Vec<Asked>> {
    let log = dir.join(format!("{name}.log"));
    command.arg(port.to_string()).arg(&log).args(more);
    Process::spawn(name, dir, &mut command)?.succeed(LIMIT)?;
    read(&log)
}

fn read(log: &Path) -> Result<Vec<Asked>> {
    let text = std::fs::read_to_string(log)?;
    text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

fn check(
    report: &mut Report,
    stopped: &Stopped,
    clients: &[Client],
    logged: &HashMap<u64, Vec<Logged>>,
    port: u16,
) -> Result<()> {
    let spans = stopped.spans()?;
    let mut of_process: HashMap<u32, Vec<&Span>> = HashMap::new();
    for span in spans.iter().filter(|span| span.text("db.system.name").is_some()) {
        of_process.entry(span.pid()).or_default().push(span);
    }
    let mut count = 0;
    for Client { name, asked, system } in clients {
        let first = asked.first().context("a client did nothing")?;
        let mut spans = of_process.remove(&first.pid).unwrap_or_default();
        spans.sort_by_key(|span| span.start);
        count += spans.len();
        let logged = logged.get(&first.connection).context("the server knows the connection")?;
        by_the_client(report, name, &spans, asked);
        by_the_server(report, name, &spans, asked, logged);
        for span in &spans {
            common(report, name, span, port, system);
        }
    }
    let others: Vec<&&Span> = of_process.values().flatten().collect();
    report.check(others.is_empty(), || format!("spans of nobody: {others:?}"));
    for (loss, expected) in [("gap", 0), ("joined_midway", 0), ("encrypted", 1), ("compressed", 1)]
    {
        report.equal(&format!("lost: {loss}"), expected, stopped.summary(loss));
    }
    report.check(!stopped.stdout()?.contains(SECRET), || "a secret is in the spans".into());
    report.note(format!("{count} calls of {} clients", clients.len()));
    Ok(())
}

/// The calls that the client knows of, each within its time.
fn by_the_client(report: &mut Report, name: &str, spans: &[&Span], asked: &[Asked]) {
    let mut left = spans.iter();
    for asked in asked {
        for call in &asked.calls {
            let Some(span) = left.next() else {
                report.fail(format!("{name}: no span of {call:?}"));
                return;
            };
            let what = |field: &str| format!("{name}: {field} of {}", brief(span));
            let (text, int) = (|key| span.text(key), |key| span.int(key));
            report.equal(&what("summary"), &*call.summary, text("db.query.summary").unwrap_or(""));
            report.equal(&what("namespace"), call.namespace.as_deref(), text("db.namespace"));
            let named = match (&*call.summary, &call.operation, &call.namespace) {
                ("", Some(operation), Some(namespace)) => format!("{operation} {namespace}"),
                ("", None, Some(namespace)) => namespace.clone(),
                ("", _, None) => text("db.system.name").unwrap_or_default().to_owned(),
                (summary, ..) => summary.to_owned(),
            };
            report.equal(&what("name"), &named, &span.name);
            let cut = span.attributes.contains_key("tracebee.db.response_cut");
            report.check(call.long || !cut, || what("cut"));
            // Of an answer that was not seen whole nothing is said, and never anything wrong.
            let known = |rows: Option<i64>| rows.filter(|_| !cut);
            report.equal(&what("rows"), known(call.returned), int("db.response.returned_rows"));
            report.equal(&what("written"), known(call.affected), int("tracebee.db.affected_rows"));
            report.equal(&what("batch"), call.batch, int("db.operation.batch.size"));
            report.equal(&what("code"), call.code.as_deref(), text("db.response.status_code"));
            report.equal(&what("error"), call.code.as_deref(), text("error.type"));
            let inside =
                span.start + CLOCK_SLACK >= asked.start && span.end <= asked.end + CLOCK_SLACK;
            report.check(inside, || what("time"));
        }
    }
    let rest: Vec<String> = left.map(|span| brief(span)).collect();
    report.check(rest.is_empty(), || format!("{name}: spans of nothing: {rest:?}"));
}

/// One span for each thing that the server logged, and one for what it does not log.
fn by_the_server(
    report: &mut Report,
    name: &str,
    spans: &[&Span],
    asked: &[Asked],
    logged: &[Logged],
) {
    // Of a connection older than the agent the last ones.
    let count = asked.iter().flat_map(|asked| &asked.calls).filter(|call| call.logged).count();
    let calls: Vec<_> = logged.iter().filter(|l| CALLS.contains(&&*l.command)).collect();
    let before = calls.len().saturating_sub(count);
    report.check(before <= 1, || format!("{name}: {before} calls before the first of the log"));
    let mut left = calls[before..].iter();
    for (span, call) in spans.iter().zip(asked.iter().flat_map(|asked| &asked.calls)) {
        if !call.logged {
            continue;
        }
        let what = |field: &str| format!("{name}: {field} of {} by the server's log", brief(span));
        let Some(entry) = left.next() else {
            report.fail(what("no such statement"));
            return;
        };
        let word = |text: &str| {
            let word = text.split(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty());
            word.unwrap_or("").to_owned()
        };
        match span.text("db.query.text") {
            Some(text) => report.equal(&what("command"), word(&entry.text), word(text)),
            None => report.check(entry.command != "Query", || what("a text")),
        };
    }
}

fn common(report: &mut Report, name: &str, span: &Span, port: u16, system: &str) {
    let what = |field: &str| format!("{name}: {field} of {}", brief(span));
    report.equal(&what("kind"), Kind::Client, span.kind);
    report.equal(&what("system"), Some(system), span.text("db.system.name"));
    report.equal(&what("address"), Some("127.0.0.1"), span.text("server.address"));
    report.equal(&what("port"), Some(i64::from(port)), span.int("server.port"));
    report.equal(&what("peer"), Some(i64::from(port)), span.int("network.peer.port"));
    report.equal(&what("status"), span.text("error.type").is_some(), span.error);
}

fn brief(span: &Span) -> String {
    let text = span.text("db.query.text").unwrap_or("?");
    let short: String = text.chars().take(60).collect();
    format!("{:?} ({short})", span.name)
}
