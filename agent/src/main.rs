//! The `tracebee` command.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use tracebee::cli::{Cli, Command};
use tracebee::run;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let args = match cli.command {
        Some(Command::Run(args)) => *args,
        None => cli.run,
    };
    // Libraries have little to say to the people who run this.
    let filter = Targets::new()
        .with_default(tracing::Level::WARN.min(args.log_level))
        .with_target("tracebee", args.log_level);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
    match run::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tracebee: {error}");
            ExitCode::from(if run::is_usage(&error) { 2 } else { 1 })
        }
    }
}
