//! Under which conditions something was measured.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// The host, in words.
pub(super) fn host() -> Result<String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("kernel release")?;
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown model", |(_, model)| model.trim());
    Ok(format!("Linux {}, {} CPUs ({model})", kernel.trim(), processors()))
}

/// How many processors there are to saturate.
pub(super) fn processors() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| n.get() as u32)
}

/// Today, in UTC.
pub(super) fn date() -> Result<String> {
    let output = Command::new("date").args(["-u", "+%Y-%m-%d"]).output().context("date")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What a program says of its version; both programs use a stream of their own for that.
pub(super) fn version(program: &str, flag: &str, package: &str) -> Result<String> {
    let output = match Command::new(program).arg(flag).output() {
        Ok(output) => output,
        Err(error) => bail!("running {program}: {error}; apt-get install {package}"),
    };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}
