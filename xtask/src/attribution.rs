//! Whose call is it: the live suites `attribution` and `goroutines` with their tables.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, ensure};

/// Builds what is needed, runs the suites and prints their tables. The exit code is theirs.
pub(crate) fn run(full: bool, permuted: bool, services: &[String]) -> anyhow::Result<ExitCode> {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("run it as `cargo xtask`")?;
    let root = Path::new(&manifest).parent().context("xtask lies in a workspace")?;
    let setup = Command::new(root.join("tests/setup")).status().context("run tests/setup")?;
    ensure!(setup.success(), "tests/setup: {setup}");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut suite = Command::new(cargo);
    suite.current_dir(root).args(["run", "--quiet", "--locked", "-p", "tracebee-tests"]);
    suite.args(["--bin", "live", "--", "attribution", "goroutines", "--table"]);
    if full {
        suite.arg("--full");
    }
    if permuted {
        suite.arg("--permuted");
    }
    if !services.is_empty() {
        suite.args(["--service", &services.join(",")]);
    }
    let status = suite.status().context("run the live suite")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
