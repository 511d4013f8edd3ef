//! One line of the report.

use serde::Serialize;

/// What a finding means for tracing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// Tracing works, with less or at a higher price.
    Note,
    /// Tracing does not work, or its spans would not be right or not arrive.
    Problem,
}

/// What was looked at, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Area {
    /// What the kernel is and has.
    Kernel,
    /// What this process may do.
    Privileges,
    /// How sockets can be watched.
    Capture,
    /// What can be seen of the host and its processes.
    Host,
    /// Where spans go.
    Export,
}

/// Something that was looked at, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) area: Area,
    pub(super) topic: &'static str,
    pub(super) verdict: Verdict,
    /// What is.
    pub(super) what: String,
    /// What to do about it.
    pub(super) remedy: Option<String>,
}

impl Area {
    /// As it should be.
    pub(super) fn ok(self, topic: &'static str, what: impl Into<String>) -> Finding {
        Finding { area: self, topic, verdict: Verdict::Ok, what: one_line(what), remedy: None }
    }

    /// Works, but.
    pub(super) fn note(
        self,
        topic: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Finding {
        let remedy = Some(one_line(remedy)).filter(|remedy| !remedy.is_empty());
        Finding { area: self, topic, verdict: Verdict::Note, what: one_line(what), remedy }
    }

    /// Does not work, and what to do.
    pub(super) fn problem(
        self,
        topic: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Finding {
        let remedy = Some(one_line(remedy));
        Finding { area: self, topic, verdict: Verdict::Problem, what: one_line(what), remedy }
    }
}

/// Longest text of a finding, in characters; errors of the kernel can be pages.
const MAX_TEXT: usize = 400;

/// Text that comes from elsewhere must not break the line.
fn one_line(text: impl Into<String>) -> String {
    let text: String = text.into();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line() {
        let finding = Area::Kernel.problem("x", "a\n  b\tc ", "do\nit");
        assert_eq!((finding.what.as_str(), finding.remedy.as_deref()), ("a b c", Some("do it")));
        let long = Area::Kernel.ok("x", "ä".repeat(1000));
        assert_eq!(long.what.chars().count(), MAX_TEXT + 3);
        assert_eq!(Area::Kernel.note("x", "y", "").remedy, None);
    }
}
