//! Every client against every server: each call is one client span and one server span, true in
//! every detail, and the second hangs under the first.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use tracebee_tests::agent::Agent;
use tracebee_tests::check::{self, Spans};
use tracebee_tests::clients::{self, Client};
use tracebee_tests::plan::{Plan, Truth};
use tracebee_tests::report::Report;
use tracebee_tests::servers::{self, Server};
use tracebee_tests::span::Kind;

use crate::Setting;

/// What each client asks each server for: method, path, size of the body, flags.
pub(crate) const CALLS: &[(&str, &str, usize, &str)] = &[
    ("GET", "/bytes/1000", 0, ""),
    ("GET", "/bytes/0", 0, ""),
    ("HEAD", "/bytes/1000", 0, ""),
    ("GET", "/bytes/100000", 0, ""),
    ("POST", "/echo", 1000, ""),
    ("POST", "/echo", 100_000, ""),
    ("POST", "/echo", 3000, "chunked"),
    ("GET", "/chunked/5000", 0, ""),
    ("GET", "/status/204", 0, ""),
    ("GET", "/status/304", 0, ""),
    ("GET", "/status/404", 0, ""),
    ("GET", "/status/500", 0, ""),
    ("GET", "/redirect", 0, ""),
    ("POST", "/echo", 2000, "expect"),
    ("GET", "/bytes/10", 0, ""),
];

/// Starts every server.
pub(crate) fn start_servers(setting: &Setting) -> Result<Vec<Server>> {
    let dir = setting.dir.path();
    let mut all = Vec::new();
    for which in servers::ALL {
        all.push(servers::start(which, dir)?);
    }
    let upstream = all.iter().find(|server| server.name == "node").context("node")?.port;
    all.push(servers::nginx(dir, upstream, &[0, 10, 1000, 100_000, 3_000_000])?);
    Ok(all)
}

/// The plan of one client.
pub(crate) fn plan(setting: &Setting, client: Client, servers: &[Server]) -> Plan {
    let mut plan = Plan::default();
    for server in servers {
        for v6 in [false, true] {
            let family = if v6 { "v6" } else { "v4" };
            for (n, (method, path, body, flags)) in CALLS.iter().enumerate() {
                // HTTP/1.0 has no interim answers: some clients would wait for one for ever.
                let expect = client.can_expect() && server.name != "http.server-1.0";
                if *flags == "expect" && !expect {
                    continue;
                }
                let id = setting.id(&[client.name(), server.name, family, &n.to_string()]);
                plan.call(&id, method, &server.base(v6), &server.path(path), *body, flags);
            }
        }
    }
    plan
}

/// Runs every client, two at a time.
pub(crate) fn run_clients(setting: &Setting, servers: &[Server]) -> Result<Vec<Truth>> {
    let mut log = Vec::new();
    for pair in clients::ALL.chunks(2) {
        let logs: Vec<Result<Vec<Truth>>> = std::thread::scope(|scope| {
            let running: Vec<_> = pair
                .iter()
                .map(|client| {
                    scope.spawn(|| {
                        let plan = plan(setting, *client, servers);
                        let log = client.run(&plan, setting.dir.path(), 1)?;
                        ensure!(
                            log.len() == plan.len(),
                            "{}: {} of {} calls are in the log",
                            client.name(),
                            log.len(),
                            plan.len()
                        );
                        Ok(log)
                    })
                })
                .collect();
            running.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        for one in logs {
            log.extend(one?);
        }
    }
    Ok(log)
}

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let mut servers = start_servers(setting)?;
    let agent = Agent::json(&setting.binary, setting.dir.path())?;
    let log = run_clients(setting, &servers)?;
    let stopped = agent.stop()?;
    let spans = stopped.spans()?;

    super::workloads::consistent(report, &log)?;
    check::whole(report, &spans);
    let by_call = Spans::new(&spans);
    check::calls(report, &by_call, &log, &servers)?;
    nginx_agrees(report, setting, &by_call, &mut servers)?;
    let count = by_call.count(&setting.run);
    report.note(format!("{} calls, {count} spans of them", log.len()));
    Ok(())
}

/// A line of nginx's own log.
#[derive(Debug, Deserialize)]
struct Access {
    request: String,
    method: String,
    status: i64,
    body: i64,
    peer: IpAddr,
    port: i64,
    pid: u32,
}

/// nginx wrote down whom it answered: its server spans must say the same.
fn nginx_agrees(
    report: &mut Report,
    setting: &Setting,
    spans: &Spans<'_>,
    servers: &mut [Server],
) -> Result<()> {
    let nginx = servers.iter_mut().find(|server| server.name == "nginx").context("nginx")?;
    let path = setting.dir.path().join(format!("nginx-{}/access.log", nginx.port));
    nginx.quit()?; // writes out what is buffered of the log
    let mut lines = 0;
    for line in std::fs::read_to_string(&path)?.lines() {
        let entry: Access = serde_json::from_str(line).with_context(|| line.to_string())?;
        let Some((_, call)) = entry.request.split_once("call=") else { continue };
        lines += 1;
        let of_call = spans.of(call).iter();
        let Some(span) =
            of_call.into_iter().find(|s| s.kind == Kind::Server && s.pid() == entry.pid)
        else {
            report
                .fail(format!("{call}: nginx answered, and there is no span of pid {}", entry.pid));
            continue;
        };
        let what = |field: &str| format!("{call} in nginx's log: {field}");
        let text = |key: &str| span.text(key).unwrap_or("").to_string();
        report.equal(&what("method"), entry.method, text("http.request.method"));
        report.equal(&what("peer"), entry.peer.to_string(), text("network.peer.address"));
        report.equal(&what("port"), Some(entry.port), span.int("network.peer.port"));
        report.equal(&what("status"), Some(entry.status), span.int("http.response.status_code"));
        // nginx counts the framing of chunks and the interim answer to `Expect` as body.
        if !entry.request.contains("/chunked/") && !call.ends_with(".13") {
            let body = span.int("http.response.body.size").unwrap_or(0);
            report.equal(&what("body"), entry.body, body);
        }
    }
    report.note(format!("{lines} lines of nginx's log agree"));
    Ok(())
}
