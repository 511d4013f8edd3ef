//! How fast `tracebee replay` is, and what memory it takes: the code between source and exporter,
//! which is the same live.

mod make;
mod process;
mod protocol;

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::statistics::Median;
use super::{ReplayArgs, build, conditions};
use make::{Calls, Stream};
use process::{Replay, Usage};

pub(super) use protocol::Protocol;

const GIB: u64 = 1 << 30;

/// Measures and prints.
pub(super) fn run(args: &ReplayArgs) -> Result<()> {
    let binary = build::agent(args.agent.as_deref())?;
    let name = binary.parent().and_then(Path::file_name).unwrap_or_default();
    println!(
        "conditions: {}; tracebee ({}) replay --output none; {}",
        conditions::host()?,
        name.display(),
        conditions::date()?,
    );
    speed(args, &binary)?;
    if args.stream_gib > 0 {
        memory(args, &binary)?;
    }
    Ok(())
}

/// Keep-alive calls from a file, again and again.
fn speed(args: &ReplayArgs, binary: &Path) -> Result<()> {
    let dir = tempfile::Builder::new().prefix("tracebee-bench-").tempdir()?;
    let path = dir.path().join("calls.pcap");
    let ReplayArgs { protocol, calls, connections, .. } = *args;
    let calls = Calls { protocol, calls, connections };
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
    calls.write(&mut out)?;
    out.into_inner().context("writing the capture")?;
    let bytes = path.metadata()?.len();
    println!(
        "{} calls of {} on {} connections, kept alive, {:.0} bytes each in the capture",
        args.calls,
        protocol.name(),
        args.connections,
        bytes as f64 / args.calls as f64
    );
    println!(
        "{:>5} {:>9} {:>9} {:>15} {:>9}",
        "round", "CPU s", "wall s", "calls/s a core", "peak MiB"
    );
    let mut rates = Vec::new();
    for round in 1..=args.rounds {
        let started = Instant::now();
        let replay = Replay::of_file(binary, &path)?;
        let Usage { cpu, peak } = replay.finish(args.calls)?;
        let rate = args.calls as f64 / cpu.as_secs_f64();
        println!(
            "{round:>5} {:>9.2} {:>9.2} {rate:>15.0} {:>9.1}",
            cpu.as_secs_f64(),
            started.elapsed().as_secs_f64(),
            peak as f64 / 1024.0
        );
        rates.push(rate);
    }
    let median = Median::of(rates).context("no round")?;
    println!(
        "calls a second and core: median {:.0}, {:.1} % interval {:.0} to {:.0} ({} rounds; user and \
         system time of all threads)",
        median.value,
        100.0 * median.confidence,
        median.low,
        median.high,
        args.rounds
    );
    Ok(())
}

/// One endless connection through a pipe, and the memory meanwhile.
fn memory(args: &ReplayArgs, binary: &Path) -> Result<()> {
    let mut replay = Replay::of_pipe(binary)?;
    let mut stream =
        Stream::new(args.protocol, BufWriter::with_capacity(1 << 20, replay.input()?))?;
    println!("one connection of {} GiB, answers of a megabyte:", args.stream_gib);
    println!("{:>5} {:>9}", "GiB", "PSS MiB");
    let mut samples = Vec::new();
    for n in 1..=args.stream_gib {
        stream.write(n * GIB)?;
        let pss = replay.memory()?;
        println!("{n:>5} {:>9.1}", pss as f64 / 1024.0);
        samples.push(pss);
    }
    let calls = stream.close()?;
    let usage = replay.finish(calls)?;
    let (first, last) = (samples[0], samples[samples.len() - 1]);
    println!(
        "{calls} calls, none lost; {:.0} MB a second and core; first to last {:+.1} MiB, peak \
         {:.1} MiB",
        (args.stream_gib * GIB) as f64 / 1e6 / usage.cpu.as_secs_f64(),
        (last as f64 - first as f64) / 1024.0,
        usage.peak as f64 / 1024.0
    );
    ensure!(
        last <= first + GROWTH,
        "memory grew from {first} to {last} KiB over the stream: something is kept for ever"
    );
    Ok(())
}

/// What memory may differ by over a stream, in KiB: the allocator's noise.
const GROWTH: u64 = 1024;
