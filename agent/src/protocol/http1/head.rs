//! Message heads (RFC 9112 2 to 5): which fields are kept, and what can be said of a broken head.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use httparse::{EMPTY_HEADER, Header, ParserConfig, Status};

use super::body::{Fields, Framing, Method};
use super::detect::{Seen, registered, request_line, status_line};
use super::{AnswerSigns, Forwarded, Propagated, Request, Response, Signs};

/// Header lines accepted. Servers refuse heads of more than 100 to 200; a head beyond this keeps
/// the lines before the limit and loses its framing.
const MAX_HEADERS: usize = 256;

/// Header lines that nearly every head stays below: so many are cheap to make room for each time.
const USUAL_HEADERS: usize = 64;

/// Kept of a request target. RFC 9110 4.1 asks for support of 8000; cut beyond.
const MAX_TARGET: usize = 8 * 1024;

/// Kept of `User-Agent`: those that exist stay below 512; cut beyond.
const MAX_USER_AGENT: usize = 1024;

/// A host name has at most 253 characters, and a port. Longer: dropped, as half a name is another.
const MAX_HOST: usize = 512;

/// `traceparent` has 55 characters in version 00, and later versions may append. Longer: dropped.
const MAX_TRACEPARENT: usize = 256;

/// W3C Trace Context asks to propagate at least 512 characters. Longer, all lines: dropped.
const MAX_TRACESTATE: usize = 4 * 512;

/// The headers of other formats are shorter than that, `x-datadog-tags` included (512 by its own
/// limit). Longer: dropped.
const MAX_PROPAGATED: usize = 512;

/// Each of the fields of proxies: room for some 50 hops. Longer, all lines: dropped.
const MAX_FORWARDED: usize = 2 * 1024;

/// A head as far as it could be read.
#[derive(Debug)]
pub(super) enum Head<T> {
    /// All of it, and its length.
    Whole(T, usize),
    /// Its end is missing; with what is known if the first line is complete.
    Partial(Option<T>),
    /// The first line is fine, something after it is not: the framing is unknown.
    Broken(T),
    /// Not a head.
    Not,
}

/// What a request head says.
#[derive(Debug)]
pub(super) struct RequestHead {
    pub(super) request: Request,
    pub(super) method: Method,
    pub(super) framing: Framing,
    /// It asks for a `100 Continue` before it sends its body (RFC 9110 10.1.1).
    pub(super) expects: bool,
}

/// What a response head says.
#[derive(Debug)]
pub(super) struct ResponseHead {
    pub(super) response: Response,
    pub(super) fields: Fields,
}

/// Reads a request head.
pub(super) fn request(bytes: &[u8]) -> Head<RequestHead> {
    let line = match request_line(bytes) {
        Seen::Whole(line) => line,
        Seen::Prefix => return Head::Partial(None),
        Seen::Not => return Head::Not,
    };
    let mut kept = Kept::default();
    let fields = &bytes[line.len..];
    let parsed = match each_header::<USUAL_HEADERS>(fields, |header| kept.take(header)) {
        Err(httparse::Error::TooManyHeaders) => {
            kept = Kept::default();
            each_header::<MAX_HEADERS>(fields, |header| kept.take(header))
        }
        parsed => parsed,
    };

    let method = match line.method {
        "HEAD" => Method::Head,
        "CONNECT" => Method::Connect,
        _ => Method::Other,
    };
    let whole = matches!(parsed, Ok(Status::Complete(_)));
    let framing = if whole { kept.framing.of_request(line.minor) } else { Framing::Unknown };
    // RFC 9110 10.1.1: a server ignores the expectation of a 1.0 request.
    let expects = kept.expects && line.minor > 0;
    let request = kept.into_request(line.method, line.target, line.minor);
    let head = RequestHead { request, method, framing, expects };
    match parsed {
        Ok(Status::Complete(len)) => Head::Whole(head, line.len + len),
        Ok(Status::Partial) => Head::Partial(Some(head)),
        Err(_) => Head::Broken(head),
    }
}

/// Reads a response head.
pub(super) fn response(bytes: &[u8]) -> Head<ResponseHead> {
    let line = match status_line(bytes) {
        Seen::Whole(line) => line,
        Seen::Prefix => return Head::Partial(None),
        Seen::Not => return Head::Not,
    };
    let mut fields = Fields::default();
    let mut signs = AnswerSigns::default();
    let mut config = ParserConfig::default();
    // Clients accept both; who rejects them closes the connection, which we see.
    config.allow_spaces_after_header_name_in_responses(true);
    config.allow_obsolete_multiline_headers_in_responses(true);
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut []);
    let parsed = config.parse_response_with_uninit_headers(&mut head, bytes, &mut headers);
    if let Ok(Status::Complete(_)) = parsed {
        for header in head.headers.iter() {
            match header.name.len() {
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    fields.content_length(header.value);
                }
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                    fields.transfer_encoding(header.value);
                }
                _ => signs.field(header.name, header.value),
            }
        }
    }
    let response = Response { status: line.status, minor: line.minor, signs, content: None };
    let head = ResponseHead { response, fields };
    match parsed {
        Ok(Status::Complete(len)) => Head::Whole(head, len),
        Ok(Status::Partial) => Head::Partial(Some(head)),
        Err(_) => Head::Broken(head),
    }
}

/// Shows each header line that could be read, also if the head is incomplete or breaks later, and
/// says how long the lines are.
fn each_header<'a, const MAX: usize>(
    bytes: &'a [u8],
    mut visit: impl FnMut(&Header<'a>),
) -> httparse::Result<usize> {
    let mut headers = [EMPTY_HEADER; MAX];
    let parsed = match httparse::parse_headers(bytes, &mut headers) {
        Ok(Status::Complete((len, _))) => Ok(Status::Complete(len)),
        Ok(Status::Partial) => Ok(Status::Partial),
        Err(error) => Err(error),
    };
    headers.iter().take_while(|header| !header.name.is_empty()).for_each(&mut visit);
    parsed
}

/// The fields kept of a request head while its lines are read.
#[derive(Default)]
struct Kept<'a> {
    host: Option<&'a [u8]>,
    user_agent: Option<&'a [u8]>,
    traceparent: Once<'a>,
    tracestate: List,
    forwarded: Option<Box<ForwardedLists>>,
    propagated: Option<Box<Propagated>>,
    framing: Fields,
    expects: bool,
    signs: Signs,
}

impl<'a> Kept<'a> {
    fn take(&mut self, header: &Header<'a>) {
        let Header { name, value } = *header;
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        self.signs.field(name, value);
        // The length tells nearly all of them apart, so most lines cost one comparison of a number.
        match name.len() {
            2 if is("b3") => keep(&mut self.propagated().b3, value),
            4 if is("host") => self.host = self.host.or(Some(value)),
            6 if is("expect") => self.expects |= value.eq_ignore_ascii_case(b"100-continue"),
            9 if is("forwarded") => self.forwarded().forwarded.add(value, MAX_FORWARDED),
            9 if is("x-real-ip") => self.forwarded().x_real_ip.add(value, MAX_FORWARDED),
            10 if is("user-agent") => self.user_agent = self.user_agent.or(Some(value)),
            10 if is("x-b3-flags") => keep(&mut self.propagated().b3_flags, value),
            10 if is("tracestate") => self.tracestate.add(value, MAX_TRACESTATE),
            11 if is("traceparent") => self.traceparent.set(value),
            11 if is("x-b3-spanid") => keep(&mut self.propagated().b3_span_id, value),
            12 if is("x-b3-traceid") => keep(&mut self.propagated().b3_trace_id, value),
            12 if is("x-b3-sampled") => keep(&mut self.propagated().b3_sampled, value),
            13 if is("uber-trace-id") => keep(&mut self.propagated().jaeger, value),
            14 if is("content-length") => self.framing.content_length(value),
            14 if is("x-datadog-tags") => keep(&mut self.propagated().datadog_tags, value),
            15 if is("x-amzn-trace-id") => keep(&mut self.propagated().xray, value),
            15 if is("x-forwarded-for") => self.forwarded().x_for.add(value, MAX_FORWARDED),
            16 if is("x-forwarded-host") => self.forwarded().x_host.add(value, MAX_FORWARDED),
            17 if is("x-forwarded-proto") => self.forwarded().x_proto.add(value, MAX_FORWARDED),
            17 if is("transfer-encoding") => self.framing.transfer_encoding(value),
            18 if is("x-datadog-trace-id") => keep(&mut self.propagated().datadog_trace_id, value),
            19 if is("x-datadog-parent-id") => {
                keep(&mut self.propagated().datadog_parent_id, value)
            }
            27 if is("x-datadog-sampling-priority") => {
                keep(&mut self.propagated().datadog_priority, value);
            }
            _ => {}
        }
    }

    fn propagated(&mut self) -> &mut Propagated {
        self.propagated.get_or_insert_default()
    }

    fn forwarded(&mut self) -> &mut ForwardedLists {
        self.forwarded.get_or_insert_default()
    }

    fn into_request(self, method: &str, target: &[u8], minor: u8) -> Request {
        Request {
            method: registered(method).map_or_else(|| method.to_owned().into(), Cow::Borrowed),
            target: cut(target, MAX_TARGET),
            minor,
            host: self.host.and_then(|host| exact(host, MAX_HOST)),
            user_agent: self.user_agent.map(|agent| cut(agent, MAX_USER_AGENT)),
            traceparent: self.traceparent.get().and_then(|value| exact(value, MAX_TRACEPARENT)),
            signs: self.signs,
            content: None,
            propagated: self.propagated,
            trimmed: false,
            tracestate: self.tracestate.into_text(),
            forwarded: self.forwarded.map(|lists| {
                Box::new(Forwarded {
                    forwarded: lists.forwarded.into_text(),
                    x_forwarded_for: lists.x_for.into_text(),
                    x_forwarded_host: lists.x_host.into_text(),
                    x_forwarded_proto: lists.x_proto.into_text(),
                    x_real_ip: lists.x_real_ip.into_text(),
                })
            }),
        }
    }
}

/// Keeps a field that must not occur twice with different values: nothing is valid then.
fn keep(field: &mut Option<Box<str>>, value: &[u8]) {
    let value = exact(value, MAX_PROPAGATED).unwrap_or_default();
    match field {
        Some(known) if *known != value => *known = Box::default(),
        _ => *field = Some(value),
    }
}

#[derive(Default)]
struct ForwardedLists {
    forwarded: List,
    x_for: List,
    x_host: List,
    x_proto: List,
    x_real_ip: List,
}

/// A field that must not occur twice with different values: which of them counts nobody knows.
#[derive(Default)]
enum Once<'a> {
    #[default]
    Absent,
    Is(&'a [u8]),
    Contradicts,
}

impl<'a> Once<'a> {
    fn set(&mut self, value: &'a [u8]) {
        *self = match self {
            Once::Absent => Once::Is(value),
            Once::Is(known) if *known == value => Once::Is(value),
            _ => Once::Contradicts,
        };
    }

    fn get(self) -> Option<&'a [u8]> {
        match self {
            Once::Is(value) => Some(value),
            Once::Absent | Once::Contradicts => None,
        }
    }
}

/// A field whose lines are one list (RFC 9110 5.3).
#[derive(Default)]
enum List {
    #[default]
    Absent,
    Is(String),
    /// Too long, or not text: a part of a list would be another list.
    Dropped,
}

impl List {
    fn add(&mut self, value: &[u8], max: usize) {
        let Ok(value) = std::str::from_utf8(value) else {
            *self = List::Dropped;
            return;
        };
        match self {
            List::Absent if value.len() <= max => *self = List::Is(value.to_owned()),
            List::Is(list) if list.len() + 1 + value.len() <= max => {
                list.push(',');
                list.push_str(value);
            }
            _ => *self = List::Dropped,
        }
    }

    fn into_text(self) -> Option<Box<str>> {
        match self {
            List::Is(list) => Some(list.into_boxed_str()),
            List::Absent | List::Dropped => None,
        }
    }
}

/// Text of at most `max` bytes, cut where longer; what is not UTF-8 is replaced.
fn cut(bytes: &[u8], max: usize) -> Box<str> {
    let mut bytes = &bytes[..bytes.len().min(max)];
    match std::str::from_utf8(bytes) {
        Ok(text) => return text.into(),
        // A character that the cut went through, or that ends wrongly anyway.
        Err(error) if error.error_len().is_none() => bytes = &bytes[..error.valid_up_to()],
        Err(_) => {}
    }
    // A replacement takes three bytes, and may stand for one.
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    text.truncate(text.floor_char_boundary(max));
    text.into_boxed_str()
}

/// Text of at most `max` bytes, or nothing.
fn exact(bytes: &[u8], max: usize) -> Option<Box<str>> {
    if bytes.len() > max {
        return None;
    }
    std::str::from_utf8(bytes).ok().map(Into::into)
}
