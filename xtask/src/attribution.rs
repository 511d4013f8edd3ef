//! Whose call is it: the live suites `attribution` and `goroutines` with their tables.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, ensure};

/// Installs what the suites run, with `full` what only the full set does, too. Returns where the project
/// lies.
pub(crate) fn set_up(full: bool) -> anyhow::Result<PathBuf> {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("run it as `cargo xtask`")?;
    let root = Path::new(&manifest).parent().context("xtask lies in a workspace")?;
    let mut setup = Command::new(root.join("tests/setup"));
    setup.args(full.then_some("--full"));
    let setup = setup.status().context("run tests/setup")?;
    ensure!(setup.success(), "tests/setup: {setup}");
    Ok(root.to_owned())
}

/// Builds what is needed, runs the suites and prints their tables, or what a `cut` leaves of them: flags
/// and their values. The exit code is theirs.
pub(crate) fn run(
    full: bool,
    permuted: bool,
    cut: &[(&str, Vec<String>)],
) -> anyhow::Result<ExitCode> {
    let root = set_up(full)?;
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
    for (flag, values) in cut.iter().filter(|(_, values)| !values.is_empty()) {
        suite.args([flag, values.join(",").as_str()]);
    }
    let status = suite.status().context("run the live suite")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
