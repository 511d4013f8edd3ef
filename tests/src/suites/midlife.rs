//! The agent starts while connections are in use: on each, at most the calls under way at that
//! moment are lost, they are counted, and everything after them is seen.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tracebee_tests::agent::Agent;
use tracebee_tests::check::{self, Spans};
use tracebee_tests::clients::{Client, Running};
use tracebee_tests::plan::{Plan, Truth};
use tracebee_tests::report::Report;
use tracebee_tests::servers::{self, Server, Which};

use crate::Setting;

/// Connections of each client.
const CONNECTIONS: usize = 4;
/// More calls than any client makes before it is stopped.
const ENDLESS: usize = 20_000;
/// Calls that each client has made before the agent starts, and makes after it is ready.
const BEFORE: usize = 20;
const AFTER: usize = 60;
/// For all clients to get so far.
const LIMIT: Duration = Duration::from_secs(30);

/// Longer than the agent takes to begin: two seconds and more where it loads the programs for all
/// system calls.
const DELAY: &str = "/delay/5000";

/// Calls by turns: quick ones, and ones that are likely to be under way when the agent joins, with
/// the body of either direction, a stream of chunks or nothing at all on the wire.
const CALLS: &[(&str, &str, usize)] = &[
    ("GET", "/bytes/100", 0),
    ("GET", DELAY, 0),
    ("POST", "/echo", 5000),
    ("GET", "/chunked/20000", 0),
    ("GET", "/bytes/3000000", 0),
    ("GET", "/sse/10/30", 0),
    ("POST", "/echo", 1_000_000),
    ("HEAD", "/bytes/1000", 0),
    ("GET", "/status/404", 0),
];

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let which = [
        Which::HttpServer,
        Which::Uvicorn,
        Which::GunicornThreads,
        Which::Node,
        Which::Go,
        Which::Java,
    ];
    let mut servers: Vec<Server> =
        which.iter().map(|which| servers::start(*which, dir)).collect::<Result<_>>()?;
    let upstream = servers[4].port;
    servers.push(servers::nginx(dir, upstream, &[100, 1000, 3_000_000])?);

    // Each client keeps its connections to one server, so that none is idle for long.
    let clients = [
        Client::Requests,
        Client::Httpx,
        Client::Aiohttp,
        Client::NodeHttp,
        Client::NodeFetch,
        Client::Go,
        Client::Java,
    ];
    let mut running = Vec::new();
    for (client, server) in clients.iter().zip(&servers) {
        running.push(client.spawn(&plan(setting, *client, server), dir, CONNECTIONS)?);
    }
    wait_for(&mut running, &[BEFORE; 7])?;
    let agent = Agent::json(&setting.binary, dir)?;
    let (started, ready) = (agent.started, agent.ready);
    let so_far: Vec<usize> = running.iter().map(Running::calls).collect();
    wait_for(&mut running, &so_far.iter().map(|calls| calls + AFTER).collect::<Vec<_>>())?;
    let mut log = Vec::new();
    for client in running {
        log.extend(client.stop()?);
    }
    let stopped = agent.stop()?;
    let spans = stopped.spans()?;

    check::whole(report, &spans);
    let by_call = Spans::new(&spans);
    let (before, rest): (Vec<Truth>, Vec<Truth>) =
        log.into_iter().partition(|truth| truth.end < started);
    let (during, after): (Vec<Truth>, Vec<Truth>) =
        rest.into_iter().partition(|truth| truth.start < ready);
    for truth in &before {
        report.equal(
            &format!("{}: spans of a call before", truth.call),
            0,
            by_call.of(&truth.call).len(),
        );
    }
    check::calls(report, &by_call, &after, &servers)?;

    let under_way: Vec<&Truth> =
        during.iter().filter(|truth| truth.start < started && truth.end > ready).collect();
    let ends = |calls: &[&Truth]| -> Result<usize> {
        calls.iter().map(|truth| Ok(check::hops(truth, &servers)?.len() * 2)).sum()
    };
    let missing = under_way
        .iter()
        .map(|truth| Ok(check::hops(truth, &servers)?.len() * 2 - by_call.of(&truth.call).len()));
    let missing: usize = missing.sum::<Result<usize>>()?;
    let most = ends(&during.iter().collect::<Vec<_>>())?;
    let counted = stopped.summary("joined_midway") as usize;
    report
        .check(!under_way.is_empty(), || "no call was under way: the suite proves nothing".into());
    report.check((missing..=most).contains(&counted), || {
        format!("{missing} spans of calls under way are missing ({most} at most could), joined_midway is {counted}")
    });
    report.note(format!(
        "{} calls before, {} under way ({missing} of their spans missing, {counted} counted), {} after",
        before.len(), under_way.len(), after.len()
    ));
    Ok(())
}

fn plan(setting: &Setting, client: Client, server: &Server) -> Plan {
    let mut plan = Plan::default();
    for n in 0..ENDLESS {
        let (method, path, body) = CALLS[(n * 7 / 3) % CALLS.len()];
        let id = setting.id(&[client.name(), server.name, &n.to_string()]);
        plan.call(&id, method, &server.base(n % 2 == 1), &server.path(path), body, "pause=2");
    }
    plan
}

fn wait_for(running: &mut [Running], calls: &[usize]) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    for (client, calls) in running.iter_mut().zip(calls) {
        while client.calls() < *calls {
            ensure!(client.running(), "client ended: {}", client.stderr());
            ensure!(Instant::now() < deadline, "{} calls of {calls} in {LIMIT:?}", client.calls());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}
