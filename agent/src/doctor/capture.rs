//! How sockets can be watched: every way that may be needed is tried, the best first.

use std::time::Instant;

use aya::programs::ProgramError;

use super::finding::{Area, Finding};
use crate::cli::Capture;
use crate::limit::budget::KernelMemory;
use crate::privilege::Privileges;
use crate::source::live::layout::{Backend, LayoutError};
use crate::source::live::loader::{self, LoadError};

const AREA: Area = Area::Capture;

/// What would be used, and what was found on the way.
pub(super) fn check(
    capture: Capture,
    memory: KernelMemory,
    privileges: Privileges,
) -> (Option<&'static str>, Vec<Finding>) {
    let begun = Instant::now();
    if !privileges.may_trace() {
        return (
            None,
            vec![AREA.note("capture", "not tried: loading programs is not allowed", "")],
        );
    }
    let mut findings = Vec::new();
    let loaded = loader::load_best(capture, memory, |backend, error| {
        findings.push(passed(backend, error));
    });
    match loaded {
        Ok(kernel) => {
            let (backend, programs) = (kernel.backend, kernel.attached);
            let took = begun.elapsed().as_millis();
            drop(kernel);
            let mebibytes = f64::from(memory.ring.get()) / 1_048_576.0;
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
        Backend::Socket | Backend::Lengths => AREA.ok(backend.name(), what),
        Backend::Syscall => AREA.note(
            "syscall",
            format!("{what}; costs every system call of the host a little"),
            "a kernel with the tracepoints of the socket layer (Linux 6.18 has them)",
        ),
    }
}

/// A better way that this kernel does not have.
fn passed(backend: Backend, error: &LoadError) -> Finding {
    let what = format!("not possible: {}", error);
    AREA.note(backend.name(), what, "a newer kernel (Linux 6.18 has all that it needs)")
}

fn refused(error: &LoadError, privileges: Privileges) -> Finding {
    let what = error.to_string();
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
            "run Linux 6.1 or newer; where it is, report this with the kernel's version"
        }
        _ => "report this with the kernel's version",
    };
    AREA.problem("capture", what, remedy)
}

/// True if a permission was missing at the bottom of it.
fn denied(error: &LoadError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let inside = match error.downcast_ref() {
            // Gives its causes as its own, so that the error itself would be left out.
            Some(ProgramError::IOError(error)) => Some(error),
            _ => error.downcast_ref::<std::io::Error>(),
        };
        if let Some(error) = inside {
            return error.raw_os_error() == Some(libc::EPERM);
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::super::finding::Verdict;
    use super::*;
    use crate::limit::tables::Tables;

    fn error(code: i32) -> LoadError {
        let error = std::io::Error::from_raw_os_error(code);
        LoadError::Program("sys_exit", ProgramError::IOError(error), "syscall")
    }

    #[test]
    fn a_denial_is_told_from_a_lack() {
        assert!(denied(&error(libc::EPERM)));
        assert!(!denied(&error(libc::EINVAL)));
        assert!(!denied(&LoadError::Layout(LayoutError::Missing("sock", "sk_err"))));
        let remedy = |code, filtered: u8| {
            let privileges = Privileges::parse(&format!("Seccomp:\t{filtered}\n"));
            let finding = refused(&error(code), privileges);
            assert_eq!(finding.verdict, Verdict::Problem);
            finding.remedy.unwrap_or_default()
        };
        assert!(remedy(libc::EPERM, 2).contains("seccomp"));
        assert!(remedy(libc::EPERM, 0).contains("lockdown"));
        assert!(remedy(libc::EINVAL, 0).contains("report"));
    }

    #[test]
    fn a_worse_way_is_a_note_with_its_price() {
        assert_eq!(works(Backend::Socket, "x").verdict, Verdict::Ok);
        let worse = works(Backend::Syscall, "x");
        assert!(worse.verdict == Verdict::Note && worse.what.contains("costs"));
        let better = passed(Backend::Socket, &error(libc::EINVAL));
        assert!(better.what.starts_with("not possible: attaching sys_exit"));
        assert_eq!((better.topic, better.verdict), ("socket", Verdict::Note));
    }

    #[test]
    fn without_privileges_nothing_is_tried() {
        let ring = NonZeroU32::new(1 << 20).expect("not zero");
        let memory = KernelMemory { ring, tables: Tables::within(0) };
        let (capture, findings) = check(Capture::Auto, memory, Privileges::parse(""));
        assert!(capture.is_none() && findings.len() == 1);
    }
}
