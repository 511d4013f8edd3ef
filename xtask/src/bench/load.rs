//! The load: nginx, which answers at once, and wrk, which asks again at once.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tracebee_tests::paths::free_port;
use tracebee_tests::process::Process;

use super::{host, usage};

/// What wrk may take beyond its time to start, and to end with a busy machine.
const GRACE: Duration = Duration::from_secs(20);

/// Debian puts it where users' PATH does not look.
pub(super) const NGINX: &str = "/usr/sbin/nginx";

/// nginx in a directory of its own.
pub(super) struct Nginx {
    port: u16,
    /// Ends with this.
    process: Process,
}

impl Nginx {
    /// Starts it on a free port with `workers` processes.
    pub(super) fn start(dir: &Path, workers: &str) -> Result<Self> {
        let port = free_port();
        let dir = dir.join("nginx");
        fs::create_dir(&dir)?;
        let config = dir.join("nginx.conf");
        // As many requests on a connection as come: the cost of connections is not looked for.
        fs::write(
            &config,
            format!(
                "daemon off;\nworker_processes {workers};\npid nginx.pid;\n\
                 events {{ worker_connections 16384; }}\n\
                 http {{\n    access_log off;\n    keepalive_requests 1000000000;\n    \
                 client_body_temp_path body;\n    proxy_temp_path proxy;\n    \
                 fastcgi_temp_path fastcgi;\n    uwsgi_temp_path uwsgi;\n    \
                 scgi_temp_path scgi;\n    server {{\n        listen 127.0.0.1:{port};\n        \
                 location / {{ return 200 \"hello\\n\"; }}\n    }}\n}}\n"
            ),
        )?;
        let mut command = Command::new(NGINX);
        command.arg("-p").arg(&dir).arg("-c").arg(&config).arg("-e").arg(dir.join("error.log"));
        let mut process = Process::spawn("nginx", &dir, &mut command)?;
        process.wait_port(SocketAddr::from(([127, 0, 0, 1], port)))?;
        Ok(Self { port, process })
    }

    /// Processor time of all of its processes so far.
    fn cpu(&self) -> Result<Duration> {
        self.process.pids().into_iter().map(usage::cpu).sum()
    }
}

/// wrk's parameters.
pub(super) struct Wrk {
    pub(super) threads: u32,
    pub(super) connections: u32,
    pub(super) seconds: u32,
    pub(super) dir: PathBuf,
}

/// What wrk counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Served {
    pub(super) requests: u64,
    pub(super) per_second: f64,
    /// Processor time of nginx and wrk.
    pub(super) own: Duration,
}

impl Wrk {
    /// Its command line without the address.
    pub(super) fn flags(&self) -> String {
        format!("-t{} -c{} -d{}s", self.threads, self.connections, self.seconds)
    }

    /// Loads `nginx`; `meanwhile` is called again and again.
    pub(super) fn run(
        &self,
        nginx: &Nginx,
        mut meanwhile: impl FnMut() -> Result<()>,
    ) -> Result<Served> {
        let url = format!("http://127.0.0.1:{}/", nginx.port);
        let mut command = Command::new("wrk");
        command.args(self.flags().split(' ')).arg(url);
        let before = nginx.cpu()? + host::children();
        let mut process = Process::spawn("wrk", &self.dir, &mut command)?;
        let mut noted = Ok(());
        let limit = Duration::from_secs(self.seconds.into()) + GRACE;
        let begun = std::time::Instant::now();
        while process.running() && noted.is_ok() {
            ensure!(begun.elapsed() < limit, "wrk {} still runs after {limit:?}", self.flags());
            std::thread::sleep(Duration::from_millis(100));
            noted = meanwhile();
        }
        noted?;
        process.succeed(GRACE)?;
        let (requests, per_second) = parse(&process.stdout())?;
        let own = (nginx.cpu()? + host::children()).saturating_sub(before);
        Ok(Served { requests, per_second, own })
    }
}

/// Requests, and requests a second.
fn parse(text: &str) -> Result<(u64, f64)> {
    // Errors make a round another load than the one it is compared with.
    if let Some(line) = text.lines().find(|line| {
        let line = line.trim_start();
        line.starts_with("Socket errors") || line.starts_with("Non-2xx")
    }) {
        bail!("wrk met errors: {}; lower --connections", line.trim());
    }
    let words = |marker: &str| text.lines().find(|line| line.contains(marker));
    let requests = words(" requests in ").and_then(|line| line.split_whitespace().next());
    let per_second = words("Requests/sec:").and_then(|line| line.split_whitespace().nth(1));
    let counts = || Some((requests?.parse().ok()?, per_second?.parse().ok()?));
    counts().with_context(|| format!("no count of requests in what wrk says:\n{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
Running 5s test @ http://127.0.0.1:1/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     0.92ms    1.27ms  19.28ms   88.00%
  301223 requests in 5.10s, 44.24MB read
Requests/sec:  59060.05
Transfer/sec:      8.67MB
";

    #[test]
    fn counts_of_wrk() {
        assert_eq!(parse(TEXT).expect("counts"), (301_223, 59060.05));
        let broken = TEXT.replace("Requests", "  Socket errors: connect 0, read 9\nRequests");
        assert!(parse(&broken).is_err());
        assert!(parse("").is_err());
    }
}
