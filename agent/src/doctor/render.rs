//! The report as text for people and as JSON for machines.

use super::Report;
use super::finding::{Area, Finding, Verdict};
use super::processes::{Links, Observed, Processes};
use crate::export::output::{colour_on_stdout, terminal_columns};
use crate::export::text::paint::{Style, paint};
use crate::export::text::width::{clean, fit, width_of};

/// How the text looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    colour: bool,
    /// Width of the terminal; none if the output is not one.
    columns: Option<usize>,
}

impl Look {
    pub(super) fn of_stdout() -> Self {
        Self { colour: colour_on_stdout(), columns: terminal_columns() }
    }
}

/// Widest service name that is shown whole.
const SERVICE_WIDTH: usize = 24;
/// Peers of one process that are shown.
const PEERS: usize = 3;
/// Ports of one process that are shown.
const PORTS: usize = 5;

/// One JSON object on a line.
pub(super) fn json(report: &Report) -> String {
    // Texts and numbers only: nothing in it can fail to be written.
    let mut text = serde_json::to_string(report).unwrap_or_default();
    text.push('\n');
    text
}

pub(super) fn text(report: &Report, look: &Look) -> String {
    let mut out = String::new();
    let width = report.findings.iter().map(|finding| finding.topic.len()).max().unwrap_or(0);
    let mut area: Option<Area> = None;
    for finding in &report.findings {
        if area.replace(finding.area) != Some(finding.area) {
            heading(&mut out, finding.area.name(), look);
        }
        line(&mut out, finding, width, look);
    }
    table(&mut out, &report.processes, look);
    out.push('\n');
    let problems = report.findings.iter().filter(|f| f.verdict == Verdict::Problem).count();
    match report.capture {
        Some(capture) if report.works => {
            paint(&mut out, Style::Good, &format!("tracing works, capture={capture}"), look.colour);
        }
        _ => {
            let s = if problems == 1 { "" } else { "s" };
            let verdict = format!("tracing cannot work as it should: {problems} problem{s}");
            paint(&mut out, Style::Error, &verdict, look.colour);
        }
    }
    out.push('\n');
    out
}

impl Area {
    fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Privileges => "privileges",
            Self::Capture => "capture",
            Self::Host => "host",
            Self::Export => "export",
        }
    }
}

fn heading(out: &mut String, name: &str, look: &Look) {
    if !out.is_empty() {
        out.push('\n');
    }
    paint(out, Style::Bold, name, look.colour);
    out.push('\n');
}

fn line(out: &mut String, finding: &Finding, width: usize, look: &Look) {
    let (word, style) = match finding.verdict {
        Verdict::Ok => ("ok", Style::Good),
        Verdict::Note => ("note", Style::Warn),
        Verdict::Problem => ("problem", Style::Error),
    };
    out.push_str("  ");
    paint(out, style, word, look.colour);
    pad(out, word.len(), 9);
    out.push_str(finding.topic);
    pad(out, finding.topic.len(), width + 2);
    out.push_str(&clean(&finding.what));
    if let Some(remedy) = &finding.remedy {
        out.push_str("; to do: ");
        out.push_str(&clean(remedy));
    }
    out.push('\n');
}

fn table(out: &mut String, found: &Processes, look: &Look) {
    heading(out, "processes with TCP sockets", look);
    if found.processes.is_empty() {
        out.push_str("  none\n");
    } else {
        let head = ["PID", "SERVICE", "RUNTIME", "CALLERS", "INSIDE", "SOCKETS"].map(str::to_owned);
        let mut rows = vec![head];
        rows.extend(found.processes.iter().map(row));
        let width =
            |column: usize| rows.iter().map(|row| width_of(&row[column])).max().unwrap_or(0);
        let widths: Vec<usize> = (0..5).map(width).collect();
        for (number, row) in rows.iter().enumerate() {
            let style = if number == 0 { Style::Dim } else { Style::Plain };
            let mut text = String::from("  ");
            for (cell, width) in row.iter().zip(&widths) {
                text.push_str(cell);
                pad(&mut text, width_of(cell), width + 2);
            }
            text.push_str(&row[5]);
            let text = look.columns.map_or(text.as_str().into(), |columns| fit(&text, columns));
            paint(out, style, text.trim_end(), look.colour);
            out.push('\n');
        }
        out.push_str(
            "  CALLERS: server spans hang under their callers' by sequence numbers (seq) or \
             traceparent (header)\n  INSIDE: calls that a process makes while it answers one hang \
             under it by what its runtime works on (context), by its thread once a run has seen \
             that each serves one at a time (thread), or if it is the only one (sole); encrypted calls are not read yet\n",
        );
    }
    if found.hidden > 0 {
        out.push_str(&format!("  {} processes may not be looked at\n", found.hidden));
    }
    if found.more > 0 {
        out.push_str(&format!("  and {} more\n", found.more));
    }
}

fn row(process: &Observed) -> [String; 6] {
    let runtime = &process.runtime;
    let mut kind = runtime.name.to_owned();
    if let Some(version) = &runtime.version {
        kind.push(' ');
        kind.push_str(version);
    }
    if runtime.stripped == Some(true) {
        kind.push_str(", stripped");
    }
    if let Some(tls) = runtime.tls {
        kind.push_str(", ");
        kind.push_str(tls);
    }
    [
        process.pid.to_string(),
        fit(&clean(&process.service), SERVICE_WIDTH).into_owned(),
        clean(&kind).into_owned(),
        process.links.callers.join(","),
        inside(&process.links),
        sockets(process),
    ]
}

fn inside(links: &Links) -> String {
    let rules = links.inside.join(",");
    links.why.as_ref().map_or(rules.clone(), |why| format!("{rules} ({})", clean(why)))
}

fn sockets(process: &Observed) -> String {
    let mut parts = Vec::new();
    let mut ports: Vec<u16> = process.listens.iter().map(|address| address.port()).collect();
    ports.sort_unstable();
    ports.dedup();
    if !ports.is_empty() {
        let shown: Vec<_> = ports.iter().take(PORTS).map(u16::to_string).collect();
        parts.push(format!("listens on {}{}", shown.join(" "), rest(ports.len(), PORTS)));
    }
    if process.accepted > 0 {
        parts.push(format!("{} accepted", process.accepted));
    }
    for peer in process.connects.iter().take(PEERS) {
        let mut part = match &peer.service {
            Some(service) => format!("to {} ({})", clean(service), peer.address),
            None => format!("to {}", peer.address),
        };
        if peer.connections > 1 {
            part.push_str(&format!(" x{}", peer.connections));
        }
        parts.push(part);
    }
    parts.join(", ") + &rest(process.connects.len(), PEERS)
}

/// ` +3` for what is not shown.
fn rest(all: usize, shown: usize) -> String {
    if all > shown { format!(" +{}", all - shown) } else { String::new() }
}

fn pad(out: &mut String, used: usize, width: usize) {
    out.extend(std::iter::repeat_n(' ', width.saturating_sub(used)));
}

#[cfg(test)]
mod tests;
