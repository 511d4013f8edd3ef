//! Nothing is invented: TLS, other protocols and noise give no span.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tracebee_tests::agent::Agent;
use tracebee_tests::check::{self, Spans};
use tracebee_tests::process::Process;
use tracebee_tests::report::Report;
use tracebee_tests::servers::python;
use tracebee_tests::span::Span;

use crate::Setting;

/// What the workload asks of Redis in the end.
const REDIS: [&str; 5] = ["PING", "GET", "PING", "GET", "SET"];

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let (certificate, key) = (dir.join("certificate.pem"), dir.join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=test", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()?;
    ensure!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));

    let agent = Agent::json(&setting.binary, dir)?;
    let control = setting.id(&["control"]);
    let mut command = python("raw/foreign.py", &[]);
    command.arg(&certificate).arg(&key).env("CALL", &control);
    let mut process = Process::spawn("foreign", dir, &mut command)?;
    process.succeed(Duration::from_secs(60))?;
    let pid = process.pid();
    let conversations: u64 = process.stdout().trim().parse().context("its count")?;
    let spans = agent.stop()?.spans()?;

    check::whole(report, &spans);
    let of_process: Vec<&Span> = spans.iter().filter(|span| span.pid() == pid).collect();
    let redis = |span: &&&Span| span.text("db.system.name") == Some("redis");
    let (of_redis, others): (Vec<&Span>, Vec<&Span>) = of_process.iter().partition(redis);
    let commands: Vec<&str> = of_redis.iter().map(|span| &*span.name).collect();
    report.equal("commands of Redis", &REDIS[..], &commands[..]);
    for span in &others {
        report.check(span.call() == Some(&control), || format!("invented: {}", check::brief(span)));
    }
    let seen = Spans::new(&spans).of(&control).len();
    report.equal("spans of the one real call of that process", 2, seen);
    report.note(format!("{conversations} conversations, {} spans of them", others.len() - seen));
    Ok(())
}
