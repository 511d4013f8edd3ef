//! Conversations that are not one plain question and answer after the other.

use std::collections::HashSet;

use anyhow::{Context as _, Result};
use tracebee_tests::agent::Agent;
use tracebee_tests::check::{self, Hop, Spans};
use tracebee_tests::clients::{self, Client};
use tracebee_tests::plan::{Plan, Truth};
use tracebee_tests::report::Report;
use tracebee_tests::servers::{self, Server};
use tracebee_tests::span::{Kind, Span};

use crate::Setting;

/// One call of the client by hand to the server by hand, and what differs from a plain one.
struct Case {
    shape: &'static str,
    method: &'static str,
    path: &'static str,
    body: usize,
    flags: &'static str,
    truth: fn(&mut Hop),
}

const fn case(shape: &'static str, method: &'static str, path: &'static str, body: usize) -> Case {
    Case { shape, method, path, body, flags: "", truth: |_| () }
}

/// No answer at all: no status, and each end says why.
fn unanswered(hop: &mut Hop, client: &'static str, server: &'static str) {
    hop.status = None;
    hop.received = None;
    hop.errors = Some((client, server));
}

const CASES: &[Case] = &[
    case("calls", "GET", "/close/5000", 0),
    case("calls", "GET", "/close/0", 0),
    case("calls", "GET", "/interim", 0),
    case("calls", "GET", "/trailers", 0),
    case("calls", "POST", "/early", 100_000),
    case("calls", "POST", "/early", 10),
    // The answer is there while the client still waits for room to send the rest.
    case("calls", "POST", "/early", 20_000_000),
    case("calls", "GET", "/bytes/10", 0),
    case("waiting", "POST", "/echo", 2000),
    case("waiting", "POST", "/echo", 50_000),
    Case { flags: "chunked", ..case("calls", "POST", "/echo", 2000) },
    Case { flags: "absolute", ..case("calls", "GET", "/bytes/10", 0) },
    // HTTP/1.0 by the client.
    Case { truth: |hop| hop.version = "1.0", ..case("http10", "GET", "/bytes/700", 0) },
    Case { truth: |hop| hop.version = "1.0", ..case("http10", "GET", "/close/700", 0) },
    Case { truth: |hop| hop.version = "1.0", ..case("http10-keep", "GET", "/bytes/700", 0) },
    Case { truth: |hop| hop.version = "1.0", ..case("http10-keep", "POST", "/echo", 700) },
    // The answer comes while most of the request is missing, and stays so.
    Case { truth: |hop| hop.sent = None, ..case("partial-body", "POST", "/413", 5_000_000) },
    // After the handshake nothing is HTTP any more, whatever it looks like.
    Case {
        flags: "upgrade",
        truth: |hop| {
            hop.status = Some(101);
            hop.received = None;
        },
        ..case("raw", "GET", "/ws", 0)
    },
    // No answer.
    Case {
        truth: |hop| unanswered(hop, "peer_closed", "closed"),
        ..case("peer-less", "GET", "/hangup", 0)
    },
    Case {
        truth: |hop| unanswered(hop, "connection_reset", "closed"),
        ..case("peer-less", "GET", "/reset", 0)
    },
    Case {
        truth: |hop| unanswered(hop, "closed", "client_closed"),
        ..case("impatient", "GET", "/stall", 0)
    },
    Case {
        truth: |hop| {
            unanswered(hop, "peer_closed", "closed");
            hop.status = Some(200);
        },
        ..case("peer-less", "GET", "/half", 0)
    },
];

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let by_hand = vec![servers::by_hand(dir, "recv/two-sends")?];
    let mut real: Vec<Server> =
        servers::ALL.iter().map(|which| servers::start(*which, dir)).collect::<Result<_>>()?;
    let upstream = real.iter().find(|server| server.name == "go").context("go")?.port;
    real.push(servers::nginx(dir, upstream, &[10, 1000])?);

    let agent = Agent::json(&setting.binary, dir)?;
    let cases = run_cases(setting, &by_hand[0])?;
    let mut log = pipelines(setting, &real, "pipelined")?;
    log.extend(pipelines(setting, &real, "dribbled")?);
    log.extend(streams(setting, &real)?);
    log.extend(limited(setting, &real)?);
    let tunnel = tunnel(setting, &by_hand[0])?;
    let spans = agent.stop()?.spans()?;

    check::whole(report, &spans);
    let by_call = Spans::new(&spans);
    for (truth, case) in cases.iter().zip(CASES) {
        let [mut hop] = <[Hop; 1]>::try_from(check::hops(truth, &by_hand)?)
            .map_err(|hops| anyhow::anyhow!("{hops:?}"))?;
        (case.truth)(&mut hop);
        check::hop(report, &by_call, &hop);
        report.equal(&format!("{}: spans in all", truth.call), 2, by_call.of(&truth.call).len());
    }
    check::calls(report, &by_call, &log, &real)?;
    check_streams(report, &by_call, &log);
    check_tunnel(report, &spans, &tunnel, &by_hand[0].pids());
    let ghosts = spans.iter().filter(|span| span.text("url.path") == Some("/ghost")).count();
    report.equal("spans of what looks like HTTP inside other protocols", 0, ghosts);
    report.note(format!("{} calls", cases.len() + log.len() + tunnel.len()));
    burst(report, setting, &real)
}

/// Answers that come in one go and are longer than what is captured of one, on connections that
/// nobody knew to be pipelined: what cannot be told apart is lost, and every one of it counted.
fn burst(report: &mut Report, setting: &Setting, servers: &[Server]) -> Result<()> {
    let agent = Agent::json(&setting.binary, setting.dir.path())?;
    let log = pipelines(setting, servers, "burst")?;
    let stopped = agent.stop()?;
    let spans = stopped.spans()?;
    let by_call = Spans::new(&spans);
    let (mut whole, mut missing) = (Vec::new(), 0);
    for truth in log {
        let expected = 2 * check::hops(&truth, servers)?.len();
        let got = by_call.of(&truth.call).len();
        report.check(got <= expected, || format!("{}: {got} spans", truth.call));
        missing += expected - got.min(expected);
        if got == expected {
            whole.push(truth);
        }
    }
    check::calls(report, &by_call, &whole, servers)?;
    report.equal("spans missing of bursts, and counted", missing as u64, stopped.summary("gap"));
    report.note(format!("bursts: {} calls whole, {missing} spans counted as lost", whole.len()));
    Ok(())
}

fn run_cases(setting: &Setting, server: &Server) -> Result<Vec<Truth>> {
    let mut log = Vec::new();
    for (n, case) in CASES.iter().enumerate() {
        let mut plan = Plan::default();
        let id = setting.id(&["case", &n.to_string(), case.shape, case.path.trim_matches('/')]);
        let id = id.replace('/', "-");
        plan.call(&id, case.method, &server.base(n % 2 == 1), case.path, case.body, case.flags);
        let one = clients::by_hand(&plan, setting.dir.path(), "recv/two-sends", case.shape)?;
        log.extend(one);
    }
    Ok(log)
}

/// Requests that do not wait for answers, to every server that takes them.
fn pipelines(setting: &Setting, servers: &[Server], shape: &str) -> Result<Vec<Truth>> {
    let mut plan = Plan::default();
    // http.server in HTTP/1.0 and gunicorn's sync worker close after the first answer.
    for server in servers.iter().filter(|s| !["http.server-1.0", "gunicorn"].contains(&s.name)) {
        for n in 0..23 {
            let id = setting.id(&[shape, server.name, &n.to_string()]);
            match n % 4 {
                3 => plan.call(&id, "POST", &server.base(false), &server.path("/echo"), 100, ""),
                _ => plan.get(&id, &server.base(false), "/bytes/1000"),
            }
        }
    }
    clients::by_hand(&plan, setting.dir.path(), "recv/one-send", shape)
}

/// Events that come one by one: the call lasts as long as the stream.
fn streams(setting: &Setting, servers: &[Server]) -> Result<Vec<Truth>> {
    let mut plan = Plan::default();
    for server in servers {
        let id = setting.id(&["sse", server.name]);
        plan.get(&id, &server.base(false), &server.path("/sse/5/50"));
    }
    Client::Aiohttp.run(&plan, setting.dir.path(), 4)
}

fn check_streams(report: &mut Report, spans: &Spans<'_>, log: &[Truth]) {
    for truth in log.iter().filter(|truth| truth.url.contains("/sse/")) {
        for span in spans.of(&truth.call) {
            let took = (span.end - span.start) / 1_000_000;
            report.check(took >= 195, || {
                format!("{} {:?}: the stream of 200 ms took {took} ms", truth.call, span.kind)
            });
        }
    }
}

/// nginx refuses a body by its declared length, without reading it; curl stops sending.
fn limited(setting: &Setting, servers: &[Server]) -> Result<Vec<Truth>> {
    let nginx = servers.iter().find(|server| server.name == "nginx").context("nginx")?;
    let mut plan = Plan::default();
    plan.call(&setting.id(&["limited"]), "POST", &nginx.base(false), "/limited", 900_000, "expect");
    let mut log = Client::Curl.run(&plan, setting.dir.path(), 1)?;
    for truth in &mut log {
        truth.sent = 0; // curl waited for the go-ahead that never came
    }
    Ok(log)
}

/// A tunnel through which HTTP-like bytes go: one call, the CONNECT.
fn tunnel(setting: &Setting, server: &Server) -> Result<Vec<Truth>> {
    let mut plan = Plan::default();
    plan.call(&setting.id(&["tunnel"]), "CONNECT", &server.base(false), "/", 0, "");
    clients::by_hand(&plan, setting.dir.path(), "recv/one-send", "raw")
}

/// The target of a CONNECT is an authority: there is no place for an id, so the socket tells.
fn check_tunnel(report: &mut Report, spans: &[Span], log: &[Truth], servers: &HashSet<u32>) {
    let connects: Vec<&Span> =
        spans.iter().filter(|span| span.text("http.request.method") == Some("CONNECT")).collect();
    for truth in log {
        let client: Vec<_> = connects
            .iter()
            .filter(|span| span.kind == Kind::Client && span.pid() == truth.pid)
            .collect();
        let server: Vec<_> = connects
            .iter()
            .filter(|span| span.kind == Kind::Server && servers.contains(&span.pid()))
            .collect();
        report.equal("CONNECT: client and server spans", (1, 1), (client.len(), server.len()));
        let ([client], [server]) = (&client[..], &server[..]) else { continue };
        report.equal("CONNECT: parent", Some(client.id.as_str()), server.parent.as_deref());
        for span in [client, server] {
            let status = span.int("http.response.status_code");
            report.equal("CONNECT: status", Some(200), status);
            report.check(
                span.start + check::CLOCK_SLACK >= truth.start && span.end <= truth.end,
                || format!("CONNECT: {} not inside the client's interval", check::brief(span)),
            );
        }
    }
}
