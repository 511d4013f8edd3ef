//! A trace is told whole or not at all, and of one that is not less goes through the ring.

use std::collections::HashMap;
use std::net::SocketAddr;

use anyhow::Result;
use tracebee_tests::agent::{self, Agent};
use tracebee_tests::clients::Client;
use tracebee_tests::paths::free_port;
use tracebee_tests::plan::Plan;
use tracebee_tests::report::Report;
use tracebee_tests::servers::{self, Server, Shop};
use tracebee_tests::span::{Kind, Span};

use crate::Setting;
use crate::suites::metrics;

const NAME: &str = "sampled";
const REQUESTS: usize = 400;
const IN_FLIGHT: usize = 32;
/// Bytes of an answer, in chunks (workloads/services/shop_aiohttp.py).
const ANSWER: i64 = 14_000;
/// Spans of a trace: two for the request, two for what is asked for it.
const SPANS: usize = 4;
/// Share of the traces that is told.
const RATIO: f64 = 0.1;
/// Of the bytes that go through the ring where every trace is told, no more do with that ratio. It is
/// 0.6: what is told, the front of what is not, and the ends of each of its pieces.
const BYTES: f64 = 0.75;

pub(super) fn run(report: &mut Report, setting: &Setting, down: &Server) -> Result<()> {
    if !setting.wants(NAME) {
        return Ok(());
    }
    let dir = setting.dir.path();
    let shop = servers::shop(Shop::Aiohttp, "asyncio", down, dir, setting.permuted)?;
    let whole = traced(report, setting, [&shop, down], 1.0)?;
    let part = traced(report, setting, [&shop, down], RATIO)?;
    report.note(format!("{whole:.0} bytes where all is told, {part:.0} where a tenth is"));
    // Sends that are told of when they are over may turn out to be of another trace.
    if agent::captured_by() != Some("lengths") {
        report.check(part < BYTES * whole, || {
            format!("{part:.0} of {whole:.0} bytes with a ratio of {RATIO}")
        });
    }
    Ok(())
}

/// How many bytes went through the ring with a ratio.
fn traced(
    report: &mut Report,
    setting: &Setting,
    [shop, down]: [&Server; 2],
    ratio: f64,
) -> Result<f64> {
    let dir = setting.dir.path();
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let (listen, argument) = (address.to_string(), ratio.to_string());
    let ports = [shop, down].map(|server| server.port.to_string());
    // Others' traffic must stay outside.
    let arguments = ["--output", "json", "--metrics-listen", &listen, "--sampler", "traceidratio"];
    let selected = ["--sampler-arg", &argument, "--port", &ports[0], "--port", &ports[1]];
    let agent = Agent::start(&setting.binary, dir, &[&arguments[..], &selected[..]].concat())?;
    let mut plan = Plan::default();
    for n in 0..REQUESTS {
        plan.get(&setting.id(&[NAME, &argument, &n.to_string()]), &shop.base(false), "/long");
    }
    Client::Go.run(&plan, dir, IN_FLIGHT)?;
    let bytes = metrics::scrape(setting, address)?.value("tracebee_event_bytes_total", "")?;
    let stopped = agent.stop()?;
    let spans = stopped.spans()?;
    let mut traces = HashMap::<&str, Vec<&Span>>::new();
    for span in &spans {
        traces.entry(&span.trace).or_default().push(span);
    }
    let (told, all) = (traces.len(), REQUESTS as f64);
    let about = (told as f64 / all - ratio).abs() < 0.08;
    report.check(about, || format!("{told} of {REQUESTS} traces with a ratio of {ratio}"));
    // `360 not sampled`
    let unsampled = stopped.summary("not") as usize;
    report.equal("calls that are told or not sampled", SPANS * REQUESTS, spans.len() + unsampled);
    for (trace, spans) in traces {
        let long = |span: &&&Span| span.int("http.response.body.size") == Some(ANSWER);
        let roots = spans.iter().filter(|span| span.parent.is_none()).count();
        let clients = spans.iter().filter(|span| span.kind == Kind::Client).count();
        let found = (spans.len(), roots, clients, spans.iter().filter(long).count());
        report.equal(
            &format!("trace {trace}: spans, roots, clients, long"),
            (SPANS, 1, 2, 2),
            found,
        );
    }
    Ok(bytes)
}
