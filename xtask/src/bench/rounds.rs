//! Rounds of load without and with the agent, one after the other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tracebee_tests::agent::Agent;

use super::host::{self, Host};
use super::load::{self, Load, Served};
use super::report::{Bare, Report, Traced};
use super::sink::Sink;
use super::usage::{self, Memory};
use super::{RoundArgs, build, conditions, kernel};

/// Before what an idle agent needs is looked at: it has read what it wants to know of the host.
const SETTLE: Duration = Duration::from_millis(500);

/// Everything that a traced round needs.
struct Setting<'a> {
    binary: PathBuf,
    agent_args: &'a [String],
    dir: &'a Path,
    load: &'a dyn Load,
    seconds: u32,
    sink: Sink,
}

/// Measures `load` in a directory of its own, and prints.
pub(super) fn run(
    args: &RoundArgs,
    dir: &Path,
    load: &dyn Load,
    words: impl IntoIterator<Item = String>,
) -> Result<()> {
    let xtask = build::xtask()?;
    let setting = Setting {
        binary: build::agent(args.agent.as_deref())?,
        agent_args: &args.agent_args,
        dir,
        load,
        seconds: args.seconds,
        sink: Sink::start(&xtask, dir)?,
    };
    let mut conditions = vec![conditions::host()?];
    conditions.extend(words);
    conditions.extend([setting.agent_line(), conditions::date()?]);
    let mut report = Report::new(conditions, load);
    // What the first requests of a server cost is not looked for.
    load::run(load, 1, dir, || Ok(()))?;
    report.begin();
    for number in 1..=3 * args.rounds {
        host::wait_idle(Duration::from_secs(args.patience.into()))?;
        let off = setting.bare()?;
        let on = setting.traced().with_context(|| format!("round {number} with the agent"))?;
        if report.add(off, on) >= args.rounds as usize {
            break;
        }
    }
    let timed = {
        let _timing = kernel::Timing::start()?;
        setting.traced().context("the round that times the kernel programs")?
    };
    report.end(&timed);
    Ok(())
}

/// Fails for users who may not trace.
pub(super) fn needs_root() -> Result<()> {
    // SAFETY: plain system call.
    let user = unsafe { libc::geteuid() };
    ensure!(user == 0, "tracing needs root, this is user {user}: run the benchmark as root");
    Ok(())
}

impl Setting<'_> {
    fn agent_line(&self) -> String {
        let flags = self.agent_args.join(" ");
        let name = self.binary.parent().and_then(Path::file_name).unwrap_or_default();
        format!(
            "tracebee ({}) tracing everything, OTLP/gRPC to a counting receiver on this host{}{}",
            name.display(),
            if flags.is_empty() { "" } else { ", " },
            flags
        )
    }

    /// One round without the agent.
    fn bare(&self) -> Result<Bare> {
        let before = Host::now()?;
        let mut watched = host::other_agent()?;
        let served = load::run(self.load, self.seconds, self.dir, || Ok(()))?;
        watched |= host::other_agent()?;
        Ok(Bare { served, foreign: Host::now()?.foreign(before, served.own), watched })
    }

    /// One round with the agent, from its start to its end.
    fn traced(&self) -> Result<Traced> {
        let endpoint = self.sink.endpoint();
        let mut flags = vec!["--otlp-endpoint", &endpoint, "--output", "none"];
        flags.extend(self.agent_args.iter().map(String::as_str));
        let arrived = self.sink.spans();
        let agent = Agent::start(&self.binary, self.dir, &flags)?;
        std::thread::sleep(SETTLE);
        let idle = usage::memory(agent.pid())?;
        let before = self.cpu(&agent)?;
        let runs_before = kernel::runs(agent.pid())?;
        let mut peak = Memory::default();
        let host_before = Host::now()?;
        let served: Served = load::run(self.load, self.seconds, self.dir, || {
            let now = usage::memory(agent.pid())
                .with_context(|| format!("the agent is gone: {}", agent.stderr()))?;
            peak = peak.max(now);
            Ok(())
        })?;
        let during = self.cpu(&agent)?;
        let own =
            served.own + during.0.saturating_sub(before.0) + during.1.saturating_sub(before.1);
        let foreign = Host::now()?.foreign(host_before, own);
        let runs = kernel::runs(agent.pid())?.since(runs_before);
        let spans = self.sink.settled() - arrived;
        let after = self.cpu(&agent)?;
        let stopped = agent.stop()?;
        let losses = stopped
            .stderr
            .lines()
            .rev()
            .find_map(|line| line.split_once("lost: ").map(|(_, losses)| losses.to_owned()));
        Ok(Traced {
            served,
            foreign,
            spans,
            agent: after.0.saturating_sub(before.0),
            sink: after.1.saturating_sub(before.1),
            runs,
            idle,
            peak,
            losses: losses.unwrap_or_else(|| "nothing".to_owned()),
        })
    }

    /// Processor time so far of the agent and of the receiver.
    fn cpu(&self, agent: &Agent) -> Result<(Duration, Duration)> {
        Ok((usage::cpu(agent.pid())?, usage::cpu(self.sink.pid())?))
    }
}
