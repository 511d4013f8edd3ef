//! redis-server under redis-benchmark, one call at a time on each connection: rounds without and with
//! the agent, one after the other.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tracebee_tests::agent::Agent;
use tracebee_tests::paths::free_port;
use tracebee_tests::process::Process;

use super::host::{self, Host};
use super::sink::Sink;
use super::statistics::Median;
use super::{RedisArgs, build, conditions, usage};

/// Longest that a round may take.
const LIMIT: Duration = Duration::from_secs(120);
/// Before the load begins: the agent has read what it wants to know of the host.
const SETTLE: Duration = Duration::from_millis(500);
/// Share of the processors that others may take during a round.
const FOREIGN: f64 = 0.10;
/// Share of the spans that must arrive for a round to count, and how many more may come: those of
/// redis-benchmark's own questions.
const ARRIVED: std::ops::Range<f64> = 0.999..1.01;

/// Measures and prints.
pub(super) fn run(args: &RedisArgs) -> Result<()> {
    // SAFETY: plain system call.
    let user = unsafe { libc::geteuid() };
    ensure!(user == 0, "tracing needs root, this is user {user}: run the benchmark as root");
    let version = conditions::version("redis-server", "--version", "redis-server")?;
    let binary = build::agent(args.agent.as_deref())?;
    let dir = tempfile::Builder::new().prefix("tracebee-bench-").tempdir()?;
    let bench = Bench {
        sink: Sink::start(&build::xtask()?, dir.path())?,
        server: Server::start(dir.path())?,
        dir: dir.path().to_owned(),
        binary,
        calls: args.calls,
        connections: args.connections,
    };
    let name = bench.binary.parent().and_then(Path::file_name).unwrap_or_default();
    println!(
        "conditions: {}; {}; redis-benchmark -t get -c {} -n {} (no pipelining); tracebee ({}) \
         tracing everything, OTLP/gRPC to a counting receiver on this host; {}",
        conditions::host()?,
        version.split(" sha").next().unwrap_or("redis-server"),
        args.connections,
        args.calls,
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
        let arrived = on.spans as f64 / args.calls as f64;
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

struct Bench {
    sink: Sink,
    server: Server,
    dir: PathBuf,
    binary: PathBuf,
    calls: u64,
    connections: u32,
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

impl Bench {
    fn load(&self) -> Result<Load> {
        self.load_beside(|| Ok(Duration::ZERO))
    }

    /// Loads the server; `beside` says what processor time others took so far that belong to it.
    fn load_beside(&self, beside: impl Fn() -> Result<Duration>) -> Result<Load> {
        let own = || anyhow::Ok(self.server.cpu()? + host::children() + beside()?);
        let (host, before) = (Host::now()?, own()?);
        let mut command = Command::new("redis-benchmark");
        command.args(["--csv", "-t", "get", "-r", "100000", "-h", "127.0.0.1"]);
        command.arg("-p").arg(self.server.port.to_string());
        command.arg("-c").arg(self.connections.to_string());
        command.arg("-n").arg(self.calls.to_string());
        let mut process = Process::spawn("redis-benchmark", &self.dir, &mut command)?;
        process.succeed(LIMIT)?;
        let foreign = Host::now()?.foreign(host, own()?.saturating_sub(before));
        Ok(Load { per_second: parse(&process.stdout())?, foreign })
    }

    fn traced(&self) -> Result<Traced> {
        let endpoint = self.sink.endpoint();
        let arrived = self.sink.spans();
        let flags = ["--otlp-endpoint", &endpoint, "--output", "none"];
        let agent = Agent::start(&self.binary, &self.dir, &flags)?;
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

/// redis-server in a directory of its own, without a file.
struct Server {
    port: u16,
    process: Process,
}

impl Server {
    fn start(dir: &Path) -> Result<Self> {
        let port = free_port();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]);
        command.arg(dir).arg("--port").arg(port.to_string());
        let mut process = Process::spawn("redis-server", dir, &mut command)?;
        process.wait_port(SocketAddr::from(([127, 0, 0, 1], port)))?;
        Ok(Self { port, process })
    }

    fn cpu(&self) -> Result<Duration> {
        self.process.pids().into_iter().map(usage::cpu).sum()
    }
}

/// Calls a second, from `"GET","52631.58",...` behind the line that names the columns.
fn parse(text: &str) -> Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("\"GET\",\""));
    let number = line.and_then(|line| line.split('"').next()).and_then(|n| n.parse().ok());
    number.with_context(|| format!("no rate in what redis-benchmark says:\n{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_of_redis_benchmark() {
        let text = "\"test\",\"rps\",\"avg_latency_ms\"\n\"GET\",\"52631.58\",\"0.475\"\n";
        assert_eq!(parse(text).expect("a rate"), 52631.58);
        assert!(parse("Could not connect\n").is_err());
    }
}
