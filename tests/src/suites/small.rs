//! A cut of the other suites that takes seconds: for other kernels, in emulated machines.

use anyhow::{Result, ensure};
use tracebee_tests::agent::{Agent, captured_by};
use tracebee_tests::check::{self, Spans};
use tracebee_tests::clients::Client;
use tracebee_tests::report::Report;
use tracebee_tests::servers::{self, Which};

use super::{doctor, matrix, sockets, workloads};
use crate::Setting;

/// One that blocks, one with an event loop, one with goroutines, and nginx.
const SERVERS: [Which; 3] = [Which::HttpServer, Which::Uvicorn, Which::Go];
const CLIENTS: [Client; 2] = [Client::Go, Client::Requests];
/// Of the ways of reading and writing every third: gathering, sendfile, in part, ...
const WAYS: usize = 3;

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let capture = doctor::capture(setting)?;
    if let Some(how) = &setting.expect_capture {
        report.equal("what --capture auto picks", how.as_str(), &capture);
    }
    let mut servers = Vec::new();
    for which in SERVERS {
        servers.push(servers::start(which, dir)?);
    }
    let upstream = servers[0].port;
    servers.push(servers::nginx(dir, upstream, &[0, 10, 1000, 100_000])?);

    let agent = Agent::json(&setting.binary, dir)?;
    let ready = agent.stderr();
    if captured_by().is_none() {
        report.check(ready.contains(&format!("capture={capture}\n")), || {
            format!("doctor says {capture}, the agent {ready}")
        });
    }
    let mut log = Vec::new();
    for client in CLIENTS {
        let plan = matrix::plan(setting, client, &servers);
        let calls = client.run(&plan, dir, 1)?;
        ensure!(calls.len() == plan.len(), "{}: calls are not in the log", client.name());
        log.extend(calls);
    }
    let spans = agent.stop()?.spans()?;
    workloads::consistent(report, &log)?;
    check::whole(report, &spans);
    check::calls(report, &Spans::new(&spans), &log, &servers)?;
    let how = captured_by().unwrap_or(&capture);
    report.note(format!("Linux {}, capture={how}, {} calls", kernel.trim(), log.len()));
    drop(servers);
    sockets::some(report, setting, WAYS)
}
