//! Packets.

use super::super::packet::LONGEST;

/// What the ends agreed on that changes the form of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Descriptions and rows end with an `EOF`.
    Eof,
    /// Rows end with an `OK`.
    Ok,
}
pub(super) use Mode::{Eof, Ok};

pub(super) const AUTOCOMMIT: u16 = 2;
pub(super) const MORE: u16 = 8;
pub(super) const CURSOR: u16 = 0x40;
pub(super) const LAST_ROW: u16 = 0x80;
pub(super) const NO_BACKSLASH: u16 = 0x200;
pub(super) const CHANGED: u16 = 0x4000;

const CLIENT: u32 = 1 | 1 << 3 | 1 << 9 | 1 << 15 | 1 << 16 | 1 << 17 | 1 << 19 | 1 << 21 | 1 << 23;
pub(super) const COMPRESS: u32 = 1 << 5;
pub(super) const TLS: u32 = 1 << 11;
const NO_EOF: u32 = 1 << 24;

pub(super) fn capabilities(mode: Mode) -> u32 {
    CLIENT | if mode == Ok { NO_EOF } else { 0 }
}

/// A payload in packets, the first of this number.
pub(super) fn packet(number: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut number = number;
    let mut rest = payload;
    loop {
        let (here, after) = rest.split_at(rest.len().min(LONGEST));
        out.extend(&(here.len() as u32).to_le_bytes()[..3]);
        out.push(number);
        out.extend(here);
        rest = after;
        number = number.wrapping_add(1);
        if here.len() < LONGEST {
            return out;
        }
    }
}

/// Payloads in packets, numbered from `first` on.
pub(super) fn numbered(first: u8, payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut number = first;
    let mut out = Vec::new();
    for payload in payloads {
        out.extend(packet(number, payload));
        number = number.wrapping_add(1 + (payload.len() / LONGEST) as u8);
    }
    out
}

pub(super) fn greeting_of(version: &str, capabilities: u32, status: u16) -> Vec<u8> {
    let [a, b, c, d] = capabilities.to_le_bytes();
    let [s, t] = status.to_le_bytes();
    let fixed = [0, a, b, 45, s, t, c, d, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let rest = [&[9, 0, 0, 0][..], b"secret12", &fixed, b"secret123456\0"].concat();
    packet(0, &[&[10], version.as_bytes(), &[0], &rest, b"caching_sha2_password\0"].concat())
}

pub(super) fn greeting() -> Vec<u8> {
    greeting_of("8.4.3", u32::MAX, AUTOCOMMIT)
}

pub(super) fn login_with(capabilities: u32, database: &str) -> Vec<u8> {
    let fixed = [&capabilities.to_le_bytes()[..], &[0, 0, 0, 1, 45], &[0; 23]].concat();
    if capabilities & TLS != 0 {
        return packet(1, &fixed);
    }
    let proof = [&[20][..], b"secretsecretsecret12"].concat();
    let rest =
        [b"secret\0", &proof[..], database.as_bytes(), b"\0caching_sha2_password\0"].concat();
    packet(1, &[fixed, rest, vec![4, 1, b'a', 1, b'b']].concat())
}

pub(super) fn login(mode: Mode) -> Vec<u8> {
    login_with(capabilities(mode), "shop")
}

/// What the server says to a login: a fast proof was right.
pub(super) fn welcome() -> Vec<u8> {
    numbered(2, &[vec![1, 3], ok(0, AUTOCOMMIT)])
}

pub(super) fn command(code: u8, body: &[u8]) -> Vec<u8> {
    packet(0, &[&[code], body].concat())
}

pub(super) fn query(text: &str) -> Vec<u8> {
    command(3, text.as_bytes())
}

pub(super) fn prepare(text: &str) -> Vec<u8> {
    command(22, text.as_bytes())
}

pub(super) fn execute(id: u32, values: &[u8]) -> Vec<u8> {
    command(23, &[&id.to_le_bytes(), &[0, 1, 0, 0, 0][..], &[0, 1, 3, 0], values].concat())
}

pub(super) fn execute_with_cursor(id: u32) -> Vec<u8> {
    command(23, &[&id.to_le_bytes()[..], &[1, 1, 0, 0, 0]].concat())
}

pub(super) fn fetch(id: u32, rows: u32) -> Vec<u8> {
    command(28, &[id.to_le_bytes(), rows.to_le_bytes()].concat())
}

pub(super) fn close(id: u32) -> Vec<u8> {
    command(25, &id.to_le_bytes())
}

pub(super) fn quit() -> Vec<u8> {
    command(1, b"")
}

pub(super) fn ping() -> Vec<u8> {
    command(14, b"")
}

pub(super) fn ok(affected: u8, status: u16) -> Vec<u8> {
    let [a, b] = status.to_le_bytes();
    vec![0, affected, 0, a, b, 0, 0]
}

/// An `OK` that says which database is the session's now.
pub(super) fn ok_in(database: &str) -> Vec<u8> {
    let name = [&[database.len() as u8], database.as_bytes()].concat();
    let change = [&[1, name.len() as u8][..], &name].concat();
    [ok(0, AUTOCOMMIT | CHANGED), vec![0, change.len() as u8], change].concat()
}

pub(super) fn eof(status: u16) -> Vec<u8> {
    let [a, b] = status.to_le_bytes();
    vec![0xfe, 0, 0, a, b]
}

pub(super) fn error(code: u16) -> Vec<u8> {
    let [a, b] = code.to_le_bytes();
    [&[0xff, a, b][..], b"#42S02Table 'secret' doesn't exist"].concat()
}

pub(super) fn column() -> Vec<u8> {
    let names = b"\x03def\x04shop\x01t\x01t\x02id\x02id".to_vec();
    [names, vec![12, 45, 0, 11, 0, 0, 0, 3, 3, 66, 0, 0, 0]].concat()
}

pub(super) fn row(value: &[u8]) -> Vec<u8> {
    assert!(value.len() < 251);
    [&[value.len() as u8], value, &[1, b'1']].concat()
}

/// A row of a statement that was prepared.
pub(super) fn binary_row(value: &[u8]) -> Vec<u8> {
    assert!(value.len() < 251);
    [&[0, 0, value.len() as u8][..], value, &[1, b'1']].concat()
}

/// What ends the rows of a result.
pub(super) fn end_of_rows(mode: Mode, status: u16) -> Vec<u8> {
    match mode {
        Eof => eof(status),
        Ok => [&[0xfe], &ok(0, status)[1..]].concat(),
    }
}

/// The number of columns, and what they are.
pub(super) fn columns(mode: Mode, status: u16) -> Vec<Vec<u8>> {
    let mut out = vec![vec![2], column(), column()];
    if mode == Eof {
        out.push(eof(status));
    }
    out
}

/// A result with so many rows.
pub(super) fn result_of(mode: Mode, row: &[u8], rows: usize, status: u16) -> Vec<Vec<u8>> {
    let rows = std::iter::repeat_n(row.to_vec(), rows);
    let end = end_of_rows(mode, status);
    columns(mode, AUTOCOMMIT).into_iter().chain(rows).chain([end]).collect()
}

/// An answer that is one result with so many rows.
pub(super) fn result(mode: Mode, rows: usize) -> Vec<u8> {
    numbered(1, &result_of(mode, &row(b"secret"), rows, AUTOCOMMIT))
}

pub(super) fn binary_result(mode: Mode, rows: usize) -> Vec<u8> {
    numbered(1, &result_of(mode, &binary_row(b"secret"), rows, AUTOCOMMIT))
}

pub(super) fn one(payload: Vec<u8>) -> Vec<u8> {
    numbered(1, &[payload])
}

/// What is answered to `COM_STMT_PREPARE`.
pub(super) fn prepared(mode: Mode, id: u32, parameters: u8, columns: u8) -> Vec<u8> {
    let mut out =
        vec![[&[0], &id.to_le_bytes()[..], &[columns, 0, parameters, 0, 0, 0, 0]].concat()];
    for n in [parameters, columns] {
        out.extend(std::iter::repeat_n(column(), usize::from(n)));
        if n > 0 && mode == Eof {
            out.push(eof(AUTOCOMMIT));
        }
    }
    numbered(1, &out)
}
