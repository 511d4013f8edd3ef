//! Messages.

/// A message with a type.
pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 4).to_be_bytes();
    [&[kind][..], &length, body].concat()
}

/// Strings, each with its zero.
fn strings(texts: &[&str]) -> Vec<u8> {
    texts.iter().flat_map(|text| [text.as_bytes(), &[0]].concat()).collect()
}

pub(super) fn startup(parameters: &[&str]) -> Vec<u8> {
    let body = [&196_608_u32.to_be_bytes()[..], &strings(parameters), &[0]].concat();
    [&(body.len() as u32 + 4).to_be_bytes()[..], &body].concat()
}

/// One of the questions before a session: their codes differ in the last byte.
pub(super) fn question(code: u8) -> Vec<u8> {
    vec![0, 0, 0, 8, 4, 210, 22, code]
}
pub(super) const TLS: u8 = 47;
pub(super) const GSS: u8 = 48;

pub(super) fn login() -> Vec<u8> {
    startup(&["user", "me", "database", "shop"])
}

/// What the server says to a login without a password.
pub(super) fn welcome() -> Vec<u8> {
    [
        message(b'R', &[0, 0, 0, 0]),
        parameter("server_version", "15.1"),
        message(b'K', &[0, 0, 1, 2, 3, 4, 5, 6]),
        ready(b'I'),
    ]
    .concat()
}

pub(super) fn parameter(name: &str, value: &str) -> Vec<u8> {
    message(b'S', &strings(&[name, value]))
}

pub(super) fn query(text: &str) -> Vec<u8> {
    message(b'Q', &strings(&[text]))
}

pub(super) fn parse(name: &str, text: &str) -> Vec<u8> {
    message(b'P', &[strings(&[name, text]), vec![0, 1, 0, 0, 0, 23]].concat())
}

pub(super) fn bind(portal: &str, name: &str, value: &[u8]) -> Vec<u8> {
    let length = (value.len() as u32).to_be_bytes();
    let values = [&[0, 1, 0, 0, 0, 2][..], &length, value, &[255; 4], &[0, 1, 0, 1]].concat();
    message(b'B', &[strings(&[portal, name]), values].concat())
}

pub(super) fn describe(what: u8, name: &str) -> Vec<u8> {
    message(b'D', &[vec![what], strings(&[name])].concat())
}

pub(super) fn execute(portal: &str, limit: u32) -> Vec<u8> {
    message(b'E', &[strings(&[portal]), limit.to_be_bytes().to_vec()].concat())
}

pub(super) fn close(what: u8, name: &str) -> Vec<u8> {
    message(b'C', &[vec![what], strings(&[name])].concat())
}

pub(super) fn sync() -> Vec<u8> {
    message(b'S', b"")
}

pub(super) fn flush() -> Vec<u8> {
    message(b'H', b"")
}

pub(super) fn ready(state: u8) -> Vec<u8> {
    message(b'Z', &[state])
}

pub(super) fn empty(kinds: &[u8]) -> Vec<u8> {
    kinds.iter().flat_map(|kind| message(*kind, b"")).collect()
}

pub(super) fn description() -> Vec<u8> {
    let column = [&strings(&["id"])[..], &[0; 6], &[0, 0, 0, 23, 0, 4, 255, 255, 255, 255, 0, 0]];
    message(b'T', &[&[0, 1][..], &column.concat()].concat())
}

/// What is answered to `Describe` of a statement with parameters.
pub(super) fn parameters() -> Vec<u8> {
    message(b't', &[0, 1, 0, 0, 0, 23])
}

pub(super) fn rows(count: usize, value: &[u8]) -> Vec<u8> {
    let length = (value.len() as u32).to_be_bytes();
    message(b'D', &[&[0, 1][..], &length, value].concat()).repeat(count)
}

pub(super) fn complete(tag: &str) -> Vec<u8> {
    message(b'C', &strings(&[tag]))
}

pub(super) fn error(severity: &str, code: &str) -> Vec<u8> {
    report(b'E', severity, code)
}

pub(super) fn notice(severity: &str, code: &str) -> Vec<u8> {
    report(b'N', severity, code)
}

fn report(kind: u8, severity: &str, code: &str) -> Vec<u8> {
    let fields = [
        format!("S{severity}"),
        format!("V{severity}"),
        format!("C{code}"),
        "Mvalue \"secret\" is wrong".to_owned(),
        "Fx.c".to_owned(),
    ];
    let texts: Vec<&str> = fields.iter().map(String::as_str).collect();
    message(kind, &[strings(&texts), vec![0]].concat())
}

/// What is answered to a simple query that returns rows.
pub(super) fn result(count: usize) -> Vec<u8> {
    let tag = format!("SELECT {count}");
    [description(), rows(count, b"12"), complete(&tag), ready(b'I')].concat()
}
