//! The programs of a benchmark, optimised.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use tracebee_tests::paths;

/// The agent to measure: the one that was asked for, or built now.
pub(super) fn agent(asked: Option<&Path>) -> Result<PathBuf> {
    match asked {
        Some(path) => fs::canonicalize(path)
            .with_context(|| format!("--agent {}: give the path of a tracebee", path.display())),
        None => build("tracebee", "release"),
    }
}

/// This program, optimised: as a receiver it shares the processors with what is measured.
pub(super) fn xtask() -> Result<PathBuf> {
    build("xtask", "fast")
}

/// Packages one by one, so that neither gets the other's features.
fn build(package: &str, profile: &str) -> Result<PathBuf> {
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--profile", profile, "--package", package])
        .current_dir(paths::tests())
        .status()
        .with_context(|| format!("running cargo to build {package}"))?;
    ensure!(status.success(), "cargo build --profile {profile} --package {package}: {status}");
    Ok(fs::canonicalize(paths::target())?.join(profile).join(package))
}
