//! The session before its first command.

use super::super::handshake::{self, Found, Login};
use super::super::packet::{self, HEADER, Header, Status};
use super::super::{MARIADB, MYSQL};
use super::{Conversation, Phase, Requests};
use crate::protocol::{Part, Side, Step, Unreadable};

/// Longest packet in which a client says who it is: it also says what program it is.
const MAX_LOGIN: usize = 32 * 1024;

impl Conversation {
    /// The server speaks first.
    pub(super) fn greeted(&mut self, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        match handshake::greeting(bytes) {
            Found::Partial => Step::Need,
            Found::Not => self.strange(Side::Response, parts),
            Found::Is(greeting) => {
                self.session.system = if greeting.mariadb { &MARIADB } else { &MYSQL };
                self.phase = Phase::Greeted(greeting);
                self.confirmed = true;
                Step::Took(greeting.total)
            }
        }
    }

    /// The client says who it is, and proves it.
    pub(super) fn parse_login(&mut self, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        let Some(header) = Header::read(bytes) else { return Step::Need };
        let Phase::Greeted(greeting) = self.phase else {
            // Proofs are not looked at.
            return match header.number {
                0 => self.leave(parts),
                _ => Step::Skip(header.total()),
            };
        };
        if header.number != 1 || header.length > MAX_LOGIN {
            return self.leave(parts);
        }
        let Some(body) = bytes.get(HEADER..HEADER + header.length) else { return Step::Need };
        match handshake::login(body) {
            None => self.leave(parts),
            Some(Login::Tls) => self.unreadable(Unreadable::Encrypted, parts),
            Some(Login::Session { capabilities, collation, database }) => {
                self.session.begins(&greeting, capabilities, collation, database);
                self.phase = Phase::Login;
                Step::Took(HEADER + header.length)
            }
        }
    }

    /// The server is, or is not, content.
    pub(super) fn judged(&mut self, bytes: &[u8], parts: &mut Vec<Part>) -> Step {
        let Some(header) = Header::read(bytes) else { return Step::Need };
        let wanted = HEADER + header.length.min(16);
        if bytes.len() < wanted {
            return Step::Need;
        }
        let body = &bytes[HEADER..wanted];
        match body.first() {
            Some(0) => {
                self.told(packet::done(body, false).map(|done| done.status));
                self.phase = Phase::Session;
                if self.compressed() {
                    return self.unreadable(Unreadable::Compressed, parts);
                }
                Step::Skip(header.total())
            }
            // Refused.
            Some(0xff) | None => self.leave(parts),
            // It asks for more.
            Some(_) => Step::Skip(header.total()),
        }
    }

    fn compressed(&self) -> bool {
        self.session.capabilities.is_some_and(|both| both.compressed())
    }

    /// Bytes are missing before the first command: what was agreed on is known, or not.
    pub(super) fn login_gap(&mut self, parts: &mut Vec<Part>) -> Option<Step> {
        let known = matches!(self.phase, Phase::Login);
        self.phase = Phase::Session;
        if known && self.compressed() {
            return Some(self.unreadable(Unreadable::Compressed, parts));
        }
        self.requests = Requests::Lost;
        None
    }

    /// The server ended a change of users.
    pub(super) fn user_changed(&mut self, database: Option<&[u8]>) {
        self.statements.forget();
        match database {
            Some(name) => self.session.uses(name),
            None => self.session.namespace = None,
        }
    }

    /// The server told its state.
    pub(super) fn told(&mut self, status: Option<Status>) {
        match status {
            Some(status) => self.session.status(status),
            None => self.session.forget_status(),
        }
    }
}
