//! Much of it: large answers, slow readers, long connections, many connections, long heads, and
//! wrk at full speed.

use std::collections::HashSet;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tracebee_tests::agent::Agent;
use tracebee_tests::check::{self, Spans};
use tracebee_tests::clients::{self, Client};
use tracebee_tests::plan::{Plan, Truth};
use tracebee_tests::process::Process;
use tracebee_tests::report::Report;
use tracebee_tests::servers::Server;
use tracebee_tests::span::{Kind, Span};

use crate::Setting;

/// Requests on one connection.
const KEPT_ALIVE: usize = 10_000;
/// Connections of one request each.
const SHORT: usize = 5_000;

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let servers = super::matrix::start_servers(setting)?;

    let agent = Agent::json(&setting.binary, dir)?;
    let mut log = large(setting, &servers)?;
    log.extend(heads(setting, &servers)?);
    log.extend(many(setting, &servers)?);
    let counts = wrk(setting, &servers)?;
    let stopped = agent.stop()?;
    let spans = stopped.spans()?;

    check::whole(report, &spans);
    let by_call = Spans::new(&spans);
    check::calls(report, &by_call, &log, &servers)?;
    for (prefix, count, pids) in &counts {
        check_wrk(report, &spans, prefix, *count, pids);
    }
    let requests: u64 = counts.iter().map(|(_, count, _)| count).sum();
    report.note(format!("{} calls and {requests} of wrk", log.len()));
    Ok(())
}

/// 3 MB, read at once and read slowly through a small window.
fn large(setting: &Setting, servers: &[Server]) -> Result<Vec<Truth>> {
    let plan = |label: &str| {
        let mut plan = Plan::default();
        for server in servers {
            let id = setting.id(&["large", label, server.name]);
            plan.get(&id, &server.base(false), "/bytes/3000000");
            // On the same connection, to show that its end was found.
            plan.get(&(id.clone() + ".after"), &server.base(false), "/bytes/10");
            let path = server.path("/echo");
            plan.call(&(id + ".up"), "POST", &server.base(true), &path, 3_000_000, "");
        }
        plan
    };
    let mut log = Vec::new();
    for client in [Client::Requests, Client::Aiohttp, Client::NodeFetch, Client::Go, Client::Java] {
        log.extend(client.run(&plan(client.name()), setting.dir.path(), 1)?);
    }
    let mut slow = Plan::default();
    for server in servers {
        let id = setting.id(&["slow", server.name]);
        slow.get(&id, &server.base(false), "/bytes/3000000");
    }
    log.extend(clients::by_hand(&slow, setting.dir.path(), "recv/one-send", "slow")?);
    Ok(log)
}

/// Heads of 8 KiB, 16 KiB and 32 KiB, asked and answered, where the programs accept them.
fn heads(setting: &Setting, servers: &[Server]) -> Result<Vec<Truth>> {
    let mut log = Vec::new();
    for client in [Client::Requests, Client::Go, Client::NodeHttp, Client::Java] {
        let mut plan = Plan::default();
        for server in servers {
            for size in [8_000, 16_000, 32_000] {
                let id = setting.id(&["head", client.name(), server.name, &size.to_string()]);
                let base = server.base(false);
                plan.call(
                    &(id.clone() + ".q"),
                    "GET",
                    &base,
                    "/bytes/10",
                    0,
                    &format!("pad={size}"),
                );
                plan.get(&(id + ".a"), &base, &server.path(&format!("/pad/{size}")));
            }
        }
        log.extend(client.run(&plan, setting.dir.path(), 1)?);
    }
    Ok(log)
}

/// Ten thousand calls on one connection, and five thousand connections of one call.
fn many(setting: &Setting, servers: &[Server]) -> Result<Vec<Truth>> {
    let server = |name: &str| servers.iter().find(|server| server.name == name).context("server");
    let (nginx, go) = (server("nginx")?, server("go")?);
    let mut kept = Plan::default();
    for n in 0..KEPT_ALIVE {
        kept.get(&setting.id(&["kept", &n.to_string()]), &nginx.base(false), "/bytes/10");
    }
    let mut short = Plan::default();
    for n in 0..SHORT {
        let server = if n % 2 == 0 { nginx } else { go };
        short.get(&setting.id(&["short", &n.to_string()]), &server.base(n % 4 > 1), "/bytes/10");
    }
    let mut log = Client::Go.run(&kept, setting.dir.path(), 1)?;
    log.extend(Client::GoClose.run(&short, setting.dir.path(), 4)?);
    Ok(log)
}

/// wrk keeps no log of its calls, but it counts them.
fn wrk(setting: &Setting, servers: &[Server]) -> Result<Vec<(String, u64, HashSet<u32>)>> {
    let mut counts = Vec::new();
    for name in ["nginx", "go", "node", "uvicorn-uvloop"] {
        let server = servers.iter().find(|server| server.name == name).context("server")?;
        let id = setting.id(&["wrk", name]);
        let path = if name == "nginx" { "/hello" } else { "/bytes/10" };
        let mut command = Command::new("wrk");
        command.args(["-t1", "-c4", "-d1s", "--timeout", "10s"]);
        command.arg(format!("{}{path}?call={id}", server.base(false)));
        let mut process = Process::spawn(&format!("wrk-{name}"), setting.dir.path(), &mut command)?;
        process.succeed(Duration::from_secs(20))?;
        let output = process.stdout();
        let line = output.lines().find(|line| line.contains(" requests in ")).context("wrk")?;
        let count = line.split_whitespace().next().context("wrk's count")?.parse()?;
        counts.push((id, count, server.pids()));
    }
    Ok(counts)
}

/// wrk stops in the middle of calls, at most one for each of its four connections, and does not
/// count these.
fn check_wrk(report: &mut Report, spans: &[Span], call: &str, count: u64, servers: &HashSet<u32>) {
    let of_run: Vec<&Span> = spans.iter().filter(|span| span.call() == Some(call)).collect();
    let answered = |span: &&&Span| {
        span.int("http.response.status_code") == Some(200) && span.text("error.type").is_none()
    };
    let clients: Vec<&&Span> = of_run.iter().filter(|span| span.kind == Kind::Client).collect();
    let ids: HashSet<&str> = clients.iter().map(|span| span.id.as_str()).collect();
    let complete = clients.iter().copied().filter(answered).count() as u64;
    report.check((count..=count + 4).contains(&complete), || {
        format!("{call}: wrk counts {count} calls, there are {complete} complete client spans")
    });
    let server_spans: Vec<&&Span> = of_run
        .iter()
        .filter(|span| span.kind == Kind::Server && servers.contains(&span.pid()))
        .collect();
    report.check((count..=count + 4).contains(&(server_spans.len() as u64)), || {
        format!("{call}: wrk counts {count} calls, there are {} server spans", server_spans.len())
    });
    let mut parents = HashSet::new();
    for span in server_spans {
        let parent = span.parent.as_deref().unwrap_or("");
        report.check(ids.contains(parent), || format!("{call}: no client span above {span:?}"));
        report.check(parents.insert(parent), || format!("{call}: two server spans under {parent}"));
    }
}
