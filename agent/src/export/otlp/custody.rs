//! Spans that left the queue and are not delivered yet.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::stats::{Loss, Stats};

/// Answers for a number of spans: each is counted exactly once, as exported or as lost.
///
/// Spans that nobody settled when this is dropped are lost. So a delivery that is aborted (the
/// deadline of the shutdown) or panics still counts right.
#[derive(Debug)]
pub(super) struct Custody {
    spans: u64,
    stats: Arc<Stats>,
}

impl Custody {
    pub(super) fn new(spans: usize, stats: Arc<Stats>) -> Self {
        Custody { spans: spans as u64, stats }
    }

    /// How many are not settled.
    pub(super) fn spans(&self) -> u64 {
        self.spans
    }

    /// Hands `spans` of these to a custody of their own.
    pub(super) fn split(&mut self, spans: usize) -> Custody {
        let spans = (spans as u64).min(self.spans);
        self.spans -= spans;
        Custody { spans, stats: Arc::clone(&self.stats) }
    }

    /// The receiver took them, but for `rejected`.
    pub(super) fn delivered(mut self, rejected: u64) {
        let rejected = rejected.min(self.spans);
        self.stats.exported.fetch_add(self.spans - rejected, Ordering::Relaxed);
        self.stats.lose(Loss::ExportRejected, rejected);
        self.spans = 0;
    }
}

impl Drop for Custody {
    fn drop(&mut self) {
        self.stats.lose(Loss::ExportFailed, self.spans);
    }
}
