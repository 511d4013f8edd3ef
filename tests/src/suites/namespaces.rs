//! Client and server in two network namespaces, as containers have them: still one trace. Two
//! pairs of namespaces use the very same addresses and ports, as isolated networks may.

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use tracebee_tests::agent::Agent;
use tracebee_tests::check::{self, Spans, split_url};
use tracebee_tests::paths::installed;
use tracebee_tests::plan::{Plan, Truth, read_log};
use tracebee_tests::process::{Process, START_LIMIT};
use tracebee_tests::report::Report;
use tracebee_tests::servers::{Server, python};

use crate::Setting;

const CALLS: usize = 100;
const CLIENT: [&str; 2] = ["10.213.77.1", "fd77:213::1"];
const SERVER: [&str; 2] = ["10.213.77.2", "fd77:213::2"];

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let networks = [Network::new(1)?, Network::new(2)?];
    let port = 20_777; // in namespaces of our own every port is free
    let mut servers = Vec::new();
    for network in &networks {
        let mut command = inside(&network.server, &installed("go/server"));
        let name = format!("server-{}", network.server);
        let mut process = Process::spawn(&name, dir, command.arg(port.to_string()))?;
        process.wait_until("listener", START_LIMIT, |process| {
            let table = std::fs::read_to_string(format!("/proc/{}/net/tcp6", process.pid()));
            table.is_ok_and(|table| table.contains(&format!(":{port:04X} ")))
        })?;
        servers.push(Server::single("go", port, process));
    }

    let agent = Agent::json(&setting.binary, dir)?;
    let mut logs = Vec::new();
    for (n, network) in networks.iter().enumerate() {
        // Each network has two clients at work at once.
        let mut clients = Vec::new();
        for client in ["go", "requests"] {
            let mut plan = Plan::default();
            for call in 0..CALLS {
                let host = [SERVER[0].to_string(), format!("[{}]", SERVER[1])][call % 2].clone();
                let id = setting.id(&[&format!("net{n}"), client, &call.to_string()]);
                plan.get(&id, &format!("http://{host}:{port}"), "/bytes/1000");
            }
            let label = format!("client-{n}-{client}");
            let (file, log) = (dir.join(format!("{label}.plan")), dir.join(format!("{label}.log")));
            std::fs::write(&file, plan.text())?;
            let mut command = match client {
                "go" => inside(&network.client, &installed("go/client")),
                _ => {
                    let script = python("clients/requests_client.py", &[]);
                    let mut command = inside(&network.client, Path::new(script.get_program()));
                    command.args(script.get_args());
                    command
                }
            };
            command.arg(&file).arg(&log).arg("2");
            clients.push((Process::spawn(&label, dir, &mut command)?, log));
        }
        for (mut client, log) in clients {
            client.succeed(Duration::from_secs(60))?;
            logs.push((n, read_log(&log)?));
        }
    }
    let spans = agent.stop()?.spans()?;

    check::whole(report, &spans);
    let by_call = Spans::new(&spans);
    for (n, log) in &logs {
        for truth in log {
            check_call(report, &by_call, truth, &servers[*n..=*n])?;
        }
    }
    report.note(format!("{} calls", logs.iter().map(|(_, log)| log.len()).sum::<usize>()));
    Ok(())
}

fn check_call(
    report: &mut Report,
    spans: &Spans<'_>,
    truth: &Truth,
    server: &[Server],
) -> Result<()> {
    let v6 = split_url(&truth.url)?.0.is_ipv6();
    for mut hop in check::hops(truth, server)? {
        hop.client = CLIENT[usize::from(v6)].parse::<IpAddr>()?;
        check::hop(report, spans, &hop);
    }
    report.equal(&format!("{}: spans in all", truth.call), 2, spans.of(&truth.call).len());
    Ok(())
}

/// Two namespaces with a cable between them, gone when dropped.
struct Network {
    client: String,
    server: String,
}

impl Network {
    fn new(number: u8) -> Result<Self> {
        let name = |end: &str| format!("tbtest{}-{number}{end}", std::process::id());
        let network = Self { client: name("c"), server: name("s") };
        let (c, s) = (&network.client, &network.server);
        ip(&format!("netns add {c}"))?;
        ip(&format!("netns add {s}"))?;
        ip(&format!("-n {c} link add eth0 type veth peer name eth0 netns {s}"))?;
        for (namespace, addresses) in [(c, CLIENT), (s, SERVER)] {
            ip(&format!("-n {namespace} link set lo up"))?;
            ip(&format!("-n {namespace} addr add {}/24 dev eth0", addresses[0]))?;
            ip(&format!("-n {namespace} addr add {}/64 dev eth0 nodad", addresses[1]))?;
            ip(&format!("-n {namespace} link set eth0 up"))?;
        }
        Ok(network)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in [&self.client, &self.server] {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

fn ip(arguments: &str) -> Result<()> {
    let output = Command::new("ip").args(arguments.split(' ')).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {arguments}: {errors}");
    Ok(())
}

fn inside(namespace: &str, program: &Path) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program);
    command
}
