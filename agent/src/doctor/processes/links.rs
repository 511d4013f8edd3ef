//! How the calls of a process are linked to others.

use serde::Serialize;

use super::runtime::Runtime;

/// The rules that hold for a process, each as `tracebee.link` calls it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(in crate::doctor) struct Links {
    /// Its server spans to the client spans of their callers.
    pub(in crate::doctor) callers: &'static [&'static str],
    /// Its client spans to the server span that they are part of; none: they begin their own
    /// traces, unless a header tells.
    pub(in crate::doctor) inside: Option<&'static str>,
}

/// What holds for a process of this runtime. No runtime has a rule for its inside yet.
pub(super) fn of(_runtime: &Runtime) -> Links {
    Links { callers: &["seq", "header"], inside: None }
}
