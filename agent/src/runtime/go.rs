//! Go: its goroutines, and the places in an executable where one starts another, takes a connection
//! of net/http or waits for work.
//!
//! Where these are is decoded from the executable itself: its table of functions survives stripping.
//! Where the runtime keeps a goroutine's number is in a table by version, each read from the debug
//! information of a build with it.

mod build;
mod code;
mod functions;
mod names;
mod packages;

use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use object::read::elf::FileHeader as _;
use object::{Architecture, Object as _, ObjectSection as _, ReadCache};
use rustc_hash::{FxHashMap, FxHashSet};
use tracebee_common::runtime::{Go, start};

use self::functions::{Function, Functions};
use self::names::{Names, Target};
use self::packages::{Owner, is_own, owner};
use super::elf::{Elf, bias, in_file};
use super::{Unknown, maps};
pub(crate) use build::{MAX_BUILD_INFO, version};

/// A process that runs a Go executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The executable, as it can be opened from here.
    pub file: PathBuf,
    /// Which file that is, by device and inode: many processes share one.
    pub identity: (u64, u64),
    /// How far its addresses were moved when it was loaded.
    pub bias: u64,
}

/// What is known of an executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// `1.26.8`.
    pub version: String,
    /// What the kernel programs need to know of its runtime.
    pub layout: Go,
    /// Where to watch it.
    pub points: Vec<Point>,
    /// Where goroutines are started that are not part of what the starting one works on, by the
    /// address after the call: one of [`start`].
    pub starts: Vec<(u64, u32)>,
}

/// A place in an executable that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Where it is in the file.
    pub offset: u64,
    /// What happens there.
    pub what: What,
}

/// What happens at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum What {
    /// `runtime.newproc1` returns a new goroutine.
    Forks = tracebee_common::runtime::point::FORKS,
    /// `net/http.(*persistConn).roundTrip` begins: the connection is the caller's until it is over.
    Drives = tracebee_common::runtime::point::DRIVES,
    /// A goroutine of the program waits at a channel or a `sync.Cond`, or begins to do so again and
    /// again, or to take what others leave behind a lock; or it sleeps: what it does from then on it may
    /// do for others.
    Waits = tracebee_common::runtime::point::WAITS,
}

/// Offsets of members by minor version of 1, in bytes.
struct Offsets {
    minor: u8,
    /// `runtime.g.goid`.
    goid: u32,
    /// `runtime.g.parentGoid`; 0 before 1.21.
    parent: u32,
    /// `runtime.g.gopc`: the address after the statement that started it.
    gopc: u32,
    /// `runtime.m.curg`.
    curg: u32,
}

/// `runtime.g.m`, in all of them.
const M: u32 = 48;

const fn offsets(minor: u8, goid: u32, parent: u32, gopc: u32, curg: u32) -> Offsets {
    Offsets { minor, goid, parent, gopc, curg }
}

/// Those of x86-64. They have not changed within a minor version.
static TABLE: [Offsets; 8] = [
    offsets(19, 152, 0, 296, 192),
    offsets(21, 152, 272, 280, 192),
    offsets(22, 152, 272, 280, 192),
    offsets(23, 160, 280, 288, 192),
    offsets(24, 160, 280, 288, 192),
    offsets(25, 152, 272, 280, 184),
    offsets(26, 152, 280, 288, 184),
    offsets(27, 152, 280, 288, 184),
];

/// Largest table of functions that is read; that of the largest known executables has 60 MB.
const MAX_TABLE: u64 = 256 << 20;
/// Largest function that is decoded; generated ones may have a megabyte.
const MAX_FUNCTION: usize = 4 << 20;
/// Most places at which a program waits for others that are watched: each costs the kernel a
/// breakpoint. The goroutines that a program with more of them starts are not followed.
pub const MAX_WAITS: usize = 2048;
/// Most returns of `newproc1`; every known version has one.
const MAX_RETURNS: usize = 4;

/// The executable of the process `pid`, if it is one of Go. `proc` is `/proc` but in tests.
///
/// # Errors
/// The process is gone or may not be looked at, or its executable is no ELF file.
pub fn process(proc: &Path, pid: u32) -> Result<Option<Process>, Unknown> {
    let file = proc.join(format!("{pid}/exe"));
    let opened = File::open(&file)?;
    let metadata = opened.metadata()?;
    let cache = ReadCache::new(opened);
    let Ok(elf) = Elf::parse(&cache) else { return Ok(None) };
    if elf.section_by_name(".go.buildinfo").is_none() {
        return Ok(None);
    }
    let moves = elf.elf_header().e_type(elf.endian()) == object::elf::ET_DYN;
    let bias = if moves {
        let mappings = maps::of(proc, pid)?;
        let path = std::fs::read_link(&file)?;
        let path = path.to_string_lossy();
        let path = path.trim_end_matches(" (deleted)");
        let image = mappings.iter().find(|mapping| mapping.path == path);
        image
            .and_then(|image| bias(&elf, &mappings, image))
            .ok_or(Unknown::Lacks("mapping of its own"))?
    } else {
        0
    };
    Ok(Some(Process { file, identity: (metadata.dev(), metadata.ino()), bias }))
}

/// What is to be known of a Go executable. Reads its text once: some milliseconds for each 10 MB.
///
/// # Errors
/// Its goroutines cannot be followed.
pub fn image(path: &Path) -> Result<Image, Unknown> {
    let file = File::open(path)?;
    let cache = ReadCache::new(file.try_clone()?);
    let elf = Elf::parse(&cache)?;
    let (version, module) = build(&elf)?;
    if elf.architecture() != Architecture::X86_64 || !cfg!(target_arch = "x86_64") {
        return Err(Unknown::Processor);
    }
    let known = build::minor(&version).and_then(|minor| TABLE.iter().find(|it| it.minor == minor));
    let Some(offsets) = known else { return Err(Unknown::Version("Go", version)) };
    let bytes = table(&elf, &file)?;
    let functions = Functions::parse(&bytes).ok_or(Unknown::Lacks("table of functions"))?;
    let text = text(&elf, &functions).ok_or(Unknown::Lacks("beginning of its text"))?;
    let mut code = Code::new(&elf, file, text)?;

    let names = Names::of(&functions);
    let mut points = Vec::new();
    let newproc1 = names.newproc1.ok_or(Unknown::Lacks("runtime.newproc1"))?;
    let returns = code.of(newproc1)?;
    let returns = code::returns(returns, text + u64::from(newproc1.start)).unwrap_or_default();
    if returns.is_empty() || returns.len() > MAX_RETURNS {
        return Err(Unknown::Lacks("return of runtime.newproc1"));
    }
    for at in returns {
        points.push(Point { offset: code.offset(at)?, what: What::Forks });
    }
    if let Some(drives) = names.round_trip {
        let offset = code.offset(text + u64::from(drives.start))?;
        points.push(Point { offset, what: What::Drives });
    }

    let targets: FxHashMap<u64, Target> =
        names.targets.iter().map(|(start, target)| (text + u64::from(*start), *target)).collect();
    let own = |name| is_own(name, module.as_deref());
    // A list of jobs is often behind a function: whoever calls one that locks, again and again, may be
    // given jobs by it.
    let mut lockers = FxHashSet::default();
    for function in functions.iter().filter(|function| own(function.name)) {
        let address = text + u64::from(function.start);
        let locks = |target| targets.get(&target) == Some(&Target::Lock);
        let calls = code::calls(code.of(function)?, address, locks);
        if !calls.ok_or(Unknown::Lacks("code"))?.is_empty() {
            lockers.insert(address);
        }
    }
    let (mut starts, mut waits) = (Vec::new(), 0usize);
    for function in functions.iter() {
        let start = match owner(function.name, module.as_deref()) {
            Owner::Program => None,
            Owner::Library => Some(start::NOBODYS),
            Owner::Driver => Some(start::NEVER),
            Owner::Starter => continue,
        };
        let address = text + u64::from(function.start);
        let asks_lockers = start.is_none() && own(function.name);
        let wanted = |target| match targets.get(&target) {
            Some(it) => (*it == Target::Start) == start.is_some(),
            None => asks_lockers && lockers.contains(&target),
        };
        let calls = code::calls(code.of(function)?, address, wanted);
        let calls = calls.ok_or(Unknown::Lacks("code"))?;
        if let Some(what) = start {
            starts.extend(calls.iter().map(|call| (call.next, what)));
            continue;
        }
        // Who waits for more in a loop may find it there before it has to wait.
        let again = |call: &code::Call| {
            call.in_loop && targets.get(&call.target).is_none_or(|it| *it != Target::Sleep)
        };
        // A lock that is taken once is no place to wait for jobs: most guard something else.
        let waits_at = |call: &&code::Call| {
            matches!(targets.get(&call.target), Some(Target::Wait | Target::Sleep))
        };
        let places = match calls.iter().any(again) {
            true => vec![address],
            false => calls.iter().filter(waits_at).map(|call| call.at).collect(),
        };
        waits += places.len();
        for place in places {
            points.push(Point { offset: code.offset(place)?, what: What::Waits });
        }
    }
    if waits > MAX_WAITS {
        return Err(Unknown::Crowded(MAX_WAITS));
    }
    let layout = Go {
        goid: offsets.goid,
        parent: offsets.parent,
        gopc: offsets.gopc,
        m: M,
        curg: offsets.curg,
        ..Go::default()
    };
    Ok(Image { version, layout, points, starts })
}

/// The version of an executable, and the path of its main module if that is told.
fn build(elf: &Elf<'_>) -> Result<(String, Option<String>), Unknown> {
    const LACKS: Unknown = Unknown::Lacks("build information");
    let section = elf.section_by_name(".go.buildinfo").ok_or(LACKS)?;
    let size = section.size().min(build::MAX_INFO);
    let bytes = section.data_range(section.address(), size)?.ok_or(LACKS)?;
    let version = version(bytes).ok_or(LACKS)?;
    Ok((version, build::module(bytes)))
}

/// The table of functions, to the end of the section that it is in.
fn table(elf: &Elf<'_>, file: &File) -> Result<Vec<u8>, Unknown> {
    const LACKS: Unknown = Unknown::Lacks("table of functions");
    // Position-independent ones: Go's own linker names the section otherwise, others put it there.
    const SECTIONS: [&str; 3] = [".gopclntab", ".data.rel.ro.gopclntab", ".data.rel.ro"];
    let section = SECTIONS.iter().find_map(|name| elf.section_by_name(name)).ok_or(LACKS)?;
    let (from, size) = section.file_range().ok_or(LACKS)?;
    if size > MAX_TABLE || from.checked_add(size).is_none_or(|end| end > length(file)) {
        return Err(LACKS);
    }
    let mut bytes = vec![0; size as usize];
    file.read_exact_at(&mut bytes, from)?;
    let at = functions::find(&bytes).ok_or(LACKS)?;
    bytes.drain(..at);
    Ok(bytes)
}

/// Bytes of a file: what it says of itself may be more.
fn length(file: &File) -> u64 {
    file.metadata().map_or(0, |metadata| metadata.len())
}

/// Address that functions are counted from: not that of the section `.text` where a C linker put
/// something before it. Since 1.26 the table does not say it, but `runtime.moduledata` does.
fn text(elf: &Elf<'_>, functions: &Functions<'_>) -> Option<u64> {
    if functions.text != 0 {
        return Some(functions.text);
    }
    // `text` comes twenty-third; before it, the address of the table comes first.
    const TEXT: u64 = 22;
    let section = elf.section_by_name(".go.module")?;
    let word = section.data_range(section.address().checked_add(8 * TEXT)?, 8).ok()??;
    let text = u64::from_le_bytes(word.try_into().ok()?);
    (text != 0).then_some(text)
}

/// The text of an executable, of which a part is in memory at a time.
struct Code {
    file: File,
    /// Address and place in the file that belong together.
    text: u64,
    from: u64,
    window: Vec<u8>,
    /// Where the window begins, from the beginning of the text.
    at: u64,
}

impl Code {
    /// Bytes that are read at once.
    const WINDOW: usize = 1 << 20;

    fn new(elf: &Elf<'_>, file: File, text: u64) -> Result<Self, Unknown> {
        let from = in_file(elf, text).ok_or(Unknown::Lacks("text"))?;
        Ok(Self { file, text, from, window: Vec::new(), at: 0 })
    }

    /// Where in the file an address of the text is.
    fn offset(&self, address: u64) -> Result<u64, Unknown> {
        let within = address.checked_sub(self.text);
        within.and_then(|within| self.from.checked_add(within)).ok_or(Unknown::Lacks("text"))
    }

    /// The code of a function.
    fn of(&mut self, function: Function<'_>) -> Result<&[u8], Unknown> {
        let (start, end) = (u64::from(function.start), u64::from(function.end));
        let length = (end - start) as usize;
        if length > MAX_FUNCTION {
            return Err(Unknown::Lacks("function of a plausible size"));
        }
        let inside = start >= self.at && end <= self.at + self.window.len() as u64;
        if !inside {
            let left = length_from(&self.file, self.from.saturating_add(start));
            let wanted = (length.max(Self::WINDOW) as u64).min(left);
            self.window.resize(wanted as usize, 0);
            self.file.read_exact_at(&mut self.window, self.from.saturating_add(start))?;
            self.at = start;
        }
        let from = (start - self.at) as usize;
        self.window.get(from..from + length).ok_or(Unknown::Lacks("text"))
    }
}

/// Bytes of a file from `offset` on.
fn length_from(file: &File, offset: u64) -> u64 {
    length(file).saturating_sub(offset)
}

#[cfg(test)]
mod tests;
