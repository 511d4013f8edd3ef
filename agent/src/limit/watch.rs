//! Measures how the agent is doing, decides what is left out and tells people.

use std::sync::Arc;

use super::budget::Budget;
use super::held;
use super::shed::{Controller, Load, Step};
use crate::source::Time;
use crate::stats::{Loss, Stats};

/// Between two looks: short against the time in which a ring fills, long against what a look
/// costs.
const INTERVAL: u64 = 20_000_000;
/// Between two checks of the process's real size.
const CHECK: u64 = 1_000_000_000;
/// Memory of the process that is neither heap nor the program's file: stacks and the like.
const BESIDE: u64 = 4 << 20;

/// The ring between kernel and agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ring {
    /// How full it was at most when the agent came to read it, in percent.
    pub fill: u32,
    /// Records that found it full, in all.
    pub refused: u64,
    /// Records that were read from it, in all.
    pub read: u64,
}

/// Watches over the limits.
#[derive(Debug)]
pub struct Watch {
    controller: Controller,
    /// Bytes for what grows.
    growing: u64,
    stats: Arc<Stats>,
    looked: Time,
    checked: Time,
    /// As it was at the last look.
    ring: Ring,
    /// How far the process is beyond its memory for other reasons than the heap, in percent.
    resident: u32,
    episode: Option<Episode>,
}

/// A time of overload.
#[derive(Debug)]
struct Episode {
    since: Time,
    worst: Step,
    /// Calls left out before.
    before: u64,
}

impl Watch {
    /// Nothing is left out yet.
    pub fn new(budget: &Budget, stats: Arc<Stats>) -> Self {
        Self {
            controller: Controller::default(),
            growing: budget.growing(),
            stats,
            looked: Time(0),
            checked: Time(0),
            ring: Ring::default(),
            resident: 0,
            episode: None,
        }
    }

    /// Looks, if it is time to, at `ring` and the memory; the step from now on, if it is another.
    /// Tells people once when shedding begins and once when it ends.
    pub fn look(&mut self, now: Time, ring: impl FnOnce() -> Ring) -> Option<Step> {
        if now.0.saturating_sub(self.looked.0) < INTERVAL {
            return None;
        }
        self.looked = now;
        let ring = ring();
        let before = std::mem::replace(&mut self.ring, ring);
        let (refused, read) = (ring.refused - before.refused, ring.read - before.read);
        // Rounded up: one is enough.
        let refused = if refused > 0 { percent(refused, refused + read).max(1) } else { 0 };
        if now.0.saturating_sub(self.checked.0) >= CHECK {
            self.checked = now;
            self.resident = self.check();
        }
        let memory = percent(held::held(), self.growing).max(self.resident);
        let load = Load { memory, ring: ring.fill, refused };
        let step = self.controller.observe(now, load)?;
        if let Some(line) = self.tell(now, step, load) {
            eprintln!("tracebee: {line}");
        }
        tracing::debug!("leaving out {} ({load:?})", step.describe());
        Some(step)
    }

    /// The heap is counted exactly; whether the process really is that small is checked here.
    fn check(&self) -> u32 {
        let most = self.growing + BESIDE;
        let beyond = |resident: u64| resident > most;
        let Some(resident) = held::resident().filter(|resident| beyond(*resident)) else {
            return 0;
        };
        // What was given back is still there, between what is in use.
        held::trim();
        let left = held::resident().unwrap_or(resident);
        tracing::debug!("{resident} bytes resident, {left} after freeing what is unused");
        if beyond(left) { percent(left, most) } else { 0 }
    }

    fn left_out(&self) -> u64 {
        self.stats.lost(Loss::Shed)
    }

    fn tell(&mut self, now: Time, step: Step, load: Load) -> Option<String> {
        if let Some(episode) = &mut self.episode {
            episode.worst = episode.worst.max(step);
            if step > Step::NONE {
                return None;
            }
            let Episode { since, worst, before } = self.episode.take()?;
            let seconds = now.0.saturating_sub(since.0).div_ceil(1_000_000_000);
            let calls = self.left_out().saturating_sub(before);
            return Some(format!(
                "the overload is over after {seconds} s: left out were {}, {calls} calls in all",
                match worst.describe() {
                    most if worst > Step::TEXT => format!("up to {most}"),
                    most => most,
                }
            ));
        }
        self.episode = Some(Episode { since: now, worst: step, before: self.left_out() });
        let why = if load.memory >= load.ring {
            format!("memory for {} % of --max-memory is in use", load.memory)
        } else {
            format!("the ring was {} % full, for want of processor time", load.ring)
        };
        Some(format!(
            "warning: overload: {why}; left out and counted are bodies, then long texts, then \
             whole calls"
        ))
    }
}

fn percent(of: u64, whole: u64) -> u32 {
    u32::try_from(of.saturating_mul(100) / whole.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn watch() -> Watch {
        let budget = Budget { memory: 1 << 40, ..Budget::unlimited() };
        Watch::new(&budget, Arc::default())
    }

    #[test]
    fn people_are_told_once_when_it_begins_and_once_when_it_ends() {
        let mut watch = watch();
        let full = Load { memory: 3, ring: 88, refused: 0 };
        let begins = watch.tell(Time(SECOND), Step::BODIES, full).expect("a warning");
        assert!(begins.starts_with("warning: ") && begins.contains("88 % full"), "{begins}");
        assert_eq!(watch.tell(Time(SECOND), Step::TEXT, full), None);
        watch.stats.lose(Loss::Shed, 17);
        assert_eq!(watch.tell(Time(2 * SECOND), Step::BODIES, Load::default()), None);
        let ends = watch.tell(Time(9 * SECOND), Step::NONE, Load::default()).expect("news");
        assert!(ends.contains("8 s") && ends.contains("17 calls"), "{ends}");
        let again = Load { memory: 90, ..Load::default() };
        let begins = watch.tell(Time(10 * SECOND), Step::BODIES, again).expect("a warning");
        assert!(begins.contains("90 %"), "{begins}");
    }

    #[test]
    fn it_looks_at_intervals_and_sees_overflows() {
        let mut watch = watch();
        let ring = |refused| move || Ring { fill: 0, refused, read: 1000 * refused };
        assert_eq!(watch.look(Time(SECOND), ring(0)), None);
        assert_eq!(watch.look(Time(SECOND + 1), || unreachable!("too soon")), None);
        assert_eq!(watch.look(Time(2 * SECOND), ring(1)), Some(Step::BODIES));
        assert_eq!(watch.look(Time(3 * SECOND), ring(1)), None);
    }
}
