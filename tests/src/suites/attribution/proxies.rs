//! nginx and HAProxy in front of a service: which client's request a call to it passes on.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use tracebee_tests::agent::Agent;
use tracebee_tests::clients::Client;
use tracebee_tests::paths::{free_port, workload};
use tracebee_tests::plan::Plan;
use tracebee_tests::process::Process;
use tracebee_tests::report::Report;
use tracebee_tests::servers::Server;
use tracebee_tests::span::Span;

use super::{CALLS, CALLS_FULL, IN_FLIGHT, RECALL, Tally, cells};
use crate::Setting;

/// A proxy with endpoints, and how many calls it makes for a request to each.
struct Proxy {
    name: &'static str,
    endpoints: &'static [(&'static str, usize)],
    command: fn(dir: &Path, config: &Path) -> Command,
}

const PROXIES: [Proxy; 2] = [
    Proxy {
        name: "nginx",
        endpoints: &[
            ("plain", 1),
            ("closing", 1),
            ("body", 1),
            ("delayed", 1),
            ("again", 2),
            ("parts", 3),
        ],
        command: |dir, config| {
            let mut command = Command::new("/usr/sbin/nginx");
            command.arg("-p").arg(dir).arg("-c").arg(config);
            command.arg("-e").arg(dir.join("error.log")).args(["-g", "daemon off;"]);
            command
        },
    },
    Proxy {
        name: "haproxy",
        endpoints: &[("plain", 1), ("closing", 1), ("body", 1), ("queued", 1), ("again", 2)],
        command: |_, config| {
            let mut command = Command::new("/usr/sbin/haproxy");
            command.arg("-f").arg(config);
            command
        },
    },
];

/// Whose calls HAProxy makes for nobody.
const CHECK: &str = "check";
/// Bytes of a body: more than the proxies keep in memory.
const BODY: usize = 40_000;

impl Proxy {
    fn start(&self, setting: &Setting, down: &Server) -> Result<Server> {
        let (port, dir) = (free_port(), setting.dir.path());
        let dir = dir.join(format!("{}-{port}", self.name));
        std::fs::create_dir_all(&dir)?;
        let template = workload(&format!("services/proxy.{}", self.suffix()));
        let permuted = if setting.permuted { "yes:" } else { "no:" };
        let config = std::fs::read_to_string(template)?
            .replace("{dir}", dir.to_str().unwrap_or_default())
            .replace("{port}", &port.to_string())
            .replace("{down}", &down.port.to_string())
            .replace("{permuted}", permuted)
            .replace("{check}", &setting.id(&[self.name, CHECK, "0", "0", "one"]));
        let path = dir.join("config");
        std::fs::write(&path, config)?;
        let mut process = Process::spawn(self.name, &dir, &mut (self.command)(&dir, &path))?;
        process.wait_port(SocketAddr::from(([127, 0, 0, 1], port)))?;
        Ok(Server::single(self.name, port, process))
    }

    fn suffix(&self) -> &'static str {
        if self.name == "nginx" { "nginx.conf" } else { "haproxy.cfg" }
    }

    /// All endpoints, mixed.
    fn plan(&self, setting: &Setting, server: &Server, in_flight: usize, calls: usize) -> Plan {
        let (mut plan, base) = (Plan::default(), server.base(false));
        for n in 0..calls {
            let endpoints = self.endpoints.iter().filter(|(name, _)| setting.wants_endpoint(name));
            for (endpoint, each) in endpoints {
                if n >= super::requests(calls, *each) {
                    continue;
                }
                let parts = [self.name, endpoint, &in_flight.to_string(), &n.to_string()];
                let (id, path) = (setting.id(&parts), format!("/{endpoint}"));
                if *endpoint == "body" {
                    plan.call(&id, "POST", &base, &path, BODY, "");
                } else {
                    plan.get(&id, &base, &path);
                }
            }
        }
        plan
    }
}

pub(super) fn run(report: &mut Report, setting: &Setting, down: &Server) -> Result<()> {
    let calls = if setting.full { CALLS_FULL } else { CALLS };
    let mut tally = Tally::default();
    for proxy in PROXIES.iter().filter(|proxy| setting.wants(proxy.name)) {
        let server = proxy.start(setting, down)?;
        let agent = Agent::json(&setting.binary, setting.dir.path())?;
        for in_flight in setting.in_flight(&IN_FLIGHT) {
            let plan = proxy.plan(setting, &server, in_flight, calls);
            Client::Go.run(&plan, setting.dir.path(), in_flight)?;
        }
        let spans = agent.stop()?.spans()?;
        let mut cells = cells(setting, &spans, &server, proxy.name, Span::call);
        for (endpoint, each) in proxy.endpoints.iter().filter(|it| setting.wants_endpoint(it.0)) {
            for in_flight in setting.in_flight(&IN_FLIGHT) {
                let cell = cells.remove(&(endpoint, in_flight)).unwrap_or_default();
                if setting.table {
                    println!("{}", cell.row(proxy.name, endpoint, in_flight));
                }
                let name = format!("{} {endpoint} at {in_flight}", proxy.name);
                report.equal(
                    &format!("{name}: calls"),
                    super::requests(calls, *each) * each,
                    cell.made,
                );
                cell.check_precision(report, &name);
                cell.check_recall(report, &name, RECALL);
                tally.add(cell);
            }
        }
        // Health checks.
        if let Some(cell) = cells.remove(&(CHECK, 0)) {
            report.check(cell.links.is_empty(), || {
                format!("{}: health checks of somebody: {:?}", proxy.name, cell.links)
            });
        } else {
            report.check(proxy.name == "nginx", || "no health checks were seen".to_owned());
        }
    }
    tally.tell(report, &format!("of {} proxies", PROXIES.len()));
    Ok(())
}
