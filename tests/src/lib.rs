//! Harness of the live suites and benchmarks: real programs, their truth logs, the agent under
//! test, a receiver for its spans, and the comparison of the one with the other.
//!
//! Truth is what a workload wrote down itself, call by call; nothing here trusts the agent.

pub mod agent;
pub mod capture;
pub mod check;
pub mod clients;
pub mod desk;
pub mod mysql;
pub mod paths;
pub mod plan;
pub mod postgres;
pub mod process;
pub mod quota;
pub mod rabbitmq;
pub mod report;
pub mod servers;
pub mod sink;
pub mod span;
pub mod wireshark;
