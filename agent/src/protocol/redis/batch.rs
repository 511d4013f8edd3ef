//! One call: the commands that a client sent before it read anything.

use std::collections::VecDeque;
use std::sync::Arc;

use super::replies::Shape;
use super::resp::Item;
use super::{SYSTEM, text};
use crate::protocol::database;
use crate::sql::Statement;

/// What the answer to a command tells about the connection, or how it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// One value, like this.
    Plain(Shape),
    /// The answers of a transaction: errors lie in it.
    Exec,
    /// One value; nothing is queued behind it.
    Discard,
    /// One value that may be an array that looks like a message.
    Ping,
    /// One value; if it is `OK`, the connection uses this database.
    Select(Option<u16>),
    /// One value; a map if RESP3 is spoken from here on.
    Hello,
    /// One value; the connection is as it was at its beginning.
    Reset,
    /// One value, behind which anything comes at any time.
    Monitor,
    /// So many confirmations.
    Subscribe(Family, u32),
    /// So many confirmations; `None`: one for each subscription there is.
    Unsubscribe(Family, Option<u32>),
}

impl Reply {
    /// True if it may begin with `item`.
    pub(super) fn fits(self, item: Item<'_>) -> bool {
        match self {
            Reply::Plain(shape) => shape.fits(item),
            Reply::Exec => Shape::Aggregate.fits(item),
            Reply::Discard | Reply::Select(_) | Reply::Reset => Shape::Status.fits(item),
            Reply::Hello => Shape::Aggregate.fits(item),
            Reply::Ping | Reply::Monitor | Reply::Subscribe(..) | Reply::Unsubscribe(..) => true,
        }
    }
}

/// What can be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// `SUBSCRIBE`.
    Channels,
    /// `PSUBSCRIBE`.
    Patterns,
    /// `SSUBSCRIBE`.
    Shards,
}

/// Whether the commands are a transaction in one piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Transaction {
    #[default]
    Unknown,
    Begun,
    Whole,
    No,
}

/// A command as it is told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Its name, as it was sent; empty if that may not be shown.
    pub(super) operation: String,
    /// All of it, masked.
    pub(super) text: String,
    /// The script or function that it calls.
    pub(super) procedure: Option<Arc<str>>,
}

impl Told {
    pub(super) fn clear(&mut self) {
        self.operation.clear();
        self.text.clear();
        self.procedure = None;
    }
}

/// The commands of one call.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Position of its first byte.
    pub(super) at: u64,
    /// The turn of requests that it is.
    pub(super) turn: u64,
    /// Commands that began.
    pub(super) commands: u32,
    /// The replies that are still to come, oldest first, the same ones in a row counted.
    awaited: VecDeque<(Reply, u32)>,
    /// Replies that came.
    pub(super) replies: u32,
    /// There may be more commands than were seen, behind those.
    pub(super) open_ended: bool,
    /// The stream was joined where it begins: there may be more commands before those.
    pub(super) resumed: bool,
    /// One of its commands waits for something to happen.
    pub(super) waits: bool,
    pub(super) namespace: Option<Arc<str>>,
    /// It was said that it begins.
    pub(super) announced: bool,
    /// What was said of it is not all that is known.
    pub(super) changed: bool,
    /// It is being answered.
    pub(super) answering: bool,
    pub(super) failed: bool,
    /// Whether it failed is not known, unless it did.
    pub(super) obscure: bool,
    pub(super) code: Option<Box<str>>,
    /// Commands in `text`.
    told: u32,
    /// Commands in `operation`: all but the frames of transactions.
    named: u32,
    /// What all commands are, if they are the same; else the text of all, and no operation.
    all: Told,
    /// `MULTI`, as it was sent, if that is the first command.
    opening: String,
    same_text: bool,
    same_operation: bool,
    transaction: Transaction,
}

impl Batch {
    /// Makes it that of the call at `at`.
    pub(super) fn begin(&mut self, at: u64, turn: u64, namespace: Option<Arc<str>>) {
        let Self { mut awaited, mut all, mut opening, .. } = std::mem::take(self);
        awaited.clear();
        all.clear();
        opening.clear();
        *self = Self {
            at,
            turn,
            namespace,
            awaited,
            all,
            opening,
            same_text: true,
            same_operation: true,
            ..Self::default()
        };
    }

    /// One more command begins; false if there are more than `most` runs of replies to remember.
    pub(super) fn add(&mut self, reply: Reply, most: usize) -> bool {
        self.commands = self.commands.saturating_add(1);
        self.changed = true;
        if let Some((_, count)) = self.awaited.back_mut().filter(|(last, _)| *last == reply) {
            *count = count.saturating_add(1);
            return true;
        }
        self.awaited.push_back((reply, 1));
        if self.awaited.len() > most && matches!(reply, Reply::Plain(_)) {
            self.forget_shapes();
        }
        self.awaited.len() <= most
    }

    /// Of plain replies only the number is remembered.
    fn forget_shapes(&mut self) {
        let all = std::mem::take(&mut self.awaited);
        for (reply, count) in all {
            let reply = if let Reply::Plain(_) = reply { Reply::Plain(Shape::Any) } else { reply };
            match self.awaited.back_mut().filter(|(last, _)| *last == reply) {
                Some((_, before)) => *before = before.saturating_add(count),
                None => self.awaited.push_back((reply, count)),
            }
        }
    }

    /// The command that began last is answered like this.
    pub(super) fn set_last(&mut self, reply: Reply) {
        match self.awaited.back_mut() {
            Some((back, 1)) => *back = reply,
            Some((_, count)) => {
                *count -= 1;
                self.awaited.push_back((reply, 1));
            }
            None => {}
        }
    }

    /// The command that began last is `command`.
    pub(super) fn tell(&mut self, command: &mut Told) {
        self.changed = true;
        let is = |name: &str| command.operation.eq_ignore_ascii_case(name);
        self.transaction = match self.transaction {
            Transaction::Unknown if is("MULTI") => Transaction::Begun,
            Transaction::Begun if is("EXEC") => Transaction::Whole,
            Transaction::Begun if !is("MULTI") && !is("DISCARD") => Transaction::Begun,
            _ => Transaction::No,
        };
        let frame = is("MULTI") || is("EXEC");
        match self.told {
            0 => std::mem::swap(&mut self.all.text, &mut command.text),
            before => {
                if self.same_text && self.all.text != command.text {
                    self.same_text = false;
                    let first = self.all.text.clone();
                    // Bounded by the length of the text, whatever the number is.
                    for _ in 1..before {
                        text::push_command(&mut self.all.text, &first);
                        if text::is_full(&self.all.text) {
                            break;
                        }
                    }
                }
                if !self.same_text {
                    text::push_command(&mut self.all.text, &command.text);
                }
            }
        }
        if self.told == 0 {
            self.all.procedure = command.procedure.take();
        }
        self.told += 1;
        if frame && self.transaction != Transaction::No {
            if self.told == 1 {
                std::mem::swap(&mut self.opening, &mut command.operation);
            }
            return;
        }
        if self.named == 0 {
            std::mem::swap(&mut self.all.operation, &mut command.operation);
        } else {
            self.same_operation &= self.all.operation == command.operation;
        }
        self.named += 1;
    }

    /// The reply that comes next, if any is awaited.
    pub(super) fn next(&self) -> Option<Reply> {
        self.awaited.front().map(|(reply, _)| *reply)
    }

    /// The reply that comes next is this one.
    pub(super) fn set_next(&mut self, reply: Reply) {
        match self.awaited.front_mut() {
            Some((front, 1)) => *front = reply,
            Some((_, count)) => {
                *count -= 1;
                self.awaited.push_front((reply, 1));
            }
            None => {}
        }
    }

    /// A reply came.
    pub(super) fn replied(&mut self) {
        self.replies = self.replies.saturating_add(1);
        match self.awaited.front_mut() {
            Some((_, count)) if *count > 1 => *count -= 1,
            _ => drop(self.awaited.pop_front()),
        }
    }

    /// True if no reply is awaited any more.
    pub(super) fn is_answered(&self) -> bool {
        self.awaited.is_empty() && !self.is_unsure()
    }

    /// True if only the end of the server's turn says how many commands it has.
    pub(super) fn is_unsure(&self) -> bool {
        self.open_ended || self.resumed
    }

    /// True if the replies of the server's turn, now over, are all to commands of this call: from
    /// the first that was seen on, and each that was seen has one.
    pub(super) fn is_certain(&self) -> bool {
        self.awaited.is_empty() && (!self.resumed || self.replies == self.commands)
    }

    /// True if replies are missing to commands that were seen, or there are more than commands of
    /// which none is missing.
    pub(super) fn is_another(&self) -> bool {
        !self.awaited.is_empty() || !self.open_ended && self.replies > self.commands
    }

    /// True if replies that are not one each are awaited.
    pub(super) fn awaits_confirmations(&self) -> bool {
        let several = |reply: &Reply| {
            matches!(reply, Reply::Subscribe(..) | Reply::Unsubscribe(..) | Reply::Monitor)
        };
        self.awaited.iter().any(|(reply, _)| several(reply))
    }

    /// The call, as far as it is known; `current` is a command of it that is not whole. `last`
    /// is what was said last on this connection: most calls are like the one before.
    pub(super) fn request(
        &self,
        current: Option<&Told>,
        last: &mut Option<Arc<Statement>>,
    ) -> database::Request {
        let told = match current {
            Some(current) if self.told == 0 => current,
            _ => &self.all,
        };
        let whole = self.transaction == Transaction::Whole && current.is_none();
        let alone = self.commands == 1;
        let same =
            alone || self.same_operation && current.is_none() && (whole || self.opening.is_empty());
        // More replies than commands that were seen: they were sent where nothing was seen.
        let seen = self.replies <= self.commands;
        let (frame, size) = match self.commands.max(self.replies) {
            _ if whole && seen => ("MULTI", self.named),
            0 | 1 => ("", 1),
            size => ("PIPELINE", size),
        };
        let name = match same && seen {
            true if alone && !self.opening.is_empty() => self.opening.as_str(),
            true => told.operation.as_str(),
            false => "",
        };
        let is_last = |last: &Statement| {
            let operation = last.operation.as_deref().unwrap_or_default();
            let (first, rest) = match frame {
                "" => ("", operation),
                frame => match operation.strip_prefix(frame) {
                    Some(rest) => (frame, rest.strip_prefix(' ').unwrap_or(rest)),
                    None => return false,
                },
            };
            first == frame
                && rest == name
                && *last.text == *told.text
                && last.statements == size
                && last.procedure == told.procedure
        };
        let statement = match last {
            Some(last) if is_last(last) => Arc::clone(last),
            last => {
                let operation = match (frame, name) {
                    ("", "") => None,
                    ("", one) | (one, "") => Some(one.into()),
                    (frame, name) => Some(format!("{frame} {name}").into()),
                };
                let statement = Arc::new(Statement {
                    text: told.text.as_str().into(),
                    operation,
                    procedure: told.procedure.clone().filter(|_| size == 1),
                    statements: size,
                    ..Statement::default()
                });
                *last = Some(Arc::clone(&statement));
                statement
            }
        };
        database::Request {
            system: &SYSTEM,
            namespace: self.namespace.clone(),
            statement: Some(statement),
            operation: None,
            executions: 1,
            // Nor may it time out while nobody knows where it began.
            waits: self.waits && !whole || self.resumed,
            trimmed: false,
        }
    }
}
