//! A MariaDB server of our own, and what its log says of each connection.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::paths::free_port;
use crate::process::{Process, run};

/// How long the server may take to stop: it waits for nobody.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// What the clients find: a user with a password, and a database.
const INIT: &str =
    "CREATE DATABASE shop; CREATE USER app IDENTIFIED BY 'secret'; GRANT ALL ON *.* TO app;";

/// A server that logs every statement.
#[derive(Debug)]
pub struct MariaDb {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    /// Where it listens, too.
    pub socket: PathBuf,
    process: Process,
    log: PathBuf,
    _data: tempfile::TempDir,
}

/// Something that the server logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// What it was: `Query`, `Execute`, `Init DB`.
    pub command: String,
    /// Its text, with the values of a statement that was prepared.
    pub text: String,
}

impl MariaDb {
    /// Starts a server that takes TLS.
    pub fn start(dir: &Path) -> Result<Self> {
        let (certificate, key) = (dir.join("mariadb.pem"), dir.join("mariadb.key"));
        run(Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
            ])
            .args(["-days", "2", "-subj", "/CN=test", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate))?;
        let data = tempfile::Builder::new().prefix("tracebee-mariadb-").tempdir()?;
        let data_dir = format!("--datadir={}", data.path().join("data").display());
        // Root must say that it means it.
        let common = ["--no-defaults", "--user=root", &data_dir];
        let mut install = Command::new("mariadb-install-db");
        install.args(common).args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
        run(&mut install)?;
        let init = data.path().join("init.sql");
        std::fs::write(&init, INIT.replace("; ", ";\n"))?;
        let log = data.path().join("all.log");
        let port = free_port();
        let socket = data.path().join("socket");
        let mut command = Command::new("/usr/sbin/mariadbd");
        command.args(common).args(["--bind-address=127.0.0.1", &format!("--port={port}")]).args([
            format!("--socket={}", socket.display()),
            format!("--init-file={}", init.display()),
            format!("--general-log-file={}", log.display()),
            format!("--ssl-cert={}", certificate.display()),
            format!("--ssl-key={}", key.display()),
        ]);
        command.args([
            "--general-log",
            "--local-infile=1",
            "--max-allowed-packet=64M",
            "--innodb-buffer-pool-size=16M",
            "--innodb-flush-log-at-trx-commit=0",
            "--performance-schema=0",
        ]);
        let mut process = Process::spawn("mariadb", dir, &mut command)?;
        process.wait_port(SocketAddr::from(([127, 0, 0, 1], port)))?;
        Ok(Self { port, socket, process, log, _data: data })
    }

    /// Stops it, so that its log is complete: what was asked on each connection, by its number.
    pub fn stop(mut self) -> Result<HashMap<u64, Vec<Logged>>> {
        self.process.signal(libc::SIGTERM);
        self.process.wait(STOP_LIMIT)?;
        let text =
            std::fs::read(&self.log).with_context(|| format!("read {}", self.log.display()))?;
        let mut connections = HashMap::<u64, Vec<Logged>>::new();
        for line in String::from_utf8_lossy(&text).lines() {
            // A time, if it is another second; number and command; what it says.
            let fields: Vec<&str> = line.splitn(3, '\t').collect();
            let [_, middle, rest] = fields[..] else { continue };
            let (middle, rest) = match middle {
                "" => rest.split_once('\t').unwrap_or((rest, "")),
                middle => (middle, rest),
            };
            let Some((number, command)) = middle.trim_start().split_once(' ') else { continue };
            let Ok(number) = number.parse() else { continue };
            let logged = Logged { command: command.to_owned(), text: rest.to_owned() };
            connections.entry(number).or_default().push(logged);
        }
        Ok(connections)
    }
}
