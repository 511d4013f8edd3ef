//! First bytes: is this Redis?
//!
//! Evidence is a command that exists, with as many words as it takes, as an array of strings:
//! nothing else looks like `*2\r\n$3\r\nGET\r\n`. A line of text (`PING`) is evidence only
//! together with its answer: [`conversation`](super::conversation) takes back what is not answered
//! as Redis would.

use super::command::{Start, start, words};
use crate::protocol::{Detection, Side};

/// Judges the first bytes of a direction of a connection.
pub(super) fn detect(bytes: &[u8]) -> Detection {
    match start(bytes) {
        Start::Line { name, arguments, .. } => {
            // Text of other protocols (`GET / HTTP/1.1`, `set k 0 0 5`) is no text of ours.
            let fits = words(arguments)
                .is_none_or(|words| name.takes(words.count().try_into().unwrap_or(u64::MAX)));
            if fits { Detection::Is(Side::Request) } else { Detection::IsNot }
        }
        Start::Array { name, arguments, .. } if name.takes(arguments) => {
            Detection::Is(Side::Request)
        }
        Start::Need => Detection::Unsure,
        _ => Detection::IsNot,
    }
}

/// Judges the first bytes of a turn: only an array is evidence there. Which side says it may not be
/// known, and servers confirm subscriptions by arrays that begin like those commands.
pub(super) fn resume(bytes: &[u8]) -> Detection {
    match start(bytes) {
        Start::Array { name, arguments, .. } if name.takes(arguments) && !name.confirms() => {
            Detection::Is(Side::Request)
        }
        Start::Need if matches!(bytes, [] | [b'*', ..]) => Detection::Unsure,
        _ => Detection::IsNot,
    }
}
