//! Redis: redis-py (sync and asyncio) and go-redis, RESP2 and RESP3, against a real server. Truth
//! is the clients' own logs and the server's count of each command.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use tracebee_tests::agent::{Agent, Stopped};
use tracebee_tests::paths::{free_port, installed};
use tracebee_tests::process::Process;
use tracebee_tests::report::Report;
use tracebee_tests::servers::python;
use tracebee_tests::span::{Kind, Span};

use super::database::{At, ByWord, in_full};
use crate::Setting;

/// Longest that a client may take.
const CLIENT_LIMIT: Duration = Duration::from_secs(120);

/// The clients: program, mode, and the word that its keys begin with.
const CLIENTS: &[Client] = &[
    ("redis-py", "sync2", "syncb"),
    ("redis-py", "sync3", "syncc"),
    ("redis-py", "async2", "asyncb"),
    ("redis-py", "async3", "asyncc"),
    ("go-redis", "2", "gob"),
    ("go-redis", "3", "goc"),
];

/// Those that connect to a UNIX socket.
const UNIX_CLIENTS: &[Client] =
    &[("redis-py", "sync2", "syncu"), ("redis-py", "async3", "asyncu"), ("go-redis", "3", "gou")];

type Client = (&'static str, &'static str, &'static str);

/// What is in values and credentials, and must be nowhere else.
const SECRET: &str = "secret";

/// A call as the client logged it.
#[derive(Debug, Deserialize)]
struct Truth {
    call: String,
    operation: String,
    size: Option<i64>,
    database: String,
    waits: bool,
    error: Option<String>,
    procedure: Option<String>,
    start: u64,
    end: u64,
    pid: u32,
}

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let port = free_port();
    let socket = dir.join("redis.sock");
    let mut server = Command::new("redis-server");
    server.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]).arg(dir);
    // Some log in.
    server.args(["--user", "app", "on", ">secret-password", "~*", "&*", "+@all"]);
    server.arg("--port").arg(port.to_string()).arg("--unixsocket").arg(&socket);
    let mut server = Process::spawn("redis-server", dir, &mut server)?;
    server.wait_port(([127, 0, 0, 1], port).into())?;
    ask(port, "CONFIG RESETSTAT")?;
    let only = port.to_string();
    let agent = Agent::start(&setting.binary, dir, &["--output", "json", "--port", &only])?;
    let stopped = clients(report, agent, &At::port(port), CLIENTS, dir)?;
    for loss in ["gap", "joined_midway", "ring_full", "unanswered", "table_full"] {
        report.equal(loss, 0, stopped.summary(loss));
    }
    let dir = dir.join("unix");
    std::fs::create_dir(&dir)?;
    ask(port, "CONFIG RESETSTAT")?;
    let agent = Agent::json(&setting.binary, &dir)?;
    // What else goes on here may be lost.
    clients(report, agent, &At { port, socket: Some(&socket) }, UNIX_CLIENTS, &dir)?;
    Ok(())
}

/// What the clients do, compared with their logs and with what the server counted of it.
fn clients(
    report: &mut Report,
    agent: Agent,
    at: &At<'_>,
    clients: &[Client],
    dir: &Path,
) -> Result<Stopped> {
    let mut log = Vec::new();
    for (program, mode, tag) in clients {
        let file = dir.join(format!("{program}-{mode}.log"));
        client(program, mode, tag, at, dir, &file)?;
        let text = std::fs::read_to_string(&file)?;
        for line in text.lines() {
            log.push(serde_json::from_str::<Truth>(line).with_context(|| line.to_owned())?);
        }
    }
    let stopped = agent.stop()?;
    let counts = command_counts(&ask(at.port, "INFO commandstats")?);
    let spans = stopped.spans()?;
    let of_redis = |span: &&Span| span.text("db.system.name") == Some("redis");
    let spans: Vec<&Span> = spans.iter().filter(of_redis).collect();

    calls(report, &spans, clients, &log);
    totals(report, &spans, &counts);
    for span in &spans {
        report.check(span.kind == Kind::Client, || format!("not a client's: {}", in_full(span)));
        at.named(report, |field| format!("{field} of {}", in_full(span)), span);
        report.check(span.parent.is_none(), || format!("has a parent: {}", in_full(span)));
    }
    report.check(!stopped.stdout()?.contains(SECRET), || "a secret is in the output".into());
    report.note(format!("{} calls, {} spans", log.len(), spans.len()));
    Ok(stopped)
}

fn client(program: &str, mode: &str, tag: &str, at: &At<'_>, dir: &Path, log: &Path) -> Result<()> {
    let mut command = match program {
        "go-redis" => Command::new(installed("go/redis")),
        _ => python("redis/client.py", &[]),
    };
    at.tell(&mut command);
    command.arg(log).arg(mode).arg(tag);
    Process::spawn(&format!("{program}-{mode}"), dir, &mut command)?.succeed(CLIENT_LIMIT)
}

/// Every logged call is one span, and says what the log says.
fn calls(report: &mut Report, spans: &[&Span], clients: &[Client], log: &[Truth]) {
    let mut by_word = ByWord::default();
    for span in spans {
        let text = span.text("db.query.text").unwrap_or_default();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric());
        let mut tagged: Vec<&str> =
            words.filter(|word| clients.iter().any(|(_, _, tag)| is_call(word, tag))).collect();
        tagged.sort_unstable();
        tagged.dedup();
        report.check(tagged.len() <= 1, || format!("calls that were joined: {}", in_full(span)));
        for word in tagged {
            by_word.add(word, span);
        }
    }
    for truth in log {
        let name = format!("{} {}", truth.operation, truth.call);
        let Some(span) = by_word.take(report, &name, &truth.call) else { continue };
        report.equal(&name, truth.pid, span.pid());
        report.equal(&name, truth.operation.as_str(), span.name.as_str());
        let operation = span.text("db.operation.name");
        report.equal(&name, Some(truth.operation.as_str()), operation);
        report.equal(&name, truth.size, span.int("db.operation.batch.size"));
        report.equal(&name, Some(truth.database.as_str()), span.text("db.namespace"));
        report.equal(&name, truth.error.as_deref(), span.text("db.response.status_code"));
        report.equal(&name, truth.error.as_deref(), span.text("error.type"));
        report.equal(&name, truth.error.is_some(), span.error);
        report.equal(&name, truth.procedure.as_deref(), span.text("db.stored_procedure.name"));
        let waits = span.attributes.contains_key("tracebee.db.waits");
        report.equal(&name, truth.waits, waits);
        report.check(!span.attributes.contains_key("tracebee.db.response_cut"), || {
            format!("{name}: its answer is called cut: {}", in_full(span))
        });
        report.check(truth.start <= span.start && span.end <= truth.end, || {
            let outside = |span, log| i128::from(span) - i128::from(log);
            let (start, end) = (outside(span.start, truth.start), outside(span.end, truth.end));
            format!("{name}: begins {start} ns after, ends {end} ns after the client's")
        });
    }
    by_word.finish(report);
}

/// True for a word that a client made of its tag and three letters.
fn is_call(word: &str, tag: &str) -> bool {
    word.strip_prefix(tag).is_some_and(|rest| rest.len() == 3)
}

/// The spans' commands, counted, are those that the server executed.
fn totals(report: &mut Report, spans: &[&Span], executed: &BTreeMap<String, u64>) {
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    for span in spans {
        let text = span.text("db.query.text").unwrap_or_default();
        let commands: Vec<&str> = text.split("; ").collect();
        let size = span.int("db.operation.batch.size").unwrap_or(1) as u64;
        let each = if commands.len() == 1 { size } else { 1 };
        // What is between the large values of MSET is not captured; RPUSH has thousands.
        let whole = !text.contains("...") || matches!(&*span.name, "MSET" | "RPUSH");
        report.check(whole, || format!("text is cut: {}", in_full(span)));
        for command in commands {
            let mut words = command.split(' ').map(str::to_ascii_lowercase);
            let name = words.next().unwrap_or_default();
            let full = format!("{name}|{}", words.next().unwrap_or_default());
            if name == "client" && span.error && !executed.contains_key(&full) {
                // A subcommand that this server does not know (SETINFO) is not counted.
                continue;
            }
            let name = if executed.contains_key(&full) { full } else { name };
            *told.entry(name).or_default() += each;
        }
    }
    for name in executed.keys().chain(told.keys()) {
        // Scripts execute LRANGE, and the suite itself asks for these.
        if !matches!(&**name, "lrange" | "config|resetstat" | "info" | "quit") {
            let count = |counts: &BTreeMap<String, u64>| counts.get(name).copied().unwrap_or(0);
            report.equal(&format!("commands {name}"), count(executed), count(&told));
        }
    }
}

/// `cmdstat_get:calls=17,...,rejected_calls=2,...` by command; rejected ones were asked for, too.
fn command_counts(info: &str) -> BTreeMap<String, u64> {
    let count = |line: &str| {
        let (name, rest) = line.trim().strip_prefix("cmdstat_")?.split_once(':')?;
        let number = |key: &str| {
            let value = rest.split(',').find_map(|pair| pair.strip_prefix(key))?;
            value.strip_prefix('=')?.parse::<u64>().ok()
        };
        Some((name.to_owned(), number("calls")? + number("rejected_calls").unwrap_or(0)))
    };
    info.lines().filter_map(count).collect()
}

/// Asks the server by hand.
fn ask(port: u16, command: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(!answer.starts_with('-'), "{command}: {answer}");
    Ok(answer)
}
