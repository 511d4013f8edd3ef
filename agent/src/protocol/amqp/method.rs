//! Methods: which there are, who sends them, what they say (AMQP 0-9-1, section 1.8, and RabbitMQ's
//! extensions: `basic.nack`, `confirm`, `exchange.bind`, `connection.blocked`, cancelled consumers).

use super::frame::{END, Fields, HEAD, Head, Kind, Read};
use super::properties::Properties;
use crate::protocol::Side;

/// Bytes of a method's arguments that are looked at: those that are read come before any table, and
/// are four short strings and a few numbers at most.
pub(super) const MAX_LOOK: usize = 1100;

/// Longest frame that is evidence: what has to be kept of a stream to find out.
const MAX_EVIDENCE: usize = 16 * 1024;

/// Who sends a method.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sender {
    Client,
    Broker,
    Either,
}

use Sender::{Broker, Client, Either};

/// Class, method, who sends it, and its arguments: `o` octet, `s` short, `l` long, `L` long long,
/// `S` short string, `X` long string or table, `b` bits in one octet.
static METHODS: &[(u16, u16, Sender, &str)] = &[
    (10, 10, Broker, "ooXXX"),
    (10, 11, Client, "XSXS"),
    (10, 20, Broker, "X"),
    (10, 21, Client, "X"),
    (10, 30, Broker, "sls"),
    (10, 31, Client, "sls"),
    (10, 40, Client, "SSb"),
    (10, 41, Broker, "S"),
    (10, 50, Either, "sSss"),
    (10, 51, Either, ""),
    (10, 60, Broker, "S"),
    (10, 61, Broker, ""),
    (10, 70, Client, "XS"),
    (10, 71, Broker, ""),
    (20, 10, Client, "S"),
    (20, 11, Broker, "X"),
    (20, 20, Either, "b"),
    (20, 21, Either, "b"),
    (20, 40, Either, "sSss"),
    (20, 41, Either, ""),
    (40, 10, Client, "sSSbX"),
    (40, 11, Broker, ""),
    (40, 20, Client, "sSb"),
    (40, 21, Broker, ""),
    (40, 30, Client, "sSSSbX"),
    (40, 31, Broker, ""),
    (40, 40, Client, "sSSSbX"),
    (40, 51, Broker, ""),
    (50, 10, Client, "sSbX"),
    (50, 11, Broker, "Sll"),
    (50, 20, Client, "sSSSbX"),
    (50, 21, Broker, ""),
    (50, 30, Client, "sSb"),
    (50, 31, Broker, "l"),
    (50, 40, Client, "sSb"),
    (50, 41, Broker, "l"),
    (50, 50, Client, "sSSSX"),
    (50, 51, Broker, ""),
    (60, 10, Client, "lsb"),
    (60, 11, Broker, ""),
    (60, 20, Client, "sSSbX"),
    (60, 21, Broker, "S"),
    (60, 30, Either, "Sb"),
    (60, 31, Either, "S"),
    (60, 40, Client, "sSSb"),
    (60, 50, Broker, "sSSS"),
    (60, 60, Broker, "SLbSS"),
    (60, 70, Client, "sSb"),
    (60, 71, Broker, "LbSSl"),
    (60, 72, Broker, "S"),
    (60, 80, Either, "Lb"),
    (60, 90, Client, "Lb"),
    (60, 100, Client, "b"),
    (60, 110, Client, "b"),
    (60, 111, Broker, ""),
    (60, 120, Either, "Lb"),
    (85, 10, Client, "b"),
    (85, 11, Broker, ""),
    (90, 10, Client, ""),
    (90, 11, Broker, ""),
    (90, 20, Client, ""),
    (90, 21, Broker, ""),
    (90, 30, Client, ""),
    (90, 31, Broker, ""),
];

/// A method that means something here. Texts are those of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method<'a> {
    TuneOk { frame_max: u32 },
    ConnectionClose { code: u16 },
    ConnectionCloseOk,
    ChannelOpen,
    ChannelClose { code: u16 },
    ChannelCloseOk,
    QueueDeclareOk { queue: &'a [u8] },
    Consume { queue: &'a [u8], tag: &'a [u8], no_ack: bool, no_wait: bool },
    ConsumeOk { tag: &'a [u8] },
    Cancel { tag: &'a [u8], no_wait: bool },
    CancelOk { tag: &'a [u8] },
    Publish { exchange: &'a [u8], key: &'a [u8], mandatory: bool },
    Return { code: u16, exchange: &'a [u8], key: &'a [u8] },
    Deliver { consumer: &'a [u8], tag: u64, redelivered: bool, exchange: &'a [u8], key: &'a [u8] },
    Get { queue: &'a [u8] },
    GetOk { tag: u64, redelivered: bool, exchange: &'a [u8], key: &'a [u8] },
    GetEmpty,
    Ack { tag: u64, multiple: bool },
    Nack { tag: u64, multiple: bool, requeue: bool },
    Reject { tag: u64, requeue: bool },
    Recover,
    ConfirmSelect,
    Other,
}

/// How many bytes of a method's payload are to be there to read it: of those that mean nothing here,
/// what tells so. What a client says to be let in is never looked at.
pub(super) fn looked_at(class: u16, method: u16, size: usize) -> usize {
    match (class, method) {
        (10, 31 | 50 | 51) | (20 | 60 | 85, _) | (50, 11) => size.min(MAX_LOOK),
        _ => 4,
    }
}

impl<'a> Method<'a> {
    /// Reads the first bytes of a method's payload; none if it does not have what it must.
    pub(super) fn read(payload: &'a [u8]) -> Option<Self> {
        let mut fields = Fields(payload);
        let f = &mut fields;
        let of = (f.short()?, f.short()?);
        Some(match of {
            (10, 31) => {
                f.short()?;
                Method::TuneOk { frame_max: f.long()? }
            }
            (10, 50) => Method::ConnectionClose { code: f.short()? },
            (10, 51) => Method::ConnectionCloseOk,
            (20, 10) => Method::ChannelOpen,
            (20, 40) => Method::ChannelClose { code: f.short()? },
            (20, 41) => Method::ChannelCloseOk,
            (50, 11) => Method::QueueDeclareOk { queue: f.short_string()? },
            (60, 20) => {
                f.short()?;
                let (queue, tag) = (f.short_string()?, f.short_string()?);
                let bits = f.octet()?;
                Method::Consume { queue, tag, no_ack: bits & 2 != 0, no_wait: bits & 8 != 0 }
            }
            (60, 21) => Method::ConsumeOk { tag: f.short_string()? },
            (60, 30) => Method::Cancel { tag: f.short_string()?, no_wait: f.octet()? & 1 != 0 },
            (60, 31) => Method::CancelOk { tag: f.short_string()? },
            (60, 40) => {
                f.short()?;
                let (exchange, key) = (f.short_string()?, f.short_string()?);
                Method::Publish { exchange, key, mandatory: f.octet()? & 1 != 0 }
            }
            (60, 50) => {
                let code = f.short()?;
                f.short_string()?;
                Method::Return { code, exchange: f.short_string()?, key: f.short_string()? }
            }
            (60, 60) => Method::Deliver {
                consumer: f.short_string()?,
                tag: f.long_long()?,
                redelivered: f.octet()? & 1 != 0,
                exchange: f.short_string()?,
                key: f.short_string()?,
            },
            (60, 70) => {
                f.short()?;
                Method::Get { queue: f.short_string()? }
            }
            (60, 71) => Method::GetOk {
                tag: f.long_long()?,
                redelivered: f.octet()? & 1 != 0,
                exchange: f.short_string()?,
                key: f.short_string()?,
            },
            (60, 72) => Method::GetEmpty,
            (60, 80) => Method::Ack { tag: f.long_long()?, multiple: f.octet()? & 1 != 0 },
            (60, 90) => Method::Reject { tag: f.long_long()?, requeue: f.octet()? & 1 != 0 },
            (60, 100 | 110) => Method::Recover,
            (60, 120) => {
                let (tag, bits) = (f.long_long()?, f.octet()?);
                Method::Nack { tag, multiple: bits & 1 != 0, requeue: bits & 2 != 0 }
            }
            (85, 10) => Method::ConfirmSelect,
            _ => Method::Other,
        })
    }
}

/// Whether `bytes` begin with a method that `side` sends, whole and with all that it must have, and,
/// if it brings a message, with that message's header behind it: how long the method is.
pub(super) fn evidence(bytes: &[u8], side: Side) -> Read<usize> {
    let method = match Head::read(bytes) {
        Read::Is(head) if head.kind == Kind::Method && head.length() <= MAX_EVIDENCE => head,
        Read::Need
            if matches!(bytes, [] | [1, _, _, 0, 0, ..])
                || matches!(bytes, [1, rest @ ..] if rest.len() < 3 || matches!(rest, [_, _, 0])) =>
        {
            return Read::Need;
        }
        _ => return Read::Not,
    };
    let payload = &bytes[HEAD..];
    let mut fields = Fields(payload);
    let (Some(class), Some(number)) = (fields.short(), fields.short()) else {
        return if matches!(payload, [] | [0, ..]) { Read::Need } else { Read::Not };
    };
    let known = METHODS.iter().find(|method| (method.0, method.1) == (class, number));
    let Some((.., sender, layout)) = known else { return Read::Not };
    let sends = match sender {
        Sender::Client => side == Side::Request,
        Sender::Broker => side == Side::Response,
        Sender::Either => true,
    };
    if !sends || (class == 10) != (method.channel == 0) {
        return Read::Not;
    }
    let Some(frame) = bytes.get(..method.length()) else { return Read::Need };
    let [payload @ .., END] = &frame[HEAD..] else { return Read::Not };
    let mut arguments = Fields(&payload[4..]);
    if !fits(layout, &mut arguments) {
        return Read::Not;
    }
    if !matches!((class, number), (60, 40 | 50 | 60 | 71)) {
        return Read::Is(method.length());
    }
    let bytes = &bytes[method.length()..];
    let header = match Head::read(bytes) {
        Read::Is(head) if head.kind == Kind::Header && head.length() <= MAX_EVIDENCE => head,
        Read::Need if matches!(bytes, [] | [2, ..]) => return Read::Need,
        _ => return Read::Not,
    };
    if header.channel != method.channel {
        return Read::Not;
    }
    let Some(frame) = bytes.get(..header.length()) else { return Read::Need };
    match &frame[HEAD..] {
        [payload @ .., END] if Properties::are_whole(payload) => Read::Is(method.length()),
        _ => Read::Not,
    }
}

/// Whether the arguments are those of the layout, and nothing else.
fn fits(layout: &str, arguments: &mut Fields<'_>) -> bool {
    let mut next = |kind| match kind {
        'o' | 'b' => arguments.octet().map(drop),
        's' => arguments.short().map(drop),
        'l' => arguments.long().map(drop),
        'L' => arguments.long_long().map(drop),
        'S' => arguments.short_string().map(drop),
        _ => arguments.long_string().map(drop),
    };
    let all = layout.chars().all(|kind| next(kind).is_some());
    all && arguments.0.is_empty()
}
