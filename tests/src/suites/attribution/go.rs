//! Go: the goroutine says whose call it is, whichever connection it takes and whoever drives that.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use tracebee_tests::agent::Agent;
use tracebee_tests::clients::Client;
use tracebee_tests::paths::{free_port, installed};
use tracebee_tests::plan::Plan;
use tracebee_tests::postgres::Postgres;
use tracebee_tests::process::Process;
use tracebee_tests::report::Report;
use tracebee_tests::servers::{self, Server, Which};
use tracebee_tests::span::Span;

use super::{CALLS, CALLS_FULL, Cell, IN_FLIGHT, RECALL, cells, requests};
use crate::Setting;

/// An endpoint of the service (workloads/services/go), how many calls it makes for a request, and
/// whether they are linked: if not, it is only demanded that none is linked wrongly.
type Endpoint = (&'static str, usize, bool);

const ENDPOINTS: [Endpoint; 12] = [
    ("work", 3, true),
    ("fan", 5, true),
    ("after", 3, true),
    ("pq", 3, true),
    ("pgx", 3, true),
    ("redis", 3, true),
    ("house", 1, true),
    ("timer", 2, false),
    ("workers", 2, false),
    ("lazy", 2, false),
    ("queued", 2, false),
    ("piled", 2, false),
];

/// An endpoint that nobody asks for: what the service asks there is part of no request.
const LOOP: &str = "loop";

/// Stands for the number of requests in flight before the agent is there.
const BEFORE: usize = 0;

/// How the service is built, and whether it is there before the agent, with its pools.
const SERVICES: [(&str, &str, bool); 2] =
    [("go", "desk-stripped", false), ("go-older", "desk-whole", true)];

/// The services that the service asks.
struct Others<'a> {
    down: &'a Server,
    postgres: Postgres,
    redis: u16,
}

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let down = servers::start(Which::Go, dir)?;
    let postgres = Postgres::start_with(dir, &["max_connections=100"])?;
    let redis = free_port();
    let mut server = Command::new("redis-server");
    server.args(["--port", &redis.to_string(), "--save", "", "--bind", "127.0.0.1"]);
    let mut server = Process::spawn("redis-server", dir, &mut server)?;
    server.wait_port(SocketAddr::from(([127, 0, 0, 1], redis)))?;
    let others = Others { down: &down, postgres, redis };
    for (name, program, older) in SERVICES.into_iter().filter(|(name, ..)| setting.wants(name)) {
        service(report, setting, &others, (name, program, older))?;
    }
    Ok(())
}

/// One service, with all numbers of requests in flight.
fn service(
    report: &mut Report,
    setting: &Setting,
    others: &Others<'_>,
    (name, program, older): (&'static str, &str, bool),
) -> Result<()> {
    let dir = setting.dir.path();
    let calls = if setting.full { CALLS_FULL } else { CALLS };
    let (server, agent) = if older {
        let server = others.start(name, program, dir, setting.permuted)?;
        // Until every pool is full.
        Client::Go.run(&plan(setting, &server, name, BEFORE, 100), dir, 8)?;
        (server, Agent::json(&setting.binary, dir)?)
    } else {
        // What a process served before the agent came, nobody knows.
        let agent = Agent::json(&setting.binary, dir)?;
        (others.start(name, program, dir, setting.permuted)?, agent)
    };
    for in_flight in setting.in_flight(&IN_FLIGHT) {
        Client::Go.run(&plan(setting, &server, name, in_flight, calls), dir, in_flight)?;
    }
    let stopped = agent.stop()?;
    let spans = stopped.spans()?;
    // On connections that are older than the agent, the first calls may not be recognised.
    let missing = stopped.summary("joined_midway") as usize;
    report.check(older || missing == 0, || format!("{name}: {missing} calls lost"));
    let words = words(&server);
    let mut cells = cells(setting, &spans, &server, name, |span| call(span, &words));
    let mut links = BTreeMap::<String, usize>::new();
    let mut made = 0;
    let endpoints = ENDPOINTS.into_iter().filter(|(name, ..)| setting.wants_endpoint(name));
    for (endpoint, each, linked) in endpoints {
        for in_flight in setting.in_flight(&IN_FLIGHT) {
            let cell = cells.remove(&(endpoint, in_flight)).unwrap_or_default();
            if setting.table {
                println!("{}", cell.row(name, endpoint, in_flight));
            }
            let cell_name = format!("{name} {endpoint} at {in_flight}");
            let expected = requests(calls, each) * each;
            let all = (expected - missing.min(expected)..=expected).contains(&cell.made);
            report.check(all, || format!("{cell_name}: {} of {expected} calls", cell.made));
            cell.check_precision(report, &cell_name);
            if linked && in_flight != IN_FLIGHT[0] {
                let recall = by_context(&cell) as f64 / cell.made.max(1) as f64;
                report.check(recall >= RECALL, || format!("{cell_name}: {recall:.4} by context"));
            }
            made += cell.made;
            for (link, count) in cell.links {
                *links.entry(link).or_default() += count;
            }
        }
    }
    let loops: Vec<Cell> =
        cells.into_iter().filter(|((name, _), _)| *name == LOOP).map(|(_, cell)| cell).collect();
    // The first request for it starts that.
    let has_loop = loops.iter().any(|cell| cell.made > 0) || !setting.wants_endpoint("house");
    report.check(has_loop, || format!("{name}: no loop"));
    for cell in loops {
        cell.check_precision(report, &format!("{name} {LOOP}"));
    }
    report.note(format!("{name}: {made} calls"));
    for (link, count) in links {
        report.note(format!("{name}: {count} by {link}"));
    }
    Ok(())
}

fn by_context(cell: &Cell) -> usize {
    cell.links.get("context").copied().unwrap_or(0)
}

impl Others<'_> {
    fn start(
        &self,
        name: &'static str,
        program: &str,
        dir: &Path,
        permuted: bool,
    ) -> Result<Server> {
        let port = free_port();
        let mut command = Command::new(installed(&format!("go/{program}")));
        command
            .arg(port.to_string())
            .env("DOWN", self.down.base(false))
            .env("POSTGRES", self.postgres.port.to_string())
            .env("REDIS", self.redis.to_string());
        if permuted {
            command.env("PERMUTED", "1");
        }
        let mut process = Process::spawn(name, dir, &mut command)?;
        process.wait_port(SocketAddr::from(([127, 0, 0, 1], port)))?;
        Ok(Server::single(name, port, process))
    }
}

/// All endpoints, mixed.
fn plan(setting: &Setting, server: &Server, name: &str, in_flight: usize, calls: usize) -> Plan {
    let mut plan = Plan::default();
    for n in 0..requests(calls, 1) {
        let endpoints = ENDPOINTS.into_iter().filter(|(name, ..)| setting.wants_endpoint(name));
        for (endpoint, each, _) in endpoints {
            if n < requests(calls, each) {
                let parts = [name, endpoint, &in_flight.to_string(), &n.to_string()];
                plan.get(&setting.id(&parts), &server.base(false), &format!("/{endpoint}"));
            }
        }
    }
    plan
}

/// Keys show no numbers, so the service names each call of Redis by a word and says which: `WORD CALL`.
fn words(server: &Server) -> HashMap<String, String> {
    let said: Vec<String> = server.processes.iter().map(Process::stdout).collect();
    let lines = said.iter().flat_map(|text| text.lines());
    let pairs = lines.filter_map(|line| line.split_once(' '));
    pairs.map(|(word, call)| (word.to_owned(), call.to_owned())).collect()
}

fn call<'a>(span: &'a Span, words: &'a HashMap<String, String>) -> Option<&'a str> {
    span.call().or_else(|| {
        let text = span.text("db.query.text")?;
        text.split(' ').find_map(|word| words.get(word)).map(String::as_str)
    })
}
