//! Messages of PostgreSQL.

/// A message.
pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

pub(super) fn login() -> Vec<u8> {
    let body = b"\0\x03\0\0user\0bench\0database\0shop\0\0";
    [&(body.len() as u32 + 4).to_be_bytes(), &body[..]].concat()
}

pub(super) fn welcome() -> Vec<u8> {
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
pub(super) fn result(values: &[&[u8]], rows: usize) -> Vec<u8> {
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
