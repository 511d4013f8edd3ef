//! What real clients of a database wrote down is the truth: each call exactly one span, with the right
//! operation, outcome and rows, within the client's own time.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use tracebee_tests::agent::Stopped;
use tracebee_tests::check::{self, CLOCK_SLACK};
use tracebee_tests::paths::{installed, workload};
use tracebee_tests::process::Process;
use tracebee_tests::report::Report;
use tracebee_tests::span::{Kind, Span};

/// Longest that a client may take.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// Stands in values, rows, files and passwords of the clients, never in names.
const SECRET: &str = "secret";

/// What a client did in one go.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    pid: u32,
    /// The server's number of its connection, or the client's port.
    #[serde(alias = "port")]
    connection: u64,
    /// Unix time in nanoseconds before the library was asked and after everything was read.
    start: u64,
    end: u64,
    /// The calls of it; none if they are the library's own affair.
    pub(super) calls: Vec<Call>,
}

/// One call as it must be seen.
#[derive(Debug, Deserialize)]
pub(super) struct Call {
    summary: String,
    operation: Option<String>,
    pub(super) namespace: Option<String>,
    returned: Option<i64>,
    affected: Option<i64>,
    code: Option<String>,
    batch: Option<i64>,
    /// Its answer is longer than what is surely captured of it.
    long: bool,
    /// The code is that of a warning.
    #[serde(default)]
    warned: bool,
    /// The server logs it.
    #[serde(default = "yes")]
    pub(super) logged: bool,
}

fn yes() -> bool {
    true
}

/// A client: what it is called, what it did, and how spans must name its server.
pub(super) struct Client {
    pub(super) name: &'static str,
    pub(super) asked: Vec<Asked>,
    pub(super) system: &'static str,
}

impl Client {
    /// Whether it wrote down what it called.
    fn knows_its_calls(&self) -> bool {
        self.asked.iter().any(|asked| !asked.calls.is_empty())
    }
}

/// A script for Node with the packages of `tests/setup`.
pub(super) fn node(script: &str) -> Command {
    let mut node = Command::new("node");
    node.arg(workload(script)).env("NODE_PATH", installed("node/node_modules"));
    node
}

/// Where clients find a server.
pub(super) struct At<'a> {
    pub(super) port: u16,
    /// They connect here instead.
    pub(super) socket: Option<&'a Path>,
}

impl At<'_> {
    pub(super) fn port(port: u16) -> Self {
        Self { port, socket: None }
    }

    /// Tells a client, as its first argument or in `UNIX_SOCKET`.
    pub(super) fn tell(&self, client: &mut Command) {
        client.arg(self.port.to_string());
        if let Some(socket) = self.socket {
            client.env("UNIX_SOCKET", socket);
        }
    }

    /// Holds that a span names the server.
    pub(super) fn named(&self, report: &mut Report, what: impl Fn(&str) -> String, span: &Span) {
        let path = self.socket.map(|socket| socket.to_string_lossy());
        let address = path.as_deref().unwrap_or("127.0.0.1");
        let port = path.is_none().then_some(i64::from(self.port));
        let transport = path.is_some().then_some("unix");
        report.equal(&what("address"), Some(address), span.text("server.address"));
        report.equal(&what("port"), port, span.int("server.port"));
        report.equal(&what("peer"), Some(address), span.text("network.peer.address"));
        report.equal(&what("peer's port"), port, span.int("network.peer.port"));
        report.equal(&what("transport"), transport, span.text("network.transport"));
    }
}

/// Runs a client; what it wrote down.
pub(super) fn work(
    name: &str,
    mut command: Command,
    at: &At<'_>,
    dir: &Path,
    more: &[&str],
) -> Result<Vec<Asked>> {
    let log = dir.join(format!("{name}.log"));
    at.tell(&mut command);
    command.arg(&log).args(more);
    Process::spawn(name, dir, &mut command)?.succeed(LIMIT)?;
    read(&log)
}

/// What a client wrote down.
pub(super) fn read(log: &Path) -> Result<Vec<Asked>> {
    let text = std::fs::read_to_string(log)?;
    text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

/// Compares the spans with what the clients know, with what the server logged (by the connection),
/// and the counted losses with those expected.
pub(super) fn check<Logged>(
    report: &mut Report,
    stopped: &Stopped,
    at: &At<'_>,
    clients: &[Client],
    logged: &HashMap<u64, Vec<Logged>>,
    by_the_server: impl Fn(&mut Report, &Client, &[&Span], &[Logged]),
    losses: &[(&str, u64)],
) -> Result<()> {
    let spans = stopped.spans()?;
    let mut of_process: HashMap<u32, Vec<&Span>> = HashMap::new();
    for span in spans.iter().filter(|span| span.text("db.system.name").is_some()) {
        of_process.entry(span.pid()).or_default().push(span);
    }
    let mut count = 0;
    for client in clients {
        let first = client.asked.first().context("a client did nothing")?;
        let mut spans = of_process.remove(&first.pid).unwrap_or_default();
        spans.sort_by_key(|span| span.start);
        count += spans.len();
        let logged = logged.get(&first.connection).context("the server knows the connection")?;
        by_the_server(report, client, &spans, logged);
        if client.knows_its_calls() {
            by_the_client(report, client, &spans);
        }
        for span in &spans {
            common(report, client, span, at);
        }
    }
    let others: Vec<&&Span> = of_process.values().flatten().collect();
    report.check(others.is_empty(), || format!("spans of nobody: {others:?}"));
    for (loss, expected) in losses {
        report.equal(&format!("lost: {loss}"), *expected, stopped.summary(loss));
    }
    report.check(!stopped.stdout()?.contains(SECRET), || "a secret is in the spans".into());
    report.note(format!("{count} calls of {} clients", clients.len()));
    Ok(())
}

/// The calls that the client knows of, each within its time.
fn by_the_client(report: &mut Report, client: &Client, spans: &[&Span]) {
    let name = client.name;
    let mut left = spans.iter();
    for asked in &client.asked {
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
                ("", None, Some(name)) | ("", Some(name), None) => name.clone(),
                ("", _, None) => text("db.system.name").unwrap_or_default().to_owned(),
                (summary, ..) => summary.to_owned(),
            };
            report.equal(&what("name"), &named, &span.name);
            let cut = span.attributes.contains_key("tracebee.db.response_cut");
            report.check(call.long || !cut, || what("cut"));
            // Of an answer that was not seen whole MySQL's end does not say how many rows it had.
            let known = |rows: Option<i64>| rows.filter(|_| !cut || client.system == "postgresql");
            report.equal(&what("rows"), known(call.returned), int("db.response.returned_rows"));
            report.equal(&what("written"), known(call.affected), int("tracebee.db.affected_rows"));
            report.equal(&what("batch"), call.batch, int("db.operation.batch.size"));
            report.equal(&what("code"), call.code.as_deref(), text("db.response.status_code"));
            let error = call.code.as_deref().filter(|_| !call.warned);
            report.equal(&what("error"), error, text("error.type"));
            let inside =
                span.start + CLOCK_SLACK >= asked.start && span.end <= asked.end + CLOCK_SLACK;
            report.check(inside, || what("time"));
        }
    }
    let rest: Vec<String> = left.map(|span| brief(span)).collect();
    report.check(rest.is_empty(), || format!("{name}: spans of nothing: {rest:?}"));
}

fn common(report: &mut Report, client: &Client, span: &Span, at: &At<'_>) {
    let what = |field: &str| format!("{}: {field} of {}", client.name, brief(span));
    report.equal(&what("kind"), Kind::Client, span.kind);
    report.equal(&what("system"), Some(client.system), span.text("db.system.name"));
    at.named(report, what, span);
    report.equal(&what("status"), span.text("error.type").is_some(), span.error);
}

/// Spans by the word that each call has of its own.
#[derive(Default)]
pub(super) struct ByWord<'a>(HashMap<&'a str, Vec<&'a Span>>);

impl<'a> ByWord<'a> {
    pub(super) fn add(&mut self, word: &'a str, span: &'a Span) {
        self.0.entry(word).or_default().push(span);
    }

    /// The one span of the call with this word, which is called `name`.
    pub(super) fn take(&mut self, report: &mut Report, name: &str, word: &str) -> Option<&'a Span> {
        let found = self.0.remove(word).unwrap_or_default();
        if let [span] = found[..] {
            return Some(span);
        }
        let found: Vec<_> = found.iter().map(|span| in_full(span)).collect();
        report.fail(format!("{name}: {} spans: {found:#?}", found.len()));
        None
    }

    /// What is left is of no call.
    pub(super) fn finish(self, report: &mut Report) {
        for span in self.0.values().flatten() {
            report.fail(format!("of no call: {}", in_full(span)));
        }
    }
}

/// All that a span says, in one line.
pub(super) fn in_full(span: &Span) -> String {
    format!("{} {:?}", check::brief(span), span.attributes)
}

/// The first word of a statement, as the server's log and the span both show it.
pub(super) fn first_word(text: &str) -> String {
    let word = text.split(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty());
    word.unwrap_or("").to_owned()
}

/// The words of a statement and where it ends, without values: what is left of it when they are
/// masked.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = text.trim().trim_end_matches(';');
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' => match rest[1..].replace("''", "xx").find('\'') {
                Some(end) => end + 2,
                None => rest.len(),
            },
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            ';' => {
                out.push(";".to_owned());
                1
            }
            _ if first.is_alphanumeric() || first == '_' || first == '$' => {
                let of_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
                let end = rest.find(|c| !of_word(c)).unwrap_or(rest.len());
                if first.is_alphabetic() || first == '_' {
                    out.push(rest[..end].to_owned());
                }
                end
            }
            _ => first.len_utf8(),
        };
        rest = &rest[length..];
    }
    out
}

/// A span in one line.
pub(super) fn brief(span: &Span) -> String {
    let text = span.text("db.query.text").unwrap_or("?");
    let short: String = text.chars().take(60).collect();
    format!("{:?} ({short})", span.name)
}
