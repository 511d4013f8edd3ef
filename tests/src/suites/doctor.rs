//! `tracebee doctor`: what it says works does, what it says of processes is what their spans say,
//! and each lack that can be made here is named with its remedy. Nothing that runs is disturbed.

mod lacks;

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tracebee_tests::agent::{Agent, captured_by};
use tracebee_tests::clients::Client;
use tracebee_tests::paths::{free_port, installed, workload};
use tracebee_tests::plan::Plan;
use tracebee_tests::process::Process;
use tracebee_tests::report::Report;
use tracebee_tests::servers::{self, Server, Which};
use tracebee_tests::sink::{Keep, Sink};
use tracebee_tests::span::Span;

use super::cleanup;
use crate::Setting;

/// It takes about a second; a busy machine may take its time.
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    healthy(report, setting)?;
    outputs(report, setting)?;
    processes(report, setting)?;
    receivers(report, setting)?;
    beside_an_agent(report, setting)?;
    lacks::run(report, setting)
}

/// What one run of it said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Said {
    fn by(setting: &Setting, command: &mut Command) -> Result<Self> {
        let dir = setting.dir.path();
        let mut process = Process::spawn("doctor", dir, command.stdin(Stdio::null()))?;
        let status = process.wait(LIMIT)?;
        Ok(Self { code: status.code(), stdout: process.stdout(), stderr: process.stderr() })
    }

    fn with(setting: &Setting, flags: &[&str]) -> Result<Self> {
        Self::by(setting, Command::new(&setting.binary).arg("doctor").args(flags))
    }

    fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("not JSON: {self:?}"))
    }

    /// The line of the text about a topic.
    fn line(&self, topic: &str) -> &str {
        let mut lines = self.stdout.lines();
        let is = |line: &&str| line.get(11..).is_some_and(|rest| rest.starts_with(topic));
        lines.find(is).unwrap_or_default()
    }
}

/// What would be used here, as it says.
pub(super) fn capture(setting: &Setting) -> Result<String> {
    let said = Said::with(setting, &["--output", "json"])?.json()?;
    let capture = said["capture"].as_str();
    capture.map(str::to_owned).with_context(|| format!("nothing works: {}", said["findings"]))
}

/// The host of the suites is one where tracing works: the other suites prove it.
fn healthy(report: &mut Report, setting: &Setting) -> Result<()> {
    let before = cleanup::State::now()?;
    let said = Said::with(setting, &["--output", "json"])?;
    report.equal("exit code", Some(0), said.code);
    let found = said.json()?;
    report.equal("works", Some(true), found["works"].as_bool());
    for finding in found["findings"].as_array().context("findings")? {
        let verdict = finding["verdict"].as_str();
        report.check(matches!(verdict, Some("ok" | "note")), || format!("healthy: {finding}"));
        let whole = ["area", "topic", "what"].iter().all(|key| finding[key].is_string());
        report.check(whole, || format!("not whole: {finding}"));
    }
    cleanup::settled(report, "after the doctor", &before)?;
    // What it says would be used is what is used.
    let agent = Agent::json(&setting.binary, setting.dir.path())?;
    let ready = agent.stderr();
    agent.stop()?;
    let said = Said::with(setting, &["--output", "json", "--capture", "auto"])?.json()?;
    let capture = said["capture"].as_str().context("capture")?;
    let same = ready.contains(&format!("capture={capture}\n"));
    // Told how to capture, the agent does not choose.
    report.check(same || captured_by().is_some_and(|how| how != "auto"), || {
        format!("doctor says {capture}, the agent {ready}")
    });
    for how in ["socket", "lengths", "syscall"] {
        let said = Said::with(setting, &["--output", "json", "--capture", how])?;
        if said.code == Some(0) {
            let said = said.json()?;
            report.equal("--capture", Some(how), said["capture"].as_str());
        } else {
            // On this host one of them may be missing, but not the one that auto took.
            report.check(how != capture, || format!("{how} does not work: {}", said.stdout));
        }
    }
    Ok(())
}

fn outputs(report: &mut Report, setting: &Setting) -> Result<()> {
    let text = Said::with(setting, &[])?;
    report.check(!text.stdout.contains('\u{1b}'), || format!("colours in a file: {text:?}"));
    let last = text.stdout.lines().last().unwrap_or_default();
    report.check(last.starts_with("tracing works, capture="), || format!("last line {last:?}"));
    report.equal("stderr", "", text.stderr.as_str());
    let none = Said::with(setting, &["--output", "none"])?;
    report.equal("--output none", (Some(0), ""), (none.code, none.stdout.as_str()));
    for wrong in [&["--output", "yaml"], &["--otlp-endpoint", "ftp://host/"]] {
        let said = Said::with(setting, wrong)?;
        report.equal(&format!("{wrong:?}"), Some(2), said.code);
    }
    Ok(())
}

/// Each server is named as its spans are, with its ports, its runtime and its connections.
fn processes(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let stripped = dir.join("stripped-go");
    let status =
        Command::new("strip").arg("-o").arg(&stripped).arg(installed("go/server")).status()?;
    report.check(status.success(), || "strip failed".into());
    let servers = [
        (servers::start(Which::Go, dir)?, "go", Some(false)),
        (start("stripped", dir, Command::new(&stripped))?, "go", Some(true)),
        (servers::start(Which::Java, dir)?, "java", None),
        (servers::start(Which::HttpServer, dir)?, "cpython", None),
        (named(setting)?, "nodejs", None),
        (servers::nginx(dir, free_port(), &[10])?, "nginx", None),
    ];
    // Open for as long as the doctor looks.
    let held: Vec<_> = (0..3)
        .map(|_| std::net::TcpStream::connect(("127.0.0.1", servers[0].0.port)))
        .collect::<Result<_, _>>()?;
    let found = Said::with(setting, &["--output", "json"])?.json()?;
    let listed = found["processes"].as_array().context("processes")?;
    let by_pid = |pid: u32| listed.iter().find(|process| process["pid"] == pid);

    let agent = Agent::json(&setting.binary, dir)?;
    let mut plan = Plan::default();
    for (n, (server, ..)) in servers.iter().enumerate() {
        plan.get(&setting.id(&["doctor", &n.to_string()]), &server.base(false), "/bytes/10");
    }
    Client::Go.run(&plan, dir, 1)?;
    let spans = agent.stop()?.spans()?;
    for (n, (server, runtime, is_stripped)) in servers.iter().enumerate() {
        let call = setting.id(&["doctor", &n.to_string()]);
        let is_server = |span: &&Span| {
            span.call() == Some(&call) && span.kind == tracebee_tests::span::Kind::Server
        };
        let span = spans.iter().find(is_server).with_context(|| format!("no span of {call}"))?;
        let Some(process) = by_pid(span.pid()) else {
            report.fail(format!("{}: process {} is not there", server.name, span.pid()));
            continue;
        };
        let what = |key: &str| format!("{}: {key}", server.name);
        report.equal(&what("service"), Some(span.service()), process["service"].as_str());
        report.equal(&what("runtime"), Some(*runtime), process["runtime"]["name"].as_str());
        report.equal(&what("stripped"), *is_stripped, process["runtime"]["stripped"].as_bool());
        let listens = process["listens"].as_array().map(Vec::as_slice).unwrap_or_default();
        let suffix = format!(":{}", server.port);
        let port = listens.iter().any(|at| at.as_str().is_some_and(|at| at.ends_with(&suffix)));
        report.check(port, || format!("{}: {process}", what("port")));
    }
    let go = by_pid(servers[0].0.processes[0].pid()).context("the Go server")?;
    report.equal("connections accepted", Some(3), go["accepted"].as_u64());
    let own = by_pid(std::process::id()).context("the suite itself")?;
    let address = format!("127.0.0.1:{}", servers[0].0.port);
    let peers = own["connects"].as_array().context("connects")?;
    let peer = peers.iter().find(|peer| peer["address"] == address.as_str());
    let peer = peer.with_context(|| format!("no {address} in {own}"))?;
    report.equal("connections made", Some(3), peer["connections"].as_u64());
    report.equal("to whom", go["service"].as_str(), peer["service"].as_str());
    drop(held);

    let port = servers[0].0.port.to_string();
    let only = Said::with(setting, &["--output", "json", "--port", &port])?.json()?;
    let listed = only["processes"].as_array().context("processes")?;
    let listening = listed
        .iter()
        .filter(|process| process["listens"].as_array().is_some_and(|listens| !listens.is_empty()));
    report.equal("--port: those who listen", 1, listening.count());
    Ok(())
}

fn start(name: &'static str, dir: &std::path::Path, mut command: Command) -> Result<Server> {
    let port = free_port();
    let mut process = Process::spawn(name, dir, command.arg(port.to_string()))?;
    process.wait_port(([127, 0, 0, 1], port).into())?;
    Ok(Server::single(name, port, process))
}

fn named(setting: &Setting) -> Result<Server> {
    let mut command = Command::new("node");
    command.arg(workload("servers/server.js")).env("OTEL_SERVICE_NAME", "doctors-shop");
    start("named", setting.dir.path(), command)
}

/// A receiver that answers, by both protocols; the wrong protocol; one that is not there.
fn receivers(report: &mut Report, setting: &Setting) -> Result<()> {
    let sink = Sink::start(Keep::Spans)?;
    let http = sink.http();
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let cases: [(&[&str], i32, &str); 4] = [
        (&["--otlp-endpoint", &sink.grpc()], 0, "ok"),
        (&["--otlp-endpoint", &http, "--otlp-protocol", "http/protobuf"], 0, "ok"),
        (&["--otlp-endpoint", &http, "--otlp-protocol", "grpc"], 1, "problem"),
        (&["--otlp-endpoint", &nobody], 1, "problem"),
    ];
    for (flags, code, verdict) in cases {
        let said = Said::with(setting, flags)?;
        report.equal(&format!("{flags:?}"), Some(code), said.code);
        let line = said.line("OTLP receiver");
        report.check(line.trim_start().starts_with(verdict), || format!("{flags:?}: {line:?}"));
        report.check(line.contains(flags[1]), || format!("{flags:?} is not in {line:?}"));
        let remedy = line.contains("to do: ");
        report.equal(&format!("{flags:?}: remedy"), code == 1, remedy);
    }
    report.equal("spans that were sent", 0, sink.received().spans());
    Ok(())
}

/// An agent that runs loses nothing while doctors come and go.
fn beside_an_agent(report: &mut Report, setting: &Setting) -> Result<()> {
    const CALLS: usize = 3000;
    let dir = setting.dir.path();
    let server = servers::start(Which::Go, dir)?;
    let agent = Agent::json(&setting.binary, dir)?;
    let mut plan = Plan::default();
    for n in 0..CALLS {
        // A little work each, so that the doctors come in between.
        let path = if n % 10 == 0 { "/delay/5" } else { "/bytes/10" };
        plan.get(&setting.id(&["beside", &n.to_string()]), &server.base(false), path);
    }
    let mut client = Client::Go.spawn(&plan, dir, 4)?;
    let mut doctors = 0;
    while doctors < 3 || client.running() {
        let said = Said::with(setting, &[])?;
        report.equal("beside an agent", Some(0), said.code);
        let line = said.line("other agents").to_owned();
        report.check(line.contains(&agent.pid().to_string()), || format!("no note: {said:?}"));
        doctors += 1;
    }
    let log = client.finish()?;
    let stopped = agent.stop()?;
    report.equal("calls", CALLS, log.len());
    let prefix = setting.id(&["beside"]);
    let spans = stopped.spans()?;
    let ours = spans.iter().filter(|span| span.call().is_some_and(|c| c.starts_with(&prefix)));
    report.equal("spans beside doctors", 2 * CALLS, ours.count());
    report.check(stopped.stderr.contains("nothing lost"), || stopped.stderr.clone());
    report.note(format!("{doctors} doctors beside {CALLS} calls"));
    Ok(())
}
