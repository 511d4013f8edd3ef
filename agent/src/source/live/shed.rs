//! What the kernel is told to leave out, and when.

use tracebee_common::Load;

use crate::limit::shed::Step;
use crate::source::Time;

/// The answering ends leave out more so much later than the asking ends: a request that was told
/// of when it was sent is read by then, or waits in a server that is far behind.
const FOLLOW: u64 = 1_000_000_000;

/// What the kernel was told last, and what it is to be told later.
#[derive(Debug, Default)]
pub(super) struct Shed {
    told: Load,
    /// Share of the answering ends, from that time on.
    follows: Option<(Time, u32)>,
}

impl Shed {
    /// So much is left out from `now` on; what to tell the kernel.
    pub(super) fn step(&mut self, step: Step, now: Time) -> Load {
        let share = step.share();
        self.told.no_bodies = u32::from(step >= Step::BODIES);
        self.told.asked = share;
        if share > self.told.answered {
            self.follows = Some((Time(now.0.saturating_add(FOLLOW)), share));
        } else {
            self.told.answered = share;
            self.follows = None;
        }
        self.told
    }

    /// New connections are left out, or no longer; what to tell the kernel.
    pub(super) fn full(&mut self, full: bool) -> Load {
        self.told.no_connections = u32::from(full);
        self.told
    }

    /// What to tell the kernel `now`, if it is time for something.
    pub(super) fn due(&mut self, now: Time) -> Option<Load> {
        let (_, share) = self.follows.take_if(|(at, _)| *at <= now)?;
        self.told.answered = share;
        Some(self.told)
    }
}

#[cfg(test)]
mod tests {
    use tracebee_common::sample::WHOLE;

    use super::*;

    #[test]
    fn answering_ends_follow_up_later_and_down_at_once() {
        let mut shed = Shed::default();
        let now = Time(10 * FOLLOW);
        let load = shed.step(Step::ALL, now);
        assert_eq!((load.asked, load.answered, load.no_bodies), (WHOLE, 0, 1));
        assert_eq!(shed.due(Time(now.0 + FOLLOW - 1)), None);
        assert_eq!(shed.full(true).answered, 0);
        let load = shed.due(Time(now.0 + FOLLOW)).expect("it is time");
        assert_eq!((load.asked, load.answered, load.no_connections), (WHOLE, WHOLE, 1));
        assert_eq!(shed.due(Time(u64::MAX)), None);
        let load = shed.step(Step::BODIES, now);
        assert_eq!((load.asked, load.answered, load.no_bodies), (0, 0, 1));
        shed.step(Step::ALL, now);
        assert_eq!(shed.step(Step::NONE, now), Load { no_connections: 1, ..Load::default() });
        assert_eq!(shed.due(Time(u64::MAX)), None, "over before it was followed");
    }
}
