//! Processes of a recording: what was known of them when it was made.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{MAX_PROCESSES, Resource};
use crate::stats::{Loss, Stats};
use crate::value::Value;

/// Most bytes of texts that are remembered: several times what as many processes take at home.
const MAX_BYTES: usize = 64 << 20;

/// The processes that a recording told of so far.
///
/// Forgets the one whose last call is longest ago, as [`Workloads`](super::Workloads) does that
/// made the recording, and at the same number: whatever is forgotten here was forgotten there, and
/// was told again before it was needed.
#[derive(Debug)]
pub struct Recorded {
    processes: HashMap<u32, Entry>,
    bytes: usize,
    /// Counts uses: the age of entries.
    used: u64,
    stats: Arc<Stats>,
}

#[derive(Debug)]
struct Entry {
    resource: Arc<Resource>,
    bytes: usize,
    used: u64,
}

impl Recorded {
    /// Knows nobody yet. What does not fit is counted in `stats`.
    pub fn new(stats: Arc<Stats>) -> Self {
        Self { processes: HashMap::new(), bytes: 0, used: 0, stats }
    }

    /// From now on, this is the process `resource.pid`.
    pub fn learn(&mut self, resource: Arc<Resource>) {
        self.used += 1;
        self.forget(resource.pid);
        let bytes = size(&resource);
        while self.processes.len() >= MAX_PROCESSES || self.bytes + bytes > MAX_BYTES {
            let oldest = self.processes.iter().min_by_key(|(_, entry)| entry.used);
            let Some((&oldest, _)) = oldest else { break };
            self.forget(oldest);
            self.stats.lose(Loss::TableFull, 1);
        }
        self.bytes += bytes;
        let pid = resource.pid;
        self.processes.insert(pid, Entry { resource, bytes, used: self.used });
    }

    /// The resource of a process; one without a name if the recording did not tell.
    pub fn resource(&mut self, pid: u32) -> Arc<Resource> {
        self.used += 1;
        if let Some(entry) = self.processes.get_mut(&pid) {
            entry.used = self.used;
            return Arc::clone(&entry.resource);
        }
        let service: Arc<str> = "unknown_service".into();
        let attributes = vec![
            ("service.name".into(), Value::Shared(Arc::clone(&service))),
            ("process.pid".into(), Value::Int(pid.into())),
        ];
        let unknown = Arc::new(Resource { service, pid, attributes });
        self.learn(Arc::clone(&unknown));
        unknown
    }

    fn forget(&mut self, pid: u32) {
        if let Some(entry) = self.processes.remove(&pid) {
            self.bytes -= entry.bytes;
        }
    }
}

/// About how much memory a resource takes.
fn size(resource: &Resource) -> usize {
    let text = |value: &Value| match value {
        Value::Text(text) => text.len(),
        Value::Shared(text) => text.len(),
        Value::Static(_) | Value::Int(_) | Value::Bool(_) => 0,
    };
    let attributes = resource.attributes.iter();
    let of = |(key, value): &(Arc<str>, Value)| key.len() + text(value) + 64;
    resource.service.len() + attributes.map(of).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(pid: u32, service: &str) -> Arc<Resource> {
        Arc::new(Resource { service: service.into(), pid, attributes: Vec::new() })
    }

    fn recorded() -> (Recorded, Arc<Stats>) {
        let stats = Arc::new(Stats::default());
        (Recorded::new(Arc::clone(&stats)), stats)
    }

    #[test]
    fn the_last_word_counts() {
        let (mut recorded, _) = recorded();
        assert_eq!(&*recorded.resource(7).service, "unknown_service");
        recorded.learn(named(7, "shop"));
        recorded.learn(named(8, "till"));
        assert_eq!(&*recorded.resource(7).service, "shop");
        recorded.learn(named(7, "curl"));
        assert_eq!(&*recorded.resource(7).service, "curl");
        assert_eq!(&*recorded.resource(8).service, "till");
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let (mut recorded, stats) = recorded();
        recorded.learn(named(1, "shop"));
        for pid in 10..10 + MAX_PROCESSES as u32 {
            recorded.resource(1);
            recorded.learn(named(pid, "short"));
        }
        assert_eq!(recorded.processes.len(), MAX_PROCESSES);
        assert_eq!(stats.lost(Loss::TableFull), 1);
        assert_eq!(&*recorded.resource(1).service, "shop");
        let large = "x".repeat(1 << 20);
        (0..200).for_each(|pid| recorded.learn(named(pid, &large)));
        assert!(recorded.bytes <= MAX_BYTES);
    }
}
