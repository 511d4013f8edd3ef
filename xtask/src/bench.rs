//! What tracing costs: the real agent beside a real load on this host.

mod build;
mod conditions;
mod host;
mod http;
mod kernel;
mod load;
mod redis;
mod replay;
mod report;
pub(crate) mod sink;
mod statistics;
mod usage;

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// The benchmarks.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// nginx under wrk, both ends traced and every span exported by OTLP/gRPC: throughput with and
    /// without the agent, its processor time and memory
    Http(HttpArgs),
    /// redis-server under redis-benchmark without pipelining, every span exported by OTLP/gRPC:
    /// throughput with and without the agent, its processor time
    Redis(RedisArgs),
    /// `tracebee replay` of generated captures: calls a second and core, and the memory that one
    /// endless connection takes. Needs no privilege
    Replay(ReplayArgs),
}

/// Flags of `bench http`.
#[derive(Args)]
pub(crate) struct HttpArgs {
    /// Pairs of rounds that count, one without the agent and one with it; an interval of 95 %
    /// needs 6. At most three times as many are run where some do not count
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Length of one round
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Connections that wrk keeps busy, one request at a time on each
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// How long a pair of rounds may wait for an idle host
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(..=3600))]
    patience: u32,
    /// Threads of wrk [default: one per processor]
    #[arg(long)]
    threads: Option<u32>,
    /// worker_processes of nginx: a number or auto
    #[arg(long, default_value = "auto")]
    workers: String,
    /// The agent to measure [default: built now as people run it, with the profile `release`]
    #[arg(long, value_name = "PATH")]
    agent: Option<PathBuf>,
    /// Further flags for the agent, after `--`
    #[arg(last = true)]
    agent_args: Vec<String>,
}

/// Flags of `bench redis`.
#[derive(Args)]
pub(crate) struct RedisArgs {
    /// Pairs of rounds that count, one without the agent and one with it; an interval of 95 %
    /// needs 6. At most three times as many are run where some do not count
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Calls of one round
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..))]
    calls: u64,
    /// Connections, one call at a time on each
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// How long a pair of rounds may wait for an idle host
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(..=3600))]
    patience: u32,
    /// The agent to measure [default: built now as people run it, with the profile `release`]
    #[arg(long, value_name = "PATH")]
    agent: Option<PathBuf>,
}

/// What the calls of a capture are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Protocol {
    /// HTTP/1.1
    Http,
    /// Redis: GET and SET by turns
    Redis,
}

/// Flags of `bench replay`.
#[derive(Args)]
pub(crate) struct ReplayArgs {
    /// Times that the calls are replayed
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// What the calls are
    #[arg(long, value_enum, default_value_t = Protocol::Http)]
    protocol: Protocol,
    /// Calls in the capture
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    calls: u64,
    /// Connections that they go over
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=20_000))]
    connections: u64,
    /// Length of the endless connection, which is not written to a file; 0: leave it out
    #[arg(long, value_name = "GIB", default_value_t = 10)]
    stream_gib: u64,
    /// The agent to measure [default: built now as people run it, with the profile `release`]
    #[arg(long, value_name = "PATH")]
    agent: Option<PathBuf>,
}

/// Runs a benchmark and prints its report.
pub(crate) fn run(bench: &Bench) -> anyhow::Result<()> {
    match bench {
        Bench::Http(args) => http::run(args),
        Bench::Redis(args) => redis::run(args),
        Bench::Replay(args) => replay::run(args),
    }
}
