//! A PostgreSQL server of our own, and what its log says of each connection.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value as Json;

use crate::paths::free_port;
use crate::process::{Process, run};

/// How long the server may take to stop: it waits for nobody.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// What a call of a function, which has no text, is logged as begins with this.
pub const FUNCTION: &str = "fastpath function call: ";

/// A server of our own.
#[derive(Debug)]
pub struct Postgres {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    /// Where it listens, too.
    pub socket: PathBuf,
    process: Process,
    log: PathBuf,
    /// Its data, readable for the user `postgres` only.
    _data: tempfile::TempDir,
}

/// A statement as the server logged it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Its text.
    pub text: String,
    /// SQLSTATE, if it failed.
    pub code: Option<String>,
}

impl Postgres {
    /// Starts a server with an empty database that logs every statement.
    pub fn start(dir: &Path) -> Result<Self> {
        let logs = [
            "logging_collector=on",
            "log_destination=jsonlog",
            "log_directory=log",
            "log_filename=all.log",
            "log_statement=all",
            "log_duration=on",
        ];
        Self::start_with(dir, &logs)
    }

    /// The same with other settings.
    pub fn start_with(dir: &Path, settings: &[&str]) -> Result<Self> {
        let data = tempfile::Builder::new().prefix("tracebee-postgres-").tempdir()?;
        let programs = programs()?;
        let data_dir = data.path().join("data");
        run(Command::new("chown").arg("postgres:postgres").arg(data.path()))?;
        let mut init = as_postgres(&programs.join("initdb"));
        init.args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale", "C", "--no-sync"]);
        run(init.arg("-D").arg(&data_dir).current_dir("/"))?;
        let port = free_port();
        let mut command = as_postgres(&programs.join("postgres"));
        command.arg("-D").arg(&data_dir).args(["-p", &port.to_string()]).current_dir("/");
        let sockets = format!("unix_socket_directories={}", data.path().display());
        for setting in ["listen_addresses=127.0.0.1", &sockets, "fsync=off", "shared_buffers=16MB"]
            .iter()
            .chain(settings)
        {
            command.args(["-c", setting]);
        }
        let mut process = Process::spawn("postgres", dir, &mut command)?;
        process.wait_port(SocketAddr::from(([127, 0, 0, 1], port)))?;
        let log = data_dir.join("log/all.json");
        let socket = data.path().join(format!(".s.PGSQL.{port}"));
        Ok(Self { port, socket, process, log, _data: data })
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// One of its programs, which asks it.
    pub fn program(&self, name: &str) -> Result<Command> {
        let mut command = Command::new(programs()?.join(name));
        command.args(["-h", "127.0.0.1", "-U", "postgres", "-p", &self.port.to_string()]);
        Ok(command)
    }

    /// Stops it, so that its log is complete: the statements of each connection by the client's
    /// port, or the process that served it over the UNIX socket.
    pub fn stop(mut self) -> Result<HashMap<u64, Vec<Logged>>> {
        self.process.signal(libc::SIGINT);
        self.process.wait(STOP_LIMIT)?;
        let text = std::fs::read_to_string(&self.log)
            .with_context(|| format!("read {}", self.log.display()))?;
        let mut connections = HashMap::<u64, Connection>::new();
        for line in text.lines() {
            let line: Json = serde_json::from_str(line).with_context(|| line.to_owned())?;
            let number = match line["remote_host"].as_str() {
                Some("[local]") => line["pid"].as_u64(),
                _ => line["remote_port"].as_u64(),
            };
            let Some(number) = number else { continue };
            connections.entry(number).or_default().line(&line);
        }
        Ok(connections.into_iter().map(|(number, connection)| (number, connection.all)).collect())
    }
}

/// The log of one connection, line by line.
#[derive(Default)]
struct Connection {
    all: Vec<Logged>,
    /// The last statement has neither failed nor a duration.
    open: bool,
}

impl Connection {
    fn line(&mut self, line: &Json) {
        let message = line["message"].as_str().unwrap_or_default();
        let statement = line["statement"].as_str().unwrap_or_default();
        match line["error_severity"].as_str() {
            Some("LOG") => {
                let text = message.strip_prefix("statement: ").or_else(|| {
                    let (name, text) = message.strip_prefix("execute ")?.split_once(": ")?;
                    (!name.contains('\'')).then_some(text)
                });
                let text = text.or_else(|| message.starts_with(FUNCTION).then_some(message));
                if let Some(text) = text {
                    self.all.push(Logged { text: text.to_owned(), code: None });
                    self.open = true;
                } else if message.starts_with("duration: ") {
                    self.open = false;
                }
            }
            Some("ERROR") => {
                let code = line["state_code"].as_str().map(str::to_owned);
                match self.all.last_mut() {
                    Some(last) if self.open => last.code = code,
                    _ => self.all.push(Logged { text: statement.to_owned(), code }),
                }
                self.open = false;
            }
            _ => {}
        }
    }
}

/// Where Debian puts the programs of the newest version.
fn programs() -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").context("is postgresql installed?")?;
    let newest = versions.flatten().map(|entry| entry.path().join("bin")).max();
    newest.context("no version of postgresql is installed")
}

/// The server refuses to run as root.
fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]).arg(program);
    command
}
