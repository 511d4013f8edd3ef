//! Where spans go. Nothing here ever blocks the path before it.
//!
//! ```text
//!                        +-> encoded -> queue -> task: batches -> deliveries -> OTLP receiver
//! pipeline thread: push -+
//!                        +-> queue -> thread: filter -> text or JSON -> standard output
//! ```
//!
//! Each sink has a bounded queue of its own, so that a terminal that stands still costs the
//! receiver nothing, nor the reverse. The exporters bring their own
//! threads; they need no runtime of the caller and must not be started inside one.

mod config;
mod filter;
mod group;
mod json;
mod otlp;
pub(crate) mod output;
mod queue;
mod quiet;
pub mod summary;
pub(crate) mod text;
mod view;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::stats::{Loss, Stats};
use crate::trace::context::{RANDOM, SAMPLED};
use crate::trace::{Span, SpanLink};
pub use config::{
    CompressionArg, ConfigError, Endpoint, Identity, OtlpArgs, OtlpConfig, Protocol, ProtocolArg,
    Tls,
};
pub use filter::{Filter, FilterArgs, duration};
pub use otlp::ClientError;
use otlp::Encoded;
pub use output::Output;
use queue::Queue;
pub use queue::{Depth, Limit, QUEUE_BYTES};

/// What is exported, and where to.
#[derive(Debug)]
pub struct Config {
    /// The OTLP receiver, if there is one ([`OtlpArgs::resolve`]).
    pub otlp: Option<OtlpConfig>,
    /// What is printed on standard output.
    pub output: Output,
    /// What of it is shown; OTLP is never filtered.
    pub filter: Filter,
    /// Bytes that each queue may hold, where its size in spans is not given.
    pub queue: usize,
}

/// Why exporting cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The OTLP client cannot be built.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No thread could be made.
    #[error("cannot start the export threads: {0}; check the limit of processes (ulimit -u)")]
    Thread(#[from] io::Error),
}

/// The running exporters.
///
/// Dropped without [`Exporters::shutdown`], they end at once and count nothing.
#[derive(Debug)]
pub struct Exporters {
    inlet: Inlet,
    otlp: Option<OtlpSink>,
    output: Option<OutputSink>,
}

/// How full the queues are, in percent; 0 without such a sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Before standard output.
    pub output: usize,
    /// Before the OTLP receiver.
    pub otlp: usize,
}

/// The queues, for those who want to know how much waits there.
#[derive(Clone, Debug)]
pub struct Queues(Inlet);

/// How much waits; nothing without such a sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depths {
    /// Before the OTLP receiver.
    pub otlp: Depth,
    /// Before standard output.
    pub output: Depth,
}

impl Queues {
    /// How much waits now.
    pub fn depths(&self) -> Depths {
        let Inlet { otlp, output, .. } = &self.0;
        Depths {
            otlp: otlp.as_ref().map_or_else(Depth::default, |queue| queue.depth()),
            output: output.as_ref().map_or_else(Depth::default, |queue| queue.depth()),
        }
    }
}

/// Where spans enter: for the pipeline's thread, while another one keeps the [`Exporters`].
#[derive(Clone, Debug)]
pub struct Inlet {
    otlp: Option<Arc<Queue<Encoded>>>,
    output: Option<Arc<Queue<Arc<Span>>>>,
    stats: Arc<Stats>,
    /// Set once nobody reads standard output any more.
    output_closed: Arc<AtomicBool>,
}

#[derive(Debug)]
struct OtlpSink {
    runtime: Runtime,
    closing: watch::Sender<bool>,
    done: mpsc::Receiver<()>,
}

#[derive(Debug)]
struct OutputSink {
    done: mpsc::Receiver<()>,
}

/// Name and version of the instrumentation scope.
const SCOPE_NAME: &str = "tracebee";
const SCOPE_VERSION: &str = env!("CARGO_PKG_VERSION");
/// The semantic conventions that attributes follow.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// What a shutdown may take beyond its limit to stop threads.
const STOP_GRACE: Duration = Duration::from_millis(100);
/// Host names are resolved on these; one receiver needs no more.
const BLOCKING_THREADS: usize = 2;

impl Exporters {
    /// Starts what `config` asks for.
    ///
    /// Connections are made at the first request: a receiver that is not there yet is no error.
    pub fn start(config: Config, stats: Arc<Stats>) -> Result<Self, StartError> {
        Self::start_with(config, stats, Box::new(io::stdout()))
    }

    fn start_with(
        config: Config,
        stats: Arc<Stats>,
        stdout: Box<dyn io::Write + Send>,
    ) -> Result<Self, StartError> {
        let inlet = Inlet { otlp: None, output: None, stats, output_closed: Arc::default() };
        let mut exporters = Exporters { inlet, otlp: None, output: None };
        if let Some(mut otlp) = config.otlp {
            if let Limit::Bytes(_) = otlp.queue {
                otlp.queue = Limit::Bytes(config.queue);
            }
            exporters.start_otlp(otlp)?;
        }
        let format = match config.output {
            Output::Text => Some(output::Format::text_for_stdout()),
            Output::Json => Some(output::Format::Json),
            Output::None => None,
        };
        if let Some(format) = format {
            exporters.start_output(format, config.filter, Limit::Bytes(config.queue), stdout)?;
        }
        Ok(exporters)
    }

    /// An entrance for another thread.
    pub fn inlet(&self) -> Inlet {
        self.inlet.clone()
    }

    /// The queues, to be looked at by others.
    pub fn queues(&self) -> Queues {
        Queues(self.inlet())
    }

    /// See [`Inlet::push`].
    pub fn push(&self, spans: &mut Vec<Span>) {
        self.inlet.push(spans);
    }

    /// See [`Inlet::output_closed`].
    pub fn output_closed(&self) -> bool {
        self.inlet.output_closed()
    }

    /// What waits, for a caller that can wait as well.
    pub fn backlog(&self) -> Backlog {
        Backlog {
            output: self.inlet.output.as_ref().map_or(0, |queue| queue.fill()),
            otlp: self.inlet.otlp.as_ref().map_or(0, |queue| queue.fill()),
        }
    }

    /// Delivers and prints what is queued, for at most `limit`; the rest is counted as lost.
    pub fn shutdown(self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let Inlet { otlp: otlp_queue, output: output_queue, stats, .. } = self.inlet;
        otlp_queue.iter().for_each(|queue| queue.close());
        output_queue.iter().for_each(|queue| queue.close());
        if let Some(otlp) = self.otlp {
            // No receiver means that the task has ended already.
            _ = otlp.closing.send(true);
            wait(&otlp.done, deadline);
            // Deliveries under way are dropped here, and count what they held.
            otlp.runtime.shutdown_timeout(STOP_GRACE);
        }
        if let Some(output) = self.output {
            // A write that hangs cannot be ended; its thread dies with the process.
            wait(&output.done, deadline);
        }
        let left = otlp_queue.map_or(0, |queue| queue.take(usize::MAX).len())
            + output_queue.map_or(0, |queue| queue.take(usize::MAX).len());
        stats.lose(Loss::ExportFailed, left as u64);
    }

    fn start_otlp(&mut self, config: OtlpConfig) -> Result<(), StartError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("tracebee-export")
            .enable_all()
            .build()?;
        let client = {
            let _entered = runtime.enter();
            otlp::Client::new(&config)?
        };
        let queue = Arc::new(Queue::new(config.queue, Arc::clone(&self.inlet.stats)));
        self.inlet.otlp = Some(Arc::clone(&queue));
        let (closing, closing_seen) = watch::channel(false);
        let (done_sender, done) = mpsc::channel();
        let stats = Arc::clone(&self.inlet.stats);
        runtime.spawn(async move {
            otlp::run(queue, client, config, stats, closing_seen).await;
            // Nobody listens if the deadline has passed.
            _ = done_sender.send(());
        });
        self.otlp = Some(OtlpSink { runtime, closing, done });
        Ok(())
    }

    fn start_output(
        &mut self,
        format: output::Format,
        filter: Filter,
        limit: Limit,
        mut stdout: Box<dyn io::Write + Send>,
    ) -> Result<(), StartError> {
        let queue = Arc::new(Queue::new(limit, Arc::clone(&self.inlet.stats)));
        self.inlet.output = Some(Arc::clone(&queue));
        let closed = Arc::clone(&self.inlet.output_closed);
        let (done_sender, done) = mpsc::channel();
        thread::Builder::new().name("tracebee-output".to_owned()).spawn(move || {
            output::run(&queue, format, &filter, &mut *stdout, &closed);
            // Nobody listens if the deadline has passed.
            _ = done_sender.send(());
        })?;
        self.output = Some(OutputSink { done });
        Ok(())
    }
}

impl Inlet {
    /// Hands finished spans to every sink and returns at once.
    ///
    /// Counts them as [`Stats::spans`]; what a sink's queue cannot hold is dropped there and
    /// counted as [`Loss::QueueFull`].
    ///
    /// Empties `spans` and leaves its room, for the next ones.
    pub fn push(&self, spans: &mut Vec<Span>) {
        self.stats.spans.fetch_add(spans.len() as u64, Ordering::Relaxed);
        if spans.is_empty() {
            return;
        }
        if let Some(queue) = &self.otlp {
            queue.push(Encoded::all(spans));
        }
        if let Some(queue) = &self.output {
            queue.push(spans.drain(..).map(Arc::new).collect());
        }
        spans.clear();
    }

    /// True once nobody reads standard output any more (`tracebee | head`).
    ///
    /// Printing has then stopped for good; without an OTLP receiver there is nothing left to do.
    pub fn output_closed(&self) -> bool {
        self.output_closed.load(Ordering::Relaxed)
    }
}

/// Sends one request without spans, with all that `config` says of certificates and headers, and
/// waits for the answer for at most `limit`.
///
/// # Errors
/// What the receiver or the way to it answered instead.
pub fn reach(config: &OtlpConfig, limit: Duration) -> Result<(), Unreached> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(|error| Unreached::Setup(error.to_string()))?;
    let answer = runtime.block_on(async {
        let client =
            otlp::Client::new(config).map_err(|error| Unreached::Setup(error.to_string()))?;
        match tokio::time::timeout(limit, client.knock()).await {
            Ok(answer) => answer,
            Err(_) => Err(Unreached::NoAnswer(format!("no answer within {limit:?}"))),
        }
    });
    // A name that is still being looked up must not hold up the end.
    runtime.shutdown_background();
    answer
}

/// Why a receiver did not take a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreached {
    /// The client could not be built.
    #[error("{0}")]
    Setup(String),
    /// Nobody answered, or somebody who cannot take spans now.
    #[error("{0}")]
    NoAnswer(String),
    /// It answered that it does not take this.
    #[error("{0}")]
    Refused(String),
}

/// Waits until a sink has ended, or died, or the deadline has passed.
fn wait(done: &mpsc::Receiver<()>, deadline: Instant) {
    _ = done.recv_timeout(deadline.saturating_duration_since(Instant::now()));
}

/// OTLP `SpanFlags`: the W3C flags in the low byte, and whether the parent is remote. That is
/// always known here, for a span without parent too.
fn span_flags(span: &Span) -> u32 {
    use opentelemetry_proto::tonic::trace::v1::SpanFlags;
    let remote = span.parent.is_some_and(|parent| parent.remote);
    let mut flags =
        u32::from(span.flags & (SAMPLED | RANDOM)) | SpanFlags::ContextHasIsRemoteMask as u32;
    if remote {
        flags |= SpanFlags::ContextIsRemoteMask as u32;
    }
    flags
}

/// The same of a link: what is linked to is always somebody else's.
fn link_flags(link: &SpanLink) -> u32 {
    use opentelemetry_proto::tonic::trace::v1::SpanFlags;
    let remote = SpanFlags::ContextHasIsRemoteMask as u32 | SpanFlags::ContextIsRemoteMask as u32;
    u32::from(link.flags & (SAMPLED | RANDOM)) | remote
}

#[cfg(test)]
mod tests;
