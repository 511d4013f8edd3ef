//! A bound on the processor time of one process: a control group with a quota.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Length of the periods in which the quota counts: the kernel's default. A process that has used
/// up its part stands still for the rest of a period.
const PERIOD: Duration = Duration::from_millis(100);

/// A control group of the tests' own; it goes with this value, when its processes have ended.
#[derive(Debug)]
pub struct Quota {
    group: PathBuf,
    v2: bool,
}

impl Quota {
    /// A group without a quota.
    ///
    /// # Errors
    /// Where this host has no controller for processor time that we may use: says why.
    pub fn new(name: &str) -> Result<Self> {
        let (root, v2) = controller()?;
        let group = root.join(format!("{name}-{}", std::process::id()));
        fs::create_dir(&group).with_context(|| format!("make {}", group.display()))?;
        Ok(Self { group, v2 })
    }

    /// Puts a process with all of its threads into it.
    pub fn take(&self, pid: u32) -> Result<()> {
        self.write("cgroup.procs", &pid.to_string())
    }

    /// From now on the group gets at most `share` of one processor; `None`: what it wants.
    pub fn set(&self, share: Option<f64>) -> Result<()> {
        // The kernel takes nothing below a millisecond.
        let micros = share.map(|share| ((PERIOD.as_micros() as f64 * share) as u64).max(1000));
        let period = PERIOD.as_micros();
        if self.v2 {
            let quota = micros.map_or("max".to_owned(), |micros| micros.to_string());
            return self.write("cpu.max", &format!("{quota} {period}"));
        }
        let quota = micros.map_or("-1".to_owned(), |micros| micros.to_string());
        self.write("cpu.cfs_period_us", &period.to_string())?;
        self.write("cpu.cfs_quota_us", &quota)
    }

    /// How often the group was made to stand still so far.
    pub fn throttled(&self) -> Result<u64> {
        let text = fs::read_to_string(self.group.join("cpu.stat"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("nr_throttled "));
        Ok(line.context("nr_throttled in cpu.stat")?.trim().parse()?)
    }

    fn write(&self, file: &str, value: &str) -> Result<()> {
        let path = self.group.join(file);
        fs::write(&path, value).with_context(|| format!("write {value} to {}", path.display()))
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // Processes leave when they are reaped, which their owner has seen to.
        for _ in 0..100 {
            if fs::remove_dir(&self.group).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        eprintln!("{} is left behind", self.group.display());
    }
}

/// The root of a hierarchy whose groups can have quotas, and whether it is of the second version.
fn controller() -> Result<(PathBuf, bool)> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mut reasons = Vec::new();
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(at), Some(kind), Some(options)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let root = Path::new(at);
        if kind == "cgroup" && options.split(',').any(|option| option == "cpu") {
            return Ok((root.into(), false));
        }
        if kind == "cgroup2" {
            let read = |file: &str| fs::read_to_string(root.join(file)).unwrap_or_default();
            let has = |text: &str| text.split_whitespace().any(|name| name == "cpu");
            if has(&read("cgroup.subtree_control"))
                || has(&read("cgroup.controllers"))
                    && fs::write(root.join("cgroup.subtree_control"), "+cpu").is_ok()
            {
                return Ok((root.into(), true));
            }
            reasons.push(format!("{at} does not have the cpu controller, or does not give it"));
        }
    }
    if reasons.is_empty() {
        reasons.push("no control groups are mounted".to_owned());
    }
    bail!("processor time cannot be bounded here: {}", reasons.join("; "))
}
