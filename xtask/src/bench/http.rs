//! nginx under wrk.

use anyhow::Result;

use super::load::{Http, NGINX, Nginx};
use super::{HttpArgs, conditions, rounds};

/// Measures and prints.
pub(super) fn run(args: &HttpArgs) -> Result<()> {
    rounds::needs_root()?;
    let nginx_version = conditions::version(NGINX, "-v", "nginx-light")?;
    let wrk_version = conditions::version("wrk", "-v", "wrk")?;
    let dir = tempfile::Builder::new().prefix("tracebee-bench-").tempdir()?;
    let [threads, connections] = args.rounds.shape();
    let flags = vec![format!("-t{threads}"), format!("-c{connections}")];
    let words = [
        format!("{nginx_version}, worker_processes {}, return 200", args.workers),
        format!(
            "{}, {} -d{}s",
            wrk_version.split(" Copyright").next().unwrap_or("wrk"),
            flags.join(" "),
            args.rounds.seconds
        ),
    ];
    let load = Http { nginx: Nginx::start(dir.path(), &args.workers)?, flags };
    rounds::run(&args.rounds, dir.path(), &load, words)
}
