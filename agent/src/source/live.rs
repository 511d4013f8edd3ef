//! The live kernel as a source of events.

mod decode;
mod gauges;
mod kernel;
pub mod layout;
mod listening;
pub mod loader;
mod order;
mod remaining;
mod runtimes;
mod shed;
mod sys;
mod unix;
mod watch;

use std::{
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use rustc_hash::{FxHashMap, FxHashSet};
use tracebee_common::{Control, Load, RING_RESERVE, counter, mode, record};
use zerocopy::{FromBytes as _, IntoBytes as _};

use self::kernel::Kernel;
use self::listening::Listening;
use self::order::{Next, Order};
use self::runtimes::Runtimes;
use self::shed::Shed;
use super::{ConnectionId, Event, Lost, Role, Time};
use crate::cli::Capture;
use crate::limit::budget::KernelMemory;
use crate::limit::shed::Step;
use crate::limit::watch::Ring;
use crate::stats::{Loss, Stats};
use crate::trace::args::Attribution;
pub use gauges::{Gauges, Program as ProgramUsage, RingFill};
pub use loader::LoadError;

/// Records read before the caller gets to run its timers again: a few milliseconds of work. An agent
/// that gets a fiftieth of a processor has to notice that soon.
const BATCH: usize = 512;

/// The kernel side, attached for as long as this lives.
pub struct Live {
    kernel: Kernel,
    stats: Arc<Stats>,
    order: Order,
    listening: Listening,
    unix: unix::Sockets,
    /// None if units of work are not followed.
    runtimes: Option<Runtimes>,
    /// Connections that the kernel was told something about.
    controlled: FxHashSet<u64>,
    /// Calls that the kernel left out of connections, where there are any.
    left_out: FxHashMap<u64, u32>,
    shed: Shed,
    /// Bytes that waited in the ring at most, since that was last asked.
    most_waiting: u64,
    /// Connections that were announced again.
    announced: u32,
    /// Records read.
    read: u64,
    reported: [u64; counter::COUNT as usize],
    recursion_misses: u64,
    /// What was said of connections that were open just before the programs were detached, as in
    /// [`Left`].
    before: Vec<(u64, u32, bool, Box<[u8]>)>,
}

/// Such records that are kept.
const MAX_LEFT: usize = 2 * crate::limit::budget::MAX_CONNECTIONS;

/// What the kernel says in the end of a connection that is open.
struct Left<'a> {
    cookie: u64,
    number: u32,
    /// It announces the connection, which may not have been.
    announces: bool,
    record: &'a [u8],
}

/// How far each open connection has come.
fn remaining(kernel: &Kernel, mut on: impl FnMut(Left<'_>)) {
    let told = kernel.remaining(|record| {
        if let Ok((header, _)) = record::Header::ref_from_prefix(record) {
            let (cookie, number) = (header.cookie, header.number);
            on(Left { cookie, number, announces: header.kind == record::CONN, record });
        }
    });
    if let Err(error) = told {
        tracing::warn!("asking the kernel what became of open connections: {error}");
    }
}

impl Live {
    /// Loads and attaches the kernel programs. Where nobody asks whose calls they are, nothing is
    /// watched inside of processes.
    ///
    /// # Errors
    /// See [`LoadError`]: one clear line each.
    pub fn start(
        capture: Capture,
        memory: KernelMemory,
        attribution: Attribution,
        stats: Arc<Stats>,
    ) -> Result<Self, LoadError> {
        let mut kernel = loader::load(capture, memory)?;
        // Those that are made from here on are seen from their first byte.
        if let Err(error) = kernel.older(unix::all()) {
            tracing::warn!("UNIX sockets will not be linked: {error}");
        }
        let runtimes = (attribution == Attribution::Auto).then(|| {
            let mut runtimes = Runtimes::default();
            runtimes.all(&mut kernel);
            runtimes
        });
        Ok(Self {
            left_out: FxHashMap::default(),
            shed: Shed::default(),
            most_waiting: 0,
            announced: 0,
            read: 0,
            kernel,
            stats,
            order: Order::default(),
            listening: Listening::default(),
            unix: unix::Sockets::default(),
            runtimes,
            controlled: FxHashSet::default(),
            reported: [0; counter::COUNT as usize],
            recursion_misses: 0,
            before: Vec::new(),
        })
    }

    /// How many kernel programs are attached.
    pub fn attached(&self) -> usize {
        self.kernel.attached
    }

    /// How they see what goes through sockets, as the command line calls it.
    pub fn capture(&self) -> &'static str {
        self.kernel.backend.name()
    }

    /// What others may read of the kernel side at any time.
    pub fn gauges(&self) -> Gauges {
        self.kernel.gauges.clone()
    }

    /// Waits up to `timeout` for the ring to fill up to its threshold, then hands over what is
    /// there. False: more may be waiting.
    pub fn poll(&mut self, timeout: Duration, mut on: impl FnMut(Event<'_>)) -> bool {
        wait(self.kernel.ring.as_fd(), timeout);
        let waiting = self.kernel.gauges.ring.waiting();
        self.most_waiting = self.most_waiting.max(waiting);
        let Self { kernel, stats, order, listening, unix, runtimes, left_out, .. } = self;
        if let Some(runtimes) = runtimes {
            runtimes.look(kernel);
        }
        stats.ring_peak.fetch_max(waiting, Ordering::Relaxed);
        let mut on = |mut event: Event<'_>| {
            if let Event::Opened(opened) = &mut event
                && opened.role.is_none()
                && let Some(port) = opened.local.port()
                && listening.on(opened.netns, opened.pid, port)
            {
                opened.role = Some(Role::Server);
            }
            on(event);
        };
        let (mut read, mut bytes) = (0, 0);
        while read < BATCH {
            let Some(item) = kernel.ring.next() else { break };
            read += 1;
            bytes += item.len() as u64;
            let Ok((header, _)) = record::Header::ref_from_prefix(&item) else { continue };
            if header.kind == record::PROCESS {
                let bytes = item.to_vec();
                drop(item);
                let process =
                    record::Process::ref_from_prefix(&bytes).map(|(process, _)| process.pid);
                // Before what it does is told.
                let contexts = match (process, &mut *runtimes) {
                    (Ok(pid), Some(runtimes)) => runtimes.runs(kernel, pid),
                    _ => false,
                };
                decode::record(&bytes, contexts, unix, &mut on);
                continue;
            }
            let id = ConnectionId(header.cookie);
            let first = matches!(header.kind, record::CONN | record::UNIX);
            order.take(header.cookie, (header.number, first), &item, |next| {
                give(id, next, unix, left_out, &mut on);
            });
        }
        if read < BATCH {
            last(kernel, order, unix, left_out, &mut on);
            order.drained(Instant::now, |cookie, next| {
                give(ConnectionId(cookie), next, unix, left_out, &mut on);
            });
            unix.sweep(&mut on);
        }
        self.read += read as u64;
        stats.events.fetch_add(read as u64, Ordering::Relaxed);
        stats.event_bytes.fetch_add(bytes, Ordering::Relaxed);
        read < BATCH
    }

    /// Detaches the programs: nothing more comes than what is there.
    pub fn detach(&mut self) {
        // Of what is closed while they are detached, nobody will say anything after that.
        let mut open = Vec::new();
        remaining(&self.kernel, |left| {
            if open.len() < MAX_LEFT {
                open.push((left.cookie, left.number, left.announces, Box::from(left.record)));
            }
        });
        self.before = open;
        self.kernel.detach();
    }

    /// The last word: hands over what waits for records that did not come. What is still in the
    /// ring is counted as lost.
    pub fn finish(&mut self, mut on: impl FnMut(Event<'_>)) {
        let mut unread = 0;
        while self.kernel.ring.next().is_some() {
            unread += 1;
        }
        self.stats.lose(Loss::RingFull, unread);
        let before = std::mem::take(&mut self.before);
        let Self { kernel, order, unix, left_out, .. } = self;
        last(kernel, order, unix, left_out, &mut on);
        let mut open = FxHashSet::default();
        let mut take = |Left { cookie, number, announces, record }: Left<'_>| {
            // Others were announced, or, where they are not, are over.
            if order.knows(cookie) != announces {
                order.take(cookie, (number, announces), record, |next| {
                    give(ConnectionId(cookie), next, unix, left_out, &mut on);
                });
            }
        };
        remaining(kernel, |left| {
            open.insert(left.cookie);
            take(left);
        });
        for (cookie, number, announces, record) in &before {
            if !open.contains(cookie) {
                let (cookie, number, announces) = (*cookie, *number, *announces);
                take(Left { cookie, number, announces, record });
            }
        }
        order.finish(|cookie, next| give(ConnectionId(cookie), next, unix, left_out, &mut on));
        unix.sweep_now(&mut on);
    }

    /// Moves the kernel's counters of losses to the statistics.
    pub fn collect(&mut self) {
        for (slot, loss) in [
            (counter::RING_FULL, Loss::RingFull),
            (counter::UNREADABLE, Loss::Unreadable),
            (counter::UNKNOWN_CALL, Loss::Unreadable),
            (counter::NO_STORAGE, Loss::TableFull),
        ] {
            let now = self.kernel.counter(slot);
            let before = std::mem::replace(&mut self.reported[slot as usize], now);
            self.stats.lose(loss, now.saturating_sub(before));
        }
        self.kernel.log();
        if let Some(runtimes) = &mut self.runtimes {
            runtimes.sweep(&mut self.kernel);
        }
        let programs = self.kernel.gauges.programs();
        let now = programs.iter().map(|program| program.recursion_misses).sum();
        let before = std::mem::replace(&mut self.recursion_misses, now);
        self.stats.lose(Loss::Recursion, now.saturating_sub(before));
    }

    /// Stops all records of a connection.
    pub fn ignore(&mut self, id: ConnectionId) {
        self.control(id, Control { mode: mode::IGNORE, ..Control::default() });
    }

    /// Asks for as much of every message as a record holds.
    pub fn everything(&mut self, id: ConnectionId) {
        self.control(id, Control { mode: mode::EVERYTHING, ..Control::default() });
    }

    /// Has less captured of the answer to the request that ended at `asked`.
    pub fn brief(&mut self, id: ConnectionId, role: Role, asked: u64) {
        let mode = match role {
            Role::Client => mode::BRIEF_RECEIVED,
            Role::Server => mode::BRIEF_SENT,
        };
        // Without room for it, more is captured than anybody needs.
        if self.kernel.control(id.0, Control { mode, asked, ..Control::default() }).is_ok() {
            self.controlled.insert(id.0);
        }
    }

    /// Stops all records of a connection but its last, which says how many calls it made.
    pub fn count(&mut self, id: ConnectionId) {
        self.control(id, Control { mode: mode::COUNT, ..Control::default() });
    }

    /// Has a connection announced again, if it speaks again.
    pub fn announce(&mut self, id: ConnectionId) {
        self.announced = self.announced.wrapping_add(1).max(1);
        let told = self.announced;
        self.control(id, Control { mode: mode::ANNOUNCE, told, ..Control::default() });
    }

    /// Leaves out more, or less, of all connections from `now` on.
    pub fn shed(&mut self, step: Step, now: Time) {
        let load = self.shed.step(step, now);
        self.tell(load);
    }

    /// There is no more room for connections, or there is again.
    pub fn full(&mut self, full: bool) {
        let load = self.shed.full(full);
        self.tell(load);
    }

    /// What is to be told to the kernel some time after [`shed`](Self::shed).
    pub fn follow(&mut self, now: Time) {
        if let Some(load) = self.shed.due(now) {
            self.tell(load);
        }
    }

    /// How full the ring was since this was last asked.
    pub fn ring(&mut self) -> Ring {
        let most = std::mem::take(&mut self.most_waiting);
        let size = self.kernel.gauges.ring.size();
        Ring {
            fill: (most * 100 / (size - size / u64::from(RING_RESERVE)).max(1)) as u32,
            refused: self.kernel.counter(counter::RING_FULL),
            read: self.read,
        }
    }

    fn tell(&mut self, load: Load) {
        if let Err(error) = self.kernel.shed(load) {
            tracing::error!("telling the kernel programs what to leave out: {error}");
        }
    }

    /// Forgets a connection that is gone.
    pub fn release(&mut self, id: ConnectionId) {
        self.order.forget(id.0);
        self.unix.release(id.0);
        self.left_out.remove(&id.0);
        if self.controlled.remove(&id.0) {
            self.kernel.release(id.0);
        }
    }

    fn control(&mut self, id: ConnectionId, control: Control) {
        if let Err(error) = self.kernel.control(id.0, control) {
            self.stats.lose(Loss::TableFull, 1);
            tracing::debug!("connection {}: {error}", id.0);
        } else {
            self.controlled.insert(id.0);
        }
    }
}

fn wait(ring: BorrowedFd<'_>, timeout: Duration) {
    let mut poll = libc::pollfd { fd: ring.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one valid pollfd. A signal ends the wait early, which does no harm.
    unsafe {
        libc::poll(&raw mut poll, 1, millis);
    }
}

/// Hands over the last records of connections, which came beside the ring.
fn last(
    kernel: &mut Kernel,
    order: &mut Order,
    unix: &mut unix::Sockets,
    left_out: &mut FxHashMap<u64, u32>,
    on: &mut impl FnMut(Event<'_>),
) {
    for (conn, state) in kernel.take_last() {
        let cookie = state.header.cookie;
        let mut give = |next: Next<'_>| give(ConnectionId(cookie), next, unix, left_out, on);
        if let Some(conn) = conn {
            order.take(cookie, (conn.header.number, true), conn.as_bytes(), &mut give);
        }
        order.take(cookie, (state.header.number, false), state.as_bytes(), give);
    }
}

fn give(
    id: ConnectionId,
    next: Next<'_>,
    unix: &mut unix::Sockets,
    left_out: &mut FxHashMap<u64, u32>,
    on: &mut impl FnMut(Event<'_>),
) {
    match next {
        Next::Record(bytes) => {
            let total = decode::calls_left_out(bytes);
            if total != 0 {
                let before = left_out.insert(id.0, total).unwrap_or(0);
                // Less: a record that was given up and came late.
                let calls = total.saturating_sub(before);
                if calls != 0 {
                    on(Event::LeftOut { id, calls });
                }
            }
            decode::record(bytes, false, unix, on);
        }
        Next::Lost { records, messages: record::Messages { received, sent }, last } => {
            on(Event::Lost(Lost { id, records, received, sent, last }));
        }
    }
}
