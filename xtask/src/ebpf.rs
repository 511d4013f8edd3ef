//! The kernel programs, reproducibly: the same bytes from any directory.
//!
//! Needs the `rust-src` component and `bpf-linker` 0.13 on LLVM 22 (CONTRIBUTING.md says how to
//! get them).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, bail, ensure};

/// Where the agent embeds the object from.
const OBJECT: &str = "agent/ebpf/tracebee.bpf.o";
const TARGET: &str = "bpfel-unknown-none";
/// Separates flags in `CARGO_ENCODED_RUSTFLAGS`, so that paths may hold spaces.
const SEPARATOR: &str = "\u{1f}";

/// Builds the object; with `check`, compares it with the committed one instead of replacing it.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    // At run time: the binary may lie in a target folder that several checkouts share.
    let manifest = env::var_os("CARGO_MANIFEST_DIR").context("run it as `cargo xtask`")?;
    let root = Path::new(&manifest).parent().context("xtask lies in a workspace")?;
    let scratch = tempfile::tempdir()?;
    let built = build(root, scratch.path())?;
    let committed = root.join(OBJECT);
    if !check {
        fs::create_dir_all(committed.parent().context("the object has a folder")?)?;
        fs::copy(&built, &committed)?;
        println!("{OBJECT}: {} bytes", fs::metadata(&committed)?.len());
        return Ok(());
    }
    let same = fs::read(&built)? == fs::read(&committed).with_context(|| OBJECT.to_owned())?;
    ensure!(same, "{OBJECT} does not come from this source: run `cargo xtask ebpf` and commit it");
    println!("{OBJECT}: reproduced, byte for byte");
    Ok(())
}

fn build(root: &Path, target_dir: &Path) -> anyhow::Result<PathBuf> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]).current_dir(root))?;
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set")?;
    let mut flags = vec![
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        "--cfg=bpf_target_arch=\"x86_64\"".to_owned(),
    ];
    // No path of a build machine may be inside.
    for (from, to) in [
        (target_dir, "/target"),
        (root, "/tracebee"),
        (home.as_path(), "/cargo"),
        (Path::new(&sysroot), "/rust"),
    ] {
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    }
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(root)
        .args(["build", "--package", "tracebee-ebpf", "--release", "--locked"])
        .args(["-Z", "build-std=core", "--target", TARGET, "--target-dir"])
        .arg(target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join(SEPARATOR))
        // For this child only: build scripts elsewhere probe it.
        .env("RUSTC_BOOTSTRAP", "1")
        .status()
        .context("cargo")?;
    if !status.success() {
        bail!("building the kernel programs failed; CONTRIBUTING.md lists what it needs");
    }
    Ok(target_dir.join(TARGET).join("release/tracebee-ebpf"))
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
