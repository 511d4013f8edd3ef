//! Bytes become records. Nothing in them is believed: a field that cannot be true makes the whole
//! record unreadable, and nothing is allocated beyond what is there.

use std::sync::Arc;

use super::bytes::Fields;
use super::{Ending, Item, MAX_NUMBER, end, flag, kind};
use crate::source::{
    Address, ConnectionId, Data, Direction, End, Event, Lost, Opened, Pair, Program, Role, Thread,
    Time, Work,
};
use crate::stats::Loss;
use crate::value::Value;
use crate::workload::Resource;

/// The record with this kind and content. `None` if the kind is unknown or the content makes no
/// sense. More content than is known is ignored: later versions may add to it.
pub fn decode(bytes: &[u8]) -> Option<Item<'_>> {
    let mut fields = Fields(bytes);
    let fields = &mut fields;
    Some(match fields.u8()? {
        kind::PROGRAM => Item::Event(Event::Program(Program {
            pid: fields.u32()?,
            started: time(fields)?,
            comm: fields.text()?.into(),
            arguments: b"",
            environment: b"",
            contexts: fields.u8().is_some_and(|contexts| contexts != 0),
        })),
        kind::OPENED => {
            let (opened, refused) = opened(fields)?;
            if refused { Item::Refused(opened) } else { Item::Event(Event::Opened(opened)) }
        }
        kind::DATA => Item::Event(Event::Data(data(fields)?)),
        kind::SENT => Item::Event(Event::Sent {
            id: id(fields)?,
            time: time(fields)?,
            position: fields.number()?,
        }),
        kind::ENDED => {
            Item::Event(Event::Ended { id: id(fields)?, time: time(fields)?, end: ended(fields)? })
        }
        kind::LEFT_OUT => Item::Event(Event::LeftOut { id: id(fields)?, calls: fields.u32()? }),
        kind::LOST => Item::Event(Event::Lost(lost(fields)?)),
        kind::TICK => Item::Tick(time(fields)?),
        kind::ANCHOR => {
            Item::Anchor(fields.i64().filter(|offset| offset.unsigned_abs() <= MAX_NUMBER)?)
        }
        kind::PROCESS => Item::Process(Arc::new(process(fields)?)),
        kind::KERNEL_LOST => {
            Item::Lost { reason: Loss::named(fields.text()?)?, total: fields.number()? }
        }
        kind::UNRECORDED => Item::Unrecorded(fields.number()?),
        kind::END => Item::End(match fields.u8()? {
            1 => Ending::Stopped,
            2 => Ending::Limit,
            _ => return None,
        }),
        _ => return None,
    })
}

fn id(fields: &mut Fields<'_>) -> Option<ConnectionId> {
    fields.u64().map(ConnectionId)
}

fn time(fields: &mut Fields<'_>) -> Option<Time> {
    fields.number().map(Time)
}

fn opened(fields: &mut Fields<'_>) -> Option<(Opened, bool)> {
    let (id, time, flags) = (id(fields)?, time(fields)?, fields.u8()?);
    let role = match fields.u8()? {
        0 => None,
        1 => Some(Role::Client),
        2 => Some(Role::Server),
        _ => return None,
    };
    let (pid, netns) = (fields.u32()?, fields.u32()?);
    let (own, peer) = (fields.u32()?, fields.u32()?);
    let own = (flags & flag::OWN != 0).then_some(own);
    let peer = (flags & flag::PEER != 0).then_some(peer);
    let (local, remote) = (fields.address()?, fields.address()?);
    let pair = match (own, &local) {
        (Some(own), Address::Unix(_)) => Some(Pair::Inodes { own, peer }),
        (Some(sent), Address::Inet(_)) => peer.map(|received| Pair::Sequences { sent, received }),
        (None, _) => None,
    };
    let opened = Opened {
        id,
        time,
        role,
        midlife: flags & flag::MIDLIFE != 0,
        pid,
        netns,
        pair,
        after: flags & flag::AFTER != 0,
        local,
        remote,
    };
    Some((opened, flags & flag::REFUSED != 0))
}

fn data<'a>(fields: &mut Fields<'a>) -> Option<Data<'a>> {
    let (id, time, flags) = (id(fields)?, time(fields)?, fields.u8()?);
    let (position, length) = (fields.number()?, fields.number()?);
    let thread = Thread { pid: fields.u32()?, tid: fields.u32()? };
    let (waited, tail, bytes) = (fields.number()?, fields.bytes()?, fields.bytes()?);
    let whole = tail.len().max(bytes.len()) as u64 <= length;
    let direction = if flags & flag::SENT != 0 { Direction::Sent } else { Direction::Received };
    let pending = flags & flag::PENDING != 0;
    let rest = flags & flag::REST != 0;
    let losses = if flags & flag::LOSSES != 0 { fields.u16()? } else { 0 };
    let work = if fields.0.is_empty() {
        None
    } else {
        Some(Work { id: self::id(fields)?, position: fields.number()?, length: fields.number()? })
    };
    whole.then_some(Data {
        id,
        time,
        direction,
        position,
        length,
        bytes,
        tail,
        pending,
        rest,
        thread,
        waited,
        work,
        losses,
    })
}

fn lost(fields: &mut Fields<'_>) -> Option<Lost> {
    let (id, records) = (id(fields)?, fields.u32()?);
    let (received, sent) = (fields.u32()?, fields.u32()?);
    let last = match fields.u8()? {
        0 => None,
        1 => Some(Direction::Received),
        2 => Some(Direction::Sent),
        _ => return None,
    };
    Some(Lost { id, records, received, sent, last })
}

fn ended(fields: &mut Fields<'_>) -> Option<End> {
    let how = fields.u8()?;
    let (received, sent, error) = (fields.number()?, fields.number()?, fields.i32()?);
    Some(match how {
        end::PEER_FINISHED => End::PeerFinished(received),
        end::FINISHED => End::Finished(sent),
        end::CLOSED => End::Closed { error: None, received, sent },
        end::FAILED => End::Closed { error: Some(error), received, sent },
        end::UNSEEN => End::Unseen,
        _ => return None,
    })
}

fn process(fields: &mut Fields<'_>) -> Option<Resource> {
    let (pid, service, count) = (fields.u32()?, fields.text()?.into(), fields.u32()?);
    let mut attributes = Vec::new();
    for _ in 0..count {
        let key = fields.text()?.into();
        let value = match fields.u8()? {
            1 => Value::Text(fields.text()?.into()),
            2 => Value::Int(fields.i64()?),
            3 => Value::Bool(fields.u8()? != 0),
            _ => return None,
        };
        attributes.push((key, value));
    }
    Some(Resource { service, pid, attributes })
}
