//! One line a call, for people.
//!
//! ```text
//! 12:01:02.345  shop        ← GET /movies/7?lang=en            200    3.2 ms  10.0.0.9
//! 12:01:02.341  cart          → POST /v2/pay               timeout    1.50 s  pay.example:443
//! 12:01:02.350  cart          → SELECT * FROM carts WHERE id = $1    1 row    0.4 ms  10.0.0.5
//! ```

pub(crate) mod paint;
pub(crate) mod width;

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::export::view;
use crate::trace::{Kind, Span};
use paint::Style;
use width::{clean, fit, width_of};

/// How the lines look.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// Use colours.
    pub colour: bool,
    /// Width of the terminal in columns; none if the output is not one.
    pub columns: Option<usize>,
    /// Whose wall clock is shown.
    pub zone: TimeZone,
}

/// Renders spans as aligned lines.
#[derive(Debug)]
pub(super) struct Renderer {
    look: Look,
    /// Width of the service column: grows with the names seen, so that short names waste nothing.
    service_width: usize,
}

/// Bounds of the service column.
const SERVICE_WIDTH: (usize, usize) = (8, 20);
/// Width of the call with its status, where the terminal does not say otherwise.
const CALL_WIDTH: usize = 56;
/// Narrower than this nothing can be read; lines then wrap.
const CALL_WIDTH_MIN: usize = 24;
/// Wider than this the eye loses the line.
const CALL_WIDTH_MAX: usize = 110;
/// In a pipe a long target is not cut for looks, only so that a line stays a line.
const PIPED_CALL_WIDTH_MAX: usize = 1024;
/// The widest error type that is shown whole.
const STATUS_WIDTH_MAX: usize = 24;
/// The time, the duration, and the gaps between five columns of which three are not fixed.
const FIXED_WIDTH: usize = 12 + DURATION_WIDTH + 4 * 2;
/// `123.4 ms`, with a leading space.
const DURATION_WIDTH: usize = 9;
/// Room kept for the peer: an IPv4 address with port.
const PEER_WIDTH: usize = 21;
/// Deeper calls are indented like this one: the tree must not push the text out.
const DEPTH_MAX: u8 = 12;

impl Renderer {
    pub(super) fn new(look: Look) -> Self {
        Renderer { look, service_width: SERVICE_WIDTH.0 }
    }

    /// The terminal was resized.
    pub(super) fn set_columns(&mut self, columns: Option<usize>) {
        self.look.columns = columns;
    }

    /// Appends the line of `span` to `out`.
    pub(super) fn line(&mut self, out: &mut String, span: &Span) {
        self.time(out, span.end);
        out.push_str("  ");
        self.service(out, &span.resource.service);
        self.call(out, span);
        self.duration(out, span);
        self.peer(out, span);
        out.push('\n');
    }

    /// The local time of the end: lines appear as calls end, so the column is in order.
    fn time(&self, out: &mut String, nanos: u64) {
        let text = match Timestamp::from_nanosecond(i128::from(nanos)) {
            Ok(time) => {
                let time = time.to_zoned(self.look.zone.clone());
                let (h, m, s) = (time.hour(), time.minute(), time.second());
                format!("{h:02}:{m:02}:{s:02}.{:03}", time.millisecond())
            }
            Err(_) => "--:--:--.---".to_owned(),
        };
        self.paint(out, Style::Dim, &text);
    }

    fn service(&mut self, out: &mut String, name: &str) {
        let name = clean(name);
        self.service_width = self.service_width.max(width_of(&name)).min(SERVICE_WIDTH.1);
        let name = fit(&name, self.service_width);
        let pad = self.service_width - width_of(&name);
        self.paint(out, Style::of_name(&name), &name);
        spaces(out, pad + 2);
    }

    /// Arrow, method, target, and the status at the right edge.
    ///
    /// A status wider than a code takes its room from the padding, so that columns stay.
    fn call(&self, out: &mut String, span: &Span) {
        let indent = 2 * usize::from(span.depth.min(DEPTH_MAX));
        let (status, status_style) = status(span);
        let room = self.call_width().saturating_sub(width_of(&status) + 1);
        // A target in a pipe may be wider than its column; it then pushes the rest.
        let most = if self.look.columns.is_some() { room } else { PIPED_CALL_WIDTH_MAX };

        spaces(out, indent);
        let (arrow, arrow_style) = match span.kind {
            Kind::Server | Kind::Consumer => ("←", Style::Server),
            Kind::Client | Kind::Producer => ("→", Style::Client),
        };
        self.paint(out, arrow_style, arrow);
        out.push(' ');

        let used = indent + 2;
        let (method, target) = words(span);
        let method = fit(&clean(method), most.saturating_sub(used)).into_owned();
        self.paint(out, Style::Bold, &method);
        let mut used = used + width_of(&method);
        if let Some(target) = target {
            out.push(' ');
            used += 1;
            let target = clean(&target);
            let target = fit(&target, most.saturating_sub(used));
            used += width_of(&target);
            out.push_str(&target);
        }
        spaces(out, room.saturating_sub(used) + 1);
        self.paint(out, status_style, &status);
    }

    fn duration(&self, out: &mut String, span: &Span) {
        let took = view::duration(span);
        let style = if took >= Duration::from_secs(1) { Style::Warn } else { Style::Plain };
        self.paint(out, style, &format!("  {:>DURATION_WIDTH$}", duration(took)));
    }

    fn peer(&self, out: &mut String, span: &Span) {
        let Some((address, port)) = view::peer(span) else { return };
        let mut text = clean(address).into_owned();
        if let Some(port) = port {
            text = if address.contains(':') {
                format!("[{text}]:{port}")
            } else {
                format!("{text}:{port}")
            };
        }
        if let Some(columns) = self.look.columns {
            let before = FIXED_WIDTH + self.service_width + self.call_width();
            text = fit(&text, columns.saturating_sub(before).max(PEER_WIDTH)).into_owned();
        }
        out.push_str("  ");
        self.paint(out, Style::Dim, &text);
    }

    fn call_width(&self) -> usize {
        let Some(columns) = self.look.columns else { return CALL_WIDTH };
        columns
            .saturating_sub(FIXED_WIDTH + self.service_width + PEER_WIDTH)
            .clamp(CALL_WIDTH_MIN, CALL_WIDTH_MAX)
    }

    fn paint(&self, out: &mut String, style: Style, text: &str) {
        paint::paint(out, style, text, self.look.colour);
    }
}

/// Method and target, or the first word of a query and the rest of it; for calls that have
/// neither, the span's name.
fn words(span: &Span) -> (&str, Option<String>) {
    let text = |key| view::text(span, key);
    let method = text("http.request.method");
    if let (Some(operation), Some(_)) = (text("db.operation.name"), method) {
        // What is asked of a database over HTTP says more than its URL.
        let words: Vec<_> =
            [text("db.collection.name"), text("db.query.text")].into_iter().flatten().collect();
        return (operation, Some(words.join(" ")).filter(|rest| !rest.is_empty()));
    }
    if let Some(query) = view::text(span, "db.query.text") {
        let mut words = query.split_whitespace();
        let first = words.next().unwrap_or(&span.name);
        let rest = words.collect::<Vec<_>>().join(" ");
        return (first, Some(rest).filter(|rest| !rest.is_empty()));
    }
    let Some(method) = method else { return (&span.name, None) };
    let target = view::target(span).map(|(path, query)| match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    });
    (method, target)
}

/// The status code, or how many rows a query read or wrote, else why there is none.
fn status(span: &Span) -> (String, Style) {
    if let Some(code) = view::int(span, "http.response.status_code") {
        let style = match code {
            _ if span.error => Style::Error,
            200..=299 => Style::Good,
            400..=499 => Style::Warn,
            500..=599 => Style::Error,
            _ => Style::Plain,
        };
        return (code.to_string(), style);
    }
    if let (Some(code), Some(_)) =
        (view::text(span, "db.response.status_code"), span.attribute("http.request.method"))
    {
        let style = if span.error { Style::Error } else { Style::Good };
        return (code.to_owned(), style);
    }
    if !span.error && span.attribute("db.system.name").is_some() {
        let rows = view::int(span, "db.response.returned_rows")
            .or_else(|| view::int(span, "tracebee.db.affected_rows"));
        let text = match rows {
            Some(1) => "1 row".to_owned(),
            Some(rows) => format!("{rows} rows"),
            None => "ok".to_owned(),
        };
        return (text, Style::Good);
    }
    let style = if span.error { Style::Error } else { Style::Dim };
    let text = view::text(span, "error.type").unwrap_or(if span.error { "error" } else { "-" });
    (fit(&clean(text), STATUS_WIDTH_MAX).into_owned(), style)
}

/// Three significant digits, or whole units above 100: a person compares, a machine has the span.
fn duration(took: Duration) -> String {
    let nanos = took.as_nanos() as f64;
    let (value, unit) = match took {
        _ if nanos < 999_500.0 => (nanos / 1e3, "us"),
        _ if nanos < 999_500_000.0 => (nanos / 1e6, "ms"),
        _ => (nanos / 1e9, "s"),
    };
    match value {
        v if v < 9.95 && unit == "s" => format!("{v:.2} {unit}"),
        v if v < 99.95 && unit != "us" => format!("{v:.1} {unit}"),
        v => format!("{v:.0} {unit}"),
    }
}

fn spaces(out: &mut String, n: usize) {
    _ = write!(out, "{:n$}", "");
}

#[cfg(test)]
mod tests;
