//! `--metrics-listen`: what the agent did, lost and uses, for Prometheus.
//!
//! Everything is read when somebody asks, by a thread of its own, from counters that are there
//! anyway: nobody who asks can make the path of a call wait.

mod families;
mod process;
mod server;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use self::families::Families;
use crate::export::Queues;
use crate::source::live::Gauges;
use crate::stats::Stats;

/// Why nobody can ask for metrics.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The address cannot be had.
    #[error(
        "listening for metrics at {0}: {1}; --metrics-listen takes an address of this host with a \
         free port"
    )]
    Listen(SocketAddr, io::Error),
    /// No thread could be made.
    #[error("cannot start the metrics thread: {0}; check the limit of processes (ulimit -u)")]
    Thread(io::Error),
}

/// What the numbers are read from.
#[derive(Debug)]
pub struct Sources {
    /// What the agent counts.
    pub stats: Arc<Stats>,
    /// The kernel side.
    pub kernel: Gauges,
    /// What waits for the exporters.
    pub queues: Queues,
}

/// The address is ours; nobody is answered yet.
#[derive(Debug)]
pub struct Listener(std::net::TcpListener);

impl Listener {
    /// Listens at exactly this address.
    ///
    /// # Errors
    /// If the address cannot be had.
    pub fn bind(address: SocketAddr) -> Result<Self, MetricsError> {
        std::net::TcpListener::bind(address)
            .map(Self)
            .map_err(|error| MetricsError::Listen(address, error))
    }

    /// Answers from now on, until the process ends.
    ///
    /// # Errors
    /// If no thread can be made.
    pub fn serve(self, sources: Sources) -> Result<(), MetricsError> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Families(sources)));
        server::start(self.0, move || render(&registry)).map_err(MetricsError::Thread)
    }
}

/// The exposition in OpenMetrics text format 1.0.
fn render(registry: &Registry) -> String {
    let mut page = String::new();
    // Writing to a string cannot fail; a page without its end is refused by whoever reads it.
    _ = text::encode(&mut page, registry);
    page
}
