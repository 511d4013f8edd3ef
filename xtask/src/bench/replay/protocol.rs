//! What is said in a capture, by protocol.

use clap::ValueEnum;
use tracebee_tests::capture::talk::{Client, Server, Talk};

/// Payload of a long answer.
const BODY: usize = 1 << 20;
/// Payload of a part of one.
const CHUNK: usize = 8 << 10;

/// The protocols that captures are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// HTTP/1.1, as in a service mesh
    Http,
    /// PostgreSQL: simple queries that return one row
    Postgres,
    /// Redis: `SET` and `GET` by turns
    Redis,
}

impl Protocol {
    pub(super) fn name(self) -> &'static str {
        match self {
            Protocol::Http => "HTTP/1.1",
            Protocol::Postgres => "PostgreSQL",
            Protocol::Redis => "Redis",
        }
    }

    pub(super) fn port(self) -> u16 {
        match self {
            Protocol::Http => 8080,
            Protocol::Postgres => 5432,
            Protocol::Redis => 6379,
        }
    }

    /// What a connection begins with.
    pub(super) fn open(self, talk: Talk) -> Talk {
        match self {
            Protocol::Http | Protocol::Redis => talk.open(),
            Protocol::Postgres => talk.open().say(Client, login()).say(Server, welcome()),
        }
    }

    /// The `n`th request of a capture.
    pub(super) fn request(self, n: u64) -> Vec<u8> {
        match self {
            Protocol::Http => format!(
                "GET /api/v1/users/{}/orders?page={} HTTP/1.1\r\nHost: orders.example:8080\r\n\
                 User-Agent: bench/1.0 (replay)\r\nAccept: application/json\r\n\
                 Accept-Encoding: gzip\r\ntraceparent: 00-{:032x}-{:016x}-01\r\n\
                 Connection: keep-alive\r\n\r\n",
                n % 1000,
                n % 7,
                n + 1,
                n + 1
            )
            .into_bytes(),
            Protocol::Postgres => {
                let text = format!(
                    "SELECT o.id, o.total, c.name FROM orders o JOIN customers c ON c.id = \
                     o.customer_id WHERE o.id = {n} AND c.region = 'eu-{}'\0",
                    n % 7
                );
                message(b'Q', text.as_bytes())
            }
            Protocol::Redis if sets(n) => array(&[b"SET", &session(n), VALUE]),
            Protocol::Redis => array(&[b"GET", &session(n)]),
        }
    }

    /// A short answer to it.
    pub(super) fn response(self, n: u64) -> Vec<u8> {
        match self {
            Protocol::Http => {
                let body = r#"{"id":42,"items":[{"sku":"a-1","count":2},{"sku":"b-7","count":1}]}"#;
                format!(
                    "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Sat, 21 Nov 2026 19:00:00 GMT\r\n\
                     Content-Type: application/json\r\nContent-Length: {}\r\n\
                     Connection: keep-alive\r\n\r\n{body}",
                    body.len()
                )
                .into_bytes()
            }
            Protocol::Postgres => result(&[b"1042", b"99.50", b"Jane Example"], 1),
            Protocol::Redis if sets(n) => b"+OK\r\n".to_vec(),
            Protocol::Redis => bulk(VALUE),
        }
    }

    /// The `n`th request that gets a [long answer](Self::long_responses).
    pub(super) fn long_request(self, n: u64) -> Vec<u8> {
        match self {
            Protocol::Http | Protocol::Postgres => self.request(n),
            Protocol::Redis if n.is_multiple_of(2) => array(&[b"GET", &session(n)]),
            Protocol::Redis => array(&[b"LRANGE", &session(n), b"0", b"-1"]),
        }
    }

    /// Answers of a megabyte, in one part and in many.
    pub(super) fn long_responses(self) -> [Vec<u8>; 2] {
        match self {
            Protocol::Http => {
                let mut whole =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n").into_bytes();
                whole.resize(whole.len() + BODY, b'x');
                let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
                for _ in 0..BODY / CHUNK {
                    chunked.extend(format!("{CHUNK:x}\r\n").bytes());
                    chunked.resize(chunked.len() + CHUNK, b'x');
                    chunked.extend(b"\r\n");
                }
                chunked.extend(b"0\r\n\r\n");
                [whole, chunked]
            }
            Protocol::Postgres => {
                [result(&[&[b'x'; BODY]], 1), result(&[&[b'x'; CHUNK]], BODY / CHUNK)]
            }
            Protocol::Redis => [bulk(&[b'x'; BODY]), array(&[&[b'x'; CHUNK][..]; BODY / CHUNK])],
        }
    }
}

/// A message of PostgreSQL.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

fn login() -> Vec<u8> {
    let body = b"\0\x03\0\0user\0bench\0database\0shop\0\0";
    [&(body.len() as u32 + 4).to_be_bytes(), &body[..]].concat()
}

fn welcome() -> Vec<u8> {
    [
        message(b'R', &[0; 4]),
        message(b'S', b"client_encoding\0UTF8\0"),
        message(b'S', b"standard_conforming_strings\0on\0"),
        message(b'K', &[7; 8]),
        message(b'Z', b"I"),
    ]
    .concat()
}

/// So many rows of these values.
fn result(values: &[&[u8]], rows: usize) -> Vec<u8> {
    let count = (values.len() as u16).to_be_bytes();
    let mut description = count.to_vec();
    let mut row = count.to_vec();
    for value in values {
        description.extend(b"name\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0");
        row.extend((value.len() as u32).to_be_bytes());
        row.extend_from_slice(value);
    }
    [
        message(b'T', &description),
        message(b'D', &row).repeat(rows),
        message(b'C', format!("SELECT {rows}\0").as_bytes()),
        message(b'Z', b"I"),
    ]
    .concat()
}

/// What sessions of Redis hold.
const VALUE: &[u8] = b"0123456789abcdef0123456789abcdef";

/// Whether the `n`th command sets a session; it is asked for otherwise. By two, as connections may
/// be even in number.
fn sets(n: u64) -> bool {
    (n / 2).is_multiple_of(2)
}

/// The key of a session.
fn session(n: u64) -> Vec<u8> {
    format!("session:{n:016x}").into_bytes()
}

/// A command of Redis, or a list that it answers with.
fn array(values: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", values.len()).into_bytes();
    values.iter().for_each(|value| out.extend(bulk(value)));
    out
}

fn bulk(value: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat()
}
