//! What a record of the kernel says, as an event.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tracebee_common::record;
use zerocopy::FromBytes as _;

use super::super::{
    ConnectionId, Data, Direction, End, Event, Opened, Pair, Program, Role, Thread, Time, Work,
};
use super::unix;

/// How many calls of its connection were left out before this record, in all.
pub(super) fn calls_left_out(bytes: &[u8]) -> u32 {
    match record::Header::ref_from_prefix(bytes) {
        Ok((header, _)) if header.kind == record::DATA => {
            record::Data::ref_from_prefix(bytes).map_or(0, |(data, _)| data.left_out)
        }
        Ok((header, _)) if header.kind == record::STATE => {
            record::State::ref_from_prefix(bytes).map_or(0, |(state, _)| state.left_out)
        }
        _ => 0,
    }
}

/// Turns one record into an event; a record that does not parse is impossible by construction and
/// skipped. `contexts` is what a process's says of its runtime.
pub(super) fn record(
    bytes: &[u8],
    contexts: bool,
    unix: &mut unix::Sockets,
    on: &mut impl FnMut(Event<'_>),
) {
    let Ok((header, _)) = record::Header::ref_from_prefix(bytes) else { return };
    let id = ConnectionId(header.cookie);
    let time = Time(header.time);
    match header.kind {
        record::CONN => {
            if let Ok((conn, _)) = record::Conn::ref_from_prefix(bytes) {
                on(Event::Opened(opened(conn)));
            }
        }
        record::UNIX => {
            if let Ok((announced, _)) = record::Unix::ref_from_prefix(bytes) {
                unix.opened(announced, on);
            }
        }
        record::DATA => {
            if let Ok((data, rest)) = record::Data::ref_from_prefix(bytes) {
                let captured = (data.captured as usize).min(rest.len());
                let (bytes, rest) = rest.split_at(captured);
                let data = Data {
                    id,
                    time,
                    direction: if header.flags & record::FLAG_SENT != 0 {
                        Direction::Sent
                    } else {
                        Direction::Received
                    },
                    position: data.position,
                    length: u64::from(data.length).max(captured as u64),
                    bytes,
                    tail: &rest[..(data.tail as usize).min(rest.len())],
                    pending: header.flags & record::FLAG_PENDING != 0,
                    rest: header.flags & record::FLAG_REST != 0,
                    thread: Thread { pid: data.pid, tid: data.tid },
                    waited: u64::from(data.waited) * 1000,
                    work: (data.work.cookie != 0).then(|| Work {
                        id: ConnectionId(data.work.cookie),
                        position: data.work.position,
                        length: data.work.length.into(),
                    }),
                    losses: header.losses,
                };
                if !unix.is_empty() {
                    unix.moved(&data);
                }
                on(Event::Data(data));
            }
        }
        record::SENT => {
            if let Ok((sent, _)) = record::Sent::ref_from_prefix(bytes) {
                unix.sent(id, sent.position);
                on(Event::Sent { id, time, position: sent.position });
            }
        }
        record::STATE => {
            if let Ok((state, _)) = record::State::ref_from_prefix(bytes)
                && let Some(end) = end(state)
            {
                on(Event::Ended { id, time, end });
            }
        }
        record::PROCESS => {
            if let Ok((process, rest)) = record::Process::ref_from_prefix(bytes) {
                let arguments = (process.arguments as usize).min(rest.len());
                let (arguments, rest) = rest.split_at(arguments);
                let environment = &rest[..(process.environment as usize).min(rest.len())];
                on(Event::Program(Program {
                    pid: process.pid,
                    started: Time(process.started),
                    comm: text(&process.comm),
                    arguments,
                    environment,
                    contexts,
                }));
            }
        }
        _ => {}
    }
}

fn opened(conn: &record::Conn) -> Opened {
    let role = match conn.role {
        record::ROLE_CLIENT => Some(Role::Client),
        record::ROLE_SERVER => Some(Role::Server),
        _ => None,
    };
    Opened {
        id: ConnectionId(conn.header.cookie),
        time: Time(conn.established),
        local: address(conn.family, conn.local, conn.local_port).into(),
        remote: address(conn.family, conn.remote, conn.remote_port).into(),
        role,
        midlife: role.is_none(),
        pid: conn.pid,
        netns: conn.netns,
        pair: Some(Pair::Sequences { sent: conn.sent_base, received: conn.received_base }),
        after: conn.header.flags & record::FLAG_AFTER != 0,
    }
}

/// IPv4 peers of IPv6 sockets appear as the IPv4 addresses that they are.
fn address(family: u16, bytes: [u8; 16], port: u16) -> SocketAddr {
    let ip = if family == libc::AF_INET as u16 {
        IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]))
    } else {
        IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
    };
    SocketAddr::new(ip, port)
}

fn end(state: &record::State) -> Option<End> {
    use record::tcp;
    match state.new {
        tcp::CLOSE_WAIT | tcp::CLOSING => Some(End::PeerFinished(state.received)),
        tcp::FIN_WAIT1 | tcp::LAST_ACK => Some(End::Finished(state.sent)),
        tcp::CLOSE => Some(End::Closed {
            error: (state.error != 0).then_some(state.error),
            received: state.received,
            sent: state.sent,
        }),
        _ => None,
    }
}

fn text(comm: &[u8; 16]) -> Cow<'_, str> {
    let length = comm.iter().position(|byte| *byte == 0).unwrap_or(comm.len());
    String::from_utf8_lossy(&comm[..length])
}
