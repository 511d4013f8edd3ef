//! Protocols that are spoken over HTTP: what they want of its messages.
//!
//! HTTP frames messages and pairs them; what they mean beyond that it does not know. Each such
//! protocol says here what it takes from heads, and which bodies it reads. A body is shown as it
//! goes by, without its framing; what nobody reads is skipped as ever.

use std::fmt::Debug;

use super::{Request, Response};
use crate::protocol::search;

/// Reads one body.
pub trait Reader: Send + Debug {
    /// The next bytes of it; false if no more are wanted.
    fn read(&mut self, bytes: &[u8]) -> bool;

    /// What it says; `whole` if it was shown to its end, without a gap.
    fn finish(self: Box<Self>, whole: bool) -> Option<Content>;
}

/// What a body says, by protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Elasticsearch and OpenSearch.
    Search(search::Content),
}

/// What a request's head says, by protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    /// Elasticsearch and OpenSearch.
    pub search: search::Signs,
}

impl Signs {
    /// Takes in a field of the head.
    pub(super) fn field(&mut self, name: &str, value: &[u8]) {
        self.search.field(name, value);
    }
}

/// What a response's head says, by protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerSigns {
    /// Elasticsearch and OpenSearch.
    pub search: search::AnswerSigns,
}

impl AnswerSigns {
    /// Takes in a field of the head.
    pub(super) fn field(&mut self, name: &str, value: &[u8]) {
        self.search.field(name, value);
    }
}

/// Who reads the body of a request, if anybody does.
pub(super) fn of_request(request: &Request) -> Option<Box<dyn Reader>> {
    search::reader(&request.method, &request.target, request.signs.search)
}

/// What somebody wants of the body of an answer.
pub(super) type Awaited = search::Tells;

/// What somebody wants of the body of the answer to a request.
pub(super) fn awaited(request: &Request) -> Option<Awaited> {
    search::awaited(&request.method, &request.target)
}

/// Who reads it, of `length` bytes if that is known, once its head is known.
pub(super) fn of_answer(
    awaited: Awaited,
    response: &Response,
    length: Option<u64>,
) -> Option<Box<dyn Reader>> {
    search::answer_reader(awaited, response.status, length, &response.signs.search)
}
