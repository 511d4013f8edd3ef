//! Messages as spans: semantic conventions 1.44 for messaging, with the choices of this project.
//!
//! - A span is the client's, as with databases: the broker's end of a connection has none.
//! - Sending is a `PRODUCER` span from the first byte of the message to its last, or to the broker's
//!   confirm, where the client asked for those. One that was seen to be confirmed has
//!   `tracebee.messaging.confirmed`; one that the broker refused, or brought back, is an error.
//! - A message that the broker brings is a `CONSUMER` span: from its first byte read to its last, or,
//!   where the client settles messages, until it does (`tracebee.messaging.settled`: `ack`, `requeue`,
//!   `reject`, none if the connection ended before). A message that is rejected is no error: what
//!   was wrong, if anything was, is the consumer's to say.
//! - A message that was asked for is a `CLIENT` span; asking in vain is none.
//! - What the broker says of nothing that is under way is a `CLIENT` span, too: `return`, a message
//!   that it could not route, where it is not certain which was meant or sending was over; `close`,
//!   the end of a channel or the connection by an error.
//! - `error.type` is the reply code; `nack` where the broker refused a message.
//! - The parent of a message's span is what its headers name; that is a link of it, too.
//! - `messaging.destination.name` is, as the conventions for RabbitMQ have it, the exchange and the
//!   routing key, and the queue where it is known; a queue that the broker named is anonymous, and not
//!   in the span's name.
//! - `messaging.message.body.size` is what the message says; the body itself is not looked at.

use super::{Attributes, Described, Kind, Known, Tracer};
use crate::protocol::messaging::{Operation, Request, Response};
use crate::value::Value;

/// Attributes of a span that has them all.
const CAPACITY: usize = 18;

/// What kind of span a message makes.
pub(super) fn kind(operation: Operation) -> Kind {
    match operation {
        Operation::Publish => Kind::Producer,
        Operation::Consume => Kind::Consumer,
        Operation::Get | Operation::Return | Operation::Close => Kind::Client,
    }
}

/// Describes a call.
pub(super) fn describe(
    tracer: &mut Tracer,
    request: Request,
    response: Option<&Response>,
    call: &Known<'_>,
) -> Described {
    let Request { system, operation, destination, anonymous, .. } = request;
    let mut attributes = Attributes::with_capacity(CAPACITY);
    attributes.push(("messaging.system", Value::Static(system.name)));
    attributes.push(("messaging.operation.name", Value::Static(operation.name())));
    attributes
        .extend(operation.kind().map(|kind| ("messaging.operation.type", Value::Static(kind))));
    let named = destination.as_deref().filter(|_| !anonymous);
    let name = match named {
        Some(destination) => {
            let name = format!("{} {destination}", operation.name());
            tracer.names.plain(call.service, &name, operation.name())
        }
        None => tracer.names.plain(call.service, operation.name(), operation.name()),
    };
    let number = |number: u64| Value::Int(number.try_into().unwrap_or(i64::MAX));
    let texts = [
        ("messaging.destination.name", destination),
        ("messaging.rabbitmq.destination.routing_key", request.routing_key),
        ("messaging.message.id", request.message_id),
        ("messaging.message.conversation_id", request.conversation_id),
    ];
    for (key, text) in texts {
        attributes.extend(text.map(|text| (key, Value::Text(text))));
    }
    if anonymous {
        attributes.push(("messaging.destination.anonymous", Value::Bool(true)));
    }
    let tag = request.delivery_tag;
    attributes.extend(tag.map(|tag| ("messaging.rabbitmq.message.delivery_tag", number(tag))));
    if request.redelivered {
        attributes.push(("tracebee.messaging.redelivered", Value::Bool(true)));
    }
    attributes.extend(request.body.map(|size| ("messaging.message.body.size", number(size))));
    if let Some(response) = response {
        if response.confirmed {
            attributes.push(("tracebee.messaging.confirmed", Value::Bool(true)));
        }
        let settled = response.settled.map(|settled| Value::Static(settled.name()));
        attributes.extend(settled.map(|settled| ("tracebee.messaging.settled", settled)));
    }
    let error = error(operation, response, call);
    let failed = error.is_some();
    attributes.extend(error.map(|value| ("error.type", value)));

    let remote = &call.endpoint.remote;
    let address = tracer.addresses.of(remote);
    attributes.extend(address.clone().map(|address| ("server.address", address)));
    if let Some(port) = remote.port().filter(|port| *port != system.port) {
        attributes.push(("server.port", Value::Int(port.into())));
    }
    attributes.extend(address.map(|address| ("network.peer.address", address)));
    match remote.port() {
        Some(port) => attributes.push(("network.peer.port", Value::Int(port.into()))),
        None => attributes.push(("network.transport", Value::Static("unix"))),
    }
    Described { name, error: failed, attributes }
}

/// `error.type`, if it failed. A message that was brought and is not settled when the connection ends
/// was brought all the same.
fn error(operation: Operation, response: Option<&Response>, call: &Known<'_>) -> Option<Value> {
    match response {
        Some(Response { code: Some(code), .. }) => Some(Value::Text(code.to_string().into())),
        Some(Response { refused: true, .. }) => Some(Value::Static("nack")),
        _ => call
            .no_answer
            .filter(|_| operation != Operation::Consume)
            .map(|reason| Value::Static(reason.error_type())),
    }
}
