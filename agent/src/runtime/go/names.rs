//! Functions of the runtime and of the standard library that are looked for.

use super::functions::{Function, Functions};

/// What is called where something of interest happens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// A goroutine is started.
    Start,
    /// One waits for what others do.
    Wait,
    /// One waits for a while.
    Sleep,
    /// One takes a lock, which others may have put work behind. Where that is free, inlined code takes
    /// it, beside which this call stands.
    Lock,
}

/// Functions that are looked for.
#[derive(Default)]
pub(super) struct Names<'a> {
    pub(super) newproc1: Option<Function<'a>>,
    pub(super) round_trip: Option<Function<'a>>,
    pub(super) targets: Vec<(u32, Target)>,
}

impl<'a> Names<'a> {
    pub(super) fn of(functions: &Functions<'a>) -> Self {
        let mut names = Self::default();
        for function in functions.iter() {
            match function.name {
                b"runtime.newproc1" => names.newproc1 = Some(function),
                b"net/http.(*persistConn).roundTrip" => names.round_trip = Some(function),
                b"runtime.newproc" => names.targets.push((function.start, Target::Start)),
                b"runtime.chanrecv1"
                | b"runtime.chanrecv2"
                | b"runtime.selectnbrecv"
                | b"runtime.selectgo"
                | b"sync.(*Cond).Wait"
                | b"reflect.Select"
                | b"reflect.Value.Recv"
                | b"reflect.Value.TryRecv" => {
                    names.targets.push((function.start, Target::Wait));
                }
                b"sync.(*Mutex).Lock"
                | b"sync.(*Mutex).lockSlow"
                | b"sync.(*Mutex).TryLock"
                | b"sync.(*RWMutex).Lock"
                | b"sync.(*RWMutex).TryLock"
                | b"internal/sync.(*Mutex).Lock"
                | b"internal/sync.(*Mutex).lockSlow"
                | b"internal/sync.(*Mutex).TryLock" => {
                    names.targets.push((function.start, Target::Lock));
                }
                b"time.Sleep" => names.targets.push((function.start, Target::Sleep)),
                _ => {}
            }
        }
        names
    }
}
