//! What is written can be read, and nothing else does harm.

use std::net::{SocketAddr, SocketAddrV6};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::source::capture::file::{Fault, OpenError};
use crate::source::{
    Address, ConnectionId, Data, Direction, End, Lost, Pair, Program, Role, Thread, Work,
};
use crate::value::Value;

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..1000u64, 0..=MAX_NUMBER, Just(MAX_NUMBER)]
}

fn address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (any::<[u8; 4]>(), any::<u16>()).prop_map(SocketAddr::from),
        (any::<[u8; 16]>(), any::<u16>(), any::<u32>(), any::<u32>()).prop_map(
            |(ip, port, flow, scope)| SocketAddrV6::new(ip.into(), port, flow, scope).into()
        ),
    ]
}

fn opened() -> impl Strategy<Value = Opened> {
    let sequences = (any::<u32>(), any::<u32>())
        .prop_map(|(sent, received)| Pair::Sequences { sent, received });
    let inodes =
        (any::<u32>(), option::of(any::<u32>())).prop_map(|(own, peer)| Pair::Inodes { own, peer });
    let path = || option::of("\\PC{0,120}").prop_map(|path| Address::Unix(path.map(Arc::from)));
    let inet = || address().prop_map(Address::Inet);
    let ends =
        prop_oneof![(inet(), inet(), option::of(sequences)), (path(), path(), option::of(inodes)),];
    let role = option::of(prop_oneof![Just(Role::Client), Just(Role::Server)]);
    let rest = (any::<bool>(), any::<bool>(), any::<u32>(), any::<u32>());
    (any::<u64>(), number(), ends, role, rest).prop_map(
        |(id, time, (local, remote, pair), role, (midlife, after, pid, netns))| Opened {
            id: ConnectionId(id),
            time: Time(time),
            local,
            remote,
            role,
            midlife,
            pid,
            netns,
            pair,
            after,
        },
    )
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        number().prop_map(End::PeerFinished),
        number().prop_map(End::Finished),
        (option::of(any::<i32>()), number(), number())
            .prop_map(|(error, received, sent)| End::Closed { error, received, sent }),
        Just(End::Unseen),
    ]
}

/// Texts and bytes of test events have to live somewhere.
fn leak(bytes: Vec<u8>) -> &'static [u8] {
    bytes.leak()
}

fn data() -> impl Strategy<Value = Data<'static>> {
    let where_ = (any::<u64>(), number(), number(), 0..1u64 << 40);
    let bytes = (vec(any::<u8>(), 0..300), vec(any::<u8>(), 0..9));
    let work = (any::<u64>(), number(), number()).prop_map(|(id, position, length)| Work {
        id: ConnectionId(id),
        position,
        length,
    });
    let how =
        (any::<[bool; 3]>(), any::<u32>(), any::<u32>(), number(), option::of(work), any::<u16>());
    (where_, bytes, how).prop_map(|((id, time, position, more), (bytes, tail), how)| {
        let ([sent, pending, rest], pid, tid, waited, work, losses) = how;
        Data {
            id: ConnectionId(id),
            time: Time(time),
            direction: if sent { Direction::Sent } else { Direction::Received },
            position,
            length: bytes.len().max(tail.len()) as u64 + more,
            bytes: leak(bytes),
            tail: leak(tail),
            pending,
            rest,
            thread: Thread { pid, tid },
            waited,
            work,
            losses,
        }
    })
}

fn lost() -> impl Strategy<Value = Lost> {
    let last = option::of(prop_oneof![Just(Direction::Received), Just(Direction::Sent)]);
    (any::<u64>(), any::<[u32; 3]>(), last).prop_map(|(id, [records, received, sent], last)| Lost {
        id: ConnectionId(id),
        records,
        received,
        sent,
        last,
    })
}

fn event() -> impl Strategy<Value = Event<'static>> {
    let id = || any::<u64>().prop_map(ConnectionId);
    let time = || number().prop_map(Time);
    prop_oneof![
        (any::<u32>(), number(), "\\PC{0,15}", any::<bool>()).prop_map(
            |(pid, started, comm, contexts)| {
                let started = Time(started);
                Event::Program(Program {
                    pid,
                    started,
                    comm: comm.into(),
                    arguments: b"",
                    environment: b"",
                    contexts,
                })
            }
        ),
        opened().prop_map(Event::Opened),
        data().prop_map(Event::Data),
        (id(), time(), number()).prop_map(|(id, time, position)| Event::Sent {
            id,
            time,
            position
        }),
        (id(), time(), end()).prop_map(|(id, time, end)| Event::Ended { id, time, end }),
        (id(), any::<u32>()).prop_map(|(id, calls)| Event::LeftOut { id, calls }),
        lost().prop_map(Event::Lost),
    ]
}

fn resource() -> impl Strategy<Value = Resource> {
    let value = prop_oneof![
        "\\PC{0,40}".prop_map(|text| Value::Text(text.into())),
        any::<i64>().prop_map(Value::Int),
        any::<bool>().prop_map(Value::Bool),
    ];
    (any::<u32>(), "\\PC{0,20}", vec(("[a-z.]{1,20}".prop_map(Arc::from), value), 0..20)).prop_map(
        |(pid, service, attributes)| Resource { service: service.into(), pid, attributes },
    )
}

fn item() -> impl Strategy<Value = Item<'static>> {
    let loss = (0..Loss::ALL.len()).prop_map(|n| Loss::ALL[n]);
    prop_oneof![
        10 => event().prop_map(Item::Event),
        1 => opened().prop_map(Item::Refused),
        1 => number().prop_map(|now| Item::Tick(Time(now))),
        1 => any::<i64>().prop_map(|offset| Item::Anchor(offset / 8)),
        2 => resource().prop_map(|resource| Item::Process(Arc::new(resource))),
        1 => (loss, number()).prop_map(|(reason, total)| Item::Lost { reason, total }),
        1 => number().prop_map(Item::Unrecorded),
        1 => Just(Item::End(Ending::Stopped)),
        1 => Just(Item::End(Ending::Limit)),
    ]
}

fn written(offset: i64, items: &[Item<'_>]) -> Vec<u8> {
    let mut bytes = header(offset).to_vec();
    items.iter().for_each(|item| encode(item, &mut bytes));
    bytes
}

/// The records that can be read, as text, and what is wrong with what follows.
fn read(bytes: &[u8]) -> (Vec<String>, Option<Fault>) {
    let mut file = File::open(bytes).expect("a header");
    let mut items = Vec::new();
    loop {
        match file.record() {
            Ok(Next::Item(item)) => items.push(format!("{item:?}")),
            Ok(Next::Unknown) => items.push("unknown".to_owned()),
            Ok(Next::Nothing) => return (items, None),
            Err(damage) => return (items, Some(damage.what)),
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(offset in any::<i64>(), items in vec(item(), 0..20)) {
        let offset = offset / 8;
        let bytes = written(offset, &items);
        prop_assert_eq!(File::open(&*bytes).expect("a header").offset(), offset);
        let (read, fault) = read(&bytes);
        prop_assert!(fault.is_none());
        prop_assert_eq!(read, items.iter().map(|item| format!("{item:?}")).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_before_the_damage_is_read(
        items in vec(item(), 1..10),
        at in any::<prop::sample::Index>(),
        bit in 0..8u8,
        cut in any::<bool>(),
    ) {
        let mut bytes = written(0, &items);
        let at = HEADER + at.index(bytes.len() - HEADER);
        let whole = items.iter().scan(HEADER, |end, item| {
            let mut one = Vec::new();
            encode(item, &mut one);
            *end += one.len();
            Some(*end)
        });
        let whole: Vec<usize> = whole.filter(|end| *end <= at).collect();
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << bit;
        }
        let (read, fault) = read(&bytes);
        prop_assert_eq!(read.len(), whole.len());
        let boundary = whole.last().copied().unwrap_or(HEADER) == at;
        prop_assert_eq!(fault.is_none(), cut && boundary, "{:?}", fault);
    }

    #[test]
    fn anything_is_harmless(bytes in vec(any::<u8>(), 0..400), kind in 0..16u8) {
        let _ = File::open(&*bytes).map(drop);
        let _ = read(&[&header(0)[..], &bytes].concat());
        // Content that nobody wrote, under a checksum that is right.
        let _ = decode(&[&[kind], &*bytes].concat());
    }
}

#[test]
fn headers() {
    let open = |bytes: &[u8]| File::open(bytes).map(drop);
    assert!(matches!(open(b""), Err(OpenError::Unknown)));
    assert!(matches!(open(b"tracebee"), Err(OpenError::Header(_))));
    let mut bytes = header(5);
    assert!(open(&bytes).is_ok());
    assert!(matches!(open(&bytes[..HEADER - 1]), Err(OpenError::Header(_))));
    bytes[12] ^= 1;
    assert!(matches!(open(&bytes), Err(OpenError::Header(_))));
    bytes[8] = 9;
    assert!(matches!(open(&bytes), Err(OpenError::Version { found: 9, known: VERSION })));
}

#[test]
fn later_kinds_are_skipped_and_lengths_not_believed() {
    let mut bytes = header(0).to_vec();
    let later = [200, 1, 2, 3];
    bytes.extend(4u32.to_le_bytes());
    bytes.extend(checksum(&later).to_le_bytes());
    bytes.extend(later);
    encode(&Item::Tick(Time(7)), &mut bytes);
    let (items, fault) = read(&bytes);
    assert_eq!(items, ["unknown".to_owned(), format!("{:?}", Item::Tick(Time(7)))]);
    assert!(fault.is_none());
    for length in [0, MAX_RECORD as u32 + 1, u32::MAX] {
        let mut bytes = header(0).to_vec();
        bytes.extend(length.to_le_bytes());
        bytes.extend([0; 5]);
        assert!(matches!(read(&bytes).1, Some(Fault::Length(n)) if n == length));
    }
}

#[test]
fn secrets_of_processes_are_not_written() {
    let program = Program {
        pid: 7,
        started: Time(1),
        comm: "shop".into(),
        arguments: b"shop\0--password=hunter2\0",
        environment: b"TOKEN=hunter2\0",
        contexts: false,
    };
    let bytes = written(0, &[Item::Event(Event::Program(program))]);
    assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"));
}
