//! The records of each connection in the order of their numbers, and what is missing between them.
//!
//! The kernel numbers a record before it writes it: one that is written in between by a softirq or
//! by another CPU overtakes it, by microseconds, or for as long as a hypervisor takes the CPU away.
//! What comes too early waits for what it overtook; what does not come in time was lost. The next
//! record that tells of messages then says how many began meanwhile, and in which direction.
//!
//! Where a hook runs after a send, the numbers are not the order: the record of a send may come
//! after one of what followed it ([`overtaking`]).

mod overtaking;

use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use tracebee_common::record::{self, FLAG_FIRST, FLAG_SENT, Messages, tcp};
use zerocopy::FromBytes as _;

use self::overtaking::{Overtaking, Step};
use crate::source::Direction;

/// How long a record that was overtaken may take.
const PATIENCE: Duration = Duration::from_millis(200);

/// Bytes of memory of the records that wait in all: a hundred of the longest. Overtaking is rare and
/// short: more than this is loss.
const MAX_HELD: usize = 4 << 20;

/// Connections whose numbers are known, at 130 bytes each: more than are followed, because those
/// that are not have records, too. The records of others are passed on as they come.
const MAX_CONNECTIONS: usize = 4 * crate::limit::budget::MAX_CONNECTIONS;

/// Bytes of memory that a record takes which waits.
fn cost(record: &[u8]) -> usize {
    record.len() + 48
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// This record is next.
    Record(&'a [u8]),
    /// Something of the connection is missing here; see [`Lost`](crate::source::Lost).
    Lost { records: u32, messages: Messages, last: Option<Direction> },
}

#[derive(Default)]
struct Connection {
    next: u32,
    /// By number.
    held: Vec<(u32, Box<[u8]>)>,
    /// When the first of them came.
    since: Option<Instant>,
    /// Messages that are known to have begun.
    messages: Messages,
    /// Records that are missing since a record told of messages.
    lost: u32,
    overtaking: Overtaking,
    /// Bytes of memory of what waits.
    cost: usize,
}

/// The connections.
#[derive(Default)]
pub(super) struct Order {
    connections: FxHashMap<u64, Connection>,
    /// Those in which something waits.
    waiting: Vec<u64>,
    /// Bytes of what waits.
    held: usize,
}

impl Order {
    /// Takes a record in and gives out, in order, what is due. The record that announces a
    /// connection (`first`) waits for none before it: there was no room for them.
    pub(super) fn take(
        &mut self,
        cookie: u64,
        (number, first): (u32, bool),
        bytes: &[u8],
        mut give: impl FnMut(Next<'_>),
    ) {
        if self.connections.len() >= MAX_CONNECTIONS && !self.connections.contains_key(&cookie) {
            give(Next::Record(bytes));
            return;
        }
        let connection = self.connections.entry(cookie).or_insert_with(|| Connection {
            next: if first { number } else { 0 },
            lost: if first { number } else { 0 },
            ..Connection::default()
        });
        let (cost, waits) = (connection.cost, connection.waits());
        connection.arrive(number, bytes, &mut give);
        self.held = self.held - cost + connection.cost;
        if connection.waits() && !waits {
            connection.since = Some(Instant::now());
            self.waiting.push(cookie);
        }
        if self.held > MAX_HELD {
            self.held -= connection.cost;
            connection.give_up(&mut give);
        }
    }

    /// The ring was read to its end at `now`: gives out what waited long enough.
    pub(super) fn drained(
        &mut self,
        now: impl Fn() -> Instant,
        mut give: impl FnMut(u64, Next<'_>),
    ) {
        let Self { connections, waiting, held } = self;
        if waiting.is_empty() {
            return;
        }
        let now = now();
        waiting.retain(|cookie| {
            let Some(connection) = connections.get_mut(cookie) else { return false };
            let overdue = connection.since.is_some_and(|since| now > since + PATIENCE);
            if overdue {
                *held -= connection.cost;
                connection.give_up(&mut |next| give(*cookie, next));
            }
            connection.waits()
        });
    }

    /// True if a record of the connection came.
    pub(super) fn knows(&self, cookie: u64) -> bool {
        self.connections.contains_key(&cookie)
    }

    /// Nothing more will come: gives out what waits.
    pub(super) fn finish(&mut self, mut give: impl FnMut(u64, Next<'_>)) {
        for cookie in std::mem::take(&mut self.waiting) {
            if let Some(connection) = self.connections.get_mut(&cookie) {
                self.held -= connection.cost;
                connection.give_up(&mut |next| give(cookie, next));
            }
        }
    }

    /// Forgets a connection that is gone.
    pub(super) fn forget(&mut self, cookie: u64) {
        if let Some(connection) = self.connections.remove(&cookie) {
            self.held -= connection.cost;
        }
    }
}

impl Connection {
    fn waits(&self) -> bool {
        self.cost != 0
    }

    /// Takes record `number` and gives out what is due.
    fn arrive(&mut self, number: u32, bytes: &[u8], give: &mut impl FnMut(Next<'_>)) {
        let ahead = number.wrapping_sub(self.next);
        if ahead == 0 {
            self.next = number.wrapping_add(1);
            self.follow(bytes, give);
            self.release(give);
        } else if ahead > u32::MAX / 2 {
            // Given out twice, or given up already: its position tells what is new in it.
            self.follow(bytes, give);
        } else {
            let next = self.next;
            let at = self.held.partition_point(|(held, _)| held.wrapping_sub(next) <= ahead);
            self.held.insert(at, (number, bytes.into()));
            self.cost += cost(bytes);
        }
    }

    /// Gives out what follows without a gap.
    fn release(&mut self, give: &mut impl FnMut(Next<'_>)) {
        if self.held.is_empty() {
            return;
        }
        let held = std::mem::take(&mut self.held);
        let mut count = 0;
        for (number, bytes) in &held {
            // Behind `next` if a number was given out twice.
            let ahead = number.wrapping_sub(self.next);
            if ahead != 0 && ahead <= u32::MAX / 2 {
                break;
            }
            if ahead == 0 {
                self.next = number.wrapping_add(1);
            }
            self.cost -= cost(bytes);
            self.follow(bytes, give);
            count += 1;
        }
        self.held = held;
        self.held.drain(..count);
    }

    /// Gives out everything, with the losses in between.
    fn give_up(&mut self, give: &mut impl FnMut(Next<'_>)) {
        self.give_in(give);
        while let Some(&(number, _)) = self.held.first() {
            self.lost = self.lost.saturating_add(number.wrapping_sub(self.next));
            self.next = number;
            self.release(give);
            // What is awaited may be what is lost.
            self.give_in(give);
        }
    }

    /// The next record by number: it may have overtaken a send, or be one that was overtaken.
    fn follow(&mut self, bytes: &[u8], give: &mut impl FnMut(Next<'_>)) {
        match self.overtaking.step(bytes) {
            Step::Pass => self.pass(bytes, give),
            Step::Wait => {
                self.overtaking.push(bytes);
                self.cost += cost(bytes);
            }
            Step::Due => {
                self.pass(bytes, give);
                while let Some(bytes) = self.overtaking.pop() {
                    self.cost -= cost(&bytes);
                    self.pass(&bytes, give);
                }
            }
            Step::GiveIn => {
                self.give_in(give);
                self.pass(bytes, give);
            }
            // As lost it was counted before.
            Step::Late => {}
        }
    }

    /// Waits for no send any more.
    fn give_in(&mut self, give: &mut impl FnMut(Next<'_>)) {
        while let Some((bytes, missing)) = self.overtaking.give_in() {
            self.cost -= cost(&bytes);
            self.lost = self.lost.saturating_add(u32::from(missing));
            self.pass(&bytes, give);
        }
    }

    /// Gives out a record, before it what is missing.
    fn pass(&mut self, bytes: &[u8], give: &mut impl FnMut(Next<'_>)) {
        match Told::of(bytes) {
            Told::Nothing => {}
            // What it ends is not known any more.
            Told::Sent if self.lost > 0 => {
                self.lost = self.lost.saturating_add(1);
                return;
            }
            Told::Sent => {}
            Told::Messages { messages, begins, last, end } => {
                // After a record that came too late there are none.
                let since = |now: u32, before: u32| {
                    let since = now.wrapping_sub(before);
                    if since > u32::MAX / 2 { 0 } else { since }
                };
                let Messages { received, sent } = messages;
                let mut missed = Messages {
                    received: since(received, self.messages.received),
                    sent: since(sent, self.messages.sent),
                };
                self.messages.received = self.messages.received.wrapping_add(missed.received);
                self.messages.sent = self.messages.sent.wrapping_add(missed.sent);
                match begins {
                    Some(Direction::Received) => {
                        missed.received = missed.received.saturating_sub(1);
                    }
                    Some(Direction::Sent) => missed.sent = missed.sent.saturating_sub(1),
                    None => {}
                }
                // Without a loss the numbers prove nothing: of two threads at once, one may have
                // counted its message and not yet told of it. In the end all are told.
                let skipped = end && missed != Messages::default();
                if self.lost > 0 || skipped {
                    let records = std::mem::take(&mut self.lost);
                    give(Next::Lost { records, messages: missed, last });
                }
            }
        }
        give(Next::Record(bytes));
    }
}

/// What a record says of the messages of its connection.
enum Told {
    /// Nothing.
    Nothing,
    /// Nothing but how far one was accepted.
    Sent,
    /// How many there were.
    Messages {
        messages: Messages,
        /// One of this direction begins with the record.
        begins: Option<Direction>,
        /// The last before the record is of this direction.
        last: Option<Direction>,
        /// There will not be more.
        end: bool,
    },
}

impl Told {
    fn of(bytes: &[u8]) -> Self {
        let Ok((header, _)) = record::Header::ref_from_prefix(bytes) else { return Told::Nothing };
        let sent = header.flags & FLAG_SENT != 0;
        let direction = if sent { Direction::Sent } else { Direction::Received };
        match header.kind {
            record::DATA => {
                let Ok((data, _)) = record::Data::ref_from_prefix(bytes) else {
                    return Told::Nothing;
                };
                let first = header.flags & FLAG_FIRST != 0;
                Told::Messages {
                    messages: data.messages,
                    begins: first.then_some(direction),
                    last: Some(if first { direction.reverse() } else { direction }),
                    end: false,
                }
            }
            record::STATE => {
                let Ok((state, _)) = record::State::ref_from_prefix(bytes) else {
                    return Told::Nothing;
                };
                Told::Messages {
                    messages: state.messages,
                    begins: None,
                    last: Some(direction),
                    end: matches!(state.new, tcp::CLOSE | tcp::UNCHANGED),
                }
            }
            record::SENT => Told::Sent,
            _ => Told::Nothing,
        }
    }
}

#[cfg(test)]
mod tests;
