//! The times are true: the duration of a span is what the client measured, and that of the server
//! span what the server was made to wait.

use anyhow::Result;
use tracebee_tests::agent::Agent;
use tracebee_tests::check::{self, Spans};
use tracebee_tests::clients::{self, Client};
use tracebee_tests::plan::{Plan, Truth};
use tracebee_tests::report::Report;
use tracebee_tests::servers::{self, Server, Which};
use tracebee_tests::span::Kind;

use crate::Setting;

/// Injected delay in milliseconds, and how many calls of it.
const DELAYS: &[(u64, usize)] = &[(5, 100), (50, 40), (500, 20)];

/// How far the 95th percentile of the difference may be: this, or [`SHARE`] if that is more.
const ABSOLUTE: u64 = 100_000;
/// Of the injected delay.
const SHARE: f64 = 0.05;
/// The client whose own times are those of its system calls.
const BY_HAND: &str = "by hand";

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let servers = [Which::Go, Which::Uvicorn]
        .iter()
        .map(|which| servers::start(*which, dir))
        .collect::<Result<Vec<Server>>>()?;

    let agent = Agent::json(&setting.binary, dir)?;
    let mut logs = Vec::new();
    for (delay, calls) in DELAYS {
        let plan = |client: &str| {
            let mut plan = Plan::default();
            for n in 0..*calls {
                let id = setting.id(&[client, &delay.to_string(), &n.to_string()]);
                let server = &servers[n % servers.len()];
                plan.get(&id, &server.base(n % 4 > 1), &format!("/delay/{delay}"));
            }
            plan
        };
        let by_hand = clients::by_hand(&plan("by-hand"), dir, "recv/one-send", "calls")?;
        logs.push((delay, BY_HAND, by_hand));
        logs.push((delay, "Go", Client::Go.run(&plan("go"), dir, 1)?));
    }
    let spans = agent.stop()?.spans()?;

    let by_call = Spans::new(&spans);
    for (delay, client, log) in &logs {
        check::calls(report, &by_call, log, &servers)?;
        compare(report, &by_call, **delay, client, log);
    }
    Ok(())
}

fn compare(report: &mut Report, spans: &Spans<'_>, delay: u64, client: &str, log: &[Truth]) {
    let mut differences = Vec::new();
    for truth in log {
        for span in spans.of(&truth.call) {
            let took = span.end - span.start;
            match span.kind {
                Kind::Client => {
                    let measured = truth.read.unwrap_or(truth.end) - truth.start;
                    differences.push(measured.abs_diff(took));
                }
                Kind::Server => report.check(took >= delay * 990_000, || {
                    format!("{}: the server waited {delay} ms, its span has {took} ns", truth.call)
                }),
                Kind::Producer | Kind::Consumer => {
                    report.fail(format!("{} is no message", truth.call));
                }
            }
        }
    }
    differences.sort_unstable();
    let Some(p95) = differences.get(differences.len() * 95 / 100) else {
        return report.fail(format!("{delay} ms, {client}: no client spans"));
    };
    let limit = ABSOLUTE.max((delay as f64 * 1e6 * SHARE) as u64);
    // What a library does between its caller and the socket is its own: waking a goroutine takes
    // longer than the limit. The client by hand has nothing in between.
    report.check(*p95 <= limit || client != BY_HAND, || {
        format!("{delay} ms, {client}: p95 of the difference is {p95} ns, at most {limit} allowed")
    });
    report.note(format!("{delay} ms {client}: p95 off by {:.0} us", *p95 as f64 / 1e3));
}
