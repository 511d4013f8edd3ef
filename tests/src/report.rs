//! What a suite found: failures with their reasons, and counts for people.

/// Failures after which a suite only counts: the first ones tell the story.
const MAX_PRINTED: usize = 25;

/// The findings of one suite.
#[derive(Debug, Default)]
pub struct Report {
    failures: Vec<String>,
    failed: usize,
    checked: usize,
    notes: Vec<String>,
}

impl Report {
    /// Adds a failure with `message` unless `holds`.
    pub fn check(&mut self, holds: bool, message: impl FnOnce() -> String) {
        self.checked += 1;
        if !holds {
            self.failed += 1;
            if self.failures.len() < MAX_PRINTED {
                self.failures.push(message());
            }
        }
    }

    /// Adds a failure unless the two are equal.
    pub fn equal<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, expected: T, got: T) {
        self.check(expected == got, || format!("{what}: expected {expected:?}, got {got:?}"));
    }

    /// Adds a failure.
    pub fn fail(&mut self, message: impl Into<String>) {
        self.check(false, || message.into());
    }

    /// Adds a count or a figure that the summary line shows.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// True if nothing failed.
    pub fn passed(&self) -> bool {
        self.failed == 0
    }

    /// The figures, for the summary line.
    pub fn summary(&self) -> String {
        let mut parts = self.notes.clone();
        parts.push(format!("{} checks", self.checked));
        if self.failed > 0 {
            parts.push(format!("{} FAILED", self.failed));
        }
        parts.join(", ")
    }

    /// The first failures, one a line.
    pub fn failures(&self) -> String {
        let mut text = self.failures.join("\n");
        if self.failed > self.failures.len() {
            text += &format!("\n... and {} more", self.failed - self.failures.len());
        }
        text
    }
}
