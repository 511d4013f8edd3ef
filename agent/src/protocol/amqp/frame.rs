//! Frames: type, channel, size, payload, end octet (AMQP 0-9-1, section 4.2.3).

/// Bytes before the payload.
pub(super) const HEAD: usize = 7;

/// The last byte of a frame.
pub(super) const END: u8 = 0xce;

/// What a client says first (section 4.2.2).
pub(super) const PROTOCOL: &[u8; 8] = b"AMQP\x00\x00\x09\x01";

/// Longest payload that is believed. Brokers and clients agree on 128 KiB where nobody asks for more;
/// some are told to allow frames of megabytes.
const MAX_SIZE: u32 = 64 * 1024 * 1024;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Method,
    Header,
    Body,
    Heartbeat,
}

/// The beginning of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) channel: u16,
    /// Bytes of payload.
    pub(super) size: u32,
}

/// What bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read<T> {
    Is(T),
    Not,
    /// That takes more of them.
    Need,
}

impl Head {
    /// Reads the beginning of a frame.
    pub(super) fn read(bytes: &[u8]) -> Read<Self> {
        let kind = match bytes.first() {
            Some(1) => Kind::Method,
            Some(2) => Kind::Header,
            Some(3) => Kind::Body,
            Some(8) => Kind::Heartbeat,
            Some(_) => return Read::Not,
            None => return Read::Need,
        };
        let &[_, c1, c0, s3, s2, s1, s0, ..] = bytes else { return Read::Need };
        let channel = u16::from_be_bytes([c1, c0]);
        let size = u32::from_be_bytes([s3, s2, s1, s0]);
        let fits = match kind {
            // The class and the method.
            Kind::Method => size >= 4,
            // The class, the weight, the size of the body and the flags.
            Kind::Header => size >= 14 && channel != 0,
            Kind::Body => size > 0 && channel != 0,
            Kind::Heartbeat => size == 0 && channel == 0,
        };
        if fits && size <= MAX_SIZE { Read::Is(Self { kind, channel, size }) } else { Read::Not }
    }

    /// Bytes of the whole frame.
    pub(super) fn length(self) -> usize {
        HEAD + self.size as usize + 1
    }
}

/// The arguments of a method, or the properties of a message, one by one.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn octet(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn short(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn long(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn long_long(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// At most 255 bytes.
    pub(super) fn short_string(&mut self) -> Option<&'a [u8]> {
        let length = self.octet()?;
        self.take(length.into())
    }

    /// A long string, or a table or array as it lies there.
    pub(super) fn long_string(&mut self) -> Option<&'a [u8]> {
        let length = self.long()?;
        self.take(length as usize)
    }
}
