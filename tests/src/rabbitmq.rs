//! A real RabbitMQ.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::paths::free_port;
use crate::process::Process;

/// How long it may take until it serves, and to stop.
const LIMIT: Duration = Duration::from_secs(30);

/// A running broker, with the daemon that Erlang looks up nodes by.
#[derive(Debug)]
pub struct RabbitMq {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    process: Process,
    place: Place,
    _epmd: Process,
}

/// Where a broker runs, whatever process it is.
#[derive(Debug)]
struct Place {
    /// Messages that outlive it, logs.
    data: TempDir,
    epmd_port: String,
    distribution: u16,
}

impl RabbitMq {
    /// Starts an empty broker. The user is guest, the password guest.
    pub fn start(dir: &Path) -> Result<Self> {
        let data = tempfile::Builder::new().prefix("tracebee-rabbitmq-").tempdir()?;
        let home = data.path();
        let owned = Command::new("chown").arg("rabbitmq:rabbitmq").arg(home).status();
        ensure!(owned.context("run chown")?.success(), "{}: no user rabbitmq", home.display());
        let epmd_port = free_port().to_string();
        // One of its own, in the foreground: Erlang's would stay behind.
        let mut epmd = as_rabbitmq("epmd", home);
        epmd.args(["-port", &epmd_port, "-address", "127.0.0.1"]);
        let epmd = Process::spawn("epmd", dir, &mut epmd)?;
        let (port, distribution) = (free_port(), free_port());
        let place = Place { data, epmd_port, distribution };
        Ok(Self { port, process: place.start(dir, port)?, place, _epmd: epmd })
    }

    /// The broker's process, and what it started.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Stops it in order: it tells its clients so.
    pub fn stop(mut self) -> Result<()> {
        self.halt()
    }

    /// Stops it in order and starts it again, in the same place with the messages that were to be kept.
    pub fn restart(&mut self, dir: &Path) -> Result<()> {
        self.halt()?;
        self.process = self.place.start(dir, self.port)?;
        Ok(())
    }

    /// The same, but it has no time to say a word.
    pub fn crash(&mut self, dir: &Path) -> Result<()> {
        for pid in self.process.pids() {
            // SAFETY: plain system call; its first process is not reaped before `wait`, and those below
            // it are its own.
            unsafe { libc::kill(pid as libc::pid_t, libc::SIGKILL) };
        }
        self.process.wait(LIMIT)?;
        self.process = self.place.start(dir, self.port)?;
        Ok(())
    }

    fn halt(&mut self) -> Result<()> {
        self.process.signal(libc::SIGTERM);
        self.process.wait(LIMIT).map(drop)
    }
}

impl Place {
    /// Starts a broker here, which is to listen on `port`.
    fn start(&self, dir: &Path, port: u16) -> Result<Process> {
        let home = self.data.path();
        let mut command = as_rabbitmq("/usr/lib/rabbitmq/bin/rabbitmq-server", home);
        command
            .env("ERL_EPMD_PORT", &self.epmd_port)
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", "tracebee@localhost")
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", port.to_string())
            .env("RABBITMQ_DIST_PORT", self.distribution.to_string())
            .env("RABBITMQ_MNESIA_BASE", home.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", home.join("log"))
            .env("RABBITMQ_PID_FILE", home.join("pid"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", home.join("plugins"))
            .env("RABBITMQ_CONFIG_FILE", home.join("none"))
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1}",
            );
        let mut process = Process::spawn("rabbitmq", dir, &mut command)?;
        let is_ready = |process: &Process| process.stdout().contains("completed with");
        process.wait_until("a broker that has started", LIMIT, is_ready)?;
        process.wait_port(SocketAddr::from(([127, 0, 0, 1], port)))?;
        Ok(process)
    }
}

/// A program, run as Debian's user of the broker: it refuses to be root.
fn as_rabbitmq(program: &str, home: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=rabbitmq", "--regid=rabbitmq", "--clear-groups", program]);
    command.env("HOME", home).current_dir(home);
    command
}
