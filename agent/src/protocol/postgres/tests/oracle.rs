//! The crate `postgres-protocol` reads and writes the same messages.

use ::bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::IsNull;
use postgres_protocol::message::backend::{ErrorFields, Message};
use postgres_protocol::message::frontend;

use super::super::message::{Frame, HEADER, of_client, of_server, report, tag};
use super::conversations::all;
use super::{A, Q};
use crate::protocol::Detection;
use crate::protocol::postgres::detect::{Startup, request, startup as read_startup};

/// What the crate makes of the server's messages.
fn foreign(bytes: &[u8]) -> Vec<String> {
    let mut bytes = BytesMut::from(bytes);
    let mut out = Vec::new();
    loop {
        let before = bytes.len();
        let Some(message) = Message::parse(&mut bytes).unwrap() else {
            assert!(bytes.is_empty());
            return out;
        };
        let what = match message {
            Message::CommandComplete(body) => format!("C {}", body.tag().unwrap()),
            Message::ReadyForQuery(body) => format!("Z {}", char::from(body.status())),
            Message::ErrorResponse(body) => fields("E", body.fields()),
            Message::NoticeResponse(body) => fields("N", body.fields()),
            Message::DataRow(_) => "D".to_owned(),
            Message::RowDescription(_) => "T".to_owned(),
            Message::ParseComplete => "1".to_owned(),
            Message::BindComplete => "2".to_owned(),
            Message::CloseComplete => "3".to_owned(),
            Message::NoData => "n".to_owned(),
            Message::PortalSuspended => "s".to_owned(),
            Message::EmptyQueryResponse => "I".to_owned(),
            Message::CopyInResponse(_) => "G".to_owned(),
            Message::CopyOutResponse(_) => "H".to_owned(),
            Message::CopyData(_) => "d".to_owned(),
            Message::CopyDone => "c".to_owned(),
            Message::NotificationResponse(_) => "A".to_owned(),
            Message::ParameterStatus(_) => "S".to_owned(),
            Message::ParameterDescription(_) => "t".to_owned(),
            Message::BackendKeyData(_) => "K".to_owned(),
            Message::AuthenticationOk => "R".to_owned(),
            _ => "another".to_owned(),
        };
        out.push(format!("{} {what}", before - bytes.len()));
    }
}

fn fields(kind: &str, mut fields: ErrorFields<'_>) -> String {
    let mut code = String::new();
    while let Some(field) = fields.next().unwrap() {
        if field.type_() == b'C' {
            code = String::from_utf8_lossy(field.value_bytes()).into_owned();
        }
    }
    format!("{kind} {code}")
}

/// What we make of them.
fn own(bytes: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Frame::Message { kind, total } = of_server(rest) {
        let body = &rest[HEADER..total as usize];
        let name = char::from(kind);
        let what = match kind {
            b'C' => {
                let text = std::str::from_utf8(&body[..body.len() - 1]).unwrap();
                let tag = tag(body).unwrap();
                assert!(text.starts_with(tag.command), "{text}");
                let rows = tag.rows.map(|rows| rows.to_string());
                assert!(rows.is_none_or(|rows| text.ends_with(&rows)), "{text}");
                format!("C {text}")
            }
            b'Z' => format!("Z {}", char::from(body[0])),
            b'E' | b'N' => format!("{name} {}", std::str::from_utf8(report(body).code).unwrap()),
            _ => name.to_string(),
        };
        out.push(format!("{total} {what}"));
        rest = &rest[total as usize..];
    }
    assert!(rest.is_empty());
    out
}

#[test]
fn of_the_server() {
    for conversation in all() {
        for (side, bytes) in &conversation.turns {
            // The crate knows no replication streams and no function calls.
            if *side == A && bytes[0] != b'V' {
                assert_eq!(own(bytes), foreign(bytes), "{}", conversation.name);
            }
        }
    }
}

/// What the crate writes is what our tests say, and is framed and recognised.
#[test]
fn of_the_client() {
    let written = |write: &dyn Fn(&mut BytesMut)| {
        let mut bytes = BytesMut::new();
        write(&mut bytes);
        bytes.to_vec()
    };
    let value = |bytes: &[u8], out: &mut BytesMut| {
        out.extend_from_slice(bytes);
        Ok(IsNull::No)
    };
    let bind = written(&|out| {
        let values: [&[u8]; 2] = [b"1", b"secret"];
        let bound = frontend::bind("c", "s", [1], values, value, [0, 1], out);
        assert!(bound.is_ok());
    });
    let parse = written(&|out| frontend::parse("s", "SELECT $1", [23], out).unwrap());
    let execute = written(&|out| frontend::execute("c", 50, out).unwrap());
    let sync = written(&frontend::sync);
    for (own, foreign) in [
        (
            super::bytes::query("SELECT 1"),
            written(&|out| frontend::query("SELECT 1", out).unwrap()),
        ),
        (super::bytes::parse("s", "SELECT $1"), parse.clone()),
        (
            super::bytes::describe(b'S', "s"),
            written(&|out| frontend::describe(b'S', "s", out).unwrap()),
        ),
        (super::bytes::execute("c", 50), execute.clone()),
        (super::bytes::close(b'P', "c"), written(&|out| frontend::close(b'P', "c", out).unwrap())),
        (super::bytes::sync(), sync.clone()),
        (super::bytes::flush(), written(&frontend::flush)),
        (super::bytes::empty(b"c"), written(&frontend::copy_done)),
        (super::bytes::empty(b"X"), written(&frontend::terminate)),
    ] {
        assert_eq!(own, foreign);
        let framed = Frame::Message { kind: foreign[0], total: foreign.len() as u64 };
        assert_eq!(of_client(&foreign), framed);
    }
    for chain in [
        [&parse[..], &bind, &execute].concat(),
        [&bind[..], &execute].concat(),
        [execute, sync].concat(),
    ] {
        assert_eq!(request(&chain), Detection::Is(Q), "{chain:?}");
    }
    let login = written(&|out| {
        frontend::startup_message([("user", "me"), ("database", "shop")], out).unwrap();
    });
    assert!(matches!(read_startup(&login), Startup::Session { total, .. } if total == login.len()));
    assert_eq!(read_startup(&written(&frontend::ssl_request)), Startup::Negotiation);
    let cancel = written(&|out| frontend::cancel_request(1, 2, out));
    assert_eq!(read_startup(&cancel), Startup::Cancel);
}
