//! Places in executables that a kernel program watches (uprobes).
//!
//! The kernel lets go of each place only after all processors have passed by, which takes it some
//! 80 ms since 6.13, one place after the other: a stop would take minutes. One link for all places of
//! a file (`BPF_TRACE_UPROBE_MULTI`, since 6.6) costs that once. The loader's library does not know
//! such links; where there are none (6.1), letting go is quick, and it attaches each.

use std::collections::HashSet;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::thread;

use aya::Ebpf;
use aya::programs::uprobe::{UProbeAttachPoint, UProbeLink, UProbeScope};
use aya::programs::{ProgramError, UProbe};
use aya_obj::Object;

use super::sys::{LINK_CREATE, bpf, data};
use crate::runtime::go::Point;

/// The program that is told of each place by its cookie.
const PROGRAM: &str = "go_at";

/// What is watched in a file, for as long as this lives.
#[derive(Default)]
pub struct Watch(Vec<Link>);

/// Held for what happens when it is closed.
#[expect(dead_code, reason = "it only has to be dropped")]
enum Link {
    Many(OwnedFd),
    One(UProbeLink),
}

impl Watch {
    /// Has one more place watched, by a program of its own.
    ///
    /// # Errors
    /// The kernel does not take the program or the place.
    pub(super) fn add(
        &mut self,
        ebpf: &mut Ebpf,
        program: &str,
        file: &Path,
        point: UProbeAttachPoint<'_>,
    ) -> Result<(), ProgramError> {
        let program: &mut UProbe =
            ebpf.program_mut(program).ok_or(ProgramError::NotLoaded)?.try_into()?;
        if program.fd().is_err() {
            program.load()?;
        }
        let link = program.attach(point, file, UProbeScope::AllProcesses)?;
        self.0.push(Link::One(program.take_link(link)?));
        Ok(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let links = std::mem::take(&mut self.0);
        // The caller has other things to do than to wait for the kernel.
        thread::spawn(|| drop(links));
    }
}

/// The program in the form that links of many places take.
pub(super) struct Watcher {
    program: Option<OwnedFd>,
}

impl Watcher {
    /// Loads it with the maps of `ebpf`, which was made from the same `object`.
    pub(super) fn load(object: &[u8], ebpf: &Ebpf) -> Self {
        let program = load(object, ebpf)
            .inspect_err(|error| tracing::debug!("one link for many places: {error}"))
            .ok();
        Self { program }
    }

    /// Has `points` of a file watched, in every process that executes it.
    ///
    /// # Errors
    /// The kernel does not take the program or the places.
    pub(super) fn watch(
        &self,
        ebpf: &mut Ebpf,
        file: &Path,
        points: &[Point],
    ) -> Result<Watch, ProgramError> {
        if let Some(program) = &self.program {
            return match attach(program, file, points) {
                Ok(link) => Ok(Watch(vec![Link::Many(link)])),
                Err(error) => Err(ProgramError::IOError(error)),
            };
        }
        let mut watch = Watch::default();
        for point in points {
            let location = point.offset.into();
            let point = UProbeAttachPoint { location, cookie: Some(point.what as u64) };
            watch.add(ebpf, PROGRAM, file, point)?;
        }
        Ok(watch)
    }
}

// include/uapi/linux/bpf.h
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_TYPE_KPROBE: u32 = 2;
const BPF_TRACE_UPROBE_MULTI: u32 = 48;

/// `union bpf_attr`, for `BPF_PROG_LOAD`.
#[repr(C)]
struct ProgLoad {
    program_type: u32,
    instructions_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    expected_attach_type: u32,
}

/// `union bpf_attr`, `link_create` with `uprobe_multi`.
#[repr(C)]
struct LinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    path: u64,
    offsets: u64,
    reference_counters: u64,
    cookies: u64,
    count: u32,
    multi_flags: u32,
    pid: u32,
    reserved: u32,
}

fn load(object: &[u8], ebpf: &Ebpf) -> io::Result<OwnedFd> {
    let mut object = Object::parse(object).map_err(io::Error::other)?;
    let maps = std::mem::take(&mut object.maps);
    let descriptor = |name: &str| Some(data(ebpf.map(name)?)?.fd().as_fd().as_raw_fd());
    let known = maps.iter().filter_map(|(name, map)| Some((&**name, descriptor(name)?, map)));
    let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_maps(known, &text).map_err(io::Error::other)?;
    object.relocate_calls(&text).map_err(io::Error::other)?;
    let program = object.programs.get(PROGRAM).ok_or(io::ErrorKind::NotFound)?;
    let function = object.functions.get(&program.function_key()).ok_or(io::ErrorKind::NotFound)?;
    let mut name = [0; 16];
    name[..PROGRAM.len()].copy_from_slice(PROGRAM.as_bytes());
    bpf(
        BPF_PROG_LOAD,
        &ProgLoad {
            program_type: BPF_PROG_TYPE_KPROBE,
            instructions_count: function.instructions.len() as u32,
            instructions: function.instructions.as_ptr() as u64,
            license: program.license.as_ptr() as u64,
            log_level: 0,
            log_size: 0,
            log: 0,
            kernel_version: 0,
            flags: 0,
            name,
            interface: 0,
            expected_attach_type: BPF_TRACE_UPROBE_MULTI,
        },
    )
}

fn attach(program: &OwnedFd, file: &Path, points: &[Point]) -> io::Result<OwnedFd> {
    let path = CString::new(file.as_os_str().as_bytes())?;
    let offsets: Vec<u64> = points.iter().map(|point| point.offset).collect();
    let cookies: Vec<u64> = points.iter().map(|point| point.what as u64).collect();
    bpf(
        LINK_CREATE,
        &LinkCreate {
            program: program.as_raw_fd() as u32,
            target: 0,
            attach_type: BPF_TRACE_UPROBE_MULTI,
            flags: 0,
            path: path.as_ptr() as u64,
            offsets: offsets.as_ptr() as u64,
            reference_counters: 0,
            cookies: cookies.as_ptr() as u64,
            count: points.len() as u32,
            multi_flags: 0,
            pid: 0,
            reserved: 0,
        },
    )
}
