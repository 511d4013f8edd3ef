//! First bytes: is this AMQP 0-9-1?
//!
//! A client begins with the name and version of the protocol. On a connection that is older than the
//! agent, evidence is a whole method with all of its arguments and nothing else, and the end of its
//! frame where it should be; if it brings a message, the message's header too.

use super::frame::{HEAD, Head, Kind, PROTOCOL, Read};
use super::method::evidence;
use crate::protocol::{Detection, Side};

/// Judges the first bytes of a direction of a connection.
pub(super) fn detect(bytes: &[u8]) -> Detection {
    match bytes.len() {
        length if length >= PROTOCOL.len() && bytes.starts_with(PROTOCOL) => {
            Detection::Is(Side::Request)
        }
        _ if PROTOCOL.starts_with(bytes) => Detection::Unsure,
        _ => Detection::IsNot,
    }
}

/// Judges the first bytes of a turn: methods that either side may send, and heartbeats, do not tell.
pub(super) fn resume(bytes: &[u8]) -> Detection {
    let mut rest = bytes;
    while !rest.is_empty() {
        match Head::read(rest) {
            Read::Is(head) if head.kind == Kind::Heartbeat && rest.len() > HEAD => {
                if rest[HEAD] != super::frame::END {
                    return Detection::IsNot;
                }
                rest = &rest[head.length()..];
                continue;
            }
            Read::Need if matches!(rest, [8] | [8, 0, ..]) => return Detection::Unsure,
            Read::Is(head) if head.kind == Kind::Heartbeat => return Detection::Unsure,
            _ => {}
        }
        match (evidence(rest, Side::Request), evidence(rest, Side::Response)) {
            (Read::Is(length), Read::Is(_)) => rest = &rest[length..],
            (Read::Is(_), _) => return Detection::Is(Side::Request),
            (_, Read::Is(_)) => return Detection::Is(Side::Response),
            (Read::Not, Read::Not) => return Detection::IsNot,
            _ => return Detection::Unsure,
        }
    }
    Detection::Unsure
}
