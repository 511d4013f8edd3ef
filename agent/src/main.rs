//! The `tracebee` command.

use std::process::ExitCode;

use clap::Parser as _;
use tracebee::cli::{Cli, Command};
use tracebee::{replay, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Some(Command::Run(args)) => traced(args.log_level, || run::run(*args)),
        Some(Command::Replay(args)) => traced(args.log_level, || replay::replay(*args)),
        None => traced(cli.run.log_level, || run::run(cli.run)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tracebee: {error}");
            ExitCode::from(if run::is_usage(&error) { 2 } else { 1 })
        }
    }
}

/// Runs a command with its log on standard error.
fn traced<T>(level: tracing::Level, command: impl FnOnce() -> T) -> T {
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
    command()
}
