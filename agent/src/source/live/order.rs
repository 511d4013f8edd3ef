//! The records of each connection in the order of their numbers.
//!
//! The kernel numbers a record before it writes it: one that is written in between by a softirq or
//! by another CPU overtakes it, by microseconds, or for as long as a hypervisor takes the CPU away.
//! What comes too early waits for what it overtook; what does not come in time was lost.

use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

/// How long a record that was overtaken may take.
const PATIENCE: Duration = Duration::from_millis(200);

/// Bytes of memory of the records that wait in all: a hundred of the longest. Overtaking is rare and
/// short: more than this is loss.
const MAX_HELD: usize = 4 << 20;

/// Bytes of memory that a record takes which waits.
fn cost(record: &[u8]) -> usize {
    record.len() + 48
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// This record is next.
    Record(&'a [u8]),
    /// So many records of the connection are lost.
    Lost(u32),
}

#[derive(Default)]
struct Connection {
    next: u32,
    /// By number.
    held: Vec<(u32, Box<[u8]>)>,
    /// When the first of them came.
    since: Option<Instant>,
}

/// The connections.
#[derive(Default)]
pub(super) struct Order {
    connections: FxHashMap<u64, Connection>,
    /// Those in which something waits.
    waiting: Vec<u64>,
    /// Bytes of what waits.
    held: usize,
}

impl Order {
    /// Takes a record in and gives out, in order, what is due. What is known of a connection begins
    /// with the record that announces it (`first`), whatever its number.
    pub(super) fn take(
        &mut self,
        cookie: u64,
        (number, first): (u32, bool),
        bytes: &[u8],
        mut give: impl FnMut(Next<'_>),
    ) {
        let connection = self.connections.entry(cookie).or_insert_with(|| Connection {
            next: if first { number } else { 0 },
            ..Connection::default()
        });
        let ahead = number.wrapping_sub(connection.next);
        if ahead == 0 {
            connection.next = number.wrapping_add(1);
            give(Next::Record(bytes));
            if !connection.held.is_empty() {
                self.held -= connection.release(&mut give);
            }
            return;
        }
        if ahead > u32::MAX / 2 {
            // Given out twice, or given up already: its position tells what is new in it.
            give(Next::Record(bytes));
            return;
        }
        if connection.held.is_empty() {
            connection.since = Some(Instant::now());
            self.waiting.push(cookie);
        }
        let at = connection
            .held
            .partition_point(|(held, _)| held.wrapping_sub(connection.next) <= ahead);
        connection.held.insert(at, (number, bytes.into()));
        self.held += cost(bytes);
        if self.held > MAX_HELD {
            self.held -= connection.give_up(&mut give);
        }
    }

    /// The ring was read to its end at `now`: gives out what waited long enough.
    pub(super) fn drained(
        &mut self,
        now: impl Fn() -> Instant,
        mut give: impl FnMut(u64, Next<'_>),
    ) {
        let Self { connections, waiting, held } = self;
        if waiting.is_empty() {
            return;
        }
        let now = now();
        waiting.retain(|cookie| {
            let Some(connection) = connections.get_mut(cookie) else { return false };
            let overdue = connection.since.is_some_and(|since| now > since + PATIENCE);
            if !connection.held.is_empty() && overdue {
                *held -= connection.give_up(&mut |next| give(*cookie, next));
            }
            !connection.held.is_empty()
        });
    }

    /// Forgets a connection that is gone.
    pub(super) fn forget(&mut self, cookie: u64) {
        if let Some(connection) = self.connections.remove(&cookie) {
            self.held -= connection.held.iter().map(|(_, bytes)| cost(bytes)).sum::<usize>();
        }
    }
}

impl Connection {
    /// Gives out what follows without a gap; how many bytes of memory it took.
    fn release(&mut self, give: &mut impl FnMut(Next<'_>)) -> usize {
        let (mut count, mut freed) = (0, 0);
        for (number, bytes) in &self.held {
            // Behind `next` if a number was given out twice.
            let ahead = number.wrapping_sub(self.next);
            if ahead != 0 && ahead <= u32::MAX / 2 {
                break;
            }
            if ahead == 0 {
                self.next = number.wrapping_add(1);
            }
            give(Next::Record(bytes));
            count += 1;
            freed += cost(bytes);
        }
        self.held.drain(..count);
        freed
    }

    /// Gives out everything, with the losses in between; how many bytes of memory it took.
    fn give_up(&mut self, give: &mut impl FnMut(Next<'_>)) -> usize {
        let mut freed = 0;
        while let Some((number, _)) = self.held.first() {
            give(Next::Lost(number.wrapping_sub(self.next)));
            self.next = *number;
            freed += self.release(give);
        }
        freed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers given out, losses negative.
    fn taken(order: &mut Order, number: u32) -> Vec<i64> {
        let mut out = Vec::new();
        order.take(7, (number, false), &number.to_le_bytes(), |next| out.push(told(&next)));
        out
    }

    fn drained(order: &mut Order, later: Duration) -> Vec<i64> {
        let mut out = Vec::new();
        order.drained(|| Instant::now() + later, |_, next| out.push(told(&next)));
        out
    }

    const LATE: Duration = Duration::from_secs(60);

    fn told(next: &Next<'_>) -> i64 {
        match next {
            Next::Record(bytes) => i64::from(u32::from_le_bytes((*bytes).try_into().unwrap())),
            Next::Lost(n) => -i64::from(*n),
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
        let mut order = Order::default();
        let mut given = Vec::new();
        order.take(7, (41, true), &41u32.to_le_bytes(), |next| given.push(told(&next)));
        assert_eq!(given, [41]);
        assert_eq!(taken(&mut order, 42), [42]);
    }

    #[test]
    fn numbers_wrap() {
        let mut order = Order::default();
        order.connections.entry(7).or_default().next = u32::MAX;
        assert_eq!(taken(&mut order, 0).len(), 0);
        assert_eq!(taken(&mut order, u32::MAX), [i64::from(u32::MAX), 0]);
    }
}
