//! Records that overtake each other, and records that are lost.

use zerocopy::IntoBytes as _;

use super::*;

/// Record `number` of a conversation of two records to a message, received ones first.
fn data(number: u32) -> record::Data {
    let (turn, second) = (number / 2, !number.is_multiple_of(2));
    let mut data = record::Data {
        messages: Messages { received: turn / 2 + 1, sent: turn.div_ceil(2) },
        ..record::Data::default()
    };
    data.header.kind = record::DATA;
    data.header.number = number;
    data.header.flags =
        if turn % 2 == 1 { FLAG_SENT } else { 0 } | if second { 0 } else { FLAG_FIRST };
    data
}

/// Numbers given out, losses negative.
fn taken(order: &mut Order, number: u32) -> Vec<i64> {
    let mut out = Vec::new();
    order.take(7, (number, false), data(number).as_bytes(), |next| out.push(told(&next)));
    out
}

/// Records, received and sent messages, and whose the last one was, of the one loss there is.
fn lost(order: &mut Order, number: u32) -> (u32, u32, u32, Option<Direction>) {
    let mut losses = Vec::new();
    let mut note = |next: Next<'_>| {
        if let Next::Lost { records, messages: Messages { received, sent }, last } = next {
            losses.push((records, received, sent, last));
        }
    };
    order.take(7, (number, false), data(number).as_bytes(), &mut note);
    order.drained(|| Instant::now() + LATE, |_, next| note(next));
    assert_eq!(losses.len(), 1);
    losses[0]
}

fn drained(order: &mut Order, later: Duration) -> Vec<i64> {
    let mut out = Vec::new();
    order.drained(|| Instant::now() + later, |_, next| out.push(told(&next)));
    out
}

const LATE: Duration = Duration::from_secs(60);

fn told(next: &Next<'_>) -> i64 {
    match next {
        Next::Record(bytes) => i64::from(record::Header::ref_from_prefix(bytes).unwrap().0.number),
        Next::Lost { records, .. } => -i64::from(*records),
    }
}

#[test]
fn overtaking_is_undone() {
    let mut order = Order::default();
    assert_eq!(taken(&mut order, 0), [0]);
    assert_eq!(taken(&mut order, 2).len(), 0);
    assert_eq!(drained(&mut order, Duration::ZERO).len(), 0);
    assert_eq!(taken(&mut order, 4).len(), 0);
    assert_eq!(taken(&mut order, 1), [1, 2]);
    assert_eq!(taken(&mut order, 3), [3, 4]);
    assert_eq!(drained(&mut order, LATE).len(), 0);
    assert_eq!((order.held, order.waiting.len()), (0, 0));
}

#[test]
fn what_does_not_come_is_lost() {
    let mut order = Order::default();
    assert_eq!(taken(&mut order, 1).len(), 0);
    assert_eq!(taken(&mut order, 4).len(), 0);
    assert_eq!(drained(&mut order, Duration::ZERO).len(), 0);
    assert_eq!(drained(&mut order, LATE), [-1, 1, -2, 4]);
    assert_eq!(taken(&mut order, 2), [2]);
    assert_eq!(taken(&mut order, 5), [5]);
}

#[test]
fn it_is_bounded() {
    let mut order = Order::default();
    let fit = MAX_HELD / cost(&[0; 4]);
    let given: usize = (1..=fit as u32 + 1).map(|n| taken(&mut order, n).len()).sum();
    assert_eq!(given, fit + 2);
    assert_eq!(order.held, 0);
    assert_eq!(taken(&mut order, fit as u32 + 9).len(), 0);
    order.forget(7);
    assert_eq!(order.held, 0);
    assert_eq!(drained(&mut order, LATE).len(), 0);
}

#[test]
fn a_number_given_out_twice_is_no_loss() {
    let mut order = Order::default();
    assert_eq!(taken(&mut order, 0), [0]);
    assert_eq!(taken(&mut order, 2).len(), 0);
    assert_eq!(taken(&mut order, 2).len(), 0);
    assert_eq!(taken(&mut order, 1), [1, 2, 2]);
    assert_eq!(taken(&mut order, 2), [2]);
}

#[test]
fn an_announcement_is_a_beginning() {
    let mut conn = record::Conn::default();
    (conn.header.kind, conn.header.number) = (record::CONN, 3);
    let mut order = Order::default();
    let mut given = 0;
    order.take(7, (3, true), conn.as_bytes(), |_| given += 1);
    assert_eq!(given, 1, "nothing to wait for");
    assert_eq!(taken(&mut order, 4), [-3, 4], "but what is missing is known");
}

#[test]
fn a_loss_has_a_size() {
    use Direction::{Received, Sent};
    let fresh = |before: u32| {
        let mut order = Order::default();
        for number in 0..before {
            assert_eq!(taken(&mut order, number).len(), 1);
        }
        order
    };
    // Within a message, its end, its end and whole ones, and the beginning of another.
    assert_eq!(lost(&mut fresh(0), 1), (1, 1, 0, Some(Received)));
    assert_eq!(lost(&mut fresh(1), 2), (1, 0, 0, Some(Received)));
    assert_eq!(lost(&mut fresh(1), 3), (2, 0, 1, Some(Sent)));
    assert_eq!(lost(&mut fresh(2), 8), (6, 1, 2, Some(Sent)));
    assert_eq!(lost(&mut fresh(2), 11), (9, 2, 3, Some(Sent)));
    assert_eq!(lost(&mut fresh(4), 9), (5, 2, 1, Some(Received)));
}

#[test]
fn the_end_tells_what_nobody_was_told() {
    let mut state = record::State {
        messages: Messages { received: 5, sent: 4 },
        new: tcp::CLOSE,
        ..record::State::default()
    };
    state.header.kind = record::STATE;
    state.header.number = 1;
    let mut losses = Vec::new();
    let mut end = |order: &mut Order| {
        order.take(7, (1, false), state.as_bytes(), |next| {
            if let Next::Lost { records, messages, .. } = next {
                losses.push((records, messages));
            }
        });
    };
    let mut order = Order::default();
    assert_eq!(taken(&mut order, 0), [0]);
    end(&mut order);
    assert_eq!(losses, [(0, Messages { received: 4, sent: 4 })], "nobody wanted to know");
}

#[test]
fn what_a_send_that_is_lost_came_to_is_not_told() {
    let mut sent = record::Sent::default();
    (sent.header.kind, sent.header.number) = (record::SENT, 2);
    let mut order = Order::default();
    assert_eq!(taken(&mut order, 0), [0]);
    order.take(7, (2, false), sent.as_bytes(), |_| panic!("it waits"));
    assert_eq!(taken(&mut order, 4).len(), 0);
    assert_eq!(drained(&mut order, LATE), [-3, 4]);
}

#[test]
fn what_waits_in_the_end_is_given_out() {
    let mut order = Order::default();
    assert_eq!(taken(&mut order, 1).len(), 0);
    let mut out = Vec::new();
    order.finish(|_, next| out.push(told(&next)));
    assert_eq!(out, [-1, 1]);
    assert_eq!((order.held, order.waiting.len()), (0, 0));
}

#[test]
fn numbers_wrap() {
    let mut order = Order::default();
    order.connections.entry(7).or_default().next = u32::MAX;
    assert_eq!(taken(&mut order, 0).len(), 0);
    assert_eq!(taken(&mut order, u32::MAX), [i64::from(u32::MAX), 0]);
}
