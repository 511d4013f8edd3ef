//! What the kernel is and has.

use std::fs;

use super::finding::{Area, Finding};
use crate::source::live::layout::VMLINUX;

const AREA: Area = Area::Kernel;

pub(super) fn check() -> Vec<Finding> {
    let uname = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    vec![
        version(&text(uname.release()), &text(uname.machine())),
        types(fs::metadata(VMLINUX).map(|file| file.len()).map_err(|error| error.to_string())),
        jit(read("/proc/sys/net/core/bpf_jit_enable").as_deref()),
        tracefs(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()),
        mptcp(
            read("/proc/sys/net/mptcp/enabled").as_deref(),
            &fs::read_to_string("/proc/net/protocols").unwrap_or_default(),
        ),
    ]
}

pub(super) fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn version(release: &str, machine: &str) -> Finding {
    let what = format!("Linux {release} {machine}");
    if machine == "x86_64" {
        AREA.ok("version", what)
    } else {
        AREA.problem("version", what, "run it on x86_64: no other processor is supported yet")
    }
}

/// The size of the type information, or why there is none.
fn types(size: Result<u64, String>) -> Finding {
    const REMEDY: &str = "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, as distributions' are; \
                          in a container mount the host's /sys";
    match size {
        // What is in it is tried by loading.
        Ok(size @ 1..) => {
            AREA.ok("type information", format!("{VMLINUX}, {:.1} MiB", size as f64 / 1_048_576.0))
        }
        Ok(0) => AREA.problem("type information", format!("{VMLINUX} (BTF) is empty"), REMEDY),
        Err(error) => AREA.problem("type information", format!("{VMLINUX} (BTF): {error}"), REMEDY),
    }
}

fn jit(enabled: Option<&str>) -> Finding {
    match enabled {
        Some("0") => AREA.note(
            "eBPF compiler",
            "off: the kernel interprets the programs, which costs traced processes several times \
             as much",
            "sysctl net.core.bpf_jit_enable=1",
        ),
        Some(_) => AREA.ok("eBPF compiler", "on"),
        // Kernels that always compile may not have the switch; containers may hide it.
        None => AREA.ok("eBPF compiler", "no switch (net.core.bpf_jit_enable)"),
    }
}

/// Where a file system of type `kind` is mounted, and with which options.
pub(super) fn mounted<'a>(mountinfo: &'a str, kind: &str) -> Vec<(&'a str, String)> {
    let mount = |line: &'a str| {
        // id parent device root place options ... - type source super-options (proc(5)).
        let (place, rest) = line.split_once(" - ")?;
        let (mut place, mut rest) = (place.split(' ').skip(4), rest.split(' '));
        if rest.next()? != kind {
            return None;
        }
        Some((place.next()?, format!("{},{}", place.next()?, rest.nth(1).unwrap_or_default())))
    };
    mountinfo.lines().filter_map(mount).collect()
}

/// No backend opens tracefs: they attach to raw tracepoints.
fn tracefs(mountinfo: &str) -> Finding {
    match mounted(mountinfo, "tracefs").first() {
        Some((place, _)) => AREA.ok("tracefs", format!("at {place}; not needed")),
        None => AREA.ok("tracefs", "not mounted; not needed"),
    }
}

/// MPTCP is a protocol of its own. A listener hands out plain TCP sockets for peers that do not
/// speak it; a socket that connects stays what it is.
fn mptcp(enabled: Option<&str>, protocols: &str) -> Finding {
    let used: u64 = protocols
        .lines()
        .filter(|line| line.starts_with("MPTCP"))
        .filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok())
        .sum();
    match (enabled, used) {
        (None, 0) => AREA.ok("MPTCP", "not there"),
        (_, 0) => AREA.ok("MPTCP", "not in use"),
        (_, used) => AREA.note(
            "MPTCP",
            format!(
                "{used} sockets here, which are not traced; connections that they accept from \
                 plain TCP are"
            ),
            "where it is not wanted: sysctl net.mptcp.enabled=0 (Go: GODEBUG=multipathtcp=0)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    const MOUNTS: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw,hidepid=invisible
42 23 0:13 / /sys/kernel/tracing rw,relatime shared:3 - tracefs tracefs rw
41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
";

    #[test]
    fn mounts() {
        assert_eq!(
            mounted(MOUNTS, "proc"),
            [("/proc", "rw,relatime,rw,hidepid=invisible".to_owned())]
        );
        assert_eq!(mounted(MOUNTS, "tracefs")[0].0, "/sys/kernel/tracing");
        assert!(mounted(MOUNTS, "bpf").is_empty());
        assert!(mounted("nonsense - \n - proc\n", "proc").is_empty());
        assert_eq!(tracefs("").verdict, Verdict::Ok);
        assert_eq!(tracefs("").what, "not mounted; not needed");
    }

    #[test]
    fn what_is_missing_has_a_remedy() {
        assert_eq!(version("6.1.0", "x86_64").verdict, Verdict::Ok);
        assert_eq!(version("6.1.0", "aarch64").verdict, Verdict::Problem);
        assert_eq!(types(Ok(5 << 20)).what, "/sys/kernel/btf/vmlinux, 5.0 MiB");
        for lack in [types(Ok(0)), types(Err("No such file or directory (os error 2)".into()))] {
            assert_eq!(lack.verdict, Verdict::Problem);
            assert!(lack.what.contains("BTF") && lack.remedy.is_some_and(|r| r.contains("CONFIG")));
        }
        assert_eq!(jit(Some("0")).verdict, Verdict::Note);
        assert_eq!(jit(Some("2")).verdict, Verdict::Ok);
        assert_eq!(jit(None).verdict, Verdict::Ok);
    }

    #[test]
    fn multipath() {
        let protocols = |v4: u32, v6: u32| {
            format!(
                "protocol size sockets\nMPTCPv6 2064 {v6} 190\nMPTCP 1936 {v4} 190\nTCP 1 9 1\n"
            )
        };
        assert_eq!(mptcp(Some("1"), &protocols(0, 0)).verdict, Verdict::Ok);
        let used = mptcp(Some("1"), &protocols(3, 2));
        assert!(used.verdict == Verdict::Note && used.what.starts_with("5 sockets"));
        assert_eq!(mptcp(None, "").what, "not there");
    }
}
