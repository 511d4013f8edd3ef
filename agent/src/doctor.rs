//! `tracebee doctor`: what this kernel and these privileges allow, what each process gets, and the
//! remedy for each lack.
//!
//! What can be tried is tried, with the code that `tracebee run` uses; the rest is read. Nothing
//! stays behind, and an agent that runs is not touched.

mod capture;
mod clock;
mod finding;
mod host;
mod kernel;
mod memory;
mod privileges;
mod processes;
mod receiver;
mod render;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::thread;

use serde::Serialize;

use crate::cli::DoctorArgs;
use crate::export::{OtlpConfig, Output};
use crate::privilege::Privileges;
use crate::run::RunError;
use crate::select::Selection;
use finding::{Finding, Verdict};
use processes::Processes;

/// All that was found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Version of the agent.
    tracebee: &'static str,
    /// True if tracing can work: there is no problem.
    works: bool,
    /// What `--capture` picks here; none if no way works.
    capture: Option<&'static str>,
    findings: Vec<Finding>,
    #[serde(flatten)]
    processes: Processes,
}

/// Finds out and prints. The exit code is 1 if there is a problem.
///
/// # Errors
/// The flags make no sense.
pub fn doctor(args: &DoctorArgs) -> Result<ExitCode, RunError> {
    let otlp = args.otlp.resolve(|name| std::env::var(name).ok())?;
    let report = examine(args, otlp.as_ref());
    let text = match args.output {
        Output::Text => render::text(&report, &render::Look::of_stdout()),
        Output::Json => render::json(&report),
        Output::None => String::new(),
    };
    if let Err(error) = io::stdout().write_all(text.as_bytes())
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        tracing::error!("cannot write to standard output: {error}");
        return Ok(ExitCode::FAILURE);
    }
    Ok(if report.works { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn examine(args: &DoctorArgs, otlp: Option<&OtlpConfig>) -> Report {
    let privileges = Privileges::of_this_process();
    thread::scope(|scope| {
        // Waits for the network while the rest is looked at.
        let receiver = scope.spawn(|| receiver::check(otlp));
        let mut findings = kernel::check();
        findings.extend(privileges::check(privileges));
        let (capture, tried) = capture::check(args.capture, args.limits.kernel(), privileges);
        findings.extend(tried);
        findings.extend(host::check(privileges));
        findings.push(memory::check(&args.limits));
        findings.extend(clock::check());
        let (receiver, addresses) = receiver.join().unwrap_or_default();
        findings.extend(receiver);
        let selection = Selection::new(args.select.clone(), addresses);
        let processes = processes::find(&selection, privileges);
        Report::new(capture, findings, processes)
    })
}

impl Report {
    fn new(capture: Option<&'static str>, findings: Vec<Finding>, processes: Processes) -> Self {
        let problem = findings.iter().any(|finding| finding.verdict == Verdict::Problem);
        Self {
            tracebee: env!("CARGO_PKG_VERSION"),
            works: capture.is_some() && !problem,
            capture,
            findings,
            processes,
        }
    }
}
