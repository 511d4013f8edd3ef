//! The calls that a process makes while it serves requests.

use super::*;
use crate::link::Link;
use crate::source::{Program, Work};
use crate::trace::args::Attribution;
use crate::trace::client_address::TrustedProxies;
use crate::trace::propagation::Propagators;
use crate::trace::sampler::Sampler;

const PID: u32 = 5;
/// Accepted connections and some to another service.
const IN: [ConnectionId; 2] = [ConnectionId(10), ConnectionId(11)];
const OUT: ConnectionId = ConnectionId(20);
const OUTS: [ConnectionId; 2] = [OUT, ConnectionId(21)];
const REQUEST: &[u8] = b"GET /in HTTP/1.1\r\nHost: h\r\n\r\n";
const CALL: &[u8] = b"GET /out HTTP/1.1\r\nHost: h\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

struct Service {
    pipeline: Pipeline,
    stats: Arc<Stats>,
    now: u64,
    /// Who reads and writes.
    tid: u32,
    losses: u16,
    /// How far each connection has received and sent.
    positions: HashMap<(ConnectionId, Direction), u64>,
}

impl Service {
    fn new() -> Self {
        Self::with(Pipeline::new, Tracer::default())
    }

    fn with(
        pipeline: fn(Selection, Tracer, Option<std::time::Duration>, Arc<Stats>) -> Pipeline,
        tracer: Tracer,
    ) -> Self {
        let stats = Arc::new(Stats::default());
        let selection = Selection::default();
        let mut pipeline = pipeline(selection, tracer, None, Arc::clone(&stats));
        pipeline.tick(Time(SECOND));
        let started = Time(2 * SECOND);
        let (arguments, environment): (&[u8], &[u8]) = (b"", b"");
        pipeline.on(Event::Program(Program {
            pid: PID,
            started,
            comm: "service".into(),
            arguments,
            environment,
            contexts: false,
        }));
        for (n, id) in IN.into_iter().chain(OUTS).enumerate() {
            let role = if OUTS.contains(&id) { Role::Client } else { Role::Server };
            let n = n as u32;
            let pair = Some(Pair::Sequences { sent: 100 + n, received: 200 + n });
            pipeline.on(Event::Opened(Opened { pid: PID, pair, ..opened(id, role) }));
        }
        let (now, positions) = (3 * SECOND, HashMap::new());
        Self { pipeline, stats, now, tid: PID, losses: 0, positions }
    }

    /// Its runtime tells what it works on.
    fn with_contexts() -> Self {
        let mut service = Self::new();
        service.pipeline.calls.serving.has_contexts(PID, Time(3 * SECOND));
        service
    }

    /// Bytes go through; returns what they are to whoever works on them.
    fn data(
        &mut self,
        id: ConnectionId,
        direction: Direction,
        bytes: &[u8],
        work: Option<Work>,
    ) -> Work {
        self.now += 1000;
        let position = self.positions.entry((id, direction)).or_default();
        let (from, length) = (*position, bytes.len() as u64);
        *position += length;
        self.pipeline.on(Event::Data(Data {
            id,
            time: Time(self.now),
            direction,
            position: from,
            length,
            bytes,
            tail: b"",
            pending: false,
            rest: false,
            thread: Thread { pid: PID, tid: self.tid },
            waited: 0,
            work,
            losses: self.losses,
        }));
        Work { id, position: from, length }
    }

    fn asked(&mut self, id: ConnectionId) -> Work {
        self.data(id, Direction::Received, REQUEST, None)
    }

    fn answers(&mut self, id: ConnectionId) {
        self.data(id, Direction::Sent, ANSWER, None);
    }

    /// The service calls another; how the span of that found its parent.
    fn calls(&mut self, work: Option<Work>) -> Span {
        self.calls_on(OUT, work)
    }

    fn calls_on(&mut self, id: ConnectionId, work: Option<Work>) -> Span {
        self.data(id, Direction::Sent, CALL, work);
        self.data(id, Direction::Received, ANSWER, None);
        self.pipeline.spans().pop().expect("a span")
    }

    /// Two threads, each with its connections, serve requests at the same time, so often that it is
    /// believed.
    fn with_threads() -> Self {
        let mut service = Self::new();
        for _ in 0..100 {
            for (n, id) in IN.into_iter().enumerate() {
                service.by(n).asked(id);
            }
            for n in [0, 1] {
                service.by(n).calls_on(OUTS[n], None);
                service.by(n).served(IN[n]);
            }
        }
        service
    }

    /// From now on, this thread reads and writes.
    fn by(&mut self, n: usize) -> &mut Self {
        self.tid = PID + n as u32;
        self
    }

    fn served(&mut self, id: ConnectionId) -> Span {
        self.answers(id);
        self.pipeline.spans().pop().expect("a span")
    }
}

fn link(span: &Span) -> Option<Link> {
    span.parent.as_ref().map(|parent| parent.link)
}

#[track_caller]
fn is_under(child: &Span, parent: &Span) {
    let found = child.parent.as_ref().map(|parent| (parent.span_id, parent.link, parent.remote));
    assert_eq!(found, Some((parent.span_id, Link::Context, false)));
    assert_eq!(child.trace_id, parent.trace_id);
}

#[test]
fn a_call_is_part_of_the_request_that_its_sender_is_about() {
    let mut service = Service::with_contexts();
    let [first, second] = IN.map(|id| service.asked(id));
    let of_second = service.calls(Some(second));
    let of_first = service.calls(Some(first));
    let nobodys = service.calls(None);
    is_under(&of_first, &service.served(IN[0]));
    is_under(&of_second, &service.served(IN[1]));
    assert_eq!(link(&nobodys), None, "two are open");
    assert_eq!(service.stats.links(Link::Context), 2);
    assert_eq!(service.stats.unlinked.load(Ordering::Relaxed), 1);
}

#[test]
fn work_for_a_request_goes_on_after_its_answer_and_is_never_that_of_the_next() {
    let mut service = Service::with_contexts();
    let first = service.asked(IN[0]);
    let served = service.served(IN[0]);
    let later = service.calls(Some(first));
    is_under(&later, &served);
    service.asked(IN[0]);
    is_under(&service.calls(Some(first)), &served);
    service.now += crate::link::serving::AFTER;
    assert_eq!(link(&service.calls(Some(first))), None);
}

#[test]
fn a_request_that_was_not_seen_has_no_calls() {
    let mut service = Service::new();
    service.asked(IN[0]);
    let unseen = Work { id: IN[1], position: 0, length: 10 };
    assert_eq!(link(&service.calls(Some(unseen))), None);
}

#[test]
fn without_a_better_rule_the_only_request_is_the_one() {
    let mut service = Service::new();
    service.asked(IN[0]);
    let call = service.calls(None);
    assert_eq!(link(&call), Some(Link::Sole));
    assert_eq!(call.trace_id, service.served(IN[0]).trace_id);
    assert_eq!(link(&service.calls(None)), None, "none is open");
    let position = service.positions[&(IN[0], Direction::Received)];
    let known = Some(Work { id: IN[0], position, length: REQUEST.len() as u64 });
    service.data(IN[0], Direction::Received, REQUEST, known);
    assert_eq!(link(&service.calls(None)), None, "the runtime would have said so");
}

#[test]
fn what_a_process_asks_when_it_serves_nobody_ends_that() {
    let mut service = Service::new();
    service.calls(None);
    service.asked(IN[0]);
    assert_eq!(link(&service.calls(None)), Some(Link::Sole), "it was getting ready");
    service.served(IN[0]);
    assert_eq!(link(&service.calls(None)), None);
    service.asked(IN[0]);
    assert_eq!(link(&service.calls(None)), None, "it may be what it asks by itself");
}

#[test]
fn nothing_is_linked_inside_where_nobody_asks_whose_calls_they_are() {
    let tracer = Tracer::default().with_attribution(Attribution::None);
    let mut service = Service::with(Pipeline::new, tracer.fresh());
    let work = service.asked(IN[0]);
    assert_eq!(link(&service.calls(None)), None);
    assert_eq!(link(&service.calls(Some(work))), None);
    assert_eq!(service.stats.unlinked.load(Ordering::Relaxed), 2);
}

#[test]
fn a_trace_is_told_whole_or_not_at_all() {
    const REQUESTS: usize = 300;
    let (sampler, _) = Sampler::named("parentbased_traceidratio", Some("0.5"));
    let tracer = Tracer::new(TrustedProxies::default(), Propagators::default(), sampler);
    let mut service = Service::with(Pipeline::new, tracer);
    let mut told = 0;
    for _ in 0..REQUESTS {
        service.asked(IN[0]);
        service.data(OUT, Direction::Sent, CALL, None);
        service.data(OUT, Direction::Received, ANSWER, None);
        service.answers(IN[0]);
        let spans: Vec<Span> = service.pipeline.spans().drain(..).collect();
        let Ok([call, request]) = <[Span; 2]>::try_from(spans) else { continue };
        assert_eq!(call.trace_id, request.trace_id);
        for span in [&call, &request] {
            assert_eq!(span.trace_state.as_deref(), Some("ot=th:8"));
        }
        told += 1;
    }
    let unsampled = service.stats.unsampled.load(Ordering::Relaxed) as usize;
    assert_eq!(2 * told + unsampled, 2 * REQUESTS, "no trace is told in part");
    assert!((REQUESTS / 3..REQUESTS * 2 / 3).contains(&told), "{told} of {REQUESTS}");
}

#[test]
fn the_senders_decision_holds() {
    let mut service = Service::new();
    let [kept, left] = ["01", "00"].map(|flags| {
        let parent = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
        let request = format!("GET /in HTTP/1.1\r\nHost: h\r\ntraceparent: {parent}\r\n\r\n");
        service.data(IN[0], Direction::Received, request.as_bytes(), None);
        service.data(OUT, Direction::Sent, CALL, None);
        service.data(OUT, Direction::Received, ANSWER, None);
        service.answers(IN[0]);
        service.pipeline.spans().drain(..).count()
    });
    assert_eq!((kept, left), (2, 0));
    assert_eq!(service.stats.unsampled.load(Ordering::Relaxed), 2);
}

/// What is wished for while a request with these flags, and a call for it, are under way.
fn wished(mut service: Service, flags: &str) -> Vec<Wish> {
    let parent = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
    let request = format!("GET /in HTTP/1.1\r\nHost: h\r\ntraceparent: {parent}\r\n\r\n");
    let work = service.data(IN[0], Direction::Received, request.as_bytes(), None);
    let has_contexts = !service.pipeline.calls.serving.asks_threads(PID);
    service.data(OUT, Direction::Sent, CALL, has_contexts.then_some(work));
    let wishes = service.pipeline.wishes().collect();
    assert_eq!(service.pipeline.wishes().count(), 0, "once");
    service.data(OUT, Direction::Received, ANSWER, None);
    service.answers(IN[0]);
    assert_eq!(service.pipeline.wishes().count(), 0, "answered");
    wishes
}

#[test]
fn less_is_captured_of_answers_that_nobody_is_told_of() {
    let request = wished(Service::with_contexts(), "00");
    let [
        Wish::Brief { id: one, role: Role::Server, asked: 88.. },
        Wish::Brief { id: other, role: Role::Client, asked },
    ] = request[..]
    else {
        panic!("{request:?}")
    };
    assert_eq!((one, other, asked), (IN[0], OUT, CALL.len() as u64));
    assert_eq!(wished(Service::with_contexts(), "01"), [], "they are told");
    let threads = wished(Service::new(), "00");
    assert!(
        matches!(threads[..], [Wish::Brief { id: OUT, .. }]),
        "when a request is over matters to others: {threads:?}"
    );
}

#[test]
fn what_is_over_or_may_yet_be_told_is_captured_as_ever() {
    let mut service = Service::with_contexts();
    let sampler = Sampler::named("always_off", None).0;
    let tracer = Tracer::new(TrustedProxies::default(), Propagators::default(), sampler);
    service.pipeline.calls.tracer = tracer;
    let head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    service.data(OUT, Direction::Sent, head, None);
    assert_eq!(service.pipeline.wishes().count(), 0, "where the request ends is not known");
    service.data(OUT, Direction::Sent, b"0\r\n\r\n", None);
    service.data(OUT, Direction::Received, ANSWER, None);
    assert_eq!(service.pipeline.wishes().count(), 0, "answered");
    service.data(OUT, Direction::Sent, CALL, None);
    service.data(OUT, Direction::Sent, CALL, None);
    let pipelined: Vec<_> = service.pipeline.wishes().collect();
    assert_eq!(pipelined, [Wish::Everything(OUT)]);
}

#[test]
fn a_thread_that_serves_one_request_at_a_time_tells_whose_its_calls_are() {
    let mut service = Service::with_threads();
    for (n, id) in IN.into_iter().enumerate() {
        service.by(n).asked(id);
    }
    let calls = [0, 1].map(|n| service.by(n).calls_on(OUTS[n], None));
    let helper = service.by(2).calls(None);
    assert_eq!(link(&helper), None, "a thread that serves nothing, and two are open");
    for (n, call) in calls.iter().enumerate() {
        let served = service.by(n).served(IN[n]);
        let found = call.parent.as_ref().map(|parent| (parent.span_id, parent.link));
        assert_eq!(found, Some((served.span_id, Link::Thread)));
        assert_eq!(call.trace_id, served.trace_id);
    }
    assert_eq!(link(&service.by(0).calls(None)), None, "none is open");
    // The other one's is the only one, but this thread is known to have answered its own.
    service.by(0).asked(IN[0]);
    assert_eq!(link(&service.by(1).calls_on(OUTS[1], None)), None);
    assert_eq!(link(&service.by(2).calls(None)), None, "a thread that serves nothing");
}

#[test]
fn a_thread_tells_nothing_where_records_are_missing() {
    let mut service = Service::with_threads();
    for (n, id) in IN.into_iter().enumerate() {
        service.by(n).asked(id);
    }
    service.losses = service.losses.wrapping_add(1);
    assert_eq!(link(&service.by(0).calls_on(OUTS[0], None)), None);
    service.by(0).served(IN[0]);
    service.by(0).asked(IN[0]);
    assert_eq!(link(&service.by(0).calls_on(OUTS[0], None)), Some(Link::Thread), "a new one");
}

#[test]
fn a_thread_tells_nothing_once_it_has_served_two_requests_at_once() {
    let mut service = Service::with_threads();
    for id in IN {
        service.by(0).asked(id);
    }
    assert_eq!(link(&service.by(0).calls_on(OUTS[0], None)), None);
    for id in IN {
        service.by(0).served(id);
    }
    for (n, id) in IN.into_iter().enumerate() {
        service.by(n).asked(id);
    }
    assert_eq!(link(&service.by(0).calls_on(OUTS[0], None)), None, "for good");
}

#[test]
fn what_two_threads_send_together_is_nobodys() {
    let mut service = Service::with_threads();
    for (n, id) in IN.into_iter().enumerate() {
        service.by(n).asked(id);
    }
    let (front, rest) = CALL.split_at(20);
    service.by(1).data(OUTS[0], Direction::Sent, front, None);
    service.by(0).data(OUTS[0], Direction::Sent, rest, None);
    service.by(0).data(OUTS[0], Direction::Received, ANSWER, None);
    assert_eq!(link(&service.pipeline.spans().pop().expect("a span")), None);
}

#[test]
fn what_the_runtime_says_goes_before_what_threads_say() {
    let mut service = Service::with_threads();
    let position = service.positions[&(IN[0], Direction::Received)];
    let known = Some(Work { id: IN[0], position, length: REQUEST.len() as u64 });
    service.by(0).data(IN[0], Direction::Received, REQUEST, known);
    service.by(1).asked(IN[1]);
    assert_eq!(link(&service.by(0).calls_on(OUTS[0], None)), None);
    assert_eq!(link(&service.by(0).calls_on(OUTS[0], known)), Some(Link::Context));
}

/// A message of PostgreSQL: its kind, its length and what it says.
fn message(kind: &[u8], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 4).expect("a short message");
    [kind, &length.to_be_bytes(), content].concat()
}

#[test]
fn a_capture_has_no_processes_and_so_no_only_request() {
    let mut service = Service::with(Pipeline::replay, Tracer::default());
    service.now += 100 * SECOND;
    service.asked(IN[0]);
    let ready = message(b"Z", b"I");
    let welcome = [message(b"R", &[0; 4]), ready.clone()].concat();
    let answer = [message(b"C", b"SELECT 1\0"), ready].concat();
    for (direction, bytes) in [
        (Direction::Sent, message(b"", b"\0\x03\0\0user\0u\0\0")),
        (Direction::Received, welcome),
        (Direction::Sent, message(b"Q", b"select 1\0")),
        (Direction::Received, answer),
    ] {
        service.data(OUT, direction, &bytes, None);
    }
    let span = service.pipeline.spans().pop().expect("a call of PostgreSQL");
    assert_eq!((span.kind, link(&span)), (Kind::Client, None));
}

/// A request that its server has read, and has asked others for, before its client is heard of.
fn long_request(answered_first: bool) -> [Span; 3] {
    let mut service = Service::with_contexts();
    for (id, role) in [(CLIENT, Role::Client), (SERVER, Role::Server)] {
        service.pipeline.on(Event::Opened(Opened { pid: PID, ..unix(id, role) }));
    }
    let work = service.data(SERVER, Direction::Received, REQUEST, None);
    let inner = service.calls(Some(work));
    if answered_first {
        service.answers(SERVER);
    }
    service.data(CLIENT, Direction::Sent, REQUEST, None);
    if !answered_first {
        service.answers(SERVER);
    }
    service.data(CLIENT, Direction::Received, ANSWER, None);
    let mut spans: Vec<Span> = service.pipeline.spans().drain(..).collect();
    spans.sort_by_key(|span| span.kind != Kind::Client);
    let [client, server] = spans.try_into().expect("two spans");
    [client, server, inner]
}

#[test]
fn a_client_that_is_heard_of_late_begins_the_trace_that_its_server_is_in() {
    for answered_first in [false, true] {
        let [client, server, inner] = long_request(answered_first);
        assert_eq!(client.parent, None);
        let above = |span: &Span| span.parent.map(|parent| (parent.span_id, parent.link));
        assert_eq!(above(&server), Some((client.span_id, Link::Sequence)), "{answered_first}");
        assert_eq!(above(&inner), Some((server.span_id, Link::Context)));
        assert!(client.trace_id == server.trace_id && server.trace_id == inner.trace_id);
    }
}
