//! Elasticsearch and OpenSearch: opensearch-py (sync and asyncio), elasticsearch-py, opensearch-js, and
//! aiohttp and Go's net/http, which do not say whom they ask, against a real OpenSearch. Truth is the
//! clients' own logs and the server's counters.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use tracebee_tests::agent::Agent;
use tracebee_tests::paths::{free_port, installed, workload};
use tracebee_tests::process::Process;
use tracebee_tests::report::Report;
use tracebee_tests::servers::python;
use tracebee_tests::span::{Kind, Span};

use super::database::{ByWord, in_full};
use crate::Setting;

/// Longest that the server may take to start, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Longest that a client may take.
const CLIENT_LIMIT: Duration = Duration::from_secs(60);

/// What is in documents and queries, and must be nowhere else.
const SECRET: &str = "secret";

/// A client of the real server: program, the word that its calls begin with, and more arguments. The
/// order matters: what the first ones show is known when the later ones ask.
const CLIENTS: [(&str, &str, &[&str]); 7] = [
    // Nobody said yet what the server is: it is what this client takes it for.
    ("client.py", "elc", &["elasticsearch"]),
    ("client.py", "ops", &["opensearch"]),
    ("client.py", "opa", &["opensearch-async"]),
    // Now the server has.
    ("client.js", "ojs", &[]),
    ("go", "gop", &[]),
    ("plain.py", "aio", &["127.0.0.1", "opensearch"]),
    // As another server, of which nothing is known.
    ("plain.py", "unk", &["search.test", "none"]),
];

/// A call as the client logged it.
#[derive(Debug, Deserialize)]
struct Truth {
    call: String,
    /// None: nothing tells that it is more than a call over HTTP.
    system: Option<String>,
    operation: String,
    index: Option<String>,
    size: Option<i64>,
    /// Operations that failed.
    #[serde(default)]
    failed: Option<i64>,
    text: Option<String>,
    status: i64,
    start: u64,
    end: u64,
    pid: u32,
}

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let (port, server) = start(dir)?;
    let [elastic, nobody] = ["elasticsearch", "none"].map(|product| answering(dir, product));
    let ((elastic, _elastic), (nobody, _nobody)) = (elastic?, nobody?);

    let only = [port, elastic, nobody].map(|port| port.to_string());
    let mut flags = vec!["--output", "json"];
    flags.extend(only.iter().flat_map(|port| ["--port", port.as_str()]));
    let agent = Agent::start(&setting.binary, dir, &flags)?;
    let mut log = Vec::new();
    for (program, tag, more) in CLIENTS {
        log.push((port, client(program, port, tag, more, dir)?));
    }
    log.push((elastic, client("plain.py", elastic, "prd", &["127.0.0.1", "elasticsearch"], dir)?));
    log.push((nobody, client("plain.py", nobody, "non", &["127.0.0.1", "none"], dir)?));
    let stopped = agent.stop()?;
    let counts = counts(port)?;
    server.signal(libc::SIGTERM);

    let spans = stopped.spans()?;
    calls(report, &spans, &log);
    totals(report, &spans, &log, port, counts);
    report.check(!stopped.stdout()?.contains(SECRET), || "a secret is in the output".into());
    for loss in ["gap", "joined_midway", "ring_full", "table_full"] {
        report.equal(loss, 0, stopped.summary(loss));
    }
    let calls: usize = log.iter().map(|(_, calls)| calls.len()).sum();
    report.note(format!("{calls} calls, {} spans", spans.len()));
    Ok(())
}

/// Starts OpenSearch and waits until it answers.
fn start(dir: &Path) -> Result<(u16, Process)> {
    let (port, transport) = (free_port(), free_port());
    let home = dir.join("opensearch");
    std::fs::create_dir_all(&home)?;
    let lib = installed("opensearch");
    let mut command = Command::new("java");
    command.args(["-Xmx256m", "-XX:+UseSerialGC", "-cp"]);
    command.arg(format!("{}:{}/lib/*", lib.display(), lib.display())).arg("SearchNode");
    command.args([port, transport].map(|port| port.to_string())).arg(&home);
    let mut process = Process::spawn("opensearch", dir, &mut command)?;
    process.wait_until("OpenSearch", START_LIMIT, |_| ask(port, "/_cluster/health").is_ok())?;
    Ok((port, process))
}

/// Starts the server that answers like Elasticsearch, or like nobody.
fn answering(dir: &Path, product: &str) -> Result<(u16, Process)> {
    let port = free_port();
    let mut command = python("search/elastic.py", &[&port.to_string(), product]);
    let mut process = Process::spawn(&format!("answers-{product}"), dir, &mut command)?;
    process.wait_port(([127, 0, 0, 1], port).into())?;
    Ok((port, process))
}

fn client(program: &str, port: u16, tag: &str, more: &[&str], dir: &Path) -> Result<Vec<Truth>> {
    let file = dir.join(format!("{tag}.log"));
    let mut command = match program {
        "go" => Command::new(installed("go/search")),
        "client.js" => {
            let mut command = Command::new("node");
            command.arg(workload("search/client.js"));
            command.env("NODE_PATH", installed("node/node_modules"));
            command
        }
        _ => python(&format!("search/{program}"), &[]),
    };
    command.arg(port.to_string()).arg(&file).arg(tag).args(more);
    Process::spawn(&format!("client-{tag}"), dir, &mut command)?.succeed(CLIENT_LIMIT)?;
    let text = std::fs::read_to_string(&file)?;
    let read = |line: &str| serde_json::from_str(line).with_context(|| line.to_owned());
    text.lines().map(read).collect()
}

/// Every logged call is one client span, says what the log says, and has the server's below it.
fn calls(report: &mut Report, spans: &[Span], log: &[(u16, Vec<Truth>)]) {
    let mut by_word = ByWord::default();
    for span in spans.iter().filter(|span| span.kind == Kind::Client) {
        match word(span.text("url.full").unwrap_or_default()) {
            Some(word) => by_word.add(word, span),
            None => report.fail(format!("of no call: {}", in_full(span))),
        }
    }
    let servers: Vec<&Span> = spans.iter().filter(|span| span.kind == Kind::Server).collect();
    for (port, truth) in log.iter().flat_map(|(port, calls)| calls.iter().map(move |c| (port, c))) {
        let name = format!("{} {}", truth.operation, truth.call);
        let Some(span) = by_word.take(report, &name, &truth.call) else { continue };
        report.equal(&name, truth.pid, span.pid());
        report.equal(&name, truth.system.as_deref(), span.text("db.system.name"));
        report.equal(&name, truth.status >= 400, span.error);
        let status = truth.status.to_string();
        let error = (truth.status >= 400).then_some(&*status);
        report.equal(&name, error, span.text("error.type"));
        report.check(truth.start <= span.start && span.end <= truth.end, || {
            format!("{name}: not within the client's own times: {}", in_full(span))
        });
        if truth.system.is_some() {
            database(report, &name, truth, span, *port);
        } else {
            report.equal(&name, Some(truth.status), span.int("http.response.status_code"));
            report.check(!span.attributes.keys().any(|key| key.starts_with("db.")), || {
                format!("{name}: taken for more than HTTP: {}", in_full(span))
            });
        }
        let below: Vec<_> =
            servers.iter().filter(|server| server.parent == Some(span.id.clone())).collect();
        report.equal(&format!("{name}: server spans"), 1, below.len());
        for server in below {
            report.equal(&name, Some(truth.status), server.int("http.response.status_code"));
            report.equal(&name, None, server.text("db.system.name"));
        }
    }
    by_word.finish(report);
}

/// The word that a call has of its own.
fn word(url: &str) -> Option<&str> {
    let (_, word) = url.split_once("filter_path=-")?;
    word.get(..6)
}

/// What a call to the server says as one to a database.
fn database(report: &mut Report, name: &str, truth: &Truth, span: &Span, port: u16) {
    let expected = match &truth.index {
        Some(index) => format!("{} {index}", truth.operation),
        None => truth.operation.clone(),
    };
    report.equal(name, expected.as_str(), span.name.as_str());
    let operation = span.text("db.operation.name");
    report.equal(name, Some(truth.operation.as_str()), operation);
    report.equal(name, truth.index.as_deref(), span.text("db.collection.name"));
    report.equal(name, truth.size, span.int("db.operation.batch.size"));
    report.equal(name, truth.failed, span.int("tracebee.db.failed_operations"));
    report.equal(name, truth.text.as_deref(), span.text("db.query.text"));
    let status = truth.status.to_string();
    report.equal(name, Some(status.as_str()), span.text("db.response.status_code"));
    report.equal(name, None, span.int("http.response.status_code"));
    report.equal(name, Some(i64::from(port)), span.int("server.port"));
    report.equal(name, Some("127.0.0.1"), span.text("server.address"));
}

/// What a server counts of its indices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    searches: u64,
    scrolls: u64,
    /// Documents written, and deleted.
    indexed: u64,
    deleted: u64,
}

/// What the spans tell adds up to what the server counted on its indices.
fn totals(
    report: &mut Report,
    spans: &[Span],
    log: &[(u16, Vec<Truth>)],
    port: u16,
    counts: Counts,
) {
    let calls = log.iter().flat_map(|(_, calls)| calls);
    let sizes: HashMap<&str, Option<i64>> =
        calls.map(|truth| (truth.call.as_str(), truth.size)).collect();
    let of_server = |span: &&Span| {
        span.kind == Kind::Client && span.int("network.peer.port") == Some(i64::from(port))
    };
    let mut told = Counts::default();
    for span in spans.iter().filter(of_server) {
        let status =
            span.text("db.response.status_code").and_then(|status| status.parse::<i64>().ok());
        let status = status.or(span.int("http.response.status_code"));
        if status.is_none_or(|status| status >= 400) {
            continue;
        }
        let url = span.text("url.full").unwrap_or_default();
        let path = url.split('?').next().unwrap_or_default();
        // Of those that are no more than HTTP: what the client said.
        let size = match span.text("db.system.name") {
            Some(_) => span.int("db.operation.batch.size"),
            None => word(url).and_then(|word| *sizes.get(word)?),
        };
        let size = size.map(|size| size.unsigned_abs());
        let failed = span.int("tracebee.db.failed_operations").unwrap_or(0).unsigned_abs();
        let operation = span.text("db.operation.name").unwrap_or_else(|| {
            let last = path.rsplit('/').next().unwrap_or_default();
            match (span.text("http.request.method").unwrap_or_default(), last) {
                (_, "_bulk") => "bulk index",
                (_, "_search") => "search",
                ("PUT", _) if path.contains("/_doc/") => "index",
                _ => "",
            }
        });
        match operation {
            "search" | "count" => told.searches += 1,
            "msearch" => told.searches += size.unwrap_or(1),
            // The next page is a query, too.
            "scroll" => (told.searches, told.scrolls) = (told.searches + 1, told.scrolls + 1),
            "index" | "create" | "update" => told.indexed += 1,
            "delete" => told.deleted += 1,
            "bulk index" => told.indexed += size.unwrap_or(1),
            "bulk delete" => told.deleted += size.unwrap_or(1),
            "bulk create" => told.indexed += size.unwrap_or(1) - failed,
            "bulk" => match size {
                Some(MIXED) => (told.indexed, told.deleted) = (told.indexed + 3, told.deleted + 1),
                Some(size) => told.indexed += size - failed,
                None => told.indexed += LARGE,
            },
            _ => {}
        }
    }
    report.equal("searches and documents by the server's counters", counts, told);
}

/// Operations of the one that does different things.
const MIXED: u64 = 4;
/// Documents of the one whose answer is longer than what is captured, too.
const LARGE: u64 = 1000;

/// What the server carried out, on indices that are gone, too.
fn counts(port: u16) -> Result<Counts> {
    let answer = ask(port, "/_nodes/stats/indices")?;
    let body = answer.split_once("\r\n\r\n").context("no body")?.1;
    let stats: serde_json::Value = serde_json::from_str(body)?;
    let nodes = stats.get("nodes").and_then(serde_json::Value::as_object).context("nodes")?;
    let (_, node) = nodes.iter().next().context("a node")?;
    let number = |path: &str| {
        let count = node.pointer(&format!("/indices/{path}"));
        count.and_then(serde_json::Value::as_u64).with_context(|| path.to_owned())
    };
    Ok(Counts {
        searches: number("search/query_total")?,
        scrolls: number("search/scroll_total")?,
        indexed: number("indexing/index_total")?,
        deleted: number("indexing/delete_total")?,
    })
}

/// Asks the server by hand.
fn ask(port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    Ok(answer)
}
