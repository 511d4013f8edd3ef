//! tracebee: traces programs nobody changed.
//!
//! Data flows one way: [`source`] -> [`stream`] -> [`protocol`] -> [`call`] -> [`trace`] ->
//! [`export`], driven by [`pipeline`]. Beside it, [`workload`] tells which program a process is,
//! [`runtime`] how what it works on can be seen, and [`link`] whose request a call is part of. [`doctor`] says what of this works on a host.

pub mod call;
pub mod cli;
pub mod clock;
pub mod doctor;
pub mod export;
pub mod limit;
pub mod link;
pub mod metrics;
pub mod pipeline;
pub mod privilege;
pub mod protocol;
pub mod record;
pub mod replay;
pub mod run;
pub mod runtime;
pub mod select;
pub mod sockets;
pub mod source;
pub mod sql;
pub mod stats;
pub mod stream;
pub mod trace;
pub mod value;
pub mod workload;
