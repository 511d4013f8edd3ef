//! The live suites: real programs on real sockets, traced by the real agent.
//!
//! `tests/setup` installs the programs, then `cargo run -p tracebee-tests --bin live` runs every
//! suite, one after the other (they share the host's sockets). Each compares the agent's spans
//! with what the programs wrote down themselves.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Parser;
use tempfile::TempDir;
use tracebee_tests::process::be_patient;
use tracebee_tests::report::Report;
use tracebee_tests::{agent, desk, paths};

mod suites;

/// Run the live suites.
#[derive(Parser, Debug)]
struct Arguments {
    /// Names of the suites to run; all if none are given.
    suites: Vec<String>,
    /// Run the long forms: a receiver that is gone for a minute, an hour of churn.
    #[arg(long)]
    full: bool,
    /// How the agent watches the kernel: auto, socket or syscall.
    #[arg(long, value_name = "HOW")]
    capture: Option<String>,
    /// What `--capture auto` must pick on this kernel, checked by the suite `small`.
    #[arg(long, value_name = "HOW")]
    expect_capture: Option<String>,
    /// Every limit of time so many times as long: for emulated machines.
    #[arg(long, value_name = "TIMES", default_value_t = 1)]
    patience: u32,
    /// Print what the suite `attribution` found, cell by cell.
    #[arg(long)]
    table: bool,
    /// In the suite `attribution`, services give their calls the ids of other requests: what is linked
    /// must be the same.
    #[arg(long)]
    permuted: bool,
    /// Only these services of the suite `attribution`.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    service: Vec<String>,
    /// Only these endpoints of theirs.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    endpoint: Vec<String>,
    /// Only with so many requests in flight in the suite `attribution`.
    #[arg(long, value_name = "N", value_delimiter = ',')]
    in_flight: Vec<usize>,
    /// Only list the suites.
    #[arg(long)]
    list: bool,
    /// A service of the suite `attribution`: serves on a port until it is killed.
    #[arg(long, value_name = "PORT", hide = true)]
    desk: Option<u16>,
    /// Keep the files of suites that passed, too.
    #[arg(long)]
    keep: bool,
}

/// What every suite works with.
#[derive(Debug)]
struct Setting {
    /// The agent under test.
    binary: PathBuf,
    /// Data, logs and sockets of this suite.
    dir: TempDir,
    /// Distinguishes the calls of this run from everybody else's.
    run: String,
    /// Long forms.
    full: bool,
    /// Tables, too.
    table: bool,
    /// Calls bear the ids of other requests.
    permuted: bool,
    /// Services of the suite `attribution`; all if there are none.
    services: Vec<String>,
    /// Endpoints of these; all if there are none.
    endpoints: Vec<String>,
    /// Requests in flight in the suite `attribution`; all of its numbers if there are none.
    in_flight: Vec<usize>,
    /// What `--capture auto` must pick.
    expect_capture: Option<String>,
}

impl Setting {
    /// An id for a call that no other run has.
    fn id(&self, parts: &[&str]) -> String {
        format!("{}.{}", self.run, parts.join("."))
    }

    /// True if a service is one of those that were asked for.
    fn wants(&self, service: &str) -> bool {
        self.services.is_empty() || self.services.iter().any(|name| name == service)
    }

    /// True if an endpoint is one of those that were asked for.
    fn wants_endpoint(&self, endpoint: &str) -> bool {
        self.endpoints.is_empty() || self.endpoints.iter().any(|name| name == endpoint)
    }

    /// Those of the numbers of requests in flight that were asked for.
    fn in_flight(&self, all: &'static [usize]) -> impl Iterator<Item = usize> {
        all.iter().copied().filter(|n| self.in_flight.is_empty() || self.in_flight.contains(n))
    }
}

/// Runs a suite.
type Run = fn(&mut Report, &Setting) -> Result<()>;

/// A suite.
#[derive(Clone, Copy)]
struct Suite {
    name: &'static str,
    /// What it proves.
    about: &'static str,
    run: Run,
    /// Not part of a run of all.
    only_named: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(port) = arguments.desk {
        desk::serve(port)?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.list {
        for Suite { name, about, .. } in suites::ALL {
            println!("{name:12} {about}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = choose(&arguments.suites)?;
    // SAFETY: plain system call.
    if unsafe { libc::geteuid() } != 0 {
        bail!("the live suites load eBPF programs and make network namespaces: run them as root");
    }
    if !paths::installed("venv/installed").exists() {
        bail!("the programs of the suites are not installed: run tests/setup first");
    }
    let binary = agent::binary()?;
    println!("agent: {}", binary.display());
    if let Some(how) = &arguments.capture {
        println!("capture: {how}");
        agent::capture_by(how);
    }

    be_patient(arguments.patience);
    let started = Instant::now();
    let mut failed = Vec::new();
    for (number, Suite { name, run, .. }) in chosen.iter().enumerate() {
        let setting = Setting {
            binary: binary.clone(),
            dir: tempfile::Builder::new().prefix(&format!("tracebee-{name}-")).tempdir()?,
            run: format!("r{:x}{number:x}", std::process::id()),
            full: arguments.full,
            table: arguments.table,
            permuted: arguments.permuted,
            services: arguments.service.clone(),
            endpoints: arguments.endpoint.clone(),
            in_flight: arguments.in_flight.clone(),
            expect_capture: arguments.expect_capture.clone(),
        };
        let begun = Instant::now();
        let mut report = Report::default();
        if let Err(error) = run(&mut report, &setting) {
            report.fail(format!("{error:#}"));
        }
        let seconds = begun.elapsed().as_secs_f32();
        let word = if report.passed() { "ok" } else { "FAILED" };
        println!("{name:12} {word:6} {seconds:6.1} s  {}", report.summary());
        if !report.passed() {
            println!("{}", report.failures());
            failed.push(*name);
        }
        if arguments.keep || !report.passed() {
            std::fs::write(setting.dir.path().join("failures"), report.all_failures())?;
            println!("files in {}", setting.dir.keep().display());
        }
    }
    let seconds = started.elapsed().as_secs();
    if failed.is_empty() {
        println!("all {} suites passed in {seconds} s", chosen.len());
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{} of {} suites failed in {seconds} s: {}",
        failed.len(),
        chosen.len(),
        failed.join(" ")
    );
    Ok(ExitCode::FAILURE)
}

fn choose(names: &[String]) -> Result<Vec<Suite>> {
    if names.is_empty() {
        return Ok(suites::ALL.iter().filter(|suite| !suite.only_named).copied().collect());
    }
    let mut chosen = Vec::new();
    for name in names {
        match suites::ALL.iter().find(|suite| suite.name == name) {
            Some(suite) => chosen.push(*suite),
            None => bail!("no suite {name:?}; --list shows them"),
        }
    }
    Ok(chosen)
}
