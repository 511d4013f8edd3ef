//! What is known of a session: who the server is, what the ends agreed on, and what changes.

use std::sync::Arc;

use super::handshake::{Capabilities, Greeting};
use super::packet::Status;
use super::{MYSQL, text};
use crate::protocol::database::System;
use crate::sql::{Backslash, Dialect, Statement};

/// Longest name of a database kept; the server's have at most 64 characters.
const MAX_NAMESPACE: usize = 256;

/// Before the server told its settings, or when it may have changed them unseen.
const UNKNOWN: Dialect = Dialect { backslash: Backslash::Unknown, ..Dialect::MYSQL };

/// Collations by the first byte of their number, of encodings in which a byte of a character may
/// look like a backslash: big5, sjis, gbk, cp932, gb18030.
const UNSAFE: &[u8] = &[1, 13, 28, 84, 87, 88, 95, 96, 248, 249, 250];

/// What is known of one session.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) system: &'static System,
    /// What both ends can do; none if the handshake was not seen.
    pub(super) capabilities: Option<Capabilities>,
    /// Descriptions of columns end with an `EOF`, as far as anything told.
    pub(super) eof: Option<bool>,
    /// The database.
    pub(super) namespace: Option<Arc<str>>,
    dialect: Dialect,
    unsafe_encoding: bool,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            system: &MYSQL,
            capabilities: None,
            eof: None,
            namespace: None,
            dialect: UNKNOWN,
            unsafe_encoding: false,
        }
    }
}

impl Session {
    /// The client answered to the greeting.
    pub(super) fn begins(
        &mut self,
        greeting: &Greeting,
        client: Capabilities,
        collation: u8,
        database: Option<&[u8]>,
    ) {
        let both = Capabilities(greeting.capabilities.0 & client.0);
        self.capabilities = Some(both);
        self.eof = Some(both.eof());
        self.unsafe_encoding = UNSAFE.contains(&collation);
        self.status(Status(greeting.status));
        self.uses(database.unwrap_or_default());
    }

    /// This is the database from now on; empty: none.
    pub(super) fn uses(&mut self, name: &[u8]) {
        let name = &name[..name.len().min(MAX_NAMESPACE)];
        self.namespace = (!name.is_empty()).then(|| String::from_utf8_lossy(name).into());
    }

    /// The server said how it reads strings.
    pub(super) fn status(&mut self, status: Status) {
        let literal = status.literal_backslash();
        let backslash = if literal { Backslash::Literal } else { Backslash::Escape };
        self.dialect = Dialect { backslash, ..Dialect::MYSQL };
    }

    /// How the server reads strings may have changed.
    pub(super) fn forget_status(&mut self) {
        self.dialect = UNKNOWN;
    }

    /// Requests were missed: anything may have changed that they can change.
    pub(super) fn forget(&mut self) {
        self.namespace = None;
        self.forget_status();
    }

    /// A text did this to the database.
    pub(super) fn took_effect(&mut self, effect: &text::Effect, several: bool) {
        match &effect.first {
            _ if several && effect.others => self.namespace = None,
            text::Use::Not => {}
            text::Use::Name(name) => self.uses(name.as_bytes()),
            text::Use::Unclear => self.namespace = None,
        }
    }

    /// Reads a text; none if it is, or may be, in an encoding that cannot be read byte by byte.
    /// `known`: the server has said how it reads strings since anything could change that.
    pub(super) fn statement(&self, text: &[u8], cut: bool, known: bool) -> Option<Arc<Statement>> {
        let readable = match std::str::from_utf8(text) {
            // What is UTF-8 by chance is rare enough.
            Ok(_) => text.is_ascii() || !self.unsafe_encoding,
            // A character may be cut at the end.
            Err(error) => cut && error.error_len().is_none() && !self.unsafe_encoding,
        };
        let dialect = if known { self.dialect } else { UNKNOWN };
        readable.then(|| Statement::shared(text, dialect, cut))
    }
}
