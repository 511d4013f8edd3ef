//! What people and scripts see: text and JSON as calls end, filters, selection, service names.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tracebee_tests::agent::{Agent, now};
use tracebee_tests::clients::Client;
use tracebee_tests::paths::{free_port, installed, workload};
use tracebee_tests::plan::{Plan, Truth};
use tracebee_tests::process::Process;
use tracebee_tests::report::Report;
use tracebee_tests::servers::{self, Server, Which};
use tracebee_tests::span::{Kind, Span};

use crate::Setting;

/// JSON is flushed within a second; beside it, what the ring and a busy machine may take.
const FLUSHED: Duration = Duration::from_millis(1500);

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let servers = [servers::start(Which::Go, dir)?, named(setting)?];
    json_in_time(report, setting, &servers[0])?;
    text(report, setting, &servers[0])?;
    filters(report, setting, &servers[0])?;
    selection(report, setting, &servers)?;
    services(report, setting, &servers[1])
}

/// A server that says itself what it is called.
fn named(setting: &Setting) -> Result<Server> {
    let port = free_port();
    let mut command = std::process::Command::new("node");
    command.arg(workload("servers/server.js")).arg(port.to_string());
    command.env("OTEL_SERVICE_NAME", "shop-by-env");
    command.env(
        "OTEL_RESOURCE_ATTRIBUTES",
        "service.namespace=market,deployment.environment.name=test",
    );
    let mut process = Process::spawn("named", setting.dir.path(), &mut command)?;
    process.wait_port(([127, 0, 0, 1], port).into())?;
    Ok(Server::single("named", port, process))
}

fn calls(setting: &Setting, label: &str, server: &Server, paths: &[&str]) -> Result<Vec<Truth>> {
    let mut plan = Plan::default();
    for (n, path) in paths.iter().enumerate() {
        plan.get(&setting.id(&[label, &n.to_string()]), &server.base(false), path);
    }
    Client::Go.run(&plan, setting.dir.path(), 1)
}

/// A call shows while the agent runs, soon after it ended.
fn json_in_time(report: &mut Report, setting: &Setting, server: &Server) -> Result<()> {
    let agent = Agent::json(&setting.binary, setting.dir.path())?;
    for n in 0..3 {
        let label = format!("flush{n}");
        let log = calls(setting, &label, server, &["/bytes/10"])?;
        let end = log.first().context("log")?.end;
        let deadline = Instant::now() + 4 * FLUSHED;
        while agent.stdout().matches(&log[0].call).count() < 2 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        let late = Duration::from_nanos(now() - end);
        report.check(late <= FLUSHED, || format!("{label}: not on stdout {late:?} after its end"));
    }
    agent.stop().map(drop)
}

fn text(report: &mut Report, setting: &Setting, server: &Server) -> Result<()> {
    let agent = Agent::start(&setting.binary, setting.dir.path(), &[])?;
    let log = calls(setting, "text", server, &["/bytes/1000", "/status/500"])?;
    let (before, stopped) = (agent.stdout(), agent.stop()?);
    let text = stopped.stdout()?;
    report.check(text.starts_with(&before), || "the output was rewritten".into());
    for truth in &log {
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(&truth.call)).collect();
        report.check(lines.len() == 2, || format!("{}: lines {lines:#?}", truth.call));
        for line in lines {
            let status = truth.status.to_string();
            let whole = line.contains("GET") && line.contains(&status);
            report.check(whole, || format!("{}: method or status is not in {line:?}", truth.call));
            report.check(!line.contains('\u{1b}'), || format!("colours in a file: {line:?}"));
        }
    }
    report.check(stopped.summary("calls") >= 4, || format!("summary: {}", stopped.stderr));
    Ok(())
}

fn filters(report: &mut Report, setting: &Setting, server: &Server) -> Result<()> {
    let cases: [(&[&str], &[usize]); 4] = [
        (&["--errors"], &[1]),
        (&["--slow", "100ms"], &[2]),
        (&["--path", "/bytes/*"], &[0]),
        (&["--service", "nobody-has-this-name"], &[]),
    ];
    for (n, (flags, shown)) in cases.iter().enumerate() {
        let flags = [&["--output", "text"], *flags].concat();
        let agent = Agent::start(&setting.binary, setting.dir.path(), &flags)?;
        let label = format!("filter{n}");
        let log = calls(setting, &label, server, &["/bytes/10", "/status/500", "/delay/150"])?;
        let text = agent.stop()?.stdout()?;
        for (m, truth) in log.iter().enumerate() {
            let expected = if shown.contains(&m) { 2 } else { 0 };
            let got = text.lines().filter(|line| line.contains(&truth.call)).count();
            report.equal(&format!("{flags:?}: lines of {}", truth.url), expected, got);
        }
    }
    Ok(())
}

fn selection(report: &mut Report, setting: &Setting, servers: &[Server; 2]) -> Result<()> {
    let [go, node] = servers;
    let (port, pid) = (go.port.to_string(), node.processes[0].pid().to_string());
    // Which spans (client and server of go, client and server of node) each selection leaves.
    let cases: [(&[&str], [bool; 4]); 5] = [
        (&["--port", &port], [true, true, false, false]),
        (&["--exclude-port", &port], [false, false, true, true]),
        (&["--pid", &pid], [false, false, false, true]),
        (&["--exe", "node"], [false, false, false, true]),
        (&["--exclude-exe", "node"], [true, true, true, false]),
    ];
    for (n, (flags, expected)) in cases.iter().enumerate() {
        let flags = [&["--output", "json"], *flags].concat();
        let agent = Agent::start(&setting.binary, setting.dir.path(), &flags)?;
        for (name, server) in [("go", go), ("node", node)] {
            calls(setting, &format!("select{n}{name}"), server, &["/bytes/10"])?;
        }
        let spans = agent.stop()?.spans()?;
        let seen = |name: &str, kind: Kind| {
            let call = setting.id(&[&format!("select{n}{name}"), "0"]);
            spans.iter().any(|span| span.call() == Some(&call) && span.kind == kind)
        };
        let got = [
            seen("go", Kind::Client),
            seen("go", Kind::Server),
            seen("node", Kind::Client),
            seen("node", Kind::Server),
        ];
        report.equal(&format!("{flags:?}"), *expected, got);
        let alone =
            spans.iter().all(|span| span.call().is_some_and(|c| c.starts_with(&setting.run)));
        report.check(alone || flags[2].starts_with("--exclude"), || {
            format!("{flags:?}: others' spans")
        });
    }
    Ok(())
}

/// Names by the process's own word, else by the best word of its command line.
fn services(report: &mut Report, setting: &Setting, named: &Server) -> Result<()> {
    let dir = setting.dir.path();
    let port = free_port();
    let mut command = std::process::Command::new(installed("venv/bin/python"));
    command.args(["-m", "http.server", &port.to_string()]).current_dir(workload("servers"));
    let mut module = Process::spawn("module", dir, &mut command)?;
    module.wait_port(([127, 0, 0, 1], port).into())?;
    let module = Server::single("module", port, module);
    let java = servers::start(Which::Java, dir)?;
    let agent = Agent::json(&setting.binary, dir)?;
    calls(setting, "env", named, &["/bytes/10"])?;
    calls(setting, "module", &module, &["/asgi.py"])?;
    calls(setting, "java", &java, &["/bytes/10"])?;
    let spans = agent.stop()?.spans()?;
    let server_span = |label: &str| -> Result<&Span> {
        let call = setting.id(&[label, "0"]);
        let mut spans = spans.iter().filter(|span| span.call() == Some(&call));
        spans.find(|span| span.kind == Kind::Server).with_context(|| format!("no span of {call}"))
    };
    let env = server_span("env")?;
    report.equal("service.name of OTEL_SERVICE_NAME", "shop-by-env", env.service());
    for (key, value) in [("service.namespace", "market"), ("deployment.environment.name", "test")] {
        report.equal(key, Some(value), env.resource_text(key));
    }
    report.equal(
        "service.name of python -m http.server",
        "http.server",
        server_span("module")?.service(),
    );
    let java = server_span("java")?.service();
    report.check(java != "java", || "service.name of java is the interpreter's".into());
    ensure!(
        spans.iter().all(|span| span.resource_text("telemetry.distro.name") == Some("tracebee"))
    );
    Ok(())
}
