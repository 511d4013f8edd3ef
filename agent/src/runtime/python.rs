//! CPython: where its interpreters and its context functions are in a process.
//!
//! The interpreter publishes the offsets of its structures only in part, and only since 3.13. They
//! do not change within a minor version, so a table has them, each compiled against that version's
//! headers or read from its binaries.

mod slots;

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use object::{Object as _, ObjectSection as _, ReadCache};
use tracebee_common::runtime::{Python, reads};

use super::elf::{Elf, bias, exported, in_file};
use super::library::Library;
use super::maps::{self, Mapping};
use super::{Unknown, aiohttp, uvloop};

/// CPython in a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// `3.11`, or `3.13t` for a build without the global lock.
    pub version: String,
    /// What the kernel programs need.
    pub layout: Python,
    /// The file that the functions are in, as it can be opened from here.
    pub file: PathBuf,
    /// Which file that is, by device and inode: many processes share one.
    pub identity: (u64, u64),
    /// What is watched in it: the kernel program that is told, and the offset of the function.
    pub functions: Vec<(&'static str, u64)>,
    /// Libraries that are watched, too: an old uvloop, aiohttp's parser.
    pub libraries: Vec<Library>,
    /// Why calls by uvloop are not linked, if they are not.
    pub lacks: Option<String>,
}

/// Offsets by minor version of 3, and whether it is built without the global lock.
struct Offsets {
    minor: u8,
    free_threaded: bool,
    /// `_PyRuntime.interpreters.head`.
    interpreters: u64,
    /// `PyInterpreterState.next` and `.threads.head`.
    interpreter: [u32; 2],
    /// `PyThreadState.thread_id` and `.context`.
    thread: [u32; 2],
}

/// `PyThreadState.next`, in all of them.
const THREAD_NEXT: u32 = 8;
/// Where `PyContext.ctx_prev` and `.ctx_entered` are.
const CONTEXT: [u32; 2] = [16, 40];
/// The same without the global lock: its objects have longer heads.
const CONTEXT_FREE_THREADED: [u32; 2] = [32, 56];

const fn offsets(minor: u8, interpreters: u64, interpreter: [u32; 2], thread: [u32; 2]) -> Offsets {
    Offsets { minor, free_threaded: false, interpreters, interpreter, thread }
}

/// Those of x86-64.
static TABLE: [Offsets; 11] = [
    offsets(8, 32, [0, 8], [176, 240]),
    offsets(9, 32, [0, 8], [176, 240]),
    offsets(10, 32, [0, 8], [176, 240]),
    offsets(11, 40, [0, 16], [152, 224]),
    offsets(12, 40, [0, 72], [136, 208]),
    offsets(13, 632, [7264, 7344], [152, 208]),
    offsets(14, 808, [7272, 7344], [152, 208]),
    offsets(15, 936, [7264, 7336], [176, 232]),
    Offsets { free_threaded: true, ..offsets(13, 632, [7264, 7344], [152, 208]) },
    Offsets { free_threaded: true, ..offsets(14, 808, [7272, 7344], [152, 208]) },
    Offsets { free_threaded: true, ..offsets(15, 936, [7264, 7336], [176, 232]) },
];

/// The first version whose structures begin with what it says of itself
/// (`_Py_DebugOffsets` in section `.PyRuntime`).
const DESCRIBES_ITSELF: u8 = 13;
/// The first whose threads run in a context that was entered for them.
const THREADS_ENTER: u8 = 14;

/// CPython in the process `pid`; none if it runs something else. `proc` is `/proc` but in tests.
///
/// # Errors
/// It runs CPython, but its contexts cannot be followed.
pub fn find(proc: &Path, pid: u32) -> Result<Option<Found>, Unknown> {
    let mappings = maps::of(proc, pid)?;
    let library = mappings.iter().find(|mapping| minor(mapping.name(), "libpython").is_some());
    let executable = || mappings.iter().find(|mapping| minor(mapping.name(), "python").is_some());
    let Some(image) = library.or_else(executable) else { return Ok(None) };
    let minor = minor(image.name(), "libpython")
        .or_else(|| self::minor(image.name(), "python"))
        .unwrap_or_default();
    let file = proc.join(format!("{pid}/root{}", image.path));
    let opened = File::open(&file)?;
    let metadata = opened.metadata()?;
    let cache = ReadCache::new(opened);
    let elf = Elf::parse(&cache)?;

    let free_threaded = minor >= DESCRIBES_ITSELF && says_free_threaded(&elf)?;
    let version = format!("3.{minor}{}", if free_threaded { "t" } else { "" });
    let known = TABLE.iter().find(|o| o.minor == minor && o.free_threaded == free_threaded);
    let Some(offsets) = known.filter(|_| cfg!(target_arch = "x86_64")) else {
        return Err(Unknown::Version("CPython", version));
    };
    let symbol = |name| exported(&elf, name);
    let runtime = symbol("_PyRuntime").ok_or(Unknown::Lacks("_PyRuntime"))?;
    let copy = symbol("PyContext_CopyCurrent")
        .and_then(|address| in_file(&elf, address))
        .ok_or(Unknown::Lacks("PyContext_CopyCurrent"))?;
    let uvloop = uvloop::mapping(&mappings);
    let old = uvloop.map_or(Ok(None), |mapping| uvloop::old(proc, pid, mapping));
    let lacks = old.as_ref().err().map(ToString::to_string);
    let enter = symbol("PyContext_Enter")
        .filter(|_| uvloop.is_some() && lacks.is_none())
        .and_then(|address| in_file(&elf, address));
    let reads_outside = match (enter, &old) {
        (Some(_), Ok(Some(_))) => reads::RUNS,
        (Some(_), Ok(None)) => reads::ENTERS,
        _ => 0,
    };
    let bias = bias(&elf, &mappings, image).ok_or(Unknown::Lacks("mapping of its own file"))?;
    let [previous, entered] = if free_threaded { CONTEXT_FREE_THREADED } else { CONTEXT };
    let layout = Python {
        interpreters: bias.wrapping_add(runtime) + offsets.interpreters,
        interpreter_next: offsets.interpreter[0],
        threads: offsets.interpreter[1],
        thread_next: THREAD_NEXT,
        thread_id: offsets.thread[0],
        context: offsets.thread[1],
        previous,
        entered,
        threads_enter: u32::from(minor >= THREADS_ENTER),
        reads_outside,
        reserved: 0,
    };
    if !is_there(proc, pid, &layout, &mappings)? {
        return Err(Unknown::Elsewhere(version));
    }
    let slots = slots::of(proc, pid, bias.wrapping_add(symbol(slots::TYPE).unwrap_or_default()));
    let slots = slots.filter(|slots| slots.free_threaded == free_threaded);
    let made = slots.and_then(|slots| {
        let offset = |address: u64| in_file(&elf, address.wrapping_sub(bias));
        Some((offset(slots.new)?, offset(slots.copy)?))
    });
    let (new, copied) = made.ok_or(Unknown::Lacks(slots::TYPE))?;
    // One that is made empty is for what it is made in, as a copy of the current one is. A copy of any
    // other is for nobody: only that there is a new one at its address matters.
    let mut functions = vec![
        ("python_copies", copy),
        ("python_copied", copy),
        ("python_copies", new),
        ("python_copied", new),
        ("python_copied", copied),
    ];
    functions.extend(enter.map(|enter| ("python_enters", enter)));
    let identity = (metadata.dev(), metadata.ino());
    let aiohttp = aiohttp::find(proc, pid, &mappings);
    let libraries = old.unwrap_or_default().into_iter().chain(aiohttp).collect();
    Ok(Some(Found { version, layout, file, identity, functions, libraries, lacks }))
}

/// The minor version in a file's name: 11 of `python3.11` and `libpython3.11.so.1.0`.
fn minor(name: &str, start: &str) -> Option<u8> {
    let rest = name.strip_prefix(start)?.strip_prefix("3.")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    let after = rest[digits.len()..].trim_start_matches(['t', 'd']);
    (after.is_empty() || after.starts_with('.')).then(|| digits.parse().ok())?
}

/// What a version since 3.13 says of itself: a cookie, its version, and whether it is built without
/// the global lock, each of 8 bytes.
fn says_free_threaded(elf: &Elf<'_>) -> Result<bool, Unknown> {
    let section = elf.section_by_name(".PyRuntime").ok_or(Unknown::Lacks("section .PyRuntime"))?;
    let head = section.data_range(section.address(), 24)?;
    let cookie = head.filter(|head| head.starts_with(b"xdebugpy"));
    let flag = cookie.and_then(|head| head.get(16..24)).ok_or(Unknown::Lacks("debug offsets"))?;
    Ok(flag.iter().any(|byte| *byte != 0))
}

/// Threads that are looked at to see whether this is an interpreter.
const MAX_THREADS: usize = 256;

/// Whether there is a list of threads where one should be: each names the thread's own address,
/// which lies in no file.
fn is_there(proc: &Path, pid: u32, layout: &Python, mappings: &[Mapping]) -> Result<bool, Unknown> {
    let memory = File::open(proc.join(format!("{pid}/mem")))?;
    let word = |base: u64, offset: u32| -> io::Result<u64> {
        let mut bytes = [0; 8];
        memory.read_exact_at(&mut bytes, base.wrapping_add(offset.into()))?;
        Ok(u64::from_ne_bytes(bytes))
    };
    let in_a_file = |address: u64| mappings.iter().any(|m| m.start == address);
    let check = || -> io::Result<bool> {
        let interpreter = word(layout.interpreters, 0)?;
        let mut thread = word(interpreter, layout.threads)?;
        let mut seen = 0;
        while thread != 0 && seen < MAX_THREADS {
            let own = word(thread, layout.thread_id)?;
            // The address of a `struct pthread`, the first word of which is its own address.
            if in_a_file(own) || word(own, 0)? != own {
                return Ok(false);
            }
            thread = word(thread, layout.thread_next)?;
            seen += 1;
        }
        Ok(seen > 0)
    };
    // An address that cannot be read is none of an interpreter.
    Ok(check().unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_names() {
        for (name, start, version) in [
            ("python3.11", "python", Some(11)),
            ("python3.13t", "python", Some(13)),
            ("python3.12d", "python", Some(12)),
            ("libpython3.9.so.1.0", "libpython", Some(9)),
            ("libpython3.13t.so.1.0", "libpython", Some(13)),
            ("python3", "python", None),
            ("python3.11-config", "python", None),
            ("python3.x", "python", None),
            ("libpython3.so", "libpython", None),
            ("python2.7", "python", None),
            ("python3.300", "python", None),
        ] {
            assert_eq!(minor(name, start), version, "{name}");
        }
    }

    #[test]
    fn this_process_runs_none() {
        assert_eq!(find(Path::new("/proc"), std::process::id()).expect("own process"), None);
    }

    #[test]
    fn a_process_that_is_gone() {
        assert!(matches!(find(Path::new("/proc"), u32::MAX), Err(Unknown::Io(_))));
    }
}
