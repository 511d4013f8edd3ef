//! The stream of replies, and of what the server sends unasked.

use super::super::batch::{Batch, Family, Reply};
use super::super::command::{Start, start};
use super::super::resp::{Item, Place, Read, Value, item, rest_of_line};
use super::{Conversation, Reading, Requests, Responses};
use crate::protocol::{Part, Step};

/// Longest first element of a message or a confirmation (`punsubscribe`).
const MAX_KIND: usize = 16;

/// What an array or a push is, by its first element.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Message,
    Confirmation { what: Family, begins: bool },
    Other,
}

impl Conversation {
    pub(super) fn parse_responses(&mut self, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        self.server_speaks();
        match self.responses {
            Responses::Values => {}
            Responses::Lost if !self.waiting.is_empty() => self.responses = Responses::Values,
            // The client did not wait for all of it.
            Responses::Over { .. } => return self.give_up(parts),
            Responses::Lost | Responses::Cut { .. } => {
                self.count(parts);
                return Step::SkipTurn;
            }
        }
        let mut taken = 0_u64;
        loop {
            let rest = usize::try_from(taken).ok().and_then(|taken| bytes.get(taken..));
            let Some(rest) = rest.filter(|rest| !rest.is_empty()) else { break };
            if self.in_line {
                match rest_of_line(rest) {
                    Read::Is((), length) => {
                        taken += length;
                        self.in_line = false;
                    }
                    // All but the first half of its end.
                    Read::Need => {
                        taken += (rest.len() - usize::from(rest.ends_with(b"\r"))) as u64;
                        break;
                    }
                    Read::Not => return self.broken(parts),
                }
            } else {
                if self.value.is_before() {
                    match self.begin_value(rest, parts) {
                        Ok(true) => {}
                        Ok(false) => break,
                        Err(step) => return step,
                    }
                }
                match item(rest) {
                    Read::Need => break,
                    // The client does not wait.
                    Read::Is(item, _) if !self.fits(item) => return self.give_up(parts),
                    Read::Is(item, length) if self.take(item).is_some() => taken += length,
                    Read::Is(..) | Read::Not => return self.broken(parts),
                }
            }
            if self.value.is_whole() && !self.in_line {
                self.value = Value::default();
                if let Some(step) = self.end_value(at.saturating_add(taken), parts) {
                    return step;
                }
            }
        }
        match taken {
            0 => Step::Need,
            taken if taken > bytes.len() as u64 => Step::Skip(taken),
            taken => Step::Took(taken as usize),
        }
    }

    /// A turn of the client's is over.
    fn server_speaks(&mut self) {
        if std::mem::take(&mut self.asked_last) {
            self.turn += 1;
            self.uncounted = true;
        }
    }

    /// What the server says in this turn answers something that was not seen.
    pub(super) fn count(&mut self, parts: &mut Vec<Part>) {
        if std::mem::take(&mut self.uncounted) {
            parts.push(Part::Orphan);
        }
    }

    /// A value begins: finds out what it is, and whose. False if that takes more bytes.
    fn begin_value(&mut self, bytes: &[u8], parts: &mut Vec<Part>) -> Result<bool, Step> {
        let awaited = self.awaited();
        let first = bytes.first().copied().unwrap_or_default();
        let may_be_message = first == b'*' && !self.resp3 && {
            let allowed = |reply| {
                matches!(
                    reply,
                    Reply::Ping | Reply::Reset | Reply::Subscribe(..) | Reply::Unsubscribe(..)
                )
            };
            self.subscriptions.any() || awaited.is_none_or(allowed)
        };
        if first == b'*' && !self.exchanged && self.doubt {
            // A replica answers its master with commands, and which side is the client is not
            // known of every connection that was joined midway.
            match start(bytes) {
                Start::Need => return Ok(false),
                Start::Array { name, .. } if name.command.is_some() && !name.confirms() => {
                    return Err(self.withdraw_all(parts));
                }
                _ => {}
            }
        }
        self.reading = Reading::Reply;
        if first == b'>' || may_be_message {
            let Some(kind) = kind(bytes) else { return Ok(false) };
            self.reading = match kind {
                Kind::Message => Reading::Push,
                Kind::Confirmation { what, begins } => Reading::Confirmation { what, begins },
                _ if first == b'>' => Reading::Push,
                _ => Reading::Reply,
            };
        }
        let is_answer = match (self.reading, awaited) {
            (Reading::Push, _) => {
                self.pushes = true;
                if self.doubt {
                    return Err(self.give_up(parts));
                }
                false
            }
            (Reading::Confirmation { what, begins }, Some(awaited)) => match awaited {
                Reply::Subscribe(family, _) => begins && family == what,
                Reply::Unsubscribe(family, _) => !begins && family == what,
                _ => false,
            },
            (Reading::Confirmation { .. }, None) if self.doubt => {
                return Err(self.give_up(parts));
            }
            (Reading::Confirmation { .. }, None) => false,
            (Reading::Reply, awaited) => {
                // A value in front of which there were attributes is read like any other.
                let unsure = self.waiting.front().is_some_and(Batch::is_unsure);
                if awaited.is_none() && !unsure {
                    return Err(self.orphan(parts));
                }
                true
            }
        };
        if let Some(batch) = self.waiting.front_mut().filter(|_| is_answer)
            && !std::mem::replace(&mut batch.answering, true)
        {
            parts.push(Part::Answering);
        }
        Ok(true)
    }

    /// False if the reply that begins with `item` cannot be that of the command it would belong to:
    /// then, with bytes missing before, it is another's.
    fn fits(&self, item: Item<'_>) -> bool {
        let begins = self.value.is_before() && self.reading == Reading::Reply;
        !(self.doubt && begins) || self.awaited().is_none_or(|reply| reply.fits(item))
    }

    /// Takes the next item of the value under way.
    fn take(&mut self, item: Item<'_>) -> Option<Place> {
        let place = self.value.take(item)?;
        self.in_line = matches!(item, Item::LongLine { .. });
        match self.reading {
            Reading::Push => {}
            Reading::Confirmation { what, begins } => {
                if let (Item::Integer(now), Place::Element) = (item, place) {
                    self.subscriptions.say(what, begins, now.try_into().unwrap_or_default());
                }
            }
            Reading::Reply => self.note(item, place),
        }
        Some(place)
    }

    /// What an item of a reply says.
    fn note(&mut self, item: Item<'_>, place: Place) {
        let awaited = self.awaited();
        let transaction = awaited == Some(Reply::Exec);
        let Some(batch) = self.waiting.front_mut() else { return };
        let error = match item {
            Item::Error(text) | Item::LongLine { error: true, text } => Some(text),
            _ => None,
        };
        if let Some(text) = error
            && (place == Place::Top || place == Place::Element && transaction)
        {
            if !std::mem::replace(&mut batch.failed, true) {
                batch.code = code(text);
            }
            return;
        }
        if place != Place::Top {
            // The reply to a transaction that was not seen, or a value that a script made up.
            batch.obscure |= error.is_some() && awaited.is_none();
            return;
        }
        match (awaited, item) {
            (Some(Reply::Select(database)), Item::Simple(b"OK")) => {
                self.namespace = database.map(|database| database.to_string().into());
            }
            (Some(Reply::Select(_)), Item::Simple(b"QUEUED")) => self.select_queued = true,
            (Some(Reply::Exec), Item::Aggregate { .. }) => {
                // Which of several it was, and whether it succeeded, is not looked at.
                let queued = std::mem::take(&mut self.select_queued);
                self.namespace.take_if(|_| queued);
            }
            (Some(Reply::Exec | Reply::Discard), _) => self.select_queued = false,
            (Some(Reply::Hello), Item::Aggregate { kind, .. }) => self.resp3 = kind == b'%',
            (Some(Reply::Reset), Item::Simple(b"RESET")) => {
                self.namespace = Some("0".into());
                self.subscriptions = Default::default();
                self.select_queued = false;
                self.resp3 = false;
            }
            (Some(Reply::Monitor), Item::Simple(b"OK")) => self.monitored = true,
            _ => {}
        }
    }

    /// A value is whole, and ends before `at`: [`Step::Leave`] or the like if it was the last.
    fn end_value(&mut self, at: u64, parts: &mut Vec<Part>) -> Option<Step> {
        let awaited = self.awaited();
        match self.reading {
            Reading::Push => return None,
            Reading::Reply => {}
            Reading::Confirmation { what, begins } => match awaited {
                Some(Reply::Subscribe(family, left)) if begins && family == what => {
                    if left > 1 {
                        self.await_instead(Reply::Subscribe(family, left - 1));
                        return None;
                    }
                }
                Some(Reply::Unsubscribe(family, left)) if !begins && family == what => {
                    // Without names: one for each that there was, this one is counted off
                    // already. Of a connection joined midway that is not known.
                    let there = self.subscriptions.counts[what as usize];
                    if left.is_none() && self.doubt {
                        return Some(self.give_up(parts));
                    }
                    let left = left.map_or(there, |left| u64::from(left) - 1);
                    if left > 0 {
                        let left = u32::try_from(left).unwrap_or(u32::MAX);
                        self.await_instead(Reply::Unsubscribe(family, Some(left)));
                        return None;
                    }
                }
                // Said on the server's own account.
                _ => return None,
            },
        }
        self.exchanged = true;
        self.uncounted = false;
        self.replied_at = at;
        let batch = self.waiting.front_mut()?;
        batch.replied();
        self.selects -= u32::from(matches!(awaited, Some(Reply::Select(_)))).min(self.selects);
        // A command whose first bytes went out in the same turn is one of it.
        let more = self.nameless.is_some_and(|nameless| nameless.turn == batch.turn);
        if batch.is_answered() && !more {
            self.answered(at, false, parts);
        }
        if std::mem::take(&mut self.monitored) {
            return Some(self.leave(parts));
        }
        None
    }

    fn await_instead(&mut self, reply: Reply) {
        if let Some(batch) = self.waiting.front_mut() {
            batch.set_next(reply);
        }
    }

    /// A reply to nothing that we saw.
    fn orphan(&mut self, parts: &mut Vec<Part>) -> Step {
        if !self.exchanged && !self.doubt {
            return self.withdraw_all(parts);
        }
        // To an older command, where no later one can have gone by unseen.
        self.overlapped |= self.requests == Requests::Commands;
        self.uncounted = false;
        parts.push(Part::Orphan);
        self.lose(parts)
    }

    /// These bytes are no values.
    fn broken(&mut self, parts: &mut Vec<Part>) -> Step {
        if !self.exchanged {
            return self.withdraw_all(parts);
        }
        self.desync_all(parts);
        self.lose(parts)
    }

    /// Where the next reply begins is not known.
    pub(super) fn lose(&mut self, parts: &mut Vec<Part>) -> Step {
        self.desync_all(parts);
        self.value = Value::default();
        self.in_line = false;
        self.responses = Responses::Lost;
        self.requests = Requests::Lost;
        self.doubt_from_here(parts)
    }

    pub(super) fn response_gap(&mut self, parts: &mut Vec<Part>) -> Step {
        self.server_speaks();
        if self.waiting.is_empty() {
            self.count(parts);
        }
        match self.responses {
            Responses::Values | Responses::Lost => {}
            Responses::Over { .. } => return self.give_up(parts),
            Responses::Cut { .. } => return Step::SkipTurn,
        }
        let begun = std::mem::take(&mut self.value).has_begun();
        self.in_line = false;
        let awaited = self.awaited();
        let only = self.waiting.len() == 1 && !self.pushes && !self.subscriptions.any();
        let nameless = self.nameless.is_some();
        if let Some(batch) = self.waiting.front_mut()
            && (only && !nameless && batch.announced && batch.answering && !batch.is_unsure())
            && !batch.awaits_confirmations()
        {
            let last = batch.commands == batch.replies + 1;
            let whole = begun && last && awaited != Some(Reply::Exec);
            self.responses = Responses::Cut { whole };
            return self.doubt_from_here(parts);
        }
        self.overlapped |= self.waiting.len() > 1;
        self.lose(parts)
    }
}

/// What an array or a push is; `None` if that takes more bytes.
fn kind(bytes: &[u8]) -> Option<Kind> {
    let header = match item(bytes) {
        Read::Is(Item::Aggregate { elements: 1.., .. }, length) => length,
        Read::Is(..) | Read::Not => return Some(Kind::Other),
        Read::Need => return None,
    };
    let (text, length, there) = match item(&bytes[header as usize..]) {
        Read::Is(Item::Bulk(text), length) => (text, length, bytes.len() as u64 - header),
        Read::Is(Item::Simple(text), _) => (text, 0, 0),
        Read::Is(..) | Read::Not => return Some(Kind::Other),
        Read::Need => return None,
    };
    if length <= MAX_KIND as u64 + 8 && length > there {
        return None;
    }
    let confirmation = |what, begins| Kind::Confirmation { what, begins };
    Some(match text {
        b"message" | b"pmessage" | b"smessage" => Kind::Message,
        b"subscribe" => confirmation(Family::Channels, true),
        b"psubscribe" => confirmation(Family::Patterns, true),
        b"ssubscribe" => confirmation(Family::Shards, true),
        b"unsubscribe" => confirmation(Family::Channels, false),
        b"punsubscribe" => confirmation(Family::Patterns, false),
        b"sunsubscribe" => confirmation(Family::Shards, false),
        _ => Kind::Other,
    })
}

/// The prefix of an error: its first word, if that is in capitals (`WRONGTYPE`). The rest may say
/// anything.
fn code(text: &[u8]) -> Option<Box<str>> {
    const LONGEST: usize = 32;
    let word = text.split(|byte| matches!(byte, b' ' | b'\r' | b'\n')).next()?;
    let is_code = (2..=LONGEST).contains(&word.len()) && word.iter().all(u8::is_ascii_uppercase);
    is_code.then(|| String::from_utf8_lossy(word).into())
}
