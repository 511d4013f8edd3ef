//! Loads: a server that answers at once, and a program that asks again at once.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tracebee_tests::paths::free_port;
use tracebee_tests::postgres::Postgres;
use tracebee_tests::process::Process;
use tracebee_tests::servers::Server;

use super::{host, usage};

/// What a program may take beyond its time to start, and to end with a busy machine.
const GRACE: Duration = Duration::from_secs(20);

/// How long a server's processes that end with their connections may take to do so.
const LEAVE: Duration = Duration::from_secs(1);

/// Debian puts it where users' PATH does not look.
pub(super) const NGINX: &str = "/usr/sbin/nginx";

/// A server and the program that asks it.
pub(super) trait Load {
    /// Both, in words.
    fn name(&self) -> &'static str;

    /// Which spans there are.
    fn traced(&self) -> &'static str;

    /// Spans that an exchange makes.
    fn spans(&self) -> u64;

    /// The server.
    fn server(&self) -> &Process;

    /// The program, which is to ask for so many seconds.
    fn program(&self, seconds: u32) -> Result<Command>;

    /// Exchanges, and exchanges a second, by what the program says in the end.
    fn read(&self, text: &str) -> Result<(u64, f64)>;
}

/// What the program counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Served {
    pub(super) requests: u64,
    pub(super) per_second: f64,
    /// Processor time of the server and the program.
    pub(super) own: Duration,
}

/// One round; `meanwhile` is called again and again.
pub(super) fn run(
    load: &dyn Load,
    seconds: u32,
    dir: &Path,
    mut meanwhile: impl FnMut() -> Result<()>,
) -> Result<Served> {
    // What ends meanwhile ends as a child of one that stays, which is told of its time.
    let server = || -> Duration {
        load.server().pids().into_iter().filter_map(|pid| usage::cpu(pid).ok()).sum()
    };
    let staying = load.server().pids();
    let (before, children) = (server(), host::children());
    let mut process = Process::spawn("load", dir, &mut load.program(seconds)?)?;
    let mut noted = Ok(());
    let limit = Duration::from_secs(seconds.into()) + GRACE;
    let begun = Instant::now();
    while process.running() && noted.is_ok() {
        ensure!(begun.elapsed() < limit, "{} still runs after {limit:?}", load.name());
        std::thread::sleep(Duration::from_millis(100));
        noted = meanwhile();
    }
    noted?;
    process.succeed(GRACE)?;
    let (requests, per_second) = load.read(&process.stdout())?;
    let deadline = Instant::now() + LEAVE;
    while !load.server().pids().is_subset(&staying) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    let own = server().saturating_sub(before) + host::children().saturating_sub(children);
    Ok(Served { requests, per_second, own })
}

/// nginx under wrk.
pub(super) struct Http {
    pub(super) nginx: Nginx,
    /// wrk's flags but for the time.
    pub(super) flags: Vec<String>,
}

impl Load for Http {
    fn name(&self) -> &'static str {
        "nginx under wrk"
    }

    fn traced(&self) -> &'static str {
        "every call traced at both ends"
    }

    fn spans(&self) -> u64 {
        2
    }

    fn server(&self) -> &Process {
        &self.nginx.process
    }

    fn program(&self, seconds: u32) -> Result<Command> {
        let mut command = Command::new("wrk");
        command.args(&self.flags).arg(format!("-d{seconds}s"));
        command.arg(format!("http://127.0.0.1:{}/", self.nginx.port));
        Ok(command)
    }

    fn read(&self, text: &str) -> Result<(u64, f64)> {
        wrk(text)
    }
}

/// PostgreSQL under pgbench, which asks for one row by its key.
pub(super) struct Database {
    server: Postgres,
    /// pgbench's flags but for the time.
    flags: Vec<String>,
}

impl Database {
    /// Starts a server in `dir` and fills its tables.
    pub(super) fn start(dir: &Path, flags: Vec<String>) -> Result<Self> {
        let server = Postgres::start_with(dir, &["max_connections=1000"])?;
        let mut fill = server.program("pgbench")?;
        fill.args(["-i", "-q", "-s", "1", "postgres"]);
        Process::spawn("fill", dir, &mut fill)?.succeed(GRACE)?;
        Ok(Self { server, flags })
    }
}

impl Load for Database {
    fn name(&self) -> &'static str {
        "PostgreSQL under pgbench"
    }

    fn traced(&self) -> &'static str {
        "every call traced at the client"
    }

    fn spans(&self) -> u64 {
        1
    }

    fn server(&self) -> &Process {
        self.server.process()
    }

    fn program(&self, seconds: u32) -> Result<Command> {
        let mut command = self.server.program("pgbench")?;
        command.args(&self.flags).args(["-T", &seconds.to_string(), "postgres"]);
        Ok(command)
    }

    fn read(&self, text: &str) -> Result<(u64, f64)> {
        parse_pgbench(text)
    }
}

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

    /// As what others ask.
    pub(super) fn server(self) -> Server {
        Server::single("nginx", self.port, self.process)
    }
}

/// Requests, and requests a second, of wrk.
pub(super) fn wrk(text: &str) -> Result<(u64, f64)> {
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

/// Transactions of one statement each, and transactions a second, of pgbench.
fn parse_pgbench(text: &str) -> Result<(u64, f64)> {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches([':', ' ', '=']).split([' ', '/']).next()
    };
    if value("number of failed transactions").is_some_and(|failed| failed != "0") {
        bail!("pgbench met errors:\n{text}");
    }
    let counts = || {
        let requests = value("number of transactions actually processed")?;
        Some((requests.parse().ok()?, value("tps")?.parse().ok()?))
    };
    counts().with_context(|| format!("no count of transactions in what pgbench says:\n{text}"))
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
        assert_eq!(wrk(TEXT).expect("counts"), (301_223, 59060.05));
        let broken = TEXT.replace("Requests", "  Socket errors: connect 0, read 9\nRequests");
        assert!(wrk(&broken).is_err());
        assert!(wrk("").is_err());
    }
    #[test]
    fn counts_of_pgbench() {
        let text = "\
transaction type: <builtin: select only>
number of transactions actually processed: 48113
number of failed transactions: 0 (0.000%)
latency average = 0.166 ms
tps = 24091.525108 (without initial connection time)
";
        assert_eq!(parse_pgbench(text).expect("counts"), (48_113, 24_091.525_108));
        assert!(parse_pgbench(&text.replace(": 0 (", ": 3 (")).is_err());
        assert!(parse_pgbench("").is_err());
    }
}
