//! The same traffic on the wire: Wireshark and `tracebee replay` tell the same of it.

use std::path::Path;

use anyhow::Result;
use tracebee_tests::report::Report;
use tracebee_tests::span::Span;
use tracebee_tests::wireshark::postgres::{self, Told};

use crate::Setting;
use crate::suites::database::{brief, words};
use crate::suites::differential::replay;

/// As much of a text is told.
const LONG: usize = 4096;

/// Compares all of them: each span is one statement, or some that are the same in one cycle.
pub(super) fn check(report: &mut Report, setting: &Setting, file: &Path, port: u16) -> Result<()> {
    let mut spans = replay(setting, file, &[port])?;
    spans.sort_by_key(|span| span.start);
    let mut told = postgres::told(file, port)?;
    told.sort_by_key(|told| told.start);
    report.check(told.len() > 500, || format!("{} statements", told.len()));
    let mut left = &told[..];
    let mut cycle = None;
    for span in &spans {
        let several =
            span.text("db.query.text").is_some_and(|text| words(text).contains(&";".into()));
        let size = span.int("db.operation.batch.size").filter(|_| !several).unwrap_or(1) as usize;
        // What follows an error in a batch is not carried out.
        let until = left.iter().take(size).position(|told| !told.error.is_empty());
        let size = until.map_or(size, |failed| failed + 1).min(left.len());
        let (of_it, behind) = left.split_at(size);
        left = behind;
        compare(report, span, of_it);
        // The first of a cycle begins with it, and the last ends with it.
        if let (Some(first), Some(last)) = (of_it.first(), of_it.last()) {
            let begins = cycle.replace(first.start) != Some(first.start);
            let ends = left.first().is_none_or(|next| next.start != last.start);
            let times = |begins: bool, start, ends: bool, end| {
                (begins.then_some(start), ends.then_some(end))
            };
            report.equal(
                &format!("wire: times of {}", brief(span)),
                times(begins, first.start, ends, last.end),
                times(begins, span.start, ends, span.end),
            );
        }
    }
    let rest: Vec<&Told> = left.iter().collect();
    report.check(rest.is_empty(), || format!("only wireshark: {rest:#?}"));
    report.note(format!("{} statements on the wire", told.len()));
    Ok(())
}

fn compare(report: &mut Report, span: &Span, told: &[Told]) {
    let what = |field: &str| format!("wire: {field} of {}, by {told:?}", brief(span));
    let (Some(first), Some(last)) = (told.first(), told.last()) else {
        report.fail(what("none"));
        return;
    };
    let text = span.text("db.query.text").unwrap_or_default();
    let ours = words(text);
    let same = |told: &Told| {
        let theirs = words(&told.text);
        // Of a long text the beginning is told.
        theirs == ours || told.text.len() > LONG && theirs.starts_with(&ours)
    };
    report.check(told.iter().all(same), || format!("{}: {ours:?}", what("words")));
    let failed = span.text("error.type").unwrap_or_default();
    report.equal(&what("error"), &*last.error, failed);
    let sum = |of: fn(&Told) -> i64| told.iter().map(of).sum::<i64>();
    let rows = match failed {
        "" => [sum(|told| told.returned), sum(|told| told.affected)],
        _ => [0, 0],
    };
    let said = ["db.response.returned_rows", "tracebee.db.affected_rows"];
    report.equal(&what("rows"), rows, said.map(|key| span.int(key).unwrap_or(0)));
    report.check(first.start <= span.start && span.end <= last.end, || what("time"));
}
