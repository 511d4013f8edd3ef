//! What is left out: both ends of a call alike, everything counted, memory within bounds.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::source::{Address, Data, Direction, Pair, Thread};
use crate::trace::Kind;

mod inside;
mod search;

const SECOND: u64 = 1_000_000_000;
const CLIENT: ConnectionId = ConnectionId(1);
const SERVER: ConnectionId = ConnectionId(2);

/// Two ends of one connection on this host, at the same time.
struct Host {
    pipeline: Pipeline,
    stats: Arc<Stats>,
    now: u64,
    /// Bytes that went each way.
    asked: u64,
    answered: u64,
}

fn opened(id: ConnectionId, role: Role) -> Opened {
    let [client, server] = [40_000, 80].map(|port| Address::Inet(([127, 0, 0, 1], port).into()));
    let asks = role == Role::Client;
    let (local, remote) = if asks { (client, server) } else { (server, client) };
    Opened {
        id,
        time: Time(SECOND),
        local,
        remote,
        role: Some(role),
        midlife: false,
        pid: 0,
        netns: 1,
        pair: Some(if asks {
            Pair::Sequences { sent: 7, received: 9 }
        } else {
            Pair::Sequences { sent: 9, received: 7 }
        }),
        after: false,
    }
}

/// The same over a UNIX socket.
fn unix(id: ConnectionId, role: Role) -> Opened {
    let (client, server) = (Address::Unix(None), Address::Unix(Some("/run/a.sock".into())));
    let (local, remote, pair) = match role {
        Role::Client => (client, server, Pair::Inodes { own: 7, peer: None }),
        Role::Server => (server, client, Pair::Inodes { own: 9, peer: Some(7) }),
    };
    Opened { local, remote, pair: Some(pair), after: true, ..opened(id, role) }
}

impl Host {
    fn new(limits: Budget) -> Self {
        Self::of(limits, opened)
    }

    fn of(limits: Budget, opened: fn(ConnectionId, Role) -> Opened) -> Self {
        let stats = Arc::new(Stats::default());
        let mut pipeline =
            Pipeline::new(Selection::default(), Tracer::default(), None, Arc::clone(&stats))
                .with_limits(limits);
        pipeline.on(Event::Opened(opened(CLIENT, Role::Client)));
        pipeline.on(Event::Opened(opened(SERVER, Role::Server)));
        Self { pipeline, stats, now: 100 * SECOND, asked: 0, answered: 0 }
    }

    fn data(&mut self, id: ConnectionId, direction: Direction, position: u64, bytes: &[u8]) {
        self.now += 1000;
        self.pipeline.on(Event::Data(Data {
            id,
            time: Time(self.now),
            direction,
            position,
            length: bytes.len() as u64,
            bytes,
            tail: &[],
            pending: false,
            rest: false,
            thread: Thread { pid: 1, tid: 1 },
            waited: 0,
            work: None,
            losses: 0,
        }));
    }

    /// One call; between its two ends, and before it is answered, the share may change.
    fn call(&mut self, path: &str, between: &mut impl FnMut(&mut Pipeline, Time)) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let (asked, answered) = (self.asked, self.answered);
        self.data(CLIENT, Direction::Sent, asked, request.as_bytes());
        between(&mut self.pipeline, Time(self.now));
        self.data(SERVER, Direction::Received, asked, request.as_bytes());
        between(&mut self.pipeline, Time(self.now));
        self.data(SERVER, Direction::Sent, answered, response);
        between(&mut self.pipeline, Time(self.now));
        self.data(CLIENT, Direction::Received, answered, response);
        between(&mut self.pipeline, Time(self.now));
        self.asked += request.len() as u64;
        self.answered += response.len() as u64;
    }

    fn told(&mut self) -> HashMap<Kind, Vec<String>> {
        let mut told: HashMap<Kind, Vec<String>> = HashMap::new();
        for span in self.pipeline.spans().drain(..) {
            told.entry(span.kind).or_default().push(span.trace_id.to_string());
        }
        told
    }
}

fn steps() -> Vec<Step> {
    let mut control = crate::limit::shed::Controller::default();
    let load = crate::limit::shed::Load { ring: 100, ..Default::default() };
    let mut steps = vec![Step::NONE, Step::ALL];
    steps.extend((1..20).filter_map(|n| control.observe(Time(n * SECOND), load)));
    steps
}

proptest! {
    /// Whatever the share is and whenever it changes, also between the two ends of a call.
    #[test]
    fn both_ends_share_their_fate(changes in prop::collection::vec(0usize..100, 4 * 60)) {
        let steps = steps();
        let mut host = Host::new(Budget::unlimited());
        let mut changes = changes.into_iter();
        let mut change = |pipeline: &mut Pipeline, now: Time| {
            if let Some(step) = changes.next().and_then(|n| steps.get(n)) {
                pipeline.shed(*step, now);
            }
        };
        for n in 0..60 {
            host.call(&format!("/{n}"), &mut change);
        }
        let told = host.told();
        let ends = |kind| told.get(&kind).cloned().unwrap_or_default();
        prop_assert_eq!(ends(Kind::Client), ends(Kind::Server));
        let spans = 2 * ends(Kind::Client).len() as u64;
        prop_assert_eq!(spans + host.stats.lost(Loss::Shed), 120);
        prop_assert_eq!(host.stats.lost(Loss::Gap), 0);
    }
}

#[test]
fn the_share_is_what_was_asked_for_and_it_comes_back() {
    let mut host = Host::new(Budget::unlimited());
    let half = *steps().iter().find(|step| step.share() > 0 && **step < Step::ALL).expect("one");
    host.pipeline.shed(half, Time(host.now));
    for n in 0..2000 {
        host.call(&format!("/{n}"), &mut |_, _| {});
    }
    let spans = host.told().values().map(Vec::len).sum::<usize>();
    assert!((1800..2200).contains(&spans), "{spans}");
    host.pipeline.shed(Step::NONE, Time(host.now));
    for n in 0..100 {
        host.call(&format!("/{n}"), &mut |_, _| {});
    }
    assert_eq!(host.told().values().map(Vec::len).sum::<usize>(), 200, "the asking end is told");
}

#[test]
fn what_the_kernel_left_out_is_counted_and_the_next_call_is_told() {
    let mut host = Host::new(Budget::unlimited());
    host.call("/first", &mut |_, _| {});
    // Three whole exchanges went by.
    host.asked += 300;
    host.answered += 500;
    for id in [CLIENT, SERVER] {
        host.pipeline.on(Event::LeftOut { id, calls: 3 });
    }
    host.call("/fifth", &mut |_, _| {});
    // Nothing follows that could be an answer to it.
    host.pipeline.tick(Time(host.now + SECOND));
    assert_eq!(host.told().values().map(Vec::len).sum::<usize>(), 4);
    assert_eq!(host.stats.lost(Loss::Shed), 6);
    assert_eq!(host.stats.lost(Loss::Gap), 0);
    // The first that is told of a connection need not be its first.
    let mut host = Host::new(Budget::unlimited());
    host.asked = 70;
    host.answered = 90;
    for id in [CLIENT, SERVER] {
        host.pipeline.on(Event::LeftOut { id, calls: 1 });
    }
    host.call("/second", &mut |_, _| {});
    host.pipeline.tick(Time(host.now + SECOND));
    assert_eq!(host.told().values().map(Vec::len).sum::<usize>(), 2);
}

#[test]
fn texts_go_before_calls_and_the_span_says_so() {
    let mut host = Host::new(Budget::unlimited());
    host.pipeline.shed(Step::TEXT, Time(host.now));
    let long = format!("/search?q={}", "x".repeat(100));
    host.call(&long, &mut |_, _| {});
    host.call("/search?q=1", &mut |_, _| {});
    let spans: Vec<Span> = host.pipeline.spans().drain(..).collect();
    let trimmed = |span: &Span| span.attribute("tracebee.trimmed").is_some();
    let queries = |span: &Span| span.attribute("url.query").is_some();
    let servers: Vec<&Span> = spans.iter().filter(|span| span.kind == Kind::Server).collect();
    assert_eq!(servers.iter().map(|span| trimmed(span)).collect::<Vec<_>>(), [true, false]);
    assert_eq!(servers.iter().map(|span| queries(span)).collect::<Vec<_>>(), [false, true]);
    assert_eq!(host.stats.lost(Loss::Trimmed), 2);
}

#[test]
fn connections_beyond_the_limit_are_counted_not_followed() {
    let mut host = Host::new(Budget { connections: 2, ..Budget::unlimited() });
    let third = ConnectionId(3);
    host.pipeline.on(Event::Opened(opened(third, Role::Client)));
    assert_eq!(host.pipeline.wishes().collect::<Vec<_>>(), [Wish::Count(third)]);
    assert_eq!(host.pipeline.connections(), (2, 2));
    host.data(third, Direction::Sent, 0, b"GET / HTTP/1.1\r\n\r\n");
    host.pipeline.on(Event::LeftOut { id: third, calls: 5 });
    let end = End::Closed { error: None, received: 0, sent: 0 };
    host.pipeline.on(Event::Ended { id: third, time: Time(host.now), end });
    assert_eq!(host.pipeline.wishes().collect::<Vec<_>>(), [Wish::Release(third)]);
    assert_eq!((host.stats.lost(Loss::ConnectionLimit), host.stats.lost(Loss::Shed)), (5, 0));
    assert!(host.pipeline.refused.is_empty());
}

#[test]
fn unfinished_messages_are_bounded_together() {
    let mut host = Host::new(Budget { unparsed: 10_000, ..Budget::unlimited() });
    let head = [b"GET /slow HTTP/1.1\r\nX: ".as_slice(), &[b'x'; 6000]].concat();
    host.data(SERVER, Direction::Received, 0, &head);
    assert!(host.pipeline.held >= 6000);
    host.data(CLIENT, Direction::Sent, 0, &head);
    assert!((6000..10_000).contains(&host.pipeline.held), "{}", host.pipeline.held);
    assert_eq!(host.stats.lost(Loss::MemoryLimit), 1);
    // At the end of the memory nothing is kept.
    host.pipeline.shed(Step::ALL, Time(host.now));
    host.data(SERVER, Direction::Received, head.len() as u64, b"y");
    assert_eq!(host.pipeline.held, 0);
    for id in [CLIENT, SERVER] {
        let end = End::Closed { error: None, received: 0, sent: 0 };
        host.pipeline.on(Event::Ended { id, time: Time(host.now), end });
    }
    assert_eq!((host.pipeline.held, host.pipeline.connections().0), (0, 0));
}

#[test]
fn silent_connections_are_forgotten_and_announced_again() {
    let mut host = Host::new(Budget::unlimited());
    host.call("/", &mut |_, _| {});
    host.pipeline.tick(Time(host.now + IDLE / 2));
    assert_eq!(host.pipeline.connections().0, 2);
    host.pipeline.tick(Time(host.now + IDLE));
    assert_eq!(host.pipeline.connections().0, 0);
    let mut wishes: Vec<Wish> = host.pipeline.wishes().collect();
    wishes.sort_by_key(|wish| *wish == Wish::Announce(SERVER));
    assert_eq!(wishes, [Wish::Announce(CLIENT), Wish::Announce(SERVER)]);
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A TCP connection whose sends are told of when they are over.
fn after(id: ConnectionId, role: Role) -> Opened {
    Opened { after: true, ..opened(id, role) }
}

#[test]
fn a_client_that_is_told_of_when_all_is_over_is_the_parent() {
    over_before_the_client_is_told_of(unix);
    over_before_the_client_is_told_of(after);
}

fn over_before_the_client_is_told_of(opened: fn(ConnectionId, Role) -> Opened) {
    let mut host = Host::of(Budget::unlimited(), opened);
    for call in 0..3 {
        let (asked, answered) = (call * REQUEST.len() as u64, call * RESPONSE.len() as u64);
        host.data(SERVER, Direction::Received, asked, REQUEST);
        host.data(SERVER, Direction::Sent, answered, RESPONSE);
        assert!(host.pipeline.spans().is_empty(), "it waits");
        host.data(CLIENT, Direction::Sent, asked, REQUEST);
        host.data(CLIENT, Direction::Received, answered, RESPONSE);
        let spans: Vec<Span> = host.pipeline.spans().drain(..).collect();
        let [server, client] = &spans[..] else { panic!("{spans:?}") };
        let parent = server.parent.expect("a parent");
        assert_eq!((parent.span_id, server.trace_id), (client.span_id, client.trace_id));
        assert_eq!(server.attributes.iter().filter(|(key, _)| *key == "tracebee.link").count(), 1);
        assert_eq!(server.depth, client.depth + 1);
        assert!(client.start <= server.start, "it was sent before it was read");
    }
    assert_eq!(host.stats.unlinked.load(std::sync::atomic::Ordering::Relaxed), 3);
}

#[test]
fn a_client_that_is_not_traced_is_not_waited_for_for_ever() {
    let mut host = Host::of(Budget::unlimited(), unix);
    for call in 0..1500 {
        host.data(SERVER, Direction::Received, call * REQUEST.len() as u64, REQUEST);
        host.data(SERVER, Direction::Sent, call * RESPONSE.len() as u64, RESPONSE);
    }
    assert_eq!(host.pipeline.spans().len(), 1500 - 1024, "the oldest go");
    host.pipeline.tick(Time(host.now));
    assert_eq!(host.pipeline.spans().len(), 1500 - 1024);
    host.pipeline.tick(Time(host.now + 2 * SECOND));
    assert_eq!(host.pipeline.spans().len(), 1500);
    assert!(host.pipeline.spans().iter().all(|span| span.parent.is_none()));
    host.data(SERVER, Direction::Received, 1500 * REQUEST.len() as u64, REQUEST);
    host.data(SERVER, Direction::Sent, 1500 * RESPONSE.len() as u64, RESPONSE);
    host.pipeline.stop();
    assert_eq!(host.pipeline.spans().len(), 1501);
}
