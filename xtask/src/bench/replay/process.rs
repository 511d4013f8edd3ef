//! `tracebee replay` as a process of which the time and memory are known.

use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::NamedTempFile;

use super::super::usage;

/// A running replay.
pub(super) struct Replay {
    child: Child,
    input: Option<ChildStdin>,
    /// What it says in the end.
    stderr: NamedTempFile,
}

/// What a replay took.
pub(super) struct Usage {
    /// User and system time of all its threads.
    pub(super) cpu: Duration,
    /// Largest resident size in KiB.
    pub(super) peak: u64,
}

impl Replay {
    /// Of a capture file.
    pub(super) fn of_file(binary: &Path, file: &Path) -> Result<Self> {
        Self::start(Command::new(binary).args(["replay", "--output", "none"]).arg(file))
    }

    /// Of what is written to [`input`](Self::input).
    pub(super) fn of_pipe(binary: &Path) -> Result<Self> {
        let mut command = Command::new(binary);
        command.args(["replay", "--output", "none", "-"]).stdin(Stdio::piped());
        let mut replay = Self::start(&mut command)?;
        replay.input = replay.child.stdin.take();
        Ok(replay)
    }

    fn start(command: &mut Command) -> Result<Self> {
        let stderr = NamedTempFile::new()?;
        command.stderr(stderr.reopen()?);
        let child = command.spawn().with_context(|| format!("start {command:?}"))?;
        Ok(Self { child, input: None, stderr })
    }

    /// Where the capture goes.
    pub(super) fn input(&mut self) -> Result<ChildStdin> {
        self.input.take().context("the capture is a file")
    }

    /// Its memory now, in KiB.
    pub(super) fn memory(&self) -> Result<u64> {
        Ok(usage::memory(self.child.id())?.pss)
    }

    /// Waits for its end; it must have found `calls` calls and lost nothing.
    pub(super) fn finish(self, calls: u64) -> Result<Usage> {
        let Self { child, stderr, .. } = self;
        let (status, usage) = wait(child)?;
        let said = std::fs::read_to_string(stderr.path())?;
        ensure!(status.success(), "the replay ended with {status}: {said}");
        let found = said.split(" call").next().map(|text| text.replace(',', ""));
        ensure!(
            found.as_deref() == Some(&*calls.to_string()) && said.contains("nothing lost"),
            "the replay should have found {calls} calls: {said}"
        );
        Ok(usage)
    }
}

fn wait(child: Child) -> Result<(ExitStatus, Usage)> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let pid = child.id() as libc::pid_t;
    // SAFETY: both pointers are to what the call expects, for as long as it takes.
    let waited = unsafe { libc::wait4(pid, &mut status, 0, usage.as_mut_ptr()) };
    ensure!(waited == pid, "wait4: {}", io::Error::last_os_error());
    // SAFETY: zeroed, which is a value of it, and filled in by the call.
    let usage = unsafe { usage.assume_init() };
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    let cpu = time(usage.ru_utime) + time(usage.ru_stime);
    Ok((ExitStatus::from_raw(status), Usage { cpu, peak: usage.ru_maxrss as u64 }))
}
