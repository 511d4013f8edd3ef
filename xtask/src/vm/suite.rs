//! What is run where no command is given: the live suite `small`, with what each kernel must take.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{root, target};

/// Kernels, and how sockets must be watched there.
const CAPTURE: [(&str, &str); 4] =
    [("6.1", "syscall"), ("6.12", "lengths"), ("6.18", "socket"), ("7.2", "socket")];
/// Kernels that need not work.
const BEST_EFFORT: [&str; 1] = ["5.10"];
/// An emulated machine runs Python some 20 times slower.
const PATIENCE: &str = "20";

/// The programs, built.
pub(super) struct Built {
    agent: PathBuf,
    live: PathBuf,
}

/// Builds and installs what the suite needs, here: there it would take for ever.
pub(super) fn build() -> Result<Built> {
    let (root, target) = (root()?, target()?);
    done(Command::new(root.join("tests/setup")))?;
    for arguments in [&["--profile", "fast", "-p", "tracebee"][..], &["-p", "tracebee-tests"]] {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        command.args(["build", "--quiet", "--locked"]).args(arguments).current_dir(&root);
        done(command)?;
    }
    Ok(Built { agent: target.join("fast/tracebee"), live: target.join("debug/live") })
}

fn done(mut command: Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}

/// The command for the kernel `name`.
pub(super) fn command(built: &Built, name: &str) -> Vec<String> {
    let path = |path: &PathBuf| path.to_string_lossy().into_owned();
    let mut command = vec!["env".to_owned(), format!("TRACEBEE_BIN={}", path(&built.agent))];
    if let Some(target) = std::env::var_os("CARGO_TARGET_DIR") {
        command.push(format!("CARGO_TARGET_DIR={}", target.to_string_lossy()));
    }
    command.extend([path(&built.live), "--patience".to_owned(), PATIENCE.to_owned()]);
    if let Some((_, how)) = CAPTURE.iter().find(|(kernel, _)| *kernel == name) {
        command.extend(["--expect-capture".to_owned(), (*how).to_owned()]);
    }
    command.push("small".to_owned());
    command
}

pub(super) fn is_best_effort(name: &str) -> bool {
    BEST_EFFORT.contains(&name)
}
