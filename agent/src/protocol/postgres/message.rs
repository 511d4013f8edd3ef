//! The framing of messages: one byte of type, four of length, which counts itself.

/// Length of type and length.
pub(super) const HEADER: usize = 5;

/// The longest message believed: the server allocates no more than 1 GiB for anything.
const MAX_LENGTH: u32 = 0x4000_0000;

/// What is known of a message by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// The message has this type and takes so many bytes, header included.
    Message { kind: u8, total: u64 },
    /// Not enough bytes to tell.
    Partial,
    /// No message begins like this.
    Not,
}

/// Lengths of messages that never have another, without the type.
fn fixed(kind: u8, from_client: bool) -> Option<u32> {
    match (kind, from_client) {
        (b'S' | b'H' | b'X' | b'c', true) => Some(4),
        (b'1' | b'2' | b'3' | b'n' | b's' | b'I' | b'c', false) => Some(4),
        (b'Z', false) => Some(5),
        _ => None,
    }
}

fn frame(bytes: &[u8], kinds: &[u8], from_client: bool) -> Frame {
    let Some(kind) = bytes.first().copied() else { return Frame::Partial };
    if !kinds.contains(&kind) {
        return Frame::Not;
    }
    let &[_, a, b, c, d, ..] = bytes else {
        return if bytes.get(1).is_some_and(|byte| *byte >= 0x40) {
            Frame::Not
        } else {
            Frame::Partial
        };
    };
    let length = u32::from_be_bytes([a, b, c, d]);
    let fits = (4..=MAX_LENGTH).contains(&length)
        && fixed(kind, from_client).is_none_or(|fixed| fixed == length);
    match fits {
        true => Frame::Message { kind, total: u64::from(length) + 1 },
        false => Frame::Not,
    }
}

/// A message of the client (chapter 54.7, "F").
pub(super) fn of_client(bytes: &[u8]) -> Frame {
    frame(bytes, b"QPBDECSHFXpdcf", true)
}

/// A message of the server ("B").
pub(super) fn of_server(bytes: &[u8]) -> Frame {
    frame(bytes, b"RSKZTDCEN123nstIAGHWdcVv", false)
}

/// The bytes before the next zero, and what follows it.
pub(super) fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(0, bytes)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// Whether `tail`, the last bytes of a turn, are a `ReadyForQuery`; the state of the transaction.
pub(super) fn ready_for_query(tail: &[u8]) -> Option<u8> {
    match tail {
        [.., b'Z', 0, 0, 0, 5, state @ (b'I' | b'T' | b'E')] => Some(*state),
        _ => None,
    }
}

/// The tag of the `CommandComplete` before the `ReadyForQuery` with which `tail`, the last bytes of an
/// answer, ends; none if it does not end like this.
///
/// Nothing else that the server may say right before a `ReadyForQuery` ends in the same bytes,
/// whatever values it has, but a `FunctionCallResponse`: rows and COPY data never come last, errors,
/// notices and descriptions of rows end in other bytes, the other messages have a fixed length, and
/// what a `NotificationResponse` or `ParameterStatus` ends with are two texts, the first of which is
/// not empty: before the last of them there are no three zeros.
pub(super) fn last_command(tail: &[u8]) -> Option<Tag<'_>> {
    ready_for_query(tail)?;
    let (rest, _) = tail.split_at_checked(tail.len() - (HEADER + 1))?;
    let zero = memchr::memrchr(0, rest.split_last()?.1)?;
    let message = rest.get(zero.checked_sub(HEADER - 2)?..)?;
    let (header, body) = message.split_at_checked(HEADER)?;
    let length = u32::try_from(body.len() + HEADER - 1).ok()?.to_be_bytes();
    (header[0] == b'C' && header[1..] == length).then(|| tag(body))?
}

/// Fields of an `ErrorResponse` or `NoticeResponse`. The server writes these three first; the
/// message text, which may hold values, is not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Report<'a> {
    /// `V`, else `S`, which may be translated: `ERROR`, `FATAL`, `WARNING`.
    pub(super) severity: &'a [u8],
    /// `C`: SQLSTATE.
    pub(super) code: &'a [u8],
}

/// Reads the body of an `ErrorResponse` or `NoticeResponse`, as far as it is there.
pub(super) fn report(mut body: &[u8]) -> Report<'_> {
    let mut report = Report::default();
    while let [field @ (b'S' | b'V' | b'C'), rest @ ..] = body {
        let Some((value, rest)) = text(rest) else { break };
        match field {
            b'C' => report.code = value,
            _ => report.severity = value,
        }
        body = rest;
    }
    report
}

/// SQLSTATE: five digits and capital letters.
pub(super) fn sqlstate(code: &[u8]) -> Option<Box<str>> {
    let fits = code.len() == 5 && code.iter().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase());
    let code = std::str::from_utf8(code).ok().filter(|_| fits)?;
    Some(code.into())
}

/// What a `CommandComplete` says: `INSERT 0 5`, `CREATE TABLE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag<'a> {
    pub(super) command: &'a str,
    pub(super) rows: Option<u64>,
}

/// Reads the tag of a `CommandComplete`; none if it is none.
pub(super) fn tag(body: &[u8]) -> Option<Tag<'_>> {
    let (tag, []) = text(body)? else { return None };
    let tag = std::str::from_utf8(tag).ok()?;
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|c| c.is_ascii_digit());
    let (rest, rows) = match tag.rsplit_once(' ') {
        Some((rest, rows)) if is_number(rows) => (rest, rows.parse().ok()),
        _ => (tag, None),
    };
    // `INSERT` has a number between, that of an object id.
    let command = match rest.rsplit_once(' ') {
        Some((command, number)) if is_number(number) => command,
        _ => rest,
    };
    let is_name = |c: u8| c.is_ascii_uppercase() || c == b' ';
    (!command.is_empty() && command.bytes().all(is_name)).then_some(Tag { command, rows })
}
