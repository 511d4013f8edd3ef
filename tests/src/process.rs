//! Processes of the suites: each in a group of its own, waited for with a bound, gone in the end.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// How long a program may take to start; Java and Python on a busy machine take seconds.
pub const START_LIMIT: Duration = Duration::from_secs(30);

static PATIENCE: AtomicU32 = AtomicU32::new(1);

/// From now on everything may take so many times as long: the machine is an emulated one.
pub fn be_patient(times: u32) {
    PATIENCE.store(times.max(1), Ordering::Relaxed);
}

/// A limit on this machine.
pub fn patient(limit: Duration) -> Duration {
    limit * PATIENCE.load(Ordering::Relaxed)
}

/// A running program with its output in files.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts `command`, its output in `dir/name.stdout` and `dir/name.stderr`.
    pub fn spawn(name: &str, dir: &Path, command: &mut Command) -> Result<Self> {
        let stdout = dir.join(format!("{name}.stdout"));
        let stderr = dir.join(format!("{name}.stderr"));
        command
            .stdin(Stdio::null())
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?)
            .process_group(0);
        // SAFETY: prctl is async-signal-safe and touches nothing of the parent.
        unsafe {
            command.pre_exec(|| {
                // If the suites are killed, what they started must not stay behind.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let child = command.spawn().with_context(|| format!("start {name}: {command:?}"))?;
        Ok(Self { name: name.into(), child, stdout, stderr })
    }

    /// Process id of the program itself.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The program and its workers: every process of its group, and all that any of these started,
    /// whatever group they made for themselves (PostgreSQL's do).
    pub fn pids(&self) -> HashSet<u32> {
        let group = self.child.id();
        let mut pids = HashSet::from([group]);
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            // pid (name) state parent group ...: the name may hold spaces.
            let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            let mut numbers = fields.split_whitespace().skip(1).map_while(|n| n.parse().ok());
            let (Some(parent), of) = (numbers.next(), numbers.next()) else { continue };
            children.entry(parent).or_default().push(pid);
            if of == Some(group) {
                pids.insert(pid);
            }
        }
        let mut parents: Vec<u32> = pids.iter().copied().collect();
        while let Some(parent) = parents.pop() {
            let of_it = children.remove(&parent).unwrap_or_default();
            parents.extend(of_it.into_iter().filter(|child| pids.insert(*child)));
        }
        pids
    }

    /// What it wrote to stdout so far.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.stdout).unwrap_or_default()).into_owned()
    }

    /// What it wrote to stderr so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.stderr).unwrap_or_default()).into_owned()
    }

    /// True as long as it runs.
    pub fn running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until `ready` holds, the program ends or `limit` is over.
    pub fn wait_until(
        &mut self,
        what: &str,
        limit: Duration,
        mut ready: impl FnMut(&Self) -> bool,
    ) -> Result<()> {
        let limit = patient(limit);
        let deadline = Instant::now() + limit;
        while !ready(self) {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status} before {what}:\n{}", self.name, self.stderr());
            }
            if Instant::now() > deadline {
                bail!("{}: no {what} within {limit:?}:\n{}", self.name, self.stderr());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Waits until somebody accepts connections at `address`.
    pub fn wait_port(&mut self, address: SocketAddr) -> Result<()> {
        self.wait_until(&format!("listener at {address}"), START_LIMIT, |_| {
            TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
        })
    }

    /// Sends a signal to the program alone.
    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: plain system call; the child is not reaped before `wait`, so the id is its own.
        unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
    }

    /// Waits for the end of the program.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let limit = patient(limit);
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("{} still runs after {limit:?}:\n{}", self.name, self.stderr());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for the end of the program and demands that it succeeded.
    pub fn succeed(&mut self, limit: Duration) -> Result<()> {
        let status = self.wait(limit)?;
        if !status.success() {
            bail!("{} ended with {status}:\n{}{}", self.name, self.stdout(), self.stderr());
        }
        Ok(())
    }

    fn kill_group(&self) {
        // SAFETY: plain system call on the group that this process made.
        unsafe { libc::kill(-(self.child.id() as libc::pid_t), libc::SIGKILL) };
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Also after the program itself ended: its workers may still run.
        self.kill_group();
        let _ = self.child.wait();
    }
}

/// Runs a program that ends soon and has to succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("start {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_in_groups_of_their_own() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let mut command = Command::new("sh");
        command.args(["-c", "setsid sh -c 'sleep 60 & echo $! $$; wait' & wait"]);
        let mut process = Process::spawn("parent", dir.path(), &mut command)?;
        let numbers = |process: &Process| -> Vec<u32> {
            process.stdout().split_whitespace().filter_map(|n| n.parse().ok()).collect()
        };
        process.wait_until("two", START_LIMIT, |process| numbers(process).len() == 2)?;
        let (workers, pids) = (numbers(&process), process.pids());
        for worker in &workers {
            // SAFETY: plain system call; their parents wait for them, so the numbers are theirs.
            unsafe { libc::kill(*worker as libc::pid_t, libc::SIGTERM) };
        }
        assert!(workers.iter().all(|worker| pids.contains(worker)), "{workers:?} in {pids:?}");
        assert!(pids.contains(&process.pid()) && !pids.contains(&std::process::id()));
        Ok(())
    }
}
