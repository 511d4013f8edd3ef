//! HTTP/1.0 and HTTP/1.1 (RFC 9112).

use super::{Detection, Detector, Parser, Part, Side, Step};

/// The line of [`super::DETECTORS`].
pub const DETECTOR: Detector =
    Detector { name: "http", detect, parser: || Box::new(Http1::default()) };

/// What is kept of a request head: exactly the fields that spans need. Credentials and cookies
/// are never copied out of the captured bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Method as sent.
    pub method: Box<str>,
    /// Request target as sent: origin, absolute, authority or asterisk form, query included.
    pub target: Box<str>,
    /// Minor version: 0 or 1.
    pub minor: u8,
    /// `Host`.
    pub host: Option<Box<str>>,
    /// `User-Agent`.
    pub user_agent: Option<Box<str>>,
    /// `traceparent` (W3C Trace Context), as sent.
    pub traceparent: Option<Box<str>>,
    /// `tracestate`, several lines joined by commas.
    pub tracestate: Option<Box<str>>,
    /// `Forwarded`, `X-Forwarded-For`, ...: rare, so behind one pointer.
    pub forwarded: Option<Box<Forwarded>>,
}

/// What proxies said about the original request, several lines of one name joined by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// `Forwarded` (RFC 7239).
    pub forwarded: Option<Box<str>>,
    /// `X-Forwarded-For`.
    pub x_forwarded_for: Option<Box<str>>,
    /// `X-Forwarded-Host`.
    pub x_forwarded_host: Option<Box<str>>,
    /// `X-Forwarded-Proto`.
    pub x_forwarded_proto: Option<Box<str>>,
    /// `X-Real-IP`.
    pub x_real_ip: Option<Box<str>>,
}

/// What is kept of a final response head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// Status code, 200 to 999 (or 101).
    pub status: u16,
    /// Minor version: 0 or 1.
    pub minor: u8,
}

fn detect(_bytes: &[u8]) -> Detection {
    Detection::Unsure
}

#[derive(Default)]
struct Http1;

impl Parser for Http1 {
    fn parse(&mut self, _: Side, _: u64, _: &[u8], _: &mut Vec<Part>) -> Step {
        Step::NotMine
    }
    fn gap(&mut self, _: Side, _: u64, _: &mut Vec<Part>) -> Step {
        Step::NotMine
    }
    fn finish(&mut self, _: Side, _: u64, _: &mut Vec<Part>) {}
}
