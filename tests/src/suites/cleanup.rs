//! Nothing stays behind: programs, maps, links, uprobes and pinned files are as before, after
//! SIGTERM, after SIGINT, and after SIGKILL with a new start.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tracebee_tests::agent::Agent;
use tracebee_tests::clients::Client;
use tracebee_tests::plan::Plan;
use tracebee_tests::report::Report;
use tracebee_tests::servers::{self, Which};

use crate::Setting;

/// The kernel frees programs and maps some time after their last user is gone.
const SETTLE: Duration = Duration::from_secs(5);

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let server = servers::start(Which::Go, dir)?;
    let before = State::now()?;
    let mut took = Vec::new();
    for (name, signal) in
        [("SIGTERM", libc::SIGTERM), ("SIGINT", libc::SIGINT), ("SIGKILL", libc::SIGKILL)]
    {
        let agent = Agent::json(&setting.binary, dir)?;
        let own = owned(agent.pid())?;
        for kind in ["prog", "map", "link"] {
            let some = own.iter().any(|(k, _)| *k == kind);
            report.check(some, || {
                format!("{name}: the running agent has no {kind}: nothing is proven")
            });
        }
        work(setting, name, &server)?;
        if signal == libc::SIGKILL {
            agent.kill()?;
        } else {
            took.push(agent.stop_with(signal)?.took);
        }
        gone(report, name, &before, &own)?;
    }
    // After the crash a new agent works, and leaves nothing either.
    let agent = Agent::json(&setting.binary, dir)?;
    let own = owned(agent.pid())?;
    work(setting, "again", &server)?;
    let call = setting.id(&["again", "0"]);
    let spans = agent.stop()?.spans()?;
    let seen = spans.iter().filter(|span| span.call() == Some(&call)).count();
    report.equal("spans of a call after a crash and a new start", 2, seen);
    gone(report, "the second start", &before, &own)?;
    report.note(format!("ended in {took:.1?}"));
    Ok(())
}

fn work(setting: &Setting, label: &str, server: &servers::Server) -> Result<()> {
    let mut plan = Plan::default();
    for n in 0..200 {
        plan.get(&setting.id(&[label, &n.to_string()]), &server.base(false), "/bytes/10");
    }
    Client::Go.run(&plan, setting.dir.path(), 4).map(drop)
}

/// Kernel objects by kind and id.
type Objects = BTreeSet<(&'static str, u64)>;

/// What could be left behind.
#[derive(Debug)]
pub(super) struct State {
    objects: Objects,
    uprobes: String,
    pinned: BTreeSet<String>,
}

impl State {
    pub(super) fn now() -> Result<Self> {
        let mut objects = Objects::new();
        for kind in ["prog", "map", "link"] {
            let output = Command::new("bpftool").args(["-j", kind, "show"]).output()?;
            ensure!(output.status.success(), "bpftool {kind} show: {output:?}");
            let list: serde_json::Value = serde_json::from_slice(&output.stdout)?;
            let ids = list.as_array().context("a list")?.iter();
            objects.extend(ids.filter_map(|one| Some((kind, one.get("id")?.as_u64()?))));
        }
        let uprobes =
            std::fs::read_to_string("/sys/kernel/tracing/uprobe_events").unwrap_or_default();
        let mut pinned = BTreeSet::new();
        files(Path::new("/sys/fs/bpf"), &mut pinned);
        Ok(Self { objects, uprobes, pinned })
    }

    /// True if all of it was there before. What is gone since was another agent's.
    fn adds_nothing_to(&self, before: &Self) -> bool {
        self.objects.is_subset(&before.objects)
            && self.uprobes == before.uprobes
            && self.pinned == before.pinned
    }
}

fn files(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        found.insert(entry.path().display().to_string());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files(&entry.path(), found);
        }
    }
}

/// The kernel objects that a process holds, by its file descriptors.
pub(super) fn owned(pid: u32) -> Result<Objects> {
    let mut objects = Objects::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fdinfo"))?.flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else { continue };
            let kind = match key {
                "prog_id" => "prog",
                "map_id" => "map",
                "link_id" => "link",
                _ => continue,
            };
            objects.extend(value.trim().parse().ok().map(|id| (kind, id)));
        }
    }
    Ok(objects)
}

/// True if a process that is not ours holds kernel objects: then the lists change without us.
fn others() -> bool {
    let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.any(|pid| owned(pid).is_ok_and(|objects| objects.iter().any(|(kind, _)| *kind == "prog")))
}

/// Everything is as it was `before`, in the end.
pub(super) fn settled(report: &mut Report, after: &str, before: &State) -> Result<()> {
    gone(report, after, before, &Objects::new())
}

fn gone(report: &mut Report, after: &str, before: &State, own: &Objects) -> Result<()> {
    let deadline = Instant::now() + SETTLE;
    let mut state = State::now()?;
    // While somebody else on this host uses eBPF, too, only what was ours can be judged.
    let mut disturbed = others();
    let clean = |state: &State, disturbed: bool| {
        state.objects.is_disjoint(own) && (disturbed || state.adds_nothing_to(before))
    };
    while !clean(&state, disturbed) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
        disturbed |= others();
        state = State::now()?;
    }
    let left: Vec<_> = state.objects.intersection(own).collect();
    report.check(left.is_empty(), || format!("after {after}: the agent left {left:?}"));
    if disturbed {
        report.note(format!("after {after} another program used eBPF, too"));
        return Ok(());
    }
    let new: Vec<_> = state.objects.difference(&before.objects).collect();
    report.check(new.is_empty(), || format!("after {after}: new in bpftool's lists: {new:?}"));
    report.equal(&format!("after {after}: uprobe events"), &before.uprobes, &state.uprobes);
    report.equal(&format!("after {after}: files in bpffs"), &before.pinned, &state.pinned);
    Ok(())
}
