//! How many spans an encoded `ExportTraceServiceRequest` holds.

use bytes::Buf;
use tonic::Status;
use tonic::codec::{DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Fields of `ExportTraceServiceRequest`, `ResourceSpans` and `ScopeSpans` on the way to a span.
const PATH: [u64; 3] = [1, 2, 2];

/// Requests as numbers of spans, and empty responses: everything was taken.
#[derive(Clone, Copy, Default)]
pub(super) struct Codec;

impl tonic::codec::Codec for Codec {
    type Encode = ();
    type Decode = u64;
    type Encoder = Codec;
    type Decoder = Codec;

    fn encoder(&mut self) -> Codec {
        Codec
    }

    fn decoder(&mut self) -> Codec {
        Codec
    }
}

impl Encoder for Codec {
    type Item = ();
    type Error = Status;

    fn encode(&mut self, (): (), _: &mut EncodeBuf<'_>) -> Result<(), Status> {
        Ok(())
    }
}

impl Decoder for Codec {
    type Item = u64;
    type Error = Status;

    fn decode(&mut self, body: &mut DecodeBuf<'_>) -> Result<Option<u64>, Status> {
        // The message in one piece, without a copy where it lies in one.
        let bytes = body.copy_to_bytes(body.remaining());
        let spans = count(&bytes, &PATH);
        Ok(Some(spans.ok_or_else(|| Status::invalid_argument("not a protobuf message"))?))
    }
}

/// Counts the submessages of `message` that `path` leads to; none if it is no message.
fn count(mut message: &[u8], path: &[u64]) -> Option<u64> {
    let Some((field, path)) = path.split_first() else { return Some(1) };
    let mut found = 0;
    while !message.is_empty() {
        let key = varint(&mut message)?;
        let length = match key & 7 {
            0 => {
                varint(&mut message)?;
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut message)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (value, rest) = message.split_at_checked(length)?;
        message = rest;
        if key == field << 3 | 2 {
            found += count(value, path)?;
        }
    }
    Some(found)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(field: u8, value: &[u8]) -> Vec<u8> {
        [&[field << 3 | 2, value.len() as u8][..], value].concat()
    }

    #[test]
    fn spans_are_counted() {
        let span = message(2, b"whatever");
        let scope = message(2, &[message(1, b"scope"), span.clone(), span.clone()].concat());
        let resource = message(1, &[message(1, b"resource"), scope.clone(), scope].concat());
        let varint = [9 << 3, 0xff, 0x01].to_vec();
        let request = [resource.clone(), varint, resource].concat();
        assert_eq!(count(&request, &PATH), Some(8));
        assert_eq!(count(&request[..request.len() - 1], &PATH), None);
        assert_eq!(count(&[], &PATH), Some(0));
    }
}
