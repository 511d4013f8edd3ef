//! PostgreSQL, frontend/backend protocol 3 (PostgreSQL 18 documentation, chapter 54).
//!
//! `message` reads the framing, `detect` judges first bytes, `statements` remembers what was
//! prepared, `conversation` pairs what was asked with what was answered.
//!
//! # Calls
//!
//! - A `Query` message is one call, whatever number of statements it has.
//! - In the extended protocol a call is the `Parse`, `Bind`, `Describe` and `Execute` messages of
//!   one statement. Executed again right away with other values it is the same call (a batch);
//!   another statement before the same `Sync` is another call.
//! - A statement that is only prepared or described makes a call if that fails. Logging in, `Sync`
//!   and `Close` make none.
//! - What follows a failed statement up to the `Sync` is not carried out by the server: a call
//!   that says so.
//! - A call begins with the first byte of its first message. The last one before a `Sync` ends with
//!   `ReadyForQuery`, the others with the answer to their last message.
//!
//! # Pairing
//!
//! The server answers each message in order, and each `Sync` and `Query` with one `ReadyForQuery`.
//! While both streams are known, counting is therefore all it takes, pipelined or not. Each message
//! of the server must be one that answers what was asked: a connection where it is not is given up
//! ([`Step::GiveUp`]), because then it is not what we take it for.
//!
//! # When bytes are missing
//!
//! What is told is what the bytes that were seen prove; what they do not prove is counted as lost.
//!
//! - **Results, bind values and COPY data** are skipped by length and never missed.
//! - **Requests are missing.** What was seen before them is answered first, and told as ever. The
//!   call that was under way may go on in what is missing: it is told if the answer shows that
//!   nothing more was executed, or that failed before, or if the messages that are answered like
//!   this fill the missing bytes exactly when they are as short as can be (a long value, then
//!   `Execute` and `Sync`). Otherwise it is given up ([`Part::Desync`]). What answers other requests
//!   belongs to nobody ([`Part::Orphan`]).
//! - **Names** of statements mean what they did only if all that answers the missing requests was
//!   seen, and none of it says that a statement was prepared or closed. Otherwise all are forgotten
//!   until they are prepared again: calls without a text. Portals and the statement without a name
//!   are forgotten in any case.
//! - **Answers are missing** (only the first of each turn is captured). With one cycle outstanding,
//!   the answer ends where its turn ends, if the last bytes of that are known to be a
//!   `ReadyForQuery`. If these show a `CommandComplete` right before it, and it is the only one that was
//!   still to come, the call succeeded and its rows are known; nothing else that may stand there looks
//!   like that. Otherwise its rows, and an error in the part that was not seen, are unknown. The call
//!   says that its answer is cut; that a transaction failed in it shows in its state. If it was the
//!   answer to several calls, those that had not ended are given up, as is an answer whose end was not
//!   seen.
//!
//! # Where it recovers
//!
//! The next request is the first message at the beginning of a client's turn, complete and
//! well-formed, right after a `ReadyForQuery` and while nothing is outstanding. If it is not known
//! what the server said last (joined midway, records lost), only a `Query` or a `Parse` will do:
//! these begin a call wherever they stand, what else there is may go on with one. Its answer begins
//! with the next turn of the server.
//!
//! That this is certain takes a client that waits for `ReadyForQuery` before it asks again: nearly
//! all. A connection of which bytes are missing, or that was joined midway, and whose client is
//! seen not to wait, whichever comes first, is given up for good. What remains is a client that
//! pipelines unseen, and from then on so evenly that each request is followed by exactly one answer,
//! of the kind that it asks for: that of an older one.
//!
//! [`Part::Desync`]: super::Part::Desync
//! [`Part::Orphan`]: super::Part::Orphan
//! [`Step::GiveUp`]: super::Step::GiveUp
//!
//! What is encrypted, or a replication stream, is left alone.

mod conversation;
mod detect;
mod message;
mod statements;
#[cfg(test)]
mod tests;

use super::database::{Batches, System};
use super::{Detector, Ends};

/// The line of [`super::DETECTORS`].
pub const DETECTOR: Detector = Detector {
    name: "postgresql",
    ends: Ends::Client,
    passes_on: false,
    detect: detect::detect,
    resume: detect::resume,
    parser: || Box::new(conversation::Conversation::default()),
};

/// How spans name it.
const SYSTEM: System =
    System { name: "postgresql", port: 5432, batches: Batches::Prefixed, target_names: true };

/// Bytes of a statement's text that are read: as many as a span shows. What follows is skipped.
const MAX_STATEMENT: usize = 4096;

/// For fuzzers; see [`super::fuzz`].
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    super::fuzz::play(&DETECTOR, data);
}
