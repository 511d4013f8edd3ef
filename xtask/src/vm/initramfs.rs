//! The first file system of the machine: busybox, the few modules that it takes to reach the
//! host's root, and the script that does it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::kernel::Kernel;

const BUSYBOX: &str = "/bin/busybox";
const INIT: &str = include_str!("init.sh");
/// To reach the host and to write over it.
const MODULES: [&str; 4] = ["virtio_pci", "virtio_console", "virtiofs", "overlay"];

/// Makes it, or takes that of an earlier run.
pub(super) fn build(kernel: &Kernel) -> Result<PathBuf> {
    let archive = kernel.folder.join("initramfs.cpio");
    let made_of = kernel.folder.join("initramfs.init");
    // Another script makes another archive.
    if archive.is_file() && fs::read_to_string(&made_of).is_ok_and(|script| script == INIT) {
        return Ok(archive);
    }
    let modules = modules(kernel)?;
    let tree = tempfile::tempdir()?;
    let at = |name: &str| tree.path().join(name);
    let mut names: Vec<String> = Vec::new();
    for folder in ["bin", "mod", "proc", "sys", "dev", "lower", "rw", "new"] {
        fs::create_dir(at(folder))?;
        names.push(folder.to_owned());
    }
    fs::copy(BUSYBOX, at("bin/busybox")).context(BUSYBOX)?;
    symlink("busybox", at("bin/sh"))?;
    fs::write(at("init"), INIT)?;
    fs::set_permissions(at("init"), fs::Permissions::from_mode(0o755))?;
    names.extend(["bin/busybox", "bin/sh", "init"].map(str::to_owned));
    for (number, module) in modules.iter().enumerate() {
        // Loaded in the order of their names.
        let name = format!("mod/{number:03}.ko");
        unpack(module, &at(&name))?;
        names.push(name);
    }
    pack(tree.path(), &names, &archive)?;
    fs::write(made_of, INIT)?;
    Ok(archive)
}

/// The files of the modules, those that others need first.
fn modules(kernel: &Kernel) -> Result<Vec<PathBuf>> {
    let Kernel { release, base, .. } = kernel;
    if !base.join(format!("lib/modules/{release}/modules.dep")).is_file() {
        let done = Command::new("/sbin/depmod").arg("-b").arg(base).arg(release).status();
        ensure!(done.context("depmod")?.success(), "depmod failed for {release}");
    }
    let mut files: Vec<PathBuf> = Vec::new();
    for module in MODULES {
        let mut command = Command::new("/sbin/modprobe");
        command.arg("-d").arg(base).args(["-S", release, "--show-depends", module]);
        let output = command.output().context("modprobe")?;
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{release} has no module {module}");
        // `insmod PATH OPTIONS`; `builtin NAME` needs nothing.
        for line in lines.lines().filter_map(|line| line.strip_prefix("insmod ")) {
            let file = PathBuf::from(line.split(' ').next().unwrap_or_default());
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    Ok(files)
}

fn unpack(module: &Path, to: &Path) -> Result<()> {
    if module.extension().is_none_or(|kind| kind != "xz") {
        fs::copy(module, to)?;
        return Ok(());
    }
    let file = fs::File::create(to)?;
    let done = Command::new("xz").arg("-dc").arg(module).stdout(file).status().context("xz")?;
    ensure!(done.success(), "xz -d {} failed", module.display());
    Ok(())
}

fn pack(tree: &Path, names: &[String], archive: &Path) -> Result<()> {
    let mut command = Command::new("cpio");
    command.args(["--quiet", "-o", "-H", "newc", "-R", "0:0"]).current_dir(tree);
    command.stdin(Stdio::piped()).stdout(fs::File::create(archive)?);
    let mut child = command.spawn().context("cpio")?;
    let mut list = child.stdin.take().context("cpio's input")?;
    list.write_all((names.join("\n") + "\n").as_bytes())?;
    drop(list);
    ensure!(child.wait()?.success(), "cpio failed");
    Ok(())
}
