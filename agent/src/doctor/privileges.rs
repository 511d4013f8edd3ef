//! What this process may do.

use std::fs;

use super::finding::{Area, Finding};
use super::kernel::read;
use crate::privilege::{Capability, Privileges};

const AREA: Area = Area::Privileges;
/// `PROC_USER_INIT_INO` of `include/linux/proc_ns.h`: the user namespace that the kernel began with.
const FIRST_USER_NAMESPACE: &str = "user:[4026531837]";

pub(super) fn check(privileges: Privileges) -> Vec<Finding> {
    let namespace = fs::read_link("/proc/self/ns/user").unwrap_or_default();
    let mut findings = vec![capabilities(
        privileges,
        namespace.as_os_str().to_str() == Some(FIRST_USER_NAMESPACE),
    )];
    findings.push(processes(privileges));
    findings.push(lockdown(read("/sys/kernel/security/lockdown").as_deref()));
    findings.extend(unprivileged(
        privileges,
        read("/proc/sys/kernel/unprivileged_bpf_disabled").as_deref(),
    ));
    findings.push(seccomp(privileges));
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock).current;
    findings.push(memory(&release, limit, privileges));
    findings
}

fn capabilities(privileges: Privileges, first_namespace: bool) -> Finding {
    const TOPIC: &str = "loading programs";
    let named = [
        (Capability::SysAdmin, "CAP_SYS_ADMIN"),
        (Capability::Bpf, "CAP_BPF"),
        (Capability::Perfmon, "CAP_PERFMON"),
    ];
    if privileges.may_trace() && !first_namespace {
        return AREA.problem(
            TOPIC,
            "the capabilities are those of a user namespace, which the kernel does not honour here",
            "run it as root of the host, outside user namespaces (a rootless container is one)",
        );
    }
    if privileges.may_trace() {
        let has = named.iter().filter(|(capability, _)| privileges.has(*capability));
        let names: Vec<_> = has.map(|(_, name)| *name).collect();
        return AREA.ok(TOPIC, names.join(", "));
    }
    let lacks = named[1..].iter().filter(|(capability, _)| !privileges.has(*capability));
    let names: Vec<_> = lacks.map(|(_, name)| *name).collect();
    AREA.problem(
        TOPIC,
        format!("user {} without {}", privileges.user, names.join(" and ")),
        "run it as root, or with CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE (systemd: \
         AmbientCapabilities=, container: --cap-add)",
    )
}

fn processes(privileges: Privileges) -> Finding {
    const TOPIC: &str = "looking at processes";
    if privileges.has(Capability::SysPtrace) {
        return AREA.ok(TOPIC, "CAP_SYS_PTRACE");
    }
    AREA.note(
        TOPIC,
        "without CAP_SYS_PTRACE: of other users' processes the executable, working directory and \
         open sockets stay unknown, and service names are worse",
        "add CAP_SYS_PTRACE",
    )
}

/// The kernel brackets the mode that is set (`security/lockdown/lockdown.c`).
fn lockdown(modes: Option<&str>) -> Finding {
    const TOPIC: &str = "lockdown";
    match modes.map(|modes| modes.split(['[', ']']).nth(1).unwrap_or_default()) {
        None => AREA.ok(TOPIC, "not there, or securityfs is not mounted"),
        Some("confidentiality") => AREA.problem(
            TOPIC,
            "confidentiality: eBPF programs may not read memory",
            "boot with lockdown=integrity or none",
        ),
        Some(mode) => AREA.ok(TOPIC, mode),
    }
}

/// Says nothing to those who are privileged.
fn unprivileged(privileges: Privileges, disabled: Option<&str>) -> Option<Finding> {
    if privileges.may_trace() {
        return None;
    }
    let what = match disabled? {
        "0" => "allowed, but not for programs that trace",
        _ => "not allowed",
    };
    Some(AREA.note("unprivileged eBPF", what, ""))
}

fn seccomp(privileges: Privileges) -> Finding {
    if privileges.filtered {
        // Whether it lets bpf(2) pass shows when programs are loaded.
        return AREA.ok("seccomp", "a filter is set");
    }
    AREA.ok("seccomp", "no filter")
}

/// Locked memory that a ring and the tables take with some reserve.
const LOCKED: u64 = 128 << 20;

/// Since Linux 5.11 eBPF memory counts against the cgroup, not against RLIMIT_MEMLOCK.
fn memory(release: &str, limit: Option<u64>, privileges: Privileges) -> Finding {
    const TOPIC: &str = "locked memory";
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
    let limited = limit.is_some_and(|limit| limit < LOCKED);
    if (next(), next()) >= (5, 11) {
        return AREA.ok(TOPIC, "not limited for eBPF since Linux 5.11");
    }
    if !limited || privileges.has(Capability::SysResource) {
        return AREA.ok(TOPIC, "limit is high enough or can be raised");
    }
    AREA.problem(
        TOPIC,
        format!("limited to {} KiB, which counts on this kernel", limit.unwrap_or(0) / 1024),
        "ulimit -l unlimited (systemd: LimitMEMLOCK=infinity), or add CAP_SYS_RESOURCE",
    )
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn with(capabilities: &[Capability]) -> Privileges {
        let bits = capabilities.iter().fold(0_u64, |bits, bit| bits | 1 << *bit as u32);
        Privileges::parse(&format!("Uid:\t0\t7\t0\t0\nCapEff:\t{bits:x}\nSeccomp:\t2\n"))
    }

    #[test]
    fn the_missing_capability_is_named() {
        let both = [Capability::Bpf, Capability::Perfmon];
        let finding = capabilities(with(&both), true);
        assert_eq!((finding.verdict, finding.what.as_str()), (Verdict::Ok, "CAP_BPF, CAP_PERFMON"));
        let finding = capabilities(with(&both[..1]), true);
        assert_eq!(finding.verdict, Verdict::Problem);
        assert_eq!(finding.what, "user 7 without CAP_PERFMON");
        assert_eq!(capabilities(with(&[]), true).what, "user 7 without CAP_BPF and CAP_PERFMON");
        let inside = capabilities(with(&[Capability::SysAdmin]), false);
        assert_eq!(inside.verdict, Verdict::Problem);
        assert!(inside.what.contains("user namespace"));
        assert_eq!(processes(with(&both)).verdict, Verdict::Note);
        assert_eq!(processes(with(&[Capability::SysPtrace])).verdict, Verdict::Ok);
    }

    #[test]
    fn lockdown_modes() {
        let verdict = |modes| lockdown(modes).verdict;
        assert_eq!(verdict(None), Verdict::Ok);
        assert_eq!(verdict(Some("[none] integrity confidentiality")), Verdict::Ok);
        assert_eq!(verdict(Some("none [integrity] confidentiality")), Verdict::Ok);
        assert_eq!(verdict(Some("none integrity [confidentiality]")), Verdict::Problem);
    }

    #[test]
    fn unprivileged_is_only_for_the_unprivileged() {
        assert_eq!(unprivileged(with(&[Capability::SysAdmin]), Some("0")), None);
        let finding = unprivileged(with(&[]), Some("2")).expect("said");
        assert_eq!((finding.verdict, finding.what.as_str()), (Verdict::Note, "not allowed"));
    }

    #[test]
    fn memory_counts_on_old_kernels_only() {
        let verdict = |release, limit, capabilities: &[Capability]| {
            memory(release, limit, with(capabilities)).verdict
        };
        assert_eq!(verdict("5.10.0-43-cloud-amd64", Some(8 << 20), &[]), Verdict::Problem);
        assert_eq!(verdict("5.10.0", Some(8 << 20), &[Capability::SysResource]), Verdict::Ok);
        assert_eq!(verdict("5.10.0", None, &[]), Verdict::Ok);
        for release in ["5.11.0", "6.1.0-56-cloud-amd64", "6.18.44", "7.2"] {
            assert_eq!(verdict(release, Some(8 << 20), &[]), Verdict::Ok, "{release}");
        }
    }
}
