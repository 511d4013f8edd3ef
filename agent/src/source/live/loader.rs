//! Loading and attaching the kernel programs. All of the agent's `unsafe` and privilege is here.

use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::{Array, HashMap, MapData, MapError, PerCpuArray, RingBuf},
    programs::{BtfTracePoint, ProgramError},
};
use aya_log::{EbpfLogger, Level};
use tracebee_common::{
    Control, Load, OLDER_COMPLETE, RING_RESERVE, RING_WAKE, counter,
    record::{Conn, State},
    runtime::{Go, Proxy, Python, Start},
};

use super::gauges::Gauges;
use super::layout::{self, Backend, LayoutError, VMLINUX};
use super::remaining::Remaining;
pub use super::watch::Watch;
use super::watch::Watcher;
use crate::cli::Capture;
use crate::privilege::Privileges;
use crate::runtime::go::Point;

/// The kernel programs, compiled from `ebpf/` by `cargo xtask ebpf` and committed.
static OBJECT: &[u8] =
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

/// What runs in the kernel, with the handles to talk to it. Dropping it detaches everything.
pub struct Kernel {
    /// The records.
    pub ring: RingBuf<MapData>,
    /// Programs attached.
    pub attached: usize,
    /// How they see.
    pub backend: Backend,
    control: HashMap<MapData, u64, ControlValue>,
    generation: Array<MapData, u32>,
    load: Array<MapData, LoadValue>,
    counters: PerCpuArray<MapData, u64>,
    older: HashMap<MapData, u32, u8>,
    last: HashMap<MapData, u64, StateValue>,
    last_conns: HashMap<MapData, u64, ConnValue>,
    python: HashMap<MapData, u32, PythonValue>,
    proxies: HashMap<MapData, u32, ProxyValue>,
    go: HashMap<MapData, u32, GoValue>,
    starts: HashMap<MapData, StartKey, u32>,
    current_generation: u32,
    log: EbpfLogger<&'static dyn log::Log>,
    /// What can be read at any time.
    pub gauges: Gauges,
    remaining: Option<Remaining>,
    watcher: Watcher,
    /// None once everything is detached.
    ebpf: Option<Ebpf>,
}

#[derive(Clone, Copy)]
#[repr(transparent)]
struct ControlValue(Control);

// SAFETY: `Control` is `repr(C)`, made of integers, without implicit padding.
unsafe impl aya::Pod for ControlValue {}

#[derive(Clone, Copy)]
#[repr(transparent)]
struct LoadValue(Load);

// SAFETY: as `Control`.
unsafe impl aya::Pod for LoadValue {}

#[derive(Clone, Copy)]
#[repr(transparent)]
struct StateValue(State);

// SAFETY: as `Control`.
unsafe impl aya::Pod for StateValue {}

#[derive(Clone, Copy)]
#[repr(transparent)]
struct ConnValue(Conn);

// SAFETY: as `Control`.
unsafe impl aya::Pod for ConnValue {}

#[derive(Clone, Copy)]
#[repr(transparent)]
struct PythonValue(Python);

// SAFETY: as `Control`.
unsafe impl aya::Pod for PythonValue {}

#[derive(Clone, Copy)]
#[repr(transparent)]
struct ProxyValue(Proxy);

// SAFETY: as `Control`.
unsafe impl aya::Pod for ProxyValue {}

#[derive(Clone, Copy)]
#[repr(transparent)]
struct GoValue(Go);

// SAFETY: as `Control`.
unsafe impl aya::Pod for GoValue {}

#[derive(Clone, Copy)]
#[repr(transparent)]
struct StartKey(Start);

// SAFETY: as `Control`.
unsafe impl aya::Pod for StartKey {}

/// Loads and attaches what was asked for, or the best that this kernel takes.
///
/// # Errors
/// Privileges, type information or a program that tracing needs are missing.
pub fn load(capture: Capture, ring_bytes: NonZeroU32) -> Result<Kernel, LoadError> {
    if !Privileges::of_this_process().may_trace() {
        return Err(LoadError::Privilege);
    }
    load_best(capture, ring_bytes, |backend, error| {
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
    ring_bytes: NonZeroU32,
    mut passed: impl FnMut(Backend, &LoadError),
) -> Result<Kernel, LoadError> {
    let (mut backend, others) = Backend::of(capture);
    let mut loaded = load_backend(backend, ring_bytes);
    for &other in others {
        match &loaded {
            Err(error) if error.is_of_the_backend() => passed(backend, error),
            _ => break,
        }
        backend = other;
        loaded = load_backend(backend, ring_bytes);
    }
    loaded
}

fn load_backend(backend: Backend, ring_bytes: NonZeroU32) -> Result<Kernel, LoadError> {
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
    let room = ring_bytes.get() - ring_bytes.get() / RING_RESERVE;
    let wake = RING_WAKE.min(ring_bytes.get() / 8);
    loader.override_global("RING_ROOM", &room, true);
    loader.override_global("RING_WAKE", &wake, true);
    for (name, value) in &values {
        loader.override_global(name, value, true);
    }
    loader
        .map_max_entries("RING", ring_bytes.get())
        .map_max_entries("SEND_AREA", cpus)
        .map_max_entries("RECEIVE_AREA", cpus)
        .map_max_entries("PROCESS_AREA", cpus)
        .map_max_entries("UNIX_AREA", cpus);
    let lengths = u32::from(backend == Backend::Lengths);
    loader.override_global("LENGTHS", &lengths, true);
    if backend != Backend::Syscall {
        // Not used.
        loader.map_max_entries("UNIX_TABLE", cpus);
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
    let mut take = |name: &'static str| {
        ebpf.take_map(name)
            .ok_or(LoadError::Map(name, MapError::InvalidName { name: name.to_owned() }))
    };
    let ring = RingBuf::try_from(take("RING")?).map_err(|e| LoadError::Map("RING", e))?;
    let gauges =
        Gauges::new(ring.as_fd(), ring_bytes.get(), descriptors).map_err(LoadError::Gauges)?;
    Ok(Kernel {
        control: HashMap::try_from(take("CONTROL")?).map_err(|e| LoadError::Map("CONTROL", e))?,
        generation: Array::try_from(take("GENERATION")?)
            .map_err(|e| LoadError::Map("GENERATION", e))?,
        load: Array::try_from(take("LOAD")?).map_err(|e| LoadError::Map("LOAD", e))?,
        counters: PerCpuArray::try_from(take("COUNTERS")?)
            .map_err(|e| LoadError::Map("COUNTERS", e))?,
        python: HashMap::try_from(take("PYTHON")?).map_err(|e| LoadError::Map("PYTHON", e))?,
        proxies: HashMap::try_from(take("PROXIES")?).map_err(|e| LoadError::Map("PROXIES", e))?,
        go: HashMap::try_from(take("GO")?).map_err(|e| LoadError::Map("GO", e))?,
        starts: HashMap::try_from(take("STARTS")?).map_err(|e| LoadError::Map("STARTS", e))?,
        older: HashMap::try_from(take("OLDER")?).map_err(|e| LoadError::Map("OLDER", e))?,
        last: HashMap::try_from(take("LAST")?).map_err(|e| LoadError::Map("LAST", e))?,
        last_conns: HashMap::try_from(take("LAST_CONNS")?)
            .map_err(|e| LoadError::Map("LAST_CONNS", e))?,
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

impl Kernel {
    /// Tells the kernel what to capture of a connection. An error means that the table is full:
    /// the kernel then captures as before.
    pub fn control(&mut self, cookie: u64, control: Control) -> Result<(), MapError> {
        self.control.insert(cookie, ControlValue(control), 0)?;
        self.current_generation = self.current_generation.wrapping_add(1).max(1);
        self.generation.set(0, self.current_generation, 0)
    }

    /// Tells the kernel what to leave out of all connections.
    ///
    /// # Errors
    /// The map does not take it, which the kernel has no reason for.
    pub fn shed(&mut self, load: Load) -> Result<(), MapError> {
        self.load.set(0, LoadValue(load), 0)
    }

    /// Forgets what [`control`](Self::control) said.
    pub fn release(&mut self, cookie: u64) {
        // Absent is what is wanted.
        let _ = self.control.remove(&cookie);
    }

    /// Tells which UNIX sockets, by inode number, may be older than the agent. Until then, and if
    /// this fails, all of them may be.
    pub fn older(&mut self, inodes: impl IntoIterator<Item = u32>) -> Result<(), MapError> {
        for inode in inodes {
            self.older.insert(inode, 1, 0)?;
        }
        self.older.insert(OLDER_COMPLETE, 1, 0)
    }

    /// Takes out the last records of connections that the ring had no room for, each with the one
    /// that announces it, if there was none for that, either.
    pub fn take_last(&mut self) -> Vec<(Option<Conn>, State)> {
        let states: Vec<State> =
            self.last.iter().filter_map(|entry| Some(entry.ok()?.1.0)).collect();
        let Self { last, last_conns, .. } = self;
        let found = states.into_iter().map(|state| {
            let cookie = state.header.cookie;
            // Absent is what is wanted.
            let _ = last.remove(&cookie);
            // It was put there before the other.
            let conn = last_conns.get(&cookie, 0).ok().map(|conn| conn.0);
            if conn.is_some() {
                let _ = last_conns.remove(&cookie);
            }
            (conn, state)
        });
        found.collect()
    }

    /// Has the function at an offset of a file watched by the program `name`, in every process that has
    /// mapped the file.
    ///
    /// # Errors
    /// The kernel does not take the program or the place.
    pub fn watch(
        &mut self,
        name: &'static str,
        file: &Path,
        offset: u64,
    ) -> Result<Watch, ProgramError> {
        let ebpf = self.ebpf.as_mut().ok_or(ProgramError::NotLoaded)?;
        let mut watch = Watch::default();
        watch.add(ebpf, name, file, offset.into())?;
        Ok(watch)
    }

    /// From now on the process runs CPython, and is laid out so.
    ///
    /// # Errors
    /// The table is full.
    pub fn follow_python(&mut self, pid: u32, layout: Python) -> Result<(), MapError> {
        self.python.insert(pid, PythonValue(layout), 0)
    }

    /// Forgets what [`follow_python`](Self::follow_python) said.
    pub fn forget_python(&mut self, pid: u32) {
        // Absent is what is wanted.
        let _ = self.python.remove(&pid);
    }

    /// From now on the process is a proxy, and laid out so.
    ///
    /// # Errors
    /// The table is full.
    pub fn follow_proxy(&mut self, pid: u32, layout: Proxy) -> Result<(), MapError> {
        self.proxies.insert(pid, ProxyValue(layout), 0)
    }

    /// Forgets what [`follow_proxy`](Self::follow_proxy) said.
    pub fn forget_proxy(&mut self, pid: u32) {
        // Absent is what is wanted.
        let _ = self.proxies.remove(&pid);
    }

    /// Has places of a Go executable watched, in every process that runs it.
    ///
    /// # Errors
    /// The kernel does not take the program or the places.
    pub fn watch_go(&mut self, file: &Path, points: &[Point]) -> Result<Watch, ProgramError> {
        let ebpf = self.ebpf.as_mut().ok_or(ProgramError::NotLoaded)?;
        self.watcher.watch(ebpf, file, points)
    }

    /// From now on the process runs a Go executable, which is laid out so.
    ///
    /// # Errors
    /// The table is full.
    pub fn follow_go(&mut self, pid: u32, layout: Go) -> Result<(), MapError> {
        self.go.insert(pid, GoValue(layout), 0)
    }

    /// Forgets what [`follow_go`](Self::follow_go) said.
    pub fn forget_go(&mut self, pid: u32) {
        // Absent is what is wanted.
        let _ = self.go.remove(&pid);
    }

    /// Tells where goroutines are started that are not part of what the starting one works on.
    ///
    /// # Errors
    /// The table is full.
    pub fn know_starts(
        &mut self,
        starts: impl Iterator<Item = (Start, u32)>,
    ) -> Result<(), MapError> {
        for (start, what) in starts {
            self.starts.insert(StartKey(start), what, 0)?;
        }
        Ok(())
    }

    /// Forgets what [`know_starts`](Self::know_starts) said.
    pub fn forget_starts(&mut self, starts: impl Iterator<Item = (Start, u32)>) {
        for (start, _) in starts {
            // Absent is what is wanted.
            let _ = self.starts.remove(&StartKey(start));
        }
    }

    /// The kernel's counter `slot` (one of [`counter`]), all CPUs together.
    pub fn counter(&self, slot: u32) -> u64 {
        debug_assert!(slot < counter::COUNT);
        self.counters.get(&slot, 0).map_or(0, |values| values.iter().sum())
    }

    /// Detaches the programs: what is in the ring is all there will be.
    pub fn detach(&mut self) {
        self.ebpf = None;
    }

    /// How far the connections have come that are there now, as records.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn remaining(&self, on: impl FnMut(&[u8])) -> io::Result<()> {
        self.remaining.as_ref().map_or(Ok(()), |remaining| remaining.read(on))
    }

    /// Passes on what the kernel programs have to say (`--log-level debug`).
    pub fn log(&mut self) {
        self.log.flush();
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
