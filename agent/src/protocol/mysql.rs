//! MySQL and MariaDB, client/server protocol 10 (MySQL 8 source documentation, "Client/Server
//! Protocol"; MariaDB knowledge base, "Clients and Servers Protocol").
//!
//! `packet` reads the framing, `handshake` how a session begins, `command` what a client may ask,
//! `detect` judges first bytes, `text` finds the statement in a query, `statements` remembers what
//! was prepared, `answer` follows one answer to its end, `session` what the two ends agreed on,
//! `conversation` pairs what was asked with what was answered.
//!
//! # Calls
//!
//! - `COM_QUERY` is one call, whatever number of statements and results it has; so are
//!   `COM_STMT_EXECUTE`, each `COM_STMT_FETCH` of its cursor, and the commands that do by number
//!   what statements do by text (`COM_INIT_DB`).
//! - A statement that is only prepared makes a call if that fails. Logging in, `COM_PING`, resets,
//!   closing a statement make none.
//! - A call ends with the last packet of its last result.
//!
//! # Pairing
//!
//! A client waits for the whole answer before it asks again; the packets of a command and of its
//! answer are numbered from 0. Some drivers of MariaDB do not wait. While both streams are known,
//! the order is therefore all it takes, and the numbers show that nothing was misunderstood.
//! What the two ends agreed on changes the framing of results, but each result shows which it is:
//! it can be followed without having seen the handshake.
//!
//! # When bytes are missing
//!
//! - **Rows, values, files** are skipped by length and never missed.
//! - **An answer that is cut** (only the first of each turn is captured) ends where its turn ends, if
//!   the last bytes of that are the end of a result, and nothing of the requests is missing until
//!   the client asks again, or rests. Its rows are unknown, which the call says. An answer of which
//!   the end is not seen is lost.
//! - **A request that is cut** (a long text of which only the first was captured is not) makes no
//!   call. What is asked while nobody sees it, and what is answered to that, is counted.
//! - **After that** the next request is a whole, well-formed command at the beginning of a client's
//!   turn, numbered 0, whose answer is numbered 1 and is the next thing that the server says.
//! - That is certain for clients that wait, as the protocol asks. A connection of which bytes are
//!   missing, or that was joined midway, and whose client is seen not to wait, is given up for good.
//! - Numbers of prepared statements are forgotten when a request is missed, and so is the database.
//!
//! What is encrypted or compressed is counted; a replication stream is left alone.

mod answer;
mod command;
mod conversation;
mod detect;
mod handshake;
mod packet;
mod session;
mod statements;
#[cfg(test)]
mod tests;
mod text;

use super::database::{Batches, System};
use super::{Detector, Ends};

/// The line of [`super::DETECTORS`].
pub const DETECTOR: Detector = Detector {
    name: "mysql",
    ends: Ends::Client,
    passes_on: false,
    detect: detect::detect,
    resume: detect::resume,
    parser: || Box::new(conversation::Conversation::default()),
};

/// How spans name it, also where nothing says that it is MariaDB.
static MYSQL: System =
    System { name: "mysql", port: 3306, batches: Batches::Prefixed, target_names: true };
static MARIADB: System = System { name: "mariadb", ..MYSQL };

/// Bytes of a statement's text that are read: as many as a span shows. What follows is skipped.
const MAX_STATEMENT: usize = 4096;

/// For fuzzers; see [`super::fuzz`].
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    super::fuzz::play(&DETECTOR, data);
}
