//! Too little processor time, too many connections, too little memory: what is told is right, the
//! memory stays within its bound, and what is not told is counted, connection by connection.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use tracebee_tests::agent::{Agent, Stopped};
use tracebee_tests::paths::installed;
use tracebee_tests::process::Process;
use tracebee_tests::quota::Quota;
use tracebee_tests::report::Report;
use tracebee_tests::servers::{self, Server, Which};
use tracebee_tests::sink::{Keep, Sink};
use tracebee_tests::span::{Kind, Span};

use crate::Setting;

/// Connections of the load, all open at once.
const CONNECTIONS: usize = 2000;
/// Between two calls on one of them, in milliseconds.
const PAUSE: u64 = 300;
/// Most memory that the agent is told to take, in MiB.
const MEMORY: u64 = 64;
/// The same, for what all connections have under way at once to be too much: each end of a call keeps
/// its target.
const LITTLE_MEMORY: u64 = 48;
/// Bytes of such a target, and for how long it is under way, in milliseconds.
const LONG_TARGET: usize = 6000;
const LONG_DELAY: u64 = 1000;
/// The smallest ring that holds what comes while a capped agent stands still, and not more.
const SMALL_RING: &str = "512KiB";
/// One in which what that says has room by far, so that it is not for the ring that calls are left out.
const LARGER_RING: &str = "8MiB";
/// For records that are still in the ring when the load ends.
const DRAIN: Duration = Duration::from_millis(1500);
/// For so many seconds the agent stands still before it is stopped: more is said than its ring holds.
const STILL: u64 = 3;
/// Reasons that count calls, or spans of calls, that were not told.
const REASONS: [&str; 10] = [
    "shed",
    "connection_limit",
    "gap",
    "joined_midway",
    "stopped",
    "queue_full",
    "export_failed",
    "unrecognised",
    "unreadable",
    "table_full",
];

/// A connection as the load logged it.
#[derive(Debug, Deserialize)]
struct Line {
    connection: usize,
    port: u16,
    calls: usize,
}

/// One run of the load.
struct Case<'a> {
    name: &'a str,
    /// What each call asks for; `{}` stands for its id.
    target: &'a str,
    /// More flags of the agent.
    flags: &'a [&'a str],
    /// Most memory that it takes, in MiB.
    memory: u64,
    /// Processors that it gets.
    share: Option<f64>,
    /// Something must be left out, or the case proves nothing.
    sheds: Option<&'a str>,
    /// It must be for want of memory.
    for_memory: bool,
    /// When the agent stops.
    stops: Stops,
}

/// When the agent stops.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stops {
    /// After all connections were closed.
    AtTheEnd,
    /// While they are open.
    InBetween,
    /// As before, after it stood still while the last calls were made.
    StandingStill,
    /// After all connections were closed, during all of which it stood still.
    Absent,
}

impl Stops {
    /// True if the connections are open when the agent stops.
    fn in_between(self) -> bool {
        matches!(self, Self::InBetween | Self::StandingStill)
    }
}

/// What a run took.
struct Outcome {
    /// Processors that the agent used.
    share: f64,
}

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let nginx = servers::nginx(setting.dir.path(), 1, &[])?;
    let quota = Quota::new("tracebee-overload");
    if let Err(error) = &quota {
        report.note(format!("NOT capped: {error:#}"));
    }
    let quota = quota.ok();
    use Stops::{Absent, AtTheEnd, InBetween, StandingStill};
    let small = ["--ring-size", SMALL_RING];
    let case = Case {
        name: "uncapped",
        target: "/hello?call={}",
        flags: &[],
        memory: MEMORY,
        share: None,
        sheds: None,
        for_memory: false,
        stops: AtTheEnd,
    };
    let free = connections(report, setting, &nginx, None, &case)?;
    if let Some(quota) = &quota {
        let share = |parts| Some(free.share / parts);
        let case = Case { name: "half", flags: &small, share: share(2.0), ..case };
        connections(report, setting, &nginx, Some(quota), &case)?;
        let case = Case { name: "tenth", share: share(10.0), sheds: Some("shed"), ..case };
        connections(report, setting, &nginx, Some(quota), &case)?;
        let case = Case { name: "tenth, open", stops: InBetween, ..case };
        connections(report, setting, &nginx, Some(quota), &case)?;
    }
    let few = ["--max-connections", "1000"];
    let case = Case { name: "few", flags: &few, sheds: Some("connection_limit"), ..case };
    connections(report, setting, &nginx, None, &case)?;
    let case = Case { name: "few, open", stops: InBetween, ..case };
    connections(report, setting, &nginx, None, &case)?;
    let sheds = Some("ring_full");
    let case = Case { name: "still", flags: &small, sheds, stops: StandingStill, ..case };
    connections(report, setting, &nginx, None, &case)?;
    let case = Case { name: "absent", stops: Absent, ..case };
    connections(report, setting, &nginx, None, &case)?;
    // A path, which is told under load, too.
    let target = format!("/delay/{LONG_DELAY}/call={{}}/{}", "p".repeat(LONG_TARGET));
    let (target, memory, sheds) = (target.as_str(), LITTLE_MEMORY, Some("shed"));
    let slow = servers::start(Which::Go, setting.dir.path())?;
    let flags = &["--ring-size", LARGER_RING];
    let case = Case {
        name: "memory",
        target,
        flags,
        memory,
        sheds,
        for_memory: true,
        stops: AtTheEnd,
        ..case
    };
    connections(report, setting, &slow, None, &case)?;
    if let Some(quota) = &quota {
        throughput(report, setting, &nginx, quota)?;
    }
    Ok(())
}

/// Many connections with logs of their own.
fn connections(
    report: &mut Report,
    setting: &Setting,
    server: &Server,
    quota: Option<&Quota>,
    case: &Case<'_>,
) -> Result<Outcome> {
    let dir = setting.dir.path();
    let (name, seconds) = (case.name, if setting.full { 60 } else { 6 });
    let (port, memory) = (server.port.to_string(), format!("{}MiB", case.memory));
    let mut flags = vec!["--output", "json", "--port", &port, "--max-memory", &memory];
    // At the end of each connection on which something was lost: how much.
    flags.extend(["--log-level", "info"]);
    flags.extend(case.flags);
    let agent = Agent::start(&setting.binary, dir, &flags)?;
    if let Some(quota) = quota {
        quota.take(agent.pid())?;
        quota.set(case.share)?;
    }
    let log = dir.join(format!("load-{}.log", name.replace(", ", "-")));
    let id = setting.id(&[&name.replace(", ", "-")]);
    let mut command = Command::new(installed("go/load"));
    command.arg(format!("127.0.0.1:{}", server.port)).arg(&log).arg(CONNECTIONS.to_string());
    command.arg(seconds.to_string()).arg(PAUSE.to_string()).arg(case.target).arg(&id);
    if case.stops.in_between() {
        command.arg("hold");
    }
    let mut still = case.stops == Stops::Absent;
    if still {
        agent.pause();
    }
    let mut load = Process::spawn(&format!("load-{}", name.replace(", ", "-")), dir, &mut command)?;
    let (begun, used) = (Instant::now(), agent.cpu()?);
    let mut most = 0;
    while load.running() && !(case.stops.in_between() && log.exists()) {
        ensure!(begun.elapsed() < Duration::from_secs(seconds + 60), "the load does not end");
        most = most.max(agent.pss_kib()? + agent.kernel_kib()?);
        std::thread::sleep(Duration::from_millis(50));
        if case.stops == Stops::StandingStill && begun.elapsed().as_secs() + STILL >= seconds {
            // From then on as long as it takes.
            agent.pause();
            still = true;
        }
    }
    if !case.stops.in_between() {
        load.succeed(Duration::from_secs(1))?;
    }
    let share = (agent.cpu()? - used).as_secs_f64() / begun.elapsed().as_secs_f64();
    if let Some(quota) = quota {
        quota.set(None)?;
    }
    if still {
        agent.go_on();
    } else {
        std::thread::sleep(DRAIN);
    }
    let stopped = agent.stop()?;
    if case.stops.in_between() {
        load.signal(libc::SIGTERM);
        load.succeed(Duration::from_secs(5))?;
    }

    report.check(most <= case.memory * 1024, || {
        format!("{name}: the agent took {most} KiB, at most {} MiB allowed", case.memory)
    });
    let lines = read(&log)?;
    let told = account(report, name, &id, &lines, &stopped)?;
    if let Some(reason) = case.sheds {
        report.check(stopped.summary(reason) > 0, || {
            format!("{name}: nothing counted as {reason}: the case proves nothing")
        });
    }
    if case.for_memory {
        // The line says why it began, which may have been the ring.
        let began = stopped.stderr.contains("overload: memory for");
        report.check(began || stopped.summary("memory_limit") > 0, || {
            format!("{name}: it was not for memory:\n{}", stopped.stderr)
        });
    }
    report.note(format!(
        "{name}: {} calls, {told} spans, {:.1} MiB, {:.0} % of a processor",
        lines.iter().map(|line| line.calls).sum::<usize>(),
        most as f64 / 1024.0,
        share * 100.0
    ));
    Ok(Outcome { share })
}

fn read(path: &Path) -> Result<Vec<Line>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    text.lines().map(|line| serde_json::from_str(line).context("a line of the log")).collect()
}

/// What was told of one connection, by kind and number of the call.
#[derive(Default)]
struct Told {
    clients: Vec<usize>,
    servers: Vec<usize>,
}

/// Compares what was told with the log of each connection; how many spans there are.
fn account(
    report: &mut Report,
    name: &str,
    id: &str,
    lines: &[Line],
    stopped: &Stopped,
) -> Result<usize> {
    let spans = stopped.spans()?;
    tracebee_tests::check::whole_but(report, &spans, lost(stopped) - stopped.summary("shed"));
    let mut told: HashMap<usize, Told> = HashMap::new();
    let mut count = 0;
    for span in &spans {
        let Some((connection, number)) = place(span, id) else { continue };
        count += 1;
        let told = told.entry(connection).or_default();
        match span.kind {
            Kind::Client => told.clients.push(number),
            Kind::Server => told.servers.push(number),
            Kind::Producer | Kind::Consumer => {}
        }
    }
    let losses = Losses::read(&stopped.stderr);
    // What the queue before standard output had no room for is nobody's connection's.
    let lost_later = stopped.summary("queue_full") as usize;
    let (mut missing, mut halves) = (0, 0);
    for line in lines {
        let Told { mut clients, mut servers } = told.remove(&line.connection).unwrap_or_default();
        for (kind, numbers) in [("client", &mut clients), ("server", &mut servers)] {
            let spans = numbers.len();
            numbers.sort_unstable();
            numbers.dedup();
            report.check(numbers.len() == spans, || {
                format!("{name}: connection {}: a call has two {kind} spans", line.connection)
            });
            report.check(numbers.last().is_none_or(|last| *last < line.calls), || {
                format!(
                    "{name}: connection {}: {} calls, but a {kind} span of call {:?}",
                    line.connection,
                    line.calls,
                    numbers.last()
                )
            });
            missing += line.calls.saturating_sub(numbers.len()) as u64;
            let lost = losses.of(kind, line.port);
            let accounted = numbers.len() + lost;
            report.check(accounted <= line.calls && line.calls <= accounted + lost_later, || {
                format!(
                    "{name}: connection {}, {kind}'s end: {} calls, {} told, {lost} counted",
                    line.connection,
                    line.calls,
                    numbers.len()
                )
            });
        }
        halves += clients.iter().filter(|call| servers.binary_search(call).is_err()).count();
        halves += servers.iter().filter(|call| clients.binary_search(call).is_err()).count();
    }
    report.check(told.is_empty(), || format!("{name}: spans of connections that never were"));
    let lost = lost(stopped);
    report.check(missing == lost, || {
        format!("{name}: {missing} spans are missing, {lost} are counted:\n{}", stopped.stderr)
    });
    let by_chance = lost - stopped.summary("shed");
    report.check(halves as u64 <= by_chance, || {
        format!("{name}: of {halves} calls one end is told and not the other, {by_chance} were lost otherwise:\n{}", stopped.stderr)
    });
    Ok(count)
}

/// What the agent says was lost on single connections, by the client's port.
#[derive(Default)]
struct Losses {
    clients: HashMap<u16, usize>,
    servers: HashMap<u16, usize>,
}

impl Losses {
    /// From lines like `connection 127.0.0.1:4 to 127.0.0.1:80, client, pid 1: 7 calls told, 3
    /// lost; ...`. A connection that was announced twice has two.
    fn read(stderr: &str) -> Self {
        let mut losses = Self::default();
        for line in stderr.lines() {
            let Some((_, line)) = line.split_once("connection ") else { continue };
            let Some((ends, rest)) = line.split_once(", ") else { continue };
            let Some((local, remote)) = ends.split_once(" to ") else { continue };
            let lost = rest.split_once("calls told, ").and_then(|(_, rest)| rest.split_once(' '));
            let Some(lost) = lost.and_then(|(lost, _)| lost.parse::<usize>().ok()) else {
                continue;
            };
            let (table, end) = match rest.split_once(',') {
                Some(("client", _)) => (&mut losses.clients, local),
                Some(("server", _)) => (&mut losses.servers, remote),
                _ => continue,
            };
            let port = end.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
            *table.entry(port.unwrap_or(0)).or_default() += lost;
        }
        losses
    }

    fn of(&self, kind: &str, port: u16) -> usize {
        let table = if kind == "client" { &self.clients } else { &self.servers };
        table.get(&port).copied().unwrap_or(0)
    }
}

fn lost(stopped: &Stopped) -> u64 {
    REASONS.iter().map(|reason| stopped.summary(reason)).sum()
}

/// Connection and number of the call that a span is of.
fn place(span: &Span, id: &str) -> Option<(usize, usize)> {
    let (connection, number) = span.call()?.strip_prefix(id)?.strip_prefix('.')?.split_once('.')?;
    Some((connection.parse().ok()?, number.parse().ok()?))
}

/// Throughput of nginx and wrk that a capped agent leaves, of that without an agent.
const KEPT: f64 = 0.9;

/// nginx and wrk as fast as they can, with a capped agent and without one, in turns.
fn throughput(report: &mut Report, setting: &Setting, nginx: &Server, quota: &Quota) -> Result<()> {
    let dir = setting.dir.path();
    let (pairs, seconds) = if setting.full { (7, 10) } else { (2, 3) };
    let free = {
        let (agent, _sink) = traced(setting, nginx)?;
        let (begun, used) = (Instant::now(), agent.cpu()?);
        wrk(dir, nginx, seconds)?;
        let share = (agent.cpu()? - used).as_secs_f64() / begun.elapsed().as_secs_f64();
        agent.stop()?;
        share
    };
    for (name, parts) in [("half", 2.0), ("tenth", 10.0)] {
        let mut ratios = Vec::new();
        for _ in 0..pairs {
            let without = wrk(dir, nginx, seconds)?;
            let (agent, sink) = traced(setting, nginx)?;
            quota.take(agent.pid())?;
            quota.set(Some(free / parts))?;
            // Shedding has begun when it counts.
            wrk(dir, nginx, 1)?;
            let with = wrk(dir, nginx, seconds)?;
            quota.set(None)?;
            agent.stop()?;
            drop(sink);
            ratios.push(with / without);
        }
        ratios.sort_unstable_by(f64::total_cmp);
        let median = ratios[ratios.len() / 2];
        report.note(format!("{name} of {:.0} %: {median:.2} of the throughput", free * 100.0));
        if setting.full {
            report.check(median >= KEPT, || {
                format!("{name}: {median:.2} of the throughput is kept: {ratios:.2?}")
            });
        }
    }
    Ok(())
}

fn traced(setting: &Setting, nginx: &Server) -> Result<(Agent, Sink)> {
    let sink = Sink::start(Keep::Nothing)?;
    let (endpoint, port) = (sink.grpc(), nginx.port.to_string());
    let flags = ["--otlp-endpoint", &endpoint, "--port", &port, "--ring-size", SMALL_RING];
    Ok((Agent::start(&setting.binary, setting.dir.path(), &flags)?, sink))
}

/// Calls a second.
fn wrk(dir: &Path, nginx: &Server, seconds: u64) -> Result<f64> {
    let mut command = Command::new("wrk");
    command.args(["-t1", "-c64", "--timeout", "10s", "-d"]).arg(format!("{seconds}s"));
    command.arg(format!("{}/hello", nginx.base(false)));
    let mut process = Process::spawn("wrk", dir, &mut command)?;
    process.succeed(Duration::from_secs(seconds + 20))?;
    let output = process.stdout();
    let line = output.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    Ok(line.context("wrk's rate")?.trim().parse()?)
}
