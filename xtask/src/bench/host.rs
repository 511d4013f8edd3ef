//! Who else used the processors: on a host that is not idle, a round measures its neighbours.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::usage::ticks;

/// Processor time of the host since it started.
#[derive(Clone, Copy)]
pub(super) struct Host {
    /// Used by anybody, or by other guests of the same machine.
    taken: Duration,
    idle: Duration,
}

impl Host {
    pub(super) fn now() -> Result<Self> {
        parse(&fs::read_to_string("/proc/stat").context("/proc/stat")?).context("line cpu")
    }

    /// The share of all processors' time since `before` that was neither idle nor `own`.
    pub(super) fn foreign(self, before: Self, own: Duration) -> f64 {
        let taken = self.taken.saturating_sub(before.taken);
        let all = taken + self.idle.saturating_sub(before.idle);
        taken.saturating_sub(own).as_secs_f64() / all.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

fn parse(stat: &str) -> Option<Host> {
    // cpu user nice system idle iowait irq softirq steal: guests are in user already.
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let times: Vec<u64> = line.split_whitespace().map_while(|time| time.parse().ok()).collect();
    let idle = times.get(3)? + times.get(4)?;
    let all: u64 = times.iter().take(8).sum();
    Some(Host { taken: ticks(all - idle), idle: ticks(idle) })
}

/// What others may take of an idle host, and for how long it has to be idle.
const IDLE: f64 = 0.05;
const LOOK: Duration = Duration::from_secs(1);

/// Waits until the host is idle, for at most `patience`.
pub(super) fn wait_idle(patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        let before = Host::now()?;
        std::thread::sleep(LOOK);
        let busy = Host::now()?.foreign(before, Duration::ZERO) > IDLE || other_agent()?;
        if !busy || Instant::now() >= deadline {
            return Ok(());
        }
    }
}

/// Processor time of the children that have ended and were waited for.
pub(super) fn children() -> Duration {
    // SAFETY: `rusage` is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: a valid `rusage` to write to. It cannot fail with this argument.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
    [usage.ru_utime, usage.ru_stime]
        .into_iter()
        .map(|time| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000))
        .sum()
}

/// True if another tracer of this kind runs: its programs see the load, too.
pub(super) fn other_agent() -> Result<bool> {
    let processes = fs::read_dir("/proc").context("/proc")?.filter_map(Result::ok);
    Ok(processes
        .filter_map(|process| fs::read_to_string(process.path().join("comm")).ok())
        .any(|name| name.trim_end() == "tracebee"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_others() {
        let host = |user: u64, idle: u64, steal: u64| {
            parse(&format!("cpu  {user} 1 2 {idle} 5 6 7 {steal} 0 0\ncpu0 1 1 1 1\n"))
                .expect("a line cpu")
        };
        let foreign = host(180, 100, 20).foreign(host(100, 0, 0), ticks(50));
        assert!((foreign - 0.25).abs() < 1e-9, "{foreign}");
        assert!(parse("intr 1 2 3\n").is_none());
    }
}
