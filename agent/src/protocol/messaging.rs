//! What a call to a broker of messages is, whatever its protocol looks like on the wire.
//!
//! Parsers of brokers fill these in, `trace::messaging` makes spans of them. Nothing here holds a
//! credential or the body of a message.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::LazyLock;

/// A broker, as spans name it.
#[derive(Debug, PartialEq, Eq)]
pub struct System {
    /// `messaging.system`.
    pub name: &'static str,
    /// The port that goes without saying.
    pub port: u16,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The client sends a message.
    Publish,
    /// The broker brings one to a consumer.
    Consume,
    /// The client asks for one.
    Get,
    /// The broker brings a message back that it could not route.
    Return,
    /// The broker ends a channel, or the connection, because of an error.
    Close,
}

impl Operation {
    /// `messaging.operation.name`: the protocol's own word.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Publish => "publish",
            Operation::Consume => "consume",
            Operation::Get => "get",
            Operation::Return => "return",
            Operation::Close => "close",
        }
    }

    /// `messaging.operation.type`, if the conventions have one.
    pub fn kind(self) -> Option<&'static str> {
        match self {
            Operation::Publish => Some("send"),
            Operation::Consume => Some("process"),
            Operation::Get => Some("receive"),
            Operation::Return | Operation::Close => None,
        }
    }

    /// True if the client begins it.
    pub fn is_asked(self) -> bool {
        matches!(self, Operation::Publish | Operation::Get)
    }

    /// True if the client is given a message that somebody has sent.
    pub fn brings(self) -> bool {
        matches!(self, Operation::Consume | Operation::Get)
    }

    /// True if nobody is late when it takes long: it is over when the client has done its work.
    pub(super) fn waits(self) -> bool {
        self == Operation::Consume
    }
}

/// A message on its way, or one that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Whose broker it is.
    pub system: &'static System,
    /// What is done.
    pub operation: Operation,
    /// `messaging.destination.name`, where it is known.
    pub destination: Option<Box<str>>,
    /// The broker made the name up: it says nothing, and there may be any number.
    pub anonymous: bool,
    /// The routing key, if it has one.
    pub routing_key: Option<Box<str>>,
    /// By which the client settles it.
    pub delivery_tag: Option<u64>,
    /// It was delivered before.
    pub redelivered: bool,
    /// The client will say when it is done with it.
    pub settles: bool,
    /// `messaging.message.id`.
    pub message_id: Option<Box<str>>,
    /// `messaging.message.conversation_id`.
    pub conversation_id: Option<Box<str>>,
    /// Bytes of its body.
    pub body: Option<u64>,
    /// What its headers say of a trace.
    pub context: Option<Box<Context>>,
    /// By which it is known again where it is brought ([`evidence`]): none if it has no name of its own.
    pub evidence: Option<u64>,
}

impl Request {
    /// One of which nothing else is known.
    pub fn new(system: &'static System, operation: Operation) -> Self {
        Self {
            system,
            operation,
            destination: None,
            anonymous: false,
            routing_key: None,
            delivery_tag: None,
            redelivered: false,
            settles: false,
            message_id: None,
            conversation_id: None,
            body: None,
            context: None,
            evidence: None,
        }
    }
}

/// What stands for `words`: equal for equal ones and, since nobody outside knows the key, for no others
/// that anybody could make up. It differs from run to run.
pub fn evidence(words: impl Hash) -> u64 {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    KEY.hash_one(words)
}

/// Trace context in the headers of a message, as it was sent (W3C's format).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// `traceparent`.
    pub traceparent: Box<str>,
    /// `tracestate`.
    pub tracestate: Option<Box<str>>,
}

/// How it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// The broker's own code of an error.
    pub code: Option<u16>,
    /// The broker confirmed that it has the message.
    pub confirmed: bool,
    /// The broker said that it has not taken the message.
    pub refused: bool,
    /// What the client said of the message.
    pub settled: Option<Settled>,
}

/// What a client says of a message that it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is done with.
    Acked,
    /// It is to be delivered again.
    Requeued,
    /// It is not wanted: dropped, or a dead letter.
    Rejected,
}

impl Settled {
    /// The value of `tracebee.messaging.settled`.
    pub fn name(self) -> &'static str {
        match self {
            Settled::Acked => "ack",
            Settled::Requeued => "requeue",
            Settled::Rejected => "reject",
        }
    }
}
