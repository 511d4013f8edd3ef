//! Fields of records: little-endian numbers, texts and bytes after their length.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use super::MAX_NUMBER;
use crate::source::Address;

const UNNAMED: u8 = 0;
const UNIX: u8 = 1;
const IPV4: u8 = 4;
const IPV6: u8 = 6;

/// Appends fields.
pub(super) trait Put {
    fn put(&mut self, bytes: &[u8]);

    fn u8(&mut self, n: u8) {
        self.put(&[n]);
    }

    fn u16(&mut self, n: u16) {
        self.put(&n.to_le_bytes());
    }

    fn u32(&mut self, n: u32) {
        self.put(&n.to_le_bytes());
    }

    fn u64(&mut self, n: u64) {
        self.put(&n.to_le_bytes());
    }

    fn i32(&mut self, n: i32) {
        self.put(&n.to_le_bytes());
    }

    fn i64(&mut self, n: i64) {
        self.put(&n.to_le_bytes());
    }

    /// Bytes after their number.
    fn bytes(&mut self, bytes: &[u8]) {
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.put(bytes);
    }

    fn address(&mut self, address: &Address) {
        self.u8(match address {
            Address::Unix(None) => UNNAMED,
            Address::Unix(Some(_)) => UNIX,
            Address::Inet(SocketAddr::V4(_)) => IPV4,
            Address::Inet(SocketAddr::V6(_)) => IPV6,
        });
        self.u16(address.port().unwrap_or_default());
        match address {
            Address::Unix(None) => {}
            Address::Unix(Some(path)) => self.bytes(path.as_bytes()),
            Address::Inet(SocketAddr::V4(v4)) => self.put(&v4.ip().octets()),
            Address::Inet(SocketAddr::V6(v6)) => {
                self.put(&v6.ip().octets());
                self.u32(v6.flowinfo());
                self.u32(v6.scope_id());
            }
        }
    }
}

impl Put for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Takes fields from the front; `None` where they end too early or make no sense.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_le_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// A time, position or length that may be calculated with.
    pub(super) fn number(&mut self) -> Option<u64> {
        self.u64().filter(|n| *n <= MAX_NUMBER)
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let n = self.u32()?;
        self.take(n as usize)
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    pub(super) fn address(&mut self) -> Option<Address> {
        let (family, port) = (self.u8()?, self.u16()?);
        Some(match family {
            UNNAMED => Address::Unix(None),
            UNIX => Address::Unix(Some(self.text()?.into())),
            IPV4 => SocketAddr::new(IpAddr::from(self.array::<4>()?), port).into(),
            IPV6 => {
                let ip = Ipv6Addr::from(self.array::<16>()?);
                let (flow, scope) = (self.u32()?, self.u32()?);
                Address::Inet(SocketAddrV6::new(ip, port, flow, scope).into())
            }
            _ => return None,
        })
    }
}
