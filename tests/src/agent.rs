//! The agent under test: started with a bound, stopped with a bound, its output read back.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::paths;
use crate::process::{Process, patient};
use crate::span::{self, Span};

/// How long the agent may take until it is ready.
const READY_LIMIT: Duration = Duration::from_secs(15);

/// How long it may take to flush and detach after SIGTERM (docs: command line).
pub const STOP_LIMIT: Duration = Duration::from_secs(2);

static CAPTURE: OnceLock<String> = OnceLock::new();

/// Every agent from now on watches the kernel in this way (`--capture`).
pub fn capture_by(how: &str) {
    let _ = CAPTURE.set(how.into());
}

/// What [`capture_by`] said.
pub fn captured_by() -> Option<&'static str> {
    CAPTURE.get().map(String::as_str)
}

/// The program under test: `TRACEBEE_BIN`, or built now.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("TRACEBEE_BIN") {
        return Ok(path.into());
    }
    let mut build = Command::new("cargo");
    build.args(["build", "--profile", "fast", "-p", "tracebee"]).current_dir(paths::tests());
    ensure!(build.status().context("run cargo")?.success(), "the agent does not build");
    Ok(paths::target().join("fast/tracebee"))
}

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    process: Process,
    dir: PathBuf,
    name: String,
    /// Unix time in nanoseconds before it was started.
    pub started: u64,
    /// Unix time in nanoseconds after it said that it was ready.
    pub ready: u64,
}

/// An agent that was stopped.
#[derive(Debug)]
pub struct Stopped {
    /// How it ended.
    pub status: ExitStatus,
    /// How long after SIGTERM.
    pub took: Duration,
    /// What it wrote to stderr, the summary included.
    pub stderr: String,
    stdout: PathBuf,
}

impl Agent {
    /// Starts `tracebee run` with `args` and waits until it traces.
    pub fn start(binary: &Path, dir: &Path, args: &[&str]) -> Result<Self> {
        Self::start_with(binary, dir, args, &[])
    }

    /// The same with environment variables.
    pub fn start_with(
        binary: &Path,
        dir: &Path,
        args: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        let name = (0..)
            .map(|n| format!("agent{n}"))
            .find(|name| !dir.join(format!("{name}.stderr")).exists())
            .context("no free name")?;
        let mut command = Command::new(binary);
        command.arg("run").args(args).envs(variables.iter().copied());
        let capture = CAPTURE.get();
        if let Some(how) = capture {
            command.args(["--capture", how]);
        }
        let started = now();
        let mut process = Process::spawn(&name, dir, &mut command)?;
        process.wait_until("line `ready:` on stderr", READY_LIMIT, |process| {
            process.stderr().lines().any(|line| line.starts_with("ready:"))
        })?;
        let ready = now();
        if let Some(how) = capture.filter(|how| *how != "auto") {
            let stderr = process.stderr();
            ensure!(stderr.contains(&format!("capture={how}\n")), "not capture={how}: {stderr}");
        }
        Ok(Self { process, dir: dir.into(), name, started, ready })
    }

    /// Starts it with `--output json`.
    pub fn json(binary: &Path, dir: &Path) -> Result<Self> {
        Self::start(binary, dir, &["--output", "json"])
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it wrote to stdout so far.
    pub fn stdout(&self) -> String {
        self.process.stdout()
    }

    /// What it wrote to stderr so far.
    pub fn stderr(&self) -> String {
        self.process.stderr()
    }

    /// Proportional share of memory in KiB: shared pages divided by their users.
    pub fn pss_kib(&self) -> Result<u64> {
        let path = format!("/proc/{}/smaps_rollup", self.pid());
        let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// What its kernel programs and their tables take, in KiB, as the kernel says. The ring is not in
    /// it: it is mapped, and in [`pss_kib`](Self::pss_kib).
    pub fn kernel_kib(&self) -> Result<u64> {
        const RING: &str = "27";
        let dir = format!("/proc/{}/fdinfo", self.pid());
        let mut objects = HashMap::new();
        for entry in std::fs::read_dir(&dir).with_context(|| dir.clone())? {
            // Closed meanwhile.
            let Ok(text) = std::fs::read_to_string(entry?.path()) else { continue };
            let value = |name| text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim()));
            let id = value("map_id:").or_else(|| value("prog_id:"));
            if let (Some(id), Some(bytes)) = (id, value("memlock:"))
                && value("map_type:") != Some(RING)
            {
                objects.insert((value("map_type:").is_some(), id.to_owned()), bytes.parse()?);
            }
        }
        ensure!(!objects.is_empty(), "{dir}: no map and no program");
        Ok(objects.values().sum::<u64>() / 1024)
    }

    /// Memory that is its own, in KiB: not the ring, not its program.
    pub fn own_kib(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.pid());
        let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        Ok(line.context("no RssAnon")?.trim().trim_end_matches(" kB").parse()?)
    }

    /// Keeps it from running until [`go_on`](Self::go_on), as a busy host would.
    pub fn pause(&self) {
        self.process.signal(libc::SIGSTOP);
    }

    /// Ends a [`pause`](Self::pause).
    pub fn go_on(&self) {
        self.process.signal(libc::SIGCONT);
    }

    /// Processor time of the agent so far, all threads together.
    pub fn cpu(&self) -> Result<Duration> {
        let path = format!("/proc/{}/stat", self.pid());
        let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        // pid (name) state ...: utime and stime are fields 14 and 15.
        let fields = text.rsplit_once(')').context("no name in stat")?.1.split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
        // SAFETY: plain library call.
        let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
    }

    /// Ends it at once, as a crash would.
    pub fn kill(mut self) -> Result<()> {
        self.process.signal(libc::SIGKILL);
        self.process.wait(STOP_LIMIT).map(drop)
    }

    /// SIGTERM; waits for the end, longer than allowed so that the lateness can be reported.
    pub fn stop(self) -> Result<Stopped> {
        self.stop_with(libc::SIGTERM)
    }

    /// The same with another signal.
    pub fn stop_with(mut self, signal: libc::c_int) -> Result<Stopped> {
        let asked = Instant::now();
        self.process.signal(signal);
        let status = self.process.wait(STOP_LIMIT * 5)?;
        let took = asked.elapsed();
        let stderr = self.process.stderr();
        if !status.success() || took > patient(STOP_LIMIT) {
            bail!("after signal {signal} the agent ended with {status} in {took:?}:\n{stderr}");
        }
        Ok(Stopped { status, took, stderr, stdout: self.dir.join(self.name + ".stdout") })
    }
}

impl Stopped {
    /// All that it wrote to stdout.
    pub fn stdout(&self) -> Result<String> {
        std::fs::read_to_string(&self.stdout).context("the agent's stdout")
    }

    /// The spans that it wrote as OTLP/JSON.
    pub fn spans(&self) -> Result<Vec<Span>> {
        let text = self.stdout()?;
        let mut spans = Vec::new();
        for (number, line) in text.lines().enumerate() {
            spans.extend(
                span::from_json(line).with_context(|| format!("line {} of stdout", number + 1))?,
            );
        }
        Ok(spans)
    }

    /// The number beside `name` in the end summary; 0 if it is not mentioned.
    pub fn summary(&self, name: &str) -> u64 {
        let lines = self.stderr.lines().rev();
        lines.filter_map(|line| number_beside(line, name)).next().unwrap_or(0)
    }
}

/// The number that stands beside a word: `3 name`, `name=3`, `name: 3`; thousands may be grouped.
fn number_beside(line: &str, name: &str) -> Option<u64> {
    let words: Vec<&str> = line
        .split(|c: char| c.is_whitespace() || c == '=')
        .map(|word| word.trim_end_matches([',', ':']))
        .collect();
    let at = words.iter().position(|word| *word == name)?;
    let number = |index: Option<usize>| words.get(index?)?.replace(',', "").parse().ok();
    number(at.checked_sub(1)).or_else(|| number(at.checked_add(1)))
}

/// Unix time in nanoseconds.
pub fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::number_beside;

    #[test]
    fn numbers_of_the_summary() {
        for line in ["lost: gap=1203", "gap: 1,203", "lost: 1,203 gap, 4 ring_full", "1203 gap"] {
            assert_eq!(number_beside(line, "gap"), Some(1203), "{line}");
        }
        assert_eq!(number_beside("lost nothing", "gap"), None);
    }
}
