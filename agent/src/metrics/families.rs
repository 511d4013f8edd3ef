//! Every metric: its name, what it says and where the number is from. docs/metrics.md says what to
//! do about it; a test holds the two together.

use std::fmt::Error;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Unit;

use super::{Sources, process};
use crate::link::Link;
use crate::stats::{ExportResult, Loss};

/// All metrics, read when they are asked for.
#[derive(Debug)]
pub(super) struct Families(pub(super) Sources);

impl Collector for Families {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut page = Page(encoder);
        self.calls(&mut page)?;
        self.losses(&mut page)?;
        self.queues(&mut page)?;
        self.kernel(&mut page)?;
        own(&mut page)
    }
}

impl Families {
    fn calls(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let stats = &self.0.stats;
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        page.counter("tracebee_events", "Records read from the ring", value(&stats.events))?;
        page.measured(
            "tracebee_event",
            "Size of the records read from the ring",
            Unit::Bytes,
            ConstCounter::new(value(&stats.event_bytes)),
        )?;
        page.gauge(
            "tracebee_connections",
            "Connections that are followed now",
            value(&stats.connections),
        )?;
        page.counter("tracebee_calls", "Calls that ended with a span", value(&stats.calls))?;
        page.counter(
            "tracebee_unsampled_calls",
            "Calls that ended without a span, in traces that the sampler does not keep",
            value(&stats.unsampled),
        )?;
        page.counter("tracebee_spans", "Spans handed to the exporters", value(&stats.spans))?;
        page.family(
            "tracebee_links",
            "Spans whose parent is known, by how it was found",
            Link::ALL.map(|link| ([("kind", link.name())], ConstCounter::new(stats.links(link)))),
        )?;
        page.counter(
            "tracebee_unlinked_calls",
            "Client calls whose parent inside their process is unknown",
            value(&stats.unlinked),
        )
    }

    fn losses(&self, page: &mut Page<'_>) -> Result<(), Error> {
        page.family(
            "tracebee_losses",
            "What is missing, by reason; the unit says what is counted",
            Loss::ALL.map(|loss| {
                let labels = [("reason", loss.name()), ("unit", loss.unit())];
                (labels, ConstCounter::new(self.0.stats.lost(loss)))
            }),
        )
    }

    fn queues(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let stats = &self.0.stats;
        page.counter(
            "tracebee_exported_spans",
            "Spans that an OTLP receiver took",
            stats.exported.load(Ordering::Relaxed),
        )?;
        page.family(
            "tracebee_export_requests",
            "Requests to the OTLP receiver, by what it said",
            ExportResult::ALL.map(|result| {
                ([("result", result.name())], ConstCounter::new(stats.answers(result)))
            }),
        )?;
        let depths = self.0.queues.depths();
        let labels = ["otlp", "output"].map(|name| [("queue", name)]);
        let samples = |value: fn(crate::export::Depth) -> u64| {
            let [otlp, output] = labels;
            [
                (otlp, ConstGauge::new(value(depths.otlp))),
                (output, ConstGauge::new(value(depths.output))),
            ]
        };
        page.family(
            "tracebee_queue_spans",
            "Spans that wait for an exporter",
            samples(|depth| depth.spans),
        )?;
        page.family_in(
            "tracebee_queue",
            "Memory that these spans take",
            Some(Unit::Bytes),
            samples(|depth| depth.bytes),
        )
    }

    fn kernel(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let kernel = &self.0.kernel;
        page.measured(
            "tracebee_ring",
            "What waits in the ring now",
            Unit::Bytes,
            ConstGauge::new(kernel.ring.waiting()),
        )?;
        page.measured(
            "tracebee_ring_peak",
            "The most that ever waited in the ring when the agent looked",
            Unit::Bytes,
            ConstGauge::new(self.0.stats.ring_peak.load(Ordering::Relaxed)),
        )?;
        page.measured(
            "tracebee_ring_size",
            "Size of the ring between kernel and agent",
            Unit::Bytes,
            ConstGauge::new(kernel.ring.size()),
        )?;
        let programs = kernel.programs();
        let of = |value: fn(&crate::source::live::ProgramUsage) -> u64| {
            programs.iter().map(move |program| {
                ([("program", program.name)], ConstCounter::new(value(program)))
            })
        };
        page.family(
            "tracebee_program_runs",
            "Runs of the kernel programs; 0 unless kernel.bpf_stats_enabled is 1",
            of(|program| program.runs),
        )?;
        page.family_in(
            "tracebee_program_run",
            "Processor time of the kernel programs; 0 unless kernel.bpf_stats_enabled is 1",
            Some(Unit::Seconds),
            programs.iter().map(|program| {
                let seconds = program.run_time.as_secs_f64();
                ([("program", program.name)], ConstCounter::new(seconds))
            }),
        )?;
        page.family(
            "tracebee_program_recursion_misses",
            "Runs that the kernel left out because the program was running on that processor",
            of(|program| program.recursion_misses),
        )
    }
}

/// What the agent itself is and uses, under the names that Prometheus' clients agree on.
fn own(page: &mut Page<'_>) -> Result<(), Error> {
    let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    page.single("tracebee_build", "The agent", None, &version)?;
    let Some(usage) = process::usage() else { return Ok(()) };
    page.measured(
        "process_cpu",
        "Processor time of the agent, user and system",
        Unit::Seconds,
        ConstCounter::new(usage.cpu.as_secs_f64()),
    )?;
    page.measured(
        "process_resident_memory",
        "Resident memory of the agent, the ring included",
        Unit::Bytes,
        ConstGauge::new(usage.resident),
    )?;
    page.measured(
        "process_virtual_memory",
        "Address space of the agent",
        Unit::Bytes,
        ConstGauge::new(usage.virtual_size),
    )?;
    page.gauge("process_open_fds", "Open file descriptors", usage.open_files)?;
    page.gauge("process_max_fds", "File descriptors that may be open", usage.max_files)?;
    page.gauge("process_threads", "Threads of the agent", usage.threads)?;
    page.measured(
        "process_start_time",
        "Unix time at which the agent was started",
        Unit::Seconds,
        ConstGauge::new(usage.started.as_secs_f64()),
    )
}

/// The exposition as it is written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        self.single(name, help, None, &ConstCounter::new(value))
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        self.single(name, help, None, &ConstGauge::new(value))
    }

    /// One value in a unit, which becomes the end of its name.
    fn measured(
        &mut self,
        name: &str,
        help: &str,
        unit: Unit,
        metric: impl EncodeMetric,
    ) -> Result<(), Error> {
        self.single(name, help, Some(unit), &metric)
    }

    fn single(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        metric: &impl EncodeMetric,
    ) -> Result<(), Error> {
        let encoder = self.0.encode_descriptor(name, help, unit.as_ref(), metric.metric_type())?;
        metric.encode(encoder)
    }

    fn family<const N: usize, M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = ([(&'static str, &'static str); N], M)>,
    ) -> Result<(), Error> {
        self.family_in(name, help, None, samples)
    }

    /// One value for each set of labels.
    fn family_in<const N: usize, M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        samples: impl IntoIterator<Item = ([(&'static str, &'static str); N], M)>,
    ) -> Result<(), Error> {
        let mut samples = samples.into_iter().peekable();
        let Some((_, first)) = samples.peek() else { return Ok(()) };
        let mut encoder =
            self.0.encode_descriptor(name, help, unit.as_ref(), first.metric_type())?;
        for (labels, metric) in samples {
            metric.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
