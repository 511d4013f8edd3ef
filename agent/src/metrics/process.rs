//! What this process uses, from `/proc/self`.

use std::time::Duration;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// What the agent uses now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// Processor time, user and system.
    pub(super) cpu: Duration,
    /// Since the epoch.
    pub(super) started: Duration,
    /// Bytes.
    pub(super) resident: u64,
    /// Bytes.
    pub(super) virtual_size: u64,
    pub(super) threads: u64,
    pub(super) open_files: u64,
    pub(super) max_files: u64,
}

/// None where `/proc` is not what it should be.
pub(super) fn usage() -> Option<Usage> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let boot = std::fs::read_to_string("/proc/stat").ok()?;
    let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let open_files = std::fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    // No limit is what Prometheus' clients call the largest number.
    let max_files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    parse(&stat, Duration::from_secs(boot), open_files, max_files)
}

/// From the fields of `proc_pid_stat(5)`, counted from the state (3), behind the name, which may
/// hold anything.
fn parse(stat: &str, boot: Duration, open_files: u64, max_files: u64) -> Option<Usage> {
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let ticks = clock_ticks_per_second().max(1);
    let time = |field: u64| {
        Duration::from_secs(field / ticks)
            + Duration::from_nanos(field % ticks * (1_000_000_000 / ticks))
    };
    Some(Usage {
        cpu: time(field(14)?.saturating_add(field(15)?)),
        threads: field(20)?,
        started: boot.saturating_add(time(field(22)?)),
        virtual_size: field(23)?,
        resident: field(24)?.saturating_mul(page_size() as u64),
        open_files,
        max_files,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process() {
        let usage = usage().expect("proc is there");
        assert!(usage.resident > 100_000 && usage.virtual_size >= usage.resident);
        assert!(usage.threads >= 1 && usage.open_files >= 3 && usage.max_files > 3);
        let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
        assert!(usage.started <= now + Duration::from_secs(2), "{usage:?}");
    }

    #[test]
    fn the_name_may_hold_anything() {
        let stat = "7 (a) b (c) R 1 2 3 4 5 6 7 8 9 10 150 50 13 14 15 16 3 18 100 4096 2 rest";
        let usage = parse(stat, Duration::from_secs(1000), 5, 6).expect("enough fields");
        let ticks = clock_ticks_per_second() as f64;
        assert!((usage.cpu.as_secs_f64() - 200.0 / ticks).abs() < 1e-6);
        assert!((usage.started.as_secs_f64() - 1000.0 - 100.0 / ticks).abs() < 1e-6);
        assert_eq!((usage.threads, usage.virtual_size), (3, 4096));
        assert_eq!(usage.resident, 2 * page_size() as u64);
        assert!(parse("7 (a) R 1", Duration::ZERO, 0, 0).is_none());
    }
}
