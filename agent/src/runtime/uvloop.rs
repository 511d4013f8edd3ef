//! uvloop, an event loop of CPython. Since version 0.23 it enters contexts by `PyContext_Enter`, and a task
//! writes at once. Before that its own functions tell.

use std::fs;
use std::path::Path;

use super::Unknown;
use super::library::{self, Library};
use super::maps::Mapping;

/// The first version that is followed by the interpreter's functions alone.
const PLAIN: (u32, u32) = (0, 23);
/// How an older one is followed, which does not enter contexts as the interpreter does, and writes when
/// the task that did is not running any more: where it sends what it has kept, where it keeps it, and
/// where it passes on what it has read. The return first: what begins must be seen to end.
const FUNCTIONS: [(&str, &str); 4] = [
    ("uvloop_wrote", WRITES),
    ("uvloop_writes", WRITES),
    ("uvloop_keeps", "__pyx_f_6uvloop_4loop_8UVStream__buffer_write"),
    ("uvloop_runs", "__pyx_f_6uvloop_4loop_run_in_context1"),
];
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
pub(super) fn old(proc: &Path, pid: u32, mapping: &Mapping) -> Result<Option<Library>, Unknown> {
    let version = version(&library::path(proc, pid, mapping));
    if version.is_some_and(|version| version >= PLAIN) {
        return Ok(None);
    }
    match library::find(proc, pid, mapping, &FUNCTIONS)? {
        None => Err(Unknown::Lacks("symbols in its uvloop (older than 0.23)")),
        found => Ok(found),
    }
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
