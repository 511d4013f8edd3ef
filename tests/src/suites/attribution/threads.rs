//! Services in which the thread says whose call it is, and some in which it would be wrong.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use tracebee_tests::agent::Agent;
use tracebee_tests::clients::Client;
use tracebee_tests::paths::{free_port, installed, workload};
use tracebee_tests::plan::Plan;
use tracebee_tests::postgres::Postgres;
use tracebee_tests::process::Process;
use tracebee_tests::report::Report;
use tracebee_tests::servers::Server;
use tracebee_tests::span::Span;

use super::{CALLS, CALLS_FULL, RECALL, Tally, cells};
use crate::Setting;

/// Requests in flight: few, where event loops look most like threads, and many.
const IN_FLIGHT: [usize; 4] = [1, 2, 8, 64];

/// Stands for the number of requests in flight before it counts.
const BEFORE: usize = 0;

/// A service in one of its ways to serve.
struct Service {
    /// What its calls are called by.
    name: &'static str,
    endpoints: &'static [Endpoint],
    command: fn(port: &str, dir: &Path) -> Command,
}

/// An endpoint of a service.
struct Endpoint {
    name: &'static str,
    /// How many calls it makes for a request.
    each: usize,
    /// What nearly all of its calls are linked by with most requests in flight: where it is none, it is
    /// only demanded that none is linked wrongly.
    link: Option<&'static str>,
}

const fn endpoint(name: &'static str, each: usize, link: Option<&'static str>) -> Endpoint {
    Endpoint { name, each, link }
}

const THREAD: Option<&str> = Some("thread");
const SOLE: Option<&str> = Some("sole");
const NONE: Option<&str> = None;

/// Each thread serves one request at a time; or each process does, and has no need of threads; or
/// it is not so.
const SERVICES: [Service; 15] = [
    Service {
        name: "flask-threads",
        endpoints: &[
            endpoint("work", 3, THREAD),
            endpoint("pieces", 2, THREAD),
            endpoint("long", 1, THREAD),
            endpoint("helper", 2, NONE),
        ],
        command: |port, dir| gunicorn("desk:app", port, dir, &["--threads", "32"]),
    },
    Service {
        name: "flask-sync",
        endpoints: &[endpoint("work", 3, SOLE), endpoint("pieces", 2, SOLE)],
        command: |port, dir| gunicorn("desk:app", port, dir, &["--workers", "4"]),
    },
    Service {
        name: "django-threads",
        endpoints: &[
            endpoint("work", 3, THREAD),
            endpoint("pieces", 2, THREAD),
            endpoint("helper", 2, NONE),
        ],
        command: |port, dir| gunicorn("desk_django:app", port, dir, &["--threads", "32"]),
    },
    Service {
        name: "java-socket",
        endpoints: &[endpoint("work", 3, THREAD)],
        command: |port, _| java("socket", port),
    },
    Service {
        name: "java-jdk",
        endpoints: &[endpoint("work", 3, THREAD)],
        command: |port, _| java("jdk", port),
    },
    Service {
        name: "tomcat",
        endpoints: &[endpoint("work", 3, THREAD)],
        command: |port, _| java("tomcat", port),
    },
    Service {
        name: "puma",
        endpoints: &[
            endpoint("work", 3, THREAD),
            endpoint("pieces", 2, THREAD),
            endpoint("helper", 2, NONE),
        ],
        command: |port, _| puma(port),
    },
    Service {
        // One thread reads for all others.
        name: "puma-queued",
        endpoints: &[endpoint("work", 3, NONE), endpoint("pieces", 2, NONE)],
        command: |port, _| {
            let mut command = puma(port);
            command.env("QUEUED", "1");
            command
        },
    },
    Service {
        name: "php-apache",
        endpoints: &[endpoint("work", 3, SOLE), endpoint("pieces", 2, SOLE)],
        command: |port, dir| {
            let mut command = Command::new("/usr/sbin/apache2");
            command.args(["-D", "FOREGROUND", "-f"]).arg(apache(port, dir));
            command
        },
    },
    Service {
        name: "php-server",
        endpoints: &[endpoint("work", 3, SOLE), endpoint("pieces", 2, SOLE)],
        command: |port, _| {
            let mut command = Command::new("php");
            command.args(["-S", &format!("127.0.0.1:{port}"), "desk.php"]);
            command.current_dir(workload("services")).env("PHP_CLI_SERVER_WORKERS", "8");
            command
        },
    },
    Service {
        name: "java-handoff",
        endpoints: &[endpoint("work", 3, NONE)],
        command: |port, _| java("handoff", port),
    },
    Service {
        name: "netty",
        endpoints: &[endpoint("work", 3, NONE), endpoint("quick", 3, NONE)],
        command: |port, _| {
            let mut command = java_with(&["java-netty", "java-netty/*"]);
            command.args(["Loops", port]);
            command
        },
    },
    Service {
        name: "flask-gevent",
        endpoints: &[endpoint("work", 3, NONE), endpoint("helper", 2, NONE)],
        command: |port, dir| gunicorn("desk:app", port, dir, &["-k", "gevent"]),
    },
    Service {
        name: "node",
        endpoints: &[endpoint("work", 3, NONE)],
        command: |port, _| {
            let mut command = Command::new("node");
            command.arg(workload("services/desk.js")).arg(port);
            command
        },
    },
    Service {
        name: "tokio",
        endpoints: &[endpoint("work", 3, NONE)],
        command: |port, _| {
            // This program; where it cannot tell what it is, starting it says so.
            let mut command = Command::new(std::env::current_exe().unwrap_or_default());
            command.args(["--desk", port]);
            command
        },
    },
];

fn gunicorn(app: &str, port: &str, dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(installed("venv/bin/gunicorn"));
    command
        .args([app, "-b", &format!("127.0.0.1:{port}"), "--keep-alive", "60"])
        .args(["--log-level", "warning", "--no-control-socket", "--worker-tmp-dir"])
        .arg(dir)
        .args(args)
        .current_dir(workload("services"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn puma(port: &str) -> Command {
    let mut command = Command::new("puma");
    command
        .args(["--quiet", "--environment", "none", "--threads", "64:64"])
        .args(["--config", "puma.rb", "--bind", &format!("tcp://127.0.0.1:{port}"), "desk.ru"])
        .current_dir(workload("services"));
    command
}

/// Apache's configuration, beside a script that its user may read; where that cannot be made, starting
/// it says so.
fn apache(port: &str, dir: &Path) -> PathBuf {
    let own = dir.join("apache");
    let config = own.join("apache.conf");
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(&own)?;
        for place in [dir, &own] {
            fs::set_permissions(place, fs::Permissions::from_mode(0o755))?;
        }
        fs::copy(workload("services/desk.php"), own.join("desk.php"))?;
        let template = fs::read_to_string(workload("services/apache.conf"))?;
        let text = template.replace("{dir}", &own.display().to_string()).replace("{port}", port);
        fs::write(&config, text)
    };
    if let Err(error) = write() {
        eprintln!("{}: {error}", config.display());
    }
    config
}

fn java(how: &str, port: &str) -> Command {
    let mut command = java_with(&["java-tomcat", "java-tomcat/*", "java-postgres/*"]);
    command.args(["Desk", how, port]);
    command
}

fn java_with(classes: &[&str]) -> Command {
    let classes: Vec<_> =
        classes.iter().map(|name| installed(name).display().to_string()).collect();
    let mut command = Command::new("java");
    command.args(["-Xmx192m", "-XX:+UseSerialGC", "-cp", &classes.join(":")]);
    command
}

impl Service {
    fn start(&self, setting: &Setting, down: &Server, postgres: &Postgres) -> Result<Server> {
        let dir = setting.dir.path();
        let port = free_port();
        let mut command = (self.command)(&port.to_string(), dir);
        command.env("DOWN", down.base(false)).env("POSTGRES", postgres.port.to_string());
        if setting.permuted {
            command.env("PERMUTED", "1");
        }
        let mut process = Process::spawn(self.name, dir, &mut command)?;
        process.wait_port(SocketAddr::from(([127, 0, 0, 1], port)))?;
        Ok(Server::single(self.name, port, process))
    }

    /// All endpoints, mixed.
    fn plan(&self, setting: &Setting, server: &Server, in_flight: usize, calls: usize) -> Plan {
        let mut plan = Plan::default();
        for n in 0..calls {
            let endpoints = self.endpoints.iter().filter(|it| setting.wants_endpoint(it.name));
            for Endpoint { name, each, .. } in endpoints {
                if n < super::requests(calls, *each) {
                    let parts = [self.name, name, &in_flight.to_string(), &n.to_string()];
                    plan.get(&setting.id(&parts), &server.base(false), &format!("/{name}"));
                }
            }
        }
        plan
    }
}

pub(super) fn run(report: &mut Report, setting: &Setting, down: &Server) -> Result<()> {
    let dir = setting.dir.path();
    let postgres = Postgres::start_with(dir, &["max_connections=400"])?;
    let calls = if setting.full { CALLS_FULL } else { CALLS };
    let mut tally = Tally::default();
    for service in SERVICES.iter().filter(|service| setting.wants(service.name)) {
        // The agent first: what a process served before that, nobody knows.
        let agent = Agent::json(&setting.binary, dir)?;
        let server = service.start(setting, down, &postgres)?;
        if !setting.in_flight.is_empty() {
            // What it proves with fewer, which are left out.
            let plan = service.plan(setting, &server, BEFORE, CALLS);
            Client::Go.run(&plan, dir, IN_FLIGHT[2])?;
        }
        for in_flight in setting.in_flight(&IN_FLIGHT) {
            let plan = service.plan(setting, &server, in_flight, calls);
            Client::Go.run(&plan, dir, in_flight)?;
        }
        let spans = agent.stop()?.spans()?;
        let mut cells = cells(setting, &spans, &server, service.name, Span::call);
        for endpoint in service.endpoints.iter().filter(|it| setting.wants_endpoint(it.name)) {
            for in_flight in setting.in_flight(&IN_FLIGHT) {
                let cell = cells.remove(&(endpoint.name, in_flight)).unwrap_or_default();
                if setting.table {
                    println!("{}", cell.row(service.name, endpoint.name, in_flight));
                }
                let name = format!("{} {} at {in_flight}", service.name, endpoint.name);
                let expected = super::requests(calls, endpoint.each) * endpoint.each;
                report.equal(&format!("{name}: calls"), expected, cell.made);
                cell.check_precision(report, &name);
                if let Some(link) = endpoint.link
                    && in_flight == IN_FLIGHT[IN_FLIGHT.len() - 1]
                {
                    let by_link = cell.links.get(link).copied().unwrap_or(0);
                    let recall = by_link as f64 / cell.made.max(1) as f64;
                    report.check(recall >= RECALL, || format!("{name}: {recall:.4} by {link}"));
                }
                tally.add(cell);
            }
        }
    }
    tally.tell(report, &format!("of {} services with threads", SERVICES.len()));
    Ok(())
}
