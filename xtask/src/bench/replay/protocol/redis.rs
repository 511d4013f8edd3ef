//! Commands and replies of Redis.

/// What sessions of Redis hold.
pub(super) const VALUE: &[u8] = b"0123456789abcdef0123456789abcdef";

/// Whether the `n`th command sets a session; it is asked for otherwise. By two, as connections may
/// be even in number.
pub(super) fn sets(n: u64) -> bool {
    (n / 2).is_multiple_of(2)
}

/// The key of a session.
pub(super) fn session(n: u64) -> Vec<u8> {
    format!("session:{n:016x}").into_bytes()
}

/// A command of Redis, or a list that it answers with.
pub(super) fn array(values: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", values.len()).into_bytes();
    values.iter().for_each(|value| out.extend(bulk(value)));
    out
}

/// A string.
pub(super) fn bulk(value: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat()
}
