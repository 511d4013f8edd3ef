//! Whose call is it: the live suites `attribution` and `goroutines` with their tables.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, ensure};

/// Installs what the suites run. Returns where the project lies.
pub(crate) fn set_up() -> anyhow::Result<PathBuf> {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("run it as `cargo xtask`")?;
    let root = Path::new(&manifest).parent().context("xtask lies in a workspace")?;
    let setup = Command::new(root.join("tests/setup")).status().context("run tests/setup")?;
    ensure!(setup.success(), "tests/setup: {setup}");
    Ok(root.to_owned())
}

/// Builds what is needed, runs the suites and prints their tables. The exit code is theirs.
pub(crate) fn run(
    full: bool,
    permuted: bool,
    services: &[String],
    in_flight: &[String],
) -> anyhow::Result<ExitCode> {
    let root = set_up()?;
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
    if !in_flight.is_empty() {
        suite.args(["--in-flight", &in_flight.join(",")]);
    }
    let status = suite.status().context("run the live suite")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
