//! UNIX sockets: what the other suites prove of TCP, of them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tracebee_tests::agent::Agent;
use tracebee_tests::check::{self, Spans};
use tracebee_tests::clients::{self, Client};
use tracebee_tests::plan::{Plan, Truth};
use tracebee_tests::process::Process;
use tracebee_tests::report::Report;
use tracebee_tests::servers::{self, Server, Which, python};
use tracebee_tests::span::{Kind, Span};

use super::{matrix, sockets};
use crate::Setting;

/// Servers that can listen on a path.
const SERVERS: [Which; 8] = [
    Which::HttpServer,
    Which::HttpServer10,
    Which::Uvicorn,
    Which::UvicornLoop,
    Which::GunicornSync,
    Which::GunicornThreads,
    Which::Node,
    Which::Go,
];

/// Clients that can connect to one.
const CLIENTS: [Client; 5] =
    [Client::Curl, Client::Aiohttp, Client::Httpx, Client::NodeHttp, Client::Go];

/// Beside what every client asks for.
const LARGE: &[(&str, &str, usize, &str)] =
    &[("GET", "/bytes/3000000", 0, ""), ("POST", "/echo", 3_000_000, "")];

/// Connections of the client that is older than the agent, and its calls before and after.
const CONNECTIONS: usize = 4;
const BEFORE: usize = 20;
const AFTER: usize = 80;

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let all = start(setting)?;
    let of_ways: Vec<Server> = sockets::unix_styles(0)
        .iter()
        .enumerate()
        .map(|(n, style)| servers::by_hand_unix(dir, style, &path(setting, &format!("way{n}"))))
        .collect::<Result<_>>()?;
    let first = of_ways.first().context("a server by hand")?;

    // Connections that are older than the agent.
    let go = all.iter().find(|server| server.name == "go").context("go")?;
    // In a folder of its own, because the same client comes again.
    let apart = dir.join("early");
    std::fs::create_dir(&apart)?;
    let mut early = Client::Go.spawn_to(&endless(setting, go), &apart, CONNECTIONS, socket(go))?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while early.calls() < BEFORE {
        ensure!(early.running() && Instant::now() < deadline, "client: {}", early.stderr());
        std::thread::sleep(Duration::from_millis(10));
    }
    let agent = Agent::json(&setting.binary, dir)?;
    let ready = agent.ready;
    let so_far = early.calls();

    let mut log = matrix_of(setting, &all)?;
    log.extend(ways(setting, &of_ways)?);
    for shape in ["pipelined", "dribbled"] {
        log.extend(pipelines(setting, &all, shape)?);
    }
    let closed = until_close(setting, first)?;
    let paired = pairs(setting)?;
    let noise = noise(report, setting)?;
    while early.calls() < so_far + AFTER {
        ensure!(early.running() && Instant::now() < deadline + Duration::from_secs(90), "slow");
        std::thread::sleep(Duration::from_millis(10));
    }
    let older: Vec<Truth> = early.stop()?.into_iter().filter(|truth| truth.start > ready).collect();
    let stopped = agent.stop()?;
    let spans = stopped.spans()?;

    check::whole(report, &spans);
    let by_call = Spans::new(&spans);
    let mut servers = all;
    servers.extend(of_ways);
    check::calls(report, &by_call, &log, &servers)?;
    check::calls(report, &by_call, &closed, &servers)?;
    check_older(report, &by_call, &older);
    check_pairs(report, &by_call, &paired);
    for span in spans.iter().filter(|span| span.pid() == noise) {
        let control = span.call().is_some_and(|call| call.ends_with(".control"));
        report.check(control, || format!("invented: {}", check::brief(span)));
    }
    report.note(format!(
        "{} calls, {} on connections older than the agent, {} spans of them all",
        log.len() + closed.len() + paired.len(),
        older.len(),
        by_call.count(&setting.run)
    ));
    Ok(())
}

fn path(setting: &Setting, name: &str) -> String {
    setting.dir.path().join(format!("{name}.sock")).display().to_string()
}

fn socket(server: &Server) -> Option<&str> {
    server.socket.as_deref()
}

/// Every server on a path, two on abstract names (of which one only gets pipelines), and nginx in front of one.
fn start(setting: &Setting) -> Result<Vec<Server>> {
    let dir = setting.dir.path();
    let mut all = Vec::new();
    for (n, which) in SERVERS.into_iter().enumerate() {
        all.push(servers::start_unix(which, dir, &path(setting, &format!("server{n}")))?);
    }
    all.push(servers::start_unix(Which::Go, dir, &format!("@{}-go", setting.run))?);
    all.push(servers::by_hand_unix(dir, "recv/one-send", &format!("@{}-hand", setting.run))?);
    let behind = all.iter().find(|server| server.name == "gunicorn-threads").context("gunicorn")?;
    let sizes = [0, 10, 1000, 100_000, 3_000_000];
    all.push(servers::nginx_unix(dir, &path(setting, "nginx"), behind, &sizes)?);
    Ok(all)
}

/// Every client against every server.
fn matrix_of(setting: &Setting, servers: &[Server]) -> Result<Vec<Truth>> {
    let mut log = Vec::new();
    for client in CLIENTS {
        for server in servers {
            let socket = socket(server).context("a UNIX socket")?;
            // The others know no abstract names, and the server by hand not all that is asked for.
            if socket.starts_with('@')
                && (client != Client::Curl && client != Client::Go || server.name == "by-hand")
            {
                continue;
            }
            let mut plan = Plan::default();
            for (n, (method, path, body, flags)) in matrix::CALLS.iter().chain(LARGE).enumerate() {
                let expect = client.can_expect() && server.name != "http.server-1.0";
                if *flags == "expect" && !expect {
                    continue;
                }
                let number = n.to_string();
                let id = setting.id(&[client.name(), &server.port.to_string(), &number]);
                plan.call(&id, method, &server.base(false), &server.path(path), *body, flags);
            }
            let of_client = client
                .run_to(&plan, setting.dir.path(), 1, Some(socket))
                .with_context(|| format!("{} to {} at {socket}", client.name(), server.name))?;
            ensure!(of_client.len() == plan.len(), "{}: calls are missing", client.name());
            log.extend(of_client);
        }
    }
    Ok(log)
}

/// Every way of reading and writing at either end.
fn ways(setting: &Setting, servers: &[Server]) -> Result<Vec<Truth>> {
    let mut log = Vec::new();
    for (style, server) in sockets::unix_styles(4).iter().zip(servers) {
        let mut plan = Plan::default();
        for (n, (method, path, body)) in sockets::CALLS.iter().enumerate() {
            let id = setting.id(&["way", &style.replace('/', "-"), &n.to_string()]);
            plan.call(&id, method, &server.base(false), path, *body, "");
        }
        let dir = setting.dir.path();
        log.extend(clients::by_hand_to(&plan, dir, style, "calls", socket(server))?);
    }
    Ok(log)
}

/// Requests that do not wait for answers.
fn pipelines(setting: &Setting, servers: &[Server], shape: &str) -> Result<Vec<Truth>> {
    let mut log = Vec::new();
    // http.server in HTTP/1.0 and gunicorn's sync worker close after the first answer.
    for server in servers.iter().filter(|s| !["http.server-1.0", "gunicorn"].contains(&s.name)) {
        let mut plan = Plan::default();
        for n in 0..23 {
            let id = setting.id(&[shape, &server.port.to_string(), &n.to_string()]);
            match n % 4 {
                3 => plan.call(&id, "POST", &server.base(false), &server.path("/echo"), 100, ""),
                _ => plan.get(&id, &server.base(false), "/bytes/1000"),
            }
        }
        let dir = setting.dir.path();
        log.extend(clients::by_hand_to(&plan, dir, "recv/one-send", shape, socket(server))?);
    }
    Ok(log)
}

/// Answers that only the close ends.
fn until_close(setting: &Setting, server: &Server) -> Result<Vec<Truth>> {
    let mut plan = Plan::default();
    for (n, size) in [0, 1, 1000, 100_000, 3_000_000].into_iter().enumerate() {
        let id = setting.id(&["close", &n.to_string()]);
        plan.get(&id, &server.base(false), &format!("/close/{size}"));
    }
    let dir = setting.dir.path();
    clients::by_hand_to(&plan, dir, "recv/one-send", "calls", socket(server))
}

/// Both ends in one process, over a socketpair: nothing but the bytes tells who is who.
fn pairs(setting: &Setting) -> Result<Vec<Truth>> {
    let mut plan = Plan::default();
    for (n, (method, path, body)) in sockets::CALLS.iter().enumerate() {
        let id = setting.id(&["pair", &n.to_string()]);
        plan.call(&id, method, &format!("http://127.0.0.1:{}", 1 + n % 2), path, *body, "");
    }
    clients::by_hand_to(&plan, setting.dir.path(), "recv/one-send", "calls", Some("pair"))
}

fn check_pairs(report: &mut Report, spans: &Spans<'_>, log: &[Truth]) {
    for truth in log {
        let of_call = spans.of(&truth.call);
        let of = |kind: Kind| of_call.iter().find(|span| span.kind == kind);
        let (Some(client), Some(server), 2) = (of(Kind::Client), of(Kind::Server), of_call.len())
        else {
            report.fail(format!("{}: {} spans", truth.call, of_call.len()));
            continue;
        };
        report.equal(&truth.call, Some(&client.id), server.parent.as_ref());
        for span in [client, server] {
            let status = span.int("http.response.status_code");
            report.equal(&truth.call, Some(i64::from(truth.status)), status);
            let peer = span.text("network.peer.address");
            report.equal(&format!("{}: peer", truth.call), None, peer);
            let inside = span.start + check::CLOCK_SLACK >= truth.start
                && span.end <= truth.end + check::CLOCK_SLACK;
            report.check(inside, || format!("{}: not inside its interval", truth.call));
        }
    }
}

fn endless(setting: &Setting, server: &Server) -> Plan {
    let mut plan = Plan::default();
    for n in 0..20_000 {
        let id = setting.id(&["early", &n.to_string()]);
        plan.call(&id, "POST", &server.base(false), "/echo", 100, "pause=20");
    }
    plan
}

/// Whole, and without a link: nobody knows how many bytes went before.
fn check_older(report: &mut Report, spans: &Spans<'_>, log: &[Truth]) {
    report.check(log.len() > AFTER / 2, || "too few calls on older connections".into());
    for truth in log {
        let of_call: &[&Span] = spans.of(&truth.call);
        report.equal(&format!("{}: spans", truth.call), 2, of_call.len());
        for span in of_call {
            report.equal(&format!("{}: parent", truth.call), None, span.parent.as_ref());
            let status = span.int("http.response.status_code");
            report.equal(&truth.call, Some(i64::from(truth.status)), status);
            let size = span.int("http.request.body.size");
            report.equal(&truth.call, Some(truth.sent as i64), size);
        }
    }
}

/// What is no stream of HTTP gives no span; the process that made it.
fn noise(report: &mut Report, setting: &Setting) -> Result<u32> {
    let dir = setting.dir.path();
    let control = setting.id(&["control"]);
    let mut command = python("raw/foreign_unix.py", &[]);
    command.env("CALL", &control);
    let mut process = Process::spawn("foreign-unix", dir, &mut command)?;
    process.succeed(Duration::from_secs(60))?;
    let conversations: u64 = process.stdout().trim().parse().context("its count")?;
    report.check(conversations > 10, || format!("{conversations} conversations"));
    Ok(process.pid())
}
