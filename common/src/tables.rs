//! How many entries the tables of the kernel programs have where the agent may take 256 MiB; where it
//! may take less, they have fewer.

/// Connections that the kernel can be told something about at a time.
pub const CONTROLLED: u32 = 65_536;
/// Last records of connections that the ring had no room for and that wait to be read beside it.
pub const LAST: u32 = 16_384;
/// TCP sockets where they have no storage of their own (system calls).
pub const SOCKETS: u32 = 262_144;
/// UNIX sockets, the same.
pub const UNIX_SOCKETS: u32 = 16_384;
/// UNIX sockets that are older than the agent; fewer where there are fewer.
pub const OLDER: u32 = 32_768;
/// Processes that user space was told of.
pub const PROCESSES: u32 = 4096;
/// Processes whose runtime is followed.
pub const RUNTIMES: u32 = 4096;
/// Units of work that are about a request.
pub const CONTEXTS: u32 = 65_536;
/// Threads of which something is remembered.
pub const THREADS: u32 = 16_384;
/// Connections that a goroutine has taken and that others drive.
pub const TAKEN: u32 = 16_384;
/// Places where goroutines are started, some 100 for each executable.
pub const STARTS: u32 = 32_768;
