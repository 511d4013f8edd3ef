//! Boot time becomes Unix time.
//!
//! Events carry `CLOCK_BOOTTIME`, which neither jumps nor stops while the host sleeps. Spans need
//! Unix time, so one offset (`CLOCK_REALTIME - CLOCK_BOOTTIME`) is kept and measured again now and
//! then: it follows steps of the wall clock (an administrator, NTP, a resumed VM) and its slewing.

use rustix::time::{ClockId, clock_gettime};

use crate::source::Time;

/// Readings per measurement: the tightest of a few is rarely disturbed by the scheduler.
const READINGS: usize = 5;

/// A change of the offset from which it is called a step, in nanoseconds. `adjtime` slews at most
/// 0.5 ms per second, so that anchors a few seconds apart never look like a step.
const STEP: u64 = 5_000_000;

/// Turns the time of events into Unix time.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Unix time minus boot time, in nanoseconds.
    offset: i64,
    fixed: bool,
}

/// What [`Clock::re_anchor`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The offset is what it was, as exactly as it can be measured.
    Same,
    /// The wall clock drifted against boot time by so many nanoseconds.
    Slewed(i64),
    /// The wall clock was set: by so many nanoseconds.
    Stepped(i64),
}

/// One measurement: the wall clock read between two readings of boot time, all in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Boot time before.
    pub before: u64,
    /// Unix time.
    pub unix: u64,
    /// Boot time after.
    pub after: u64,
}

impl Clock {
    /// A clock that follows this host.
    pub fn live() -> Self {
        let (offset, _) = tightest(now()).unwrap_or_default();
        Self { offset, fixed: false }
    }

    /// A clock with a constant offset (Unix time minus boot time, in nanoseconds): for events that
    /// were recorded elsewhere.
    pub fn fixed(offset: i64) -> Self {
        Self { offset, fixed: true }
    }

    /// Unix time in nanoseconds.
    pub fn unix(&self, time: Time) -> u64 {
        time.0.saturating_add_signed(self.offset)
    }

    /// Unix start and end of an interval. The start is converted and the duration added: whatever
    /// happens to the wall clock, the end is not before the start and the duration is right.
    pub fn interval(&self, started: Time, ended: Time) -> (u64, u64) {
        let start = self.unix(started);
        (start, start.saturating_add(ended.0.saturating_sub(started.0)))
    }

    /// Unix time minus boot time, in nanoseconds.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Gives a fixed clock another offset, as it was when the events were recorded.
    pub fn anchor(&mut self, offset: i64) {
        debug_assert!(self.fixed, "a live clock measures its offset");
        self.offset = offset;
    }

    /// Measures the offset again; to be called about every second. Does nothing to a fixed clock.
    pub fn re_anchor(&mut self) -> Anchor {
        if self.fixed { Anchor::Same } else { self.re_anchor_with(now()) }
    }

    /// The same with given readings.
    pub fn re_anchor_with(&mut self, readings: impl IntoIterator<Item = Reading>) -> Anchor {
        let Some((offset, uncertainty)) = tightest(readings) else { return Anchor::Same };
        let change = offset.saturating_sub(self.offset);
        // Within the uncertainty the old value is as good as the new one, and it does not jitter.
        if change.unsigned_abs() <= uncertainty {
            return Anchor::Same;
        }
        self.offset = offset;
        if change.unsigned_abs() >= STEP { Anchor::Stepped(change) } else { Anchor::Slewed(change) }
    }
}

/// Offset and its uncertainty by the reading that took the least time.
fn tightest(readings: impl IntoIterator<Item = Reading>) -> Option<(i64, u64)> {
    readings.into_iter().filter(|r| r.after >= r.before).min_by_key(|r| r.after - r.before).map(
        |Reading { before, unix, after }| {
            let half = (after - before) / 2;
            ((unix as i64).wrapping_sub((before + half) as i64), half)
        },
    )
}

fn now() -> impl Iterator<Item = Reading> {
    (0..READINGS).map(|_| Reading {
        before: read(ClockId::Boottime),
        unix: read(ClockId::Realtime),
        after: read(ClockId::Boottime),
    })
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000_000_000;

    fn reading(before: u64, unix: u64, width: u64) -> Reading {
        Reading { before, unix, after: before + width }
    }

    #[test]
    fn the_tightest_reading_decides() {
        let mut clock = Clock::fixed(0);
        let anchor = clock.re_anchor_with([
            reading(1000, HOUR, 500_000),
            reading(2000, HOUR + 2050, 100),
            reading(3000, HOUR, 90_000),
        ]);
        assert_eq!(anchor, Anchor::Stepped(HOUR as i64));
        assert_eq!(clock.offset(), HOUR as i64);
    }

    #[test]
    fn noise_does_not_move_it() {
        let mut clock = Clock::fixed(1_000_000);
        assert_eq!(clock.re_anchor_with([reading(5000, 1_005_070, 200)]), Anchor::Same);
        assert_eq!(clock.offset(), 1_000_000);
        assert_eq!(clock.re_anchor_with([]), Anchor::Same);
    }

    #[test]
    fn it_follows_slews_and_steps_both_ways() {
        let mut clock = Clock::fixed(HOUR as i64);
        assert_eq!(
            clock.re_anchor_with([reading(0, HOUR + 400_050, 100)]),
            Anchor::Slewed(400_000)
        );
        assert_eq!(clock.unix(Time(7)), HOUR + 400_007);
        assert_eq!(
            clock.re_anchor_with([reading(0, HOUR - 1_000_000_000 + 50, 100)]),
            Anchor::Stepped(-1_000_400_000)
        );
        assert_eq!(clock.unix(Time(7)), HOUR - 1_000_000_000 + 7);
    }

    #[test]
    fn an_interval_keeps_its_duration() {
        let clock = Clock::fixed(HOUR as i64);
        assert_eq!(clock.interval(Time(10), Time(25)), (HOUR + 10, HOUR + 25));
        // Events out of order: the end is not before the start.
        assert_eq!(clock.interval(Time(25), Time(10)), (HOUR + 25, HOUR + 25));
        assert_eq!(Clock::fixed(-50).interval(Time(10), Time(15)), (0, 5));
    }

    #[test]
    fn a_live_clock_agrees_with_the_system() {
        let mut clock = Clock::live();
        let _ = clock.re_anchor();
        let unix = clock.unix(Time(read(ClockId::Boottime)));
        assert!(unix.abs_diff(read(ClockId::Realtime)) < 1_000_000_000);
    }
}
