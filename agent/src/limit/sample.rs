//! Which calls are left out, so that both ends of a call on this host share its fate.
//!
//! The end that asks decides by the share in force when the request is sent. The other end, which
//! reads it later, when the share may be another, follows: it is told if the asking end is known to
//! be. If that is not known, it is told only if no share in force for so long as a request may be
//! under way would have left it out.

use std::collections::VecDeque;

use tracebee_common::sample::Share;

use crate::link::KEEP;
use crate::source::Time;

/// The share in force, and those of the recent past.
#[derive(Debug, Default)]
pub struct Sampling {
    now: Share,
    /// Shares that were in force until that time, later ones smaller ones.
    past: VecDeque<(Time, Share)>,
}

impl Sampling {
    /// From `time` on, this share is left out.
    pub fn set(&mut self, share: Share, time: Time) {
        // Those that are not larger say nothing that the new one does not.
        while self.past.back().is_some_and(|(_, past)| *past <= self.now) {
            self.past.pop_back();
        }
        if self.now > share {
            self.past.push_back((time, self.now));
        }
        self.now = share;
    }

    /// Forgets what no request under way can have been decided by.
    pub fn expire(&mut self, now: Time) {
        while self.past.front().is_some_and(|(until, _)| until.0.saturating_add(KEEP) < now.0) {
            self.past.pop_front();
        }
    }

    /// True if the end that asks leaves out the call with this number.
    pub fn leaves_out(&self, number: Share) -> bool {
        number < self.now
    }

    /// True if the asking end may have left it out.
    pub fn may_have_left_out(&self, number: Share) -> bool {
        number < self.past.front().map_or(self.now, |(_, past)| self.now.max(*past))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn nothing_is_left_out_at_first() {
        assert!(!Sampling::default().leaves_out(0));
        assert!(!Sampling::default().may_have_left_out(0));
    }

    #[test]
    fn a_falling_share_is_remembered_as_long_as_requests_may_be_under_way() {
        let mut sampling = Sampling::default();
        let at = |second: u64| Time(second * SECOND);
        for (second, share) in [(10, 100), (20, 300), (30, 200), (40, 50), (45, 60), (50, 0)] {
            sampling.set(share, at(second));
        }
        assert!(!sampling.leaves_out(0) && sampling.may_have_left_out(299));
        assert!(!sampling.may_have_left_out(300));
        sampling.expire(at(60));
        assert!(sampling.may_have_left_out(299));
        sampling.expire(at(61));
        assert!(!sampling.may_have_left_out(200) && sampling.may_have_left_out(199));
        sampling.expire(at(71));
        assert!(!sampling.may_have_left_out(60) && sampling.may_have_left_out(59));
        sampling.expire(at(81));
        assert!(!sampling.may_have_left_out(0) && sampling.past.is_empty());
    }

    #[test]
    fn the_past_is_short_however_often_it_changes() {
        let mut sampling = Sampling::default();
        for n in 0..100_000u64 {
            sampling.set((n % 64) as Share, Time(n));
        }
        assert!(sampling.past.len() <= 64);
    }
}
