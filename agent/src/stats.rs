//! What the agent did and what it lost, counted by reason.
//!
//! One set of counters for the whole process: the end summary prints them and the metrics
//! endpoint exports them. Every loss has a named reason here; nothing is dropped silently.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::link::Link;

/// Why something was not traced or not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Loss {
    /// A kernel record found no room in the ring, or was still there when the agent had to stop
    /// (counted in records).
    RingFull,
    /// A kernel program was kept from running by recursion (`bpf_prog_info.recursion_misses`).
    Recursion,
    /// Bytes that a hook announced could not be read (page not resident, unknown syscall form).
    Unreadable,
    /// A call was under way when the agent joined the connection.
    JoinedMidway,
    /// A call was given up because bytes that its parser needed are missing, or all of it went by in
    /// records that are lost.
    Gap,
    /// A connection of a known protocol was encrypted (counted in connections).
    Encrypted,
    /// A connection of a known protocol was compressed (counted in connections).
    Compressed,
    /// A client asked for no answers on a connection of a known protocol (counted in connections).
    Unanswered,
    /// Messages of a connection whose records were lost before any protocol was recognised: each
    /// was perhaps a call.
    Unrecognised,
    /// Bytes of a connection are missing in a capture (counted in runs of them). What that costs
    /// in calls is counted apart.
    CaptureGap,
    /// A packet of a capture, or a datagram in fragments, or a record of a recording could not be
    /// read.
    BadPacket,
    /// A table was full and an entry had to go.
    TableFull,
    /// Left out under load, by sampling (counted in calls, at each of their ends).
    Shed,
    /// Long texts left out of a span under load (counted in spans).
    Trimmed,
    /// A connection whose messages can only be told apart by all of their bytes, which under load
    /// were not captured.
    Bodies,
    /// Calls of connections beyond `--max-connections`, which were not followed. The kernel counts
    /// them; they are known when the connection ends.
    ConnectionLimit,
    /// Given up because messages that were not read whole took too much memory together (counted
    /// in connections; calls under way on them are counted apart).
    MemoryLimit,
    /// Events that were traced and are not in the recording of the run: it could not be written as
    /// fast, reached its limit or failed.
    Unrecorded,
    /// Calls that were under way when the agent stopped, or a capture ended or had no more of
    /// their connection.
    Stopped,
    /// The export queue was full (counted in spans).
    QueueFull,
    /// The receiver refused spans for good, or retries ran out (counted in spans).
    ExportFailed,
    /// The receiver accepted a batch but rejected spans in it (OTLP partial success).
    ExportRejected,
}

impl Loss {
    /// Every reason, in the order of the counters.
    pub const ALL: [Loss; 22] = [
        Loss::RingFull,
        Loss::Recursion,
        Loss::Unreadable,
        Loss::JoinedMidway,
        Loss::Gap,
        Loss::Encrypted,
        Loss::Compressed,
        Loss::Unanswered,
        Loss::Unrecognised,
        Loss::CaptureGap,
        Loss::BadPacket,
        Loss::TableFull,
        Loss::Shed,
        Loss::Trimmed,
        Loss::Bodies,
        Loss::ConnectionLimit,
        Loss::MemoryLimit,
        Loss::Unrecorded,
        Loss::Stopped,
        Loss::QueueFull,
        Loss::ExportFailed,
        Loss::ExportRejected,
    ];

    /// The reason with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|loss| loss.name() == name)
    }

    /// The name of the reason as people and metrics see it.
    pub fn name(self) -> &'static str {
        match self {
            Loss::RingFull => "ring_full",
            Loss::Recursion => "recursion",
            Loss::Unreadable => "unreadable",
            Loss::JoinedMidway => "joined_midway",
            Loss::Gap => "gap",
            Loss::Encrypted => "encrypted",
            Loss::Compressed => "compressed",
            Loss::Unanswered => "unanswered",
            Loss::Unrecognised => "unrecognised",
            Loss::CaptureGap => "capture_gap",
            Loss::BadPacket => "bad_packet",
            Loss::TableFull => "table_full",
            Loss::Shed => "shed",
            Loss::Trimmed => "trimmed",
            Loss::Bodies => "bodies",
            Loss::ConnectionLimit => "connection_limit",
            Loss::MemoryLimit => "memory_limit",
            Loss::Unrecorded => "unrecorded",
            Loss::Stopped => "stopped",
            Loss::QueueFull => "queue_full",
            Loss::ExportFailed => "export_failed",
            Loss::ExportRejected => "export_rejected",
        }
    }
}

impl Loss {
    /// What is counted.
    pub fn unit(self) -> &'static str {
        match self {
            Loss::RingFull => "records",
            Loss::Recursion => "hooks",
            Loss::Unreadable => "reads",
            Loss::JoinedMidway | Loss::Gap | Loss::Shed | Loss::ConnectionLimit | Loss::Stopped => {
                "calls"
            }
            Loss::Encrypted
            | Loss::Compressed
            | Loss::Unanswered
            | Loss::Bodies
            | Loss::MemoryLimit => "connections",
            Loss::Unrecognised => "messages",
            Loss::CaptureGap => "gaps",
            Loss::BadPacket => "packets",
            Loss::TableFull => "entries",
            Loss::Unrecorded => "events",
            Loss::Trimmed | Loss::QueueFull | Loss::ExportFailed | Loss::ExportRejected => "spans",
        }
    }
}

/// What an OTLP receiver said to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum ExportResult {
    /// It took the spans, perhaps not all of them.
    Taken,
    /// It did not answer, or asked for a later try.
    Later,
    /// It wants less at once.
    TooLarge,
    /// It refused them for good.
    Refused,
}

impl ExportResult {
    /// Every result, in the order of the counters.
    pub const ALL: [ExportResult; 4] =
        [ExportResult::Taken, ExportResult::Later, ExportResult::TooLarge, ExportResult::Refused];

    /// The name of the result as metrics have it.
    pub fn name(self) -> &'static str {
        match self {
            ExportResult::Taken => "taken",
            ExportResult::Later => "later",
            ExportResult::TooLarge => "too_large",
            ExportResult::Refused => "refused",
        }
    }
}

/// Process-wide counters. All operations are relaxed: they are read for people, never for control.
#[derive(Debug, Default)]
pub struct Stats {
    /// Kernel records, or packets of a capture, read.
    pub events: AtomicU64,
    /// Their bytes.
    pub event_bytes: AtomicU64,
    /// The most that ever waited in the ring when the agent looked, in bytes.
    pub ring_peak: AtomicU64,
    /// Connections that are followed now.
    pub connections: AtomicU64,
    /// Calls that ended with a span.
    pub calls: AtomicU64,
    /// Calls that are in traces which the sampler does not keep.
    pub unsampled: AtomicU64,
    /// Spans handed to the exporters.
    pub spans: AtomicU64,
    /// Spans that a receiver took.
    pub exported: AtomicU64,
    /// Client calls and messages sent whose parent inside their process is unknown, and messages
    /// brought whose sender is.
    pub unlinked: AtomicU64,
    links: [AtomicU64; Link::ALL.len()],
    export_results: [AtomicU64; ExportResult::ALL.len()],
    losses: [AtomicU64; Loss::ALL.len()],
}

impl Stats {
    /// Counts `n` things lost for `reason`.
    pub fn lose(&self, reason: Loss, n: u64) {
        self.losses[reason as usize].fetch_add(n, Ordering::Relaxed);
    }

    /// Counts a span whose parent was found by `link`.
    pub fn linked(&self, link: Link) {
        self.links[link as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many spans found their parent by `link` so far.
    pub fn links(&self, link: Link) -> u64 {
        self.links[link as usize].load(Ordering::Relaxed)
    }

    /// Counts what became of a request to a receiver.
    pub fn answered(&self, result: ExportResult) {
        self.export_results[result as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests to receivers had this result so far.
    pub fn answers(&self, result: ExportResult) -> u64 {
        self.export_results[result as usize].load(Ordering::Relaxed)
    }

    /// How much was lost for `reason` so far.
    pub fn lost(&self, reason: Loss) -> u64 {
        self.losses[reason as usize].load(Ordering::Relaxed)
    }
}

/// Adds one to a counter of [`Stats`].
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
