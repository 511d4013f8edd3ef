//! Loading and attaching the kernel programs. All of the agent's `unsafe` and privilege is here.

use std::os::fd::{AsFd as _, OwnedFd};

use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::{Map, MapError, RingBuf},
    programs::{BtfTracePoint, ProgramError},
};
use aya_log::{EbpfLogger, Level};
use tracebee_common::{RING_RESERVE, RING_WAKE};

use super::gauges::Gauges;
use super::kernel::Kernel;
use super::layout::{self, Backend, LayoutError, VMLINUX};
use super::remaining::Remaining;
use super::unix;
use super::watch::Watcher;
use crate::cli::Capture;
use crate::limit::budget::KernelMemory;
use crate::privilege::Privileges;

/// The kernel programs, compiled from `ebpf/` by `cargo xtask ebpf` and committed.
pub(crate) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/ebpf/tracebee.bpf.o"));

/// The programs of a backend and the tracepoint of each. Tracing makes no sense without any of
/// them.
fn programs(backend: Backend) -> &'static [(&'static str, &'static str)] {
    match backend {
        Backend::Socket => &[
            ("inet_sock_set_state", "inet_sock_set_state"),
            ("sock_send_length", "sock_send_length"),
            ("sock_recv_length", "sock_recv_length"),
            ("tcp_sendmsg_locked", "tcp_sendmsg_locked"),
        ],
        Backend::Lengths => &[
            ("inet_sock_set_state", "inet_sock_set_state"),
            ("sock_send_length", "sock_send_length"),
            ("sock_recv_length", "sock_recv_length"),
        ],
        // The life of sockets before their use: what is made in between is known.
        Backend::Syscall => &[
            ("tcp_destroy_sock", "tcp_destroy_sock"),
            ("table_sock_set_state", "inet_sock_set_state"),
            ("sys_exit", "sys_exit"),
            ("sys_enter", "sys_enter"),
        ],
    }
}

/// Why tracing could not start.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Not enough privilege.
    #[error(
        "loading eBPF programs: permission denied; run as root, or with CAP_BPF, CAP_PERFMON and \
         CAP_SYS_PTRACE"
    )]
    Privilege,
    /// No usable type information.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The kernel's type information does not suit the loader.
    #[error("reading the kernel's type information {VMLINUX}: {0}")]
    Btf(#[from] aya::BtfError),
    /// The object was refused.
    #[error("loading the eBPF object: {0}")]
    Object(#[from] aya::EbpfError),
    /// The log of the programs is not there.
    #[error("opening the log of the eBPF programs: {0}")]
    Log(#[from] aya_log::Error),
    /// One program was refused or could not be attached.
    #[error("attaching {0}: {why}; this kernel lacks what --capture {2} needs", why = reason(.1))]
    Program(&'static str, #[source] ProgramError, &'static str),
    /// What the kernel counts cannot be read.
    #[error("opening the counters of the eBPF programs: {0}")]
    Gauges(#[source] std::io::Error),
    /// A map is not as expected.
    #[error("opening map {0}: {1}")]
    Map(&'static str, #[source] MapError),
}

/// Loads and attaches what was asked for, or the best that this kernel takes.
///
/// # Errors
/// Privileges, type information or a program that tracing needs are missing.
pub fn load(capture: Capture, memory: KernelMemory) -> Result<Kernel, LoadError> {
    if !Privileges::of_this_process().may_trace() {
        return Err(LoadError::Privilege);
    }
    load_best(capture, memory, |backend, error| {
        tracing::info!("capture={}: {error}; trying another", backend.name());
    })
}

/// The same whether or not the privileges look sufficient; `passed` hears of each backend that was
/// passed over, and why.
///
/// # Errors
/// As [`load`].
pub fn load_best(
    capture: Capture,
    memory: KernelMemory,
    mut passed: impl FnMut(Backend, &LoadError),
) -> Result<Kernel, LoadError> {
    let (mut backend, others) = Backend::of(capture);
    let mut loaded = load_backend(backend, memory);
    for &other in others {
        match &loaded {
            Err(error) if error.is_of_the_backend() => passed(backend, error),
            _ => break,
        }
        backend = other;
        loaded = load_backend(backend, memory);
    }
    loaded
}

fn load_backend(backend: Backend, memory: KernelMemory) -> Result<Kernel, LoadError> {
    let values = layout::read(backend)?;
    let btf = Btf::from_sys_fs()?;
    let own = std::process::id();
    let cpus = aya::util::nr_cpus().unwrap_or(1) as u32;
    let log_level = if tracing::enabled!(tracing::Level::DEBUG) { Level::Debug as u8 } else { 0 };
    let mut loader = EbpfLoader::new();
    loader.btf(Some(&btf));
    // Constant to the verifier: what is not logged is not even loaded.
    loader.override_global(aya_log::LEVEL, &log_level, true);
    loader.override_global("OWN_PID", &own, true);
    let ring_bytes = memory.ring.get();
    let room = ring_bytes - ring_bytes / RING_RESERVE;
    let wake = RING_WAKE.min(ring_bytes / 8);
    loader.override_global("RING_ROOM", &room, true);
    loader.override_global("RING_WAKE", &wake, true);
    for (name, value) in &values {
        loader.override_global(name, value, true);
    }
    for (name, entries) in memory.tables.entries() {
        loader.map_max_entries(name, entries);
    }
    let (older, sockets) = memory.tables.older(unix::all().len());
    loader
        .map_max_entries(older, sockets)
        .map_max_entries("RING", ring_bytes)
        .map_max_entries("SEND_AREA", cpus)
        .map_max_entries("RECEIVE_AREA", cpus)
        .map_max_entries("PROCESS_AREA", cpus)
        .map_max_entries("UNIX_AREA", cpus);
    let lengths = u32::from(backend == Backend::Lengths);
    loader.override_global("LENGTHS", &lengths, true);
    if backend != Backend::Syscall {
        // Not used.
        loader.map_max_entries("TABLE", cpus).map_max_entries("UNIX_TABLE", cpus);
    }
    let mut ebpf = loader.load(OBJECT)?;
    let log = EbpfLogger::init(&mut ebpf)?;
    let programs = programs(backend);
    let refused = |name| move |error| LoadError::Program(name, error, backend.name());
    for &(name, tracepoint) in programs {
        program(&mut ebpf, name)
            .and_then(|program| program.load(tracepoint, &btf))
            .map_err(refused(name))?;
    }
    // Not before all are loaded, which takes the verifier a while: what half of them see would be
    // requests without answers.
    for &(name, _) in programs {
        program(&mut ebpf, name)
            .and_then(|program| program.attach().map(drop))
            .map_err(refused(name))?;
    }
    let remaining = Remaining::load(&mut ebpf, backend, &btf)
        .inspect_err(|error| {
            let reason = reason(error);
            tracing::warn!("calls that are lost just before the end will not be counted: {reason}");
        })
        .ok();
    let descriptors = descriptors(&ebpf, programs).map_err(LoadError::Gauges)?;
    let watcher = Watcher::load(OBJECT, &ebpf);
    let ring: RingBuf<_> = take(&mut ebpf, "RING")?;
    let gauges = Gauges::new(ring.as_fd(), ring_bytes, descriptors).map_err(LoadError::Gauges)?;
    Ok(Kernel {
        control: take(&mut ebpf, "CONTROL")?,
        generation: take(&mut ebpf, "GENERATION")?,
        load: take(&mut ebpf, "LOAD")?,
        counters: take(&mut ebpf, "COUNTERS")?,
        runtimes: take(&mut ebpf, "RUNTIMES")?,
        starts: take(&mut ebpf, "STARTS")?,
        older: take(&mut ebpf, "OLDER")?,
        last: take(&mut ebpf, "LAST")?,
        last_conns: take(&mut ebpf, "LAST_CONNS")?,
        attached: programs.len(),
        backend,
        current_generation: 0,
        log,
        ring,
        gauges,
        remaining,
        watcher,
        ebpf: Some(ebpf),
    })
}

impl LoadError {
    /// True if another backend may work where this one did not.
    fn is_of_the_backend(&self) -> bool {
        matches!(self, Self::Program(..) | Self::Layout(LayoutError::Missing(..)))
    }
}

/// Why a program was refused, in one line: the verifier's last word is behind pages of its log.
fn reason(error: &ProgramError) -> String {
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            match verdict(&log) {
                Some(line) => format!("{io_error}; the verifier says: {line}"),
                None => io_error.to_string(),
            }
        }
        ProgramError::Btf(aya::BtfError::UnknownBtfTypeName { type_name }) => {
            let tracepoint = type_name.strip_prefix("btf_trace_").unwrap_or(type_name);
            format!("there is no {tracepoint}")
        }
        other => other.to_string(),
    }
}

/// The line of a verifier's log that says why: the last one before its statistics.
fn verdict(log: &str) -> Option<&str> {
    const STATISTICS: [&str; 4] = ["processed ", "verification time", "stack depth", "max_states"];
    log.lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty() && !STATISTICS.iter().any(|start| line.starts_with(start)))
}

impl Backend {
    /// The best that was asked for, and what is tried where the kernel does not take it.
    fn of(capture: Capture) -> (Self, &'static [Self]) {
        match capture {
            Capture::Auto => (Self::Socket, &[Self::Lengths, Self::Syscall]),
            Capture::Socket => (Self::Socket, &[]),
            Capture::Lengths => (Self::Lengths, &[]),
            Capture::Syscall => (Self::Syscall, &[]),
        }
    }

    /// As the command line calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Lengths => "lengths",
            Self::Syscall => "syscall",
        }
    }
}

/// The programs with descriptors of their own.
fn descriptors(
    ebpf: &Ebpf,
    programs: &[(&'static str, &'static str)],
) -> std::io::Result<Vec<(&'static str, OwnedFd)>> {
    let mut descriptors = Vec::new();
    for &(name, _) in programs {
        if let Some(fd) = ebpf.program(name).and_then(|program| program.fd().ok()) {
            descriptors.push((name, fd.as_fd().try_clone_to_owned()?));
        }
    }
    Ok(descriptors)
}

/// A map of the object, as what it is.
fn take<T: TryFrom<Map, Error = MapError>>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<T, LoadError> {
    let missing = || MapError::InvalidName { name: name.to_owned() };
    ebpf.take_map(name)
        .ok_or_else(missing)
        .and_then(T::try_from)
        .map_err(|error| LoadError::Map(name, error))
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut BtfTracePoint, ProgramError> {
    ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tracepoint_is_called_by_its_name() {
        let type_name = "btf_trace_sock_send_length".to_owned();
        let error = ProgramError::Btf(aya::BtfError::UnknownBtfTypeName { type_name });
        assert_eq!(
            LoadError::Program("sock_send_length", error, "socket").to_string(),
            "attaching sock_send_length: there is no sock_send_length; this kernel lacks what \
             --capture socket needs"
        );
    }

    #[test]
    fn the_verifiers_last_word() {
        let log = "0: R1=ctx() R10=fp0\n; code\n7: (85) call bpf_loop#181\nR1 min value is negative\n\
                   processed 123 insns (limit 1000000) max_states_per_insn 4\n\n";
        assert_eq!(verdict(log), Some("R1 min value is negative"));
        assert_eq!(verdict("processed 1 insns\n"), None);
    }
}
