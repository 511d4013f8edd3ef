//! The same traffic on the wire: Wireshark and `tracebee replay` tell the same of it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use tracebee_tests::report::Report;
use tracebee_tests::span::Span;
use tracebee_tests::wireshark::amqp::{self, Told};

use crate::Setting;
use crate::suites::differential::replay;

/// What both tell of a message; none of what only we tell by itself.
fn line_of_span(span: &Span) -> Option<String> {
    let text = |key| span.text(key).unwrap_or_default();
    let operation = text("messaging.operation.name");
    let returned = operation == "publish" && text("error.type") == "312";
    if matches!(operation, "close" | "return") || span.error && !returned {
        return None;
    }
    let number = |key| span.int(key).unwrap_or_default();
    let has = |key| span.attributes.contains_key(key);
    let destination = text("messaging.destination.name");
    Some(format!(
        "{} {} {operation} {} {} of {} bytes, tag {}, {}{}{}",
        span.start,
        span.end,
        // Where it was sent: the queue is only known by what the client said before.
        if operation == "publish" { destination } else { "" },
        text("messaging.rabbitmq.destination.routing_key"),
        number("messaging.message.body.size"),
        number("messaging.rabbitmq.message.delivery_tag"),
        text("tracebee.messaging.settled"),
        if has("tracebee.messaging.confirmed") { "confirmed " } else { "" },
        if has("tracebee.messaging.redelivered") { "again" } else { "" },
    ))
}

fn line_of_told(told: &Told) -> String {
    let Told { start, end, operation, exchange, key, size, tag, .. } = told;
    let parts = [&**exchange, key].into_iter().filter(|part| !part.is_empty());
    let destination = parts.collect::<Vec<_>>().join(":");
    format!(
        "{start} {end} {operation} {} {key} of {size} bytes, tag {tag}, {}{}{}",
        if *operation == "publish" { &*destination } else { "" },
        told.settled.unwrap_or_default(),
        if told.confirmed { "confirmed " } else { "" },
        if told.redelivered { "again" } else { "" },
    )
}

/// Compares all of them.
pub(super) fn check(report: &mut Report, setting: &Setting, file: &Path, port: u16) -> Result<()> {
    let spans = replay(setting, file, &[port])?;
    let mut difference: BTreeMap<String, i32> = BTreeMap::new();
    let mut count = 0;
    for line in spans.iter().filter_map(line_of_span) {
        *difference.entry(line).or_default() += 1;
        count += 1;
    }
    for line in amqp::told(file, port)?.iter().map(line_of_told) {
        *difference.entry(line).or_default() -= 1;
    }
    report.check(count > 50, || format!("{count} messages"));
    for (line, number) in difference.iter().filter(|(_, number)| **number != 0) {
        let whose = if *number > 0 { "only tracebee" } else { "only wireshark" };
        report.fail(format!("{whose}: {line}"));
    }
    report.note(format!("{count} messages on the wire"));
    Ok(())
}
