//! Losses: what they cost is counted, and nothing after them is taken for what it is not.

use super::*;
use crate::protocol::Response;
use crate::source::{ConnectionId, Lost, Thread};

const REQUEST: &str = "GET /a HTTP/1.1\r\nhost: a\r\n\r\n";

/// A client's connection, seen from its beginning.
struct Talk {
    streams: Streams,
    time: u64,
    sent: u64,
    received: u64,
    requests: usize,
    answers: usize,
    /// Rows that were written, of each answer of a database.
    written: Vec<Option<u64>>,
}

impl Talk {
    fn new() -> Self {
        Self::of(Streams::new(Some(Role::Client), false))
    }

    /// The same of one that is joined midway.
    fn midway() -> Self {
        Self::of(Streams::new(None, true))
    }

    fn of(streams: Streams) -> Self {
        Self {
            streams,
            time: 0,
            sent: 0,
            received: 0,
            requests: 0,
            answers: 0,
            written: Vec::new(),
        }
    }

    fn data(&mut self, direction: Direction, text: &str) {
        self.cut(direction, text, text.len() as u64, "");
    }

    /// More than is captured, of which the last bytes are known.
    fn cut(&mut self, direction: Direction, head: &str, length: u64, tail: &str) {
        self.time += 1;
        let reached = match direction {
            Direction::Sent => &mut self.sent,
            Direction::Received => &mut self.received,
        };
        let position = *reached;
        *reached += length;
        let data = Data {
            id: ConnectionId(1),
            time: Time(self.time),
            direction,
            position,
            length,
            bytes: head.as_bytes(),
            tail: tail.as_bytes(),
            pending: false,
            rest: false,
            thread: Thread::default(),
            waited: 0,
            work: None,
            losses: 0,
        };
        let mut out = Vec::new();
        self.streams.data(&data, &mut out);
        self.count(&out);
    }

    fn lost(&mut self, messages: [u32; 2], last: Direction) {
        let [received, sent] = messages;
        let lost = Lost { id: ConnectionId(1), records: 9, received, sent, last: Some(last) };
        let mut out = Vec::new();
        self.streams.lost(&lost, &mut out);
        self.count(&out);
    }

    fn count(&mut self, out: &[Timed]) {
        self.requests += out.iter().filter(|t| matches!(t.part, Part::Request { .. })).count();
        self.answers += out.iter().filter(|t| matches!(t.part, Part::Response { .. })).count();
        self.written.extend(out.iter().filter_map(|timed| match &timed.part {
            Part::Response { response: Response::Database(response), .. } => {
                Some(response.affected)
            }
            _ => None,
        }));
    }
}

#[test]
fn what_went_by_is_counted_and_the_next_message_is_read() {
    let mut talk = Talk::new();
    talk.data(Direction::Sent, REQUEST);
    (talk.sent, talk.received) = (talk.sent + 500, 3000);
    talk.lost([2, 2], Direction::Received);
    assert_eq!(talk.streams.take_missed(), Some(2));
    talk.data(Direction::Sent, REQUEST);
    assert_eq!((talk.requests, talk.streams.take_missed()), (2, Some(0)));
}

/// What is skipped by its length ends among the last bytes: nothing is missing.
#[test]
fn the_last_bytes_join_what_was_skipped() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";
    let end = head.len() as u64 + 100_000;
    let mut talk = Talk::new();
    talk.data(Direction::Sent, &[REQUEST, REQUEST].concat());
    talk.cut(Direction::Received, head, end + 26, "xxxHTTP/1.1 204 No Content\r\n\r");
    talk.data(Direction::Received, "\n");
    assert_eq!(talk.answers, 2);
    // One byte less is known.
    let mut talk = Talk::new();
    talk.data(Direction::Sent, &[REQUEST, REQUEST].concat());
    talk.cut(Direction::Received, head, end + 26, "TTP/1.1 204 No Content\r\n\r");
    talk.data(Direction::Received, "\n");
    assert_eq!(talk.answers, 1);
}

#[test]
fn before_the_protocol_is_known_too() {
    let mut talk = Talk::new();
    (talk.sent, talk.received) = (500, 3000);
    talk.lost([3, 3], Direction::Received);
    talk.data(Direction::Sent, REQUEST);
    assert_eq!((talk.requests, talk.streams.take_missed()), (1, Some(3)));
    let mut talk = Talk::new();
    talk.lost([3, 3], Direction::Received);
    assert_eq!(talk.streams.unrecognised(), 3);
}

#[test]
fn what_goes_on_with_a_message_is_no_beginning() {
    let mut talk = Talk::new();
    talk.data(Direction::Sent, REQUEST);
    talk.data(Direction::Received, "HTTP/1.1 204 No Content\r\n\r\n");
    talk.sent += 100;
    talk.lost([0, 1], Direction::Sent);
    talk.data(Direction::Sent, REQUEST);
    assert_eq!((talk.requests, talk.streams.take_missed()), (1, Some(1)));
}

#[test]
fn an_end_that_nobody_saw_has_no_time() {
    let mut talk = Talk::new();
    talk.data(Direction::Sent, REQUEST);
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n";
    talk.data(Direction::Received, head);
    let end = head.len() as u64 + 100;
    talk.received = end + 700;
    talk.lost([1, 1], Direction::Received);
    assert!(!talk.streams.unseen(Side::Response, end), "it may yet be seen");
    talk.data(Direction::Sent, REQUEST);
    talk.data(Direction::Received, head);
    assert!(talk.streams.unseen(Side::Response, end));
    assert!(!talk.streams.unseen(Side::Response, end + 700 + 138), "that of the next will be");
}

#[test]
fn a_loss_elsewhere_leaves_an_end_as_it_was() {
    let mut talk = Talk::new();
    talk.data(Direction::Sent, REQUEST);
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n";
    talk.data(Direction::Received, head);
    talk.lost([0, 0], Direction::Received);
    talk.data(Direction::Received, "0123456789");
    assert!(!talk.streams.unseen(Side::Response, head.len() as u64 + 10));
}

#[test]
fn a_message_that_was_only_begun_is_one() {
    let mut talk = Talk::new();
    talk.data(Direction::Sent, "GET /a HT");
    talk.lost([0, 0], Direction::Sent);
    talk.data(Direction::Received, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!((talk.requests, talk.streams.take_missed()), (0, Some(1)));
    // But not a piece of one that is known.
    let mut talk = Talk::new();
    talk.data(Direction::Sent, "POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n");
    talk.data(Direction::Sent, "5");
    talk.lost([0, 0], Direction::Sent);
    assert_eq!((talk.requests, talk.streams.take_missed()), (1, Some(0)));
}

/// Three bytes may be the first of many things. They are kept, and answer nothing that is asked later.
#[test]
fn what_was_said_before_a_question_is_no_answer_to_it() {
    let mut talk = Talk::midway();
    // Of a packet of MySQL, three bytes.
    talk.data(Direction::Received, "\x07\0\0");
    talk.data(Direction::Sent, "\x13\0\0\0\x03UPDATE b SET a = 1");
    talk.data(Direction::Received, "\x07\0\0\x01\0\x01\0\x02\0\0\0");
    assert_eq!(talk.written, [Some(1)]);
}

#[test]
fn a_turn_begins_anew() {
    let mut talk = Talk::midway();
    talk.data(Direction::Sent, "Q\0\0");
    talk.data(Direction::Received, "whatever");
    talk.data(Direction::Sent, REQUEST);
    assert_eq!(talk.requests, 1);
}
