//! What may be missing, made to be missing: by other users, capabilities, namespaces and filters.
//! Nobody but the program under test sees any of it.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use tracebee_tests::report::Report;

use super::Said;
use crate::Setting;

/// A lack, and the line that must tell of it.
struct Case<'a> {
    name: &'a str,
    code: i32,
    topic: &'a str,
    /// What the line says, and its remedy.
    words: &'a [&'a str],
}

pub(super) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    // Somewhere that everybody can read it from.
    let dir = tempfile::Builder::new().prefix("tracebee-doctor-").tempdir()?;
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))?;
    let binary = dir.path().join("tracebee");
    std::fs::copy(&setting.binary, &binary)?;
    privileges(report, setting, &binary)?;
    mounts(report, setting, &binary, dir.path())?;
    hidden(report, setting, &binary)?;
    namespaces(report, setting, &binary)?;
    filter(report, setting, &binary)
}

fn expect(report: &mut Report, case: &Case<'_>, said: &Said) {
    let Case { name, code, topic, words } = case;
    report.equal(&format!("{name}: exit code"), Some(*code), said.code);
    let line = said.line(topic);
    for word in *words {
        report.check(line.contains(word), || {
            format!("{name}: {word:?} is not in the line of {topic}: {line:?}\n{said:?}")
        });
    }
    let last = said.stdout.lines().last().unwrap_or_default();
    report.equal(&format!("{name}: verdict"), *code == 0, last.starts_with("tracing works"));
    for line in said.stdout.lines().filter(|line| line.starts_with("  problem")) {
        report.check(line.contains("to do: "), || format!("{name}: no remedy in {line:?}"));
    }
    report.equal(&format!("{name}: stderr"), "", said.stderr.as_str());
}

fn privileges(report: &mut Report, setting: &Setting, binary: &Path) -> Result<()> {
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let keep = |capabilities: &'static str| {
        let mut flags: Vec<String> = nobody.map(str::to_owned).to_vec();
        flags.extend(["inh-caps", "ambient-caps"].map(|set| format!("--{set}={capabilities}")));
        flags
    };
    let drop = |capabilities: &str| {
        ["inh-caps", "bounding-set"].map(|set| format!("--{set}={capabilities}")).to_vec()
    };
    let nothing = [nobody.map(str::to_owned).to_vec(), drop("-all")].concat();
    let cases = [
        (
            nothing,
            Case {
                name: "nobody",
                code: 1,
                topic: "loading programs",
                words: &["problem", "CAP_BPF and CAP_PERFMON", "run it as root"],
            },
        ),
        (
            drop("-sys_admin,-perfmon"),
            Case {
                name: "without CAP_PERFMON",
                code: 1,
                topic: "loading programs",
                words: &["problem", "user 0 without CAP_PERFMON", "run it as root"],
            },
        ),
        (
            drop("-sys_admin,-bpf"),
            Case {
                name: "without CAP_BPF",
                code: 1,
                topic: "loading programs",
                words: &["problem", "user 0 without CAP_BPF"],
            },
        ),
        (
            keep("+bpf,+perfmon"),
            Case {
                name: "two capabilities",
                code: 0,
                topic: "looking at processes",
                words: &["note", "to do: add CAP_SYS_PTRACE"],
            },
        ),
        (
            keep("+bpf,+perfmon,+sys_ptrace"),
            Case {
                name: "three capabilities",
                code: 0,
                topic: "looking at processes",
                words: &["ok", "CAP_SYS_PTRACE"],
            },
        ),
    ];
    for (flags, case) in cases {
        let mut command = Command::new("setpriv");
        let said =
            Said::by(setting, command.args(flags).arg(binary).arg("doctor").current_dir("/"))?;
        expect(report, &case, &said);
    }
    Ok(())
}

/// `/proc` that shows everybody only what is theirs.
fn hidden(report: &mut Report, setting: &Setting, binary: &Path) -> Result<()> {
    let script = "mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid=65534 \
                  --regid=65534 --clear-groups --inh-caps=+bpf,+perfmon \
                  --ambient-caps=+bpf,+perfmon \"$1\" doctor";
    let mut command = Command::new("unshare");
    let said = Said::by(setting, command.args(["-m", "sh", "-c", script, "sh"]).arg(binary))?;
    let words = &["note", "hidepid=", "to do: add CAP_SYS_PTRACE"];
    expect(report, &Case { name: "hidepid", code: 0, topic: "/proc", words }, &said);
    Ok(())
}

/// In a mount namespace of its own, after the shell commands `prepare`, with `$1` for `dir`.
fn mounted(setting: &Setting, binary: &Path, dir: &Path, prepare: &str) -> Result<Said> {
    let script = format!("{prepare} && exec \"$2\" doctor");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script, "sh"]).arg(dir).arg(binary);
    Said::by(setting, &mut command)
}

fn mounts(report: &mut Report, setting: &Setting, binary: &Path, dir: &Path) -> Result<()> {
    std::fs::write(dir.join("empty"), b"")?;
    std::fs::write(dir.join("noise"), [0x5a; 4096])?;
    std::fs::create_dir(dir.join("nothing"))?;
    std::fs::create_dir(dir.join("security"))?;
    std::fs::write(dir.join("security/lockdown"), "none integrity [confidentiality]\n")?;
    let btf = &["problem", "BTF", "CONFIG_DEBUG_INFO_BTF=y"];
    let cases = [
        (
            "umount -a -t tracefs && umount -a -t debugfs",
            Case {
                name: "no tracefs",
                code: 0,
                topic: "tracefs",
                words: &["ok", "not mounted; not needed"],
            },
        ),
        (
            "mount --bind \"$1/empty\" /sys/kernel/btf/vmlinux",
            Case { name: "empty BTF", code: 1, topic: "type information", words: btf },
        ),
        (
            "mount --bind \"$1/nothing\" /sys/kernel/btf",
            Case { name: "no BTF", code: 1, topic: "type information", words: btf },
        ),
        (
            "mount --bind \"$1/noise\" /sys/kernel/btf/vmlinux",
            Case {
                name: "damaged BTF",
                code: 1,
                topic: "capture",
                words: &["problem", "/sys/kernel/btf/vmlinux", "to do: "],
            },
        ),
        (
            "mount --bind \"$1/security\" /sys/kernel/security",
            Case {
                name: "confidentiality",
                code: 1,
                topic: "lockdown",
                words: &["problem", "confidentiality", "lockdown=integrity"],
            },
        ),
    ];
    for (prepare, case) in cases {
        let said = mounted(setting, binary, dir, prepare)?;
        expect(report, &case, &said);
    }
    Ok(())
}

fn namespaces(report: &mut Report, setting: &Setting, binary: &Path) -> Result<()> {
    let cases: [(&[&str], Case<'_>); 2] = [
        (
            &["--pid", "--fork", "--mount-proc"],
            Case {
                name: "pid namespace",
                code: 1,
                topic: "processes",
                words: &["problem", "--pid=host", "hostPID: true"],
            },
        ),
        (
            &["--user", "--map-root-user"],
            Case {
                name: "user namespace",
                code: 1,
                topic: "loading programs",
                words: &["problem", "user namespace", "root of the host"],
            },
        ),
    ];
    for (flags, case) in cases {
        let mut command = Command::new("unshare");
        let said = Said::by(setting, command.args(flags).arg(binary).arg("doctor"))?;
        expect(report, &case, &said);
    }
    Ok(())
}

/// A container's seccomp profile that denies bpf(2).
fn filter(report: &mut Report, setting: &Setting, binary: &Path) -> Result<()> {
    let mut command = Command::new(binary);
    command.arg("doctor");
    // SAFETY: two prctl calls with data of this frame, async-signal-safe.
    unsafe {
        command.pre_exec(deny_bpf);
    }
    let said = Said::by(setting, &mut command)?;
    let case = Case {
        name: "seccomp",
        code: 1,
        topic: "capture",
        words: &["problem", "allow bpf(2) in the seccomp profile"],
    };
    expect(report, &case, &said);
    Ok(())
}

fn deny_bpf() -> std::io::Result<()> {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, k| libc::sock_filter { code, jt, jf: 0, k };
    // The number of the system call is the first word of `struct seccomp_data`.
    let mut steps = [
        step(LOAD, 0, 0),
        step(EQUAL, 1, libc::SYS_bpf as u32),
        step(RETURN, 0, libc::SECCOMP_RET_ALLOW),
        step(RETURN, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: valid arguments; `program` lives until the call returns, the kernel copies it.
    let failed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) != 0
    };
    if failed { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}
