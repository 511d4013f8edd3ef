//! Messages of HTTP/1.1 of any size and framing.

use super::random::Random;

/// A request, with a body of `upload` bytes if that is not 0.
pub fn request(path: &str, upload: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = match upload {
        0 => format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"),
        n => format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {n}\r\n\r\n"),
    }
    .into_bytes();
    bytes.extend(body(upload, random));
    bytes
}

/// A response by length, in chunks, or (the last, which the second value tells) until the close.
pub fn response(status: u16, size: usize, last: bool, random: &mut Random) -> (Vec<u8>, bool) {
    let head = format!("HTTP/1.1 {status} X\r\n");
    let payload = body(size, random);
    if status == 204 {
        return (format!("{head}\r\n").into_bytes(), false);
    }
    if last && random.chance(25) {
        return ([format!("{head}\r\n").as_bytes(), &payload].concat(), true);
    }
    if random.chance(60) {
        let head = format!("{head}Content-Length: {size}\r\n\r\n");
        return ([head.as_bytes(), &payload].concat(), false);
    }
    let mut bytes = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    let mut rest = payload.as_slice();
    while !rest.is_empty() {
        let (chunk, more) = rest.split_at(random.between(1, rest.len()));
        bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
        rest = more;
    }
    bytes.extend(b"0\r\n\r\n");
    (bytes, false)
}

/// Bytes that look like messages here and there.
fn body(size: usize, random: &mut Random) -> Vec<u8> {
    const TEXTS: [&[u8]; 4] = [
        b"GET /wrong HTTP/1.1\r\nHost: wrong\r\n\r\n",
        b"HTTP/1.1 299 Wrong\r\nContent-Length: 3\r\n\r\nxyz",
        b"0\r\n\r\n",
        b"some bytes that mean nothing ",
    ];
    let mut bytes = Vec::with_capacity(size);
    while bytes.len() < size {
        bytes.extend(*random.pick(&TEXTS));
    }
    bytes.truncate(size);
    bytes
}
