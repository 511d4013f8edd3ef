//! What the heads of messages say of who speaks.

use super::{ELASTICSEARCH, OPENSEARCH, System};

/// What a request's head says: whom its client means to ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signs(u8);

impl Signs {
    const ELASTICSEARCH: u8 = 1;
    const OPENSEARCH: u8 = 2;
    const ENCODED: u8 = 4;

    /// Takes in a field of the head.
    #[inline]
    pub fn field(&mut self, name: &str, value: &[u8]) {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        self.0 |= match name.len() {
            // Values are shorter to compare than names.
            6 if is_elastic_type(value) && is("accept") => Self::ELASTICSEARCH,
            10 if matches!(value, [b'e' | b'g' | b'o', ..]) && is("user-agent") => {
                Self::of_agent(value)
            }
            12 if is_elastic_type(value) && is("content-type") => Self::ELASTICSEARCH,
            16 if is("content-encoding") && is_encoding(value) => Self::ENCODED,
            21 if is("x-elastic-client-meta") => Self::ELASTICSEARCH,
            _ => return,
        };
    }

    /// The official clients name themselves first: `elasticsearch-py/8.12.0 (...)`,
    /// `go-elasticsearch/8.11.1 (...)`, `elastic-java/8.13.0 (...)`, `opensearch-js/2.5.0 (...)`.
    fn of_agent(value: &[u8]) -> u8 {
        let product = value.split(|byte| *byte == b' ').next().unwrap_or_default();
        let Some(end) = memchr::memchr(b'/', product) else { return 0 };
        let is_name = |rest: &[u8]| !rest.is_empty() && rest.iter().all(|c| c.is_ascii_lowercase());
        let name = &product[..end];
        let after = |prefix: &[u8]| name.strip_prefix(prefix).is_some_and(is_name);
        if name == b"go-elasticsearch" || name == b"elastic-java" || after(b"elasticsearch-") {
            Self::ELASTICSEARCH
        } else if after(b"opensearch-") {
            Self::OPENSEARCH
        } else {
            0
        }
    }

    /// Whom the client means, unless it says two things.
    pub fn system(self) -> Option<&'static System> {
        match self.0 & (Self::ELASTICSEARCH | Self::OPENSEARCH) {
            Self::ELASTICSEARCH => Some(&ELASTICSEARCH),
            Self::OPENSEARCH => Some(&OPENSEARCH),
            _ => None,
        }
    }

    /// True if the body is compressed.
    pub fn is_encoded(self) -> bool {
        self.0 & Self::ENCODED != 0
    }
}

/// Where an Elastic Cloud deployment carried a call out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// `X-Found-Handling-Cluster`.
    pub cluster: Option<Box<str>>,
    /// `X-Found-Handling-Instance`.
    pub instance: Option<Box<str>>,
}

/// Longest name of a cluster or node that is kept: those of Elastic Cloud have 32.
const MAX_NAME: usize = 128;

/// What an answer's head says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerSigns {
    flags: u8,
    /// Where it comes from: rare, so behind a pointer.
    pub node: Option<Box<Node>>,
}

impl AnswerSigns {
    const ELASTICSEARCH: u8 = 1;
    const OPENSEARCH: u8 = 2;
    const FOREIGN: u8 = 4;
    const JSON: u8 = 8;
    const OTHER_TYPE: u8 = 16;

    /// Takes in a field of the head. Length and first letter tell nearly all fields of others apart,
    /// and what is somebody else's already needs no second sign of that.
    #[inline]
    pub fn field(&mut self, name: &str, value: &[u8]) {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let theirs = self.flags & Self::FOREIGN == 0;
        let first = name.bytes().next().map(|byte| byte | 0x20);
        match (name.len(), first) {
            (4, Some(b'd')) if theirs && is("date") => self.flags |= Self::FOREIGN,
            (6, Some(b's')) if theirs && is("server") => self.flags |= Self::FOREIGN,
            (3, Some(b'v')) if theirs && is("via") => self.flags |= Self::FOREIGN,
            (12, Some(b'c')) if theirs && is("content-type") => self.flags |= type_of(value),
            (17..=25, Some(b'x')) => self.own_field(name, value.trim_ascii()),
            _ => {}
        }
    }

    fn own_field(&mut self, name: &str, value: &[u8]) {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        match name.len() {
            17 if is("x-elastic-product") && value == b"Elasticsearch" => {
                self.flags |= Self::ELASTICSEARCH;
            }
            20 if is("x-opensearch-version") => self.flags |= Self::OPENSEARCH,
            24 if is("x-found-handling-cluster") => {
                self.node.get_or_insert_default().cluster = name_of(value);
            }
            25 if is("x-found-handling-instance") => {
                self.node.get_or_insert_default().instance = name_of(value);
            }
            _ => {}
        }
    }

    /// What the server says that it is.
    pub fn system(&self) -> Option<&'static System> {
        match self.flags & (Self::ELASTICSEARCH | Self::OPENSEARCH) {
            Self::ELASTICSEARCH => Some(&ELASTICSEARCH),
            Self::OPENSEARCH => Some(&OPENSEARCH),
            _ => None,
        }
    }

    /// True if nothing in it speaks against one of these servers, asked without a proxy.
    pub fn may_be_theirs(&self) -> bool {
        self.flags & (Self::FOREIGN | Self::OTHER_TYPE) == 0
    }

    /// True if there is JSON behind it, compressed or not, as far as that was of interest: not behind
    /// a sign of somebody else.
    pub fn is_json(&self) -> bool {
        self.flags & Self::JSON != 0
    }
}

fn type_of(value: &[u8]) -> u8 {
    if value.first_chunk() == Some(b"application/json")
        && matches!(value.get(16), None | Some(b';'))
    {
        return AnswerSigns::JSON;
    }
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let is = |other: &[u8]| essence.eq_ignore_ascii_case(other);
    if is(b"application/json") || is(b"application/vnd.elasticsearch+json") {
        AnswerSigns::JSON
    } else if [&b"text/plain"[..], b"application/yaml", b"application/cbor", b"application/smile"]
        .into_iter()
        .any(is)
    {
        // The tables of `_cat`, and what a client may ask for.
        0
    } else {
        AnswerSigns::OTHER_TYPE
    }
}

/// `application/vnd.elasticsearch+json; compatible-with=8`
fn is_elastic_type(value: &[u8]) -> bool {
    const TYPE: &[u8] = b"application/vnd.elasticsearch+";
    value.get(..TYPE.len()).is_some_and(|start| start.eq_ignore_ascii_case(TYPE))
}

fn is_encoding(value: &[u8]) -> bool {
    !value.is_empty() && !value.eq_ignore_ascii_case(b"identity")
}

fn name_of(value: &[u8]) -> Option<Box<str>> {
    std::str::from_utf8(value).ok().filter(|name| name.len() <= MAX_NAME).map(Into::into)
}
