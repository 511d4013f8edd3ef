//! A capture of the loopback device under way, by Wireshark's own program.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::process::Process;

/// What is still in the kernel when the programs have ended comes within this time.
const SETTLE: Duration = Duration::from_secs(1);
const START_LIMIT: Duration = Duration::from_secs(20);

/// A running `dumpcap`.
#[derive(Debug)]
pub struct Capture {
    dumpcap: Process,
    file: PathBuf,
}

impl Capture {
    /// Captures what `filter` lets through into `dir/name.pcapng`, from now on.
    pub fn start(dir: &Path, name: &str, filter: &str) -> Result<Self> {
        let file = dir.join(format!("{name}.pcapng"));
        let mut command = Command::new("dumpcap");
        command.args(["-q", "-i", "lo", "-f", filter, "-B", "64", "-w"]).arg(&file);
        let mut dumpcap = Process::spawn("dumpcap", dir, &mut command)?;
        dumpcap.wait_until("capture", START_LIMIT, |dumpcap| dumpcap.stderr().contains("File:"))?;
        Ok(Self { dumpcap, file })
    }

    /// Ends it; the file, in which no packet is missing.
    pub fn stop(mut self) -> Result<PathBuf> {
        std::thread::sleep(SETTLE);
        self.dumpcap.signal(libc::SIGINT);
        self.dumpcap.succeed(START_LIMIT)?;
        let dropped = self.dumpcap.stderr();
        ensure!(
            dropped.contains(" 0/0/") || dropped.contains("/0 ("),
            "packets missing: {dropped}"
        );
        Ok(self.file)
    }
}
