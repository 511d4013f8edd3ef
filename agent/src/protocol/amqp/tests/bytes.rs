//! Frames.

use super::super::frame::{END, PROTOCOL};

pub(super) fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let head = [&[kind][..], &channel.to_be_bytes(), &(payload.len() as u32).to_be_bytes()];
    [&head.concat(), payload, &[END]].concat()
}

pub(super) fn short(text: &str) -> Vec<u8> {
    [&[text.len() as u8], text.as_bytes()].concat()
}

pub(super) fn long(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

pub(super) fn method(channel: u16, class: u16, method: u16, arguments: &[&[u8]]) -> Vec<u8> {
    let ids = [class.to_be_bytes(), method.to_be_bytes()].concat();
    frame(1, channel, &[&ids, &arguments.concat()[..]].concat())
}

pub(super) fn hello() -> Vec<u8> {
    PROTOCOL.to_vec()
}

/// Everything that lets a client in, as one side says it.
pub(super) fn welcome() -> [Vec<u8>; 2] {
    let start = method(0, 10, 10, &[&[0, 9], &long(b""), &long(b"PLAIN"), &long(b"en_US")]);
    let start_ok =
        method(0, 10, 11, &[&long(b""), &short("PLAIN"), &long(b"\0guest\0secret"), &short("en")]);
    let tune: &[u8] = &[7, 255, 0, 2, 0, 0, 0, 60];
    let open = method(0, 10, 40, &[&short("/"), &short(""), &[0]]);
    let client = [start_ok, method(0, 10, 31, &[tune]), open].concat();
    let broker = [start, method(0, 10, 30, &[tune]), method(0, 10, 41, &[&short("")])].concat();
    [client, broker]
}

pub(super) fn opens(channel: u16) -> Vec<u8> {
    method(channel, 20, 10, &[&short("")])
}

pub(super) fn opened(channel: u16) -> Vec<u8> {
    method(channel, 20, 11, &[&long(b"")])
}

/// The properties of a message: an id, and headers.
#[derive(Clone, Copy, Default)]
pub(super) struct Props<'a> {
    pub(super) id: &'a str,
    pub(super) of: &'a str,
    pub(super) trace: &'a str,
}

/// The header and body of a message, the body in frames of at most `most` bytes.
pub(super) fn message(channel: u16, props: Props<'_>, body: &[u8], most: usize) -> Vec<u8> {
    let mut flags = 0u16;
    let mut fields = Vec::new();
    if !props.trace.is_empty() {
        flags |= 1 << 13;
        let nested = [short("x"), b"I".to_vec(), vec![0; 4]].concat();
        let table = [
            short("depth"),
            b"F".to_vec(),
            long(&nested),
            short("yes"),
            b"t\x01".to_vec(),
            short("traceparent"),
            b"S".to_vec(),
            long(props.trace.as_bytes()),
            short("secret"),
            b"S".to_vec(),
            long(b"secret"),
        ];
        fields.extend(long(&table.concat()));
    }
    flags |= 1 << 12;
    fields.push(2);
    for (text, bit) in [(props.of, 10), (props.id, 7)] {
        if !text.is_empty() {
            flags |= 1 << bit;
            fields.extend(short(text));
        }
    }
    let size = (body.len() as u64).to_be_bytes();
    let payload = [&[0, 60, 0, 0][..], &size, &flags.to_be_bytes(), &fields].concat();
    let bodies = body.chunks(most).map(|part| frame(3, channel, part));
    [vec![frame(2, channel, &payload)], bodies.collect()].concat().concat()
}

pub(super) fn publish(channel: u16, exchange: &str, key: &str, mandatory: bool) -> Vec<u8> {
    let bits = [u8::from(mandatory)];
    method(channel, 60, 40, &[&[0, 0], &short(exchange), &short(key), &bits])
}

/// A message with this id and a body of five bytes, published to an exchange.
pub(super) fn sends(channel: u16, exchange: &str, key: &str, id: &str) -> Vec<u8> {
    let props = Props { id, ..Props::default() };
    [publish(channel, exchange, key, false), message(channel, props, b"hello", 100)].concat()
}

pub(super) fn consume(channel: u16, queue: &str, tag: &str, no_ack: bool) -> Vec<u8> {
    let bits = [if no_ack { 2 } else { 0 }];
    method(channel, 60, 20, &[&[0, 0], &short(queue), &short(tag), &bits, &long(b"")])
}

pub(super) fn consume_ok(channel: u16, tag: &str) -> Vec<u8> {
    method(channel, 60, 21, &[&short(tag)])
}

pub(super) fn deliver(
    channel: u16,
    consumer: &str,
    tag: u64,
    exchange: &str,
    key: &str,
) -> Vec<u8> {
    let tag = tag.to_be_bytes();
    method(channel, 60, 60, &[&short(consumer), &tag, &[0], &short(exchange), &short(key)])
}

/// A delivery with a body of five bytes and no properties to speak of.
pub(super) fn brings(channel: u16, consumer: &str, tag: u64) -> Vec<u8> {
    let body = message(channel, Props::default(), b"hello", 100);
    [deliver(channel, consumer, tag, "ex", "key"), body].concat()
}

pub(super) fn ack(channel: u16, tag: u64, multiple: bool) -> Vec<u8> {
    method(channel, 60, 80, &[&tag.to_be_bytes(), &[u8::from(multiple)]])
}

pub(super) fn nack(channel: u16, tag: u64, multiple: bool, requeue: bool) -> Vec<u8> {
    let bits = [u8::from(multiple) | u8::from(requeue) << 1];
    method(channel, 60, 120, &[&tag.to_be_bytes(), &bits])
}

pub(super) fn reject(channel: u16, tag: u64, requeue: bool) -> Vec<u8> {
    method(channel, 60, 90, &[&tag.to_be_bytes(), &[u8::from(requeue)]])
}

pub(super) fn get(channel: u16, queue: &str) -> Vec<u8> {
    method(channel, 60, 70, &[&[0, 0], &short(queue), &[0]])
}

pub(super) fn get_ok(channel: u16, tag: u64, exchange: &str, key: &str) -> Vec<u8> {
    let rest = [0; 4];
    method(channel, 60, 71, &[&tag.to_be_bytes(), &[1], &short(exchange), &short(key), &rest])
}

pub(super) fn get_empty(channel: u16) -> Vec<u8> {
    method(channel, 60, 72, &[&short("")])
}

pub(super) fn returns(channel: u16, exchange: &str, key: &str) -> Vec<u8> {
    let code = 312u16.to_be_bytes();
    method(channel, 60, 50, &[&code, &short("NO_ROUTE"), &short(exchange), &short(key)])
}

pub(super) fn confirms(channel: u16) -> [Vec<u8>; 2] {
    [method(channel, 85, 10, &[&[0]]), method(channel, 85, 11, &[])]
}

/// An end with a reply code, of the connection or (`class` 20) a channel.
pub(super) fn close(channel: u16, code: u16) -> Vec<u8> {
    let class = if channel == 0 { 10 } else { 20 };
    let number = if channel == 0 { 50 } else { 40 };
    method(channel, class, number, &[&code.to_be_bytes(), &short("because"), &[0; 4]])
}

pub(super) fn close_ok(channel: u16) -> Vec<u8> {
    if channel == 0 { method(0, 10, 51, &[]) } else { method(channel, 20, 41, &[]) }
}

pub(super) fn heartbeat() -> Vec<u8> {
    frame(8, 0, &[])
}
