//! Protocols: pure parsers of byte streams.
//!
//! A parser sees both directions of one connection as it learns them and says which messages
//! begin and end where. It has no clock, no I/O and no process state, and it never panics,
//! whatever the bytes are. A new protocol is one file (or folder) beside this one and one line in
//! [`DETECTORS`], or in `http1::over` if it is spoken over HTTP: what it finds it says in the words
//! of its kind of call ([`Request::Http`], [`Request::Database`]), of which everything after makes
//! spans.

use std::fmt;

pub mod amqp;
pub mod database;
#[doc(hidden)]
pub mod fuzz;
pub mod http1;
pub mod messaging;
pub mod mysql;
pub mod postgres;
pub mod redis;
pub mod search;
#[cfg(test)]
mod tests;

/// Which side of the conversation bytes belong to, whatever end of the connection we watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// From the client to the server.
    Request,
    /// From the server to the client.
    Response,
}

/// What a detector says of the first bytes of a connection (or of a turn, when joined mid-life).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detection {
    /// These bytes are a message of this protocol, from this side.
    Is(Side),
    /// They are not.
    IsNot,
    /// A message could begin like this; more bytes are needed.
    Unsure,
}

/// Which ends of a connection tell of its calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Both: a client span and a server span.
    Both,
    /// The client's: the conventions know no other span of this kind of call. The server's end is
    /// left alone.
    Client,
}

/// One protocol as the engine sees it before it is known to be spoken.
pub struct Detector {
    /// Name as in `network.protocol.name`.
    pub name: &'static str,
    /// Which ends tell of the calls.
    pub ends: Ends,
    /// Servers pass on to clients what others have sent: who these are is looked for.
    pub passes_on: bool,
    /// Judges the first contiguous bytes of one direction of a connection.
    pub detect: fn(bytes: &[u8]) -> Detection,
    /// The same of a connection that is not known from its beginning: of the first bytes of a
    /// turn, which may be anything.
    pub resume: fn(bytes: &[u8]) -> Detection,
    /// Makes a parser for one connection.
    pub parser: fn() -> Box<dyn Parser>,
}

impl fmt::Debug for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detector").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Every protocol that is recognised. A port is no evidence: the order means nothing, because no
/// bytes are a message of two of them.
pub static DETECTORS: &[Detector] =
    &[http1::DETECTOR, postgres::DETECTOR, mysql::DETECTOR, redis::DETECTOR, amqp::DETECTOR];

/// What the parser wants of the direction it was just shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It took the first `n` bytes; call again with what follows (at once if bytes remain).
    Took(usize),
    /// It took none: call again when there are more. The engine keeps the bytes, up to
    /// [`MAX_UNPARSED`].
    Need,
    /// The next `n` bytes, the first of them `bytes[0]`, mean nothing to it: do not show them.
    Skip(u64),
    /// Nothing that follows in this direction means anything until the other direction begins a
    /// new message (a body of unknown length whose framing was lost, or ended by close). It is shown
    /// again from the first bytes of a turn: those that come after bytes of the other direction.
    /// If just these are missing, that is a [`gap`](Parser::gap).
    SkipTurn,
    /// The connection speaks something else from here on (an upgrade, a tunnel): never ask again.
    Leave,
    /// The connection goes on in this protocol, but nothing that follows can be told apart any more:
    /// never ask again. Its messages are calls that are lost.
    GiveUp,
    /// These bytes are not of this protocol. The engine gives up on what is open.
    NotMine,
    /// What the connection was recognised by may have been something else, which the parser has
    /// given up: it is to be recognised anew, from these bytes on if a turn begins with them, else
    /// from the next turn on.
    Mistaken,
}

impl Step {
    /// How far a stream is understood of which bytes from position `at` on led to this.
    fn reaches(self, at: u64) -> u64 {
        at.saturating_add(match self {
            Step::Took(n) => n as u64,
            Step::Skip(n) => n,
            _ => 0,
        })
    }
}

/// Most bytes that the engine keeps for a parser that said [`Step::Need`]: the longest message
/// head accepted. Servers commonly refuse heads above 8 to 32 KiB.
pub const MAX_UNPARSED: usize = 64 * 1024;

/// Something that a parser found. Positions are offsets in the stream of the part's side.
#[derive(Debug)]
pub enum Part {
    /// A request begins at `at`.
    Request {
        /// Position of its first byte.
        at: u64,
        /// What it asks.
        request: Request,
    },
    /// More is known of the request that began last: this is what it asks.
    Asked(Request),
    /// The request that began last ends before position `at`, which may lie in the future. A
    /// request that is answered early may end after its response.
    RequestEnd {
        /// Position after its last byte; where that is not known, where its stream was last
        /// understood.
        at: u64,
        /// Payload size on the wire without framing, where it is known.
        body: Option<u64>,
    },
    /// The oldest request without a response is being answered; what the answer says comes with
    /// its [`Part::Response`].
    Answering,
    /// The (final) response to the oldest request without one begins at `at`.
    Response {
        /// Position of its first byte.
        at: u64,
        /// What it answers.
        response: Response,
    },
    /// The response that began last ends before `at`, which may lie in the future.
    ResponseEnd {
        /// Position after its last byte; `None`: wherever its stream stands now.
        at: Option<u64>,
        /// Payload size on the wire without framing, where it is known.
        body: Option<u64>,
    },
    /// What the body says of the message of `side` that began at `at`, where that means something.
    Content {
        /// Whose message.
        side: Side,
        /// Position of its first byte.
        at: u64,
        /// What it says.
        content: Box<http1::Content>,
    },
    /// The oldest open request was answered, and was none that makes a call.
    Withdrawn,
    /// A response to a request that was not seen (joined midway, or its request was lost): no call.
    Orphan,
    /// The oldest open call, one whose [`Part::ResponseEnd`] has not been said, is given up: bytes
    /// are missing, and which response is its own, or where that ends, can no longer be known.
    Desync,
    /// What follows on this connection cannot be read, however well the protocol is known.
    Unreadable(Unreadable),
    /// Something of the call that has this number on the connection: one that is not answered in its
    /// turn, but whenever its number (of whatever the protocol makes it) is named, or not at all.
    Numbered(u64, Numbered),
}

/// What there is to say of a call that has a number.
///
/// A parser numbers calls as they begin, each with a number of its own; either side may begin one. A
/// call is over when the bytes that ended it went through; whichever began first.
#[derive(Debug)]
pub enum Numbered {
    /// It begins at `at` of the stream of `side`.
    Begins {
        /// Who says its first bytes.
        side: Side,
        /// Position of the first of them.
        at: u64,
        /// What it is, as far as that is known.
        request: Request,
    },
    /// More is known of it: this is what it is.
    Is(Request),
    /// What was said to begin it ends before `at` of the stream of `side`, which may lie in the
    /// future; it may go on.
    Whole {
        /// Who said it.
        side: Side,
        /// Position after the last byte.
        at: u64,
    },
    /// It is over with this: before `at` of the stream of `side`; if that is not said, when it was
    /// [`Whole`](Self::Whole).
    Ends {
        /// Who ended it, and the position after the last byte.
        at: Option<(Side, u64)>,
        /// How.
        response: Option<Response>,
    },
    /// It is none that makes a span.
    Withdrawn,
    /// It is given up: what became of it is not known.
    Lost,
}

/// Why a connection of a known protocol cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The two ends agreed to encrypt it.
    Encrypted,
    /// The two ends agreed to compress it.
    Compressed,
    /// The client asked for no answers: its calls have no end.
    Unanswered,
}

/// A request, by protocol.
#[derive(Debug, Clone)]
pub enum Request {
    /// HTTP/1.x.
    Http(Box<http1::Request>),
    /// A database.
    Database(Box<database::Request>),
    /// A broker of messages.
    Messaging(Box<messaging::Request>),
    /// Elasticsearch or OpenSearch, over HTTP. Never said by a parser: who is asked is known of
    /// some calls when they are over, and of the client's end alone
    /// ([`call::search`](crate::call::search)).
    Search(Box<search::Request>),
}

/// A response, by protocol.
#[derive(Debug, Clone)]
pub enum Response {
    /// HTTP/1.x.
    Http(http1::Response),
    /// A database.
    Database(Box<database::Response>),
    /// A broker of messages.
    Messaging(Box<messaging::Response>),
}

impl Request {
    /// True if the call waits, on purpose, until something happens.
    pub fn waits(&self) -> bool {
        match self {
            Request::Http(_) | Request::Search(_) => false,
            Request::Database(request) => request.waits,
            Request::Messaging(request) => request.operation.waits(),
        }
    }
}

impl Response {
    /// The response to a call over HTTP.
    pub fn http(self) -> Option<http1::Response> {
        match self {
            Response::Http(response) => Some(response),
            Response::Database(_) | Response::Messaging(_) => None,
        }
    }

    /// The same, where it is.
    pub fn as_http(&self) -> Option<&http1::Response> {
        match self {
            Response::Http(response) => Some(response),
            Response::Database(_) | Response::Messaging(_) => None,
        }
    }

    /// The response of a database.
    pub fn database(self) -> Option<Box<database::Response>> {
        match self {
            Response::Database(response) => Some(response),
            Response::Http(_) | Response::Messaging(_) => None,
        }
    }

    /// The response of a broker, where it is.
    pub fn as_messaging(&self) -> Option<&messaging::Response> {
        match self {
            Response::Messaging(response) => Some(response),
            Response::Http(_) | Response::Database(_) => None,
        }
    }

    /// The response of a broker.
    pub fn messaging(self) -> Option<Box<messaging::Response>> {
        match self {
            Response::Messaging(response) => Some(response),
            Response::Http(_) | Response::Database(_) => None,
        }
    }
}

/// The state of one connection in one protocol.
///
/// The engine calls [`parse`](Parser::parse) with contiguous bytes of one direction, never with
/// bytes that the parser asked to skip. Parsers of both directions share the state, because in
/// most protocols the answer cannot be framed without the question.
pub trait Parser: Send {
    /// Looks at `bytes`, the first of which is at position `at` of `side`'s stream, and pushes
    /// what it found. `bytes` is never empty.
    fn parse(&mut self, side: Side, at: u64, bytes: &[u8], parts: &mut Vec<Part>) -> Step;

    /// Bytes of `side` that it did not ask to skip are missing: the stream goes on at position
    /// `to`. The parser finds its way again or says what can no longer be known. Called as soon as
    /// that is known, before later bytes of either side are shown: what was seen of one side while
    /// the other was blind proves nothing.
    fn gap(&mut self, side: Side, to: u64, parts: &mut Vec<Part>) -> Step;

    /// `side` will send nothing from position `at` on.
    fn finish(&mut self, side: Side, at: u64, parts: &mut Vec<Part>);

    /// `side` has been silent for a while, at position `at`, or the other side began a message since
    /// then that is left out: does the message that was under way end there? After
    /// [`Step::SkipTurn`], these are the bytes before it, where they are known.
    fn rested(&mut self, _side: Side, _at: u64, _tail: &[u8], _parts: &mut Vec<Part>) {}

    /// After [`Step::SkipTurn`] the turn of `side` is over, at position `at`: the other side speaks,
    /// or the connection ends. These are the last bytes of it that are known.
    fn turn_over(&mut self, _side: Side, _at: u64, _tail: &[u8], _parts: &mut Vec<Part>) {}

    /// Whether all bytes have to be seen, not only the first of each turn; `open` calls are.
    fn needs_everything(&self, open: usize) -> bool {
        open > 1
    }

    /// Whether a message of it is recognised wherever it begins. Else what follows where records are
    /// missing is shown from the next turn on.
    fn resumes_anywhere(&self) -> bool {
        false
    }

    /// The agent stops, or a capture ends: what is open and may be told as it is.
    fn stop(&mut self, _parts: &mut Vec<Part>) {}

    /// The connection is gone without an error. `side` came to `at`, and all of it was read, but
    /// it did not say that nothing follows.
    fn closed(&mut self, _side: Side, _at: u64, _parts: &mut Vec<Part>) {}

    /// The connection is gone, and nothing more will be said of it: what may have been complete,
    /// or not, is given up.
    fn gone(&mut self, _parts: &mut Vec<Part>) {}
}
