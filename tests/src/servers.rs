//! The real servers, started and waited for.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};

use crate::paths::{free_port, installed, workload};
use crate::process::{Process, START_LIMIT};

/// A server that listens on both loopback addresses.
#[derive(Debug)]
pub struct Server {
    /// Short name.
    pub name: &'static str,
    /// The port that clients connect to.
    pub port: u16,
    /// The programs: one, or two where a server binds only one family.
    pub processes: Vec<Process>,
    /// The UNIX socket that it listens on in place of the port, as spans show it; the port then is
    /// only its number in URLs.
    pub socket: Option<String>,
    /// Where it passes requests under `/up/` on, if it is a proxy.
    pub upstream: Option<u16>,
    pids: OnceLock<HashSet<u32>>,
}

impl Server {
    /// A server that was started elsewhere.
    pub fn single(name: &'static str, port: u16, process: Process) -> Self {
        Self {
            name,
            port,
            processes: vec![process],
            socket: None,
            upstream: None,
            pids: OnceLock::new(),
        }
    }

    /// Base URL of the IPv4 or IPv6 loopback address.
    pub fn base(&self, v6: bool) -> String {
        format!("http://{}:{}", if v6 { "[::1]" } else { "127.0.0.1" }, self.port)
    }

    /// All of its processes, as they were when this was first asked: after the work, when every
    /// worker is there, and before it is stopped.
    pub fn pids(&self) -> HashSet<u32> {
        self.pids.get_or_init(|| self.processes.iter().flat_map(Process::pids).collect()).clone()
    }

    /// Ends it in good order, so that its logs are complete.
    pub fn quit(&mut self) -> Result<()> {
        self.pids();
        for process in &mut self.processes {
            process.signal(libc::SIGQUIT);
            process.wait(START_LIMIT)?;
        }
        Ok(())
    }

    /// The path under which it serves `path` (see workloads/README.md): what a proxy has no
    /// answer of its own for, it passes on.
    pub fn path(&self, path: &str) -> String {
        let own = ["/bytes/", "/status/", "/redirect", "/limited", "/hello"];
        if self.upstream.is_none() || own.iter().any(|prefix| path.starts_with(prefix)) {
            path.to_string()
        } else {
            format!("/up{path}")
        }
    }
}

/// Which of the servers to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Python's http.server, HTTP/1.1.
    HttpServer,
    /// Python's http.server, HTTP/1.0: answers ended by close.
    HttpServer10,
    /// uvicorn on asyncio with h11.
    Uvicorn,
    /// uvicorn on uvloop with httptools.
    UvicornLoop,
    /// gunicorn with one call at a time in each worker (and no keep-alive).
    GunicornSync,
    /// gunicorn with threads.
    GunicornThreads,
    /// Node's http.
    Node,
    /// Go's net/http.
    Go,
    /// The JDK's HttpServer.
    Java,
}

/// Every server but nginx, which needs one of them behind it.
pub const ALL: [Which; 9] = [
    Which::HttpServer,
    Which::HttpServer10,
    Which::Uvicorn,
    Which::UvicornLoop,
    Which::GunicornSync,
    Which::GunicornThreads,
    Which::Node,
    Which::Go,
    Which::Java,
];

/// Starts a server; its output goes to `dir`.
pub fn start(which: Which, dir: &Path) -> Result<Server> {
    let port = free_port();
    let text = port.to_string();
    let (name, mut command) = match which {
        Which::HttpServer => ("http.server", python("servers/http_server.py", &[&text])),
        Which::HttpServer10 => {
            ("http.server-1.0", python("servers/http_server.py", &[&text, "HTTP/1.0"]))
        }
        Which::Uvicorn => return uvicorn("uvicorn", "asyncio", "h11", port, dir),
        Which::UvicornLoop => return uvicorn("uvicorn-uvloop", "uvloop", "httptools", port, dir),
        Which::GunicornSync => ("gunicorn", gunicorn(port, dir, &["--workers", "2"])),
        Which::GunicornThreads => {
            ("gunicorn-threads", gunicorn(port, dir, &["--workers", "2", "--threads", "8"]))
        }
        Which::Node => {
            let mut command = Command::new("node");
            command.arg(workload("servers/server.js")).arg(&text);
            ("node", command)
        }
        Which::Go => {
            let mut command = Command::new(installed("go/server"));
            command.arg(&text);
            ("go", command)
        }
        Which::Java => {
            let mut command = Command::new("java");
            command.args(["-Xmx128m", "-XX:+UseSerialGC", "-cp"]).arg(installed("java"));
            ("java", {
                command.args(["Server", &text]);
                command
            })
        }
    };
    let mut process = Process::spawn(name, dir, &mut command)?;
    process.wait_port(SocketAddr::from(([127, 0, 0, 1], port)))?;
    Ok(Server::single(name, port, process))
}

/// Starts the server by hand (workloads/raw/server.py) with a way of reading and one of writing.
pub fn by_hand(dir: &Path, style: &str) -> Result<Server> {
    let port = free_port();
    let mut command = python("raw/server.py", &[&format!("{style}:{port}")]);
    let label = format!("server-{}-{port}", style.replace('/', "-"));
    let mut process = Process::spawn(&label, dir, &mut command)?;
    process.wait_port(SocketAddr::from(([127, 0, 0, 1], port)))?;
    Ok(Server::single("by-hand", port, process))
}

/// A command that runs a Python workload in the virtual environment.
pub fn python(script: &str, args: &[&str]) -> Command {
    let mut command = Command::new(installed("venv/bin/python"));
    command.arg(workload(script)).args(args).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn uvicorn(
    name: &'static str,
    event_loop: &str,
    parser: &str,
    port: u16,
    dir: &Path,
) -> Result<Server> {
    let mut processes = Vec::new();
    // One family for each process: asyncio makes IPv6 sockets that take no IPv4.
    for host in ["127.0.0.1", "::1"] {
        let mut command = Command::new(installed("venv/bin/uvicorn"));
        command
            .args(["asgi:app", "--no-access-log", "--log-level", "warning", "--host", host])
            .args(["--port", &port.to_string(), "--loop", event_loop, "--http", parser])
            .current_dir(workload("servers"))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        if parser == "h11" {
            command.args(["--h11-max-incomplete-event-size", "65536"]);
        }
        let label = format!("{name}-{}", if host == "::1" { 6 } else { 4 });
        let mut process = Process::spawn(&label, dir, &mut command)?;
        process.wait_port(SocketAddr::new(host.parse()?, port))?;
        processes.push(process);
    }
    Ok(Server { name, port, processes, socket: None, upstream: None, pids: OnceLock::new() })
}

/// What serves the shop, a service that asks another while it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shop {
    /// FastAPI under uvicorn.
    FastApi,
    /// The same, each request in an empty context of its own.
    FastApiReset,
    /// The first in another CPython, such as `3.14`.
    FastApiOn(&'static str),
    /// aiohttp's own server.
    Aiohttp,
}

/// Starts the shop on an event loop. Its calls to `down` bear the ids of other requests if they are to be
/// `permuted`.
pub fn shop(
    shop: Shop,
    event_loop: &str,
    down: &Server,
    dir: &Path,
    permuted: bool,
) -> Result<Server> {
    let port = free_port();
    // `uvloop-0.22.1` is that version, which lies apart.
    let (event_loop, version) = match event_loop.split_once('-') {
        Some((name, _)) => (name, Some(event_loop)),
        None => (event_loop, None),
    };
    let mut command = match shop {
        Shop::FastApi | Shop::FastApiReset | Shop::FastApiOn(_) => {
            let mut command = match shop {
                Shop::FastApiOn(version) => {
                    let place = format!("cpython-{version}/bin/python{version}");
                    let mut command = Command::new(installed(&place));
                    command.args(["-m", "uvicorn"]);
                    command
                }
                _ => Command::new(installed("venv/bin/uvicorn")),
            };
            command.args(["shop:app", "--no-access-log", "--log-level", "warning"]).args([
                "--loop",
                event_loop,
                "--port",
                &port.to_string(),
            ]);
            if shop == Shop::FastApiReset {
                command.arg("--reset-contextvars");
            }
            command
        }
        Shop::Aiohttp => {
            let mut command = Command::new(installed("venv/bin/python"));
            command.args(["shop_aiohttp.py", &port.to_string(), event_loop]);
            command
        }
    };
    if let Some(version) = version {
        command.env("PYTHONPATH", installed(version));
    }
    command
        .current_dir(workload("services"))
        .env("DOWN", down.base(false))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    if permuted {
        command.env("PERMUTED", "1");
    }
    let mut process = Process::spawn(&format!("shop-{event_loop}"), dir, &mut command)?;
    process.wait_port(SocketAddr::from(([127, 0, 0, 1], port)))?;
    Ok(Server::single("shop", port, process))
}

fn gunicorn(port: u16, dir: &Path, args: &[&str]) -> Command {
    gunicorn_on(&[format!("127.0.0.1:{port}"), format!("[::1]:{port}")], dir, args)
}

fn gunicorn_on(addresses: &[String], dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(installed("venv/bin/gunicorn"));
    command
        .args(["wsgi:app", "--keep-alive", "60", "--log-level", "warning", "--no-control-socket"])
        .args(addresses.iter().flat_map(|address| ["-b", address]))
        .args(args)
        .arg("--worker-tmp-dir")
        .arg(dir)
        .current_dir(workload("servers"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Starts nginx with static files of `sizes` bytes, in front of the server at `upstream`.
pub fn nginx(dir: &Path, upstream: u16, sizes: &[usize]) -> Result<Server> {
    let port = free_port();
    let listen = ["127.0.0.1", "[::1]"].map(|ip| format!("listen {ip}:{port} backlog=4096;"));
    let behind = format!("127.0.0.1:{upstream}");
    let mut process = spawn_nginx(dir, port, &listen.concat(), &behind, sizes)?;
    process.wait_port(SocketAddr::from(([127, 0, 0, 1], port)))?;
    Ok(Server { upstream: Some(upstream), ..Server::single("nginx", port, process) })
}

/// Starts nginx on a UNIX socket, in front of a server on another.
pub fn nginx_unix(dir: &Path, socket: &str, upstream: &Server, sizes: &[usize]) -> Result<Server> {
    let port = free_port();
    let behind = upstream.socket.as_deref().context("the upstream has no UNIX socket")?;
    let (listen, behind) = (format!("listen unix:{socket};"), format!("unix:{behind}"));
    let process = spawn_nginx(dir, port, &listen, &behind, sizes)?;
    let server = listening("nginx", port, socket, process)?;
    Ok(Server { upstream: Some(upstream.port), ..server })
}

/// `port` only tells its files from another's.
fn spawn_nginx(
    dir: &Path,
    port: u16,
    listen: &str,
    upstream: &str,
    sizes: &[usize],
) -> Result<Process> {
    let dir = dir.join(format!("nginx-{port}"));
    std::fs::create_dir_all(dir.join("files/bytes"))?;
    for size in sizes {
        std::fs::write(dir.join(format!("files/bytes/{size}")), vec![b'x'; *size])?;
    }
    let config = std::fs::read_to_string(workload("servers/nginx.conf"))?
        .replace("{dir}", dir.to_str().unwrap_or_default())
        .replace("{listen}", listen)
        .replace("{upstream}", upstream);
    std::fs::write(dir.join("nginx.conf"), config)?;
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-p").arg(&dir).arg("-c").arg(dir.join("nginx.conf"));
    command.arg("-e").arg(dir.join("error.log")).args(["-g", "daemon off;"]);
    Process::spawn("nginx", &dir, &mut command)
}

/// Starts a server on a UNIX socket: a path, or `@name` where the program can do that.
pub fn start_unix(which: Which, dir: &Path, socket: &str) -> Result<Server> {
    let (name, mut command) = match which {
        Which::HttpServer => ("http.server", python("servers/http_server.py", &[socket])),
        Which::HttpServer10 => {
            ("http.server-1.0", python("servers/http_server.py", &[socket, "HTTP/1.0"]))
        }
        Which::Uvicorn | Which::UvicornLoop => {
            let [event_loop, parser] = match which {
                Which::Uvicorn => ["asyncio", "h11"],
                _ => ["uvloop", "httptools"],
            };
            let mut command = Command::new(installed("venv/bin/uvicorn"));
            command
                .args(["asgi:app", "--no-access-log", "--log-level", "warning", "--uds", socket])
                .args(["--loop", event_loop, "--http", parser])
                .current_dir(workload("servers"))
                .env("PYTHONDONTWRITEBYTECODE", "1");
            (if which == Which::Uvicorn { "uvicorn" } else { "uvicorn-uvloop" }, command)
        }
        Which::GunicornSync => ("gunicorn", gunicorn_on(&[format!("unix:{socket}")], dir, &[])),
        Which::GunicornThreads => (
            "gunicorn-threads",
            gunicorn_on(&[format!("unix:{socket}")], dir, &["--workers", "2", "--threads", "8"]),
        ),
        Which::Node => {
            let mut command = Command::new("node");
            command.arg(workload("servers/server.js")).arg(socket);
            ("node", command)
        }
        Which::Go => {
            let mut command = Command::new(installed("go/server"));
            command.arg(socket);
            ("go", command)
        }
        Which::Java => bail!("the JDK's HttpServer has no UNIX sockets"),
    };
    unix(name, dir, socket, &mut command)
}

/// Starts the server by hand on a UNIX socket.
pub fn by_hand_unix(dir: &Path, style: &str, socket: &str) -> Result<Server> {
    unix("by-hand", dir, socket, &mut python("raw/server.py", &[&format!("{style}:{socket}")]))
}

fn unix(name: &'static str, dir: &Path, socket: &str, command: &mut Command) -> Result<Server> {
    let port = free_port();
    let process = Process::spawn(&format!("{name}-{port}"), dir, command)?;
    listening(name, port, socket, process)
}

fn listening(name: &'static str, port: u16, socket: &str, mut process: Process) -> Result<Server> {
    process.wait_until(&format!("listener at {socket}"), START_LIMIT, |_| {
        let address = match socket.strip_prefix('@') {
            Some(name) => UnixAddress::from_abstract_name(name),
            None => UnixAddress::from_pathname(socket),
        };
        address.and_then(|address| UnixStream::connect_addr(&address)).is_ok()
    })?;
    Ok(Server { socket: Some(socket.into()), ..Server::single(name, port, process) })
}
