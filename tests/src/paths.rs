//! Where things are, and ports that are free.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

/// The `tests` directory of the repository.
pub fn tests() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The cargo target directory.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| tests().join("../target"), PathBuf::from)
}

/// A program or file that `tests/setup` made.
pub fn installed(name: &str) -> PathBuf {
    target().join("live").join(name)
}

/// A file under `tests/workloads`.
pub fn workload(name: &str) -> PathBuf {
    tests().join("workloads").join(name)
}

/// A port that nothing listens on, below the range that outgoing connections take theirs from:
/// no other program's connection can take it between this look and the server's start.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let seed = (std::process::id() % 200) as u16 * 50;
    for _ in 0..10_000 {
        let port = 20_000 + (seed + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        // Dual stack: fails if either family has a listener on that port.
        if TcpListener::bind(("::", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok()
        {
            return port;
        }
    }
    panic!("no free port between 20000 and 32000");
}
