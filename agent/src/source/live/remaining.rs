//! Connections that are there when the agent stops: the kernel is asked once how far each has come.
//!
//! A record that is lost shows with the next one of its connection. What was lost after the last one
//! shows here; so does what was left out since.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use aya::programs::{Iter, ProgramError};
use aya::{Btf, Ebpf};
use tracebee_common::record;
use zerocopy::FromBytes as _;

use super::layout::Backend;
use super::sys::{LINK_CREATE, bpf, data};

/// How long that may take, of the two seconds that a stop may take: some 500,000 sockets.
const LIMIT: Duration = Duration::from_millis(300);

/// The program that goes through a map, the kind of iterator that it is written for, and the map.
type Pass = (&'static str, &'static str, &'static str);

fn passes(backend: Backend) -> &'static [Pass] {
    match backend {
        Backend::Socket | Backend::Lengths => &[
            ("remaining_sockets", "bpf_sk_storage_map", "SOCKETS"),
            ("remaining_unix_sockets", "bpf_sk_storage_map", "UNIX_SOCKETS"),
        ],
        Backend::Syscall => &[
            ("remaining_entries", "bpf_map_elem", "TABLE"),
            ("remaining_unix_entries", "bpf_map_elem", "UNIX_TABLE"),
        ],
    }
}

/// The programs, and the maps that they go through. They outlive those that fill the maps.
pub(super) struct Remaining(Vec<(OwnedFd, OwnedFd)>);

impl Remaining {
    /// Loads the programs, so that a stop does not have to wait for the verifier.
    ///
    /// # Errors
    /// The kernel does not take them.
    pub(super) fn load(ebpf: &mut Ebpf, backend: Backend, btf: &Btf) -> Result<Self, ProgramError> {
        let own = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map_err(ProgramError::IOError);
        let mut loaded = Vec::new();
        for &(name, kind, map) in passes(backend) {
            let program: &mut Iter =
                ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)?.try_into()?;
            program.load(kind, btf)?;
            let program = own(program.fd()?.as_fd())?;
            let map = ebpf.map(map).and_then(data).ok_or(ProgramError::NotLoaded)?;
            loaded.push((program, own(map.fd().as_fd())?));
        }
        Ok(Self(loaded))
    }

    /// Hands over a record for each connection, after one that announces it where it may not have
    /// been.
    ///
    /// # Errors
    /// The programs cannot be run, or take too long.
    pub(super) fn read(&self, mut on: impl FnMut(&[u8])) -> io::Result<()> {
        let until = Instant::now() + LIMIT;
        // A page at least: no record is longer.
        let mut buffer = vec![0; 64 * 1024];
        for (program, map) in &self.0 {
            let mut file = open(program.as_fd(), map.as_fd())?;
            loop {
                let length = file.read(&mut buffer)?;
                if length == 0 {
                    break;
                }
                if Instant::now() > until {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                let mut rest = &buffer[..length];
                while let Some((record, others)) = split(rest) {
                    on(record);
                    rest = others;
                }
            }
        }
        Ok(())
    }
}

/// The first of some records.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, _) = record::Header::ref_from_prefix(bytes).ok()?;
    let length = match header.kind {
        record::CONN => size_of::<record::Conn>(),
        record::STATE => size_of::<record::State>(),
        _ => return None,
    };
    bytes.split_at_checked(length)
}

/// The output of a program that goes through a map. The loader's library knows only iterators
/// without one.
fn open(program: BorrowedFd<'_>, map: BorrowedFd<'_>) -> io::Result<File> {
    let info = LinkInfo { map: map.as_raw_fd() as u32, reserved: 0 };
    let link = bpf(
        LINK_CREATE,
        &LinkCreate {
            program: program.as_raw_fd() as u32,
            target: 0,
            attach_type: BPF_TRACE_ITER,
            flags: 0,
            info: &raw const info as u64,
            info_length: size_of::<LinkInfo>() as u32,
            reserved: 0,
        },
    )?;
    bpf(BPF_ITER_CREATE, &IterCreate { link: link.as_raw_fd() as u32, flags: 0 }).map(File::from)
}

// include/uapi/linux/bpf.h
const BPF_ITER_CREATE: libc::c_long = 33;
const BPF_TRACE_ITER: u32 = 28;

/// `union bpf_attr`, `link_create`.
#[repr(C)]
struct LinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    info: u64,
    info_length: u32,
    reserved: u32,
}

/// `union bpf_iter_link_info`, `map`; the kernel reads as much as there is.
#[repr(C)]
struct LinkInfo {
    map: u32,
    reserved: u32,
}

/// `union bpf_attr`, `iter_create`.
#[repr(C)]
struct IterCreate {
    link: u32,
    flags: u32,
}
