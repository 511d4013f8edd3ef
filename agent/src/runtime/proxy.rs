//! Reverse proxies that keep, for each connection to a server, whose request it carries: nginx and
//! HAProxy. A name says where to look; what is there the kernel programs believe only where it proves
//! to be what it should, for each call.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use object::{Object as _, ObjectSection as _, ReadCache};
use tracebee_common::runtime::Proxy;

use super::elf::{Elf, bias, exported};
use super::{Unknown, maps};

/// A proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// `nginx`, or HAProxy and its version.
    pub name: String,
    /// What the kernel programs need.
    pub layout: Proxy,
}

/// Names of nginx and of what is made of it: all have its connections and requests.
const NGINX: [&str; 4] = ["nginx", "openresty", "angie", "tengine"];

/// What differs between versions of HAProxy, compiled against the headers of each: `h1c.h1s`,
/// `stconn.sedesc`, `stconn.app` and `stream.sess`.
static TABLE: [(&str, [u32; 4]); 2] = [("2.6", [136, 32, 40, 24]), ("3.0", [8, 40, 48, 32])];

/// Longest version that is read.
const MAX_VERSION: u64 = 40;

/// The proxy in the process `pid`; none if it runs something else. `proc` is `/proc` but in tests.
///
/// # Errors
/// It is one whose requests cannot be followed.
pub fn find(proc: &Path, pid: u32) -> Result<Option<Found>, Unknown> {
    let place = proc.join(pid.to_string());
    let executable = fs::read_link(place.join("exe"))?;
    let executable = executable.to_string_lossy();
    let path = executable.trim_end_matches(" (deleted)");
    let name = path.rsplit('/').next().unwrap_or_default();
    if NGINX.contains(&name) {
        let known = cfg!(target_pointer_width = "64");
        return Ok(known.then(|| Found { name: name.to_owned(), layout: Proxy::default() }));
    }
    if name == "haproxy" {
        haproxy(proc, pid, &place.join("exe"), path).map(Some)
    } else {
        Ok(None)
    }
}

fn haproxy(proc: &Path, pid: u32, file: &PathBuf, path: &str) -> Result<Found, Unknown> {
    let cache = ReadCache::new(File::open(file)?);
    let elf = Elf::parse(&cache)?;
    let address = exported(&elf, "haproxy_version").ok_or(Unknown::Lacks("haproxy_version"))?;
    let version = text(&elf, address)?.ok_or(Unknown::Lacks("version"))?;
    let known = TABLE.iter().find(|(known, _)| {
        version
            .strip_prefix(known)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
    });
    let Some((_, [stream, endpoint, app, session])) =
        known.filter(|_| cfg!(target_arch = "x86_64"))
    else {
        return Err(Unknown::Version("HAProxy", version));
    };
    let table = exported(&elf, "fdtab").ok_or(Unknown::Lacks("fdtab"))?;
    let mappings = maps::of(proc, pid)?;
    let image = mappings.iter().find(|mapping| mapping.path == path);
    let bias = image.and_then(|image| bias(&elf, &mappings, image));
    let bias = bias.ok_or(Unknown::Lacks("mapping of its own file"))?;
    let layout = Proxy {
        fdtab: bias.wrapping_add(table),
        stream: *stream,
        endpoint: *endpoint,
        app: *app,
        session: *session,
    };
    Ok(Found { name: format!("HAProxy {version}"), layout })
}

/// The text that ends with a zero at an address of the file.
fn text(elf: &Elf<'_>, address: u64) -> Result<Option<String>, Unknown> {
    let within = |section: &object::read::elf::ElfSection64<'_, '_, _, _>| {
        address.checked_sub(section.address()).is_some_and(|at| at < section.size())
    };
    let Some(section) = elf.sections().find(within) else { return Ok(None) };
    let length = MAX_VERSION.min(section.address() + section.size() - address);
    let Some(bytes) = section.data_range(address, length)? else { return Ok(None) };
    let mut version = String::new();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes[..end].take(MAX_VERSION).read_to_string(&mut version)?;
    Ok(Some(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `/proc` with one process, which runs `file`.
    fn process(file: &str) -> tempfile::TempDir {
        let proc = tempfile::tempdir().expect("a directory");
        let place = proc.path().join("7");
        fs::create_dir(&place).expect("a directory");
        std::os::unix::fs::symlink(file, place.join("exe")).expect("a link");
        proc
    }

    #[test]
    fn a_name_says_where_to_look() {
        let found = |file| find(process(file).path(), 7).expect("a process").map(|it| it.name);
        assert_eq!(found("/usr/sbin/nginx"), Some("nginx".to_owned()));
        assert_eq!(found("/opt/nginx (deleted)"), Some("nginx".to_owned()));
        assert_eq!(found("/usr/bin/nginx-debug"), None);
        assert_eq!(found("/usr/bin/cat"), None);
    }

    #[test]
    fn a_program_that_only_bears_the_name_has_no_version() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("haproxy");
        fs::copy("/proc/self/exe", &file).expect("a copy");
        let proc = process(file.to_str().expect("a path"));
        assert!(matches!(find(proc.path(), 7), Err(Unknown::Lacks("haproxy_version"))));
    }

    #[test]
    fn a_process_that_is_gone() {
        assert!(matches!(find(Path::new("/proc"), u32::MAX), Err(Unknown::Io(_))));
    }
}
