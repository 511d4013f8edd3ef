//! What runs in the kernel, and how it is talked to.

use std::io;
use std::path::Path;

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError, PerCpuArray, RingBuf},
    programs::ProgramError,
};
use aya_log::EbpfLogger;
use tracebee_common::{
    Control, Load, OLDER_COMPLETE, counter,
    record::{Conn, State},
    runtime::{Runtime, Start},
};
use zerocopy::{FromBytes, IntoBytes};

use super::gauges::Gauges;
use super::layout::Backend;
use super::remaining::Remaining;
use super::watch::{Watch, Watcher};
use crate::runtime::go::Point;

/// What runs in the kernel, with the handles to talk to it. Dropping it detaches everything.
pub struct Kernel {
    /// The records.
    pub ring: RingBuf<MapData>,
    /// Programs attached.
    pub attached: usize,
    /// How they see.
    pub backend: Backend,
    pub(super) control: HashMap<MapData, u64, Plain<Control>>,
    pub(super) generation: Array<MapData, u32>,
    pub(super) load: Array<MapData, Plain<Load>>,
    pub(super) counters: PerCpuArray<MapData, u64>,
    pub(super) older: HashMap<MapData, u32, u8>,
    pub(super) last: HashMap<MapData, u64, Plain<State>>,
    pub(super) last_conns: HashMap<MapData, u64, Plain<Conn>>,
    pub(super) runtimes: HashMap<MapData, u32, Plain<Runtime>>,
    pub(super) starts: HashMap<MapData, Plain<Start>, u32>,
    pub(super) current_generation: u32,
    pub(super) log: EbpfLogger<&'static dyn log::Log>,
    /// What can be read at any time.
    pub gauges: Gauges,
    pub(super) remaining: Option<Remaining>,
    pub(super) watcher: Watcher,
    /// None once everything is detached.
    pub(super) ebpf: Option<Ebpf>,
}

/// A value of a map: bytes that the kernel programs read as they are.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Plain<T>(pub(super) T);

// SAFETY: no padding, and any bytes are a value: that is what these traits say.
unsafe impl<T: FromBytes + IntoBytes + Copy + 'static> aya::Pod for Plain<T> {}

impl Kernel {
    /// Tells the kernel what to capture of a connection. An error means that the table is full:
    /// the kernel then captures as before.
    pub fn control(&mut self, cookie: u64, control: Control) -> Result<(), MapError> {
        self.control.insert(cookie, Plain(control), 0)?;
        self.current_generation = self.current_generation.wrapping_add(1).max(1);
        self.generation.set(0, self.current_generation, 0)
    }

    /// Tells the kernel what to leave out of all connections.
    ///
    /// # Errors
    /// The map does not take it, which the kernel has no reason for.
    pub fn shed(&mut self, load: Load) -> Result<(), MapError> {
        self.load.set(0, Plain(load), 0)
    }

    /// Forgets what [`control`](Self::control) said.
    pub fn release(&mut self, cookie: u64) {
        // Absent is what is wanted.
        let _ = self.control.remove(&cookie);
    }

    /// Tells which UNIX sockets, by inode number, may be older than the agent. Until then, and if
    /// this fails, all of them may be.
    pub fn older(&mut self, inodes: impl IntoIterator<Item = u32>) -> Result<(), MapError> {
        for inode in inodes {
            self.older.insert(inode, 1, 0)?;
        }
        self.older.insert(OLDER_COMPLETE, 1, 0)
    }

    /// Takes out the last records of connections that the ring had no room for, each with the one
    /// that announces it, if there was none for that, either.
    pub fn take_last(&mut self) -> Vec<(Option<Conn>, State)> {
        let states: Vec<State> =
            self.last.iter().filter_map(|entry| Some(entry.ok()?.1.0)).collect();
        let Self { last, last_conns, .. } = self;
        let found = states.into_iter().map(|state| {
            let cookie = state.header.cookie;
            // Absent is what is wanted.
            let _ = last.remove(&cookie);
            // It was put there before the other.
            let conn = last_conns.get(&cookie, 0).ok().map(|conn| conn.0);
            if conn.is_some() {
                let _ = last_conns.remove(&cookie);
            }
            (conn, state)
        });
        found.collect()
    }

    /// Has the function at an offset of a file watched by the program `name`, in every process that has
    /// mapped the file.
    ///
    /// # Errors
    /// The kernel does not take the program or the place.
    pub fn watch(
        &mut self,
        name: &'static str,
        file: &Path,
        offset: u64,
    ) -> Result<Watch, ProgramError> {
        let ebpf = self.ebpf.as_mut().ok_or(ProgramError::NotLoaded)?;
        let mut watch = Watch::default();
        watch.add(ebpf, name, file, offset.into())?;
        Ok(watch)
    }

    /// From now on the process runs this, and is laid out so.
    ///
    /// # Errors
    /// The table is full.
    pub fn follow(&mut self, pid: u32, runtime: impl Into<Runtime>) -> Result<(), MapError> {
        self.runtimes.insert(pid, Plain(runtime.into()), 0)
    }

    /// Forgets that the process runs what is of this kind, one of
    /// [`kind`](tracebee_common::runtime::kind).
    pub fn forget(&mut self, pid: u32, kind: u32) {
        if self.runtimes.get(&pid, 0).is_ok_and(|runtime| runtime.0.kind == kind) {
            // Absent is what is wanted.
            let _ = self.runtimes.remove(&pid);
        }
    }

    /// Has places of a Go executable watched, in every process that runs it.
    ///
    /// # Errors
    /// The kernel does not take the program or the places.
    pub fn watch_go(&mut self, file: &Path, points: &[Point]) -> Result<Watch, ProgramError> {
        let ebpf = self.ebpf.as_mut().ok_or(ProgramError::NotLoaded)?;
        self.watcher.watch(ebpf, file, points)
    }

    /// Tells where goroutines are started that are not part of what the starting one works on.
    ///
    /// # Errors
    /// The table is full.
    pub fn know_starts(
        &mut self,
        starts: impl Iterator<Item = (Start, u32)>,
    ) -> Result<(), MapError> {
        for (start, what) in starts {
            self.starts.insert(Plain(start), what, 0)?;
        }
        Ok(())
    }

    /// Forgets what [`know_starts`](Self::know_starts) said.
    pub fn forget_starts(&mut self, starts: impl Iterator<Item = (Start, u32)>) {
        for (start, _) in starts {
            // Absent is what is wanted.
            let _ = self.starts.remove(&Plain(start));
        }
    }

    /// The kernel's counter `slot` (one of [`counter`]), all CPUs together.
    pub fn counter(&self, slot: u32) -> u64 {
        debug_assert!(slot < counter::COUNT);
        self.counters.get(&slot, 0).map_or(0, |values| values.iter().sum())
    }

    /// Detaches the programs: what is in the ring is all there will be.
    pub fn detach(&mut self) {
        self.ebpf = None;
    }

    /// How far the connections have come that are there now, as records.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn remaining(&self, on: impl FnMut(&[u8])) -> io::Result<()> {
        self.remaining.as_ref().map_or(Ok(()), |remaining| remaining.read(on))
    }

    /// Passes on what the kernel programs have to say (`--log-level debug`).
    pub fn log(&mut self) {
        self.log.flush();
    }
}
