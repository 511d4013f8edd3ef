//! Every span arrives, over both protocols: at a receiver of our own, and at one that we did not
//! write (rotel), which passes on to ours what it understood.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;
use tracebee_tests::agent::Agent;
use tracebee_tests::check::{self, Spans};
use tracebee_tests::clients::Client;
use tracebee_tests::paths::{free_port, installed};
use tracebee_tests::plan::Plan;
use tracebee_tests::process::Process;
use tracebee_tests::report::Report;
use tracebee_tests::servers::{self, Server, Which};
use tracebee_tests::sink::{Keep, Sink};

use crate::Setting;

const CALLS: usize = 600;
/// How long a receiver may take to pass on what it has.
const PASS_ON: Duration = Duration::from_secs(10);

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let servers = [servers::start(Which::Go, dir)?];
    for (protocol, compression) in
        [("grpc", "none"), ("grpc", "gzip"), ("http/protobuf", "none"), ("http/protobuf", "gzip")]
    {
        let sink = Sink::start(Keep::Spans)?;
        let endpoint = if protocol == "grpc" { sink.grpc() } else { sink.http() };
        let label = format!("own-{}-{compression}", protocol.replace('/', "-"));
        deliver(report, setting, &servers, &sink, &Way { label, endpoint, protocol, compression })?;
    }
    for protocol in ["grpc", "http/protobuf"] {
        let sink = Sink::start(Keep::Spans)?;
        let (_rotel, grpc, http) = rotel(setting, &sink)?;
        let endpoint = format!("http://127.0.0.1:{}", if protocol == "grpc" { grpc } else { http });
        let label = format!("rotel-{}", protocol.replace('/', "-"));
        let compression = "gzip";
        deliver(report, setting, &servers, &sink, &Way { label, endpoint, protocol, compression })?;
    }
    Ok(())
}

/// A receiver that others wrote: it decodes OTLP and exports it again.
fn rotel(setting: &Setting, sink: &Sink) -> Result<(Process, u16, u16)> {
    let (grpc, http) = (free_port(), free_port());
    let python = installed("venv/lib");
    let program = std::fs::read_dir(&python)?
        .flatten()
        .map(|entry| entry.path().join("site-packages/rotel/rotel-agent"))
        .find(|path| path.exists())
        .ok_or_else(|| anyhow::anyhow!("no rotel-agent under {}", python.display()))?;
    let mut command = Command::new(program);
    command
        .args(["start", "--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")])
        .args(["--otlp-http-endpoint", &format!("127.0.0.1:{http}")])
        .args(["--exporter", "otlp", "--otlp-exporter-endpoint", &sink.grpc()])
        .args(["--otlp-exporter-protocol", "grpc"])
        .current_dir(setting.dir.path());
    let mut process = Process::spawn(&format!("rotel-{grpc}"), setting.dir.path(), &mut command)?;
    process.wait_port(([127, 0, 0, 1], grpc).into())?;
    process.wait_port(([127, 0, 0, 1], http).into())?;
    Ok((process, grpc, http))
}

/// One way of delivering.
struct Way<'a> {
    label: String,
    endpoint: String,
    protocol: &'a str,
    compression: &'a str,
}

fn deliver(
    report: &mut Report,
    setting: &Setting,
    servers: &[Server],
    sink: &Sink,
    way: &Way<'_>,
) -> Result<()> {
    let Way { label, endpoint, protocol, compression } = way;
    let dir = setting.dir.path();
    let agent = Agent::start_with(
        &setting.binary,
        dir,
        &["--otlp-endpoint", endpoint, "--otlp-protocol", protocol],
        &[("OTEL_EXPORTER_OTLP_COMPRESSION", compression)],
    )?;
    let mut plan = Plan::default();
    for n in 0..CALLS {
        plan.get(&setting.id(&[label, &n.to_string()]), &servers[0].base(n % 2 == 1), "/bytes/100");
    }
    let log = Client::Go.run(&plan, dir, 4)?;
    let stopped = agent.stop()?;

    // Ours has everything when the agent has ended; another receiver may still be passing it on.
    let prefix = setting.id(&[label]);
    let (mut spans, deadline) = (Vec::new(), Instant::now() + PASS_ON);
    loop {
        spans.extend(sink.received().take_spans());
        if Spans::new(&spans).count(&prefix) >= CALLS * 2 || Instant::now() > deadline {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    report.equal(&format!("{label}: requests not understood"), None, sink.received().problem());
    check::whole(report, &spans);
    let by_call = Spans::new(&spans);
    check::calls(report, &by_call, &log, servers)?;
    report.equal(&format!("{label}: spans"), CALLS * 2, by_call.count(&prefix));
    let (exported, made) = (stopped.summary("exported"), stopped.summary("spans"));
    report.equal(&format!("{label}: exported, says the agent"), made, exported);
    // What the agent sends must not be traced by it, or it would never end.
    let own = spans.iter().filter(|span| span.text("url.path") == Some("/v1/traces")).count();
    report.equal(&format!("{label}: spans of its own export"), 0, own);
    report.note(format!("{label} {} in {} requests", spans.len(), sink.received().requests()));
    Ok(())
}
