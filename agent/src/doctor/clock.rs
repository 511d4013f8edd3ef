//! Time: spans carry the wall clock, and spans of several hosts are laid side by side.

use super::finding::{Area, Finding};
use super::kernel::read;
use crate::clock::Clock;
use crate::source::Time;

const AREA: Area = Area::Host;
/// 2025-01-01 in Unix seconds: no host that runs this is earlier.
const EARLIEST: u64 = 1_735_689_600;

pub(super) fn check() -> Vec<Finding> {
    let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let boot = Time(boot.tv_sec.unsigned_abs() * 1_000_000_000 + boot.tv_nsec.unsigned_abs());
    let now = Clock::live().unix(boot) / 1_000_000_000;
    let source = read("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    vec![wall(now, synchronised()), counter(source.as_deref())]
}

/// True if the kernel was told that its clock follows another (adjtimex(2), STA_UNSYNC); none if it
/// may not be asked.
fn synchronised() -> Option<bool> {
    // SAFETY: `timex` is plain numbers, for which zero is a value: modes = 0 only reads.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: a valid `timex` to write to.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    (state >= 0).then_some(timex.status & libc::STA_UNSYNC == 0)
}

fn wall(now: u64, synchronised: Option<bool>) -> Finding {
    const TOPIC: &str = "wall clock";
    if now < EARLIEST {
        return AREA.problem(
            TOPIC,
            format!("{now} s after 1970: spans would lie in the past"),
            "set the clock (chrony, systemd-timesyncd)",
        );
    }
    match synchronised {
        Some(false) => AREA.note(
            TOPIC,
            "not synchronised: durations are right, but spans of several hosts may not line up",
            "run a time service (chrony, systemd-timesyncd)",
        ),
        Some(true) => AREA.ok(TOPIC, "synchronised"),
        None => AREA.ok(TOPIC, "set; whether it is synchronised cannot be asked"),
    }
}

/// Each event takes the time twice.
fn counter(source: Option<&str>) -> Finding {
    const TOPIC: &str = "clock source";
    match source {
        Some(slow @ ("hpet" | "acpi_pm" | "refined-jiffies" | "jiffies")) => AREA.note(
            TOPIC,
            format!("{slow}: reading it takes a microsecond or more, at every event"),
            "find out why the kernel does not trust tsc (dmesg); boot with tsc=reliable if it can",
        ),
        Some(source) => AREA.ok(TOPIC, source),
        None => AREA.ok(TOPIC, "unknown"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn clocks() {
        assert_eq!(wall(0, Some(true)).verdict, Verdict::Problem);
        assert_eq!(wall(EARLIEST, Some(true)).verdict, Verdict::Ok);
        assert_eq!(wall(EARLIEST, Some(false)).verdict, Verdict::Note);
        assert_eq!(wall(EARLIEST, None).verdict, Verdict::Ok);
        assert_eq!(counter(Some("tsc")).verdict, Verdict::Ok);
        assert_eq!(counter(Some("hpet")).verdict, Verdict::Note);
        assert_eq!(counter(None).verdict, Verdict::Ok);
        assert!(check().iter().all(|finding| finding.verdict != Verdict::Problem));
    }
}
