//! Threads that are brought messages and work on one at a time: what such a thread asks of others before
//! it settles the message is done for that.
//!
//! As with requests ([`threads`](super::threads)) nothing says of a process whether its threads are like
//! that. It is believed after so many messages in a row (`PROOFS`) that were each read, worked on and
//! settled by one thread, which asked others meanwhile and waited for them; one act of which a thread
//! like that is not capable (a `Deed`) ends it for good.
//!
//! Of several messages that a thread has in hand nobody knows which it works on: it may settle first and
//! work then. So only one that was alone from the time when it was brought has calls.

use std::fmt;

use rustc_hash::FxHashMap;

use super::serving::Place;
use super::threads::Doing;
use crate::source::{ConnectionId, Thread, Time};

/// A process is believed after so many messages. A loop that has other things to do, too, shows it much
/// sooner, as its calls come while others are waited for.
const PROOFS: u32 = 64;
/// What is known of a thread that is brought nothing is forgotten after so long.
const IDLE: u64 = 600_000_000_000;
/// Processes that are remembered, at about 40 bytes each; those beyond are not believed.
const MAX_PROCESSES: usize = 65_536;
/// Threads that are remembered, at about 100 bytes each; those beyond have no calls.
const MAX_THREADS: usize = 65_536;
/// Messages that are remembered, at 32 bytes each; threads that are brought those beyond have no calls.
const MAX_MESSAGES: usize = 65_536;

/// The threads that are brought messages.
#[derive(Default)]
pub struct Consumers {
    processes: FxHashMap<u32, Process>,
    threads: FxHashMap<Thread, Worker>,
    /// Who has them in hand.
    messages: FxHashMap<Place, Thread>,
}

struct Process {
    standing: Standing,
    last: Time,
}

enum Standing {
    /// So many proofs.
    Tried(u32),
    Believed,
    Disproved,
}

struct Worker {
    last: Time,
    /// Records that were lost before what it did last.
    losses: u64,
    /// Messages in its hands.
    open: usize,
    /// The one that was never in its hands with another.
    alone: Option<Place>,
    /// It is asked on this connection and has not heard of it.
    awaits: Option<ConnectionId>,
    /// It has asked for the message and heard.
    called: bool,
    /// What it had in its hands is settled, and nothing else was brought.
    settled: bool,
}

/// What a thread that works on one message at a time never does.
#[derive(Clone, Copy)]
enum Deed {
    DoesNotWait,
    IsSettledFor,
    WorksOn,
    Serves,
    HasNoEnd,
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Deed::DoesNotWait => "one does something else while it waits for an answer",
            Deed::IsSettledFor => "another settles what one was brought",
            Deed::WorksOn => "one asks others when it has settled what it was brought",
            Deed::Serves => "one is brought messages and reads requests",
            Deed::HasNoEnd => "one is brought messages that nobody settles",
        })
    }
}

impl Consumers {
    /// A thread was brought the message at `place`, which it is to settle.
    pub fn brought(&mut self, doing: Doing, place: Place) {
        let Doing { thread, time, losses } = doing;
        if self.processes.len() >= MAX_PROCESSES && !self.processes.contains_key(&thread.pid) {
            return;
        }
        let new = Process { standing: Standing::Tried(0), last: time };
        let process = self.processes.entry(thread.pid).or_insert(new);
        process.last = time;
        if matches!(process.standing, Standing::Disproved) {
            return;
        }
        let full = self.threads.len() >= MAX_THREADS && !self.threads.contains_key(&thread);
        if full || self.messages.len() >= MAX_MESSAGES {
            return self.disprove(thread, Deed::HasNoEnd);
        }
        let worker = self.threads.entry(thread).or_insert(Worker {
            last: time,
            losses,
            open: 0,
            alone: None,
            awaits: None,
            called: false,
            settled: false,
        });
        if self.messages.insert(place, thread).is_none() {
            worker.open += 1;
        }
        worker.last = time;
        worker.alone = (worker.open == 1).then_some(place);
        (worker.called, worker.settled) = (false, false);
    }

    /// A thread was brought a message that nobody will settle.
    pub fn brought_for_good(&mut self, thread: Thread) {
        if self.threads.contains_key(&thread) {
            self.disprove(thread, Deed::HasNoEnd);
        }
    }

    /// The message at `place` was settled by what a thread does; by nobody if that is not known, or it
    /// never was.
    pub fn settled(&mut self, place: Place, by: Option<Doing>) {
        let Some(thread) = self.messages.remove(&place) else { return };
        let Some(worker) = self.threads.get_mut(&thread) else { return };
        worker.open = worker.open.saturating_sub(1);
        // Whose connection has ended goes on with what it had in its hands.
        worker.settled = worker.open == 0 && by.is_some();
        let alone = worker.alone.take_if(|alone| *alone == place).is_some();
        let Some(by) = by.filter(|by| by.losses == worker.losses) else { return };
        if by.thread != thread {
            return self.disprove(thread, Deed::IsSettledFor);
        }
        if worker.awaits.is_some() {
            return self.disprove(thread, Deed::DoesNotWait);
        }
        let proves = alone && worker.called;
        let Some(process) = self.processes.get_mut(&thread.pid).filter(|_| proves) else { return };
        if let Standing::Tried(proofs) = &mut process.standing {
            *proofs += 1;
            if *proofs >= PROOFS {
                process.standing = Standing::Believed;
                let pid = thread.pid;
                tracing::info!("process {pid} works on one message at a time in each thread");
            }
        }
    }

    /// A thread reads a request.
    pub fn serves(&mut self, thread: Thread) {
        if self.threads.contains_key(&thread) {
            self.disprove(thread, Deed::Serves);
        }
    }

    /// A thread reads from a connection, or writes to it.
    pub fn does(&mut self, doing: Doing, id: ConnectionId, reads: bool) {
        // Nearly no thread is brought messages.
        if self.threads.is_empty() {
            return;
        }
        let Some(worker) = self.threads.get_mut(&doing.thread) else { return };
        if worker.losses != doing.losses {
            // It may have done anything.
            worker.losses = doing.losses;
            worker.alone = None;
            worker.awaits = None;
        }
        match worker.awaits {
            Some(awaited) if awaited != id => self.disprove(doing.thread, Deed::DoesNotWait),
            Some(_) if reads => {
                worker.awaits = None;
                worker.called = true;
            }
            _ => {}
        }
    }

    /// A thread begins to ask others on connection `id`, or to send them what is not `answered`: for
    /// which message.
    pub fn asks(&mut self, doing: Doing, id: ConnectionId, answered: bool) -> Option<Place> {
        let worker = self.threads.get_mut(&doing.thread)?;
        worker.last = doing.time;
        if worker.settled {
            self.disprove(doing.thread, Deed::WorksOn);
            return None;
        }
        if answered && worker.open > 0 {
            worker.awaits = Some(id);
        }
        let process = self.processes.get(&doing.thread.pid)?;
        worker.alone.filter(|_| matches!(process.standing, Standing::Believed))
    }

    /// A thread waits no more for an answer on connection `id`: it ended.
    pub fn gives_up(&mut self, thread: Thread, id: ConnectionId) {
        if let Some(worker) = self.threads.get_mut(&thread) {
            worker.awaits.take_if(|awaited| *awaited == id);
        }
    }

    /// A process runs another program from now on.
    pub fn runs(&mut self, pid: u32) {
        if self.processes.remove(&pid).is_some() {
            self.forget(pid);
        }
    }

    /// Forgets those that have been idle for long.
    pub fn expire(&mut self, now: Time) {
        let young = |last: Time| now.0.saturating_sub(last.0) < IDLE;
        self.processes.retain(|_, process| young(process.last));
        let Self { processes, threads, messages } = self;
        let brought = |pid: &u32| processes.contains_key(pid);
        threads.retain(|it, worker| brought(&it.pid) && (young(worker.last) || worker.open > 0));
        messages.retain(|_, thread| threads.contains_key(thread));
    }

    fn forget(&mut self, pid: u32) {
        self.threads.retain(|thread, _| thread.pid != pid);
        self.messages.retain(|_, thread| thread.pid != pid);
    }

    /// Nothing is told of the process's threads from now on.
    fn disprove(&mut self, thread: Thread, deed: Deed) {
        let Some(process) = self.processes.get_mut(&thread.pid) else { return };
        let proofs = match process.standing {
            Standing::Tried(proofs) => proofs,
            Standing::Believed => PROOFS,
            Standing::Disproved => return,
        };
        tracing::info!(
            "the threads of process {} do not tell for which message its calls are, after {proofs} \
             proofs: {deed}",
            thread.pid
        );
        process.standing = Standing::Disproved;
        self.forget(thread.pid);
    }
}

#[cfg(test)]
mod tests;
