//! redis-server under redis-benchmark, one call at a time on each connection.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use tracebee_tests::paths::free_port;
use tracebee_tests::process::Process;

use super::counted::{self, Counted};
use super::{RedisArgs, conditions};

/// Measures and prints.
pub(super) fn run(args: &RedisArgs) -> Result<()> {
    let version = conditions::version("redis-server", "--version", "redis-server")?;
    let dir = tempfile::Builder::new().prefix("tracebee-bench-").tempdir()?;
    let connections = args.connections;
    let load = Redis { server: Server::start(dir.path())?, connections };
    let words = format!(
        "{}; redis-benchmark -t get -c {connections} -n {} (no pipelining)",
        version.split(" sha").next().unwrap_or("redis-server"),
        args.counted.calls
    );
    counted::run(&args.counted, dir.path(), &load, &words)
}

/// The server and its load.
struct Redis {
    server: Server,
    connections: u32,
}

impl Counted for Redis {
    fn server(&self) -> &Process {
        &self.server.process
    }

    fn spans(&self) -> u64 {
        1
    }

    fn program(&self, calls: u64) -> Command {
        let mut command = Command::new("redis-benchmark");
        command.args(["--csv", "-t", "get", "-r", "100000", "-h", "127.0.0.1"]);
        command.arg("-p").arg(self.server.port.to_string());
        command.arg("-c").arg(self.connections.to_string());
        command.arg("-n").arg(calls.to_string());
        command
    }

    fn per_second(&self, text: &str) -> Result<f64> {
        parse(text)
    }
}

/// redis-server in a directory of its own, without a file.
struct Server {
    port: u16,
    process: Process,
}

impl Server {
    fn start(dir: &Path) -> Result<Self> {
        let port = free_port();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]);
        command.arg(dir).arg("--port").arg(port.to_string());
        let mut process = Process::spawn("redis-server", dir, &mut command)?;
        process.wait_port(SocketAddr::from(([127, 0, 0, 1], port)))?;
        Ok(Self { port, process })
    }
}

/// Calls a second, from `"GET","52631.58",...` behind the line that names the columns.
fn parse(text: &str) -> Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("\"GET\",\""));
    let number = line.and_then(|line| line.split('"').next()).and_then(|n| n.parse().ok());
    number.with_context(|| format!("no rate in what redis-benchmark says:\n{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_of_redis_benchmark() {
        let text = "\"test\",\"rps\",\"avg_latency_ms\"\n\"GET\",\"52631.58\",\"0.475\"\n";
        assert_eq!(parse(text).expect("a rate"), 52631.58);
        assert!(parse("Could not connect\n").is_err());
    }
}
