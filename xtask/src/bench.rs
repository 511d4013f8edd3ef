//! What tracing costs: the real agent beside a real load on this host.

mod build;
mod conditions;
mod counted;
mod host;
mod http;
mod kernel;
mod load;
mod postgres;
mod rabbitmq;
mod redis;
mod replay;
mod report;
mod rounds;
mod service;
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
    /// PostgreSQL under pgbench that asks for one row by its key, the client's end traced: the same
    Postgres(PostgresArgs),
    /// A FastAPI service that makes a call for each request, under wrk: its throughput without the agent,
    /// with one that does not ask whose calls they are, and with one that does
    Fastapi(FastapiArgs),
    /// The same of a Go service
    Go(RoundArgs),
    /// redis-server under redis-benchmark without pipelining, every span exported by OTLP/gRPC:
    /// throughput with and without the agent, its processor time
    Redis(RedisArgs),
    /// RabbitMQ under its PerfTest, every message a span where it is sent and one where it is taken: the
    /// same
    #[command(name = "rabbitmq")]
    RabbitMq(RabbitMqArgs),
    /// `tracebee replay` of generated captures: calls a second and core, and the memory that one
    /// endless connection takes. Needs no privilege
    Replay(ReplayArgs),
}

/// Flags of `bench http`.
#[derive(Args)]
pub(crate) struct HttpArgs {
    #[command(flatten)]
    rounds: RoundArgs,
    /// worker_processes of nginx: a number or auto
    #[arg(long, default_value = "auto")]
    workers: String,
}

/// Flags of `bench postgres`.
#[derive(Args)]
pub(crate) struct PostgresArgs {
    #[command(flatten)]
    rounds: RoundArgs,
    /// Prepare the statement once on each connection instead of sending its text each time
    #[arg(long)]
    prepared: bool,
}

/// Flags of `bench fastapi`.
#[derive(Args)]
pub(crate) struct FastapiArgs {
    #[command(flatten)]
    rounds: RoundArgs,
    /// asyncio or uvloop
    #[arg(long, default_value = "asyncio")]
    event_loop: String,
}

/// Flags of the benchmarks that compare rounds.
#[derive(Args)]
pub(crate) struct RoundArgs {
    /// Pairs of rounds that count, one without the agent and one with it; an interval of 95 %
    /// needs 6. At most three times as many are run where some do not count
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Length of one round
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Connections that are kept busy, one request at a time on each
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// How long a pair of rounds may wait for an idle host
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(..=3600))]
    patience: u32,
    /// Threads of the client [default: one per processor]
    #[arg(long)]
    threads: Option<u32>,
    /// The agent to measure [default: built now as people run it, with the profile `release`]
    #[arg(long, value_name = "PATH")]
    agent: Option<PathBuf>,
    /// Further flags for the agent, after `--`
    #[arg(last = true)]
    agent_args: Vec<String>,
}

impl RoundArgs {
    /// Threads and connections of the client.
    fn shape(&self) -> [u32; 2] {
        let threads = self.threads.unwrap_or_else(conditions::processors);
        [threads.min(self.connections), self.connections]
    }
}

/// Flags of the benchmarks with so many calls a round.
#[derive(Args)]
pub(crate) struct CountedArgs {
    /// Pairs of rounds that count, one without the agent and one with it; an interval of 95 %
    /// needs 6. At most three times as many are run where some do not count
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Calls, or messages, of one round
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..))]
    calls: u64,
    /// How long a pair of rounds may wait for an idle host
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(..=3600))]
    patience: u32,
    /// The agent to measure [default: built now as people run it, with the profile `release`]
    #[arg(long, value_name = "PATH")]
    agent: Option<PathBuf>,
}

/// Flags of `bench redis`.
#[derive(Args)]
pub(crate) struct RedisArgs {
    #[command(flatten)]
    counted: CountedArgs,
    /// Connections, one call at a time on each
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
}

/// Flags of `bench rabbitmq`.
#[derive(Args)]
pub(crate) struct RabbitMqArgs {
    #[command(flatten)]
    counted: CountedArgs,
    /// Bytes of a message
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(8..=100_000))]
    size: u32,
}

/// Flags of `bench replay`.
#[derive(Args)]
pub(crate) struct ReplayArgs {
    /// What is spoken
    #[arg(long, value_enum, default_value_t = replay::Protocol::Http)]
    protocol: replay::Protocol,
    /// Times that the calls are replayed
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
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
        Bench::Postgres(args) => postgres::run(args),
        Bench::Fastapi(args) => service::fastapi(args),
        Bench::Go(args) => service::go(args),
        Bench::Redis(args) => redis::run(args),
        Bench::RabbitMq(args) => rabbitmq::run(args),
        Bench::Replay(args) => replay::run(args),
    }
}
