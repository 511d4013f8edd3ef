//! Compiled libraries of a runtime that tell by functions of their own what the runtime does not.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use object::{Object as _, ObjectSymbol as _, ReadCache};

use super::Unknown;
use super::elf::{Elf, in_file};
use super::maps::Mapping;

/// What is watched in a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// The file, as it can be opened from here.
    pub file: PathBuf,
    /// Which file that is, by device and inode: many processes share one.
    pub identity: (u64, u64),
    /// The kernel program that is told, and the offset of the function in the file, in the order in
    /// which they are to be watched.
    pub functions: Vec<(&'static str, u64)>,
}

/// Which file of a process's that is, as it can be opened from here.
pub(super) fn path(proc: &Path, pid: u32, mapping: &Mapping) -> PathBuf {
    proc.join(format!("{pid}/root{}", mapping.path))
}

/// `functions` of a library, each a kernel program and the symbol of which it is told. None if it lacks
/// one.
pub(super) fn find(
    proc: &Path,
    pid: u32,
    mapping: &Mapping,
    functions: &[(&'static str, &str)],
) -> Result<Option<Library>, Unknown> {
    let file = path(proc, pid, mapping);
    let opened = File::open(&file)?;
    let metadata = opened.metadata()?;
    let cache = ReadCache::new(opened);
    let elf = Elf::parse(&cache)?;
    let offset = |&(program, name): &(&'static str, &str)| {
        let symbol = elf.symbols().find(|symbol| symbol.name() == Ok(name))?;
        Some((program, in_file(&elf, symbol.address())?))
    };
    let functions: Option<Vec<_>> = functions.iter().map(offset).collect();
    let identity = (metadata.dev(), metadata.ino());
    Ok(functions.map(|functions| Library { file, identity, functions }))
}
