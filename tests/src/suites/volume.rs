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

    // At full speed on a small machine the agent does not get to everything, and a file of JSON may
    // not take everything: then what is missing is what it says it left out.
    let left_out = stopped.summary("shed") + stopped.summary("gap");
    let lost = left_out + stopped.summary("queue_full");
    check::whole_but(report, &spans, lost);
    let by_call = Spans::new(&spans);
    check::calls(report, &by_call, &log, &servers)?;
    let (mut missing, mut alone) = (0, 0);
    for (call, count, pids) in &counts {
        let found = check_wrk(report, &spans, call, *count, pids);
        missing += found.missing;
        alone += found.alone;
    }
    report.check(missing <= lost && lost <= missing + UNCOUNTED * 2 * counts.len() as u64, || {
        format!("of the spans of wrk's calls {missing} are missing, {lost} are counted as lost")
    });
    report.check(alone <= left_out, || {
        format!("{alone} server spans have no parent, {left_out} calls are counted as left out")
    });
    report.note(format!("{lost} spans lost"));
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
            // Where the answer to a head that is cut ends is known when the next request begins.
            let id = setting.id(&["head", client.name(), server.name, "after"]);
            plan.call(&id, "POST", &server.base(false), &server.path("/echo"), 10, "");
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
const UNCOUNTED: u64 = 4;

/// What a run of wrk lacks.
struct Found {
    /// Spans.
    missing: u64,
    /// Server spans without a parent: the client's was left out before it was one.
    alone: u64,
}

/// Checks what there is of a run.
fn check_wrk(
    report: &mut Report,
    spans: &[Span],
    call: &str,
    count: u64,
    servers: &HashSet<u32>,
) -> Found {
    let of_run: Vec<&Span> = spans.iter().filter(|span| span.call() == Some(call)).collect();
    let clients = of_run.iter().filter(|span| span.kind == Kind::Client);
    let server_spans =
        of_run.iter().filter(|span| span.kind == Kind::Server && servers.contains(&span.pid()));
    let complete = clients.filter(|span| {
        span.int("http.response.status_code") == Some(200) && span.text("error.type").is_none()
    });
    let (mut parents, mut alone) = (HashSet::new(), 0);
    for span in server_spans.clone() {
        match span.parent.as_deref() {
            None => alone += 1,
            Some(parent) => report.check(parents.insert(parent), || {
                format!("{call}: not the only one of its parent: {}", check::brief(span))
            }),
        }
    }
    let mut missing = 0;
    for (what, number) in
        [("complete client", complete.count() as u64), ("server", server_spans.count() as u64)]
    {
        report.check(number <= count + UNCOUNTED, || {
            format!("{call}: wrk counts {count} calls, there are {number} {what} spans")
        });
        missing += count.saturating_sub(number);
    }
    Found { missing, alone }
}
