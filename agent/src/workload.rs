//! Which program a process is: pid -> service name and resource attributes.
//!
//! A process is looked at when its first event comes, because it may be gone with the next. Its
//! command line and environment are secrets of its own: only names are taken from them.

use std::path::PathBuf;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::source::{Program, Time};
use crate::stats::{Loss, Stats};
use crate::value::Value;

mod environ;
mod host;
mod name;
mod process;
pub mod recorded;
pub mod wire;

use environ::Told;
use host::Host;
use process::{Process, Stat};

/// `process.runtime.name` of an executable, where its name tells.
pub(crate) use name::runtime as runtime_of;

/// Most processes that are remembered, at about 2 KiB each. At the limit the one whose last call
/// is longest ago goes.
const MAX_PROCESSES: usize = 4096;

/// How long a process is remembered after its last call, in nanoseconds. What is forgotten of a
/// living process is read again; a dead one has no calls long before.
const IDLE: u64 = 600 * 1_000_000_000;

/// How deep a worker is named after its parent.
const MAX_ANCESTORS: u8 = 3;

/// The identity of one observed process, as an OTLP Resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// `service.name`.
    pub service: Arc<str>,
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// All resource attributes, `service.name` included.
    pub attributes: Vec<(Arc<str>, Value)>,
}

/// The processes that calls were seen of. Owned by the one thread that the pipeline runs on.
#[derive(Debug)]
pub struct Workloads {
    proc: PathBuf,
    host: Host,
    /// Attributes that are the same for all processes.
    common: Vec<(Arc<str>, Value)>,
    keys: Keys,
    processes: HashMap<u32, Entry>,
    stats: Arc<Stats>,
    now: Time,
    /// Counts calls of [`Workloads::expire`]: what was checked in an earlier round is checked again.
    round: u64,
    /// Counts calls of [`Workloads::resource`]: the age of entries.
    used: u64,
    /// What was described since it was last asked for, if somebody asks.
    learnt: Option<Vec<Arc<Resource>>>,
}

#[derive(Debug)]
struct Entry {
    resource: Arc<Resource>,
    /// `None` if the process was gone before it could be looked at.
    identity: Option<Identity>,
    /// The round of the last check; `None`: check at the next call.
    checked: Option<u64>,
    used: u64,
    last: Time,
}

/// What tells that a pid still is the program that it was.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    stat: Stat,
    executable: Option<String>,
}

impl Process {
    /// `None` if the process is gone, or on its way: its memory goes before its pid.
    fn identity(&self) -> Option<Identity> {
        let identity = Identity { stat: self.stat()?, executable: self.executable() };
        (identity.executable.is_some() || !self.command_line().is_empty()).then_some(identity)
    }
}

impl Workloads {
    /// Names the processes of this host. What does not fit into the table is counted in `stats`.
    pub fn new(stats: Arc<Stats>) -> Self {
        Self::of("/proc".into(), stats)
    }

    fn of(proc: PathBuf, stats: Arc<Stats>) -> Self {
        let host = Host::read();
        let mut keys = Keys::default();
        let common = common(&host, &mut keys);
        Self {
            proc,
            host,
            common,
            keys,
            processes: HashMap::new(),
            stats,
            now: Time(0),
            round: 0,
            used: 0,
            learnt: None,
        }
    }

    /// From now on [`learnt`](Self::learnt) tells what is learnt. It has to be called, or memory
    /// grows.
    pub fn watch(&mut self) {
        self.learnt = Some(Vec::new());
    }

    /// The processes that were looked at since the last time, in that order: from their events on
    /// they are these.
    pub fn learnt(&mut self) -> Vec<Arc<Resource>> {
        self.learnt.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The processes that are remembered, the one whose last call is longest ago first.
    pub fn known(&self) -> Vec<Arc<Resource>> {
        let mut entries: Vec<&Entry> = self.processes.values().collect();
        entries.sort_unstable_by_key(|entry| entry.used);
        entries.into_iter().map(|entry| Arc::clone(&entry.resource)).collect()
    }

    /// The resource of a process. Reads `/proc` at the first call for a pid and once between two
    /// calls of [`expire`](Self::expire), to see whether the pid has become another program.
    pub fn resource(&mut self, pid: u32) -> Arc<Resource> {
        self.used += 1;
        let (used, now, round) = (self.used, self.now, self.round);
        if let Some(entry) = self.processes.get_mut(&pid) {
            (entry.used, entry.last) = (used, now);
            if entry.checked == Some(round) {
                return Arc::clone(&entry.resource);
            }
        }
        let process = Process::new(&self.proc, pid);
        let identity = process.identity();
        if let Some(entry) = self.processes.get_mut(&pid) {
            entry.checked = Some(round);
            // Gone: these are its last calls. The same: nothing to do.
            if identity.is_none() || entry.identity == identity {
                return Arc::clone(&entry.resource);
            }
        }
        self.remember(pid, &process, identity)
    }

    /// The kernel says what a process runs from now on: it may be gone before anybody calls
    /// [`resource`](Self::resource).
    pub fn runs(&mut self, program: &Program<'_>) {
        self.used += 1;
        let process = Process::seen(&self.proc, program, self.host.ticks(program.started));
        let identity = process.identity();
        self.remember(program.pid, &process, identity);
    }

    fn remember(
        &mut self,
        pid: u32,
        process: &Process,
        identity: Option<Identity>,
    ) -> Arc<Resource> {
        if !self.processes.contains_key(&pid) {
            self.make_room();
        }
        let resource = Arc::new(self.describe(pid, process, identity.as_ref()));
        if let Some(learnt) = &mut self.learnt {
            learnt.push(Arc::clone(&resource));
        }
        let entry = Entry {
            resource: Arc::clone(&resource),
            identity,
            checked: Some(self.round),
            used: self.used,
            last: self.now,
        };
        self.processes.insert(pid, entry);
        resource
    }

    /// Has the pid looked at again at its next call: it has executed another program, or ended.
    pub fn forget(&mut self, pid: u32) {
        if let Some(entry) = self.processes.get_mut(&pid) {
            entry.checked = None;
        }
    }

    /// Forgets processes without calls for a long time and begins a new round of checks; to be
    /// called about every second. Resources that spans hold stay as they are.
    pub fn expire(&mut self, now: Time) {
        if self.now == Time(0) {
            // The first time: what is known is not that old.
            self.processes.values_mut().for_each(|entry| entry.last = now);
        }
        self.now = now;
        self.round += 1;
        self.processes.retain(|_, entry| now.0.saturating_sub(entry.last.0) < IDLE);
    }

    fn make_room(&mut self) {
        if self.processes.len() >= MAX_PROCESSES
            && let Some((&oldest, _)) = self.processes.iter().min_by_key(|(_, entry)| entry.used)
        {
            self.processes.remove(&oldest);
            // One that has ended is not asked for again.
            if self.proc.join(oldest.to_string()).exists() {
                self.stats.lose(Loss::TableFull, 1);
            }
        }
    }

    /// Reads all that is told about a process.
    fn describe(&mut self, pid: u32, process: &Process, identity: Option<&Identity>) -> Resource {
        let told = Told::of(&process.environment());
        let executable = identity.and_then(|identity| identity.executable.clone());
        let service: Arc<str> = match (told.service, identity) {
            (Some(service), _) => service.into(),
            (None, Some(identity)) => {
                named(&self.proc, process, identity.executable.as_deref(), &identity.stat, 0).into()
            }
            (None, None) => "unknown_service".into(),
        };
        let mut attributes = Vec::with_capacity(self.common.len() + 8 + told.attributes.len());
        let mut add = |key: Arc<str>, value| attributes.push((key, value));
        let keys = &mut self.keys;
        add(keys.get("service.name"), Value::Shared(Arc::clone(&service)));
        if let Some(identity) = identity {
            let started = identity.stat.started;
            if !told.attributes.iter().any(|(key, _)| key == "service.instance.id") {
                let instance = self.host.instance(pid, started);
                add(keys.get("service.instance.id"), Value::Text(instance.into()));
            }
            let created = self.host.creation_time(started);
            add(keys.get("process.creation.time"), Value::Text(created.into()));
        }
        add(keys.get("process.pid"), Value::Int(pid.into()));
        if let Some(path) = executable {
            let program = name::base_of(&path);
            if let Some(runtime) = name::runtime(program) {
                add(keys.get("process.runtime.name"), Value::Static(runtime));
            }
            add(keys.get("process.executable.name"), Value::Text(program.into()));
            add(keys.get("process.executable.path"), Value::Text(path.into()));
        }
        // What we see ourselves is not overruled by what a process says of itself.
        for (key, value) in told.attributes {
            let ours = ["host.", "process.", "telemetry.", "os."];
            if !ours.iter().any(|prefix| key.starts_with(prefix)) {
                add(key.into(), Value::Text(value.into()));
            }
        }
        attributes.extend(self.common.iter().cloned());
        Resource { service, pid, attributes }
    }
}

/// The name that the command line gives.
fn named(
    proc: &std::path::Path,
    process: &Process,
    executable: Option<&str>,
    stat: &Stat,
    generation: u8,
) -> String {
    let line = process.command_line();
    let arguments: Vec<&str> =
        if line.is_empty() { Vec::new() } else { line.split('\0').collect() };
    let directory = process.working_directory();
    name::name(&name::Command {
        comm: &stat.comm,
        arguments: &arguments,
        directory: directory.as_deref(),
        executable,
        look: &Files { proc, process, parent: stat.parent, generation },
    })
}

/// The files that a name may have to be looked up in.
struct Files<'a> {
    proc: &'a std::path::Path,
    process: &'a Process,
    parent: u32,
    generation: u8,
}

impl name::Look for Files<'_> {
    fn package(&self, directory: &str) -> Option<String> {
        self.process.package(directory)
    }

    fn parent(&self) -> Option<String> {
        if self.generation == MAX_ANCESTORS || self.parent <= 1 {
            return None;
        }
        let process = Process::new(self.proc, self.parent);
        if let Some(service) = Told::of(&process.environment()).service {
            return Some(service);
        }
        let (stat, executable) = (process.stat()?, process.executable());
        Some(named(self.proc, &process, executable.as_deref(), &stat, self.generation + 1))
    }
}

/// Keys of attributes, each allocated once.
#[derive(Debug, Default)]
struct Keys(Vec<(&'static str, Arc<str>)>);

impl Keys {
    fn get(&mut self, key: &'static str) -> Arc<str> {
        if let Some((_, shared)) = self.0.iter().find(|(known, _)| *known == key) {
            return Arc::clone(shared);
        }
        let shared: Arc<str> = key.into();
        self.0.push((key, Arc::clone(&shared)));
        shared
    }
}

/// Host and agent. The spans are not made by the OpenTelemetry SDK, so the SDK is named after the
/// agent, as is the distribution.
fn common(host: &Host, keys: &mut Keys) -> Vec<(Arc<str>, Value)> {
    let version = env!("CARGO_PKG_VERSION");
    let mut common = vec![(keys.get("host.name"), Value::Shared(host.name.as_str().into()))];
    if !host.id.is_empty() {
        common.push((keys.get("host.id"), Value::Shared(host.id.as_str().into())));
    }
    common.extend([
        (keys.get("host.arch"), Value::Static(Host::arch())),
        (keys.get("os.type"), Value::Static("linux")),
        (keys.get("telemetry.sdk.language"), Value::Static("rust")),
        (keys.get("telemetry.sdk.name"), Value::Static("tracebee")),
        (keys.get("telemetry.sdk.version"), Value::Static(version)),
        (keys.get("telemetry.distro.name"), Value::Static("tracebee")),
        (keys.get("telemetry.distro.version"), Value::Static(version)),
    ]);
    common
}

#[cfg(test)]
mod tests;
