//! Where a process keeps what says which of its units of work runs: user space finds it, the kernel
//! programs read it.

use zerocopy::{FromBytes, IntoBytes};

/// What a process runs: that of its layouts counts which `kind` names, the others are zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes)]
#[repr(C)]
pub struct Runtime {
    /// One of [`kind`].
    pub kind: u32,
    /// Explicit padding.
    pub reserved: u32,
    /// Of [`kind::PYTHON`].
    pub python: Python,
    /// Of [`kind::GO`].
    pub go: Go,
    /// Of [`kind::PROXY`].
    pub proxy: Proxy,
}

/// [`Runtime::kind`].
pub mod kind {
    /// CPython.
    pub const PYTHON: u32 = 1;
    /// An executable made by Go.
    pub const GO: u32 = 2;
    /// A reverse proxy.
    pub const PROXY: u32 = 3;
}

impl From<Python> for Runtime {
    fn from(python: Python) -> Self {
        Self { kind: kind::PYTHON, python, ..Self::default() }
    }
}

impl From<Go> for Runtime {
    fn from(go: Go) -> Self {
        Self { kind: kind::GO, go, ..Self::default() }
    }
}

impl From<Proxy> for Runtime {
    fn from(proxy: Proxy) -> Self {
        Self { kind: kind::PROXY, proxy, ..Self::default() }
    }
}

/// A process that runs CPython. Offsets are in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes)]
#[repr(C)]
pub struct Python {
    /// Address of `_PyRuntime.interpreters.head` in the process.
    pub interpreters: u64,
    /// `PyInterpreterState.next`.
    pub interpreter_next: u32,
    /// `PyInterpreterState.threads.head`.
    pub threads: u32,
    /// `PyThreadState.next`.
    pub thread_next: u32,
    /// `PyThreadState.thread_id`.
    pub thread_id: u32,
    /// `PyThreadState.context`.
    pub context: u32,
    /// `PyContext.ctx_prev`.
    pub previous: u32,
    /// `PyContext.ctx_entered`.
    pub entered: u32,
    /// Not 0: every thread runs in a context that it entered when it was started, which says nothing
    /// of the work that it was given (3.14).
    pub threads_enter: u32,
    /// Not 0: an event loop reads before it enters the context that the bytes are for (uvloop). How it
    /// enters it is watched: one of [`reads`].
    pub reads_outside: u32,
    /// Explicit padding.
    pub reserved: u32,
}

/// [`Python::reads_outside`].
pub mod reads {
    /// It enters by `PyContext_Enter`.
    pub const ENTERS: u32 = 1;
    /// It enters by a function of its own.
    pub const RUNS: u32 = 2;
}

/// A reverse proxy that keeps, for each connection to a server, whose request it carries. Offsets are
/// in bytes; those of nginx are the same in all of its versions and not here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes)]
#[repr(C)]
pub struct Proxy {
    /// Address of HAProxy's `fdtab` in the process; 0: it is nginx.
    pub fdtab: u64,
    /// `h1c.h1s`.
    pub stream: u32,
    /// `stconn.sedesc`.
    pub endpoint: u32,
    /// `stconn.app`.
    pub app: u32,
    /// `stream.sess`.
    pub session: u32,
}

/// A process that runs a Go executable. Offsets are in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes)]
#[repr(C)]
pub struct Go {
    /// Its address space, which the kernel program notes at first sight: what it executes later on is
    /// another program.
    pub space: u64,
    /// How far the executable's addresses were moved when it was loaded.
    pub bias: u64,
    /// Which executable it is: a number of user space's.
    pub file: u32,
    /// Tells this program from those that the process executed before it: goroutines are numbered
    /// anew.
    pub generation: u32,
    /// `runtime.g.goid`.
    pub goid: u32,
    /// `runtime.g.parentGoid`; 0: it has none (before 1.21).
    pub parent: u32,
    /// `runtime.g.gopc`.
    pub gopc: u32,
    /// `runtime.g.m`.
    pub m: u32,
    /// `runtime.m.curg`.
    pub curg: u32,
    /// Explicit padding.
    pub reserved: u32,
}

/// Where in an executable goroutines are started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes)]
#[repr(C)]
pub struct Start {
    /// [`Go::file`].
    pub file: u32,
    /// Explicit padding.
    pub reserved: u32,
    /// The address after the call, as the executable has it.
    pub address: u64,
}

/// What is said of a [`Start`].
pub mod start {
    /// What is started there is not part of what the starting goroutine works on.
    pub const NOBODYS: u32 = 1;
    /// The same, and whatever it reads or sends is not its own, either.
    pub const NEVER: u32 = 2;
}

/// What happens at a watched place: the cookie of the probe.
pub mod point {
    /// A goroutine was made.
    pub const FORKS: u64 = 1;
    /// One takes a connection that other goroutines drive.
    pub const DRIVES: u64 = 2;
    /// One waits for what others do.
    pub const WAITS: u64 = 3;
}
