//! Plans that clients carry out, and the truth logs that they write (see workloads/README.md).

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// A list of calls for a client.
#[derive(Debug, Default, Clone)]
pub struct Plan {
    lines: String,
    calls: usize,
}

impl Plan {
    /// Adds a call. Its id goes into the query of the URL, where the spans show it again.
    pub fn call(
        &mut self,
        id: &str,
        method: &str,
        base: &str,
        path: &str,
        body: usize,
        flags: &str,
    ) {
        let _ = writeln!(self.lines, "{id}\t{method}\t{base}{path}?call={id}\t{body}\t{flags}");
        self.calls += 1;
    }

    /// Adds a GET.
    pub fn get(&mut self, id: &str, base: &str, path: &str) {
        self.call(id, "GET", base, path, 0, "");
    }

    /// How many calls were planned.
    pub fn len(&self) -> usize {
        self.calls
    }

    /// True if there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.calls == 0
    }

    /// The plan as clients read it.
    pub fn text(&self) -> &str {
        &self.lines
    }
}

/// One call as the client logged it.
#[derive(Debug, Clone, Deserialize)]
pub struct Truth {
    /// Unique id of the call.
    pub call: String,
    /// Method as asked for.
    pub method: String,
    /// URL as asked for.
    pub url: String,
    /// Status of the (last) answer.
    pub status: u16,
    /// Size of the request's body.
    pub sent: u64,
    /// Size of the (last) answer's body.
    pub received: u64,
    /// Unix time in nanoseconds before the library was asked.
    pub start: u64,
    /// Unix time in nanoseconds after everything was read.
    pub end: u64,
    /// Unix time in nanoseconds when the last read returned, of clients that make their own.
    #[serde(default)]
    pub read: Option<u64>,
    /// The client's process.
    pub pid: u32,
    /// The client's port, if it knows it.
    #[serde(default)]
    pub port: Option<u16>,
    /// Which of the client's connections, if it has several and knows it.
    #[serde(default)]
    pub worker: usize,
}

/// Reads the log of a client.
pub fn read_log(path: &Path) -> Result<Vec<Truth>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    text.lines()
        .map(|line| {
            serde_json::from_str(line).with_context(|| format!("{}: {line}", path.display()))
        })
        .collect()
}
