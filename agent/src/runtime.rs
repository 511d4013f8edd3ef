//! What executes a process, and where it keeps what says which unit of work runs.

pub mod aiohttp;
mod elf;
pub mod go;
pub mod library;
mod maps;
pub mod proxy;
pub mod python;
pub mod uvloop;

use std::io;

/// Why the units of work of a process cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum Unknown {
    /// The process is gone, or may not be looked at.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file is no ELF file that can be read.
    #[error("its executable cannot be read: {0}")]
    Elf(#[from] object::Error),
    /// The structures of a program are not known in this version.
    #[error("the structures of {0} {1} are not known")]
    Version(&'static str, String),
    /// It was built for another processor.
    #[error("goroutines are followed on x86-64 only")]
    Processor,
    /// It lacks something, or that is not what it should be.
    #[error("it has no {0} that can be used")]
    Lacks(&'static str),
    /// What should be there is not: another build, or one that was changed.
    #[error("its interpreter is not where that of CPython {0} is")]
    Elsewhere(String),
    /// There is more to watch than there is room for.
    #[error("it waits for work at more than {0} places")]
    Crowded(usize),
}
