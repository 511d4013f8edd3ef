//! The suites' own programs, without the agent: if these do not do what their logs say, nothing
//! that is compared with the logs means anything.

use anyhow::{Context as _, Result};
use tracebee_tests::check::split_url;
use tracebee_tests::plan::Truth;
use tracebee_tests::report::Report;

use super::matrix;
use crate::Setting;

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let servers = matrix::start_servers(setting)?;
    let log = matrix::run_clients(setting, &servers)?;
    consistent(report, &log)?;
    report.note(format!("{} calls", log.len()));
    Ok(())
}

/// Every call had the answer that its path asks for.
pub(crate) fn consistent(report: &mut Report, log: &[Truth]) -> Result<()> {
    log.iter().try_for_each(|truth| check(report, truth))
}

/// Every server means the same by a path, so the path says what must have come back.
fn check(report: &mut Report, truth: &Truth) -> Result<()> {
    let (_, path, _) = split_url(&truth.url)?;
    let parts: Vec<&str> =
        path.trim_start_matches("/up").trim_start_matches('/').split('/').collect();
    let number = || -> Result<u64> { Ok(parts.get(1).context("argument")?.parse()?) };
    let (status, received) = match parts[0] {
        _ if truth.method == "HEAD" => (200, 0),
        "bytes" | "chunked" => (200, number()?),
        "echo" => (200, truth.sent),
        "redirect" => (200, 10),
        "status" => {
            let status = number()?;
            (status, if status == 204 || status == 304 { 0 } else { 7 })
        }
        other => anyhow::bail!("no rule for path {other:?}"),
    };
    report.equal(&format!("{} status", truth.call), status, u64::from(truth.status));
    report.equal(&format!("{} body", truth.call), received, truth.received);
    report.check(truth.start < truth.end, || format!("{}: times", truth.call));
    Ok(())
}
