//! Whose call is it: the calls that a service makes while it serves requests hang under these.
//!
//! The id of each call begins with the id of the request that it is made for; nothing but the check
//! looks at it.

pub(super) mod go;
mod proxies;
mod sampling;
mod threads;

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use tracebee_tests::agent::Agent;
use tracebee_tests::clients::Client;
use tracebee_tests::plan::Plan;
use tracebee_tests::report::Report;
use tracebee_tests::servers::{self, Server, Shop, Which};
use tracebee_tests::span::{Kind, Span};

use crate::Setting;

/// Requests in flight.
const IN_FLIGHT: [usize; 3] = [1, 8, 64];
/// How the shop is served: what its calls are called by, by what, on which event loop, and its endpoints.
const SHOPS: [(&str, Shop, &str, &[Endpoint]); 9] = [
    ("fastapi-asyncio", Shop::FastApi, "asyncio", &FASTAPI),
    ("fastapi-uvloop", Shop::FastApi, "uvloop", &FASTAPI),
    ("fastapi-uvloop-0.21.0", Shop::FastApi, "uvloop-0.21.0", &FASTAPI),
    ("fastapi-uvloop-0.22.1", Shop::FastApi, "uvloop-0.22.1", &FASTAPI),
    ("fastapi-reset-asyncio", Shop::FastApiReset, "asyncio", &FASTAPI),
    ("fastapi-reset-uvloop", Shop::FastApiReset, "uvloop", &FASTAPI),
    ("aiohttp-asyncio", Shop::Aiohttp, "asyncio", &AIOHTTP),
    ("aiohttp-uvloop", Shop::Aiohttp, "uvloop", &AIOHTTP),
    ("aiohttp-uvloop-0.21.0", Shop::Aiohttp, "uvloop-0.21.0", &AIOHTTP),
];
/// The same in other interpreters, which only `tests/setup --full` installs.
const PYTHONS: [(&str, Shop, &str, &[Endpoint]); 4] = [
    ("fastapi-cpython-3.12", Shop::FastApiOn("3.12"), "asyncio", &FASTAPI),
    ("fastapi-cpython-3.13", Shop::FastApiOn("3.13"), "asyncio", &FASTAPI),
    ("fastapi-cpython-3.14", Shop::FastApiOn("3.14"), "asyncio", &FASTAPI),
    ("fastapi-cpython-3.14-uvloop", Shop::FastApiOn("3.14"), "uvloop", &FASTAPI),
];
/// An endpoint of the shop, how many calls it makes for a request, and how large a request's body is.
type Endpoint = (&'static str, usize, usize);
const FASTAPI: [Endpoint; 5] =
    [("aiohttp", 5, 0), ("httpx", 5, 0), ("thread", 3, 0), ("sync", 2, 0), ("after", 2, 0)];
/// More than is read at a time.
const BODY: usize = 300_000;
const AIOHTTP: [Endpoint; 5] =
    [("aiohttp", 5, 0), ("httpx", 5, 0), ("thread", 3, 0), ("after", 2, 0), ("body", 2, BODY)];
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
    /// Of which nobody is told whom they hang under: it was lost.
    orphans: usize,
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
        let orphans = match self.orphans {
            0 => String::new(),
            orphans => format!("  {orphans} under what was lost"),
        };
        format!(
            "{service:21} {endpoint:8} {in_flight:3} in flight {:6} calls  precision {precision}  recall {:.4}  {}{orphans}",
            self.made,
            share(right, self.made),
            links.collect::<Vec<_>>().join(", ")
        )
    }

    fn check_recall(&self, report: &mut Report, name: &str, least: f64) {
        let recall = self.right as f64 / self.made.max(1) as f64;
        report.check(recall >= least, || format!("{name}: recall {recall:.4}"));
    }

    /// No parent that was given is wrong, or missing.
    fn check_precision(&self, report: &mut Report, name: &str) {
        report.equal(&format!("{name}: parents that were lost"), 0, self.orphans);
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
    let others = PYTHONS.iter().filter(|_| setting.full || !setting.services.is_empty());
    let shops = SHOPS.iter().chain(others).filter(|(service, ..)| setting.wants(service));
    for &(service, shop, event_loop, endpoints) in shops {
        let shop = servers::shop(shop, event_loop, &down, dir, setting.permuted)?;
        // Ids are parted by dots.
        let name = service.replace('.', "_");
        let agent = Agent::json(&setting.binary, dir)?;
        for in_flight in setting.in_flight(&IN_FLIGHT) {
            let plan = plan(setting, &shop, (&name, endpoints), in_flight, calls);
            Client::Go.run(&plan, dir, in_flight)?;
        }
        let spans = agent.stop()?.spans()?;
        let mut cells = cells(setting, &spans, &shop, &name, Span::call);
        for &(endpoint, each, _) in endpoints.iter().filter(|it| setting.wants_endpoint(it.0)) {
            for in_flight in setting.in_flight(&IN_FLIGHT) {
                let cell = cells.remove(&(endpoint, in_flight)).unwrap_or_default();
                if setting.table {
                    println!("{}", cell.row(service, endpoint, in_flight));
                }
                let name = format!("{service} {endpoint} at {in_flight}");
                let expected = requests(calls, each) * each;
                report.equal(&format!("{name}: calls"), expected, cell.made);
                cell.check_precision(report, &name);
                cell.check_recall(report, &name, RECALL);
                tally.add(cell);
            }
        }
    }
    tally.tell(report, "of event loops");
    sampling::run(report, setting, &down)?;
    proxies::run(report, setting, &down)?;
    threads::run(report, setting, &down)
}

/// Requests that make at least so many calls together, `each` of them as many: a multiple of ten, for
/// those that are permuted ([`Setting::permuted`]).
fn requests(calls: usize, each: usize) -> usize {
    calls.div_ceil(each).next_multiple_of(10)
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
    (service, endpoints): (&str, &[Endpoint]),
    in_flight: usize,
    calls: usize,
) -> Plan {
    let mut plan = Plan::default();
    let most = endpoints.iter().map(|(_, each, _)| requests(calls, *each)).max().unwrap_or(0);
    for n in 0..most {
        for (endpoint, each, body) in endpoints.iter().filter(|it| setting.wants_endpoint(it.0)) {
            if n < requests(calls, *each) {
                let id = setting.id(&[service, endpoint, &in_flight.to_string(), &n.to_string()]);
                let method = if *body > 0 { "POST" } else { "GET" };
                plan.call(&id, method, &shop.base(false), &format!("/{endpoint}"), *body, "");
            }
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
        let Some(parent) = by_id.get(parent.as_str()) else {
            cell.orphans += 1;
            continue;
        };
        let is_right = parent.kind == Kind::Server
            && pids.contains(&parent.pid())
            && parent.call() == Some(request.as_str())
            && parent.trace == span.trace;
        if is_right {
            cell.right += 1;
        } else {
            cell.wrong.push(tracebee_tests::check::brief(span));
        }
    }
    cells
}
