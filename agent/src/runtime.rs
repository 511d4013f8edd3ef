//! What executes a process, and where it keeps what says which unit of work runs.

mod elf;
pub mod go;
mod maps;
pub mod proxy;
pub mod python;
pub mod uvloop;
