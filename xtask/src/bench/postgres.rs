//! PostgreSQL under pgbench.

use anyhow::Result;

use super::load::Database;
use super::{PostgresArgs, rounds};

/// Measures and prints.
pub(super) fn run(args: &PostgresArgs) -> Result<()> {
    rounds::needs_root()?;
    let dir = tempfile::Builder::new().prefix("tracebee-bench-").tempdir()?;
    let [threads, connections] = args.rounds.shape();
    let flags = format!(
        "-n -S -M {} -j {threads} -c {connections}",
        if args.prepared { "prepared" } else { "simple" }
    );
    let words = format!("PostgreSQL, pgbench {flags} -T {}", args.rounds.seconds);
    let flags = flags.split(' ').map(str::to_owned).collect();
    let load = Database::start(dir.path(), flags)?;
    rounds::run(&args.rounds, dir.path(), &load, [words])
}
