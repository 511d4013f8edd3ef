//! The state of one connection: where both streams are, and its channels.
//!
//! The rules, and why they are right, are in the documentation of the [parent module](super).

mod messages;

use rustc_hash::FxHashMap;

use super::channel::{Channel, Confirms, Get};
use super::frame::{END, HEAD, Head, Kind, PROTOCOL, Read};
use super::method::{self, Method, evidence};
use super::properties;
use crate::protocol::messaging::{Operation, Request, Response, Settled};
use crate::protocol::{self, Numbered, Parser, Part, Side, Step};

/// Channels of one connection. RabbitMQ allows 2047 where nobody asks for more.
const MAX_CHANNELS: usize = 2048;

/// How often a stream may turn out not to be what it was taken for before the connection is given up.
const MAX_BROKEN: u32 = 16;

/// Deliveries that are counted one by one where their numbers say that they are missing: more of
/// them are no numbers that a broker gives.
const MAX_MISSED: u64 = 4096;

/// One connection that speaks AMQP.
#[derive(Default)]
pub(super) struct Conversation {
    streams: [Stream; 2],
    channels: FxHashMap<u16, Channel>,
    /// What the ends agreed on, if that was seen.
    frame_max: Option<u32>,
    /// The number of the next call.
    next: u64,
    broken: u32,
}

/// Where one direction is.
#[derive(Clone, Copy, Default)]
struct Stream {
    /// Position up to which it was read, or skipped; none before anything was seen.
    at: Option<u64>,
    /// What comes there may be anything.
    lost: bool,
    /// Something was missing, at some time.
    missed: bool,
    /// A frame was read.
    proven: bool,
}

impl Parser for Conversation {
    fn parse(&mut self, side: Side, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        match self.goes_on(side, at, parts) {
            Step::Need => {}
            step => return step,
        }
        if at == 0 && side == Side::Request && PROTOCOL.starts_with(&bytes[..bytes.len().min(8)]) {
            if bytes.len() < PROTOCOL.len() {
                return Step::Need;
            }
            self.streams[side as usize].at = Some(PROTOCOL.len() as u64);
            return Step::Took(PROTOCOL.len());
        }
        if at == 0 && side == Side::Response && bytes[0] == b'A' {
            // A broker that speaks another version says which, and closes.
            return Step::Leave;
        }
        let step = self.read(side, at, bytes, parts);
        let length = match step {
            Step::Took(length) => length as u64,
            Step::Skip(length) => length,
            _ => 0,
        };
        self.streams[side as usize].at = Some(at.saturating_add(length));
        step
    }

    fn gap(&mut self, side: Side, to: u64, parts: &mut Vec<Part>) -> Step {
        self.goes_on(side, to, parts)
    }

    fn finish(&mut self, _side: Side, _at: u64, _parts: &mut Vec<Part>) {}

    /// Publishers go on without a word from the broker: the first bytes of a turn are not enough.
    fn needs_everything(&self, _open: usize) -> bool {
        true
    }

    fn resumes_anywhere(&self) -> bool {
        true
    }

    fn stop(&mut self, parts: &mut Vec<Part>) {
        for channel in in_order(&mut self.channels) {
            channel.unsettle(parts);
        }
    }

    fn gone(&mut self, parts: &mut Vec<Part>) {
        for channel in in_order(&mut self.channels) {
            channel.unsettle(parts);
            let cut = channel.contents[Side::Response as usize].take();
            let cut = cut.and_then(|content| content.number);
            parts.extend(cut.map(|number| Part::Numbered(number, Numbered::Lost)));
        }
    }
}

/// Channels by their numbers: the same calls are told in the same order, always.
fn in_order(channels: &mut FxHashMap<u16, Channel>) -> impl Iterator<Item = &mut Channel> {
    let mut all: Vec<_> = channels.iter_mut().collect();
    all.sort_unstable_by_key(|(number, _)| **number);
    all.into_iter().map(|(_, channel)| channel)
}

impl Conversation {
    /// The stream of `side` goes on at `at`. If that is not where it was, something is missing; if it
    /// is only part of a body, the rest of that is left out, too.
    fn goes_on(&mut self, side: Side, at: u64, parts: &mut Vec<Part>) -> Step {
        let stream = &mut self.streams[side as usize];
        match stream.at {
            Some(before) if before == at => {}
            None if at == 0 => stream.at = Some(0),
            None => *stream = Stream { at: Some(at), lost: true, missed: true, ..*stream },
            Some(before) => {
                let end = self.foresees(side, before, at, parts);
                self.streams[side as usize].at = Some(end.unwrap_or(at));
                match end {
                    Some(end) if end > at => return Step::Skip(end - at),
                    Some(_) => {}
                    None => self.misses(side, parts),
                }
            }
        }
        if self.broken <= MAX_BROKEN { Step::Need } else { Step::GiveUp }
    }

    /// Bytes between two positions are missing, the first of them that of a frame: where the body ends
    /// that they are part of. Frames are as long as they may be, because who sends a body has all of it;
    /// if anything else was between them, what follows does not begin with a frame.
    fn foresees(&mut self, side: Side, from: u64, to: u64, parts: &mut Vec<Part>) -> Option<u64> {
        if self.streams[side as usize].lost || to < from {
            return None;
        }
        let mut under_way = self
            .channels
            .iter()
            .filter_map(|(channel, open)| Some((*channel, open.contents[side as usize].as_ref()?)));
        let (Some((channel, content)), None) = (under_way.next(), under_way.next()) else {
            return None;
        };
        let end = from.checked_add(content.rest(self.frame_max?)?).filter(|end| *end >= to)?;
        let mut content = self.channel(channel).contents[side as usize].take()?;
        content.left = Some(0);
        self.goes_on_with(Frame { side, channel, at: from, end }, content, parts);
        Some(end)
    }

    /// Bytes of `side` are missing, or are no frames.
    fn misses(&mut self, side: Side, parts: &mut Vec<Part>) {
        let stream = &mut self.streams[side as usize];
        stream.missed = true;
        if std::mem::replace(&mut stream.lost, true) {
            return;
        }
        for channel in in_order(&mut self.channels) {
            channel.misses(side, parts);
        }
        // Whatever went by.
        parts.push(Part::Orphan);
    }

    /// Reads one frame after the other.
    fn read(&mut self, side: Side, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        let mut taken = 0;
        let took = |taken| if taken == 0 { Step::Need } else { Step::Took(taken) };
        loop {
            let rest = &bytes[taken..];
            if self.streams[side as usize].lost {
                taken += match self.find(side, rest) {
                    Read::Is(skipped) => skipped,
                    Read::Not => return Step::Took(bytes.len()),
                    Read::Need => return took(taken),
                };
                continue;
            }
            let head = match Head::read(rest) {
                Read::Is(head) => head,
                Read::Need => return took(taken),
                Read::Not => match self.is_broken(side, taken, parts) {
                    Some(step) => return step,
                    None => continue,
                },
            };
            let position = at.saturating_add(taken as u64);
            let end = position.saturating_add(head.length() as u64);
            let payload = &rest[HEAD..];
            if let Some(last) = rest.get(head.length() - 1)
                && *last != END
            {
                match self.is_broken(side, taken, parts) {
                    Some(step) => return step,
                    None => continue,
                }
            }
            let size = head.size as usize;
            let wanted = match head.kind {
                Kind::Method => match *payload {
                    [c1, c0, m1, m0, ..] => {
                        let (class, method) =
                            (u16::from_be_bytes([c1, c0]), u16::from_be_bytes([m1, m0]));
                        method::looked_at(class, method, size)
                    }
                    _ => 4,
                },
                Kind::Header => size.min(properties::MAX_LOOK),
                Kind::Body | Kind::Heartbeat => 0,
            };
            // What is looked at whole is looked at with its end.
            let whole = wanted == size && head.kind != Kind::Body;
            if payload.len() < wanted + usize::from(whole) {
                return took(taken);
            }
            let frame = Frame { side, channel: head.channel, at: position, end };
            let payload = &payload[..wanted.max(size.min(payload.len()))];
            let is_fine = match head.kind {
                Kind::Method => self.method(frame, payload, parts),
                Kind::Header => self.header(frame, &payload[..wanted], parts),
                Kind::Body => self.body(frame, head.size, parts),
                Kind::Heartbeat => true,
            };
            if !is_fine {
                match self.is_broken(side, taken, parts) {
                    Some(step) => return step,
                    None => continue,
                }
            }
            if self.channels.len() > MAX_CHANNELS {
                return Step::GiveUp;
            }
            self.streams[side as usize].proven = true;
            if rest.len() <= head.length() {
                return Step::Skip((taken + head.length()) as u64);
            }
            taken += head.length();
        }
    }

    /// Looks for where the stream goes on: how many bytes to leave out.
    fn find(&mut self, side: Side, bytes: &[u8]) -> Read<usize> {
        for start in 0..bytes.len() {
            if bytes[start] != 1 {
                continue;
            }
            match evidence(&bytes[start..], side) {
                Read::Is(_) => {
                    self.streams[side as usize].lost = false;
                    return Read::Is(start);
                }
                // To be looked at again, with what follows.
                Read::Need if start > 0 => return Read::Is(start),
                Read::Need => return Read::Need,
                Read::Not => {}
            }
        }
        Read::Not
    }

    /// These bytes are no frame: none if the stream may be found again in them.
    fn is_broken(&mut self, side: Side, taken: usize, parts: &mut Vec<Part>) -> Option<Step> {
        let proven = self.streams.iter().any(|stream| stream.proven);
        if !proven && taken == 0 {
            return Some(Step::NotMine);
        }
        self.broken += 1;
        self.misses(side, parts);
        (self.broken > MAX_BROKEN).then_some(Step::GiveUp)
    }

    /// The channel; one that was not seen to open is one of which nothing is known.
    fn channel(&mut self, number: u16) -> &mut Channel {
        self.channels.entry(number).or_default()
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A method was read: false if it cannot be one.
    fn method(&mut self, frame: Frame, payload: &[u8], parts: &mut Vec<Part>) -> bool {
        let Some(method) = Method::read(payload) else { return false };
        let Frame { side, channel: number, at, end } = frame;
        if self.begins_message(frame, &method, parts) {
            return true;
        }
        match (side, method) {
            (Side::Response, Method::ConnectionClose { code }) => {
                let mut told = code == 200;
                for channel in in_order(&mut self.channels) {
                    told |= channel.fails(code, end, parts);
                }
                self.channels.clear();
                if !told {
                    self.closes(at, end, code, parts);
                }
            }
            (_, Method::ConnectionCloseOk) => {
                in_order(&mut self.channels).for_each(|channel| channel.ends(parts));
                self.channels.clear();
            }
            (Side::Request, Method::TuneOk { frame_max }) => self.frame_max = Some(frame_max),
            (Side::Request, Method::ChannelOpen) => {
                if let Some(mut before) = self.channels.insert(number, Channel::opened()) {
                    before.ends(parts);
                }
            }
            (Side::Response, Method::ChannelClose { code }) => {
                let mut closed = self.channels.remove(&number).unwrap_or_default();
                if !closed.fails(code, end, parts) && code != 200 {
                    self.closes(at, end, code, parts);
                }
            }
            (_, Method::ChannelCloseOk) => {
                if let Some(mut closed) = self.channels.remove(&number) {
                    closed.ends(parts);
                }
            }
            (Side::Response, Method::QueueDeclareOk { queue }) => {
                self.channel(number).declared = Some(text(queue));
            }
            (Side::Request, Method::Consume { queue, tag, no_ack, no_wait }) => {
                let channel = self.channel(number);
                let queue = channel.queue(queue);
                channel.consumes(tag, queue, no_ack, no_wait);
            }
            (Side::Response, Method::ConsumeOk { tag }) => self.channel(number).consume_ok(tag),
            (_, Method::CancelOk { tag })
            | (Side::Request, Method::Cancel { tag, no_wait: true })
            | (Side::Response, Method::Cancel { tag, .. }) => {
                self.channel(number).cancelled(tag);
            }
            (Side::Request, Method::Get { queue }) => {
                let call = self.number();
                let channel = self.channel(number);
                let queue = channel.queue(queue);
                let request = messages::describe(Operation::Get, b"", b"", queue.as_deref());
                parts.push(begins(call, side, at, request));
                parts.push(Part::Numbered(call, Numbered::Whole { side, at: end }));
                channel.gets.push_back(Get { number: call, queue });
                if channel.gets.len() > MAX_GETS
                    && let Some(oldest) = channel.gets.pop_front()
                {
                    parts.push(Part::Numbered(oldest.number, Numbered::Lost));
                }
            }
            (Side::Response, Method::GetEmpty) => {
                let get = self.channel(number).gets.pop_front();
                parts.extend(get.map(|get| Part::Numbered(get.number, Numbered::Withdrawn)));
            }
            (Side::Request, Method::Ack { tag, multiple }) => {
                self.channel(number).settles((tag, multiple), Settled::Acked, end, parts);
            }
            (Side::Request, Method::Nack { tag, multiple, requeue }) => {
                self.channel(number).settles((tag, multiple), refusal(requeue), end, parts);
            }
            (Side::Request, Method::Reject { tag, requeue }) => {
                self.channel(number).settles((tag, false), refusal(requeue), end, parts);
            }
            (Side::Request, Method::Recover) => {
                self.channel(number).settles((0, true), Settled::Requeued, end, parts);
            }
            (Side::Response, Method::Ack { tag, multiple }) => {
                self.channel(number).confirmed((tag, multiple), true, end, parts);
            }
            (Side::Response, Method::Nack { tag, multiple, .. }) => {
                self.channel(number).confirmed((tag, multiple), false, end, parts);
            }
            (Side::Request, Method::ConfirmSelect) => {
                let channel = self.channel(number);
                if channel.confirms == Confirms::Off {
                    channel.confirms = Confirms::Counted(0);
                }
            }
            _ => {}
        }
        true
    }

    /// The broker ends something because of an error that belongs to nothing that is under way.
    fn closes(&mut self, at: u64, end: u64, code: u16, parts: &mut Vec<Part>) {
        let number = self.number();
        let request = Request::new(&super::SYSTEM, Operation::Close);
        parts.push(begins(number, Side::Response, at, request));
        let response = Response { code: Some(code), ..Response::default() };
        let response = protocol::Response::Messaging(Box::new(response));
        let at = Some((Side::Response, end));
        parts.push(Part::Numbered(number, Numbered::Ends { at, response: Some(response) }));
    }
}

/// `basic.get`s without answer on one channel: a client waits for each.
const MAX_GETS: usize = 16;

/// A frame whose payload is read.
#[derive(Clone, Copy)]
struct Frame {
    side: Side,
    channel: u16,
    at: u64,
    end: u64,
}

fn begins(number: u64, side: Side, at: u64, request: Request) -> Part {
    let request = protocol::Request::Messaging(Box::new(request));
    Part::Numbered(number, Numbered::Begins { side, at, request })
}

fn refusal(requeue: bool) -> Settled {
    if requeue { Settled::Requeued } else { Settled::Rejected }
}

/// A short string as text.
fn text(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes).into()
}

impl Channel {
    /// The queue that is meant by a name: "" is the one declared last.
    fn queue(&self, name: &[u8]) -> Option<Box<str>> {
        if name.is_empty() { self.declared.clone() } else { Some(text(name)) }
    }
}
