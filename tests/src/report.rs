//! What a suite found: failures with their reasons, and counts for people.

/// Failures that are printed: the first ones tell the story, the rest goes to a file.
const MAX_PRINTED: usize = 25;

/// The findings of one suite.
#[derive(Debug, Default)]
pub struct Report {
    failures: Vec<String>,
    checked: usize,
    notes: Vec<String>,
}

impl Report {
    /// Adds a failure with `message` unless `holds`.
    pub fn check(&mut self, holds: bool, message: impl FnOnce() -> String) {
        self.checked += 1;
        if !holds {
            self.failures.push(message());
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
        self.failures.is_empty()
    }

    /// The figures, for the summary line.
    pub fn summary(&self) -> String {
        let mut parts = self.notes.clone();
        parts.push(format!("{} checks", self.checked));
        if !self.failures.is_empty() {
            parts.push(format!("{} FAILED", self.failures.len()));
        }
        parts.join(", ")
    }

    /// The first failures, one a line.
    pub fn failures(&self) -> String {
        let first = &self.failures[..self.failures.len().min(MAX_PRINTED)];
        let mut text = first.join("\n");
        if self.failures.len() > first.len() {
            text += &format!("\n... and {} more", self.failures.len() - first.len());
        }
        text
    }

    /// All of them.
    pub fn all_failures(&self) -> String {
        self.failures.join("\n")
    }
}
