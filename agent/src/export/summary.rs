//! The last words: what was traced and what was lost.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::stats::{Loss, Stats};

/// Renders the summary for people, one or two lines, with a newline at the end.
///
/// Reasons that lost nothing are left out; `exported` too where no receiver was ever asked.
pub fn render(stats: &Stats) -> String {
    let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let mut text =
        format!("{}, {}", things(value(&stats.calls), "call"), things(value(&stats.spans), "span"));
    let exported = value(&stats.exported);
    let tried = [Loss::ExportFailed, Loss::ExportRejected];
    if exported > 0 || tried.iter().any(|reason| stats.lost(*reason) > 0) {
        _ = write!(text, ", {} exported", grouped(exported));
    }
    let unsampled = value(&stats.unsampled);
    if unsampled > 0 {
        _ = write!(text, ", {} not sampled", grouped(unsampled));
    }
    let unlinked = value(&stats.unlinked);
    if unlinked > 0 {
        _ = write!(text, ", {} unlinked", grouped(unlinked));
    }
    let lost: Vec<String> = Loss::ALL
        .into_iter()
        .filter(|reason| stats.lost(*reason) > 0)
        .map(|reason| format!("{} {}", grouped(stats.lost(reason)), reason.name()))
        .collect();
    if lost.is_empty() {
        text.push_str(", nothing lost\n");
    } else {
        _ = writeln!(text, "\nlost: {}", lost.join(", "));
    }
    text
}

fn things(n: u64, name: &str) -> String {
    format!("{} {name}{}", grouped(n), if n == 1 { "" } else { "s" })
}

/// `1234567` as `1,234,567`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_run() {
        let stats = Stats::default();
        stats.calls.store(1, Ordering::Relaxed);
        stats.spans.store(2, Ordering::Relaxed);
        assert_eq!(render(&stats), "1 call, 2 spans, nothing lost\n");
    }

    #[test]
    fn losses_by_reason_without_zeros() {
        let stats = Stats::default();
        stats.calls.store(1_234_567, Ordering::Relaxed);
        stats.spans.store(999, Ordering::Relaxed);
        stats.exported.store(1000, Ordering::Relaxed);
        stats.unlinked.store(12, Ordering::Relaxed);
        stats.lose(Loss::QueueFull, 1024);
        stats.lose(Loss::Gap, 3);
        assert_eq!(
            render(&stats),
            "1,234,567 calls, 999 spans, 1,000 exported, 12 unlinked\nlost: 3 gap, 1,024 queue_full\n"
        );
    }
}
