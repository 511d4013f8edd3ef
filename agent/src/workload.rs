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
