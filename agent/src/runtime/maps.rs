//! The files that a process has mapped: `/proc/PID/maps`.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Most bytes of a process's mappings that are read; some have tens of thousands.
const MAX_MAPS: u64 = 4 << 20;

/// A mapping of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    /// Where it begins in the process.
    pub(super) start: u64,
    /// Where it begins in the file.
    pub(super) offset: u64,
    /// The file as the process knows it, in its own mount namespace.
    pub(super) path: String,
}

impl Mapping {
    /// The file's own name.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// The mappings of files of the process `pid`, lowest first.
///
/// # Errors
/// The process is gone or may not be looked at.
pub(super) fn of(proc: &Path, pid: u32) -> io::Result<Vec<Mapping>> {
    let mut text = Vec::new();
    File::open(proc.join(format!("{pid}/maps")))?.take(MAX_MAPS).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).lines().filter_map(mapping).collect())
}

/// A line: `start-end rights offset device inode path`.
fn mapping(line: &str) -> Option<Mapping> {
    let slash = line.find('/')?;
    let mut fields = line[..slash].split_whitespace();
    let (start, _) = fields.next()?.split_once('-')?;
    let offset = fields.nth(1)?;
    let path = line[slash..].trim_end_matches(" (deleted)");
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        offset: u64::from_str_radix(offset, 16).ok()?,
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let line = "7f3a1000-7f3a2000 r-xp 00012000 fd:00 123   /opt/my python/bin/python3.11";
        let path = "/opt/my python/bin/python3.11".to_owned();
        assert_eq!(mapping(line), Some(Mapping { start: 0x7f3a_1000, offset: 0x12000, path }));
        let gone = mapping("1000-2000 r--p 00000000 fd:00 1 /tmp/libx.so (deleted)");
        assert_eq!(gone.expect("a mapping").name(), "libx.so");
        for other in ["", "7f00-7f01 rw-p 00000000 00:00 0", "x-y r 0 /a", "/", "1 2 3 /a"] {
            assert_eq!(mapping(other), None, "{other}");
        }
    }

    #[test]
    fn those_of_this_process() {
        let own = of(Path::new("/proc"), std::process::id()).expect("own mappings");
        let exe = std::fs::read_link("/proc/self/exe").expect("own executable");
        assert!(own.iter().any(|mapping| Path::new(&mapping.path) == exe));
    }
}
