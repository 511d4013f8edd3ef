//! Captures of real programs, decoded by Wireshark and by `tracebee replay`: the same calls with the
//! same times.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tracebee_tests::process::Process;
use tracebee_tests::report::Report;
use tracebee_tests::span::{self, Span};
use tracebee_tests::wireshark::{self, Exchange};

use super::matrix;
use crate::Setting;

/// What is still in the kernel when the programs have ended comes within this time.
const SETTLE: Duration = Duration::from_secs(1);
const START_LIMIT: Duration = Duration::from_secs(20);

/// Every client and every server, captured on the loopback device.
pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let file = dir.join("real.pcapng");
    let servers = matrix::start_servers(setting)?;
    let mut dumpcap = Command::new("dumpcap");
    dumpcap.args(["-q", "-i", "lo", "-f", "tcp", "-B", "64", "-w"]).arg(&file);
    let mut capture = Process::spawn("dumpcap", dir, &mut dumpcap)?;
    capture.wait_until("capture", START_LIMIT, |dumpcap| dumpcap.stderr().contains("File:"))?;
    let log = matrix::run_clients(setting, &servers)?;
    std::thread::sleep(SETTLE);
    capture.signal(libc::SIGINT);
    capture.succeed(START_LIMIT)?;
    let dropped = capture.stderr();
    ensure!(dropped.contains(" 0/0/") || dropped.contains("/0 ("), "packets missing: {dropped}");

    let ports: Vec<u16> = servers.iter().map(|server| server.port).collect();
    let spans = replay(setting, &file, &ports)?;
    let exchanges = wireshark::exchanges(&file, &ports)?;
    let ours: BTreeSet<String> = spans.iter().map(line_of_span).collect::<Result<_>>()?;
    let theirs: BTreeSet<String> = exchanges.iter().map(line_of_exchange).collect();
    report.check(ours.len() >= log.len(), || format!("{} of {} calls", ours.len(), log.len()));
    for line in ours.symmetric_difference(&theirs) {
        let whose = if ours.contains(line) { "only tracebee" } else { "only wireshark" };
        report.fail(format!("{whose}: {line}"));
    }
    report.note(format!("{} calls of {} clients", ours.len(), log.len()));
    Ok(())
}

fn line_of_span(span: &Span) -> Result<String> {
    let text = |key| span.text(key).unwrap_or_default();
    let query = span.text("url.query").map(|query| format!("?{query}")).unwrap_or_default();
    Ok(format!(
        "{} {} [{}]:{} > {} {} {}{} {}",
        span.start,
        span.end,
        text("network.peer.address"),
        span.int("network.peer.port").context("a peer's port")?,
        span.service().rsplit(':').next().unwrap_or_default(),
        text("http.request.method"),
        text("url.path"),
        query,
        span.int("http.response.status_code").unwrap_or_default(),
    ))
}

fn line_of_exchange(exchange: &Exchange) -> String {
    let Exchange { start, end, client, server_port, method, uri, status } = exchange;
    format!("{start} {end} [{}]:{} > {server_port} {method} {uri} {status}", client.0, client.1)
}

/// What `tracebee replay` says of a capture of servers at `ports`.
pub(super) fn replay(setting: &Setting, file: &Path, ports: &[u16]) -> Result<Vec<Span>> {
    let mut command = Command::new(&setting.binary);
    command.args(["replay", "--output", "json"]);
    for port in ports {
        command.args(["--port", &port.to_string()]);
    }
    let output = command.arg(file).output().context("start the replay")?;
    if !output.status.success() {
        bail!("replay: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout)?;
    let spans: Vec<Vec<Span>> = text.lines().map(span::from_json).collect::<Result<_>>()?;
    Ok(spans.concat())
}
