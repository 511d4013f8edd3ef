//! What was measured, in lines for people.

use std::time::Duration;

use super::conditions::processors;
use super::kernel::Runs;
use super::load::{Load, Served};
use super::statistics::Median;
use super::usage::Memory;

/// Share of the spans that must arrive for the cost of a round to count.
const ARRIVED: f64 = 0.999;

/// Spans may come of other calls on this host, up to this share.
const MOST_ARRIVED: f64 = 1.01;
/// Share of the processors that others may take during a round.
const FOREIGN: f64 = 0.10;

/// A round without the agent.
pub(super) struct Bare {
    pub(super) served: Served,
    /// Share of the processors that neither the server nor its client took.
    pub(super) foreign: f64,
    /// Another agent ran.
    pub(super) watched: bool,
}

/// A round with the agent.
pub(super) struct Traced {
    pub(super) served: Served,
    /// Share of the processors that neither the load nor the agent nor the receiver took.
    pub(super) foreign: f64,
    /// Spans that came to the receiver.
    pub(super) spans: u64,
    /// Processor time of the agent.
    pub(super) agent: Duration,
    /// Processor time of the receiver.
    pub(super) sink: Duration,
    /// What the kernel programs did, if it was timed.
    pub(super) runs: Runs,
    pub(super) idle: Memory,
    pub(super) peak: Memory,
    /// What the agent says that it lost.
    pub(super) losses: String,
}

impl Traced {
    /// Spans that arrived, of so many for each exchange. Above 1 by the calls that were open when
    /// the client ended, which it does not count, and by other calls on this host.
    fn arrived(&self, expected: u64) -> f64 {
        self.spans as f64 / (expected * self.served.requests) as f64
    }

    /// Why a round with this one and `off` does not count, if it does not.
    fn flaw(&self, off: &Bare, expected: u64) -> Option<&'static str> {
        let arrived = self.arrived(expected);
        if arrived < ARRIVED {
            Some("too few spans arrived")
        } else if arrived > MOST_ARRIVED {
            Some("other calls on this host")
        } else if off.watched {
            Some("another agent ran")
        } else if off.foreign.max(self.foreign) > FOREIGN {
            Some("busy host")
        } else {
            None
        }
    }
}

/// The rounds of a benchmark.
pub(super) struct Report<'a> {
    load: &'a dyn Load,
    conditions: Vec<String>,
    pairs: Vec<(Served, Traced)>,
    /// Of every pair, also those that do not count, the [spent] time of an exchange.
    spent: Vec<[f64; 4]>,
    left_out: usize,
}

impl<'a> Report<'a> {
    pub(super) fn new(conditions: Vec<String>, load: &'a dyn Load) -> Self {
        Self { load, conditions, pairs: Vec::new(), spent: Vec::new(), left_out: 0 }
    }

    /// Prints the conditions and the head of the table.
    pub(super) fn begin(&self) {
        println!("conditions: {}", self.conditions.join("; "));
        println!(
            "{:>5} {:>9} {:>9} {:>6} {:>8} {:>13} {:>13} {:>9} {:>7}  lost",
            "round",
            "off req/s",
            "on req/s",
            "ratio",
            "arrived",
            "agent ms/100k",
            "sink ms/100k",
            "peak MiB",
            "others"
        );
    }

    /// Takes in a pair of rounds and prints its line; says how many pairs count so far.
    pub(super) fn add(&mut self, off: Bare, on: Traced) -> usize {
        let flaw = on.flaw(&off, self.load.spans());
        self.spent.push(spent(&off.served, &on));
        println!(
            "{:>5} {:>9.0} {:>9.0} {:>6.3} {:>7.2}% {:>13.0} {:>13.0} {:>9.1} {:>3.0}%/{:>2.0}%  {}{}",
            self.pairs.len() + self.left_out + 1,
            off.served.per_second,
            on.served.per_second,
            on.served.per_second / off.served.per_second,
            100.0 * on.arrived(self.load.spans()),
            per_100k(on.agent, on.served),
            per_100k(on.sink, on.served),
            mib(on.peak.ring_once()),
            100.0 * off.foreign,
            100.0 * on.foreign,
            on.losses,
            flaw.map_or_else(String::new, |flaw| format!("  INVALID: {flaw}")),
        );
        match flaw {
            None => self.pairs.push((off.served, on)),
            Some(_) => self.left_out += 1,
        }
        self.pairs.len()
    }

    /// Prints what follows from all rounds, of which only valid ones count, and from the one in
    /// which the kernel programs were timed.
    pub(super) fn end(&self, timed: &Traced) {
        self.accounts();
        let (valid, invalid) = (&self.pairs, self.left_out);
        let median = |of: &dyn Fn(&Served, &Traced) -> f64| {
            Median::of(valid.iter().map(|(off, on)| of(off, on)))
        };
        let ratio = median(&|off, on| on.served.per_second / off.per_second);
        let (Some(ratio), Some(off), Some(on), Some(agent), Some(sink)) = (
            ratio,
            median(&|off, _| off.per_second),
            median(&|_, on| on.served.per_second),
            median(&|_, on| per_100k(on.agent, on.served)),
            median(&|_, on| per_100k(on.sink, on.served)),
        ) else {
            println!("no valid round: see the reasons above; an idle host helps");
            return;
        };
        let idle = median(&|_, on| mib(on.idle.ring_once())).map_or(0.0, |idle| idle.value);
        let peaks = valid.iter().map(|(_, on)| on.peak);
        let peak = peaks.fold(Memory::default(), Memory::max);
        let arrived =
            valid.iter().map(|(_, on)| on.arrived(self.load.spans())).fold(f64::INFINITY, f64::min);

        println!(
            "throughput ratio on/off: median {:.3}, {:.1} % interval {:.3} to {:.3} (order \
             statistics of {} pairs, no assumption about their distribution){}",
            ratio.value,
            100.0 * ratio.confidence,
            ratio.low,
            ratio.high,
            valid.len(),
            if invalid > 0 {
                format!("; {invalid} invalid rounds left out")
            } else {
                String::new()
            },
        );
        let kernel = per_100k(Duration::from_nanos(timed.runs.nanoseconds), timed.served);
        println!(
            "processor time for 100,000 exchanges ({}00,000 spans): agent {:.0} ms, receiver {:.0} ms \
             (medians); not in the agent's account, because they run on the time of those who send \
             and receive: its kernel programs, about {kernel:.0} ms ({:.1} runs an exchange of {:.0} \
             ns, timed by the kernel in a round of its own)",
            self.load.spans(),
            agent.value,
            sink.value,
            timed.runs.count as f64 / timed.served.requests as f64,
            timed.runs.nanoseconds as f64 / timed.runs.count.max(1) as f64,
        );
        println!(
            "memory of the agent (Pss, the doubly mapped ring counted once): idle {idle:.1} MiB, peak \
             {:.1} MiB, of which the ring {:.1} MiB",
            mib(peak.ring_once()),
            mib(peak.ring.min(peak.ring_rss / 2)),
        );
        println!(
            "in short: {} on {} CPUs, {} and exported: \
             {:.0}k -> {:.0}k req/s, ratio {:.2} ({:.2} to {:.2}), agent {:.1} us of processor \
             time an exchange and about {:.1} us in the kernel programs, {:.0} MiB, {:.2} % of the spans arrived",
            self.load.name(),
            processors(),
            self.load.traced(),
            off.value / 1000.0,
            on.value / 1000.0,
            ratio.value,
            ratio.low,
            ratio.high,
            agent.value / 100.0,
            kernel / 100.0,
            mib(peak.ring_once()),
            (100.0 * arrived).min(100.0),
        );
    }

    /// Who used the processors, which is known of busy hosts, too.
    fn accounts(&self) {
        let median = |of: &dyn Fn(&[f64; 4]) -> f64| Median::of(self.spent.iter().map(of));
        let ratio = median(&|[bare, traced, agent, sink]| bare / (traced + agent + sink));
        let medians = [0, 1, 2, 3].map(|n| median(&|of| of[n]).map_or(0.0, |m| m.value));
        let ([bare, traced, agent, sink], Some(ratio)) = (medians, ratio) else { return };
        println!(
            "processor time of an exchange: server and client {bare:.1} us without the agent and \
             {traced:.1} us with it (its kernel programs among that), agent {agent:.1} us, receiver \
             {sink:.1} us; without to with all of it: {:.3}, {:.1} % interval {:.3} to {:.3} ({} \
             pairs, those on a busy host, too)",
            ratio.value,
            100.0 * ratio.confidence,
            ratio.low,
            ratio.high,
            self.spent.len(),
        );
    }
}

/// Microseconds of processor time of an exchange: those of server and client without the agent, with
/// it, of the agent and of the receiver.
fn spent(off: &Served, on: &Traced) -> [f64; 4] {
    let traced = &on.served;
    [(off.own, off), (traced.own, traced), (on.agent, traced), (on.sink, traced)]
        .map(|(time, served)| time.as_secs_f64() * 1e6 / served.requests as f64)
}

fn per_100k(time: Duration, served: Served) -> f64 {
    time.as_secs_f64() * 1000.0 * 100_000.0 / served.requests as f64
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
