//! Which captures are made up.

use std::ops::Range;

/// The seeds: `TRACEBEE_CAPTURES` of them (200), from `TRACEBEE_FIRST_SEED` (0) on.
pub(crate) fn seeds() -> Range<u64> {
    let number = |name, otherwise| match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is a number")),
        Err(_) => otherwise,
    };
    let first = number("TRACEBEE_FIRST_SEED", 0);
    first..first + number("TRACEBEE_CAPTURES", 200)
}
