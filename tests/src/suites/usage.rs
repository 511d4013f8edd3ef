//! What cannot work is said in one clear line, with the right exit code: 0 ok, 1 failure, 2 usage.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tracebee_tests::agent::Agent;
use tracebee_tests::clients::Client;
use tracebee_tests::paths::free_port;
use tracebee_tests::plan::Plan;
use tracebee_tests::process::Process;
use tracebee_tests::report::Report;
use tracebee_tests::servers::{self, Which};

use crate::Setting;

/// An error comes at once.
const LIMIT: Duration = Duration::from_secs(10);

/// Arguments, exit code, and a word that the message must have.
const CASES: &[(&[&str], i32, &str)] = &[
    (&["run", "--no-such-flag"], 2, "--no-such-flag"),
    (&["no-such-command"], 2, "no-such-command"),
    (&["run", "--output", "yaml"], 2, "yaml"),
    (&["run", "--otlp-protocol", "smoke"], 2, "smoke"),
    (&["run", "--port", "99999"], 2, "99999"),
    (&["run", "--request-timeout", "soon"], 2, "soon"),
    (&["run", "--otlp-endpoint", "not a url"], 2, "not a url"),
    (&["run", "--otlp-endpoint", "ftp://host/"], 2, "ftp"),
    (&["run", "--otlp-endpoint", "https://h:1", "--otlp-ca", "/no/such/file"], 2, "/no/such/file"),
    (&["run", "--trusted-proxy", "10.0.0.0/99"], 2, "10.0.0.0/99"),
    (&["run", "--record", "/no/such/directory/file"], 1, "/no/such/directory/file"),
    (&["run", "--record", "/dev/null"], 1, "no regular file"),
    (&["run", "--record-max", "1"], 2, "65536"),
    (&["run", "--metrics-listen", "nowhere"], 2, "127.0.0.1:9464"),
    (&["run", "--metrics-listen", "192.0.2.1:9464"], 1, "192.0.2.1:9464"),
];

pub(crate) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    for (arguments, code, word) in CASES {
        let output = bounded(setting, Command::new(&setting.binary).args(*arguments))?;
        expect(report, &format!("{arguments:?}"), &output, *code, word);
    }
    for arguments in [["--help"], ["--version"]] {
        let output = bounded(setting, Command::new(&setting.binary).args(arguments))?;
        report.equal(&format!("{arguments:?}"), Some(0), output.status.code());
        report.check(!output.stdout.is_empty(), || format!("{arguments:?} prints nothing"));
    }
    without_root(report, setting)?;
    without_btf(report, setting)?;
    unreachable(report, setting)
}

fn bounded(setting: &Setting, command: &mut Command) -> Result<Output> {
    let mut process = Process::spawn("usage", setting.dir.path(), command.stdin(Stdio::null()))?;
    let status = process.wait(LIMIT).with_context(|| format!("{command:?}"))?;
    let (stdout, stderr) = (process.stdout().into_bytes(), process.stderr().into_bytes());
    Ok(Output { status, stdout, stderr })
}

/// The first line says it; a usage error may show the usage below.
fn expect(report: &mut Report, what: &str, output: &Output, code: i32, word: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    report.check(output.status.code() == Some(code), || {
        format!("{what}: exit code {code} expected, {}:\n{stderr}", output.status)
    });
    report.check(output.stdout.is_empty(), || format!("{what}: something on stdout"));
    let first = stderr.lines().next().unwrap_or_default();
    report.check(first.contains(word), || {
        format!("{what}: {word:?} is not in the first line {first:?}")
    });
    let lines = stderr.lines().filter(|line| !line.trim().is_empty()).count();
    report.check(lines == 1 || code == 2, || {
        format!("{what}: {lines} lines instead of one:\n{stderr}")
    });
    report.check(!stderr.contains("panicked"), || format!("{what}: {stderr}"));
}

fn without_root(report: &mut Report, setting: &Setting) -> Result<()> {
    // Somewhere that nobody can read it from.
    let dir = tempfile::Builder::new().prefix("tracebee-nobody-").tempdir()?;
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))?;
    let copy = dir.path().join("tracebee");
    std::fs::copy(&setting.binary, &copy)?;
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--inh-caps=-all",
        "--bounding-set=-all",
    ]);
    let output = bounded(setting, command.arg(&copy).arg("run").current_dir("/"))?;
    expect(report, "without root", &output, 1, "root");
    Ok(())
}

fn without_btf(report: &mut Report, setting: &Setting) -> Result<()> {
    let empty = setting.dir.path().join("empty");
    std::fs::write(&empty, b"")?;
    let mut command = Command::new("unshare");
    // In a mount namespace of its own: nobody else sees the empty file.
    command.args([
        "-m",
        "sh",
        "-c",
        "mount --bind \"$1\" /sys/kernel/btf/vmlinux && exec \"$2\" run",
        "sh",
    ]);
    let output = bounded(setting, command.arg(&empty).arg(&setting.binary))?;
    expect(report, "without BTF", &output, 1, "BTF");
    Ok(())
}

/// A receiver that is not there is no reason to stop, but one to say so, and to count.
fn unreachable(report: &mut Report, setting: &Setting) -> Result<()> {
    let dir = setting.dir.path();
    let server = servers::start(Which::Go, dir)?;
    let endpoint = format!("http://127.0.0.1:{}", free_port());
    let port = server.port.to_string();
    let agent =
        Agent::start(&setting.binary, dir, &["--otlp-endpoint", &endpoint, "--port", &port])?;
    let mut plan = Plan::default();
    for n in 0..50 {
        plan.get(&setting.id(&["unreachable", &n.to_string()]), &server.base(false), "/bytes/10");
    }
    Client::Go.run(&plan, dir, 1)?;
    let stopped = agent.stop()?;
    report.equal(
        "unreachable receiver: spans counted as lost",
        100,
        stopped.summary("export_failed"),
    );
    let named = stopped.stderr.lines().filter(|line| line.contains(&endpoint)).count();
    report.check((1..=2).contains(&named), || {
        format!(
            "unreachable receiver: {named} lines name it, expected one or two:\n{}",
            stopped.stderr
        )
    });
    Ok(())
}
