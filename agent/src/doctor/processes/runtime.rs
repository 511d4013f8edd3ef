//! What executes a process: by the name of its executable, by what is mapped into it, or by what
//! its executable holds.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use object::read::elf::ElfFile64;
use object::{Endianness, Object as _, ObjectSection as _, ReadCache};
use serde::Serialize;

use crate::runtime::go;
use crate::workload::runtime_of;

/// The runtime of a process.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(in crate::doctor) struct Runtime {
    pub(in crate::doctor) name: &'static str,
    /// Where it shows.
    pub(in crate::doctor) version: Option<String>,
    /// Of programs compiled to machine code: true without a symbol table.
    pub(in crate::doctor) stripped: Option<bool>,
    /// A TLS library that it has loaded: what goes through it is not read.
    pub(in crate::doctor) tls: Option<&'static str>,
}

/// Most bytes of a process's mappings that are read; some have tens of thousands.
const MAX_MAPS: u64 = 4 << 20;

/// Programs that are their own runtime and pass calls on.
const PROXIES: [&str; 5] = ["nginx", "haproxy", "envoy", "traefik", "caddy"];

/// Files that a process has mapped if a runtime is embedded in it, by the start of their names.
const EMBEDDED: [(&str, &str); 5] = [
    ("libjvm.so", "java"),
    ("libpython", "cpython"),
    ("libnode.so", "nodejs"),
    ("libruby", "ruby"),
    ("libcoreclr.so", "dotnet"),
];

const TLS: [(&str, &str); 4] = [
    ("libssl.so", "OpenSSL"),
    ("libgnutls.so", "GnuTLS"),
    ("libnss3.so", "NSS"),
    ("libmbedtls.so", "Mbed TLS"),
];

/// The runtime of the process `pid`; `unknown` where it may not be looked at.
pub(super) fn of(proc: &Path, pid: u32) -> Runtime {
    let place = proc.join(pid.to_string());
    let executable = std::fs::read_link(place.join("exe")).unwrap_or_default();
    let executable = executable.to_string_lossy();
    let program = executable.trim_end_matches(" (deleted)");
    let program = program.rsplit('/').next().unwrap_or_default();
    let mut maps = String::new();
    if let Ok(file) = File::open(place.join("maps")) {
        // What is not text is not a library that is known.
        _ = file.take(MAX_MAPS).read_to_string(&mut maps);
    }
    let tls = mapped(&maps, &TLS);
    let plain = |name| Runtime { name, version: None, stripped: None, tls };
    if program.is_empty() {
        return plain("unknown");
    }
    if let Some(name) = named(program).or_else(|| mapped(&maps, &EMBEDDED)) {
        return Runtime { version: version_in(program), ..plain(name) };
    }
    match compiled(&place.join("exe")) {
        Ok(Compiled { go, stripped }) => Runtime {
            name: if go.is_some() { "go" } else { "native" },
            version: go.filter(|version| !version.is_empty()),
            stripped: Some(stripped),
            tls,
        },
        Err(error) => {
            tracing::debug!("executable of process {pid}: {error}");
            plain("native")
        }
    }
}

fn named(program: &str) -> Option<&'static str> {
    if program == "java" {
        return Some("java");
    }
    let proxy = PROXIES.iter().find(|proxy| **proxy == program);
    // Two of them are written in Go: their names say more.
    proxy.copied().or_else(|| runtime_of(program))
}

/// `3.11` of `python3.11`.
fn version_in(program: &str) -> Option<String> {
    let version = program.trim_start_matches(|c: char| !c.is_ascii_digit());
    let plausible =
        version.contains('.') && version.bytes().all(|c| c.is_ascii_digit() || c == b'.');
    plausible.then(|| version.to_owned())
}

/// What the first of `files` that is mapped stands for.
fn mapped(maps: &str, files: &[(&str, &'static str)]) -> Option<&'static str> {
    let names: Vec<&str> =
        maps.lines().filter_map(|line| line.split_once('/')?.1.rsplit('/').next()).collect();
    let is = |start: &str| names.iter().any(|name| name.starts_with(start));
    files.iter().find(|(start, _)| is(start)).map(|(_, meaning)| *meaning)
}

struct Compiled {
    /// The version if it is written in Go; empty if it does not say.
    go: Option<String>,
    stripped: bool,
}

/// Reads headers and a few sections, whatever the size of the file.
fn compiled(path: &Path) -> io::Result<Compiled> {
    let invalid = |error: object::Error| io::Error::new(io::ErrorKind::InvalidData, error);
    let cache = ReadCache::new(File::open(path)?);
    let file = ElfFile64::<Endianness, _>::parse(&cache).map_err(invalid)?;
    let go = file.section_by_name(".go.buildinfo").map(|section| {
        let size = section.size().min(go::MAX_BUILD_INFO);
        let head = section.data_range(section.address(), size).ok().flatten();
        head.and_then(go::version).unwrap_or_default()
    });
    let go = go.or_else(|| file.section_by_name(".gopclntab").map(|_| String::new()));
    let stripped = file.section_by_name(".symtab").is_none();
    Ok(Compiled { go, stripped })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (program, name, version) in [
            ("python3.11", Some("cpython"), Some("3.11")),
            ("python3", Some("cpython"), None),
            ("node", Some("nodejs"), None),
            ("java", Some("java"), None),
            ("nginx", Some("nginx"), None),
            ("shop", None, None),
        ] {
            assert_eq!((named(program), version_in(program).as_deref()), (name, version));
        }
    }

    #[test]
    fn libraries() {
        let maps = "7f1-7f2 r-xp 0 00:1 5 /usr/lib/x86_64-linux-gnu/libssl.so.3\n\
                    7f2-7f3 rw-p 0 00:0 0 \n\
                    7f3-7f4 r-xp 0 00:1 6 /opt/jdk/lib/server/libjvm.so (deleted)\n";
        assert_eq!(mapped(maps, &TLS), Some("OpenSSL"));
        assert_eq!(mapped(maps, &EMBEDDED), Some("java"));
        assert_eq!(mapped("", &TLS), None);
    }

    #[test]
    fn this_process_is_compiled() {
        let runtime = of(Path::new("/proc"), std::process::id());
        assert_eq!((runtime.name, runtime.stripped), ("native", Some(false)));
        assert_eq!(of(Path::new("/proc"), u32::MAX).name, "unknown");
    }

    #[test]
    fn damaged_executables_are_harmless() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("program");
        let own = std::fs::read("/proc/self/exe").expect("this test");
        for length in [0, 3, 20, 64, 70, 1000, own.len() / 2] {
            std::fs::write(&path, &own[..length]).expect("written");
            let _ = compiled(&path);
        }
        let mut wild = own[..4096].to_vec();
        for byte in wild.iter_mut().skip(16) {
            *byte = byte.wrapping_mul(31).wrapping_add(7);
        }
        std::fs::write(&path, &wild).expect("written");
        let _ = compiled(&path);
    }
}
