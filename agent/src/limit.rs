//! Limits: what the agent may take of the host, and what it leaves out when that is not enough.
//!
//! ```text
//! flags, cgroup -> budget: bounds of tables and queues, the kernel's included (tables)
//! heap (held), ring fill -> shed: a step, with hysteresis -> kernel and pipeline
//!                                                            sample: which calls
//! ```
//!
//! Every table is bounded by itself (docs/limits.md has all of them). What is here bounds the sum:
//! under load detail goes first, then text, then whole calls.

pub mod budget;
mod cgroup;
pub mod held;
pub mod sample;
pub mod shed;
pub mod tables;
pub mod watch;
