//! Processor time and memory of a process, as the kernel counts them.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// User and system time of a process and its threads, and of its children that have ended.
///
/// The programs that the agent attached run on the time of those who send and receive: that is
/// in nobody's account but theirs.
pub(super) fn cpu(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    // pid (name) state ppid ...: the name may hold spaces. utime, stime and those of the children
    // that were waited for are fields 14 to 17.
    let fields = text.rsplit_once(')').context("no name in stat")?.1;
    let used: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(4)
        .map(|ticks| ticks.parse::<u64>().with_context(|| path.clone()))
        .sum::<Result<u64>>()?;
    Ok(ticks(used))
}

/// The kernel's clock ticks as time.
pub(super) fn ticks(number: u64) -> Duration {
    // SAFETY: plain library call.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Duration::from_secs_f64(number as f64 / per_second as f64)
}

/// Memory of a process in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// Proportional set size. The ring's pages are mapped twice, one copy behind the other; as
    /// each mapping counts half, the ring is in here once.
    pub(super) pss: u64,
    /// The ring's share of it.
    pub(super) ring: u64,
    /// The ring's resident size, both mappings: twice its share if the above holds.
    pub(super) ring_rss: u64,
}

impl Memory {
    /// The peak of two.
    pub(super) fn max(self, other: Self) -> Self {
        if other.pss > self.pss { other } else { self }
    }

    /// What the process needs with the ring counted once, whatever the kernel's way of counting.
    pub(super) fn ring_once(self) -> u64 {
        self.pss - self.ring + self.ring.min(self.ring_rss / 2)
    }
}

/// Memory of the agent now.
pub(super) fn memory(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/smaps");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    Ok(sum(&text))
}

fn sum(smaps: &str) -> Memory {
    let mut memory = Memory::default();
    let mut in_ring = false;
    for line in smaps.lines() {
        let (key, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let kib = || rest.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default();
        match key {
            "Pss:" => {
                memory.pss += kib();
                memory.ring += if in_ring { kib() } else { 0 };
            }
            "Rss:" if in_ring => memory.ring_rss += kib(),
            // Other keys; the head of a mapping begins with its addresses.
            _ if key.ends_with(':') => {}
            _ => in_ring = rest.ends_with("anon_inode:bpf-map"),
        }
    }
    memory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_counts_once() {
        let smaps = "\
7f00-7f10 r-xp 00000000 fe:00 12 /usr/bin/tracebee
Size:                 64 kB
Rss:                  40 kB
Pss:                  30 kB
Pss_Dirty:             9 kB
7f20-7f30 r--s 00001000 00:0e 13 anon_inode:bpf-map
Rss:                 200 kB
Pss:                 100 kB
VmFlags: rd sh
7f40-7f50 rw-p 00000000 00:00 0
Rss:                   8 kB
Pss:                   8 kB
";
        let memory = sum(smaps);
        assert_eq!(memory, Memory { pss: 138, ring: 100, ring_rss: 200 });
        assert_eq!(memory.ring_once(), 138);
        assert_eq!(Memory { pss: 238, ring: 200, ring_rss: 200 }.ring_once(), 138);
    }
}
