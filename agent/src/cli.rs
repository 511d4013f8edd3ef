//! The command line: a contract that people's scripts rely on.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::export::{FilterArgs, OtlpArgs, Output, duration};
use crate::limit::budget::LimitArgs;
use crate::select::{PortArgs, SelectArgs};
use crate::trace::args::TraceArgs;

/// Traces the HTTP calls of every program on this host, unchanged, from the kernel.
#[derive(Parser, Debug)]
#[command(name = "tracebee", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; without one: run.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of run.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Subcommands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Trace until stopped (the default)
    Run(Box<RunArgs>),
    /// Trace what files hold (pcap, pcapng, recordings of run --record): needs no privilege
    Replay(Box<ReplayArgs>),
    /// Say what this kernel and these privileges allow, and what each process gets
    ///
    /// Really loads and attaches the kernel programs for a moment, beside an agent that runs if need
    /// be. Exit code 0: tracing works; 1: there is a problem, with its remedy in the same line.
    Doctor(Box<DoctorArgs>),
}

/// How the kernel is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Capture {
    /// The best that this kernel allows
    Auto,
    /// The socket layer
    Socket,
    /// The socket layer, where it tells of sends only when they are over (Linux 6.12)
    Lengths,
    /// System calls: works on more kernels, costs every program of the host more
    Syscall,
}

/// Flags of `tracebee run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Where spans go.
    #[command(flatten)]
    pub otlp: OtlpArgs,
    /// What is printed [default: text without an OTLP endpoint, none with one]
    #[arg(long, value_name = "FORMAT", env = "TRACEBEE_OUTPUT")]
    pub output: Option<Output>,
    /// What of it is shown.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// What is traced.
    #[command(flatten)]
    pub select: SelectArgs,
    /// How the kernel is watched
    #[arg(long, value_name = "HOW", env = "TRACEBEE_CAPTURE", default_value = "auto")]
    pub capture: Capture,
    /// What traces say, and which are told.
    #[command(flatten)]
    pub trace: TraceArgs,
    /// A call without one byte of an answer ends after this long; 0s: never
    #[arg(
        long,
        value_name = "DURATION",
        env = "TRACEBEE_REQUEST_TIMEOUT",
        default_value = "60s",
        value_parser = duration
    )]
    pub request_timeout: Duration,
    /// What it may take.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// How the run is recorded.
    #[command(flatten)]
    pub record: RecordArgs,
    /// Serve metrics for Prometheus at http://ADDRESS/metrics, like 127.0.0.1:9464 [default: none]
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "TRACEBEE_METRICS_LISTEN",
        value_parser = metrics_address
    )]
    pub metrics_listen: Option<SocketAddr>,
    /// What is logged on standard error: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", env = "TRACEBEE_LOG_LEVEL", default_value = "warn")]
    pub log_level: tracing::Level,
}

/// Flags of `tracebee doctor`: those of `tracebee run` that it can try.
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// Where spans would go.
    #[command(flatten)]
    pub otlp: OtlpArgs,
    /// What is printed: text for people, json for machines, none for the exit code alone
    #[arg(long, value_name = "FORMAT", env = "TRACEBEE_OUTPUT", default_value = "text")]
    #[arg(hide_possible_values = true)]
    pub output: Output,
    /// Which processes are shown.
    #[command(flatten)]
    pub select: SelectArgs,
    /// How the kernel would be watched
    #[arg(long, value_name = "HOW", env = "TRACEBEE_CAPTURE", default_value = "auto")]
    pub capture: Capture,
    /// What it might take.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// What is logged on standard error: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", env = "TRACEBEE_LOG_LEVEL", default_value = "warn")]
    pub log_level: tracing::Level,
}

/// Flags that record the run.
#[derive(Args, Clone, Debug)]
pub struct RecordArgs {
    /// Also write what the kernel delivers, raw traffic with its secrets, for `tracebee replay FILE`
    ///
    /// The file holds captured traffic as it was, passwords and tokens in it included: treat it as
    /// a secret. Only its owner can read it (mode 0600); a regular file of that name is replaced.
    /// Of processes it holds names and OTEL_* resource attributes, no environment and no command
    /// line. Of connections that are not traced (--port, --exclude-port, ...) it holds no traffic.
    #[arg(long, value_name = "FILE", env = "TRACEBEE_RECORD")]
    pub record: Option<PathBuf>,
    /// Largest size of the recording; there it ends, with a warning, and tracing goes on
    #[arg(
        long,
        value_name = "BYTES",
        env = "TRACEBEE_RECORD_MAX",
        default_value = "1073741824",
        value_parser = record_max
    )]
    pub record_max: u64,
}

/// Flags of `tracebee replay`.
#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// Captures and recordings, in the order in which they were written; - is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Where spans go.
    #[command(flatten)]
    pub otlp: OtlpArgs,
    /// What is printed [default: text without an OTLP endpoint, none with one]
    #[arg(long, value_name = "FORMAT", env = "TRACEBEE_OUTPUT")]
    pub output: Option<Output>,
    /// What of it is shown.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// What is traced.
    #[command(flatten)]
    pub ports: PortArgs,
    /// What traces say, and which are told.
    #[command(flatten)]
    pub trace: TraceArgs,
    /// A call without one byte of an answer ends after this long, in the capture's time; 0s: never
    #[arg(
        long,
        value_name = "DURATION",
        env = "TRACEBEE_REQUEST_TIMEOUT",
        default_value = "60s",
        value_parser = duration
    )]
    pub request_timeout: Duration,
    /// What is logged on standard error: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", env = "TRACEBEE_LOG_LEVEL", default_value = "warn")]
    pub log_level: tracing::Level,
}

fn metrics_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "must be an IP address and a port, like 127.0.0.1:9464".to_owned())
}

/// Smallest limit of a recording: room for a few of the largest records.
const MIN_RECORD: u64 = 64 * 1024;

fn record_max(text: &str) -> Result<u64, String> {
    let bytes: u64 = text.parse().map_err(|_| "not a number of bytes".to_owned())?;
    if bytes < MIN_RECORD {
        return Err(format!("must be at least {MIN_RECORD} bytes"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
