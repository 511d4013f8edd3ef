//! Standard output on a thread of its own: a terminal that stands still must stop nothing else.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::tz::TimeZone;

use crate::export::queue::Queue;
use crate::export::text::{Look, Renderer};
use crate::export::{Filter, json};
use crate::trace::Span;

/// What is printed on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// One line a call, for people
    Text,
    /// OTLP/JSON, one ExportTraceServiceRequest a line
    Json,
    /// Nothing
    None,
}

/// How spans are turned into bytes.
pub(super) enum Format {
    Text(Renderer),
    Json,
}

/// Spans taken at a time: one JSON line, or one write of text lines.
const BATCH: usize = 512;

impl Format {
    /// Text for standard output as it is.
    pub(super) fn text_for_stdout() -> Format {
        Format::Text(Renderer::new(Look {
            colour: colour_on_stdout(),
            columns: terminal_columns(),
            zone: TimeZone::system(),
        }))
    }

    fn write(&mut self, out: &mut dyn Write, spans: Vec<Arc<Span>>) -> io::Result<()> {
        match self {
            Format::Json => json::write_line(out, spans),
            Format::Text(renderer) => {
                let mut lines = String::with_capacity(spans.len() * 128);
                for span in &spans {
                    renderer.line(&mut lines, span);
                }
                out.write_all(lines.as_bytes())
            }
        }
    }
}

/// Prints what the queue holds until it is closed and empty, or nobody reads any more.
///
/// Every batch is flushed at once: what is printed is never more than one batch behind. If the
/// reader has gone (`tracebee | head`), `closed` is set and the queue is abandoned.
pub(super) fn run(
    queue: &Queue<Arc<Span>>,
    mut format: Format,
    filter: &Filter,
    out: &mut dyn Write,
    closed: &AtomicBool,
) {
    while queue.wait_blocking() {
        let mut spans = queue.take(BATCH);
        filter.retain(&mut spans);
        if spans.is_empty() {
            continue;
        }
        if let Format::Text(renderer) = &mut format {
            renderer.set_columns(terminal_columns());
        }
        if let Err(error) = format.write(out, spans).and_then(|()| out.flush()) {
            if error.kind() != io::ErrorKind::BrokenPipe {
                tracing::error!("cannot write to standard output: {error}; printing stops");
            }
            closed.store(true, Ordering::Relaxed);
            queue.abandon();
            return;
        }
    }
}

/// True if standard output takes colours: only a terminal, and only if nobody objects
/// (<https://no-color.org>: set and not empty).
pub(crate) fn colour_on_stdout() -> bool {
    let objection = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !objection
}

/// The width of the terminal at standard output, asked anew for each batch: people resize.
pub(crate) fn terminal_columns() -> Option<usize> {
    let (terminal_size::Width(columns), _) = terminal_size::terminal_size_of(io::stdout())?;
    // Some terminals in containers report a width of zero.
    Some(usize::from(columns)).filter(|columns| *columns > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::queue::Limit;
    use crate::export::tests::span;

    /// A pipe whose reader goes after some bytes.
    struct Head(usize);

    impl Write for Head {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let n = bytes.len().min(self.0);
            self.0 -= n;
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn full_queue(n: u64) -> Queue<Arc<Span>> {
        let queue = Queue::new(Limit::default(), Arc::default());
        queue.push((0..n).map(|i| Arc::new(span(i))).collect());
        queue
    }

    #[test]
    fn broken_pipe_ends_quietly() {
        let queue = full_queue(3);
        let closed = AtomicBool::new(false);
        run(&queue, Format::Json, &Filter::default(), &mut Head(10), &closed);
        assert!(closed.load(Ordering::Relaxed));
        queue.push(vec![Arc::new(span(9))]);
        assert!(queue.is_empty(), "a queue that nobody reads must not fill");
    }

    #[test]
    fn one_json_line_a_batch_until_the_queue_ends() {
        let queue = full_queue(BATCH as u64 + 1);
        queue.close();
        let mut out = Vec::new();
        let closed = AtomicBool::new(false);
        run(&queue, Format::Json, &Filter::default(), &mut out, &closed);
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 2);
        assert!(!closed.load(Ordering::Relaxed));
    }
}
