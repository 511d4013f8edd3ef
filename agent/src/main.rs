//! The `tracebee` command.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use tracebee::cli::{Cli, Command};
use tracebee::{doctor, replay, run};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Memory is counted where it is taken, so that it can be bounded.
#[global_allocator]
static ALLOCATOR: tracebee::limit::held::Counted = tracebee::limit::held::Counted;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = |()| ExitCode::SUCCESS;
    let result = match cli.command {
        Some(Command::Run(args)) => traced(args.log_level, || run::run(*args)).map(done),
        Some(Command::Replay(args)) => traced(args.log_level, || replay::replay(*args)).map(done),
        Some(Command::Doctor(args)) => traced(args.log_level, || doctor::doctor(&args)),
        None => traced(cli.run.log_level, || run::run(cli.run)).map(done),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tracebee: {error}");
            ExitCode::from(if run::is_usage(&error) { 2 } else { 1 })
        }
    }
}

/// Runs a command with its log on standard error.
fn traced<T>(level: tracing::Level, command: impl FnOnce() -> T) -> T {
    // Libraries have little to say to the people who run this.
    let filter =
        Targets::new().with_default(tracing::Level::WARN.min(level)).with_target("tracebee", level);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
    command()
}
