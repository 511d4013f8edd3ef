//! The content header: the size of the body and the properties of a message (AMQP 0-9-1, sections
//! 4.2.6.1 and 4.2.5).

use super::frame::Fields;
use crate::protocol::messaging::Context;

/// Bytes of a content header that are looked at: short strings, and a table of headers of which a few
/// are read. What lies behind is not known.
pub(super) const MAX_LOOK: usize = 16 * 1024;

/// Headers of one message that are looked at.
const MAX_HEADERS: usize = 256;

/// Longest `traceparent` that is kept; version 00 has 55 characters.
const MAX_TRACEPARENT: usize = 128;

/// Longest `tracestate` that is looked at.
const MAX_TRACESTATE: usize = 8192;

/// The class of all messages.
const BASIC: u16 = 60;

/// What is kept of the properties of a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Properties<'a> {
    /// Bytes of the body.
    pub(super) body: u64,
    pub(super) correlation_id: Option<&'a [u8]>,
    pub(super) message_id: Option<&'a [u8]>,
    pub(super) context: Option<Context>,
}

impl<'a> Properties<'a> {
    /// Reads the payload of a header frame, of which only the first bytes may be there; none if it
    /// does not begin like one.
    pub(super) fn read(payload: &'a [u8]) -> Option<Self> {
        let mut fields = Fields(payload);
        let (class, _weight) = (fields.short()?, fields.short()?);
        if class != BASIC {
            return None;
        }
        let mut properties = Self { body: fields.long_long()?, ..Self::default() };
        let flags = flags(&mut fields)?;
        // What is cut is not known, and nothing after it.
        let _ = properties.read_all(&mut fields, flags);
        Some(properties)
    }

    /// Whether the payload of a header frame is that of a message, and nothing is behind it.
    pub(super) fn are_whole(payload: &[u8]) -> bool {
        let mut fields = Fields(payload);
        let class = fields.short();
        let head = fields.take(10);
        let Some(flags) = flags(&mut fields) else { return false };
        let whole = Self::default().read_all(&mut fields, flags).is_some();
        class == Some(BASIC) && head.is_some() && whole && fields.0.is_empty()
    }

    fn read_all(&mut self, fields: &mut Fields<'a>, flags: u16) -> Option<()> {
        let has = |bit: u32| flags & (1 << bit) != 0;
        for bit in (2..=15).rev().filter(|bit| has(*bit)) {
            match bit {
                13 => self.context = context(Fields(fields.long_string()?)),
                // Delivery mode and priority.
                12 | 11 => drop(fields.octet()?),
                10 => self.correlation_id = Some(fields.short_string()?),
                7 => self.message_id = Some(fields.short_string()?),
                // The timestamp.
                6 => drop(fields.long_long()?),
                _ => drop(fields.short_string()?),
            }
        }
        Some(())
    }
}

/// Which properties there are. There are fewer than fit in one word, so none but the first means
/// anything.
fn flags(fields: &mut Fields<'_>) -> Option<u16> {
    let flags = fields.short()?;
    (flags & 1 == 0).then_some(flags)
}

/// The trace context in a table of headers: `traceparent` and `tracestate` as text.
fn context(mut table: Fields<'_>) -> Option<Context> {
    let (mut parent, mut state) = (None, None);
    for _ in 0..MAX_HEADERS {
        let Some(name) = table.short_string() else { break };
        let Some(value) = value(&mut table) else { break };
        match name {
            b"traceparent" => parent = value.filter(|text| text.len() <= MAX_TRACEPARENT),
            b"tracestate" => state = value.filter(|text| text.len() <= MAX_TRACESTATE),
            _ => {}
        }
    }
    let text = |bytes| std::str::from_utf8(bytes).ok().map(Box::from);
    Some(Context { traceparent: text(parent?)?, tracestate: state.and_then(text) })
}

/// The next value of a table, if it is text; outer none if it is not there, or of no type that
/// brokers know (RabbitMQ's errata of the specification, section 3).
fn value<'a>(table: &mut Fields<'a>) -> Option<Option<&'a [u8]>> {
    let length = match table.octet()? {
        b'S' | b'x' => return table.long_string().map(Some),
        b'A' | b'F' => return table.long_string().map(|_| None),
        b't' | b'b' | b'B' => 1,
        b's' | b'u' | b'U' => 2,
        b'I' | b'i' | b'f' => 4,
        b'l' | b'L' | b'd' | b'T' => 8,
        b'D' => 5,
        b'V' => 0,
        _ => return None,
    };
    table.take(length).map(|_| None)
}
