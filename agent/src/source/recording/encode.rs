//! Records and the header become bytes.

use super::bytes::Put as _;
use super::{Ending, FRAME, HEADER, Item, MAGIC, VERSION, checksum, end, flag, kind};
use crate::source::{Data, Direction, End, Event, Lost, Opened, Pair, Role};
use crate::value::Value;
use crate::workload::Resource;

/// The header of a recording that begins with this clock offset (Unix time minus boot time, in
/// nanoseconds).
pub fn header(offset: i64) -> [u8; HEADER] {
    let mut bytes = Vec::with_capacity(HEADER);
    bytes.put(&MAGIC);
    bytes.u16(VERSION);
    bytes.u16(0);
    bytes.i64(offset);
    bytes.u32(checksum(&bytes));
    let mut header = [0; HEADER];
    header.copy_from_slice(&bytes);
    header
}

/// Appends one record.
pub fn encode(item: &Item<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    // Length and checksum are known afterwards.
    out.put(&[0; FRAME]);
    content(item, out);
    seal(out, start);
}

/// Appends one record of which the content is given, whatever it is.
pub(crate) fn frame(out: &mut Vec<u8>, content: &[u8]) {
    let start = out.len();
    out.put(&[0; FRAME]);
    out.put(content);
    seal(out, start);
}

/// Writes length and checksum of the record that begins at `start`.
fn seal(out: &mut [u8], start: usize) {
    let check = checksum(&out[start + FRAME..]);
    let length = u32::try_from(out.len() - start - FRAME).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + FRAME].copy_from_slice(&check.to_le_bytes());
}

fn content(item: &Item<'_>, out: &mut Vec<u8>) {
    match item {
        Item::Event(event) => encode_event(event, out),
        Item::Refused(opened) => encode_opened(opened, true, out),
        Item::Tick(now) => {
            out.u8(kind::TICK);
            out.u64(now.0);
        }
        Item::Anchor(offset) => {
            out.u8(kind::ANCHOR);
            out.i64(*offset);
        }
        Item::Process(resource) => encode_process(resource, out),
        Item::Lost { reason, total } => {
            out.u8(kind::KERNEL_LOST);
            out.bytes(reason.name().as_bytes());
            out.u64(*total);
        }
        Item::Unrecorded(events) => {
            out.u8(kind::UNRECORDED);
            out.u64(*events);
        }
        Item::End(ending) => {
            out.u8(kind::END);
            out.u8(match ending {
                Ending::Stopped => 1,
                Ending::Limit => 2,
            });
        }
    }
}

fn encode_event(event: &Event<'_>, out: &mut Vec<u8>) {
    match event {
        Event::Program(program) => {
            out.u8(kind::PROGRAM);
            out.u32(program.pid);
            out.u64(program.started.0);
            out.bytes(program.comm.as_bytes());
            out.u8(program.contexts.into());
        }
        Event::Opened(opened) => encode_opened(opened, false, out),
        Event::Data(data) => encode_data(data, out),
        Event::Sent { id, time, position } => {
            out.u8(kind::SENT);
            out.u64(id.0);
            out.u64(time.0);
            out.u64(*position);
        }
        Event::Ended { id, time, end } => {
            let (how, received, sent, error) = match *end {
                End::PeerFinished(at) => (end::PEER_FINISHED, at, 0, 0),
                End::Finished(at) => (end::FINISHED, 0, at, 0),
                End::Closed { error: None, received, sent } => (end::CLOSED, received, sent, 0),
                End::Closed { error: Some(error), received, sent } => {
                    (end::FAILED, received, sent, error)
                }
                End::Unseen => (end::UNSEEN, 0, 0, 0),
            };
            out.u8(kind::ENDED);
            out.u64(id.0);
            out.u64(time.0);
            out.u8(how);
            out.u64(received);
            out.u64(sent);
            out.i32(error);
        }
        Event::LeftOut { id, calls } => {
            out.u8(kind::LEFT_OUT);
            out.u64(id.0);
            out.u32(*calls);
        }
        Event::Lost(Lost { id, records, received, sent, last }) => {
            out.u8(kind::LOST);
            out.u64(id.0);
            out.u32(*records);
            out.u32(*received);
            out.u32(*sent);
            out.u8(match last {
                None => 0,
                Some(Direction::Received) => 1,
                Some(Direction::Sent) => 2,
            });
        }
    }
}

fn encode_opened(opened: &Opened, refused: bool, out: &mut Vec<u8>) {
    let (own, peer) = match opened.pair {
        None => (None, None),
        Some(Pair::Sequences { sent, received }) => (Some(sent), Some(received)),
        Some(Pair::Inodes { own, peer }) => (Some(own), peer),
    };
    let mut flags = 0;
    for (flag, set) in [
        (flag::MIDLIFE, opened.midlife),
        (flag::REFUSED, refused),
        (flag::OWN, own.is_some()),
        (flag::PEER, peer.is_some()),
        (flag::AFTER, opened.after),
    ] {
        flags |= if set { flag } else { 0 };
    }
    out.u8(kind::OPENED);
    out.u64(opened.id.0);
    out.u64(opened.time.0);
    out.u8(flags);
    out.u8(match opened.role {
        None => 0,
        Some(Role::Client) => 1,
        Some(Role::Server) => 2,
    });
    out.u32(opened.pid);
    out.u32(opened.netns);
    out.u32(own.unwrap_or_default());
    out.u32(peer.unwrap_or_default());
    out.address(&opened.local);
    out.address(&opened.remote);
}

fn encode_data(data: &Data<'_>, out: &mut Vec<u8>) {
    let sent = if data.direction == Direction::Sent { flag::SENT } else { 0 };
    let pending = if data.pending { flag::PENDING } else { 0 };
    out.u8(kind::DATA);
    out.u64(data.id.0);
    out.u64(data.time.0);
    let losses = if data.losses != 0 { flag::LOSSES } else { 0 };
    let rest = if data.rest { flag::REST } else { 0 };
    out.u8(sent | pending | losses | rest);
    out.u64(data.position);
    out.u64(data.length);
    out.u32(data.thread.pid);
    out.u32(data.thread.tid);
    out.u64(data.waited);
    out.bytes(data.tail);
    out.bytes(data.bytes);
    if data.losses != 0 {
        out.u16(data.losses);
    }
    if let Some(work) = data.work {
        out.u64(work.id.0);
        out.u64(work.position);
        out.u64(work.length);
    }
}

fn encode_process(resource: &Resource, out: &mut Vec<u8>) {
    out.u8(kind::PROCESS);
    out.u32(resource.pid);
    out.bytes(resource.service.as_bytes());
    out.u32(u32::try_from(resource.attributes.len()).unwrap_or(u32::MAX));
    for (key, value) in &resource.attributes {
        out.bytes(key.as_bytes());
        let text = match value {
            Value::Static(text) => text,
            Value::Text(text) => &**text,
            Value::Shared(text) => &**text,
            Value::Int(n) => {
                out.u8(2);
                out.i64(*n);
                continue;
            }
            Value::Bool(truth) => {
                out.u8(3);
                out.u8(u8::from(*truth));
                continue;
            }
        };
        out.u8(1);
        out.bytes(text.as_bytes());
    }
}
