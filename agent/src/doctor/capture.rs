//! How sockets can be watched: every way that may be needed is tried, the best first.

use std::num::NonZeroU32;
use std::time::Instant;

use super::finding::{Area, Finding};
use crate::cli::Capture;
use crate::privilege::Privileges;
use crate::source::live::layout::{Backend, LayoutError};
use crate::source::live::loader::{self, LoadError};

const AREA: Area = Area::Capture;

/// What would be used, and what was found on the way.
pub(super) fn check(
    capture: Capture,
    ring_bytes: NonZeroU32,
    privileges: Privileges,
) -> (Option<&'static str>, Vec<Finding>) {
    let begun = Instant::now();
    if !privileges.may_trace() {
        let what = "not tried: loading programs is not allowed";
        return (None, vec![AREA.problem("capture", what, "see loading programs")]);
    }
    let mut findings = Vec::new();
    let loaded = loader::load_best(capture, ring_bytes, |backend, error| {
        findings.push(passed(backend, error));
    });
    match loaded {
        Ok(kernel) => {
            let (backend, programs) = (kernel.backend, kernel.attached);
            let took = begun.elapsed().as_millis();
            drop(kernel);
            let mebibytes = f64::from(ring_bytes.get()) / 1_048_576.0;
            findings.push(works(
                backend,
                &format!(
                    "{programs} programs loaded and attached in {took} ms, ring of {mebibytes} MiB"
                ),
            ));
            (Some(backend.name()), findings)
        }
        Err(error) => {
            findings.push(refused(&error, privileges));
            (None, findings)
        }
    }
}

fn works(backend: Backend, what: &str) -> Finding {
    match backend {
        Backend::Socket => AREA.ok("socket", what),
        Backend::Syscall => AREA.note(
            "syscall",
            format!("{what}; costs every system call of the host a little"),
            "a kernel with the tracepoints of the socket layer (Linux 6.18 has them)",
        ),
    }
}

/// A better way that this kernel does not have.
fn passed(backend: Backend, error: &LoadError) -> Finding {
    let what = format!("not possible: {}", why(error));
    AREA.note(backend.name(), what, "a newer kernel (Linux 6.18 has all that it needs)")
}

fn refused(error: &LoadError, privileges: Privileges) -> Finding {
    let what = why(error);
    let remedy = match error {
        LoadError::Layout(LayoutError::Unreadable(_)) | LoadError::Btf(_) => "see type information",
        _ if denied(error) && privileges.filtered => {
            "allow bpf(2) in the seccomp profile (docker: --security-opt seccomp=unconfined or \
             --privileged)"
        }
        _ if denied(error) => {
            "look at lockdown above and at the kernel's log (dmesg) for a security module that \
             denies bpf(2)"
        }
        LoadError::Program(..) | LoadError::Layout(LayoutError::Missing(..)) => {
            "report this with the kernel's version; Linux 6.18 has all that is needed"
        }
        _ => "report this with the kernel's version",
    };
    AREA.problem("capture", what, remedy)
}

fn why(error: &LoadError) -> String {
    error.to_string()
}

/// True if a permission was missing at the bottom of it.
fn denied(error: &LoadError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return error.raw_os_error() == Some(libc::EPERM);
        }
        cause = error.source();
    }
    false
}
