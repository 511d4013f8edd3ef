//! The stream of requests.

use super::super::batch::{Batch, Family, Reply};
use super::super::command::{self, Header, Name, Start, header, start};
use super::super::commands::Keys;
use super::super::{detect, text};
use super::{Conversation, Current, MAX_OUTSTANDING, MAX_RUNS, Nameless, Requests, Responses};
use crate::protocol::{self, Detection, Part, Step, Unreadable};

/// Longest argument that is looked at and is no key: a subcommand, a number, a digest, the name of
/// a function.
const MAX_ARGUMENT: u64 = 64;

/// How many arguments of `XREAD` are searched for `BLOCK`: all options together are fewer.
const MAX_OPTIONS: u64 = 12;

/// What became of a command that begins.
enum Begun {
    Yes,
    /// It begins a call, and what was read before it in these bytes belongs to another.
    Apart,
    GiveUp,
    /// What follows has no calls.
    Leave,
}

impl Conversation {
    pub(super) fn parse_requests(&mut self, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        if !std::mem::replace(&mut self.asked_last, true) {
            self.end_cut(parts);
        }
        if self.requests == Requests::Lost {
            match detect::resume(bytes) {
                Detection::Is(_) if self.waiting.is_empty() => {
                    self.requests = Requests::Commands;
                    self.resumes = true;
                }
                Detection::Unsure if self.waiting.is_empty() => return Step::Need,
                _ => {
                    // What goes by unseen may choose another database.
                    self.namespace = None;
                    return Step::SkipTurn;
                }
            }
        }
        let mut taken = 0_u64;
        let step = loop {
            let rest = usize::try_from(taken).ok().and_then(|taken| bytes.get(taken..));
            let Some(rest) = rest.filter(|rest| !rest.is_empty()) else { break None };
            if self.current.is_some() {
                match self.argument(rest, parts) {
                    Ok(0) => break None,
                    Ok(length) => taken += length,
                    Err(step) => break Some(step),
                }
                continue;
            }
            let here = at.saturating_add(taken);
            match start(rest) {
                Start::Array { name, arguments, length } => {
                    match self.begin(here, name, arguments, taken > 0, parts) {
                        Begun::Yes => taken += length as u64,
                        Begun::Apart => break None,
                        Begun::GiveUp => break Some(self.give_up(parts)),
                        Begun::Leave => break Some(self.leave(parts)),
                    }
                    self.end_if_whole();
                }
                Start::Line { name, arguments: line, length } => {
                    let words = command::words(line);
                    let count = words.map_or(0, |words| words.count() as u64);
                    match self.begin(here, name, count, taken > 0, parts) {
                        Begun::Yes => taken += length as u64,
                        Begun::Apart => break None,
                        Begun::GiveUp => break Some(self.give_up(parts)),
                        Begun::Leave => break Some(self.leave(parts)),
                    }
                    for word in command::words(line).into_iter().flatten() {
                        if let Err(step) = self.look_at(word, parts) {
                            return step;
                        }
                    }
                    self.end_if_whole();
                }
                Start::Nothing(length) => taken += length as u64,
                Start::Need => {
                    let turn = self.turn;
                    if self.nameless.is_none_or(|nameless| nameless.at != here) {
                        self.nameless = Some(Nameless { at: here, turn });
                    }
                    break None;
                }
                Start::Not if !self.exchanged => break Some(self.withdraw_all(parts)),
                Start::Not => break Some(self.request_gap(here, parts)),
            }
        };
        self.announce(parts);
        self.asked_to = at.saturating_add(taken);
        match step {
            Some(step) => step,
            None if taken == 0 => Step::Need,
            None if taken > bytes.len() as u64 => Step::Skip(taken),
            None => Step::Took(bytes.len().min(taken as usize)),
        }
    }

    /// A command begins at `at`.
    fn begin(
        &mut self,
        at: u64,
        name: Name<'_>,
        arguments: u64,
        behind: bool,
        parts: &mut Vec<Part>,
    ) -> Begun {
        let turn = match self.nameless {
            Some(nameless) if nameless.at == at => nameless.turn,
            _ => self.turn,
        };
        let command = name.command;
        let known = command.map_or("", |command| command.name);
        if matches!(known, "SYNC" | "PSYNC") {
            self.announce(parts);
            return Begun::Leave;
        }
        if self.waiting.back().is_none_or(|batch| batch.turn != turn || batch.open_ended) {
            if behind {
                return Begun::Apart;
            }
            self.overlapped |= !self.waiting.is_empty();
            if self.waiting.len() >= MAX_OUTSTANDING || self.overlapped && self.doubt {
                return Begun::GiveUp;
            }
            let mut batch = std::mem::take(&mut self.spare);
            let namespace = self.namespace.clone().filter(|_| self.selects == 0);
            batch.begin(at, turn, namespace);
            batch.resumed = std::mem::take(&mut self.resumes);
            self.waiting.push_back(batch);
        }
        self.nameless = None;
        let plain = self.plain(known);
        let Some(batch) = self.waiting.back_mut() else { return Begun::GiveUp };
        if !batch.add(reply_to(known, arguments).unwrap_or(plain), MAX_RUNS) {
            return Begun::GiveUp;
        }
        batch.waits |= always_waits(known);
        self.pipelined |= batch.commands > 1;
        self.selects += u32::from(known == "SELECT");
        self.told.clear();
        let shown = name.shown();
        self.told.operation.push_str(shown.unwrap_or_default());
        self.told.text.push_str(shown.unwrap_or("?"));
        self.current = Some(Current {
            command,
            keys: command.map_or(Keys::None, |command| command.keys),
            secret: command.is_some_and(text::is_secret),
            arguments,
            read: 0,
            counted: 0,
            member: None,
            turn,
        });
        Begun::Yes
    }

    /// Reads the next argument of the command under way: how many bytes it has, 0 if more are
    /// needed.
    fn argument(&mut self, bytes: &[u8], parts: &mut Vec<Part>) -> Result<u64, Step> {
        let (length, before) = match header(b'$', bytes) {
            Header::Is(length, before) => (length, before),
            Header::Need => return Ok(0),
            Header::Null(_) | Header::Not if !self.exchanged => {
                return Err(self.withdraw_all(parts));
            }
            Header::Null(_) | Header::Not => return Err(self.request_gap(0, parts)),
        };
        let whole = before as u64 + length + 2;
        if length <= self.interest() {
            // All of it is at hand, or comes: it is short.
            let Some(word) = bytes.get(before..before + length as usize) else { return Ok(0) };
            self.look_at(word, parts)?;
        } else {
            self.pass();
        }
        self.end_if_whole();
        Ok(whole)
    }

    /// Up to which length the next argument is looked at.
    fn interest(&self) -> u64 {
        let Some(Current { command: Some(command), secret: false, keys, .. }) = self.current else {
            return 0;
        };
        let Some(current) = &self.current else { return 0 };
        let index = current.read + 1;
        if text::is_key(keys, index, current.arguments, current.counted) {
            return text::MAX_KEY as u64;
        }
        let looked_at = match (command.name, index) {
            (_, 1) if command.has_subcommands() => true,
            ("SELECT" | "EVALSHA" | "EVALSHA_RO" | "FCALL" | "FCALL_RO", 1) => true,
            ("CLIENT", 2) => current.member == Some("REPLY"),
            ("XREAD" | "XREADGROUP", index) => index <= MAX_OPTIONS,
            (_, index) => keys == Keys::Counted(u8::try_from(index).unwrap_or(u8::MAX)),
        };
        if looked_at { MAX_ARGUMENT } else { 0 }
    }

    /// An argument goes by unseen.
    fn pass(&mut self) {
        let Some(current) = &mut self.current else { return };
        current.read += 1;
        if !current.secret {
            text::push_hidden(&mut self.told.text);
        }
    }

    /// Takes the next argument in.
    fn look_at(&mut self, word: &[u8], parts: &mut Vec<Part>) -> Result<(), Step> {
        let interest = self.interest();
        let Some(current) = &mut self.current else { return Ok(()) };
        let (Some(command), true) = (current.command, word.len() as u64 <= interest) else {
            self.pass();
            return Ok(());
        };
        let index = current.read + 1;
        if text::is_key(current.keys, index, current.arguments, current.counted) {
            current.read = index;
            text::push_key(&mut self.told.text, word);
            return Ok(());
        }
        if current.keys == Keys::Counted(u8::try_from(index).unwrap_or(u8::MAX)) {
            current.counted = number(word).unwrap_or_default();
        }
        let batch = self.waiting.back_mut().filter(|batch| batch.turn == current.turn);
        match (command.name, index) {
            ("SELECT", 1) => {
                let database = number(word).and_then(|number| u16::try_from(number).ok());
                if let Some(batch) = batch {
                    batch.set_last(Reply::Select(database));
                }
            }
            ("EVALSHA" | "EVALSHA_RO" | "FCALL" | "FCALL_RO", 1) => {
                self.told.procedure = std::str::from_utf8(word)
                    .ok()
                    .filter(|name| name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_'))
                    .map(Into::into);
            }
            ("XREAD" | "XREADGROUP", _) if word.eq_ignore_ascii_case(b"BLOCK") => {
                if let Some(batch) = batch {
                    batch.waits = true;
                    batch.changed = true;
                }
            }
            ("CLIENT", 2)
                if word.eq_ignore_ascii_case(b"OFF") || word.eq_ignore_ascii_case(b"SKIP") =>
            {
                // It has no reply itself.
                if let Some(batch) = self.waiting.pop_back_if(|batch| batch.commands == 1)
                    && batch.announced
                {
                    parts.push(Part::Withdrawn);
                }
                self.announce(parts);
                parts.push(Part::Unreadable(Unreadable::Unanswered));
                return Err(self.leave(parts));
            }
            (_, 1) if command.has_subcommands() => {
                current.member = command.subcommand(word);
                if current.member.is_some()
                    && let Ok(word) = std::str::from_utf8(word)
                {
                    current.read = index;
                    for text in [&mut self.told.operation, &mut self.told.text] {
                        text.push(' ');
                        text.push_str(word);
                    }
                    return Ok(());
                }
            }
            _ => {}
        }
        self.pass();
        Ok(())
    }

    /// If the command under way has all its arguments, it is told.
    fn end_if_whole(&mut self) {
        if self.current.is_some_and(|current| current.read >= current.arguments) {
            self.end_command();
        }
    }

    /// The command under way is told as it is known.
    fn end_command(&mut self) {
        let Some(current) = self.current.take() else { return };
        if let Some(batch) = self.waiting.back_mut().filter(|batch| batch.turn == current.turn) {
            batch.tell(&mut self.told);
        }
    }

    /// Says what is known of the call that began last.
    pub(super) fn announce(&mut self, parts: &mut Vec<Part>) {
        let Some(batch) = self.waiting.back_mut().filter(|batch| batch.changed) else { return };
        let current = self.current.is_some_and(|current| current.turn == batch.turn);
        let request = batch.request(current.then_some(&self.told), &mut self.last);
        let request = protocol::Request::Database(Box::new(request));
        batch.changed = false;
        parts.push(match std::mem::replace(&mut batch.announced, true) {
            false => Part::Request { at: batch.at, request },
            true => Part::Asked(request),
        });
    }

    pub(super) fn request_gap(&mut self, to: u64, parts: &mut Vec<Part>) -> Step {
        self.requests = Requests::Lost;
        self.asked_last |= to > self.asked_to;
        let begun = self.nameless.take().map(|nameless| nameless.turn);
        let current = self.current.map(|current| current.turn);
        if current.is_some() {
            text::push_cut(&mut self.told.text);
        }
        self.end_command();
        // Perhaps a `SELECT` is among what is missing.
        let namespace = self.namespace.take();
        let turn = current.or(begun).unwrap_or(self.turn);
        let unsure = self.waiting.iter().any(|batch| batch.is_unsure() && batch.turn != turn);
        let cut = matches!(self.responses, Responses::Cut { .. } | Responses::Over { .. });
        if unsure || cut {
            // Whole calls may have gone by: nobody knows which replies are whose.
            return self.lose(parts);
        }
        if let Some(batch) = self.waiting.back_mut().filter(|batch| batch.turn == turn) {
            batch.open_ended = true;
            batch.changed = true;
            // The number of replies will tell.
            self.namespace = namespace;
            if batch.awaits_confirmations() {
                return self.give_up(parts);
            }
        }
        self.pipelined = true;
        self.announce(parts);
        self.doubt_from_here(parts)
    }

    /// The server's turn behind a call of which perhaps not all was seen is over.
    pub(super) fn end_unsure(&mut self, parts: &mut Vec<Part>) {
        let at_end = self.waiting.len() == 1 && self.value.is_at_start() && !self.in_line;
        let Some(batch) = self.waiting.front_mut().filter(|batch| at_end && batch.is_certain())
        else {
            // It did not wait for the replies, or these were to older commands.
            self.overlapped |= !at_end || self.waiting.iter().any(Batch::is_another);
            return self.desync_all(parts);
        };
        if batch.replies > batch.commands {
            // Perhaps the database was chosen again, unseen.
            self.namespace = None;
        }
        batch.changed = true;
        batch.resumed = false;
        self.announce(parts);
        self.answered(self.replied_at, false, parts);
    }
}

/// What answers a command, if that is not plainly one value.
fn reply_to(name: &str, arguments: u64) -> Option<Reply> {
    let count = u32::try_from(arguments).unwrap_or(u32::MAX);
    let some = Some(count).filter(|count| *count > 0);
    Some(match name {
        "EXEC" => Reply::Exec,
        "DISCARD" => Reply::Discard,
        "PING" => Reply::Ping,
        "SELECT" => Reply::Select(None),
        "HELLO" => Reply::Hello,
        "RESET" => Reply::Reset,
        "MONITOR" => Reply::Monitor,
        "SUBSCRIBE" => Reply::Subscribe(Family::Channels, count),
        "PSUBSCRIBE" => Reply::Subscribe(Family::Patterns, count),
        "SSUBSCRIBE" => Reply::Subscribe(Family::Shards, count),
        "UNSUBSCRIBE" => Reply::Unsubscribe(Family::Channels, some),
        "PUNSUBSCRIBE" => Reply::Unsubscribe(Family::Patterns, some),
        "SUNSUBSCRIBE" => Reply::Unsubscribe(Family::Shards, some),
        _ => return None,
    })
}

/// True for commands that wait until there is something, or until as many replicas follow.
fn always_waits(name: &str) -> bool {
    matches!(
        name,
        "BLMOVE"
            | "BLMPOP"
            | "BLPOP"
            | "BRPOP"
            | "BRPOPLPUSH"
            | "BZMPOP"
            | "BZPOPMAX"
            | "BZPOPMIN"
            | "WAIT"
            | "WAITAOF"
    )
}

/// A number in an argument.
fn number(word: &[u8]) -> Option<u64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}
