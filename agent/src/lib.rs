//! tracebee: traces programs nobody changed.
//!
//! Data flows one way: [`source`] -> stream -> [`protocol`] -> [`call`] -> [`trace`] -> [`export`].
//! Beside it, [`workload`] tells which program a process is.

pub mod call;
pub mod clock;
pub mod export;
pub mod protocol;
pub mod source;
pub mod stats;
pub mod trace;
pub mod workload;
