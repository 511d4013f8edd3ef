//! Messages: a method, a header, a body in any number of frames.

use super::super::SYSTEM;
use super::super::channel::{Content, Evidence, Get, What, ends_whole};
use super::super::frame::HEAD;
use super::super::method::Method;
use super::super::properties::Properties;
use super::{Conversation, Frame, MAX_MISSED, begins, text};
use crate::protocol::messaging::{Operation, Request, Response, evidence};
use crate::protocol::{self, Numbered, Part, Side};

impl Conversation {
    /// Takes in a method that a message follows; false if none follows this one.
    pub(super) fn begins_message(
        &mut self,
        frame: Frame,
        method: &Method<'_>,
        parts: &mut Vec<Part>,
    ) -> bool {
        let Frame { side, channel: number, at, .. } = frame;
        let mut missed = 0;
        let mut begun = None;
        let (request, what) = match (side, *method) {
            (Side::Request, Method::Publish { exchange, key, mandatory }) => {
                let request = describe(Operation::Publish, exchange, key, None);
                (request, What::Published { mandatory, evidence: None })
            }
            (Side::Response, Method::Deliver { consumer, tag, redelivered, exchange, key }) => {
                let channel = self.channel(number);
                missed = channel.delivers(tag);
                let (queue, settled) = channel.consumer(consumer);
                let request = describe(Operation::Consume, exchange, key, queue);
                let delivery_tag = Some(tag);
                let request = Request { delivery_tag, redelivered, settles: settled, ..request };
                (request, What::Delivered { tag, settled })
            }
            (Side::Response, Method::GetOk { tag, redelivered, exchange, key }) => {
                let channel = self.channel(number);
                missed = channel.delivers(tag);
                let get = channel.gets.pop_front();
                let queue = get.as_ref().and_then(|get| get.queue.as_deref());
                let request = describe(Operation::Get, exchange, key, queue);
                let request = Request { delivery_tag: Some(tag), redelivered, ..request };
                begun = Some(get.map(|Get { number, .. }| number));
                (request, What::Got)
            }
            (Side::Response, Method::Return { code, exchange, key }) => {
                let request = describe(Operation::Return, exchange, key, None);
                (request, What::Returned { code })
            }
            _ => return false,
        };
        for _ in 0..missed.min(MAX_MISSED) {
            parts.push(Part::Orphan);
        }
        let call = match begun {
            Some(Some(call)) => Some(call),
            // That it began was not seen.
            Some(None) => {
                parts.push(Part::Orphan);
                None
            }
            None => {
                let call = self.number();
                let first = Request::new(request.system, request.operation);
                parts.push(begins(call, side, at, first));
                Some(call)
            }
        };
        let sent_to = match *method {
            Method::Publish { exchange, key, .. }
            | Method::Deliver { exchange, key, .. }
            | Method::GetOk { exchange, key, .. } => evidence((exchange, key)),
            _ => 0,
        };
        let request = Some(Box::new(request));
        let content = Content { number: call, request, left: None, sent_to, what };
        let place = &mut self.channel(number).contents[side as usize];
        if let Some(Content { number: Some(cut), .. }) = place.replace(content) {
            // The rest of it does not come any more.
            parts.push(Part::Numbered(cut, Numbered::Lost));
        }
        true
    }

    /// A header was read: false if none can be here.
    pub(super) fn header(&mut self, frame: Frame, payload: &[u8], parts: &mut Vec<Part>) -> bool {
        let Some(properties) = Properties::read(payload) else { return false };
        let Some((channel, mut content)) = self.under_way(frame) else {
            return self.is_rest(frame.side);
        };
        let Some(mut request) = content.request.take() else { return is_lost(content, parts) };
        let Properties { body, correlation_id, message_id, context } = properties;
        request.body = Some(body);
        request.message_id = message_id.map(text);
        request.conversation_id = correlation_id.map(text);
        request.context = context.map(Box::new);
        let is_named = request.message_id.is_some() || request.conversation_id.is_some();
        let is_whole = frame.end - frame.at == (HEAD + payload.len() + 1) as u64;
        // Brokers pass on all that a header says as it is.
        request.evidence = (is_named && is_whole).then(|| evidence((content.sent_to, payload)));
        content.left = Some(body);
        match &mut content.what {
            What::Published { mandatory: true, evidence } => {
                *evidence = Some(Evidence::of(&request));
            }
            What::Returned { code } if channel.returned(&Evidence::of(&request), *code) => {
                // It is told with its publishing.
                let own = content.number.take();
                parts.extend(own.map(|number| Part::Numbered(number, Numbered::Withdrawn)));
            }
            _ => {}
        }
        if let Some(number) = content.number {
            let request = protocol::Request::Messaging(request);
            parts.push(Part::Numbered(number, Numbered::Is(request)));
        }
        self.goes_on_with(frame, content, parts);
        true
    }

    /// Part of a body: false if none can be here, or it is too long.
    pub(super) fn body(&mut self, frame: Frame, size: u32, parts: &mut Vec<Part>) -> bool {
        let Some((_, mut content)) = self.under_way(frame) else { return self.is_rest(frame.side) };
        let Some(left) = content.left.and_then(|left| left.checked_sub(size.into())) else {
            return is_lost(content, parts);
        };
        content.left = Some(left);
        self.goes_on_with(frame, content, parts);
        true
    }

    /// The message that a frame is part of, taken out.
    fn under_way(&mut self, frame: Frame) -> Option<(&mut super::Channel, Content)> {
        let channel = self.channels.get_mut(&frame.channel)?;
        let content = channel.contents[frame.side as usize].take()?;
        Some((channel, content))
    }

    /// Whether a frame may be part of a message that began where nothing was seen.
    fn is_rest(&self, side: Side) -> bool {
        self.streams[side as usize].missed
    }

    /// Puts a message back, or ends it if that was its last frame.
    pub(super) fn goes_on_with(&mut self, frame: Frame, content: Content, parts: &mut Vec<Part>) {
        let Frame { side, channel, end, .. } = frame;
        let channel = self.channel(channel);
        if content.left != Some(0) {
            channel.contents[side as usize] = Some(content);
            return;
        }
        let Content { number: Some(call), what, .. } = content else { return };
        let whole = Part::Numbered(call, Numbered::Whole { side, at: end });
        match what {
            What::Published { evidence, .. } => {
                parts.push(whole);
                channel.published(call, evidence, parts);
            }
            What::Delivered { tag, settled: true } => {
                parts.push(whole);
                channel.delivered(tag, call, parts);
            }
            What::Delivered { settled: false, .. } => parts.extend([whole, ends_whole(call)]),
            What::Got | What::Returned { .. } => {
                let code = if let What::Returned { code } = what { Some(code) } else { None };
                let response = Box::new(Response { code, ..Response::default() });
                let response = Some(protocol::Response::Messaging(response));
                let at = Some((side, end));
                parts.push(Part::Numbered(call, Numbered::Ends { at, response }));
            }
        }
    }
}

/// A frame is none that can follow: gives up the message.
fn is_lost(content: Content, parts: &mut Vec<Part>) -> bool {
    parts.extend(content.number.map(|number| Part::Numbered(number, Numbered::Lost)));
    false
}

/// What is known of a message by where it goes, or comes from: exchange, routing key and queue, those
/// that there are, and a name only once (conventions for RabbitMQ).
pub(super) fn describe(
    operation: Operation,
    exchange: &[u8],
    key: &[u8],
    queue: Option<&str>,
) -> Request {
    let (exchange, key) = (text(exchange), text(key));
    let queue = queue.unwrap_or_default();
    let last = if *queue == *key { "" } else { queue };
    let mut destination = String::with_capacity(exchange.len() + key.len() + last.len() + 2);
    for part in [&*exchange, &*key, last].into_iter().filter(|part| !part.is_empty()) {
        if !destination.is_empty() {
            destination.push(':');
        }
        destination.push_str(part);
    }
    if destination.is_empty() {
        destination.push_str("amq.default");
    }
    let by_name = if exchange.is_empty() { &*key } else { "" };
    Request {
        destination: Some(destination.into()),
        anonymous: is_made_up(queue) || is_made_up(by_name),
        routing_key: Some(key).filter(|key| !key.is_empty()),
        ..Request::new(&SYSTEM, operation)
    }
}

/// Names that RabbitMQ gives to queues itself.
fn is_made_up(queue: &str) -> bool {
    queue.starts_with("amq.gen-") || queue.starts_with("amq.rabbitmq.reply-to")
}
