//! The receiver goes away under load and comes back: no caller notices, memory stays bounded, and
//! every span that does not arrive is counted.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tracebee_tests::agent::Agent;
use tracebee_tests::clients::Client;
use tracebee_tests::plan::{Plan, Truth};
use tracebee_tests::report::Report;
use tracebee_tests::servers;
use tracebee_tests::sink::{Keep, Sink};

use crate::Setting;

/// Most memory of the agent at any time, in KiB (Pss): ring, tables, and a full export queue.
const MEMORY: u64 = 96 * 1024;
/// Connections of the load.
const CONNECTIONS: usize = 4;
/// More calls than are made in a second.
const ENDLESS: u64 = 50_000;
/// Throughput while the receiver is away, of that before.
const THROUGHPUT: f64 = 0.9;

/// An outage: its length, and the queue of the agent in spans (`None`: its default).
struct Case {
    name: &'static str,
    around: Duration,
    away: Duration,
    queue: Option<&'static str>,
}

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let seconds = Duration::from_secs;
    let (around, away) =
        if setting.full { (seconds(10), seconds(60)) } else { (seconds(4), seconds(10)) };
    let short = if setting.full { seconds(20) } else { seconds(4) };
    outage(report, setting, &Case { name: "default queue", around, away, queue: None })?;
    // With the small queue of the OpenTelemetry SDKs the loss is certain: it must be counted.
    outage(
        report,
        setting,
        &Case { name: "small queue", around: short, away: short, queue: Some("2048") },
    )
}

fn outage(report: &mut Report, setting: &Setting, case: &Case) -> Result<()> {
    let dir = setting.dir.path();
    let backend = servers::start(servers::Which::Go, dir)?;
    let nginx = servers::nginx(dir, backend.port, &[10])?;
    let mut sink = Sink::start(Keep::Ids)?;
    let (endpoint, port) = (sink.grpc(), nginx.port.to_string());
    // Totals are compared here, so that others' traffic must stay outside.
    let arguments = ["--otlp-endpoint", &endpoint, "--port", &port];
    let variables: Vec<_> =
        case.queue.map(|size| ("OTEL_BSP_MAX_QUEUE_SIZE", size)).into_iter().collect();
    let agent = Agent::start_with(&setting.binary, dir, &arguments, &variables)?;

    let mut plan = Plan::default();
    for n in 0..ENDLESS * (2 * case.around + case.away).as_secs() {
        plan.get(&format!("{}.{n}", setting.run), &nginx.base(false), "/hello");
    }
    let mut load = Client::Go.spawn(&plan, dir, CONNECTIONS)?;
    drop(plan);
    let mut most = 0;
    let mut watch = |time: Duration| -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            most = most.max(agent.pss_kib()?);
            ensure!(load.running(), "the load ended: {}", load.stderr());
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    };
    watch(case.around)?;
    let cut = tracebee_tests::agent::now();
    sink.cut();
    watch(case.away)?;
    let back = tracebee_tests::agent::now();
    sink.resume()?;
    watch(case.around)?;
    let log = load.stop()?;
    let stopped = agent.stop()?;

    let name = case.name;
    let failed = log.iter().filter(|truth| truth.status != 200).count();
    report.equal(&format!("{name}: calls that failed"), 0, failed);
    let received = sink.received().different();
    let reasons =
        ["queue_full", "export_failed", "export_rejected", "ring_full", "gap", "unreadable"];
    let lost: u64 = reasons.iter().map(|reason| stopped.summary(reason)).sum();
    let expected = 2 * log.len() as u64;
    report.check(received + lost == expected, || {
        format!("{name}: {received} spans received + {lost} counted as lost, but {} calls made {expected}:\n{}", log.len(), stopped.stderr)
    });
    if case.queue.is_some() {
        report.check(lost > 0, || format!("{name}: nothing lost: the suite proves nothing"));
    }
    report.check(most <= MEMORY, || {
        format!("{name}: the agent took {most} KiB, at most {MEMORY} allowed")
    });
    let (before, during) = (rate(&log, 0, cut), rate(&log, cut, back));
    report.check(during >= before * THROUGHPUT, || {
        format!("{name}: {during:.0} calls/s without receiver, {before:.0} with it")
    });
    report.note(format!(
        "{name}: {} calls, {received} spans received, {lost} lost, {:.0} MiB, {before:.0} calls/s, {during:.0} without receiver",
        log.len(), most as f64 / 1024.0
    ));
    Ok(())
}

/// Calls a second between two moments; the first second of a run is warming up.
fn rate(log: &[Truth], from: u64, to: u64) -> f64 {
    let from = from.max(log.first().map_or(0, |truth| truth.start + 1_000_000_000));
    let calls = log.iter().filter(|truth| truth.end >= from && truth.end < to).count();
    calls as f64 * 1e9 / to.saturating_sub(from).max(1) as f64
}
