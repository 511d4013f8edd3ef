//! `tracebee replay`: files instead of the kernel, everything after it the same.

#[doc(hidden)]
pub mod fuzz;
mod playback;

use std::fs;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::ReplayArgs;
use crate::export::{Config, Exporters, Output, QUEUE_BYTES, summary};
use crate::limit::budget::Budget;
use crate::pipeline::{Pipeline, Wish};
use crate::run::{RunError, stop_on_signals};
use crate::select::{SelectArgs, Selection};
use crate::source::Time;
use crate::source::capture::Capture;
use crate::source::capture::file::{File, OpenError};
use crate::source::recording::{self, is_recording};
use crate::stats::Stats;
use crate::trace::Tracer;

/// Between timeouts, in the capture's time.
const TICK: u64 = 1_000_000_000;
/// A time that is further ahead of the packet before is not believed until the next one agrees:
/// no call may time out because one packet's time is damaged.
const MAX_STEP: u64 = 24 * 3600 * 1_000_000_000;
/// Most bytes that all connections of a capture together keep of messages whose end is to come: as
/// many as the source keeps of what is out of order.
const MAX_UNPARSED: usize = 64 << 20;
/// How full, in percent, a queue may be before reading waits for it.
const CROWDED: usize = 50;
/// How long reading waits for an OTLP receiver that takes nothing; then spans are lost and
/// counted. Standard output is waited for as long as somebody reads it.
const RECEIVER_PATIENCE: Duration = Duration::from_secs(30);
/// Between looks at the queues while reading waits.
const PAUSE: Duration = Duration::from_millis(2);
/// For the last batches at the end, and after a signal.
const FLUSH: Duration = Duration::from_secs(10);
const FLUSH_STOPPED: Duration = Duration::from_millis(1500);

/// Captures and recordings become calls: the pipeline and the source before it, without the
/// exporters.
pub struct Replay {
    capture: Capture,
    /// Of all captures; each recording has its own.
    pipeline: Pipeline,
    settings: Settings,
    /// Time of the packet before, and of the last tick.
    time: Time,
    ticked: Time,
}

/// What the pipelines are made with.
struct Settings {
    selection: Selection,
    tracer: Tracer,
    request_timeout: Option<Duration>,
    stats: Arc<Stats>,
}

impl Replay {
    /// Nothing was read yet. A timeout of `None` is none.
    pub fn new(
        selection: Selection,
        tracer: Tracer,
        request_timeout: Option<Duration>,
        stats: Arc<Stats>,
    ) -> Self {
        let settings = Settings { selection, tracer, request_timeout, stats };
        let Settings { selection, tracer, stats, .. } = &settings;
        Self {
            capture: Capture::new(Arc::clone(stats)),
            pipeline: Pipeline::replay(
                selection.clone(),
                tracer.fresh(),
                request_timeout,
                Arc::clone(stats),
            )
            .with_limits(Budget { unparsed: MAX_UNPARSED, ..Budget::unlimited() }),
            settings,
            time: Time::default(),
            ticked: Time::default(),
        }
    }

    /// Reads a file to its end, or until `spans` says that it has enough; it gets what is finished.
    /// One warning if the file is damaged: what was read before counts.
    ///
    /// # Errors
    /// If the file is neither a capture nor a recording.
    pub fn file(
        &mut self,
        name: &str,
        mut reader: impl Read,
        mut spans: impl FnMut(&mut Pipeline) -> bool,
    ) -> Result<(), OpenError> {
        let mut start = Vec::new();
        reader.by_ref().take(recording::MAGIC.len() as u64).read_to_end(&mut start)?;
        let recorded = is_recording(&start);
        let reader = Cursor::new(start).chain(reader);
        if recorded {
            return playback::play(&self.settings, name, reader, spans);
        }
        let mut file = File::open(reader)?;
        loop {
            match file.packet() {
                Ok(Some(packet)) => {
                    self.tick(packet.time);
                    let Self { capture, pipeline, .. } = self;
                    capture.packet(&packet, |event| pipeline.on(event));
                    self.obey();
                }
                Ok(None) => return Ok(()),
                Err(damage) => {
                    eprintln!("tracebee: warning: {name}: {damage}; the rest is not read");
                    return Ok(());
                }
            }
            if !spans(&mut self.pipeline) {
                return Ok(());
            }
        }
    }

    /// There are no more files.
    pub fn finish(&mut self) -> &mut Pipeline {
        let Self { capture, pipeline, .. } = self;
        pipeline.tick(self.time);
        capture.finish(|event| pipeline.on(event));
        self.obey();
        &mut self.pipeline
    }

    fn tick(&mut self, time: Time) {
        let before = std::mem::replace(&mut self.time, time);
        let believed = before.0 == 0 || time.0 <= before.0.saturating_add(MAX_STEP);
        let now = if believed { time } else { before };
        // Times that go back (files out of order) are followed, and no call times out by them.
        if now.0.abs_diff(self.ticked.0) >= TICK {
            self.ticked = now;
            let Self { capture, pipeline, .. } = self;
            capture.expire(now, |event| pipeline.on(event));
            pipeline.tick(now);
        }
    }

    fn obey(&mut self) {
        for wish in self.pipeline.wishes() {
            match wish {
                Wish::Ignore(id) => self.capture.ignore(id),
                // A capture holds what it holds.
                Wish::Count(id) => self.capture.ignore(id),
                Wish::Everything(_) | Wish::Announce(_) | Wish::Brief { .. } | Wish::Release(_) => {
                }
            }
        }
    }
}

/// Traces what the files hold.
///
/// # Errors
/// Anything that keeps the replay from starting; files that cannot be read, at the end.
pub fn replay(args: ReplayArgs) -> Result<(), RunError> {
    let otlp = args.otlp.resolve(|name| std::env::var(name).ok())?;
    let output = args.output.unwrap_or(if otlp.is_some() { Output::None } else { Output::Text });
    let stop = stop_on_signals()?;
    let stats = Arc::new(Stats::default());
    let exporters = Exporters::start(
        Config { otlp, output, filter: args.filter.filter(), queue: QUEUE_BYTES },
        Arc::clone(&stats),
    )?;
    let timeout = (!args.request_timeout.is_zero()).then_some(args.request_timeout);
    let tracer = args.trace.tracer();
    // All traffic in a capture is somebody else's, that to an OTLP receiver included.
    let select = SelectArgs { ports: args.ports, ..SelectArgs::default() };
    let mut replay =
        Replay::new(Selection::new(select, Vec::new()), tracer, timeout, Arc::clone(&stats));
    let mut gate = Gate { exporters: &exporters, stop: &stop, receiver_waits: true };

    let mut failed = None;
    let mut opened = 0;
    for path in &args.files {
        if gate.closed() {
            break;
        }
        let read = open(path).map_err(OpenError::Io).and_then(|reader| {
            replay.file(&path.display().to_string(), reader, |pipeline| gate.pass(pipeline))
        });
        match read {
            Ok(()) => opened += 1,
            Err(error) => {
                let error = RunError::Capture { path: path.clone(), error };
                if let Some(before) = failed.replace(error) {
                    eprintln!("tracebee: {before}");
                }
            }
        }
    }
    gate.pass(replay.finish());
    gate.wait(0);
    exporters.shutdown(if stop.load(Ordering::Relaxed) { FLUSH_STOPPED } else { FLUSH });
    if opened > 0 {
        eprint!("{}", summary::render(&stats));
    }
    failed.map_or(Ok(()), Err)
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(Box::new(fs::File::open(path)?))
}

/// Hands spans to the exporters, no faster than they take them: unlike the kernel, a file waits.
struct Gate<'a> {
    exporters: &'a Exporters,
    stop: &'a AtomicBool,
    /// False once the receiver has taken nothing for too long.
    receiver_waits: bool,
}

impl Gate<'_> {
    /// Hands over what is finished; false if there is no use in more.
    fn pass(&mut self, pipeline: &mut Pipeline) -> bool {
        if pipeline.finished() > 0 {
            self.exporters.push(pipeline.spans());
            self.wait(CROWDED);
        }
        !self.closed()
    }

    fn closed(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.exporters.output_closed()
    }

    /// Waits until no queue is fuller than `most` percent.
    fn wait(&mut self, most: usize) {
        // Looked at only if anything has to be waited for: this is asked after each call.
        let mut deadline = None;
        loop {
            let backlog = self.exporters.backlog();
            let receiver = self.receiver_waits && backlog.otlp > most;
            if self.closed() || !(receiver || backlog.output > most) {
                return;
            }
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + RECEIVER_PATIENCE);
            if receiver && Instant::now() > deadline {
                self.receiver_waits = false;
            }
            thread::sleep(PAUSE);
        }
    }
}
