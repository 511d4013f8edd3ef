//! How a session begins: the server greets, the client says who it is and what it can do.

use super::packet::{HEADER, Header, string, until_zero};

/// What the two ends can do (`CLIENT_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Capabilities(pub(super) u32);

impl Capabilities {
    /// An old name; servers of MariaDB do not set it.
    const LONG_PASSWORD: u32 = 1;
    pub(super) const CONNECT_WITH_DB: u32 = 1 << 3;
    const COMPRESS: u32 = 1 << 5;
    pub(super) const PROTOCOL_41: u32 = 1 << 9;
    pub(super) const TLS: u32 = 1 << 11;
    pub(super) const SECURE_CONNECTION: u32 = 1 << 15;
    const LENGTH_OF_SECRET: u32 = 1 << 21;
    const SESSION_TRACK: u32 = 1 << 23;
    const NO_EOF: u32 = 1 << 24;
    const OPTIONAL_METADATA: u32 = 1 << 25;
    const ZSTD: u32 = 1 << 26;

    pub(super) fn has(self, bit: u32) -> bool {
        self.0 & bit != 0
    }

    pub(super) fn compressed(self) -> bool {
        self.has(Self::COMPRESS | Self::ZSTD)
    }

    pub(super) fn tracked(self) -> bool {
        self.has(Self::SESSION_TRACK)
    }

    /// True if descriptions of columns end with an `EOF`.
    pub(super) fn eof(self) -> bool {
        !self.has(Self::NO_EOF)
    }

    pub(super) fn optional_metadata(self) -> bool {
        self.has(Self::OPTIONAL_METADATA)
    }
}

/// What a server says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    pub(super) mariadb: bool,
    pub(super) capabilities: Capabilities,
    pub(super) status: u16,
    /// Length of the packet.
    pub(super) total: usize,
}

/// What first bytes may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<T> {
    Is(T),
    /// More bytes are needed.
    Partial,
    Not,
}

/// Greetings have some eighty bytes; versions and names of plugins are short.
const MAX_GREETING: usize = 400;

/// Reads a greeting.
pub(super) fn greeting(bytes: &[u8]) -> Found<Greeting> {
    let Some(header) = Header::read(bytes) else {
        let short =
            bytes.get(1).is_none_or(|byte| *byte < 2) && bytes.get(2).is_none_or(|b| *b == 0);
        return if short { Found::Partial } else { Found::Not };
    };
    let body = &bytes[HEADER..];
    let is_version = |byte: &u8| byte.is_ascii_alphanumeric() || b".-+~:_ ()".contains(byte);
    let version = body.get(1..).unwrap_or_default().split(|byte| *byte == 0).next();
    let begins = header.number == 0
        && (40..MAX_GREETING).contains(&header.length)
        && body.first().is_none_or(|version| *version == 10)
        && version.is_none_or(|version| version.len() < 100 && version.iter().all(is_version));
    match (begins, body.get(..header.length)) {
        (false, _) => Found::Not,
        (true, None) => Found::Partial,
        (true, Some(body)) => whole_greeting(body).map_or(Found::Not, Found::Is),
    }
}

fn whole_greeting(body: &[u8]) -> Option<Greeting> {
    let (version, rest) = until_zero(&body[1..])?;
    let (_, rest) = rest.split_at_checked(4 + 8)?;
    let &[0, low_0, low_1, _, status_0, status_1, high_0, high_1, secret, ref rest @ ..] = rest
    else {
        return None;
    };
    let (reserved, rest) = rest.split_at_checked(10)?;
    let capabilities = Capabilities(u32::from_le_bytes([low_0, low_1, high_0, high_1]));
    let needed = Capabilities::PROTOCOL_41 | Capabilities::SECURE_CONNECTION;
    let by_version = version.windows(7).any(|word| word.eq_ignore_ascii_case(b"mariadb"));
    let mariadb = by_version || !capabilities.has(Capabilities::LONG_PASSWORD);
    // MariaDB has more capabilities in the last four.
    let zeros = if mariadb { &reserved[..6] } else { reserved };
    let fits = !version.is_empty()
        && capabilities.0 & needed == needed
        && zeros.iter().all(|byte| *byte == 0)
        && rest.len() >= usize::from(secret).saturating_sub(8).max(12)
        && rest.get(usize::from(secret).saturating_sub(8).max(13) - 1) == Some(&0);
    let total = HEADER + body.len();
    let status = u16::from_le_bytes([status_0, status_1]);
    (fits && !version[0].is_ascii_alphabetic()).then_some(Greeting {
        mariadb,
        capabilities,
        status,
        total,
    })
}

/// What a client answers to the greeting. Its name and proof are not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Login<'a> {
    /// TLS comes first.
    Tls,
    Session {
        capabilities: Capabilities,
        collation: u8,
        database: Option<&'a [u8]>,
    },
}

/// Reads the payload of the answer to a greeting; none if it is none.
pub(super) fn login(body: &[u8]) -> Option<Login<'_>> {
    let (fixed, rest) = body.split_first_chunk::<32>()?;
    let capabilities = Capabilities(u32::from_le_bytes([fixed[0], fixed[1], fixed[2], fixed[3]]));
    // The last four are capabilities of MariaDB.
    if !capabilities.has(Capabilities::PROTOCOL_41) || fixed[9..28].iter().any(|byte| *byte != 0) {
        return None;
    }
    if rest.is_empty() {
        return capabilities.has(Capabilities::TLS).then_some(Login::Tls);
    }
    let (_user, rest) = until_zero(rest)?;
    let (_secret, rest) = if capabilities.has(Capabilities::LENGTH_OF_SECRET) {
        string(rest)?
    } else if capabilities.has(Capabilities::SECURE_CONNECTION) {
        let (length, rest) = rest.split_first()?;
        rest.split_at_checked(usize::from(*length))?
    } else {
        until_zero(rest)?
    };
    let database = match capabilities.has(Capabilities::CONNECT_WITH_DB) {
        // Some leave the zero at the end out.
        true => Some(until_zero(rest).map_or(rest, |(name, _)| name)),
        false => None,
    };
    Some(Login::Session { capabilities, collation: fixed[8], database })
}

/// The database in the payload of a `COM_CHANGE_USER`, behind a name and a proof; none: not known.
pub(super) fn changed_database(body: &[u8]) -> Option<&[u8]> {
    let (_user, rest) = until_zero(body)?;
    let (length, rest) = rest.split_first()?;
    let (name, _) = until_zero(rest.get(usize::from(*length)..)?)?;
    Some(name)
}
