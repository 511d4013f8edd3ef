//! Whose call is it: the calls that a service makes while it serves requests hang under these.
//!
//! The id of each call begins with the id of the request that it is made for; nothing but the check
//! looks at it.

pub(super) mod go;
mod proxies;
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
const LOOPS: [&str; 4] = ["asyncio", "uvloop", "uvloop-0.21.0", "uvloop-0.22.1"];
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

    fn check_recall(&self, report: &mut Report, name: &str, least: f64) {
        let recall = self.right as f64 / self.made.max(1) as f64;
        report.check(recall >= least, || format!("{name}: recall {recall:.4}"));
    }

    /// No parent that was given is wrong.
    fn check_precision(&self, report: &mut Report, name: &str) {
        report.check(self.wrong.is_empty(), || {
            let first = self.wrong.first().map_or("", String::as_str);
            format!("{name}: {} of {} wrong: {first}", self.wrong.len(), self.made)
        });
    }
}

/// What was found of several cells.
#[derive(Default)]
struct Tally {
    made: usize,
    links: BTreeMap<String, usize>,
}

impl Tally {
    fn add(&mut self, cell: Cell) {
        self.made += cell.made;
        for (link, count) in cell.links {
            *self.links.entry(link).or_default() += count;
        }
    }

    fn tell(self, report: &mut Report, what: &str) {
        report.note(format!("{} calls {what}", self.made));
        for (link, count) in self.links {
            report.note(format!("{count} of these by {link}"));
        }
    }
}

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let down = servers::start(Which::Go, dir)?;
    let calls = if setting.full { CALLS_FULL } else { CALLS };
    let mut tally = Tally::default();
    for event_loop in LOOPS {
        let service = format!("fastapi-{event_loop}");
        if !setting.wants(&service) {
            continue;
        }
        let shop = servers::shop(event_loop, &down, dir, setting.permuted)?;
        // Its ids are parted by dots.
        let loop_id = event_loop.replace('.', "_");
        let agent = Agent::json(&setting.binary, dir)?;
        for in_flight in IN_FLIGHT {
            Client::Go.run(&plan(setting, &shop, &loop_id, in_flight, calls), dir, in_flight)?;
        }
        let spans = agent.stop()?.spans()?;
        let cells = cells(setting, &spans, &shop, &loop_id, Span::call);
        for ((endpoint, in_flight), cell) in cells {
            if setting.table {
                println!("{}", cell.row(&service, endpoint, in_flight));
            }
            let name = format!("{event_loop} {endpoint} at {in_flight}");
            let expected = number(calls, endpoint);
            report.equal(&format!("{name}: calls"), expected, cell.made);
            cell.check_precision(report, &name);
            cell.check_recall(report, &name, RECALL);
            tally.add(cell);
        }
    }
    tally.tell(report, "of event loops");
    proxies::run(report, setting, &down)?;
    threads::run(report, setting, &down)
}

/// Requests that make at least so many calls together, `each` of them as many: a multiple of ten, for
/// those that are permuted ([`Setting::permuted`]).
fn requests(calls: usize, each: usize) -> usize {
    calls.div_ceil(each).next_multiple_of(10)
}

/// Calls that the requests to an endpoint make together.
fn number(calls: usize, endpoint: &str) -> usize {
    let each = ENDPOINTS.iter().find(|(name, _)| *name == endpoint).map_or(1, |(_, each)| *each);
    requests(calls, each) * each
}

/// The id of the request that a call is made for, whose own id begins with `id`.
fn asked_for(id: &str, permuted: bool) -> Option<String> {
    if !permuted {
        return Some(id.to_owned());
    }
    // The last digit was raised by one, 9 to 0.
    let digit = id.chars().last()?.to_digit(10)?;
    let before = char::from_digit((digit + 9) % 10, 10)?;
    Some(format!("{}{before}", &id[..id.len() - 1]))
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
    let requests = ENDPOINTS.map(|(endpoint, each)| (endpoint, requests(calls, each)));
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
        let of = id.rsplit_once('.');
        let request = of.and_then(|(request, _)| asked_for(request, setting.permuted));
        let (Ok(in_flight), Some(request)) = (in_flight.parse(), request) else { continue };
        let cell = cells.entry((endpoint, in_flight)).or_default();
        cell.made += 1;
        let Some(parent) = &span.parent else { continue };
        *cell.links.entry(span.text("tracebee.link").unwrap_or("none").to_owned()).or_default() +=
            1;
        let is_right = by_id.get(parent.as_str()).is_some_and(|parent| {
            parent.kind == Kind::Server
                && pids.contains(&parent.pid())
                && parent.call() == Some(request.as_str())
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
