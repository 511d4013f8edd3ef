//! How much is left out: one step at a time, in a fixed order, with hysteresis.
//!
//! The agent is overloaded if it takes too much of its memory, or if the ring between kernel and
//! agent stays full: it does not get the processor time that it needs. Both have one remedy, less
//! work, and one order: bodies, then long texts, then whole calls, half of them at first.
//!
//! Up is quick, by as much as found no room: a ring that is full loses at random, where shedding
//! loses whole calls. Down is slow, and slower each time that it proved too early.

use tracebee_common::sample::{Share, WHOLE};

use crate::source::Time;

/// What is left out. Each step includes those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step(u8);

impl Step {
    /// All is told.
    pub const NONE: Step = Step(0);
    /// Bodies are not captured beyond the head of a turn, whatever the connection needs.
    pub const BODIES: Step = Step(1);
    /// Long texts are left out of spans.
    pub const TEXT: Step = Step(2);
    /// So many steps sample, each half as much as the one before: down to 1 of 64 calls.
    const HALVINGS: u8 = 6;
    /// 1 of 64 calls.
    const LAST: Step = Step(Self::TEXT.0 + Self::HALVINGS);
    /// No calls at all, and no bytes are kept: memory can only fall.
    pub const ALL: Step = Step(Self::LAST.0 + 1);

    /// Which share of calls is left out.
    pub fn share(self) -> Share {
        if self == Self::ALL {
            return WHOLE;
        }
        WHOLE - (WHOLE >> self.0.saturating_sub(Self::TEXT.0))
    }

    /// For people: what is left out at the most.
    pub fn describe(self) -> String {
        match self {
            Step::NONE => "nothing".to_owned(),
            Step::BODIES => "bodies".to_owned(),
            Step::TEXT => "bodies and long texts".to_owned(),
            Step::ALL => "all calls".to_owned(),
            Step(step) => {
                let of = 1u32 << (step - Self::TEXT.0);
                format!("{} of {of} calls", of - 1)
            }
        }
    }

    /// One step up, or so many that it fits if so much (in percent) did not.
    fn up(self, refused: u32) -> Self {
        let mut step = Step(self.0 + 1);
        let mut told = 50;
        if refused >= told {
            step = step.max(Step(Self::TEXT.0 + 1));
        }
        while 100 - refused.min(100) < told && told > 1 {
            told /= 2;
            step.0 += 1;
        }
        step.min(Self::LAST)
    }

    fn down(self) -> Self {
        Step(self.0.saturating_sub(1))
    }
}

/// How the agent is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Of the memory for what grows, in percent.
    pub memory: u32,
    /// How full the ring was when the agent came to read it, in percent.
    pub ring: u32,
    /// Of the records since the last time, those that found it full, in percent.
    pub refused: u32,
}

/// Above either, one step more.
const HIGH: Load = Load { memory: 80, ring: 60, refused: 1 };
/// Below both for some time, one step less.
const LOW: Load = Load { memory: 65, ring: 20, refused: 1 };
/// From here on nothing more may come in: the rest is for what is under way.
const CRITICAL_MEMORY: u32 = 95;
/// Between two steps up: as long as the last one needs to show. Less than the ring of a tenth of a
/// processor takes to fill.
const SETTLE: u64 = 100_000_000;
/// So long it must be calm before a step down, at first and at most.
const CALM: u64 = 3_000_000_000;
const MAX_CALM: u64 = 60_000_000_000;
/// A step up so soon after a step down says that that was too early.
const RELAPSE: u64 = 10_000_000_000;

/// Decides on steps.
#[derive(Debug)]
pub struct Controller {
    step: Step,
    /// The last step, up or down.
    changed: Time,
    /// The last step was down.
    fell: bool,
    /// Since when it is calm.
    calm: Option<Time>,
    patience: u64,
}

impl Default for Controller {
    fn default() -> Self {
        Self { step: Step::NONE, changed: Time(0), fell: false, calm: None, patience: CALM }
    }
}

impl Controller {
    /// What is left out now.
    pub fn step(&self) -> Step {
        self.step
    }

    /// Takes in how the agent is doing; the new step, if that changes it. To be called at every
    /// turn, and at least a few times a second.
    pub fn observe(&mut self, now: Time, load: Load) -> Option<Step> {
        let before = self.step;
        let high =
            load.memory >= HIGH.memory || load.ring >= HIGH.ring || load.refused >= HIGH.refused;
        let low = load.memory < LOW.memory && load.ring < LOW.ring && load.refused < LOW.refused;
        if !low {
            self.calm = None;
        }
        if load.memory >= CRITICAL_MEMORY {
            self.set(Step::ALL, now);
        } else if high {
            if now.0.saturating_sub(self.changed.0) >= SETTLE && self.step < Step::LAST {
                if self.fell && now.0.saturating_sub(self.changed.0) < RELAPSE {
                    self.patience = (self.patience * 2).min(MAX_CALM);
                }
                self.set(self.step.up(load.refused), now);
            }
        } else if low && self.step > Step::NONE {
            let since = *self.calm.get_or_insert(now);
            if now.0.saturating_sub(since.0) >= self.patience {
                self.set(self.step.down(), now);
                self.calm = Some(now);
            }
        }
        if self.step == Step::NONE && now.0.saturating_sub(self.changed.0) >= MAX_CALM {
            self.patience = CALM;
        }
        (self.step != before).then_some(self.step)
    }

    fn set(&mut self, step: Step, now: Time) {
        if step != self.step {
            self.fell = step < self.step;
            self.step = step;
            self.changed = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const CALM_LOAD: Load = Load { memory: 10, ring: 5, refused: 0 };
    const FULL: Load = Load { memory: 10, ring: 100, refused: 0 };

    /// Gives `load` every 50 ms until `to`; the steps with their times in milliseconds.
    fn run(control: &mut Controller, from: u64, to: u64, load: Load) -> Vec<(u64, Step)> {
        let times = (from..to).step_by(50);
        times.filter_map(|ms| Some((ms, control.observe(Time(ms * MS), load)?))).collect()
    }

    #[test]
    fn shares_halve() {
        assert_eq!([Step::NONE, Step::BODIES, Step::TEXT].map(Step::share), [0, 0, 0]);
        let told = |step: u8| WHOLE - Step(step).share();
        let expected = [2, 4, 8, 16, 32, 64].map(|of| WHOLE / of);
        assert_eq!([3, 4, 5, 6, 7, 8].map(told), expected);
        assert_eq!((Step::LAST, Step::ALL.share()), (Step(8), WHOLE));
        assert_eq!(Step(5).describe(), "7 of 8 calls");
    }

    #[test]
    fn bodies_go_first_then_text_then_calls_and_they_come_back() {
        let mut control = Controller::default();
        let up = run(&mut control, 10_000, 10_350, FULL);
        let steps: Vec<Step> = up.iter().map(|(_, step)| *step).collect();
        assert_eq!(steps, [Step::BODIES, Step::TEXT, Step(3), Step(4)]);
        let down = run(&mut control, 10_350, 60_000, CALM_LOAD);
        let times: Vec<u64> = down.iter().map(|(ms, _)| *ms).collect();
        assert_eq!(times, [13_350, 16_350, 19_350, 22_350]);
        assert_eq!(control.step(), Step::NONE);
    }

    #[test]
    fn between_the_bounds_nothing_changes() {
        let mut control = Controller::default();
        run(&mut control, 10_000, 10_350, FULL);
        let between = Load { memory: 70, ring: 40, refused: 0 };
        assert_eq!(run(&mut control, 10_350, 100_000, between), []);
    }

    #[test]
    fn it_never_sheds_all_for_the_ring_alone() {
        let mut control = Controller::default();
        run(&mut control, 10_000, 60_000, FULL);
        assert_eq!(control.step(), Step::LAST);
    }

    #[test]
    fn memory_at_its_end_lets_nothing_in_at_once_and_frees_step_by_step() {
        let mut control = Controller::default();
        let load = Load { memory: 96, ..CALM_LOAD };
        assert_eq!(control.observe(Time(1), load), Some(Step::ALL));
        assert_eq!(control.observe(Time(2), load), None);
        let freed = run(&mut control, 1, 10_000, Load { memory: 60, ..CALM_LOAD });
        assert_eq!(freed[0], (3001, Step::LAST));
    }

    #[test]
    fn coming_back_too_early_is_learnt_from() {
        let mut control = Controller::default();
        let mut now = 10_000;
        let mut waits = Vec::new();
        for _ in 0..7 {
            while control.step() < Step(3) {
                now += 50;
                control.observe(Time(now * MS), FULL);
            }
            let begun = now;
            while control.step() == Step(3) {
                now += 50;
                control.observe(Time(now * MS), CALM_LOAD);
            }
            waits.push((now - begun) / 1000);
        }
        assert_eq!(waits, [3, 6, 12, 24, 48, 60, 60]);
        run(&mut control, now, now + 500_000, CALM_LOAD);
        assert_eq!(control.step(), Step::NONE);
        assert_eq!(control.patience, CALM);
    }

    #[test]
    fn what_finds_no_room_is_overload_and_says_how_much() {
        let first = |refused| {
            let load = Load { refused, ..CALM_LOAD };
            Controller::default().observe(Time(1000 * MS), load).expect("overload")
        };
        assert_eq!([1, 49].map(first), [Step::BODIES, Step::BODIES]);
        // A half found no room: a half is left out. Nine tenths: 15 of 16.
        assert_eq!([50, 74, 76, 90].map(first), [Step(3), Step(4), Step(5), Step(6)]);
        assert_eq!([99, 100].map(first), [Step::LAST, Step::LAST]);
        assert_eq!(Step(4).up(76), Step(7), "a quarter of what was told until now");
    }
}
