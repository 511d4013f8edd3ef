//! Churn: processes, connections and receivers that come and go, for as long as one likes. Nothing
//! that the agent holds grows with them, and every call is told or counted as lost.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tracebee_tests::agent::Agent;
use tracebee_tests::clients::Client;
use tracebee_tests::plan::{Plan, Truth};
use tracebee_tests::report::Report;
use tracebee_tests::servers::{self, Server, Which};
use tracebee_tests::sink::{Keep, Sink};

use super::cleanup::owned;
use crate::Setting;

/// How long, and how many times the agent is looked at meanwhile.
const LONG: (Duration, u32) = (Duration::from_secs(3600), 30);
const SHORT: (Duration, u32) = (Duration::from_secs(12), 6);
/// Calls of each client in a round: with a connection each, with few connections, with a process
/// each.
const CALLS: usize = 200;
const PROCESSES: usize = 12;
/// What a sample may be above those of the first half: less than a round would leave behind if each
/// of its connections left an entry, and what an allocator may keep for itself.
const MORE_ENTRIES: u64 = CALLS as u64;
const MORE_MEMORY: u64 = 2 * 1024;
/// How long the agent may take to forget what is gone, before it is looked at.
const SETTLE: Duration = Duration::from_secs(2);
/// How long spans may take to the receiver, which was away a moment ago.
const ARRIVE: Duration = Duration::from_secs(30);
/// Why a span may be missing: not for want of room in a queue or of a receiver.
const REASONS: [&str; 5] = ["gap", "ring_full", "table_full", "unrecognised", "joined_midway"];
/// More rounds than this with a span missing are no chance.
const MOST_ODD: usize = 3;

/// What the agent holds at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    descriptors: u64,
    threads: u64,
    /// In maps of the kernel that have entries by key.
    entries: u64,
    /// Pss in KiB.
    memory: u64,
}

impl Held {
    fn by(agent: &Agent) -> Result<Self> {
        let count = |what: &str| -> Result<u64> {
            let path = format!("/proc/{}/{what}", agent.pid());
            Ok(std::fs::read_dir(&path).with_context(|| path.clone())?.count() as u64)
        };
        let memory = agent.pss_kib()?;
        Ok(Self {
            descriptors: count("fd")?,
            threads: count("task")?,
            entries: entries(agent)?,
            memory,
        })
    }

    fn most(self, other: Self) -> Self {
        Self {
            descriptors: self.descriptors.max(other.descriptors),
            threads: self.threads.max(other.threads),
            entries: self.entries.max(other.entries),
            memory: self.memory.max(other.memory),
        }
    }

    /// True if it is no more than `before`, as far as chance goes.
    fn within(self, before: Self) -> bool {
        self.descriptors <= before.descriptors
            && self.threads <= before.threads
            && self.entries <= before.entries + MORE_ENTRIES
            && self.memory <= before.memory + MORE_MEMORY
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { descriptors, threads, entries, memory } = self;
        write!(
            f,
            "{descriptors} descriptors, {threads} threads, {entries} map entries, {:.1} MiB",
            *memory as f64 / 1024.0
        )
    }
}

/// Entries of the agent's maps that have keys. A table of fixed size (an array, the ring) has as many
/// as ever, and one that forgets the oldest by itself as many as it holds.
fn entries(agent: &Agent) -> Result<u64> {
    let mut total = 0;
    for (_, id) in owned(agent.pid())?.into_iter().filter(|(kind, _)| *kind == "map") {
        let id = id.to_string();
        let bpftool = |verb| -> Result<serde_json::Value> {
            let output = Command::new("bpftool").args(["-j", "map", verb, "id", &id]).output()?;
            ensure!(output.status.success(), "bpftool map {verb} id {id}: {output:?}");
            Ok(serde_json::from_slice(&output.stdout)?)
        };
        let kind = bpftool("show")?;
        let kind = kind.get("type").and_then(|kind| kind.as_str()).context("a map has a type")?;
        if kind.ends_with("hash") && !kind.starts_with("lru") {
            total += bpftool("dump")?.as_array().context("a list")?.len() as u64;
        }
    }
    Ok(total)
}

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let (time, samples) = if setting.full { LONG } else { SHORT };
    let nginx = servers::nginx(dir, 1, &[10])?;
    let mut sink = Sink::start(Keep::Spans)?;
    let agent = Agent::start(&setting.binary, dir, &["--otlp-endpoint", &sink.grpc()])?;

    let (begun, mut held, mut rounds, mut made) = (Instant::now(), Vec::new(), 0, 0);
    let (mut seen, mut missing, mut odd) = (HashSet::new(), 0, Vec::new());
    while (held.len() as u32) < samples {
        // Every other round has no receiver at first.
        if rounds % 2 == 1 {
            sink.cut();
        }
        let log = round(setting, &nginx, rounds)?;
        made += log.len();
        sink.resume()?;
        rounds += 1;
        let deadline = Instant::now() + ARRIVE;
        let mut of_round = HashMap::new();
        loop {
            let spans = sink.received().take_spans();
            let own = spans
                .into_iter()
                .filter(|span| span.call().is_some_and(|call| call.starts_with(&setting.run)));
            for span in own {
                *of_round.entry(span.call().unwrap_or_default().to_owned()).or_insert(0) += 1;
                seen.insert(span.id);
            }
            if seen.len() + missing >= 2 * made || Instant::now() > deadline {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        if seen.len() + missing != 2 * made {
            let of = |truth: &Truth| of_round.get(&truth.call).copied().unwrap_or(0);
            let less = log.iter().filter(|truth| of(truth) < 2).take(5);
            odd.push(format!(
                "round {rounds}: {} spans of {made} calls; calls and their spans: {:?}",
                seen.len(),
                less.map(|truth| (truth, of(truth))).collect::<Vec<_>>()
            ));
            missing = (2 * made).saturating_sub(seen.len());
            if odd.len() > MOST_ODD || seen.len() > 2 * made {
                bail!("{}\nthe agent said:\n{}", odd.join("\n"), agent.stop()?.stderr);
            }
        }
        if begun.elapsed() >= time * held.len() as u32 / samples {
            std::thread::sleep(SETTLE);
            held.push(Held::by(&agent)?);
        }
    }
    let stopped = agent.stop()?;
    report.equal("receiver's complaints", None, sink.received().problem());

    let lost: u64 = REASONS.iter().map(|reason| stopped.summary(reason)).sum();
    report.check(missing as u64 <= lost, || {
        format!("{missing} spans missing, {lost} counted as lost:\n{}", odd.join("\n"))
    });

    let (first, second) = held.split_at(held.len() / 2);
    let before = first.iter().copied().reduce(Held::most).context("no samples")?;
    for (n, now) in second.iter().enumerate() {
        report.check(now.within(before), || {
            format!("sample {}: {now}; in the first half at most {before}", first.len() + n + 1)
        });
    }
    let last = held.last().context("no samples")?;
    report.note(format!(
        "{rounds} rounds, {made} calls, {} spans, {lost} counted as lost, in the end {last}, \
         {} exports failed",
        seen.len(),
        stopped.summary("export_failed")
    ));
    Ok(())
}

/// One round: a server that is started and ended, one that stays, and clients that come and go.
fn round(setting: &Setting, nginx: &Server, round: usize) -> Result<Vec<Truth>> {
    let dir = setting.dir.path();
    let socket = dir.join("soak.sock").display().to_string();
    let go = servers::start(Which::Go, dir)?;
    let unix = servers::start_unix(Which::Go, dir, &socket)?;
    let plan = |name: &str, calls, base: &str| {
        let mut plan = Plan::default();
        for n in 0..calls {
            let id = setting.id(&[name, &round.to_string(), &n.to_string()]);
            plan.get(&id, base, "/bytes/10");
        }
        plan
    };
    let mut log = Vec::new();
    let to = |client: Client, name, calls, server: &Server| {
        let plan = plan(name, calls, &server.base(false));
        client.run_to(&plan, dir, 4, server.socket.as_deref())
    };
    log.extend(to(Client::GoClose, "close", CALLS, nginx)?);
    log.extend(to(Client::Go, "keep", CALLS, &go)?);
    log.extend(to(Client::Curl, "process", PROCESSES, &go)?);
    log.extend(to(Client::GoClose, "unix", CALLS, &unix)?);
    log.extend(to(Client::Curl, "unix-process", PROCESSES, &unix)?);
    drop((go, unix));
    remove(&socket);
    Ok(log)
}

fn remove(socket: &str) {
    let _ = std::fs::remove_file(Path::new(socket));
}
