//! Other kernels: boots one of Debian's in QEMU over this machine's own root, and runs a command
//! there as root. Seconds, also without KVM (docs/kernels.md).

mod initramfs;
mod kernel;
mod machine;
mod suite;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context as _, Result};
use clap::Args;

/// Flags of `cargo xtask vm`.
#[derive(Args)]
pub(crate) struct VmArgs {
    /// Kernels: the beginning of a version of Debian's cloud kernels (6.1), or a folder with one
    /// unpacked (dpkg -x linux-image-*.deb FOLDER)
    #[arg(required = true, value_name = "KERNEL", value_delimiter = ',')]
    kernels: Vec<String>,
    /// Fetch the newest version although an older one is there
    #[arg(long)]
    newest: bool,
    /// Use KVM: faster, where there is one that works; software works everywhere
    #[arg(long)]
    kvm: bool,
    /// Memory of the machine in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1500, value_parser = clap::value_parser!(u32).range(192..))]
    memory: u32,
    /// Longest time that one machine may run
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    /// Where no machine can be run: say why, and succeed
    #[arg(long)]
    if_possible: bool,
    /// What is run there, in this folder, as root [default: the live suite `small`, built first]
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Runs the command on each kernel; its exit code is that of the first that failed.
pub(crate) fn run(args: &VmArgs) -> Result<ExitCode> {
    let place = place()?;
    if let Err(error) = machine::possible() {
        return impossible(args, &error);
    }
    let mut kernels = Vec::new();
    for name in &args.kernels {
        match kernel::find(&place, name, args.newest) {
            Ok(kernel) => kernels.push((name, kernel)),
            Err(error) => return impossible(args, &error),
        }
    }
    if args.if_possible
        && let Some((_, first)) = kernels.first()
    {
        // Only trying tells whether QEMU works here.
        if let Err(error) = args.machine(first, &place)?.run(&["true".to_owned()]) {
            return impossible(args, &error);
        }
    }
    let own = args.command.is_empty();
    let built = if own { Some(suite::build()?) } else { None };
    let mut failed = ExitCode::SUCCESS;
    for (name, kernel) in &kernels {
        let begun = Instant::now();
        println!("== Linux {}", kernel.release);
        let command = match &built {
            Some(built) => suite::command(built, name),
            None => args.command.clone(),
        };
        let code = args.machine(kernel, &place)?.run(&command)?;
        let seconds = begun.elapsed().as_secs();
        println!("== Linux {}: exit code {code}, {seconds} s", kernel.release);
        if code != 0 && own && suite::is_best_effort(name) {
            println!("== Linux {}: not supported, tried only", kernel.release);
        } else if code != 0 && failed == ExitCode::SUCCESS {
            failed = ExitCode::from(code);
        }
    }
    Ok(failed)
}

impl VmArgs {
    fn machine<'a>(
        &self,
        kernel: &'a kernel::Kernel,
        place: &Path,
    ) -> Result<machine::Machine<'a>> {
        Ok(machine::Machine {
            kernel,
            initramfs: initramfs::build(kernel)?,
            kvm: self.kvm,
            memory: self.memory,
            limit: Duration::from_secs(self.timeout),
            out: place.join("out").join(&kernel.release),
        })
    }
}

fn impossible(args: &VmArgs, error: &anyhow::Error) -> Result<ExitCode> {
    if args.if_possible {
        println!("no machine with {}: {error:#}; skipped", args.kernels.join(", "));
        return Ok(ExitCode::SUCCESS);
    }
    anyhow::bail!("no machine with {}: {error:#}", args.kernels.join(", "))
}

/// Where kernels are kept.
fn place() -> Result<PathBuf> {
    let place = target()?.join("vm");
    fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
    Ok(place)
}

/// Cargo's target folder.
fn target() -> Result<PathBuf> {
    if let Some(target) = env::var_os("CARGO_TARGET_DIR") {
        return Ok(std::path::absolute(target)?);
    }
    Ok(root()?.join("target"))
}

/// The checkout.
fn root() -> Result<PathBuf> {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").context("run it as `cargo xtask`")?;
    let root = Path::new(&manifest).parent().context("xtask lies in a workspace")?;
    Ok(root.to_owned())
}
