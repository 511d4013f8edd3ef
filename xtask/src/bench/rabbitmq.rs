//! RabbitMQ under its own PerfTest: one publisher and one consumer, a hundred messages under way.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use tracebee_tests::process::Process;
use tracebee_tests::rabbitmq::RabbitMq;

use super::counted::{self, Counted};
use super::{RabbitMqArgs, conditions};

/// From Maven Central.
const PERF_TEST: &str = "com.rabbitmq:perf-test:2.22.1";

/// Measures and prints.
pub(super) fn run(args: &RabbitMqArgs) -> Result<()> {
    let version = conditions::version("rabbitmqctl", "--version", "rabbitmq-server")?;
    let dir = tempfile::Builder::new().prefix("tracebee-bench-").tempdir()?;
    let jars = perf_test()?;
    let load = PerfTest { broker: RabbitMq::start(dir.path())?, jars, size: args.size };
    let words = format!(
        "RabbitMQ {}; {PERF_TEST} {}-C {}",
        version.trim(),
        flags(args.size).iter().fold(String::new(), |all, flag| all + flag + " "),
        args.counted.calls
    );
    let result = counted::run(&args.counted, dir.path(), &load, &words);
    load.broker.stop()?;
    result
}

/// The broker and its load.
struct PerfTest {
    broker: RabbitMq,
    jars: PathBuf,
    size: u32,
}

/// How messages are sent and taken: as many as fit into what is captured of one read are under way.
fn flags(size: u32) -> Vec<String> {
    let words = "-x 1 -y 1 --confirm 100 --qos 100 --queue bench --auto-delete true --size";
    words.split(' ').map(str::to_owned).chain([size.to_string()]).collect()
}

impl Counted for PerfTest {
    fn server(&self) -> &Process {
        self.broker.process()
    }

    fn spans(&self) -> u64 {
        2
    }

    fn program(&self, calls: u64) -> Command {
        let mut command = Command::new("java");
        command.arg("-cp").arg(self.jars.join("*")).arg("com.rabbitmq.perf.PerfTest");
        command.arg("--uri").arg(format!("amqp://127.0.0.1:{}", self.broker.port));
        command.args(flags(self.size));
        let calls = calls.to_string();
        command.args(["--pmessages", &calls, "--cmessages", &calls]);
        command
    }

    fn per_second(&self, text: &str) -> Result<f64> {
        parse(text)
    }
}

/// The program, which is fetched once.
fn perf_test() -> Result<PathBuf> {
    let dir = tracebee_tests::paths::target().join("perf-test");
    let done = dir.join("done");
    if done.exists() {
        return Ok(dir);
    }
    std::fs::create_dir_all(&dir)?;
    let (group, rest) = PERF_TEST.split_once(':').context("a group")?;
    let (name, version) = rest.split_once(':').context("a version")?;
    let pom = dir.join("pom.xml");
    std::fs::write(
        &pom,
        format!(
            "<project><modelVersion>4.0.0</modelVersion><groupId>bench</groupId>\
             <artifactId>bench</artifactId><version>1</version><dependencies><dependency>\
             <groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version>\
             </dependency></dependencies></project>"
        ),
    )?;
    fetch(&pom, &dir)?;
    std::fs::write(done, "")?;
    Ok(dir)
}

fn fetch(pom: &Path, dir: &Path) -> Result<()> {
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "dependency:copy-dependencies", "-f"]).arg(pom);
    maven.arg(format!("-DoutputDirectory={}", dir.display()));
    let status = maven.status().context("run mvn: run tests/setup first")?;
    ensure!(status.success(), "mvn cannot fetch {PERF_TEST}: {status}");
    Ok(())
}

/// Messages a second that were received, from `id: test-1, receiving rate avg: 23561 msg/s`.
fn parse(text: &str) -> Result<f64> {
    let rest = text.lines().rev().find_map(|line| line.split_once("receiving rate avg: "));
    let number = rest.and_then(|(_, rest)| rest.split(' ').next()).and_then(|n| n.parse().ok());
    number.with_context(|| format!("no rate in what PerfTest says:\n{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_of_perf_test() {
        let text = "id: test-1, sending rate avg: 23570 msg/s\n\
                    id: test-1, receiving rate avg: 23561 msg/s\n";
        assert_eq!(parse(text).expect("a rate"), 23561.0);
        assert!(parse("Main thread caught exception\n").is_err());
    }
}
