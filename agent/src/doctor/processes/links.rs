//! How the calls of a process are linked to others.

use std::path::Path;

use serde::Serialize;

use super::runtime::Runtime;
use crate::runtime::python;

/// The rules that hold for a process, each as `tracebee.link` calls it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(in crate::doctor) struct Links {
    /// Its server spans to the client spans of their callers.
    pub(in crate::doctor) callers: &'static [&'static str],
    /// Its client spans to the server span that they are part of. Where none of the rules is certain
    /// they begin their own traces.
    pub(in crate::doctor) inside: &'static [&'static str],
    /// Why there is no better rule, where there is one for others of its runtime.
    pub(in crate::doctor) why: Option<String>,
}

/// What holds for a process.
pub(super) fn of(proc: &Path, pid: u32, runtime: &Runtime) -> Links {
    let callers = &["seq", "header"];
    let found = if runtime.name == "cpython" { python::find(proc, pid) } else { Ok(None) };
    match found {
        Ok(Some(_)) => Links { callers, inside: &["context", "sole"], why: None },
        Ok(None) => Links { callers, inside: &["sole"], why: None },
        Err(error) => Links { callers, inside: &["sole"], why: Some(error.to_string()) },
    }
}
