//! uvloop, an event loop of CPython. Since version 0.23 it enters contexts by `PyContext_Enter`, and a task
//! writes at once. Before that its own functions tell.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use object::{Object as _, ObjectSymbol as _, ReadCache};

use super::elf::{Elf, in_file};
use super::maps::Mapping;
use super::python::Unknown;

/// How an event loop is followed that does not enter contexts as the interpreter does, and writes when
/// the task that did is not running any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Old {
    /// The file that the functions are in, as it can be opened from here.
    pub file: PathBuf,
    /// Which file that is, by device and inode.
    pub identity: (u64, u64),
    /// Offset of `run_in_context1` in the file: there it passes on what it has read.
    pub runs: u64,
    /// Offset of `UVStream._buffer_write`: there it keeps what is written.
    pub keeps: u64,
    /// Offset of `UVStream._exec_write`: there it sends that.
    pub writes: u64,
}

/// The first version that is followed by the interpreter's functions alone.
const PLAIN: (u32, u32) = (0, 23);
const RUNS: &str = "__pyx_f_6uvloop_4loop_run_in_context1";
const KEEPS: &str = "__pyx_f_6uvloop_4loop_8UVStream__buffer_write";
const WRITES: &str = "__pyx_f_6uvloop_4loop_8UVStream__exec_write";

/// The mapping of uvloop in a process.
pub(super) fn mapping(mappings: &[Mapping]) -> Option<&Mapping> {
    mappings
        .iter()
        .find(|mapping| mapping.path.contains("/uvloop/loop.") && mapping.path.ends_with(".so"))
}

/// How it is followed if it is an old one; none if it is not.
///
/// # Errors
/// It is an old one, without the symbols that say where its functions are.
pub(super) fn old(proc: &Path, pid: u32, mapping: &Mapping) -> Result<Option<Old>, Unknown> {
    let file = proc.join(format!("{pid}/root{}", mapping.path));
    let version = version(&file);
    if version.is_some_and(|version| version >= PLAIN) {
        return Ok(None);
    }
    let opened = File::open(&file)?;
    let metadata = opened.metadata()?;
    let cache = ReadCache::new(opened);
    let elf = Elf::parse(&cache)?;
    let symbol = |name| {
        let found = elf.symbols().find(|symbol| symbol.name() == Ok(name));
        found.and_then(|symbol| in_file(&elf, symbol.address()))
    };
    let (Some(runs), Some(keeps), Some(writes)) = (symbol(RUNS), symbol(KEEPS), symbol(WRITES))
    else {
        return Err(Unknown::Lacks("symbols in its uvloop, which is older than 0.23"));
    };
    let identity = (metadata.dev(), metadata.ino());
    Ok(Some(Old { file, identity, runs, keeps, writes }))
}

/// The version that is installed: what describes it lies beside it.
fn version(file: &Path) -> Option<(u32, u32)> {
    let beside = file.parent()?.parent()?;
    fs::read_dir(beside).ok()?.flatten().find_map(|entry| {
        let name = entry.file_name();
        let version = name.to_str()?.strip_prefix("uvloop-")?;
        let mut numbers = version.split(['.', '-']).map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version_of(name: &str) -> Option<(u32, u32)> {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join(name)).expect("a directory");
        version(&dir.path().join("uvloop/loop.so"))
    }

    #[test]
    fn what_lies_beside_it_says_the_version() {
        assert_eq!(version_of("uvloop-0.21.0.dist-info"), Some((0, 21)));
        assert_eq!(version_of("uvloop-0.17.0.egg-info"), Some((0, 17)));
        assert_eq!(version_of("uvloop-1.2.dist-info"), Some((1, 2)));
        assert_eq!(version_of("uvloop"), None);
        assert_eq!(version_of("uvloop-x.dist-info"), None);
    }
}
