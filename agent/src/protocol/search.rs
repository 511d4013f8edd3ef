//! Elasticsearch and OpenSearch: what calls over HTTP mean to them.
//!
//! Not a protocol on the wire: [`http1`] frames and pairs the messages and knows of
//! this only that somebody may read a body (`http1::over`). `endpoints` is the table of the REST
//! API, `signs` is what heads say of who speaks, `root` what a server says of itself, `bulk` counts
//! operations and `items` what became of them, `json` and `text` make the text of a query. [`call::search`](crate::call::search)
//! decides which calls are meant, `trace::search` makes spans of them.
//!
//! # What is evidence
//!
//! Paths are not: any service may have `/products/_search`, and `PUT /products` is anybody's. Ports
//! are not. A call is one to Elasticsearch or OpenSearch if method and path are an endpoint of theirs,
//! and one of these says who is asked:
//!
//! - **The server, in this answer**: `X-elastic-product: Elasticsearch` (7.14 and later), or
//!   `X-OpenSearch-Version` (2.12 and later).
//! - **The server, in an earlier answer** from the same address to the same `Host`: one of these, or
//!   what it says of itself when asked for `/` (`"distribution" : "opensearch"`, and the taglines of
//!   both).
//! - **The client**, by `User-Agent` (`opensearch-py/3.2.0 ...`), `x-elastic-client-meta` or
//!   `application/vnd.elasticsearch+json`: whom it means to ask, which is what `db.system.name` is.
//! - **Another client** of the same server, that was answered as it expected.
//!
//! What is known of an address is believed for an answer that looks like theirs: servers of these
//! products send their contents' type and neither `Date` nor `Server`, nearly all others do. So a
//! gateway that passes some paths on to them makes no such span for its other services. Until
//! something is known, calls without a sign stay calls over HTTP; they are not changed afterwards.

use super::http1;

pub mod bulk;
pub mod endpoints;
pub mod items;
mod json;
pub mod root;
pub mod signs;
#[cfg(test)]
mod tests;
pub mod text;

pub use signs::{AnswerSigns, Node, Signs};

use bulk::Bulk;
use endpoints::{Body, Endpoint};
use items::Items;

/// A product, as spans name it.
#[derive(Debug, PartialEq, Eq)]
pub struct System {
    /// `db.system.name`.
    pub name: &'static str,
}

/// Elasticsearch.
pub static ELASTICSEARCH: System = System { name: "elasticsearch" };

/// OpenSearch.
pub static OPENSEARCH: System = System { name: "opensearch" };

/// The port that goes without saying.
pub const PORT: u16 = 9200;

/// What a body says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A query, or several.
    Query(Query),
    /// Operations, all of them seen.
    Bulk(Box<Bulk>),
    /// What became of operations, all of it seen.
    Items(Items),
    /// What answers for `/`.
    Root(&'static System),
}

/// What is searched for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Masked; empty if it was left out.
    pub text: Box<str>,
    /// How many queries it is, where the endpoint takes several and all of them were seen.
    pub queries: Option<u64>,
}

/// A call that is known to be one.
#[derive(Debug, Clone)]
pub struct Request {
    /// The call over HTTP.
    pub http: http1::Request,
    /// Who is asked.
    pub system: &'static System,
    /// What for.
    pub endpoint: &'static Endpoint,
    /// Values of the endpoint's parts, as sent.
    pub values: Vec<Box<str>>,
}

/// What a query text may have to stay when texts are left out: half a line.
const SHORT: usize = 64;

impl Request {
    /// Leaves a long query text out; false if there is none.
    pub fn trim(&mut self) -> bool {
        match self.http.content.as_deref_mut() {
            Some(http1::Content::Search(Content::Query(Query { text, .. })))
                if text.len() > SHORT =>
            {
                *text = Box::default();
                self.http.trimmed = true;
                true
            }
            _ => false,
        }
    }
}

/// Who reads the body of a request to `method` and `target`, if it is one that says something.
/// Compressed ones do not.
pub(super) fn reader(method: &str, target: &str, signs: Signs) -> Option<Box<dyn http1::Reader>> {
    // Endpoints with such bodies have a part that begins with it; others' paths hardly ever have.
    memchr::memchr(b'_', target.as_bytes())?;
    let (endpoint, _) = endpoints::find(method, path(target)?)?;
    match endpoint.body {
        _ if signs.is_encoded() => None,
        Body::None => None,
        Body::Query => Some(Box::<text::Reader>::default()),
        Body::Queries => Some(Box::new(text::Reader::of_several())),
        Body::Bulk => Some(Box::<bulk::Reader>::default()),
    }
}

/// What the answer to a request may tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// What its server is.
    Root,
    /// What became of operations.
    Items,
}

/// What the answer to `method` and `target` may tell, if it is of interest.
pub(super) fn awaited(method: &str, target: &str) -> Option<Tells> {
    if (target == "/" || target.starts_with("/?")) && method == "GET" {
        return Some(Tells::Root);
    }
    memchr::memchr(b'_', target.as_bytes())?;
    items::are_asked_for(method, target).then_some(Tells::Items)
}

/// Who reads such an answer, of `length` bytes if that is known, if it is one that tells.
pub(super) fn answer_reader(
    awaited: Tells,
    status: u16,
    length: Option<u64>,
    signs: &AnswerSigns,
) -> Option<Box<dyn http1::Reader>> {
    let short = length.is_some_and(|length| length <= root::MAX_LENGTH as u64);
    match awaited {
        _ if status != 200 => None,
        Tells::Root if short && signs.is_json() => Some(Box::<root::Reader>::default()),
        Tells::Root => None,
        // A proxy may have added what hides its type; its first byte tells.
        Tells::Items => Some(Box::<items::Reader>::default()),
    }
}

/// The path of a request target in origin form. Other forms are for proxies.
pub fn path(target: &str) -> Option<&str> {
    let end = memchr::memchr2(b'?', b'#', target.as_bytes()).unwrap_or(target.len());
    target.starts_with('/').then_some(&target[..end])
}

/// For fuzzers: a byte that says what reads a body, one that says in pieces of how many bytes, and
/// that body; or a method and a path.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let [kind, length, body @ ..] = data else { return };
    let mut reader: Box<dyn http1::Reader> = match kind & 3 {
        0 if *length > 127 => Box::new(text::Reader::of_several()),
        0 => Box::<text::Reader>::default(),
        1 if *length > 127 => Box::<items::Reader>::default(),
        1 => Box::<bulk::Reader>::default(),
        2 => Box::<root::Reader>::default(),
        _ => {
            let method = ["GET", "HEAD", "POST", "PUT", "DELETE"][usize::from(*length) % 5];
            let path = String::from_utf8_lossy(body);
            if let Some((endpoint, values)) = endpoints::find(method, &path) {
                assert_eq!(endpoint.parts.len(), values.len(), "parts without values");
            }
            return;
        }
    };
    let whole = body.chunks(1 + usize::from(*length)).all(|piece| reader.read(piece));
    let content = reader.finish(whole && kind & 4 == 0);
    if let Some(http1::Content::Search(Content::Query(Query { text, .. }))) = content {
        assert!(text.is_ascii(), "shows what is no name: {text}");
    }
}
