//! AMQP 0-9-1 (<https://www.rabbitmq.com/specification.html>), as RabbitMQ speaks it.
//!
//! `frame` is what frames look like, `method` what methods say, `properties` what messages do,
//! `detect` judges first bytes, `channel` is what is open on one channel, and `conversation` is one
//! connection. Bodies are skipped by their length. What a client says to be let in is skipped, too,
//! without a look at it.
//!
//! # What is a call
//!
//! - **Publishing** a message, from the first byte of `basic.publish` to the last of its body. On a
//!   channel in confirm mode to the broker's `basic.ack` or `basic.nack`, by the number that the
//!   message has on the channel.
//! - **Each delivery**, from the first byte of `basic.deliver` to the last of its body, or to where the
//!   client settles it, if its consumer is known to do that: `basic.ack`, `nack`, `reject`,
//!   `recover`. One that is not settled ends with its body.
//! - **`basic.get`**, if it brings a message, to the end of its body.
//! - A message that the broker **returns** is part of its publishing, if that is open and can be no
//!   other: the same exchange, routing key, size and id. Else it is told by itself.
//! - A channel or connection that the broker **closes** because of an error ends what is open on it
//!   with the reply code; if nothing is, it is told by itself.
//!
//! All else (declaring, binding, transactions) makes no call.
//!
//! # When bytes are missing
//!
//! Missing bytes of a body are not missed: its frames say how long they are, and where the head of one
//! is missing, it is as long as the ends agreed that it may be, if no other message is under way. What
//! follows has to begin with a frame. Elsewhere the stream goes on
//! with the next bytes that are evidence of a method (`method`), wherever they are, and:
//!
//! - A message of which something is missing is lost. One more is counted, because any number may have
//!   gone by; deliveries are numbered, so that of them every one is counted.
//! - **From the client**: what was delivered and is not settled ends with its body, because how it was
//!   settled may be missing. Channels are not known to be in confirm mode any more: what is published
//!   from there on ends when it was sent, and no confirm is told.
//! - **From the broker**: what is not confirmed, and every `basic.get`, is lost.
//!
//! The same holds for channels that are older than the agent. Queues of their consumers are not
//! known.
//!
//! # What this relies on
//!
//! - A client sends no second `basic.get` on a channel before the first is answered, as the
//!   specification demands of it.
//! - No body looks, from where bytes are missing on, like a method with the header of a message behind
//!   it: a body would have to be AMQP itself.

mod channel;
mod conversation;
mod detect;
mod frame;
mod method;
mod properties;
#[cfg(test)]
mod tests;

use super::messaging::System;
use super::{Detector, Ends};

/// The line of [`super::DETECTORS`].
pub const DETECTOR: Detector = Detector {
    name: "amqp",
    ends: Ends::Client,
    passes_on: true,
    detect: detect::detect,
    resume: detect::resume,
    parser: || Box::new(conversation::Conversation::default()),
};

/// RabbitMQ, and what speaks its protocol: nobody else of note speaks this version.
pub static SYSTEM: System = System { name: "rabbitmq", port: 5672 };

/// For fuzzers; see [`super::fuzz`].
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    super::fuzz::play(&DETECTOR, data);
}
