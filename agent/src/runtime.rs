//! What executes a process, and where it keeps what says which unit of work runs.

pub mod aiohttp;
mod elf;
pub mod go;
pub mod library;
mod maps;
pub mod proxy;
pub mod python;
pub mod uvloop;
