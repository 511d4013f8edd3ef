//! Packets of MySQL 8.

/// Longest payload of a packet: what is longer goes on in the next.
const LONGEST: usize = 0xff_ffff;

/// What both ends can: the protocol of 4.1, a database in the login, results that end with an `OK`.
const CAPABILITIES: u32 = 1 << 3 | 1 << 9 | 1 << 15 | 1 << 19 | 1 << 24;
/// `SERVER_STATUS_AUTOCOMMIT`.
const STATUS: u8 = 2;
/// utf8mb4.
const CHARSET: u8 = 45;

/// Payloads in packets, numbered from `first` on.
fn packets(first: u8, payloads: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut number = first;
    for payload in payloads {
        debug_assert!(payload.len() < LONGEST, "in one packet");
        out.extend(&(payload.len() as u32).to_le_bytes()[..3]);
        out.push(number);
        out.extend(payload);
        number = number.wrapping_add(1);
    }
    out
}

/// The server's first.
pub(super) fn greeting() -> Vec<u8> {
    let [a, b, c, d] = CAPABILITIES.to_le_bytes();
    let fixed = [0, a, b, CHARSET, STATUS, 0, c, d, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let scramble = [b"12345678", &fixed[..], b"123456789012\0"].concat();
    let payload = [b"\x0a8.4.3\0\x09\0\0\0", &scramble[..], b"mysql_native_password\0"].concat();
    packets(0, [payload])
}

/// The client's answer to it.
pub(super) fn login() -> Vec<u8> {
    let fixed = [&CAPABILITIES.to_le_bytes()[..], &[0, 0, 0, 1, CHARSET], &[0; 23]].concat();
    let names = [&b"bench\0\x14"[..], &[7; 20], b"shop\0mysql_native_password\0"].concat();
    packets(1, [[fixed, names].concat()])
}

/// The server's answer to that.
pub(super) fn welcome() -> Vec<u8> {
    packets(2, [vec![0, 0, 0, STATUS, 0, 0, 0]])
}

/// `COM_QUERY`.
pub(super) fn query(text: &str) -> Vec<u8> {
    packets(0, [[b"\x03", text.as_bytes()].concat()])
}

/// So many rows of these values.
pub(super) fn result(values: &[&[u8]], rows: usize) -> Vec<u8> {
    let column = || {
        let names = b"\x03def\x04shop\x01o\x06orders\x02id\x02id\x0c";
        [&names[..], &[CHARSET, 0, 0xff, 0, 0, 0, 0xfd, 0, 0, 0, 0, 0]].concat()
    };
    let row: Vec<u8> =
        values.iter().flat_map(|value| [length(value), value.to_vec()]).flatten().collect();
    let columns = std::iter::repeat_with(column).take(values.len());
    let end = vec![0xfe, 0, 0, STATUS, 0, 0, 0];
    let rows = std::iter::repeat_n(row, rows);
    packets(1, [vec![values.len() as u8]].into_iter().chain(columns).chain(rows).chain([end]))
}

/// The length of a value, as it stands before it.
fn length(value: &[u8]) -> Vec<u8> {
    match (value.len(), (value.len() as u32).to_le_bytes()) {
        (..251, [a, ..]) => vec![a],
        (..0x1_0000, [a, b, ..]) => vec![0xfc, a, b],
        (_, [a, b, c, _]) => vec![0xfd, a, b, c],
    }
}
