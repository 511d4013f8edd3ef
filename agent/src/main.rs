//! The `tracebee` command.

use std::process::ExitCode;

use clap::Parser as _;
use tracebee::cli::{Cli, Command};
use tracebee::run;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let args = match cli.command {
        Some(Command::Run(args)) => *args,
        None => cli.run,
    };
    tracing_subscriber::fmt()
        .with_max_level(args.log_level)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
    match run::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tracebee: {error}");
            ExitCode::from(if run::is_usage(&error) { 2 } else { 1 })
        }
    }
}
