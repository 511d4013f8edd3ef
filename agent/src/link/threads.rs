//! Threads that serve one request at a time: what such a thread asks of others meanwhile is part of
//! that request.
//!
//! Nothing says of a process whether its threads are like that, and an event loop with little to do
//! looks the same. So a process has to prove it (`PROOFS` of them), under circumstances in which others
//! give themselves away, and one act of which a thread like that is not capable (a `Deed`) ends it:
//! until then, and after that, nothing is told of its threads.

use std::fmt;

use rustc_hash::FxHashMap;

use super::serving::Place;
use crate::source::{ConnectionId, Thread, Time};

/// A process is believed after so many requests in a row that were each read, worked on and answered
/// by one thread, which asked others meanwhile and waited for them, while another thread did the same.
/// Where requests or calls change threads, each of these shows it more likely than not.
const PROOFS: u32 = 64;
/// What is known of a process that reads no requests, or of a thread that does not and asks nobody,
/// is forgotten after so long.
const IDLE: u64 = 600_000_000_000;
/// Processes that are remembered, at about 50 bytes each; those beyond are not believed.
const MAX_PROCESSES: usize = 65_536;
/// Threads that are remembered, at about 120 bytes each; those beyond have no calls.
const MAX_THREADS: usize = 65_536;

/// What a thread does at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Doing {
    /// The thread.
    pub thread: Thread,
    /// The moment.
    pub time: Time,
    /// How many records of any connection were lost before: where two moments differ in this, a
    /// thread may have done something in between that nobody knows.
    pub losses: u64,
}

/// Whose a call is, as far as its thread tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// That of the request which began there.
    For(Place),
    /// Nobody's: the thread serves no request, now or ever, or which one is not certain.
    Nobody,
    /// Threads say nothing in this process.
    Unknown,
}

/// What a thread does not do that serves one request at a time, and waits for whom it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// It reads another request before it has answered.
    Reads,
    /// Another answers what it has read.
    IsAnsweredFor,
    /// It does something else while it waits for an answer.
    DoesNotWait,
    /// Another reads the answer to its call.
    IsReadFor,
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reads => "one read a request before it had answered another",
            Self::IsAnsweredFor => "what one had read another answered",
            Self::DoesNotWait => "one did something else while it waited for an answer",
            Self::IsReadFor => "what one had asked another was answered",
        })
    }
}

/// The threads that serve requests.
#[derive(Default)]
pub struct Threads {
    processes: FxHashMap<u32, Process>,
    /// By thread id.
    threads: FxHashMap<u32, Worker>,
}

/// What is known of a process.
#[derive(Default)]
struct Process {
    standing: Standing,
    /// Requests in which a thread was seen to do as it should, from the first to the last byte.
    clean: u64,
    /// When one of its threads last read a request.
    last: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// So many proofs so far.
    Tried(u32),
    Believed,
    /// For good.
    Disproved,
}

impl Default for Standing {
    fn default() -> Self {
        Self::Tried(0)
    }
}

/// A thread that serves requests, or did.
struct Worker {
    pid: u32,
    serves: Option<Served>,
    last: Time,
}

/// What a thread does for the request that it serves.
struct Served {
    /// Where it began: of several that it read at once, the last.
    place: Place,
    /// How many of the connection it has read and not answered.
    open: usize,
    since: Time,
    losses: u64,
    /// Its answer has begun.
    answering: bool,
    /// And nobody will know where that ends before the next request.
    endless: bool,
    /// The connection on which it waits for an answer.
    awaits: Option<ConnectionId>,
    /// It was given one.
    called: bool,
    /// It proves nothing, whatever comes.
    flawed: bool,
    /// `Process::clean` when it began.
    clean: u64,
}

impl Threads {
    /// A thread has read the head of the request that begins at `place`. It proves nothing if not
    /// `all_seen`: the process may be busy with requests that are not.
    pub fn reads(&mut self, doing: Doing, place: Place, all_seen: bool) {
        let Doing { thread: Thread { pid, tid }, time, losses } = doing;
        if self.processes.len() >= MAX_PROCESSES && !self.processes.contains_key(&pid) {
            return;
        }
        let process = self.processes.entry(pid).or_default();
        process.last = time;
        if process.standing == Standing::Disproved {
            return;
        }
        if self.threads.len() >= MAX_THREADS && !self.threads.contains_key(&tid) {
            return;
        }
        let worker = self.threads.entry(tid).or_insert(Worker { pid, serves: None, last: time });
        if worker.pid != pid {
            // The number of a thread that is gone.
            *worker = Worker { pid, serves: None, last: time };
        }
        worker.last = time;
        let (mut open, mut flawed) = (1, !all_seen);
        if let Some(before) = worker.serves.take().filter(|before| before.losses == losses) {
            if before.awaits.is_some() {
                return self.disprove(pid, tid, Deed::DoesNotWait);
            }
            if before.place.0 == place.0 {
                open += before.open;
                flawed = true;
            } else if !before.endless {
                return self.disprove(pid, tid, Deed::Reads);
            }
        }
        worker.serves = Some(Served {
            place,
            open,
            since: time,
            losses,
            answering: false,
            endless: false,
            awaits: None,
            called: false,
            flawed,
            clean: process.clean,
        });
    }

    /// A thread sends a part of the answer to what `reader` has read on connection `id`.
    pub fn answers(&mut self, doing: Doing, reader: Thread, id: ConnectionId) {
        let Some(served) = self.serves_on(doing, reader, id) else { return };
        let deed = if doing.thread != reader {
            if served.answering {
                // It was left to another to send the rest, as some servers do with files.
                self.leave(reader.tid);
                return;
            }
            Deed::IsAnsweredFor
        } else if served.awaits.is_some() {
            Deed::DoesNotWait
        } else {
            served.answering = true;
            return;
        };
        self.disprove(reader.pid, reader.tid, deed);
    }

    /// As far as it has come, the end of the answer on `id` shows with the next request only.
    pub fn is_endless(&mut self, reader: Thread, id: ConnectionId) {
        if let Some(worker) = self.threads.get_mut(&reader.tid)
            && let Some(served) = worker.serves.as_mut().filter(|served| served.place.0 == id)
        {
            served.endless = true;
        }
    }

    /// A request that `reader` has read was answered; not `whole` if nobody knows how, or in part.
    pub fn answered(&mut self, reader: Thread, place: Place, whole: bool) {
        let Some(worker) = self.threads.get_mut(&reader.tid) else { return };
        let Some(served) = worker.serves.as_mut().filter(|served| served.place.0 == place.0) else {
            return;
        };
        if served.open > 1 {
            served.open -= 1;
            return;
        }
        if served.place != place {
            return;
        }
        let Some(served) = worker.serves.take() else { return };
        let clean = whole && !served.flawed && served.called && served.answering;
        let Some(process) = self.processes.get_mut(&reader.pid).filter(|_| clean) else { return };
        if let Standing::Tried(proofs) = process.standing
            && process.clean > served.clean
        {
            let enough = proofs + 1 >= PROOFS;
            process.standing =
                if enough { Standing::Believed } else { Standing::Tried(proofs + 1) };
            if enough {
                let pid = reader.pid;
                tracing::info!("process {pid} serves one request at a time in each thread");
            }
        }
        process.clean += 1;
    }

    /// A thread begins to ask on connection `id`, at `started`; on none if it will not wait for an
    /// answer. Not `alone` if others had a part in what it sends.
    pub fn asks(
        &mut self,
        doing: Doing,
        id: Option<ConnectionId>,
        started: Time,
        alone: bool,
    ) -> Asked {
        let Thread { pid, tid } = doing.thread;
        let believed =
            self.processes.get(&pid).is_some_and(|process| process.standing == Standing::Believed);
        let unless = if believed { Asked::Nobody } else { Asked::Unknown };
        let Some(worker) = self.threads.get_mut(&tid).filter(|worker| worker.pid == pid) else {
            return unless;
        };
        worker.last = doing.time;
        let Some(served) = worker.serves.as_mut() else { return unless };
        if served.losses != doing.losses {
            worker.serves = None;
            return unless;
        }
        let mut certain = alone && served.open == 1 && !served.endless && served.since <= started;
        match id {
            Some(id) if served.awaits.is_some_and(|other| other != id) => {
                self.disprove(pid, tid, Deed::DoesNotWait);
                return Asked::Unknown;
            }
            Some(id) => {
                served.awaits = Some(id);
                served.flawed |= !alone;
            }
            None => certain &= served.awaits.is_none(),
        }
        if believed && certain { Asked::For(served.place) } else { unless }
    }

    /// A thread was given the first bytes of the answer to what `asker` has asked on connection `id`.
    pub fn hears(&mut self, doing: Doing, asker: Thread, id: ConnectionId) {
        let Some(worker) = self.threads.get_mut(&asker.tid).filter(|it| it.pid == asker.pid) else {
            return;
        };
        let Some(served) = worker.serves.as_mut().filter(|it| it.awaits == Some(id)) else {
            return;
        };
        if served.losses != doing.losses {
            worker.serves = None;
        } else if doing.thread == asker {
            served.awaits = None;
            served.called = true;
        } else {
            self.disprove(asker.pid, asker.tid, Deed::IsReadFor);
        }
    }

    /// `asker` waits no more for an answer on connection `id`: it ended, or nothing more is known.
    pub fn gives_up(&mut self, asker: Thread, id: ConnectionId) {
        if let Some(worker) = self.threads.get_mut(&asker.tid)
            && let Some(served) = worker.serves.as_mut().filter(|it| it.awaits == Some(id))
        {
            served.awaits = None;
            served.flawed = true;
        }
    }

    /// A process runs another program from now on.
    pub fn runs(&mut self, pid: u32) {
        if self.processes.remove(&pid).is_some() {
            self.threads.retain(|_, worker| worker.pid != pid);
        }
    }

    /// What threads did meanwhile is not known.
    pub fn forget_work(&mut self) {
        self.threads.clear();
    }

    /// Forgets those that have been idle for long.
    pub fn expire(&mut self, now: Time) {
        let young = |last: Time| now.0.saturating_sub(last.0) < IDLE;
        self.threads.retain(|_, worker| young(worker.last));
        self.processes.retain(|_, process| young(process.last));
    }

    /// What `reader` does for the request that it has read on connection `id`, if all is known that
    /// was done until now.
    fn serves_on(&mut self, doing: Doing, reader: Thread, id: ConnectionId) -> Option<&mut Served> {
        let worker = self.threads.get_mut(&reader.tid).filter(|it| it.pid == reader.pid)?;
        let served = worker.serves.as_ref().filter(|served| served.place.0 == id)?;
        if served.losses != doing.losses {
            worker.serves = None;
        }
        worker.serves.as_mut()
    }

    fn leave(&mut self, tid: u32) {
        if let Some(worker) = self.threads.get_mut(&tid) {
            worker.serves = None;
        }
    }

    /// Nothing is told of the process's threads from now on.
    fn disprove(&mut self, pid: u32, tid: u32, deed: Deed) {
        self.leave(tid);
        if let Some(process) = self.processes.get_mut(&pid)
            && process.standing != Standing::Disproved
        {
            let proofs = match process.standing {
                Standing::Tried(proofs) => proofs,
                Standing::Believed | Standing::Disproved => PROOFS,
            };
            tracing::info!(
                "the threads of process {pid} do not tell whose its calls are, after {proofs} proofs: \
                 {deed}"
            );
            process.standing = Standing::Disproved;
        }
    }
}

#[cfg(test)]
mod tests;
