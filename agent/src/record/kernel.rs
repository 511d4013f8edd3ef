//! What the kernel side has lost: a replay cannot find that out.

use crate::stats::{Loss, Stats};

/// Reasons of the kernel side. Others count some of them too, so that totals do not tell.
const REASONS: [Loss; 4] = [Loss::RingFull, Loss::Recursion, Loss::Unreadable, Loss::TableFull];

/// The kernel's losses since the beginning, by reason, and what the recording knows of them.
#[derive(Debug, Default)]
pub(super) struct Kernel {
    totals: [u64; REASONS.len()],
    told: [u64; REASONS.len()],
}

impl Kernel {
    /// Runs `collect`, which counts in `stats` what the kernel side has lost.
    pub(super) fn collect(&mut self, stats: &Stats, collect: impl FnOnce()) {
        let before = REASONS.map(|reason| stats.lost(reason));
        collect();
        for ((reason, before), total) in REASONS.into_iter().zip(before).zip(&mut self.totals) {
            *total += stats.lost(reason).saturating_sub(before);
        }
    }

    /// A reason with its total, if the recording knows another one.
    pub(super) fn news(&mut self) -> Option<(Loss, u64)> {
        let n = (0..REASONS.len()).find(|n| self.told[*n] != self.totals[*n])?;
        self.told[n] = self.totals[n];
        Some((REASONS[n], self.totals[n]))
    }

    /// The recording may know nothing any more.
    pub(super) fn forget(&mut self) {
        self.told = Default::default();
    }
}
