//! Loads of so many calls: rounds without and with the agent, one after the other.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tracebee_tests::agent::Agent;
use tracebee_tests::process::Process;

use super::host::{self, Host};
use super::sink::Sink;
use super::statistics::Median;
use super::{CountedArgs, build, conditions, rounds, usage};

/// Longest that a round may take.
const LIMIT: Duration = Duration::from_secs(120);
/// Before the load begins: the agent has read what it wants to know of the host.
const SETTLE: Duration = Duration::from_millis(500);
/// Share of the processors that others may take during a round.
const FOREIGN: f64 = 0.10;
/// Share of the spans that must arrive for a round to count, and how many more may come: those of
/// what the program asks besides.
const ARRIVED: std::ops::Range<f64> = 0.999..1.01;

/// A server, and a program that asks it for a number of calls.
pub(super) trait Counted {
    /// The server.
    fn server(&self) -> &Process;

    /// Spans of one call.
    fn spans(&self) -> u64;

    /// The program.
    fn program(&self, calls: u64) -> Command;

    /// Calls a second, by what the program says in the end.
    fn per_second(&self, text: &str) -> Result<f64>;
}

/// Measures `load`, which is described in `words`, and prints.
pub(super) fn run(args: &CountedArgs, dir: &Path, load: &dyn Counted, words: &str) -> Result<()> {
    rounds::needs_root()?;
    let binary = build::agent(args.agent.as_deref())?;
    let sink = Sink::start(&build::xtask()?, dir)?;
    let bench = Bench { sink, load, dir, binary, calls: args.calls };
    let name = bench.binary.parent().and_then(Path::file_name).unwrap_or_default();
    println!(
        "conditions: {}; {words}; tracebee ({}) tracing everything, OTLP/gRPC to a counting receiver \
         on this host; {}",
        conditions::host()?,
        name.display(),
        conditions::date()?,
    );
    println!(
        "{:>5} {:>11} {:>11} {:>6} {:>8} {:>11} {:>8}",
        "round", "off calls/s", "on calls/s", "ratio", "arrived", "agent us", "others"
    );
    let (mut ratios, mut costs) = (Vec::new(), Vec::new());
    for round in 1..=3 * args.rounds {
        host::wait_idle(Duration::from_secs(args.patience.into()))?;
        let off = bench.load()?;
        let on = bench.traced().with_context(|| format!("round {round} with the agent"))?;
        let ratio = on.load.per_second / off.per_second;
        let arrived = on.spans as f64 / (args.calls * load.spans()) as f64;
        let cost = on.agent.as_secs_f64() * 1e6 / args.calls as f64;
        let flaw = match () {
            () if !ARRIVED.contains(&arrived) => "  INVALID: not the spans of this load",
            () if off.foreign.max(on.load.foreign) > FOREIGN => "  INVALID: busy host",
            () => "",
        };
        println!(
            "{round:>5} {:>11.0} {:>11.0} {ratio:>6.3} {:>7.2}% {cost:>11.1} {:>3.0}%/{:>2.0}%{flaw}",
            off.per_second,
            on.load.per_second,
            100.0 * arrived,
            100.0 * off.foreign,
            100.0 * on.load.foreign,
        );
        if flaw.is_empty() {
            ratios.push(ratio);
            costs.push(cost);
        }
        if ratios.len() >= args.rounds as usize {
            break;
        }
    }
    match (Median::of(ratios), Median::of(costs)) {
        (Some(ratio), Some(cost)) => println!(
            "on / off: median {:.3}, {:.1} % interval {:.3} to {:.3}; agent {:.1} us a call",
            ratio.value,
            100.0 * ratio.confidence,
            ratio.low,
            ratio.high,
            cost.value
        ),
        _ => println!("no valid round: see the reasons above; an idle host helps"),
    }
    Ok(())
}

struct Bench<'a> {
    sink: Sink,
    load: &'a dyn Counted,
    dir: &'a Path,
    binary: PathBuf,
    calls: u64,
}

/// A round.
struct Load {
    per_second: f64,
    /// Share of the processors that neither the server nor its load took.
    foreign: f64,
}

/// A round with the agent.
struct Traced {
    load: Load,
    spans: u64,
    /// Processor time of the agent.
    agent: Duration,
}

impl Bench<'_> {
    fn load(&self) -> Result<Load> {
        self.load_beside(|| Ok(Duration::ZERO))
    }

    /// Loads the server; `beside` says what processor time others took so far that belong to it.
    fn load_beside(&self, beside: impl Fn() -> Result<Duration>) -> Result<Load> {
        let server = || -> Duration {
            let pids = self.load.server().pids().into_iter();
            pids.filter_map(|pid| usage::cpu(pid).ok()).sum()
        };
        let own = || anyhow::Ok(server() + host::children() + beside()?);
        let (host, before) = (Host::now()?, own()?);
        let mut process = Process::spawn("load", self.dir, &mut self.load.program(self.calls))?;
        process.succeed(LIMIT)?;
        let foreign = Host::now()?.foreign(host, own()?.saturating_sub(before));
        Ok(Load { per_second: self.load.per_second(&process.stdout())?, foreign })
    }

    fn traced(&self) -> Result<Traced> {
        let endpoint = self.sink.endpoint();
        let arrived = self.sink.spans();
        let flags = ["--otlp-endpoint", &endpoint, "--output", "none"];
        let agent = Agent::start(&self.binary, self.dir, &flags)?;
        std::thread::sleep(SETTLE);
        let used = || usage::cpu(agent.pid());
        let before = used()?;
        let load = self.load_beside(|| Ok(used()? + usage::cpu(self.sink.pid())?))?;
        let spans = self.sink.settled() - arrived;
        let agent_used = used()?.saturating_sub(before);
        agent.stop()?;
        Ok(Traced { load, spans, agent: agent_used })
    }
}
