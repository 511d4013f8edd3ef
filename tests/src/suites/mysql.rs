//! MySQL: real clients of a real MariaDB, whose own log is the truth, too. Wireshark reads the same
//! traffic.

mod wire;

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use tracebee_tests::agent::Agent;
use tracebee_tests::mysql::{Logged, MariaDb};
use tracebee_tests::paths::installed;
use tracebee_tests::process::Process;
use tracebee_tests::report::Report;
use tracebee_tests::servers::python;
use tracebee_tests::span::Span;
use tracebee_tests::wireshark::capture::Capture;

use super::database::{self, At, Client, LIMIT, brief, first_word, node, work};
use crate::Setting;

/// What the server logs of what makes a call.
const CALLS: &[&str] = &["Query", "Execute", "Init DB"];

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let server = MariaDb::start(dir)?;
    let port = server.port;
    let (log, signal) = (dir.join("older.log"), dir.join("begin"));
    let mut command = node("mysql/special.js");
    command.arg(port.to_string()).arg(&log).arg("older").arg(&signal);
    let mut older = Process::spawn("older", dir, &mut command)?;
    older.wait_until("its connection", LIMIT, |older| older.stdout().contains("waiting"))?;

    let capture = Capture::start(dir, "mysql", &format!("tcp port {port}"))?;
    let record = dir.join("mysql.rec");
    let record = record.to_str().context("path")?;
    let only = server.port.to_string();
    let flags = ["--output", "json", "--record", record, "--port", &only];
    let agent = Agent::start(&setting.binary, dir, &flags)?;
    let at = At::port(port);
    let mut clients = all(&at, dir)?;
    let file = capture.stop()?;
    for kind in ["tls", "compressed"] {
        work(kind, node("mysql/special.js"), &at, dir, &[kind])?;
    }
    std::fs::write(&signal, "")?;
    older.succeed(LIMIT)?;
    // The greeting was not seen.
    clients.push(Client { name: "older", asked: database::read(&log)?, system: "mysql" });
    let stopped = agent.stop()?;
    let logged = server.stop()?;
    let losses = [("gap", 0), ("joined_midway", 0), ("encrypted", 1), ("compressed", 1)];
    database::check(report, &stopped, &at, &clients, &logged, by_the_server, &losses)?;
    wire::check(report, setting, &file, port)?;
    over_unix(report, setting)
}

/// What every client asks, at a server of which nothing is known yet.
fn all(at: &At<'_>, dir: &Path) -> Result<Vec<Client>> {
    let programs = [
        ("pymysql", python("mysql/pymysql_client.py", &[])),
        ("go-sql-driver", Command::new(installed("go/mysql"))),
        ("mysql2", node("mysql/client.js")),
    ];
    let client = |(name, command)| {
        Ok(Client { name, asked: work(name, command, at, dir, &[])?, system: "mariadb" })
    };
    programs.into_iter().map(client).collect()
}

/// The same at a server's UNIX socket.
fn over_unix(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path().join("unix");
    std::fs::create_dir(&dir)?;
    let server = MariaDb::start(&dir)?;
    let agent = Agent::json(&setting.binary, &dir)?;
    let socket = server.socket.clone();
    let at = At { port: server.port, socket: Some(&socket) };
    let clients = all(&at, &dir)?;
    let stopped = agent.stop()?;
    // What else goes on here may be lost.
    database::check(report, &stopped, &at, &clients, &server.stop()?, by_the_server, &[])
}

/// One span for each thing that the server logged, and one for what it does not log.
fn by_the_server(report: &mut Report, client: &Client, spans: &[&Span], logged: &[Logged]) {
    let Client { name, asked, .. } = client;
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
        match span.text("db.query.text") {
            Some(text) => report.equal(&what("command"), first_word(&entry.text), first_word(text)),
            None => report.check(entry.command != "Query", || what("a text")),
        };
    }
}
