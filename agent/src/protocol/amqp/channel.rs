//! One channel: the messages that are under way on it, and what waits for an answer.

use std::collections::VecDeque;

use super::frame::HEAD;
use crate::protocol::messaging::{Request, Response, Settled};
use crate::protocol::{self, Numbered, Part, Side};

/// Messages of one channel that wait for a confirm, or for the client to settle them. Clients keep
/// hundreds open, some thousands; beyond it the oldest ends as if it were not waited for.
const MAX_WAITING: usize = 2048;

/// Consumers of one channel the queues of which are known.
const MAX_CONSUMERS: usize = 256;

/// One channel of a connection.
#[derive(Default)]
pub(super) struct Channel {
    /// The message that each side is sending.
    pub(super) contents: [Option<Content>; 2],
    /// Published messages that are counted, if the channel is known to be in confirm mode.
    pub(super) confirms: Confirms,
    unconfirmed: VecDeque<Published>,
    /// Numbers of `basic.get`s without answer.
    pub(super) gets: VecDeque<Get>,
    /// Delivery tag and number of what the client is to settle, in the order of tags.
    unsettled: VecDeque<(u64, u64)>,
    /// The delivery tag that comes next.
    next_tag: Option<u64>,
    consumers: Vec<Consumer>,
    /// Queues of consumers that the broker will name.
    nameless: VecDeque<Consumer>,
    /// The queue declared last, by which "" is meant.
    pub(super) declared: Option<Box<str>>,
}

/// Whether a channel is in confirm mode.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Confirms {
    /// Nobody knows, or how many messages went by.
    #[default]
    Unknown,
    /// No.
    Off,
    /// Yes, and so many messages were published since.
    Counted(u64),
}

/// A `basic.get` without answer.
pub(super) struct Get {
    pub(super) number: u64,
    pub(super) queue: Option<Box<str>>,
}

/// A message under way.
pub(super) struct Content {
    /// Of its call, if it makes one.
    pub(super) number: Option<u64>,
    /// What is known of it, until its header comes.
    pub(super) request: Option<Box<Request>>,
    /// Bytes of its body that are to come, once its header was seen.
    pub(super) left: Option<u64>,
    /// What stands for where it was sent to.
    pub(super) sent_to: u64,
    pub(super) what: What,
}

impl Content {
    /// Bytes of all frames in which the rest of the body comes, if frames are at most `frame_max`
    /// long and no shorter than they must be; 0 is no limit.
    pub(super) fn rest(&self, frame_max: u32) -> Option<u64> {
        let left = self.left.filter(|left| *left > 0)?;
        let around = HEAD as u64 + 1;
        let frames = match frame_max {
            0 => 1,
            most => left.div_ceil(u64::from(most).checked_sub(around).filter(|most| *most > 0)?),
        };
        left.checked_add(frames.checked_mul(around)?)
    }
}

/// What becomes of a message when it is whole.
pub(super) enum What {
    Published {
        mandatory: bool,
        evidence: Option<Evidence>,
    },
    /// `settled`: the client will say when it is done.
    Delivered {
        tag: u64,
        settled: bool,
    },
    Got,
    Returned {
        code: u16,
    },
}

/// By which a message that is returned is known again.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Evidence {
    destination: Option<Box<str>>,
    message_id: Option<Box<str>>,
    body: Option<u64>,
}

impl Evidence {
    pub(super) fn of(message: &Request) -> Self {
        let Request { destination, message_id, body, .. } = message;
        Self { destination: destination.clone(), message_id: message_id.clone(), body: *body }
    }
}

struct Published {
    tag: u64,
    number: u64,
    /// If it may be returned.
    evidence: Option<Evidence>,
    /// It was.
    returned: Option<u16>,
}

#[derive(Clone)]
struct Consumer {
    tag: Box<[u8]>,
    queue: Option<Box<str>>,
    no_ack: bool,
    /// The broker has said that it consumes.
    begun: bool,
}

fn ends(number: u64, at: Option<(Side, u64)>, response: Response) -> Part {
    let response = protocol::Response::Messaging(Box::new(response));
    Part::Numbered(number, Numbered::Ends { at, response: Some(response) })
}

/// A call that is over when its message is whole.
pub(super) fn ends_whole(number: u64) -> Part {
    Part::Numbered(number, Numbered::Ends { at: None, response: None })
}

impl Channel {
    /// One that is opened now.
    pub(super) fn opened() -> Self {
        Self { confirms: Confirms::Off, next_tag: Some(1), ..Self::default() }
    }

    /// A message was published whole.
    pub(super) fn published(
        &mut self,
        number: u64,
        evidence: Option<Evidence>,
        parts: &mut Vec<Part>,
    ) {
        let Confirms::Counted(count) = &mut self.confirms else {
            parts.push(ends_whole(number));
            return;
        };
        *count += 1;
        if self.unconfirmed.len() >= MAX_WAITING
            && let Some(oldest) = self.unconfirmed.pop_front()
        {
            parts.push(Part::Numbered(oldest.number, Numbered::Lost));
        }
        self.unconfirmed.push_back(Published { tag: *count, number, evidence, returned: None });
    }

    /// The broker confirmed the message with this tag, and those before if there are `multiple`, or
    /// refused them.
    pub(super) fn confirmed(
        &mut self,
        (tag, multiple): (u64, bool),
        taken: bool,
        at: u64,
        parts: &mut Vec<Part>,
    ) {
        if let Confirms::Counted(count) = self.confirms
            && tag > count
        {
            // More than were published: some went by unseen.
            self.confirms = Confirms::Unknown;
            let unconfirmed = self.unconfirmed.drain(..);
            parts.extend(unconfirmed.map(|one| Part::Numbered(one.number, Numbered::Lost)));
            return;
        }
        let (first, last) = range(&self.unconfirmed, |one| one.tag, tag, multiple);
        for Published { number, returned, .. } in self.unconfirmed.drain(first..last) {
            let response =
                Response { code: returned, confirmed: taken, refused: !taken, settled: None };
            parts.push(ends(number, Some((Side::Response, at)), response));
        }
    }

    /// A message came back: true if it is certain which.
    pub(super) fn returned(&mut self, evidence: &Evidence, code: u16) -> bool {
        let is_it = |one: &&mut Published| one.evidence.as_ref() == Some(evidence);
        let mut candidates = self.unconfirmed.iter_mut().filter(is_it);
        let (Some(one), None) = (candidates.next(), candidates.next()) else { return false };
        one.returned = Some(code);
        true
    }

    /// A delivery with this tag begins: how many before it were not seen.
    pub(super) fn delivers(&mut self, tag: u64) -> u64 {
        let expected = self.next_tag.replace(tag.saturating_add(1));
        expected.map_or(0, |expected| tag.saturating_sub(expected))
    }

    /// It was delivered whole, and is to be settled.
    pub(super) fn delivered(&mut self, tag: u64, number: u64, parts: &mut Vec<Part>) {
        if self.unsettled.back().is_some_and(|(last, _)| *last >= tag) {
            // Tags grow; these do not, and mean nothing.
            parts.push(ends_whole(number));
            return;
        }
        if self.unsettled.len() >= MAX_WAITING
            && let Some((_, oldest)) = self.unsettled.pop_front()
        {
            parts.push(ends_whole(oldest));
        }
        self.unsettled.push_back((tag, number));
    }

    /// The client settles the delivery with this tag, and those before if there are `multiple`; 0
    /// is all that there are.
    pub(super) fn settles(
        &mut self,
        (tag, multiple): (u64, bool),
        settled: Settled,
        at: u64,
        parts: &mut Vec<Part>,
    ) {
        let (first, last) = range(&self.unsettled, |(tag, _)| *tag, tag, multiple);
        for (_, number) in self.unsettled.drain(first..last) {
            let response = Response { settled: Some(settled), ..Response::default() };
            parts.push(ends(number, Some((Side::Request, at)), response));
        }
    }

    /// The queue of a consumer, and whether it settles what it is brought.
    pub(super) fn consumer(&self, tag: &[u8]) -> (Option<&str>, bool) {
        let consumer = self.consumers.iter().find(|consumer| *consumer.tag == *tag);
        consumer.map_or((None, false), |consumer| (consumer.queue.as_deref(), !consumer.no_ack))
    }

    /// The client wants to consume; without a tag it leaves that to the broker.
    pub(super) fn consumes(
        &mut self,
        tag: &[u8],
        queue: Option<Box<str>>,
        no_ack: bool,
        now: bool,
    ) {
        let consumer = Consumer { tag: tag.into(), queue, no_ack, begun: now };
        if tag.is_empty() && self.nameless.len() < MAX_CONSUMERS {
            self.nameless.push_back(consumer);
        } else if !tag.is_empty() {
            self.cancelled(tag);
            self.keep(consumer);
        }
    }

    /// The broker says that a consumer has this tag.
    pub(super) fn consume_ok(&mut self, tag: &[u8]) {
        match self.consumers.iter_mut().find(|consumer| *consumer.tag == *tag) {
            Some(consumer) if !consumer.begun => consumer.begun = true,
            // Another, which was not seen to begin.
            Some(_) => self.cancelled(tag),
            None => {
                if let Some(consumer) = self.nameless.pop_front() {
                    self.keep(Consumer { tag: tag.into(), begun: true, ..consumer });
                }
            }
        }
    }

    fn keep(&mut self, consumer: Consumer) {
        if self.consumers.len() < MAX_CONSUMERS {
            self.consumers.push(consumer);
        }
    }

    pub(super) fn cancelled(&mut self, tag: &[u8]) {
        self.consumers.retain(|consumer| *consumer.tag != *tag);
    }

    /// Nothing that is delivered is settled from here on.
    pub(super) fn unsettle(&mut self, parts: &mut Vec<Part>) {
        parts.extend(self.unsettled.drain(..).map(|(_, number)| ends_whole(number)));
    }

    /// Bytes of `side` are missing. How many messages are given up.
    pub(super) fn misses(&mut self, side: Side, parts: &mut Vec<Part>) {
        let cut = self.contents[side as usize].take();
        let cut = cut.and_then(|content| content.number);
        parts.extend(cut.map(|number| Part::Numbered(number, Numbered::Lost)));
        self.nameless.clear();
        self.declared = None;
        match side {
            Side::Request => {
                self.confirms = Confirms::Unknown;
                self.unsettle(parts);
            }
            Side::Response => {
                let unconfirmed = self.unconfirmed.drain(..).map(|one| one.number);
                let unanswered = unconfirmed.chain(self.gets.drain(..).map(|get| get.number));
                parts.extend(unanswered.map(|number| Part::Numbered(number, Numbered::Lost)));
            }
        }
    }

    /// The broker ends it, because of an error: what waited for an answer has it. False if nothing
    /// did.
    pub(super) fn fails(&mut self, code: u16, at: u64, parts: &mut Vec<Part>) -> bool {
        let waiting = self.unconfirmed.drain(..).map(|one| (one.number, one.returned));
        let waiting = waiting.chain(self.gets.drain(..).map(|get| (get.number, None)));
        let mut any = false;
        for (number, returned) in waiting {
            any = true;
            let response = Response { code: Some(returned.unwrap_or(code)), ..Response::default() };
            parts.push(ends(number, Some((Side::Response, at)), response));
        }
        self.ends(parts);
        any
    }

    /// It is over, as the client wanted: what was published was sent, whatever became of it.
    pub(super) fn ends(&mut self, parts: &mut Vec<Part>) {
        parts.extend(self.unconfirmed.drain(..).map(|one| ends_whole(one.number)));
        self.unsettle(parts);
        let cut = self.contents.iter_mut().filter_map(|content| content.take()?.number);
        let lost = cut.chain(self.gets.drain(..).map(|get| get.number));
        parts.extend(lost.map(|number| Part::Numbered(number, Numbered::Lost)));
    }
}

/// Where in `waiting` the one with this tag is, or all up to it.
fn range<T>(
    waiting: &VecDeque<T>,
    tag_of: impl Fn(&T) -> u64,
    tag: u64,
    multiple: bool,
) -> (usize, usize) {
    match (tag, multiple) {
        (0, true) => (0, waiting.len()),
        (tag, true) => (0, waiting.partition_point(|one| tag_of(one) <= tag)),
        (tag, false) => {
            let first = waiting.partition_point(|one| tag_of(one) < tag);
            let is_there = waiting.get(first).is_some_and(|one| tag_of(one) == tag);
            (first, first + usize::from(is_there))
        }
    }
}
