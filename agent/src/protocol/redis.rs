//! Redis and Valkey: RESP2 and RESP3 (<https://redis.io/docs/latest/develop/reference/protocol-spec>).
//!
//! `resp` finds where values end, `command` how commands begin, `commands` is the table of them,
//! `replies` what they are answered with, `text` masks them, `detect` judges first bytes, `batch` is one call, and `conversation` pairs
//! commands with replies.
//!
//! # What is a call
//!
//! The commands of one turn: those whose first bytes went out before any byte of the server's came
//! in behind them. One command and its reply is the normal case. Several are a pipeline: one call
//! from the first byte of the first to the last byte of the last reply, with the number of
//! commands. That is decided by the order of bytes alone, wherever segments or reads end. `MULTI`
//! to `EXEC` in one turn is a transaction, also one call; sent one by one, each of its commands is a
//! call, as it is for the client that waits for each `QUEUED`.
//!
//! A client that shares a connection between tasks and writes several commands before it reads
//! anything cannot be told from one that pipelines.
//!
//! # Which reply is whose
//!
//! Replies come in the order of the commands, each command has one, with these exceptions:
//! messages and other pushes (RESP3 marks them, in RESP2 they are arrays that begin with `message`
//! on a connection that subscribed) are nobody's reply; `SUBSCRIBE` and its like have a
//! confirmation per channel. After `MONITOR`, `SYNC` and `PSYNC` the connection is a stream that is
//! left alone. After `CLIENT REPLY OFF` or `SKIP` commands have no replies: they have no end that
//! anybody could see, and the connection is counted as unanswered and left.
//!
//! # When bytes are missing
//!
//! The lengths of strings say where they end: what is missing inside is not missed. Elsewhere a
//! call is told only where it is certain what it was and where it ended:
//!
//! - **In a reply that began**, if it answers the only call there is: the call ends with the
//!   server's turn, if that ends like a value. What the replies of a pipeline said is then not
//!   known ([`database::Response::cut`](super::database::Response::cut)).
//! - **In requests**, behind a command that nobody answered yet: more commands may be in the gap.
//!   The call is kept if the server's turn brings whole replies and nothing else, at least one for
//!   each command that was seen: so many commands there were. A client that waits sends nothing
//!   before it has them.
//! - **All else** gives up what is open ([`Part::Desync`](super::Part::Desync)).
//!
//! After each of these the next call begins with the next turn of the client, if its first bytes are
//! a command in an array while nothing is outstanding: the next message boundary that the protocol
//! lets anybody recognise. It is told when the client asks again and the server had one reply for
//! each command. Of a connection that was joined midway the first turn that is seen is no such
//! boundary (it may have begun before, or in a value): it is counted as lost. The database is not
//! known from there on, unless the replies say that no command went by unseen.
//!
//! # Shared connections
//!
//! All this is certain for clients that wait for their replies. A client that several tasks share
//! does not. The premise is that this is seen. While nothing is missing it does not matter: replies
//! come in order. A connection that was ever in *doubt* (joined midway, or any of the above) is given
//! up for good, and its calls are only counted, as soon as, whichever comes first,
//!
//! - commands were ever sent while replies to earlier ones were under way (*overlapped*),
//! - a turn of the server's had fewer replies than the client's before it has commands, or more,
//! - a push comes, or
//! - a reply is none that servers give to its command (`replies`).
//!
//! What remains is a client that does not wait, was never seen to do so, and from some bytes that are
//! missing on asks so evenly that each turn is followed by as many replies as it has commands, of the
//! right kinds, to older ones: nothing tells it from one that waits.
//!
//! A capture does not know when a program read an answer: a long pipeline that is written in
//! pieces and answered in between is a call for each piece there.

mod batch;
mod command;
mod commands;
mod conversation;
mod detect;
mod replies;
mod resp;
#[cfg(test)]
mod tests;
mod text;

use super::database::{Batches, System};
use super::{Detector, Ends};

/// The line of [`super::DETECTORS`].
pub const DETECTOR: Detector = Detector {
    name: "redis",
    ends: Ends::Client,
    passes_on: false,
    detect: detect::detect,
    resume: detect::resume,
    parser: || Box::new(conversation::Conversation::default()),
};

/// Redis, and what speaks its protocol: from outside they cannot be told apart.
pub static SYSTEM: System =
    System { name: "redis", port: 6379, batches: Batches::Named, target_names: false };

/// For fuzzers; see [`super::fuzz`].
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    super::fuzz::play(&DETECTOR, data);
}
