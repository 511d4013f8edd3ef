//! A call: one request with its response, or the reason that it has none.
//!
//! The protocol-neutral fact that everything after works on.

mod numbered;
pub mod open;
pub mod pairing;
pub mod search;

use crate::protocol::{Request, Response};
use crate::source::{Address, ConnectionId, Role, Thread, Time};

/// Why a call has no (complete) answer. The names are `error.type` values of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoAnswer {
    /// Not one byte of an answer within `--request-timeout`.
    Timeout,
    /// The connection was reset, or the transport gave up.
    ConnectionReset,
    /// The peer closed before it answered in full (client side).
    PeerClosed,
    /// The client closed before it was answered in full (server side).
    ClientClosed,
    /// This process closed the connection before the answer was complete.
    Closed,
}

impl NoAnswer {
    /// The `error.type` value.
    pub fn error_type(self) -> &'static str {
        match self {
            NoAnswer::Timeout => "timeout",
            NoAnswer::ConnectionReset => "connection_reset",
            NoAnswer::PeerClosed => "peer_closed",
            NoAnswer::ClientClosed => "client_closed",
            NoAnswer::Closed => "closed",
        }
    }
}

/// The connection that a call went over, as spans need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The socket.
    pub id: ConnectionId,
    /// Which end it is.
    pub role: Role,
    /// The socket's own address.
    pub local: Address,
    /// The socket's peer.
    pub remote: Address,
}

/// One call, seen from one end.
#[derive(Debug)]
pub struct Call {
    /// The connection.
    pub endpoint: std::sync::Arc<Endpoint>,
    /// Who read the request (server) or wrote it (client).
    pub thread: Thread,
    /// Position of the request's first byte in its stream; with the connection's sequence
    /// numbers the key that joins the two ends.
    pub position: u64,
    /// Client: first request byte written. Server: first request byte read.
    pub started: Time,
    /// Client: last response byte read. Server: last response byte written. Without an answer:
    /// when that became certain.
    pub ended: Time,
    /// How long the first request byte waited in the server's socket, in nanoseconds; 0 unknown.
    pub waited: u64,
    /// The question.
    pub request: Request,
    /// The answer, even if it was not completed.
    pub response: Option<Response>,
    /// Why there is no complete answer.
    pub no_answer: Option<NoAnswer>,
    /// Payload bytes of the request on the wire, framing excluded, where known.
    pub request_body: Option<u64>,
    /// The same of the response.
    pub response_body: Option<u64>,
}
