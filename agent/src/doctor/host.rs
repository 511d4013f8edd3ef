//! What can be seen of the host and its processes.

use std::fs;

use super::finding::{Area, Finding};
use super::kernel::mounted;
use crate::privilege::{Capability, Privileges};

const AREA: Area = Area::Host;
/// `PROC_PID_INIT_INO` of `include/linux/proc_ns.h`: the pid namespace that the kernel began with.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";
/// The name of this program to the kernel.
const COMM: &str = "tracebee";

pub(super) fn check(privileges: Privileges) -> Vec<Finding> {
    let namespace = fs::read_link("/proc/self/ns/pid").ok();
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut findings = vec![
        processes(namespace.as_deref().and_then(|path| path.to_str())),
        hidden(&mountinfo, privileges),
        cgroups(&mountinfo),
    ];
    findings.extend(others(&agents()));
    findings
}

/// The kernel programs see the host's process ids: elsewhere `/proc` has other processes under them.
fn processes(namespace: Option<&str>) -> Finding {
    const TOPIC: &str = "processes";
    match namespace {
        Some(FIRST_PID_NAMESPACE) => AREA.ok(TOPIC, "those of the host"),
        _ => AREA.problem(
            TOPIC,
            "this is a pid namespace of its own (a container): calls would get the names of other \
             processes",
            "run it in the host's (docker: --pid=host, Kubernetes: hostPID: true)",
        ),
    }
}

fn hidden(mountinfo: &str, privileges: Privileges) -> Finding {
    const TOPIC: &str = "/proc";
    let proc = mounted(mountinfo, "proc");
    // What is mounted last covers the others.
    let Some((_, options)) = proc.iter().rfind(|(place, _)| *place == "/proc") else {
        return AREA.problem(TOPIC, "not mounted", "mount -t proc proc /proc");
    };
    let hides = options.split(',').find_map(|option| option.strip_prefix("hidepid="));
    match hides {
        None | Some("0" | "off") => AREA.ok(TOPIC, "shows all processes"),
        Some(mode) if privileges.has(Capability::SysPtrace) => {
            AREA.ok(TOPIC, format!("hidepid={mode} hides nothing with CAP_SYS_PTRACE"))
        }
        Some(mode) => AREA.note(
            TOPIC,
            format!("hidepid={mode}: other users' processes are hidden and badly named"),
            "add CAP_SYS_PTRACE, or mount -o remount,hidepid=0 /proc",
        ),
    }
}

fn cgroups(mountinfo: &str) -> Finding {
    const TOPIC: &str = "cgroups";
    let place = |kind| mounted(mountinfo, kind).first().map(|(place, _)| place.to_string());
    let what = match (place("cgroup2"), place("cgroup")) {
        (Some(place), None) => format!("version 2 at {place}"),
        (Some(place), Some(_)) => format!("version 1, version 2 at {place}"),
        (None, Some(_)) => "version 1".to_owned(),
        (None, None) => "none".to_owned(),
    };
    AREA.ok(TOPIC, format!("{what}; not needed"))
}

/// Other agents, by pid.
fn agents() -> Vec<u32> {
    let mut pids: Vec<u32> = super::processes::pids("/proc".as_ref());
    pids.retain(|pid| {
        *pid != std::process::id()
            && fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == COMM)
    });
    pids
}

fn others(agents: &[u32]) -> Option<Finding> {
    let list: Vec<_> = agents.iter().map(u32::to_string).collect();
    (!agents.is_empty()).then(|| {
        AREA.note(
            "other agents",
            format!("tracebee runs as process {}: two agents cost twice", list.join(", ")),
            "",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn containers_see_other_processes() {
        assert_eq!(processes(Some(FIRST_PID_NAMESPACE)).verdict, Verdict::Ok);
        for namespace in [Some("pid:[4026532001]"), None] {
            let finding = processes(namespace);
            assert_eq!(finding.verdict, Verdict::Problem);
            assert!(finding.remedy.is_some_and(|remedy| remedy.contains("hostPID")));
        }
    }

    #[test]
    fn hidden_processes() {
        let mounts = |options: &str| {
            format!(
                "1 2 0:21 / /proc rw,relatime - proc proc rw\n1 2 0:22 / /proc rw - proc p {options}\n"
            )
        };
        let with = Privileges::parse("CapEff:\tffffffffffffffff\n");
        let without = Privileges::parse("");
        let verdict = |options, privileges| hidden(&mounts(options), privileges).verdict;
        assert_eq!(verdict("rw", without), Verdict::Ok);
        assert_eq!(verdict("rw,hidepid=off", without), Verdict::Ok);
        assert_eq!(verdict("rw,gid=4,hidepid=2", without), Verdict::Note);
        assert_eq!(verdict("rw,hidepid=invisible", with), Verdict::Ok);
        assert_eq!(hidden("", with).verdict, Verdict::Problem);
    }

    #[test]
    fn cgroup_versions() {
        let v1 = "1 2 0:1 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        let v2 = "1 2 0:2 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        assert_eq!(cgroups(v1).what, "version 1; not needed");
        assert_eq!(cgroups(v2).what, "version 2 at /sys/fs/cgroup/unified; not needed");
        assert!(cgroups(&(v1.to_owned() + v2)).what.starts_with("version 1, version 2 at"));
        assert_eq!(cgroups("").what, "none; not needed");
    }

    #[test]
    fn other_agents_are_named() {
        assert_eq!(others(&[]), None);
        let note = others(&[7, 9]).expect("a note");
        assert!(note.what.contains("process 7, 9") && note.remedy.is_none());
    }
}
