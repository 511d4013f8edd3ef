//! A run that is recorded, replayed when its programs are gone: the same spans, one to one.

use std::collections::{BTreeSet, HashMap};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tracebee_tests::agent::{Agent, Stopped};
use tracebee_tests::check::{self, Spans};
use tracebee_tests::clients::{self, Client};
use tracebee_tests::paths::{free_port, workload};
use tracebee_tests::plan::{Plan, Truth};
use tracebee_tests::process::Process;
use tracebee_tests::report::Report;
use tracebee_tests::servers::{self, Server, Which};
use tracebee_tests::span::{self, Span};

use crate::Setting;

/// In the environment of a traced program; must not get into a recording.
const SECRET: &str = "correct-horse-battery-staple";
/// What the clients ask every server for.
const CALLS: &[(&str, &str, usize)] = &[
    ("GET", "/bytes/100", 0),
    ("POST", "/echo", 5000),
    ("GET", "/chunked/20000", 0),
    ("GET", "/status/500", 0),
    ("GET", "/bytes/100000", 0),
    ("HEAD", "/bytes/1000", 0),
];

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let file = dir.join("run.rec");
    let (spans, live) = record(report, setting, &file)?;

    // Everything but the agent's summary, and everybody who could tell who they were, is gone.
    let replayed = replay(setting, &file)?;
    let (stdout, stderr) = texts(&replayed);
    report.equal("replay: exit code", Some(0), replayed.status.code());
    report.equal(
        "replay: summary",
        &live.stderr[live.stderr.find('\n').map_or(0, |n| n + 1)..],
        stderr,
    );
    let again = parse(stdout)?;
    let [then, now] = [canonical(&spans), canonical(&again)];
    report.equal("spans of live and replay", then.len(), now.len());
    for (one, other) in then.iter().zip(&now) {
        report.equal("live and replay", one, other);
    }
    report.note(format!("{} spans live and replayed", spans.len()));

    damaged(report, setting, &file, &then)?;
    limited(report, setting)
}

/// Records what programs do; the spans of it.
fn record(report: &mut Report, setting: &Setting, file: &Path) -> Result<(Vec<Span>, Stopped)> {
    let dir = setting.dir.path();
    let mut servers = vec![
        named(setting)?,
        servers::start(Which::Go, dir)?,
        servers::start(Which::GunicornThreads, dir)?,
    ];
    servers.push(servers::nginx(dir, servers[1].port, &[100, 1000, 100_000])?);
    // A connection that the agent does not see being made, and a call on it.
    let mut early = Client::Requests.spawn(&early(setting, &servers[1]), dir, 1)?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while early.calls() < 3 && Instant::now() < deadline {
        ensure!(early.running(), "client ended: {}", early.stderr());
        std::thread::sleep(Duration::from_millis(10));
    }
    let path = file.to_str().context("path")?;
    let agent = Agent::start(&setting.binary, dir, &["--output", "json", "--record", path])?;
    let mode = std::fs::metadata(file)?.permissions().mode() & 0o777;
    report.equal("mode of the recording", 0o600, mode);
    let log = work(setting, &servers)?;
    early.stop()?;
    // Past a tick or two: the clock is anchored again, what rests is ended.
    std::thread::sleep(Duration::from_millis(2500));
    // Under way when the agent stops.
    let mut late = Plan::default();
    late.get(&setting.id(&["late"]), &servers[1].base(false), "/delay/3000");
    let late = Client::Go.spawn(&late, dir, 1)?;
    std::thread::sleep(Duration::from_millis(500));
    let stopped = agent.stop()?;
    late.stop().map(drop).unwrap_or_default();

    let spans = stopped.spans()?;
    let by_call = Spans::new(&spans);
    check::calls(report, &by_call, &log, &servers)?;
    let bytes = std::fs::read(file)?;
    let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    report.check(!has(SECRET), || "the environment of a process is in the recording".into());
    report.check(has("shop-by-env"), || "the name of a process is not in the recording".into());
    Ok((spans, stopped))
}

/// A server that says itself what it is called, and has a secret.
fn named(setting: &Setting) -> Result<Server> {
    let port = free_port();
    let mut command = Command::new("node");
    command.arg(workload("servers/server.js")).arg(port.to_string());
    command.env("OTEL_SERVICE_NAME", "shop-by-env").env("TOKEN", SECRET);
    let mut process = Process::spawn("named", setting.dir.path(), &mut command)?;
    process.wait_port(([127, 0, 0, 1], port).into())?;
    Ok(Server::single("named", port, process))
}

fn early(setting: &Setting, server: &Server) -> Plan {
    let mut plan = Plan::default();
    for n in 0..5000 {
        let id = setting.id(&["early", &n.to_string()]);
        plan.call(&id, "GET", &server.base(false), "/bytes/10", 0, "pause=20");
    }
    plan
}

/// Clients that stay and clients that are gone with their call; ends that close and that vanish.
fn work(setting: &Setting, servers: &[Server]) -> Result<Vec<Truth>> {
    let dir = setting.dir.path();
    let mut log = Vec::new();
    for (client, count) in [(Client::Go, 60), (Client::NodeHttp, 30), (Client::Curl, 8)] {
        let mut plan = Plan::default();
        for server in servers {
            for n in 0..count / servers.len() {
                let (method, path, body) = CALLS[n % CALLS.len()];
                let id = setting.id(&[client.name(), server.name, &n.to_string()]);
                plan.call(&id, method, &server.base(n % 2 == 1), &server.path(path), body, "");
            }
        }
        log.extend(client.run(&plan, dir, 4)?);
    }
    let mut plan = Plan::default();
    for n in 0..20 {
        plan.get(
            &setting.id(&["pipeline", &n.to_string()]),
            &servers[1].base(false),
            "/bytes/1000",
        );
    }
    log.extend(clients::by_hand(&plan, dir, "recv/one-send", "pipeline")?);
    Ok(log)
}

fn replay(setting: &Setting, file: &Path) -> Result<Output> {
    let mut command = Command::new(&setting.binary);
    command.args(["replay", "--output", "json"]).arg(file);
    command.output().context("start the replay")
}

fn texts(output: &Output) -> (&str, &str) {
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or("not UTF-8");
    (text(&output.stdout), text(&output.stderr))
}

fn parse(stdout: &str) -> Result<Vec<Span>> {
    let spans: Vec<Vec<Span>> = stdout.lines().map(span::from_json).collect::<Result<_>>()?;
    Ok(spans.concat())
}

/// Spans without their ids: all else, and the same of their parent and of their trace's first.
fn canonical(spans: &[Span]) -> Vec<String> {
    let key = |span: &Span| {
        let Span { kind, name, start, end, error, attributes, resource, .. } = span;
        format!("{start} {end} {kind:?} {name} {error} {attributes:?} {resource:?}")
    };
    let keys: HashMap<&str, String> = spans.iter().map(|span| (&*span.id, key(span))).collect();
    let mut first: HashMap<&str, &str> = HashMap::new();
    for span in spans {
        let own = keys[&*span.id].as_str();
        first.entry(&span.trace).and_modify(|key| *key = own.min(key)).or_insert(own);
    }
    let mut all: Vec<String> = spans
        .iter()
        .map(|span| {
            let parent = span.parent.as_deref().map(|id| keys.get(id).map_or(id, String::as_str));
            format!("{}\n  under {parent:?}\n  in {}", keys[&*span.id], first[&*span.trace])
        })
        .collect();
    all.sort();
    all
}

/// What is before a cut is read, and nothing is made up.
fn damaged(report: &mut Report, setting: &Setting, file: &Path, then: &[String]) -> Result<()> {
    let bytes = std::fs::read(file)?;
    let cut = setting.dir.path().join("cut.rec");
    std::fs::write(&cut, &bytes[..bytes.len() * 2 / 3])?;
    let output = replay(setting, &cut)?;
    let (stdout, stderr) = texts(&output);
    report.equal("cut: exit code", Some(0), output.status.code());
    report.equal("cut: warnings", 1, stderr.matches("warning").count());
    let all: BTreeSet<&str> = then.iter().filter_map(|span| span.lines().next()).collect();
    let some = canonical(&parse(stdout)?);
    report.check(!some.is_empty() && some.len() < then.len(), || format!("cut: {stderr}"));
    for span in &some {
        let own = span.lines().next().unwrap_or_default();
        report.check(all.contains(own), || format!("cut: a span that was none: {own}"));
    }
    Ok(())
}

/// At its limit the recording ends, and nothing else.
fn limited(report: &mut Report, setting: &Setting) -> Result<()> {
    const MAX: u64 = 100_000;
    let dir = setting.dir.path();
    let file = dir.join("short.rec");
    let server = servers::start(Which::Go, dir)?;
    let (path, port) = (file.to_str().context("path")?, server.port.to_string());
    let flags = ["--output", "json", "--port", &port, "--record", path, "--record-max", "100000"];
    let agent = Agent::start(&setting.binary, dir, &flags)?;
    let mut plan = Plan::default();
    for n in 0..300 {
        plan.get(&setting.id(&["limited", &n.to_string()]), &server.base(false), "/bytes/100");
    }
    Client::Go.run(&plan, dir, 2)?;
    let stopped = agent.stop()?;
    report.equal("limit: spans", 600, stopped.spans()?.len());
    report.equal("limit: warnings", 1, stopped.stderr.matches("--record-max").count());
    report.check(stopped.summary("unrecorded") > 100, || format!("limit: {}", stopped.stderr));
    let size = std::fs::metadata(&file)?.len();
    report.check(size <= MAX && size > MAX / 2, || format!("limit: {size} bytes"));
    let output = replay(setting, &file)?;
    let (stdout, stderr) = texts(&output);
    let count = parse(stdout)?.len();
    report.check(count > 50 && count < 600, || format!("limit: {count} spans"));
    report.check(output.status.success() && !stderr.contains("warning"), || stderr.into());
    Ok(())
}
