//! The host that all observed processes share, and what follows from it: identities and times.

use std::fs;

use uuid::Uuid;

use crate::clock::Clock;
use crate::source::Time;

/// The namespace that the conventions give for `service.instance.id` (semantic conventions,
/// `service` resource).
const INSTANCES: Uuid = Uuid::from_u128(0x4d63009a_8d0f_11ee_aad7_4c796ed8e320);

/// This host.
#[derive(Clone, Debug)]
pub(super) struct Host {
    /// `host.name`.
    pub(super) name: String,
    /// `host.id`: the machine id, empty if there is none.
    pub(super) id: String,
    /// Clock ticks per second of `/proc/PID/stat`.
    ticks: u64,
    clock: Clock,
}

impl Host {
    /// Reads what there is to know.
    pub(super) fn read() -> Self {
        let read = |path| fs::read_to_string(path).ok().map(|text: String| text.trim().to_owned());
        let id = read("/etc/machine-id").filter(|id| !id.is_empty());
        let id = id.or_else(|| read("/var/lib/dbus/machine-id"));
        let uname = rustix::system::uname();
        Self {
            name: uname.nodename().to_string_lossy().into_owned(),
            id: id.unwrap_or_default(),
            ticks: rustix::param::clock_ticks_per_second().max(1),
            clock: Clock::live(),
        }
    }

    /// `host.arch`.
    pub(super) fn arch() -> &'static str {
        match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "x86",
            "arm" => "arm32",
            other => other,
        }
    }

    /// `service.instance.id`: the same for a process as long as it lives, on any agent run.
    pub(super) fn instance(&self, pid: u32, started: u64) -> String {
        let place = if self.id.is_empty() { &self.name } else { &self.id };
        Uuid::new_v5(&INSTANCES, format!("{place}:{pid}:{started}").as_bytes()).to_string()
    }

    /// A start time in ticks after boot, as `/proc/PID/stat` has it.
    pub(super) fn ticks(&self, started: Time) -> u64 {
        let ticks = u128::from(started.0) * u128::from(self.ticks) / 1_000_000_000;
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }

    /// `process.creation.time`, RFC 3339, of a start time in ticks after boot.
    pub(super) fn creation_time(&self, started: u64) -> String {
        let nanoseconds = u128::from(started) * 1_000_000_000 / u128::from(self.ticks);
        let unix = self.clock.unix(Time(nanoseconds.try_into().unwrap_or(u64::MAX)));
        rfc3339(unix / 1_000_000)
    }
}

/// Unix milliseconds as UTC.
fn rfc3339(milliseconds: u64) -> String {
    let (days, rest) = (milliseconds / 86_400_000, milliseconds % 86_400_000);
    let (year, month, day) = date(days);
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    let (second, fraction) = (rest / 1000 % 60, rest % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z")
}

/// The Gregorian date of a day after 1970-01-01. Years are counted from March, so that the leap
/// day is a year's last, in eras of 400 years.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_799, "2000-02-29T23:59:59.000Z"),
            (1_078_012_800, "2004-02-29T00:00:00.000Z"),
            (1_709_251_200, "2024-03-01T00:00:00.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(seconds * 1000), text);
        }
        assert_eq!(rfc3339(1_715_941_230_042), "2024-05-17T10:20:30.042Z");
    }

    #[test]
    fn instances_are_stable_and_distinct() {
        let host = Host { id: "0123".into(), ..Host::read() };
        let id = host.instance(7, 99);
        assert_eq!(id, host.instance(7, 99));
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "5");
        assert_ne!(id, host.instance(8, 99));
        assert_ne!(id, host.instance(7, 98));
        assert_ne!(id, Host { id: "0124".into(), ..host }.instance(7, 99));
    }
}
