//! PostgreSQL: real clients of a real server. What the clients wrote down is the truth, and what
//! the server did: each call exactly one span, with the right operation, outcome and rows, within
//! the client's own time.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use tracebee_tests::agent::{Agent, Stopped};
use tracebee_tests::check::CLOCK_SLACK;
use tracebee_tests::paths::{installed, workload};
use tracebee_tests::postgres::{Logged, Postgres};
use tracebee_tests::process::Process;
use tracebee_tests::report::Report;
use tracebee_tests::servers::python;
use tracebee_tests::span::{Kind, Span};

use crate::Setting;

/// Longest that a client may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Stands in values, results and COPY data of the clients, never in names.
const SECRET: &str = "secret";

/// What a client did in one go.
#[derive(Debug, Deserialize)]
struct Asked {
    pid: u32,
    /// Its port.
    port: u16,
    /// Unix time in nanoseconds before the library was asked and after everything was read.
    start: u64,
    end: u64,
    /// The calls of it; none if they are the library's own affair.
    calls: Vec<Call>,
}

/// One call as it must be seen.
#[derive(Debug, Deserialize)]
struct Call {
    summary: String,
    returned: Option<i64>,
    affected: Option<i64>,
    code: Option<String>,
    batch: Option<i64>,
    /// Its answer is longer than what is surely captured of it.
    long: bool,
}

/// The clients: a name, and how one is started but for port and log.
fn clients() -> Vec<(&'static str, Command, &'static [&'static str])> {
    let script = |name: &str| python(&format!("postgres/{name}"), &[]);
    let mut node = Command::new("node");
    node.arg(workload("postgres/client.js")).env("NODE_PATH", installed("node/node_modules"));
    let jdbc = installed("java-postgres");
    let mut java = Command::new("java");
    let jar = jdbc.join("postgresql-42.7.8.jar");
    java.args(["-Xmx128m", "-XX:+UseSerialGC", "-cp"]);
    java.arg(format!("{}:{}", jdbc.display(), jar.display())).arg("Jdbc");
    vec![
        ("psycopg2", script("psycopg2_client.py"), &[]),
        ("asyncpg", script("asyncpg_client.py"), &[]),
        ("sqlalchemy-psycopg2", script("sqlalchemy_client.py"), &["psycopg2"]),
        ("sqlalchemy-asyncpg", script("sqlalchemy_client.py"), &["asyncpg"]),
        ("node-postgres", node, &[]),
        ("pgx", Command::new(installed("go/pgx")), &[]),
        ("pgjdbc", java, &[]),
    ]
}

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let server = Postgres::start(dir)?;
    let record = dir.join("postgres.rec");
    let record = record.to_str().context("path")?;
    let agent = Agent::start(&setting.binary, dir, &["--output", "json", "--record", record])?;
    let mut asked = Vec::new();
    for (name, command, more) in clients() {
        asked.push((name, work(name, command, more, server.port, dir)?));
    }
    let port = server.port;
    let stopped = agent.stop()?;
    let logged = server.stop()?;
    check(report, &stopped, &asked, &logged, port)
}

/// Runs a client; what it wrote down.
fn work(
    name: &str,
    mut command: Command,
    more: &[&str],
    port: u16,
    dir: &Path,
) -> Result<Vec<Asked>> {
    let log = dir.join(format!("{name}.log"));
    command.arg(port.to_string()).arg(&log).args(more);
    Process::spawn(name, dir, &mut command)?.succeed(LIMIT)?;
    let text = std::fs::read_to_string(&log)?;
    text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

fn check(
    report: &mut Report,
    stopped: &Stopped,
    asked: &[(&str, Vec<Asked>)],
    logged: &HashMap<u16, Vec<Logged>>,
    port: u16,
) -> Result<()> {
    let spans = stopped.spans()?;
    let mut of_process: HashMap<u32, Vec<&Span>> = HashMap::new();
    for span in spans.iter().filter(|span| span.text("db.system.name").is_some()) {
        of_process.entry(span.pid()).or_default().push(span);
    }
    let mut count = 0;
    for (name, asked) in asked {
        let first = asked.first().context("a client did nothing")?;
        let mut spans = of_process.remove(&first.pid).unwrap_or_default();
        spans.sort_by_key(|span| span.start);
        count += spans.len();
        let statements = logged.get(&first.port).context("the server knows the connection")?;
        by_the_server(report, name, &spans, statements);
        if asked.iter().any(|asked| !asked.calls.is_empty()) {
            by_the_client(report, name, &spans, asked);
        }
        for span in &spans {
            common(report, name, span, port);
        }
    }
    let others: Vec<&&Span> = of_process.values().flatten().collect();
    report.check(others.is_empty(), || format!("spans of nobody: {others:?}"));
    for loss in ["gap", "joined_midway", "encrypted"] {
        report.equal(&format!("lost: {loss}"), 0, stopped.summary(loss));
    }
    report.check(!stopped.stdout()?.contains(SECRET), || "a secret is in the spans".into());
    report.note(format!("{count} calls of {} clients", asked.len()));
    Ok(())
}

/// One span, or one execution of a batch, for each statement that the server logged.
fn by_the_server(report: &mut Report, name: &str, spans: &[&Span], statements: &[Logged]) {
    let mut left = statements.iter();
    for span in spans {
        let what = |field: &str| format!("{name}: {field} of {} by the server's log", brief(span));
        let text = span.text("db.query.text").unwrap_or("");
        // Several statements in one text are one line of the log.
        let several = text.trim_end_matches(';').contains(';');
        let batch = if several { 1 } else { span.int("db.operation.batch.size").unwrap_or(1) };
        let mut code = None;
        for n in 0..batch {
            let Some(statement) = left.next() else {
                report.check(n > 0, || what("no such statement"));
                break;
            };
            let word = |text: &str| {
                let word = text.split(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty());
                word.unwrap_or("").to_owned()
            };
            report.equal(&what("command"), word(&statement.text), word(text));
            code = statement.code.as_deref();
            if code.is_some() {
                break; // what follows in a batch is not carried out
            }
        }
        let got = span.text("db.response.status_code").filter(|_| span.error);
        report.equal(&what("SQLSTATE"), code, got);
    }
    let rest: Vec<&Logged> = left.collect();
    report.check(rest.is_empty(), || format!("{name}: {} without a span: {rest:?}", rest.len()));
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
            let int = |key| span.int(key);
            report.equal(
                &what("summary"),
                &*call.summary,
                span.text("db.query.summary").unwrap_or(""),
            );
            let cut = span.attributes.contains_key("tracebee.db.response_cut");
            report.check(call.long || !cut, || what("cut"));
            // Of an answer that was not seen whole nothing is said, and never anything wrong.
            let known = |rows: Option<i64>| rows.filter(|_| !cut);
            report.equal(&what("rows"), known(call.returned), int("db.response.returned_rows"));
            report.equal(&what("written"), known(call.affected), int("tracebee.db.affected_rows"));
            report.equal(&what("batch"), call.batch, int("db.operation.batch.size"));
            report.equal(&what("code"), call.code.as_deref(), span.text("db.response.status_code"));
            let inside =
                span.start + CLOCK_SLACK >= asked.start && span.end <= asked.end + CLOCK_SLACK;
            report.check(inside, || what("time"));
        }
    }
    let rest: Vec<String> = left.map(|span| brief(span)).collect();
    report.check(rest.is_empty(), || format!("{name}: spans of nothing: {rest:?}"));
}

fn common(report: &mut Report, name: &str, span: &Span, port: u16) {
    let what = |field: &str| format!("{name}: {field} of {}", brief(span));
    report.equal(&what("kind"), Kind::Client, span.kind);
    report.equal(&what("system"), Some("postgresql"), span.text("db.system.name"));
    report.equal(&what("namespace"), Some("postgres"), span.text("db.namespace"));
    report.equal(&what("address"), Some("127.0.0.1"), span.text("server.address"));
    report.equal(&what("port"), Some(i64::from(port)), span.int("server.port"));
    report.equal(&what("peer"), Some(i64::from(port)), span.int("network.peer.port"));
    let error = span.text("error.type");
    report.equal(&what("status"), error.is_some(), span.error);
    let summary = span.text("db.query.summary").filter(|summary| !summary.is_empty());
    report.equal(&what("name"), summary.unwrap_or("postgres"), &span.name);
}

fn brief(span: &Span) -> String {
    let text = span.text("db.query.text").unwrap_or("?");
    let short: String = text.chars().take(60).collect();
    format!("{:?} ({short})", span.name)
}
