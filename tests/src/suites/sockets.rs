//! Every way that Linux has of reading and writing a socket, at either end: gathering writes of
//! hundreds of buffers, single bytes, `MSG_PEEK`, `readv`, sendfile, splice, zero copy, writes
//! that are accepted in part or not at all.

use anyhow::Result;
use tracebee_tests::agent::Agent;
use tracebee_tests::check::{self, Spans};
use tracebee_tests::clients;
use tracebee_tests::plan::{Plan, Truth};
use tracebee_tests::report::Report;
use tracebee_tests::servers::{self, Server};

use crate::Setting;

/// Ways of reading, of workloads/raw/wire.py.
const READ: &[&str] = &[
    "recv",
    "read",
    "recv-1",
    "recv-7",
    "recv_into",
    "recvfrom",
    "recvmsg",
    "recvmsg_into",
    "readv",
    "peek",
    "nonblocking",
];

/// Ways of writing.
const WRITE: &[&str] = &[
    "one-send",
    "two-sends",
    "write",
    "bytewise",
    "sendmsg-600",
    "writev-600",
    "more",
    "sendfile",
    "splice",
    "zerocopy",
    "partial",
    "refused",
];

/// What is asked: kept short for readers of one byte at a time, long for partial writes.
pub(crate) const CALLS: &[(&str, &str, usize)] = &[
    ("GET", "/bytes/0", 0),
    ("GET", "/bytes/1000", 0),
    ("POST", "/echo", 1000),
    ("GET", "/bytes/40000", 0),
    ("POST", "/echo", 40_000),
    ("GET", "/bytes/10", 0),
];

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    some(report, setting, 1)
}

/// One in `nth` of the ways of writing.
pub(crate) fn some(report: &mut Report, setting: &Setting, nth: usize) -> Result<()> {
    let dir = setting.dir.path();
    let servers: Vec<Server> = styles(0, nth, WRITE)
        .iter()
        .map(|style| servers::by_hand(dir, style))
        .collect::<Result<_>>()?;

    let agent = Agent::json(&setting.binary, dir)?;
    let log = work(setting, &servers, &styles(4, nth, WRITE))?;
    let spans = agent.stop()?.spans()?;

    check::whole(report, &spans);
    let by_call = Spans::new(&spans);
    check::calls(report, &by_call, &log, &servers)?;
    report.note(format!("{} calls, {} spans of them", log.len(), by_call.count(&setting.run)));
    Ok(())
}

/// One in `nth` of some ways of writing, each with a different way of reading.
fn styles(shift: usize, nth: usize, write: &[&str]) -> Vec<String> {
    let ways = write.iter().enumerate().step_by(nth);
    ways.map(|(n, write)| format!("{}/{write}", READ[(n + shift) % READ.len()])).collect()
}

/// The ways that UNIX sockets have: all but zero copy.
pub(crate) fn unix_styles(shift: usize) -> Vec<String> {
    let ways: Vec<&str> = WRITE.iter().copied().filter(|way| *way != "zerocopy").collect();
    styles(shift, 1, &ways)
}

/// Each client asks a server of its own and one shared by all; half of them over IPv6.
fn work(setting: &Setting, servers: &[Server], styles: &[String]) -> Result<Vec<Truth>> {
    let mut log = Vec::new();
    for (n, (style, own)) in styles.iter().zip(servers).enumerate() {
        let mut plan = Plan::default();
        for (server, label) in [(own, "own"), (&servers[0], "shared")] {
            for (m, (method, path, body)) in CALLS.iter().enumerate() {
                let id = setting.id(&[&style.replace('/', "-"), label, &m.to_string()]);
                plan.call(&id, method, &server.base(n % 2 == 1), path, *body, "");
            }
        }
        log.extend(clients::by_hand(&plan, setting.dir.path(), style, "calls")?);
    }
    Ok(log)
}
