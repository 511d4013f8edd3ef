//! The same traffic on the wire: Wireshark and `tracebee replay` tell the same of it.

use std::path::Path;

use anyhow::Result;
use tracebee_tests::report::Report;
use tracebee_tests::span::Span;
use tracebee_tests::wireshark::mysql::{self, Told};

use crate::Setting;
use crate::suites::differential::replay;

/// A call as both tell it: when it began and ended, its command and outcome.
fn line_of_span(span: &Span) -> String {
    let text = span.text("db.query.text").unwrap_or_default();
    line(
        (span.start, span.end),
        text,
        span.text("db.response.status_code").unwrap_or_default(),
        span.int("tracebee.db.affected_rows").unwrap_or_default(),
    )
}

fn line_of_told(told: &Told) -> String {
    line((told.start, told.end), &told.text, &told.error, told.affected)
}

fn line((start, end): (u64, u64), text: &str, error: &str, affected: i64) -> String {
    let word = text.split(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty());
    format!("{start} {end} {} {error} {affected}", word.unwrap_or_default())
}

/// Compares all of them.
pub(super) fn check(report: &mut Report, setting: &Setting, file: &Path, port: u16) -> Result<()> {
    let mut spans = replay(setting, file, &[port])?;
    spans.sort_by_key(|span| span.start);
    let ours: Vec<String> = spans.iter().map(line_of_span).collect();
    let theirs: Vec<String> = mysql::told(file, port)?.iter().map(line_of_told).collect();
    let cut = spans.iter().any(|span| span.attributes.contains_key("tracebee.db.response_cut"));
    report.check(!cut, || "cut, although nothing is missing".into());
    report.check(ours.len() > 300, || format!("{} calls", ours.len()));
    // Wireshark loses its way at the longest packets, one call of each client and what follows.
    let only: Vec<&String> = ours.iter().filter(|line| !theirs.contains(line)).collect();
    report.check(only.len() <= 3, || format!("only tracebee: {only:#?}"));
    for line in theirs.iter().filter(|line| !ours.contains(line)) {
        report.fail(format!("only wireshark: {line}"));
    }
    report.note(format!("{} calls on the wire", ours.len()));
    Ok(())
}
