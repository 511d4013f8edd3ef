//! `tracebee run`: the live kernel, until a signal ends it.

use std::net::ToSocketAddrs as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::cli::RunArgs;
use crate::export::{self, Config, ConfigError, Exporters, Output, StartError, summary};
use crate::limit::budget::{Budget, TooLittle};
use crate::limit::held;
use crate::limit::watch::Watch;
use crate::metrics::{Listener, MetricsError, Sources};
use crate::pipeline::{Pipeline, Wish};
use crate::record::{RecordError, Recorder};
use crate::select::Selection;
use crate::source::capture::file::OpenError;
use crate::source::live::{Live, LoadError};
use crate::source::{Event, Time};
use crate::stats::Stats;

/// Why the run could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A flag or variable makes no sense: exit code 2.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is too little memory: exit code 2, as flags decide.
    #[error(transparent)]
    Memory(#[from] TooLittle),
    /// Exporting could not start.
    #[error(transparent)]
    Export(#[from] StartError),
    /// Tracing could not start.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The recording could not begin.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Nobody could ask for metrics.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// Signals cannot be handled.
    #[error("installing the signal handlers: {0}")]
    Signals(std::io::Error),
    /// A file is no capture that can be read.
    #[error("{}: {error}", path.display())]
    Capture {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: OpenError,
    },
}

/// Longest time that records wait in the ring: what a person takes as at once.
const POLL: Duration = Duration::from_millis(50);
/// Between clock anchors, timeouts and collections of counters.
const TICK: u64 = 1_000_000_000;
/// Spans that are handed over together: few enough to still lie in the processor's cache.
const HAND_OVER: usize = 64;
/// Of the two seconds that a stop may take, for what is still in the ring: some 100,000 records.
const DRAIN: Duration = Duration::from_millis(200);
/// The exporters' share, after that.
const FLUSH: Duration = Duration::from_millis(1300);
/// The recording's, after the exporters': it was written all the while.
const WRITE: Duration = Duration::from_millis(200);

/// Traces until SIGTERM or SIGINT.
///
/// # Errors
/// Anything that keeps tracing from starting.
pub fn run(args: RunArgs) -> Result<(), RunError> {
    let otlp = args.otlp.resolve(|name| std::env::var(name).ok())?;
    let receiver = otlp.as_ref().map_or_else(Vec::new, |otlp| {
        let (host, port) = (otlp.endpoint.host(), otlp.endpoint.port());
        (host.as_str(), port).to_socket_addrs().map_or_else(|_| Vec::new(), Iterator::collect)
    });
    let output = args.output.unwrap_or(if otlp.is_some() { Output::None } else { Output::Text });
    let stop = stop_on_signals()?;
    let metrics = args.metrics_listen.map(Listener::bind).transpose()?;
    let stats = Arc::new(Stats::default());
    let budget = Budget::of(&args.limits)?;
    held::count_here();
    let attribution = args.trace.attribution;
    let mut live = Live::start(args.capture, budget.kernel, attribution, Arc::clone(&stats))?;
    // What loading took for a moment, ten times what is left.
    held::trim();
    let exporters = Exporters::start(
        Config { otlp, output, filter: args.filter.filter(), queue: budget.queue },
        Arc::clone(&stats),
    )?;
    if let Some(metrics) = metrics {
        metrics.serve(Sources {
            stats: Arc::clone(&stats),
            kernel: live.gauges(),
            queues: exporters.queues(),
        })?;
    }
    let timeout = (!args.request_timeout.is_zero()).then_some(args.request_timeout);
    let tracer = args.trace.tracer();
    let mut pipeline =
        Pipeline::new(Selection::new(args.select, receiver), tracer, timeout, Arc::clone(&stats))
            .with_limits(budget);
    let mut limits = Limits { watch: Watch::new(&budget, Arc::clone(&stats)), full: false };
    let mut recorder = match &args.record.record {
        Some(path) => {
            Some(Recorder::create(path, args.record.record_max, &mut pipeline, Arc::clone(&stats))?)
        }
        None => None,
    };

    // From here on requests are seen to begin: processes that are started now are known whole.
    let begun = now();
    pipeline.tick(begun);
    if let Some(recorder) = &mut recorder {
        recorder.tick(&mut pipeline, begun);
    }
    eprintln!("ready: {} programs attached, capture={}", live.attached(), live.capture());
    // No systemd is no error.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);

    let mut next_tick = begun.0 + TICK;
    while !stop.load(Ordering::Relaxed) && !exporters.output_closed() {
        turn(&mut live, &mut pipeline, &mut recorder, &exporters, POLL);
        let now = now();
        limits.keep(now, &mut live, &mut pipeline);
        if now.0 >= next_tick {
            next_tick = now.0 + TICK;
            pipeline.tick(now);
            collect(&mut live, &mut recorder);
            if let Some(recorder) = &mut recorder {
                recorder.tick(&mut pipeline, now);
            }
        }
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    // What was under way when the signal came, but no more than is there now.
    live.detach();
    let deadline = Instant::now() + DRAIN;
    while !turn(&mut live, &mut pipeline, &mut recorder, &exporters, Duration::ZERO)
        && Instant::now() < deadline
    {}
    live.finish(|event| take_in(event, &mut pipeline, &mut recorder, &exporters));
    collect(&mut live, &mut recorder);
    drop(live);
    pipeline.stop();
    if let Some(recorder) = &mut recorder {
        recorder.stop(&mut pipeline);
    }
    exporters.push(pipeline.spans());
    exporters.shutdown(FLUSH);
    if let Some(recorder) = recorder {
        recorder.wait(WRITE);
    }
    eprint!("{}", summary::render(&stats));
    Ok(())
}

/// One look at the ring. False: more may be waiting.
fn turn(
    live: &mut Live,
    pipeline: &mut Pipeline,
    recorder: &mut Option<Recorder>,
    exporters: &Exporters,
    wait: Duration,
) -> bool {
    let drained = live.poll(wait, |event| take_in(event, pipeline, recorder, exporters));
    for wish in pipeline.wishes() {
        match wish {
            Wish::Ignore(id) => live.ignore(id),
            Wish::Everything(id) => live.everything(id),
            Wish::Announce(id) => live.announce(id),
            Wish::Count(id) => live.count(id),
            Wish::Brief { id, role, asked } => live.brief(id, role, asked),
            Wish::Release(id) => live.release(id),
        }
    }
    exporters.push(pipeline.spans());
    drained
}

/// Keeps the whole within its limits.
struct Limits {
    watch: Watch,
    /// The kernel was told that there is no room for more connections.
    full: bool,
}

impl Limits {
    fn keep(&mut self, now: Time, live: &mut Live, pipeline: &mut Pipeline) {
        if let Some(step) = self.watch.look(now, || live.ring()) {
            // The kernel first: what it still lets through is sorted out behind it.
            live.shed(step, now);
            pipeline.shed(step, now);
        }
        live.follow(now);
        let (connections, most) = pipeline.connections();
        // With some distance, or each connection that ends would let one in.
        let full = if self.full { connections > most / 16 * 15 } else { connections >= most };
        if full != self.full {
            self.full = full;
            live.full(full);
        }
    }
}

fn take_in(
    event: Event<'_>,
    pipeline: &mut Pipeline,
    recorder: &mut Option<Recorder>,
    exporters: &Exporters,
) {
    match recorder {
        Some(recorder) => recorder.event(pipeline, event),
        None => pipeline.on(event),
    }
    if pipeline.finished() >= HAND_OVER {
        exporters.push(pipeline.spans());
    }
}

/// Counts what the kernel side has lost.
fn collect(live: &mut Live, recorder: &mut Option<Recorder>) {
    match recorder {
        Some(recorder) => recorder.collect(|| live.collect()),
        None => live.collect(),
    }
}

fn now() -> Time {
    let now = clock_gettime(ClockId::Boottime);
    Time(now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs())
}

/// A flag that SIGTERM and SIGINT set.
pub(crate) fn stop_on_signals() -> Result<Arc<AtomicBool>, RunError> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(RunError::Signals)?;
    }
    Ok(stop)
}

/// True if the error is the user's: exit code 2.
pub fn is_usage(error: &RunError) -> bool {
    matches!(error, RunError::Config(_) | RunError::Memory(_))
        || matches!(error, RunError::Export(export::StartError::Client(_)))
}
