//! The real clients: each carries out a plan and leaves its truth log.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::agent::now;
use crate::paths::installed;
use crate::plan::{Plan, Truth, read_log};
use crate::process::Process;
use crate::servers::python;

/// Longest that a client may take for its plan.
const PLAN_LIMIT: Duration = Duration::from_secs(120);
/// And for each call of it: one after the other, of a service that asks others with pauses in between, on
/// a busy machine.
const CALL_LIMIT: Duration = Duration::from_millis(30);

/// A client library or program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// Python requests.
    Requests,
    /// Python httpx, synchronous.
    Httpx,
    /// Python httpx, asynchronous.
    HttpxAsync,
    /// Python aiohttp.
    Aiohttp,
    /// Node's http.request with a keep-alive agent.
    NodeHttp,
    /// Node's fetch.
    NodeFetch,
    /// Go's http.Client.
    Go,
    /// Go's http.Client, a connection for each call.
    GoClose,
    /// The JDK's HttpClient.
    Java,
    /// curl, a process for each call.
    Curl,
}

/// The clients that keep their connections, and curl.
pub const ALL: [Client; 9] = [
    Client::Requests,
    Client::Httpx,
    Client::HttpxAsync,
    Client::Aiohttp,
    Client::NodeHttp,
    Client::NodeFetch,
    Client::Go,
    Client::Java,
    Client::Curl,
];

impl Client {
    /// Short name.
    pub fn name(self) -> &'static str {
        match self {
            Client::Requests => "requests",
            Client::Httpx => "httpx",
            Client::HttpxAsync => "httpx-async",
            Client::Aiohttp => "aiohttp",
            Client::NodeHttp => "node-http",
            Client::NodeFetch => "node-fetch",
            Client::Go => "go",
            Client::GoClose => "go-close",
            Client::Java => "java",
            Client::Curl => "curl",
        }
    }

    /// True if it can send `Expect: 100-continue`; the fetch standard forbids that header.
    pub fn can_expect(self) -> bool {
        self != Client::NodeFetch
    }

    /// Starts it on a plan; for every client but curl.
    pub fn spawn(self, plan: &Plan, dir: &Path, concurrency: usize) -> Result<Running> {
        self.spawn_to(plan, dir, concurrency, None)
    }

    /// The same; it connects to a UNIX socket, whatever the plan says.
    pub fn spawn_to(
        self,
        plan: &Plan,
        dir: &Path,
        concurrency: usize,
        socket: Option<&str>,
    ) -> Result<Running> {
        let name = format!("client-{}", self.name());
        let (plan_file, log) = (dir.join(format!("{name}.plan")), dir.join(format!("{name}.log")));
        std::fs::write(&plan_file, plan.text())?;
        let mut command = self.command();
        command.envs(socket.map(|socket| ("UNIX_SOCKET", socket)));
        command.arg(&plan_file).arg(&log).arg(concurrency.to_string());
        if self == Client::GoClose {
            command.arg("close");
        }
        let limit = PLAN_LIMIT + CALL_LIMIT * plan.len() as u32;
        Ok(Running { process: Process::spawn(&name, dir, &mut command)?, log, limit })
    }

    fn command(self) -> Command {
        let node = |api: &str| {
            let mut command = Command::new("node");
            command.arg("--max-http-header-size=65536");
            command.arg(crate::paths::workload("clients/client.js")).arg(api);
            command
        };
        match self {
            Client::Requests => python("clients/requests_client.py", &[]),
            Client::Httpx => python("clients/httpx_client.py", &[]),
            Client::HttpxAsync => python("clients/httpx_async_client.py", &[]),
            Client::Aiohttp => python("clients/aiohttp_client.py", &[]),
            Client::NodeHttp => node("http"),
            Client::NodeFetch => node("fetch"),
            Client::Go | Client::GoClose => Command::new(installed("go/client")),
            Client::Java => {
                let mut command = Command::new("java");
                command.args(["-Xmx256m", "-XX:+UseSerialGC", "-cp"]).arg(installed("java"));
                command.arg("Client");
                command
            }
            Client::Curl => unreachable!("curl is not started on a plan"),
        }
    }

    /// Carries out a plan and returns the log. Fails if a call failed.
    pub fn run(self, plan: &Plan, dir: &Path, concurrency: usize) -> Result<Vec<Truth>> {
        self.run_to(plan, dir, concurrency, None)
    }

    /// The same; it connects to a UNIX socket, whatever the plan says.
    pub fn run_to(
        self,
        plan: &Plan,
        dir: &Path,
        concurrency: usize,
        socket: Option<&str>,
    ) -> Result<Vec<Truth>> {
        if self == Client::Curl {
            return curl(plan, dir, socket);
        }
        self.spawn_to(plan, dir, concurrency, socket)?.finish()
    }
}

/// A client at work.
#[derive(Debug)]
pub struct Running {
    process: Process,
    log: PathBuf,
    limit: Duration,
}

impl Running {
    /// Waits until the plan is done.
    pub fn finish(mut self) -> Result<Vec<Truth>> {
        self.process.succeed(self.limit)?;
        read_log(&self.log)
    }

    /// Lets it finish the calls under way and ends it.
    pub fn stop(mut self) -> Result<Vec<Truth>> {
        self.process.signal(libc::SIGTERM);
        // Java ends with 128 + 15 after its shutdown hook; that is what it is asked to do.
        let status = self.process.wait(Duration::from_secs(20))?;
        let asked = status.success() || status.code() == Some(128 + libc::SIGTERM);
        anyhow::ensure!(asked, "client ended with {status}:\n{}", self.process.stderr());
        read_log(&self.log)
    }

    /// How many calls it made so far.
    pub fn calls(&self) -> usize {
        std::fs::read(&self.log).map_or(0, |log| log.iter().filter(|b| **b == b'\n').count())
    }

    /// Its complaints.
    pub fn stderr(&self) -> String {
        self.process.stderr()
    }

    /// True as long as it works.
    pub fn running(&mut self) -> bool {
        self.process.running()
    }
}

/// Carries out a plan with the client by hand (workloads/raw/client.py): `style` is a way of
/// reading and one of writing, `shape` an order of doing so.
pub fn by_hand(plan: &Plan, dir: &Path, style: &str, shape: &str) -> Result<Vec<Truth>> {
    by_hand_to(plan, dir, style, shape, None)
}

/// The same; it connects to a UNIX socket, whatever the plan says.
pub fn by_hand_to(
    plan: &Plan,
    dir: &Path,
    style: &str,
    shape: &str,
    socket: Option<&str>,
) -> Result<Vec<Truth>> {
    let name = format!("client-{}-{shape}", style.replace('/', "-"));
    let (plan_file, log) = (dir.join(format!("{name}.plan")), dir.join(format!("{name}.log")));
    std::fs::write(&plan_file, plan.text())?;
    let mut command = python("raw/client.py", &[]);
    command.arg(&plan_file).arg(&log).arg(style).arg(shape);
    command.envs(socket.map(|socket| ("UNIX_SOCKET", socket)));
    let mut process = Process::spawn(&name, dir, &mut command)?;
    process.succeed(PLAN_LIMIT)?;
    read_log(&log)
}

/// curl has no log: its own `-w` figures, and the clock around the process.
fn curl(plan: &Plan, dir: &Path, socket: Option<&str>) -> Result<Vec<Truth>> {
    let mut log = Vec::with_capacity(plan.len());
    for line in plan.text().lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [id, method, url, body, flags] = fields[..] else { anyhow::bail!("plan line {line}") };
        let size: usize = body.parse()?;
        let mut command = Command::new("curl");
        command.args(["-sSL", "--noproxy", "*", "-o", "/dev/null", "-w", "%{json}"]);
        match socket.map(|socket| (socket, socket.strip_prefix('@'))) {
            Some((_, Some(name))) => command.args(["--abstract-unix-socket", name]),
            Some((path, None)) => command.args(["--unix-socket", path]),
            None => &mut command,
        };
        match method {
            "HEAD" => command.arg("-I"),
            "GET" => &mut command,
            other => command.args(["-X", other]),
        };
        if size > 0 {
            let file = dir.join(format!("curl-body-{size}"));
            std::fs::write(&file, vec![b'x'; size])?;
            command.arg("--data-binary").arg(format!("@{}", file.display()));
        }
        let pad = flags.split(',').find_map(|flag| flag.strip_prefix("pad="));
        for n in 0..pad.map_or(Ok(0), str::parse::<usize>)? / 4000 {
            command.args(["-H", &format!("x-pad-{n}: {}", "p".repeat(4000))]);
        }
        if flags.contains("chunked") {
            command.args(["-H", "Transfer-Encoding: chunked"]);
        }
        command.args([
            "-H",
            if flags.contains("expect") { "Expect: 100-continue" } else { "Expect:" },
        ]);
        command.arg(url);
        let start = now();
        let child = command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .context("start curl")?;
        let pid = child.id();
        let output = child.wait_with_output()?;
        let end = now();
        let errors = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "curl {url}: {}: {errors}", output.status);
        let figures: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let figure = |key: &str| figures.get(key).and_then(serde_json::Value::as_u64);
        log.push(Truth {
            call: id.into(),
            method: method.into(),
            url: url.into(),
            status: figure("http_code").context("http_code")? as u16,
            sent: size as u64,
            received: figure("size_download").context("size_download")?,
            start,
            end,
            read: None,
            pid,
            port: figure("local_port").map(|port| port as u16).filter(|_| socket.is_none()),
            worker: 0,
        });
    }
    Ok(log)
}
