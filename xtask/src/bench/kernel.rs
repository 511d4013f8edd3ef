//! What the kernel programs of the agent cost, by the kernel's own clock.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// The kernel times every run of every BPF program as long as this lives. That costs some ten
/// nanoseconds a run itself, so throughput is not measured meanwhile.
pub(super) struct Timing {
    before: String,
}

impl Timing {
    pub(super) fn start() -> Result<Self> {
        let before = fs::read_to_string(SWITCH).context(SWITCH)?;
        fs::write(SWITCH, "1").with_context(|| format!("writing 1 to {SWITCH}"))?;
        Ok(Self { before })
    }
}

impl Drop for Timing {
    fn drop(&mut self) {
        let _ = fs::write(SWITCH, &self.before);
    }
}

/// Runs of BPF programs and the nanoseconds that they took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs {
    pub(super) count: u64,
    pub(super) nanoseconds: u64,
}

/// All runs of the programs that a process holds.
pub(super) fn runs(pid: u32) -> Result<Runs> {
    runs_of(pid, |_| true)
}

/// Those of its programs at functions of other processes: each one is a breakpoint that was met, or a
/// return from a function that begins with one.
pub(super) fn probes(pid: u32) -> Result<Runs> {
    /// `BPF_PROG_TYPE_KPROBE`, which all probes are.
    const PROBE: u64 = 2;
    runs_of(pid, |kind| kind == PROBE)
}

fn runs_of(pid: u32, wanted: impl Fn(u64) -> bool) -> Result<Runs> {
    let path = Path::new("/proc").join(pid.to_string()).join("fdinfo");
    let mut runs = Runs::default();
    let mut seen = HashSet::new();
    for entry in fs::read_dir(&path).with_context(|| path.display().to_string())? {
        // Descriptors come and go.
        let fdinfo = fs::read_to_string(entry?.path()).unwrap_or_default();
        runs.add(&fdinfo, &mut seen, &wanted);
    }
    Ok(runs)
}

impl Runs {
    /// What came after `before`.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            count: self.count - before.count,
            nanoseconds: self.nanoseconds - before.nanoseconds,
        }
    }

    /// Links name their program too, but only the program has counters. A process may hold a program
    /// by several descriptors; `seen` has those that were counted.
    fn add(&mut self, fdinfo: &str, seen: &mut HashSet<u64>, wanted: &impl Fn(u64) -> bool) {
        let number = |key: &str| {
            let line = fdinfo.lines().find_map(|line| line.strip_prefix(key));
            line.and_then(|value| value.trim().parse::<u64>().ok())
        };
        let (Some(program), Some(count)) = (number("prog_id:"), number("run_cnt:")) else { return };
        if number("prog_type:").is_some_and(wanted) && seen.insert(program) {
            self.count += count;
            self.nanoseconds += number("run_time_ns:").unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_counts_once_and_links_do_not() {
        let (mut runs, mut seen) = (Runs::default(), HashSet::new());
        for _ in 0..2 {
            let program =
                "pos:\t0\nprog_type:\t26\nprog_id:\t7\nrun_time_ns:\t174269\nrun_cnt:\t270\n";
            runs.add(program, &mut seen, &|kind| kind == 26);
        }
        let probe = "prog_type:\t2\nprog_id:\t8\nrun_time_ns:\t10\nrun_cnt:\t1\n";
        runs.add(probe, &mut seen, &|kind| kind == 26);
        runs.add("pos:\t0\nlink_type:\ttracing\nprog_id:\t7\n", &mut seen, &|_| true);
        assert_eq!(runs, Runs { count: 270, nanoseconds: 174_269 });
    }
}
