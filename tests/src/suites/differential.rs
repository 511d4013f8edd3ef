//! Captures of real programs, decoded by Wireshark and by `tracebee replay`: the same calls with the
//! same times.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use tracebee_tests::report::Report;
use tracebee_tests::span::{self, Span};
use tracebee_tests::wireshark::capture::Capture;
use tracebee_tests::wireshark::{self, Exchange};

use super::matrix;
use crate::Setting;

/// Every client and every server, captured on the loopback device.
pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let servers = matrix::start_servers(setting)?;
    let capture = Capture::start(setting.dir.path(), "real", "tcp")?;
    let log = matrix::run_clients(setting, &servers)?;
    let file = capture.stop()?;

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
