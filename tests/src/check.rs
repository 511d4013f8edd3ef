//! The comparison: what clients logged against the spans that the agent made of it.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};

use crate::plan::Truth;
use crate::report::Report;
use crate::servers::Server;
use crate::span::{Kind, Span};

/// How much the agent's idea of wall time may be off (it keeps one kernel clock and an offset to
/// wall time): two clocks cannot be read in the same instant.
pub const CLOCK_SLACK: u64 = 20_000;

/// One way of a request from a process to a process, as it is known to have happened.
#[derive(Debug, Clone)]
pub struct Hop {
    /// Id of the call.
    pub call: String,
    /// Method on the wire.
    pub method: String,
    /// Path on the wire.
    pub path: String,
    /// Query on the wire.
    pub query: String,
    /// Status; `None` if there was no answer.
    pub status: Option<u16>,
    /// Size of the request's body; `None`: not known to the workload.
    pub sent: Option<u64>,
    /// Size of the answer's body; `None`: not known to the workload.
    pub received: Option<u64>,
    /// The client span must lie inside (Unix nanoseconds).
    pub within: (u64, u64),
    /// The answer's framing is longer than what is captured of an answer, so that its size may be
    /// left open; never wrong.
    pub long_framing: bool,
    /// Where the client connected to.
    pub server: SocketAddr,
    /// The UNIX socket that the client connected to in place of `server`.
    pub socket: Option<String>,
    /// The client's address.
    pub client: IpAddr,
    /// The client's port, if known.
    pub port: Option<u16>,
    /// Processes that may have been the client.
    pub client_pids: HashSet<u32>,
    /// Processes that may have been the server.
    pub server_pids: HashSet<u32>,
    /// Host and port in the request's Host header, if they are those of `server`.
    pub host_is_address: bool,
    /// Version of HTTP in the request.
    pub version: &'static str,
    /// `error.type` where there is no (complete) answer: on the client span, on the server span.
    pub errors: Option<(&'static str, &'static str)>,
}

/// Spans by the id of their call.
#[derive(Debug)]
pub struct Spans<'a> {
    by_call: HashMap<&'a str, Vec<&'a Span>>,
}

impl<'a> Spans<'a> {
    /// Sorts them.
    pub fn new(spans: &'a [Span]) -> Self {
        let mut by_call: HashMap<&str, Vec<&Span>> = HashMap::new();
        for span in spans {
            if let Some(call) = span.call() {
                by_call.entry(call).or_default().push(span);
            }
        }
        Self { by_call }
    }

    /// The spans of a call.
    pub fn of(&self, call: &str) -> &[&'a Span] {
        self.by_call.get(call).map_or(&[], Vec::as_slice)
    }

    /// How many spans have an id that starts like this.
    pub fn count(&self, prefix: &str) -> usize {
        let matching = self.by_call.iter().filter(|(call, _)| call.starts_with(prefix));
        matching.map(|(_, spans)| spans.len()).sum()
    }
}

/// What must hold for all spans together, whatever they are about.
pub fn whole(report: &mut Report, spans: &[Span]) {
    whole_but(report, spans, 0);
}

/// The same, when the agent counted so many spans as lost: their children have lost their parents.
pub fn whole_but(report: &mut Report, spans: &[Span], lost: u64) {
    let mut orphans = Vec::new();
    let ids: HashMap<&str, &Span> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
    report.equal("span ids are unique", spans.len(), ids.len());
    let mut children = HashMap::<&str, usize>::new();
    for span in spans {
        let Some(parent) = &span.parent else { continue };
        if span.text("tracebee.link") == Some("header") {
            continue; // the parent may be somebody else's span
        }
        match ids.get(parent.as_str()) {
            None => orphans.push(span),
            Some(parent) => {
                report.check(parent.trace == span.trace, || {
                    format!(
                        "another trace than the parent's: {} under {}",
                        brief(span),
                        brief(parent)
                    )
                });
                if span.kind == Kind::Server && parent.kind == Kind::Client {
                    *children.entry(&parent.id).or_default() += 1;
                }
            }
        }
    }
    report.check(orphans.len() as u64 <= lost, || {
        let brief: Vec<String> = orphans.iter().map(|span| brief(span)).collect();
        format!("{lost} spans were lost, {} parents:\n    {}", brief.len(), brief.join("\n    "))
    });
    for (parent, number) in children {
        report.check(number == 1, || format!("client span {parent} has {number} server spans"));
    }
}

/// Most bytes that are captured of one answer, as the documentation says.
const CAPTURED: usize = 16 * 1024;

/// True for chunked bodies and heads that are longer than what is captured of them.
fn long_framing(path: &str) -> bool {
    let (rest, size) = path.rsplit_once('/').unwrap_or_default();
    let size: usize = size.parse().unwrap_or(0);
    (rest.ends_with("/chunked") || rest.ends_with("/pad")) && size + 1024 > CAPTURED
}

/// Checks that the spans of a hop are there, are two, are right and are joined.
pub fn hop(report: &mut Report, spans: &Spans<'_>, hop: &Hop) {
    let of_call = spans.of(&hop.call);
    let select = |kind: Kind, pids: &HashSet<u32>| -> Vec<&Span> {
        let of_hop = of_call.iter().copied();
        of_hop.filter(|span| span.kind == kind && pids.contains(&span.pid())).collect()
    };
    let clients = select(Kind::Client, &hop.client_pids);
    let servers = select(Kind::Server, &hop.server_pids);
    report.check(clients.len() == 1 && servers.len() == 1, || {
        let all = of_call.iter().map(|span| format!("\n    {}", brief(span)));
        format!(
            "{} {} {} to {}: expected 1 client span (pid {:?}) and 1 server span (pid {:?}), got {} and {} of {}:{}",
            hop.call, hop.method, hop.path, hop.server, hop.client_pids, hop.server_pids,
            clients.len(), servers.len(), of_call.len(), all.collect::<String>()
        )
    });
    let client = clients.first().copied();
    let server = servers.first().copied();
    for span in [client, server].into_iter().flatten() {
        common(report, hop, span);
    }
    if let Some(span) = client {
        client_only(report, hop, span);
    }
    if let Some(span) = server {
        server_only(report, hop, span);
    }
    if let (Some(client), Some(server)) = (client, server) {
        joined(report, hop, client, server);
    }
}

fn common(report: &mut Report, hop: &Hop, span: &Span) {
    let what = |field: &str| format!("{} {:?} span: {field}", hop.call, span.kind);
    let mut equal = |field: &str, expected: Option<String>, got: Option<String>| {
        report.equal(&what(field), expected, got);
    };
    let text = |key: &str| span.text(key).map(str::to_string);
    let number = |key: &str| span.int(key).map(|n| n.to_string());
    equal("method", Some(hop.method.clone()), text("http.request.method"));
    equal("status", hop.status.map(|s| s.to_string()), number("http.response.status_code"));
    equal("version", Some(hop.version.into()), text("network.protocol.version"));
    // A body of no bytes may be left out.
    let size = |key: &str| Some(span.int(key).unwrap_or(0).to_string());
    if hop.sent.is_some() {
        equal("request body", hop.sent.map(|n| n.to_string()), size("http.request.body.size"));
    }
    let left_open = hop.long_framing && span.int("http.response.body.size").is_none();
    if hop.received.is_some() && !left_open {
        equal(
            "answer's body",
            hop.received.map(|n| n.to_string()),
            size("http.response.body.size"),
        );
    }
    let error = match (hop.errors, span.kind) {
        (Some((client, _)), Kind::Client) => Some(client.to_string()),
        (Some((_, server)), Kind::Server) => Some(server.to_string()),
        (None, Kind::Client) => hop.status.filter(|s| *s >= 400).map(|s| s.to_string()),
        (_, Kind::Producer | Kind::Consumer) => None,
        (None, Kind::Server) => hop.status.filter(|s| *s >= 500).map(|s| s.to_string()),
    };
    let failed = error.is_some();
    let transport = hop.socket.is_some().then(|| "unix".to_string());
    equal("transport", transport, text("network.transport"));
    equal("error.type", error, text("error.type"));
    report.equal(&what("status is Error"), failed, span.error);
    report.check(span.name.starts_with(&hop.method), || what(&format!("name {:?}", span.name)));
    let bare = ["python", "python3", "python3.11", "node", "java", "unknown_service"];
    report.check(!bare.contains(&span.service()), || what(&format!("service {}", span.service())));
}

fn client_only(report: &mut Report, hop: &Hop, span: &Span) {
    let what = |field: &str| format!("{} client span: {field}", hop.call);
    let (start, end) = hop.within;
    let inside = span.start + CLOCK_SLACK >= start && span.end <= end + CLOCK_SLACK;
    report.check(inside, || {
        let before = start as i64 - span.start as i64;
        let after = span.end as i64 - end as i64;
        what(&format!("not inside the client's interval: {before} ns before, {after} ns after"))
    });
    let peer = span.text("network.peer.address").map(str::to_string);
    let (address, port) = match &hop.socket {
        Some(socket) => (socket.clone(), None),
        None => (hop.server.ip().to_string(), Some(i64::from(hop.server.port()))),
    };
    report.equal(&what("peer address"), Some(address.clone()), peer);
    report.equal(&what("peer port"), port, span.int("network.peer.port"));
    let target = format!("{}?{}", hop.path, hop.query);
    let full = span.text("url.full").unwrap_or("");
    report.check(full.starts_with("http://") && full.ends_with(&target), || {
        what(&format!("url.full {full:?} is not http://...{target}"))
    });
    if hop.socket.is_some() {
        report.equal(&what("server.address"), Some(&*address), span.text("server.address"));
        report.equal(&what("server.port"), None, span.int("server.port"));
    } else if hop.host_is_address {
        let address = span.text("server.address").map(|a| a.trim_matches(['[', ']']).to_string());
        report.equal(&what("server.address"), Some(hop.server.ip().to_string()), address);
        report.equal(
            &what("server.port"),
            Some(i64::from(hop.server.port())),
            span.int("server.port"),
        );
    }
}

fn server_only(report: &mut Report, hop: &Hop, span: &Span) {
    let what = |field: &str| format!("{} server span: {field}", hop.call);
    let text = |key: &str| span.text(key).map(str::to_string);
    report.equal(&what("path"), Some(hop.path.clone()), text("url.path"));
    report.equal(&what("query"), Some(hop.query.clone()), text("url.query"));
    report.equal(&what("scheme"), Some("http".into()), text("url.scheme"));
    // Clients of UNIX sockets have no address.
    let client = hop.socket.is_none().then(|| hop.client.to_string());
    report.equal(&what("peer address"), client.clone(), text("network.peer.address"));
    report.equal(&what("client address"), client, text("client.address"));
    if let Some(port) = hop.port {
        report.equal(&what("peer port"), Some(i64::from(port)), span.int("network.peer.port"));
    }
}

fn joined(report: &mut Report, hop: &Hop, client: &Span, server: &Span) {
    report.check(server.parent.as_deref() == Some(&client.id), || {
        let (parent, link) = (&server.parent, server.text("tracebee.link"));
        format!("{}: the server span's parent is {parent:?} (link {link:?}), expected the client span {}", hop.call, client.id)
    });
    report.check(server.trace == client.trace, || format!("{}: two traces", hop.call));
    // Who waits in vain for an answer learns of the end after the one that gave up.
    let ended = server.end <= client.end || hop.errors.is_some();
    report.check(server.start >= client.start && ended, || {
        let before = client.start as i64 - server.start as i64;
        let after = server.end as i64 - client.end as i64;
        format!(
            "{}: server span not inside the client span: {before} ns before, {after} ns after",
            hop.call
        )
    });
}

/// A span in one line.
pub fn brief(span: &Span) -> String {
    format!(
        "{} {:?} {} pid {} {} peer {}:{} status {:?} id {} parent {:?} {:?}",
        span.call().unwrap_or("(no id)"),
        span.kind,
        span.name,
        span.pid(),
        span.service(),
        span.text("network.peer.address").unwrap_or("?"),
        span.int("network.peer.port").unwrap_or(0),
        span.int("http.response.status_code"),
        span.id,
        span.parent,
        span.text("error.type"),
    )
}

/// Where a URL of the suites leads: address, path, query.
pub fn split_url(url: &str) -> Result<(SocketAddr, &str, &str)> {
    let rest = url.strip_prefix("http://").with_context(|| format!("URL {url}"))?;
    let slash = rest.find('/').with_context(|| format!("URL {url} without path"))?;
    let address = rest[..slash].parse().with_context(|| format!("address in {url}"))?;
    let (path, query) = rest[slash..].split_once('?').unwrap_or((&rest[slash..], ""));
    Ok((address, path, query))
}

/// The hops that a logged call made: one, a second if a redirect was followed, and each once more
/// behind a proxy.
pub fn hops(truth: &Truth, servers: &[Server]) -> Result<Vec<Hop>> {
    let (address, path, query) = split_url(&truth.url)?;
    let server = servers
        .iter()
        .find(|server| server.port == address.port())
        .with_context(|| format!("no server at {address}"))?;
    let first = Hop {
        call: truth.call.clone(),
        method: truth.method.clone(),
        path: path.into(),
        query: query.into(),
        status: Some(truth.status),
        sent: Some(truth.sent),
        received: Some(truth.received),
        long_framing: long_framing(path),
        within: (truth.start, truth.end),
        server: address,
        socket: server.socket.clone(),
        client: address.ip(),
        port: truth.port,
        client_pids: HashSet::from([truth.pid]),
        server_pids: server.pids(),
        host_is_address: true,
        version: "1.1",
        errors: None,
    };
    let mut hops = vec![first];
    if path.ends_with("/redirect") {
        // The log tells of the last answer only.
        let mut second = hops[0].clone();
        second.call += ".r";
        second.path = "/bytes/10".into();
        second.query = format!("call={}", second.call);
        hops[0].status = Some(302);
        hops[0].received = None;
        hops[0].port = None; // the port is that of the last connection, too
        if server.name == "http.server-1.0" && truth.call.contains(".curl.") {
            second.version = "1.0"; // curl adapts to what it was answered with
        }
        hops.push(second);
    }
    if let (Some(upstream), Some(rest)) = (server.upstream, path.strip_prefix("/up")) {
        let behind = servers
            .iter()
            .find(|server| server.port == upstream)
            .with_context(|| format!("no upstream at {upstream}"))?;
        hops.push(Hop {
            path: rest.into(),
            server: SocketAddr::from(([127, 0, 0, 1], upstream)),
            socket: behind.socket.clone(),
            client: IpAddr::from([127, 0, 0, 1]),
            port: None,
            client_pids: server.pids(),
            server_pids: behind.pids(),
            host_is_address: false,
            ..hops[0].clone()
        });
    }
    Ok(hops)
}

/// Checks every logged call, and that there are no spans beyond these.
pub fn calls(
    report: &mut Report,
    spans: &Spans<'_>,
    log: &[Truth],
    servers: &[Server],
) -> Result<()> {
    for truth in log {
        let expected = hops(truth, servers)?;
        let mut counts = HashMap::<&str, usize>::new();
        for one in &expected {
            hop(report, spans, one);
            *counts.entry(&one.call).or_default() += 2;
        }
        for (call, count) in counts {
            report.equal(&format!("{call}: spans in all"), count, spans.of(call).len());
        }
    }
    Ok(())
}
