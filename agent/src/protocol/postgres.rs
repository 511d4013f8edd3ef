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
//! While both streams are known, counting is therefore all it takes, pipelined or not.
//!
//! # When bytes are missing
//!
//! - **Results, bind values and COPY data** are skipped by length and never missed.
//! - **An answer that is cut** (only the first of each turn is captured) ends where its turn ends,
//!   if the last bytes of that are a `ReadyForQuery`, or nobody knows them and the client goes on
//!   to ask. Its rows, and an error in the part that was not seen, are unknown, which the call says.
//!   If it was the answer to several statements, those that had not ended are given up.
//! - **A request that is cut** ends with its answer. What it asked beyond the first statement is
//!   counted as lost.
//! - **After that** the next request is the first message at the beginning of a client's turn,
//!   complete and well-formed, while nothing is outstanding.
//! - That is certain for clients that wait for `ReadyForQuery` before they ask again. A connection
//!   of which bytes are missing, or that was joined midway, and whose client is seen not to wait,
//!   is given up for good.
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
