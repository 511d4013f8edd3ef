//! What `/proc` says about one process.
//!
//! Every read is bounded, and a file that is missing or forbidden is just not known: processes end
//! while they are looked at, and an agent may lack the right to see some of their files.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::source::Program;

/// Most bytes of a command line that are read. Names stand near its front, class paths do not.
const MAX_COMMAND_LINE: u64 = 16 * 1024;

/// Most bytes of an environment that are read.
const MAX_ENVIRONMENT: u64 = 128 * 1024;

/// Most bytes of `package.json` that are read.
const MAX_PACKAGE: u64 = 64 * 1024;

/// The fields of `/proc/PID/stat` that are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// The short name that the kernel keeps.
    pub(super) comm: String,
    /// Parent process id; 0 if not known.
    pub(super) parent: u32,
    /// Start time after boot, in clock ticks. With the pid it identifies a process until reboot.
    pub(super) started: u64,
}

/// The files of one process.
#[derive(Clone, Debug)]
pub(super) struct Process {
    directory: PathBuf,
    /// What the kernel saw of it, for when the files are gone.
    seen: Option<Seen>,
}

/// What the kernel saw of a process.
#[derive(Clone, Debug)]
struct Seen {
    stat: Stat,
    command_line: String,
    environment: String,
}

impl Process {
    /// The process `pid` under `proc`, which is `/proc` but in tests.
    pub(super) fn new(proc: &Path, pid: u32) -> Self {
        Self { directory: proc.join(pid.to_string()), seen: None }
    }

    /// A process that the kernel saw, `started` clock ticks after boot.
    pub(super) fn seen(proc: &Path, program: &Program<'_>, started: u64) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let stat = Stat { comm: program.comm.clone().into_owned(), parent: 0, started };
        let seen = Seen {
            stat,
            command_line: text(program.arguments),
            environment: text(program.environment),
        };
        Self { seen: Some(seen), ..Self::new(proc, program.pid) }
    }

    /// Its identity and short name; `None` if it is gone.
    pub(super) fn stat(&self) -> Option<Stat> {
        let read = self.read("stat", 4096).and_then(|text| parse_stat(&text));
        read.or_else(|| self.seen.as_ref().map(|seen| seen.stat.clone()))
    }

    /// Its command line, the words separated by zeros.
    pub(super) fn command_line(&self) -> String {
        let seen = || self.seen.as_ref().map(|seen| seen.command_line.clone());
        let read = self.read("cmdline", MAX_COMMAND_LINE).filter(|text| !text.is_empty());
        let text = read.or_else(seen).unwrap_or_default();
        // Titles are padded with zeros or blanks up to the old length.
        text.trim_end_matches(['\0', ' ']).to_owned()
    }

    /// Its environment as it was at exec, the variables separated by zeros. Programs that retitle
    /// themselves may have written over it.
    pub(super) fn environment(&self) -> String {
        let seen = || self.seen.as_ref().map(|seen| seen.environment.clone());
        let read = self.read("environ", MAX_ENVIRONMENT).filter(|text| !text.is_empty());
        read.or_else(seen).unwrap_or_default()
    }

    /// Path of its executable, also when that was deleted or replaced since.
    pub(super) fn executable(&self) -> Option<String> {
        let path = self.link("exe")?;
        Some(path.strip_suffix(" (deleted)").map(str::to_owned).unwrap_or(path))
    }

    /// Its working directory.
    pub(super) fn working_directory(&self) -> Option<String> {
        let path = self.link("cwd")?;
        Some(path.strip_suffix(" (deleted)").map(str::to_owned).unwrap_or(path))
    }

    /// `name` in the `package.json` of a directory, which is meant as the process sees it.
    pub(super) fn package(&self, directory: &str) -> Option<String> {
        let root = self.directory.join("root");
        let path = root.join(directory.trim_start_matches('/')).join("package.json");
        let text = read_file(&path, MAX_PACKAGE)?;
        let package: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(package.get("name")?.as_str()?.to_owned())
    }

    fn link(&self, name: &str) -> Option<String> {
        let path = std::fs::read_link(self.directory.join(name)).ok()?;
        Some(path.to_string_lossy().into_owned())
    }

    fn read(&self, name: &str, most: u64) -> Option<String> {
        let file = File::open(self.directory.join(name)).ok()?;
        read(file, most)
    }
}

/// Reads a file that anybody may have put there: never waits at a pipe, takes regular files only.
fn read_file(path: &Path, most: u64) -> Option<String> {
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    read(file, most)
}

fn read(file: File, most: u64) -> Option<String> {
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).ok()?;
    Some(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// The name stands in parentheses and may hold any character, also `)` and blanks: the last
/// parenthesis ends it.
fn parse_stat(text: &str) -> Option<Stat> {
    let (start, rest) = text.rsplit_once(')')?;
    let (_, comm) = start.split_once('(')?;
    // Behind the name: field 3 is the state, 4 the parent, 22 the start time.
    let mut fields = rest.split_ascii_whitespace();
    // A zombie has lost its command line and its executable: it is gone.
    let _state = fields.next().filter(|state| !matches!(*state, "Z" | "X"))?;
    let parent = fields.next()?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some(Stat { comm: comm.to_owned(), parent, started })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stats() {
        let line = "7 (a) b) S 3 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2\n";
        let expected = Stat { comm: "a) b".into(), parent: 3, started: 987_654 };
        assert_eq!(parse_stat(line), Some(expected));
        for bad in [
            "",
            "7",
            "7 (a",
            "7 (a)",
            "7 (a) S 3 7",
            ")(",
            "7 (a) S x 7 7 0 -1 4194560",
            &line.replace(" S ", " Z "),
        ] {
            assert_eq!(parse_stat(bad), None, "{bad}");
        }
    }

    #[test]
    fn this_process() {
        let process = Process::new(Path::new("/proc"), std::process::id());
        let stat = process.stat().expect("it lives");
        assert!(stat.started > 0 && stat.parent > 0);
        let first = process.command_line();
        let first = first.split('\0').next().unwrap_or_default().to_owned();
        assert!(
            process
                .executable()
                .is_some_and(|path| path.ends_with(super::super::name::base_of(&first)))
        );
        assert_eq!(process.working_directory().map(PathBuf::from), std::env::current_dir().ok(),);
        assert!(process.environment().contains("PATH="));
    }

    #[test]
    fn nobody_is_unknown() {
        let process = Process::new(Path::new("/proc"), u32::MAX);
        assert_eq!((process.stat(), process.executable()), (None, None));
        assert_eq!(process.command_line() + &process.environment(), "");
    }

    #[test]
    fn a_pipe_for_a_package_does_not_hold_us_up() {
        let place = tempfile::tempdir().expect("a directory");
        let process = Process { directory: place.path().to_owned(), seen: None };
        let root = place.path().join("root/srv");
        std::fs::create_dir_all(&root).expect("a directory");
        let path = root.join("package.json");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .expect("a pipe");
        assert_eq!(process.package("/srv"), None);
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, r#"{"version": "1", "name": "shop"}"#).expect("written");
        assert_eq!(process.package("/srv").as_deref(), Some("shop"));
        std::fs::write(&path, r#"{"name": 7}"#).expect("written");
        assert_eq!(process.package("/srv"), None);
    }

    proptest! {
        #[test]
        fn hostile_stats_are_harmless(text in "[()0-9a-zA-Z ]{0,120}|\\PC{0,60}") {
            let _ = parse_stat(&text);
        }
    }
}
