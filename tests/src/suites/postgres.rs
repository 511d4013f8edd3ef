//! PostgreSQL: real clients of a real server, whose own log is the truth, too. Wireshark reads the
//! same traffic.

mod wire;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tracebee_tests::agent::Agent;
use tracebee_tests::paths::installed;
use tracebee_tests::postgres::{FUNCTION, Logged, Postgres};
use tracebee_tests::process::{Process, patient};
use tracebee_tests::report::Report;
use tracebee_tests::servers::python;
use tracebee_tests::span::Span;
use tracebee_tests::wireshark::capture::Capture;

use super::database::{self, Asked, At, Client, LIMIT, brief, first_word, node, work};
use crate::Setting;

/// The database that all clients use.
const DATABASE: &str = "postgres";

/// The client that is older than the agent.
const OLDER: &str = "older";

/// What the agent may grow by over large results: a thirtieth of one of them.
const GROWTH_KIB: u64 = 3 << 10;

/// The clients: a name, and how one is started but for port and log.
fn programs() -> Vec<(&'static str, Command, &'static [&'static str])> {
    let script = |name: &str| python(&format!("postgres/{name}"), &[]);
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
        ("node-postgres", node("postgres/client.js"), &[]),
        ("pgx", Command::new(installed("go/pgx")), &[]),
        ("pgjdbc", java, &[]),
    ]
}

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let server = Postgres::start(dir)?;
    let (log, signal) = (dir.join("older.log"), dir.join("begin"));
    let special = || python("postgres/special_client.py", &[]);
    let mut command = special();
    command.arg(server.port.to_string()).arg(&log).arg("older").arg(&signal);
    let mut older = Process::spawn("older", dir, &mut command)?;
    older.wait_until("its connection", LIMIT, |older| older.stdout().contains("waiting"))?;
    let record = dir.join("postgres.rec");
    let record = record.to_str().context("path")?;
    let capture = Capture::start(dir, "postgres", &format!("tcp port {}", server.port))?;
    let only = server.port.to_string();
    let flags = ["--output", "json", "--record", record, "--port", &only];
    let agent = Agent::start(&setting.binary, dir, &flags)?;
    let port = server.port;
    let at = At::port(port);
    let mut clients = all(programs(), &at, dir)?;
    let file = capture.stop()?;
    let system = "postgresql";
    let large = large(report, &agent, port, dir)?;
    clients.push(Client { name: "large", asked: large, system });
    let functions = in_database(work("functions", special(), &at, dir, &["functions"])?);
    clients.push(Client { name: "functions", asked: functions, system });
    // Makes no calls at all.
    work("replication", special(), &at, dir, &["replication"])?;
    std::fs::write(&signal, "")?;
    older.succeed(LIMIT)?;
    // Which database it uses was not seen.
    clients.push(Client { name: OLDER, asked: database::read(&log)?, system });
    let stopped = agent.stop()?;
    let logged = server.stop()?;
    // The first of the client that is older.
    let losses = [("gap", 0), ("joined_midway", 1), ("encrypted", 0)];
    database::check(report, &stopped, &at, &clients, &logged, by_the_server, &losses)?;
    wire::check(report, setting, &file, port)?;
    over_unix(report, setting)
}

/// What clients ask, at a server of which nothing is known yet.
fn all(
    programs: Vec<(&'static str, Command, &'static [&'static str])>,
    at: &At<'_>,
    dir: &Path,
) -> Result<Vec<Client>> {
    let client = |(name, command, more)| {
        let asked = in_database(work(name, command, at, dir, more)?);
        Ok(Client { name, asked, system: "postgresql" })
    };
    programs.into_iter().map(client).collect()
}

/// The same at a server's UNIX socket, long results too; pgjdbc connects to none.
fn over_unix(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path().join("unix");
    std::fs::create_dir(&dir)?;
    let server = Postgres::start(&dir)?;
    let agent = Agent::json(&setting.binary, &dir)?;
    let socket = server.socket.clone();
    let at = At { port: server.port, socket: Some(&socket) };
    let mut programs = programs();
    programs.retain(|(name, ..)| {
        !["sqlalchemy-psycopg2", "sqlalchemy-asyncpg", "pgjdbc"].contains(name)
    });
    programs.push(("large", python("postgres/large_client.py", &[]), &[]));
    let clients = all(programs, &at, &dir)?;
    let stopped = agent.stop()?;
    // What else goes on here may be lost.
    database::check(report, &stopped, &at, &clients, &server.stop()?, by_the_server, &[])
}

fn in_database(mut asked: Vec<Asked>) -> Vec<Asked> {
    let calls = asked.iter_mut().flat_map(|asked| &mut asked.calls);
    calls.for_each(|call| call.namespace = Some(DATABASE.to_owned()));
    asked
}

/// Results of 100 MB, which the agent does not keep.
fn large(report: &mut Report, agent: &Agent, port: u16, dir: &Path) -> Result<Vec<Asked>> {
    let log = dir.join("large.log");
    let mut command = python("postgres/large_client.py", &[]);
    command.arg(port.to_string()).arg(&log);
    let before = agent.own_kib()?;
    let mut most = before;
    let mut client = Process::spawn("large", dir, &mut command)?;
    let deadline = Instant::now() + patient(LIMIT);
    while client.running() && Instant::now() < deadline {
        most = most.max(agent.own_kib()?);
        std::thread::sleep(Duration::from_millis(5));
    }
    client.succeed(LIMIT)?;
    let growth = most - before;
    report.check(growth < GROWTH_KIB, || {
        format!("the agent grew by {growth} KiB over results of 300 MB")
    });
    report.note(format!("results of 300 MB: {growth} KiB"));
    Ok(in_database(database::read(&log)?))
}

/// One span, or one execution of a batch, for each statement that the server logged.
fn by_the_server(report: &mut Report, client: &Client, spans: &[&Span], statements: &[Logged]) {
    let name = client.name;
    let is_older = name == OLDER;
    let calls = client.asked.iter().map(|asked| asked.calls.len()).sum();
    // Of a connection older than the agent the last ones.
    let before = if is_older { statements.len().saturating_sub(calls) } else { 0 };
    let mut left = statements[before..].iter();
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
            // Of a statement that was prepared before, and of a function, there is no text.
            let unknown = span.text("db.query.text").is_none();
            let may_be = is_older || statement.text.starts_with(FUNCTION);
            let same = first_word(&statement.text) == first_word(text) || unknown && may_be;
            report.check(same, || format!("{}: {statement:?}", what("command")));
            code = statement.code.as_deref();
            if code.is_some() {
                break; // what follows in a batch is not carried out
            }
        }
        let got = span.text("db.response.status_code").filter(|_| span.error);
        report.equal(&what("SQLSTATE"), code, got);
        let namespace = (!is_older).then_some(DATABASE);
        report.equal(&what("namespace"), namespace, span.text("db.namespace"));
    }
    let rest: Vec<&Logged> = left.collect();
    report.check(rest.is_empty(), || format!("{name}: {} without a span: {rest:?}", rest.len()));
}
