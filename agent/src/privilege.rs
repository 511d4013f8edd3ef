//! What this process may do, as `/proc/self/status` says.

use std::fs;

/// Capabilities that tracing uses, by their bit (`include/uapi/linux/capability.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// See other users' processes.
    SysPtrace = 19,
    /// All that the two below allow, and much more.
    SysAdmin = 21,
    /// Exceed limits such as locked memory.
    SysResource = 24,
    /// Read what programs and the kernel work on.
    Perfmon = 38,
    /// Load eBPF programs.
    Bpf = 39,
}

/// The privileges of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privileges {
    /// Effective capabilities, one bit each.
    effective: u64,
    /// Effective user.
    pub user: u32,
    /// True if a seccomp filter looks at its system calls.
    pub filtered: bool,
}

impl Privileges {
    /// Those of this process; none if `/proc` is not there.
    pub fn of_this_process() -> Self {
        Self::parse(&fs::read_to_string("/proc/self/status").unwrap_or_default())
    }

    /// Reads a `/proc/PID/status`; what is not there is not allowed.
    pub fn parse(status: &str) -> Self {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.strip_prefix(':')).unwrap_or_default()
        };
        let effective = u64::from_str_radix(field("CapEff").trim(), 16).unwrap_or(0);
        // Real, effective, saved, file system.
        let user = field("Uid").split_whitespace().nth(1).and_then(|user| user.parse().ok());
        Self { effective, user: user.unwrap_or(u32::MAX), filtered: field("Seccomp").trim() == "2" }
    }

    /// True if `capability` is effective.
    pub fn has(self, capability: Capability) -> bool {
        self.effective & (1 << capability as u32) != 0
    }

    /// True if tracing programs may be loaded and attached.
    pub fn may_trace(self) -> bool {
        self.has(Capability::SysAdmin)
            || (self.has(Capability::Bpf) && self.has(Capability::Perfmon))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        let status = |capabilities: u64| {
            Privileges::parse(&format!(
                "Name:\ta\nUid:\t5\t7\t7\t7\nCapPrm:\tff\nCapEff:\t{capabilities:016x}\nSeccomp:\t2\n"
            ))
        };
        let bit = |capability| 1 << capability as u32;
        let all = status(u64::MAX);
        assert!(all.may_trace() && all.filtered && all.user == 7);
        assert!(status(bit(Capability::SysAdmin)).may_trace());
        assert!(status(bit(Capability::Bpf) | bit(Capability::Perfmon)).may_trace());
        assert!(!status(bit(Capability::Bpf)).may_trace());
        assert!(!status(bit(Capability::Perfmon)).may_trace());
        let none = Privileges::parse("");
        assert!(!none.may_trace() && !none.filtered && !none.has(Capability::SysPtrace));
    }
}
