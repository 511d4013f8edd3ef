//! Whose call is it: the calls that a service makes while it serves requests hang under these.
//!
//! The id of each call begins with the id of the request that it is made for; nothing but the check
//! looks at it.

pub(super) mod go;
mod threads;

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use tracebee_tests::agent::Agent;
use tracebee_tests::clients::Client;
use tracebee_tests::plan::Plan;
use tracebee_tests::report::Report;
use tracebee_tests::servers::{self, Server, Which};
use tracebee_tests::span::{Kind, Span};

use crate::Setting;

/// Requests in flight.
const IN_FLIGHT: [usize; 3] = [1, 8, 64];
/// Event loops of uvicorn.
const LOOPS: [&str; 2] = ["asyncio", "uvloop"];
/// Endpoints of the service, and how many calls each makes for a request.
const ENDPOINTS: [(&str, usize); 5] =
    [("aiohttp", 5), ("httpx", 5), ("thread", 3), ("sync", 2), ("after", 2)];
/// Calls that are made in each cell, at least.
const CALLS: usize = 600;
const CALLS_FULL: usize = 20_000;
/// Of the calls that are made, so many at least must have their parent.
const RECALL: f64 = 0.99;

/// What was found of one cell.
#[derive(Default)]
struct Cell {
    made: usize,
    right: usize,
    wrong: Vec<String>,
    /// By the kind of link.
    links: BTreeMap<String, usize>,
}

impl Cell {
    /// Right parents of those that were given, and of the calls that were made.
    fn row(&self, service: &str, endpoint: &str, in_flight: usize) -> String {
        let share = |part: usize, of: usize| part as f64 / of.max(1) as f64;
        let (right, given) = (self.right, self.right + self.wrong.len());
        let links = self
            .links
            .iter()
            .map(|(link, count)| format!("{link} {:.1} %", 100.0 * share(*count, given)));
        let precision = match given {
            0 => "     -".to_owned(),
            _ => format!("{:.4}", share(right, given)),
        };
        format!(
            "{service:16} {endpoint:8} {in_flight:3} in flight {:6} calls  precision {precision}  recall {:.4}  {}",
            self.made,
            share(right, self.made),
            links.collect::<Vec<_>>().join(", ")
        )
    }

    /// No parent that was given is wrong.
    fn check_precision(&self, report: &mut Report, name: &str) {
        report.check(self.wrong.is_empty(), || {
            let first = self.wrong.first().map_or("", String::as_str);
            format!("{name}: {} of {} wrong: {first}", self.wrong.len(), self.made)
        });
    }
}

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let down = servers::start(Which::Go, dir)?;
    let calls = if setting.full { CALLS_FULL } else { CALLS };
    let (mut made, mut links) = (0, BTreeMap::<String, usize>::new());
    for event_loop in LOOPS {
        let shop = servers::shop(event_loop, &down, dir)?;
        let agent = Agent::json(&setting.binary, dir)?;
        for in_flight in IN_FLIGHT {
            Client::Go.run(&plan(setting, &shop, event_loop, in_flight, calls), dir, in_flight)?;
        }
        let spans = agent.stop()?.spans()?;
        for ((endpoint, in_flight), cell) in cells(setting, &spans, &shop, event_loop, Span::call) {
            if setting.table {
                println!("{}", cell.row(&format!("fastapi {event_loop}"), endpoint, in_flight));
            }
            let name = format!("{event_loop} {endpoint} at {in_flight}");
            let expected = number(calls, endpoint);
            report.equal(&format!("{name}: calls"), expected, cell.made);
            cell.check_precision(report, &name);
            let recall = cell.right as f64 / cell.made.max(1) as f64;
            report.check(recall >= RECALL, || format!("{name}: recall {recall:.4}"));
            made += cell.made;
            for (link, count) in cell.links {
                *links.entry(link).or_default() += count;
            }
        }
    }
    report.note(format!("{made} calls"));
    for (link, count) in links {
        report.note(format!("{count} by {link}"));
    }
    threads::run(report, setting, &down)
}

/// Calls that the requests to an endpoint make together.
fn number(calls: usize, endpoint: &str) -> usize {
    let each = ENDPOINTS.iter().find(|(name, _)| *name == endpoint).map_or(1, |(_, each)| *each);
    calls.div_ceil(each) * each
}

/// All endpoints, mixed.
fn plan(
    setting: &Setting,
    shop: &Server,
    event_loop: &str,
    in_flight: usize,
    calls: usize,
) -> Plan {
    let mut plan = Plan::default();
    let requests = ENDPOINTS.map(|(endpoint, each)| (endpoint, calls.div_ceil(each)));
    let most = requests.iter().map(|(_, count)| *count).max().unwrap_or(0);
    for n in 0..most {
        for (endpoint, _) in requests.iter().filter(|(_, count)| n < *count) {
            let id = setting.id(&[event_loop, endpoint, &in_flight.to_string(), &n.to_string()]);
            plan.get(&id, &shop.base(false), &format!("/{endpoint}"));
        }
    }
    plan
}

/// The calls that a service made, by endpoint and requests in flight; `call` says which one a span of
/// its own is of.
fn cells<'a>(
    setting: &'a Setting,
    spans: &'a [Span],
    server: &Server,
    service: &str,
    call: impl Fn(&'a Span) -> Option<&'a str>,
) -> BTreeMap<(&'a str, usize), Cell> {
    let (pids, start) = (server.pids(), setting.id(&[service, ""]));
    let by_id: HashMap<&str, &Span> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
    let mut cells = BTreeMap::<_, Cell>::new();
    for span in spans.iter().filter(|s| s.kind == Kind::Client && pids.contains(&s.pid())) {
        let Some(id) = call(span) else { continue };
        let Some(rest) = id.strip_prefix(&start) else { continue };
        let mut parts = rest.split('.');
        let (Some(endpoint), Some(in_flight)) = (parts.next(), parts.next()) else { continue };
        let (Ok(in_flight), Some((request, _))) = (in_flight.parse(), id.rsplit_once('.')) else {
            continue;
        };
        let cell = cells.entry((endpoint, in_flight)).or_default();
        cell.made += 1;
        let Some(parent) = &span.parent else { continue };
        *cell.links.entry(span.text("tracebee.link").unwrap_or("none").to_owned()).or_default() +=
            1;
        let is_right = by_id.get(parent.as_str()).is_some_and(|parent| {
            parent.kind == Kind::Server
                && pids.contains(&parent.pid())
                && parent.call() == Some(request)
                && parent.trace == span.trace
        });
        if is_right {
            cell.right += 1;
        } else {
            cell.wrong.push(tracebee_tests::check::brief(span));
        }
    }
    cells
}
