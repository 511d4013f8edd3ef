//! A service that asks another one while it answers, under wrk: rounds without the agent, with one that
//! does not ask whose calls they are, and with one that does.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tracebee_tests::agent::Agent;
use tracebee_tests::paths::{free_port, installed};
use tracebee_tests::process::Process;
use tracebee_tests::servers::{self, Server, Shop};

use super::host::{self, Host};
use super::kernel::{self, Runs};
use super::load::{NGINX, Nginx, wrk};
use super::sink::Sink;
use super::statistics::Median;
use super::{FastapiArgs, RoundArgs, build, conditions, rounds, usage};

/// Before the load begins: the agent has read what it wants to know of the host.
const SETTLE: Duration = Duration::from_millis(500);
/// What wrk may take beyond its time to end with a busy machine.
const GRACE: Duration = Duration::from_secs(20);
/// Spans of an exchange: wrk's, two of the service, that of the service that it asks.
const SPANS: u64 = 4;
/// Of these, the one that nobody asked for.
const ROOTS: f64 = 1.0;
/// Share of the spans that must arrive for a round to count, and how many more may come: those of
/// exchanges that were under way when wrk ended.
const ARRIVED: std::ops::Range<f64> = 0.999..1.02;
/// Roots beyond those, a share of the exchanges: a round with more is not one of what is measured.
const UNLINKED: f64 = 0.01;
/// Share of the processors that others may take during a round.
const FOREIGN: f64 = 0.10;

/// FastAPI under uvicorn, with one call by aiohttp for each request.
pub(super) fn fastapi(args: &FastapiArgs) -> Result<()> {
    run(&args.rounds, &format!("FastAPI under uvicorn ({})", args.event_loop), |down, dir| {
        servers::shop(Shop::FastApi, &args.event_loop, down, dir, false)
    })
}

/// Go's net/http, with one call by its client for each request.
pub(super) fn go(args: &RoundArgs) -> Result<()> {
    run(args, "Go's net/http", |down, dir| {
        let port = free_port();
        let mut command = Command::new(installed("go/desk-stripped"));
        command.arg(port.to_string()).env("DOWN", down.base(false));
        let mut process = Process::spawn("desk", dir, &mut command)?;
        process.wait_port(SocketAddr::from(([127, 0, 0, 1], port)))?;
        Ok(Server::single("desk", port, process))
    })
}

fn run(
    args: &RoundArgs,
    name: &str,
    start: impl FnOnce(&Server, &Path) -> Result<Server>,
) -> Result<()> {
    rounds::needs_root()?;
    crate::attribution::set_up(false)?;
    let nginx = conditions::version(NGINX, "-v", "nginx-light")?;
    let dir = tempfile::Builder::new().prefix("tracebee-bench-").tempdir()?;
    let down = Nginx::start(dir.path(), "1")?.server();
    let bench = Bench {
        server: start(&down, dir.path())?,
        down,
        binary: build::agent(args.agent.as_deref())?,
        sink: Sink::start(&build::xtask()?, dir.path())?,
        dir: dir.path(),
        args,
    };
    let build = bench.binary.parent().and_then(Path::file_name).unwrap_or_default();
    println!(
        "conditions: {}; {name}, one process, one HTTP call for each request, to {nginx}; wrk -t1 -c{} \
         -d{}s; tracebee ({}) tracing everything, OTLP/gRPC to a counting receiver on this host; {}",
        conditions::host()?,
        args.connections,
        args.seconds,
        build.display(),
        conditions::date()?,
    );
    // What the first requests of a server cost is not looked for.
    bench.load(1)?;
    let counted = bench.rounds()?;
    let timed = {
        let _timing = kernel::Timing::start()?;
        bench.round(How::Auto).context("the round that counts what is watched")?
    };
    report(&counted, &timed);
    Ok(())
}

/// With which agent a round is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Bare,
    None,
    Auto,
}

impl How {
    const ALL: [How; 3] = [How::Bare, How::None, How::Auto];

    /// `--attribution` of the agent, if there is one.
    fn attribution(self) -> Option<&'static str> {
        match self {
            How::Bare => None,
            How::None => Some("none"),
            How::Auto => Some("auto"),
        }
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            How::Bare => "bare",
            How::None => "none",
            How::Auto => "auto",
        })
    }
}

struct Bench<'a> {
    server: Server,
    down: Server,
    binary: PathBuf,
    sink: Sink,
    dir: &'a Path,
    args: &'a RoundArgs,
}

/// What was measured in a round.
struct Round {
    per_second: f64,
    requests: u64,
    /// Processor time of the service for an exchange, in microseconds: what is watched in it and the
    /// kernel programs are among that.
    service: f64,
    /// The same of the agent.
    agent: f64,
    /// Share of the processors that nobody took who has to do with it.
    foreign: f64,
    /// Why it does not count.
    flaw: Option<&'static str>,
    /// Times that the service came to a place that is watched, if they were counted.
    probes: Runs,
}

impl Bench<'_> {
    /// Rounds of each kind that count.
    fn rounds(&self) -> Result<Vec<[Round; 3]>> {
        println!(
            "{:>5} {:>11} {:>11} {:>11} {:>9} {:>9}  {:>21}  others",
            "round",
            "bare req/s",
            "none req/s",
            "auto req/s",
            "auto/none",
            "none/bare",
            "service us"
        );
        let mut counted = Vec::new();
        for number in 1..=3 * self.args.rounds as usize {
            host::wait_idle(Duration::from_secs(self.args.patience.into()))?;
            // Another one first each time: what the host does meanwhile meets each alike.
            let mut rounds: Vec<(How, Round)> = Vec::new();
            for n in 0..3 {
                let how = How::ALL[(number + n) % 3];
                let round = self.round(how).with_context(|| format!("round {number}, {how}"))?;
                rounds.push((how, round));
            }
            rounds.sort_by_key(|(how, _)| How::ALL.iter().position(|it| it == how));
            let flaw = rounds.iter().find_map(|(how, round)| Some((*how, round.flaw?)));
            let rounds = rounds.into_iter().map(|(_, round)| round).collect::<Vec<_>>();
            let Ok([bare, none, auto]) = <[Round; 3]>::try_from(rounds) else { continue };
            println!(
                "{number:>5} {:>11.0} {:>11.0} {:>11.0} {:>9.3} {:>9.3}  {:>6.1} {:>6.1} {:>6.1}  \
                 {:.0}%/{:.0}%/{:.0}%{}",
                bare.per_second,
                none.per_second,
                auto.per_second,
                auto.per_second / none.per_second,
                none.per_second / bare.per_second,
                bare.service,
                none.service,
                auto.service,
                100.0 * bare.foreign,
                100.0 * none.foreign,
                100.0 * auto.foreign,
                flaw.map_or_else(String::new, |(how, flaw)| format!("  INVALID: {how}: {flaw}")),
            );
            if flaw.is_none() {
                counted.push([bare, none, auto]);
            }
            if counted.len() >= self.args.rounds as usize {
                break;
            }
        }
        Ok(counted)
    }

    fn round(&self, how: How) -> Result<Round> {
        let Some(attribution) = how.attribution() else {
            let mut round = self.loaded(None)?;
            round.flaw = round.flaw.or(host::other_agent()?.then_some("another agent ran"));
            return Ok(round);
        };
        let endpoint = self.sink.endpoint();
        let mut flags = vec!["--otlp-endpoint", &endpoint, "--output", "none"];
        flags.extend(["--attribution", attribution]);
        flags.extend(self.args.agent_args.iter().map(String::as_str));
        let arrived = self.sink.spans();
        let agent = Agent::start(&self.binary, self.dir, &flags)?;
        std::thread::sleep(SETTLE);
        let probes = kernel::probes(agent.pid())?;
        let mut round = self.loaded(Some(&agent))?;
        round.probes = kernel::probes(agent.pid())?.since(probes);
        let spans = (self.sink.settled() - arrived) as f64;
        let stopped = agent.stop()?;
        let requests = round.requests as f64;
        let roots = stopped.summary("unlinked") as f64 / requests;
        round.flaw = match () {
            () if !ARRIVED.contains(&(spans / (SPANS as f64 * requests))) => {
                Some("not the spans of this load")
            }
            () if how == How::Auto && roots > ROOTS + UNLINKED => Some("calls are not linked"),
            () => round.flaw,
        };
        Ok(round)
    }

    /// Loads the service, with an agent beside it if there is one.
    fn loaded(&self, agent: Option<&Agent>) -> Result<Round> {
        let cpu = |server: &Server| -> Result<Duration> {
            server.pids().into_iter().map(usage::cpu).sum()
        };
        let agent_cpu = || agent.map_or(Ok(Duration::ZERO), |agent| usage::cpu(agent.pid()));
        let others = || anyhow::Ok(cpu(&self.down)? + usage::cpu(self.sink.pid())?);
        let all = || anyhow::Ok([cpu(&self.server)?, agent_cpu()?, others()?, host::children()]);
        let (host, before) = (Host::now()?, all()?);
        let (requests, per_second) = self.load(self.args.seconds)?;
        let now = all()?;
        let used: Vec<Duration> =
            now.iter().zip(before).map(|(now, before)| now.saturating_sub(before)).collect();
        let foreign = Host::now()?.foreign(host, used.iter().sum());
        let each = |time: Duration| time.as_secs_f64() * 1e6 / requests as f64;
        Ok(Round {
            per_second,
            requests,
            service: each(used[0]),
            agent: each(used[1]),
            foreign,
            flaw: (foreign > FOREIGN).then_some("busy host"),
            probes: Runs::default(),
        })
    }

    fn load(&self, seconds: u32) -> Result<(u64, f64)> {
        let mut command = Command::new("wrk");
        command.args(["-t1", &format!("-c{}", self.args.connections), &format!("-d{seconds}s")]);
        command.arg(format!("{}/once?call=bench", self.server.base(false)));
        let mut process = Process::spawn("wrk", self.dir, &mut command)?;
        process.succeed(Duration::from_secs(seconds.into()) + GRACE)?;
        wrk(&process.stdout())
    }
}

/// Prints what follows from all rounds that count, and from the one that counts what is watched.
fn report(rounds: &[[Round; 3]], timed: &Round) {
    let traps = timed.probes.count as f64 / timed.requests as f64;
    let each = timed.probes.nanoseconds as f64 / timed.probes.count.max(1) as f64;
    println!(
        "the service came to {traps:.1} places that are watched for a request (each time of a function \
         and of its return, as the kernel counts runs of programs), whose programs took {each:.0} ns each"
    );
    let median = |of: &dyn Fn(&[Round; 3]) -> f64| Median::of(rounds.iter().map(of));
    let (Some(ratio), Some(agent), Some(more), Some(own)) = (
        median(&|[_, none, auto]| auto.per_second / none.per_second),
        median(&|[bare, none, _]| none.per_second / bare.per_second),
        median(&|[_, none, auto]| auto.service - none.service),
        median(&|[_, none, auto]| auto.agent - none.agent),
    ) else {
        println!("no valid round: see the reasons above; an idle host helps");
        return;
    };
    let lowest = rounds.iter().map(|[_, none, auto]| auto.per_second / none.per_second);
    println!(
        "in short: throughput with attribution / with --attribution none: median {:.3}, {:.1} % interval \
         {:.3} to {:.3}, lowest {:.3} ({} rounds of each); with --attribution none / without the agent: \
         {:.3} ({:.3} to {:.3}); attribution takes {:.1} us ({:.1} to {:.1}) more of the service's \
         processor time a request, {:.2} us for each of {traps:.1} places, and {:.1} us of the agent's",
        ratio.value,
        100.0 * ratio.confidence,
        ratio.low,
        ratio.high,
        lowest.fold(f64::INFINITY, f64::min),
        rounds.len(),
        agent.value,
        agent.low,
        agent.high,
        more.value,
        more.low,
        more.high,
        more.value / traps,
        own.value,
    );
}
