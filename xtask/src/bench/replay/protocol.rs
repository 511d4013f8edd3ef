//! What is said in a capture, by protocol.

mod mysql;
mod postgres;
mod redis;

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
    /// MySQL 8: queries that return one row
    Mysql,
    /// Redis: `SET` and `GET` by turns
    Redis,
}

impl Protocol {
    pub(super) fn name(self) -> &'static str {
        match self {
            Protocol::Http => "HTTP/1.1",
            Protocol::Postgres => "PostgreSQL",
            Protocol::Mysql => "MySQL",
            Protocol::Redis => "Redis",
        }
    }

    pub(super) fn port(self) -> u16 {
        match self {
            Protocol::Http => 8080,
            Protocol::Postgres => 5432,
            Protocol::Mysql => 3306,
            Protocol::Redis => 6379,
        }
    }

    /// What a connection begins with.
    pub(super) fn open(self, talk: Talk) -> Talk {
        match self {
            Protocol::Http | Protocol::Redis => talk.open(),
            Protocol::Postgres => {
                talk.open().say(Client, postgres::login()).say(Server, postgres::welcome())
            }
            Protocol::Mysql => {
                let talk = talk.open().say(Server, mysql::greeting());
                talk.say(Client, mysql::login()).say(Server, mysql::welcome())
            }
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
            Protocol::Postgres => postgres::message(b'Q', format!("{}\0", statement(n)).as_bytes()),
            Protocol::Mysql => mysql::query(&statement(n)),
            Protocol::Redis if redis::sets(n) => {
                redis::array(&[b"SET", &redis::session(n), redis::VALUE])
            }
            Protocol::Redis => redis::array(&[b"GET", &redis::session(n)]),
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
            Protocol::Postgres => postgres::result(ROW, 1),
            Protocol::Mysql => mysql::result(ROW, 1),
            Protocol::Redis if redis::sets(n) => b"+OK\r\n".to_vec(),
            Protocol::Redis => redis::bulk(redis::VALUE),
        }
    }

    /// The `n`th request that gets a [long answer](Self::long_responses).
    pub(super) fn long_request(self, n: u64) -> Vec<u8> {
        match self {
            Protocol::Http | Protocol::Postgres | Protocol::Mysql => self.request(n),
            Protocol::Redis if n.is_multiple_of(2) => redis::array(&[b"GET", &redis::session(n)]),
            Protocol::Redis => redis::array(&[b"LRANGE", &redis::session(n), b"0", b"-1"]),
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
                let result = postgres::result;
                [result(&[&[b'x'; BODY]], 1), result(&[&[b'x'; CHUNK]], BODY / CHUNK)]
            }
            Protocol::Mysql => {
                let result = mysql::result;
                [result(&[&[b'x'; BODY]], 1), result(&[&[b'x'; CHUNK]], BODY / CHUNK)]
            }
            Protocol::Redis => {
                let many = [&[b'x'; CHUNK][..]; BODY / CHUNK];
                [redis::bulk(&[b'x'; BODY]), redis::array(&many)]
            }
        }
    }
}

/// The row that a statement finds.
const ROW: &[&[u8]] = &[b"1042", b"99.50", b"Jane Example"];

/// The `n`th statement, for a database that knows SQL.
fn statement(n: u64) -> String {
    format!(
        "SELECT o.id, o.total, c.name FROM orders o JOIN customers c ON c.id = o.customer_id WHERE \
         o.id = {n} AND c.region = 'eu-{}'",
        n % 7
    )
}
