//! Which program a process is: pid -> service name and resource attributes.

use std::sync::Arc;

use crate::trace::Value;

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

/// Resources by process.
pub struct Workloads(rustc_hash::FxHashMap<u32, Arc<Resource>>);

impl Workloads {
    /// Empty.
    pub fn new(_stats: Arc<crate::stats::Stats>) -> Self {
        Self(rustc_hash::FxHashMap::default())
    }
    /// Time goes by.
    pub fn tick(&mut self, _now: crate::source::Time) {}
    /// Resource of a process.
    pub fn resource(&mut self, pid: u32) -> Arc<Resource> {
        Arc::clone(self.0.entry(pid).or_insert_with(|| {
            let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let service: Arc<str> = comm.trim().into();
            Arc::new(Resource {
                service: service.clone(),
                pid,
                attributes: vec![("service.name".into(), Value::Shared(service))],
            })
        }))
    }
}
