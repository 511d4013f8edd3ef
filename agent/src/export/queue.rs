//! The bounded queue between the pipeline thread and one sink.
//!
//! A push never waits: what does not fit is dropped, newest first, and counted. What a span
//! looks like in a queue is the sink's choice.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::stats::{Loss, Stats};
use crate::trace::Span;
use crate::value::Value;

/// How much a queue may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// A number of spans (`OTEL_BSP_MAX_QUEUE_SIZE`).
    Spans(NonZeroUsize),
    /// Approximate bytes of memory.
    Bytes(usize),
}

/// What one queue may hold by default: about 20,000 spans of a whole host.
///
/// The 2,048 spans of the OpenTelemetry SDKs are sized for one service. At 1,000 calls a second
/// this much bridges a receiver that restarts for 10 to 20 seconds.
pub const QUEUE_BYTES: usize = 16 << 20;

impl Default for Limit {
    fn default() -> Self {
        Limit::Bytes(QUEUE_BYTES)
    }
}

/// How much waits in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// How many spans.
    pub spans: u64,
    /// Approximate bytes of memory that they take.
    pub bytes: u64,
}

/// A span as it waits for its sink.
pub(super) trait Item {
    /// Approximate bytes of memory that it takes.
    fn size(&self) -> usize;
}

/// A bounded queue of spans: many may push, one takes.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    /// Wakes a consumer that is a task.
    filled: Notify,
    /// Wakes a consumer that is a thread.
    filled_blocking: Condvar,
    limit: Limit,
    stats: Arc<Stats>,
}

#[derive(Debug)]
struct State<T> {
    spans: VecDeque<T>,
    /// The sum of their sizes.
    bytes: usize,
    /// How many spans the consumer waits for; it is woken once, when they are there.
    wanted: usize,
    /// Nothing more comes in.
    closed: bool,
    /// Nobody wants what would.
    abandoned: bool,
}

/// Nobody waits.
const NOBODY: usize = usize::MAX;

impl<T> Default for State<T> {
    fn default() -> Self {
        State { spans: VecDeque::new(), bytes: 0, wanted: NOBODY, closed: false, abandoned: false }
    }
}

impl<T: Item> Queue<T> {
    /// An empty queue; what it drops is counted in `stats`.
    pub(super) fn new(limit: Limit, stats: Arc<Stats>) -> Self {
        Queue {
            state: Mutex::default(),
            filled: Notify::new(),
            filled_blocking: Condvar::new(),
            limit,
            stats,
        }
    }

    /// Takes as many of `spans` as fit, in order; counts the others as [`Loss::QueueFull`].
    ///
    /// The lock is held for pointer moves only. What comes after [`Queue::close`] is counted as
    /// [`Loss::ExportFailed`], after [`Queue::abandon`] not at all.
    pub(super) fn push(&self, spans: Vec<T>) {
        let mut state = self.lock();
        if state.closed {
            if !state.abandoned {
                self.stats.lose(Loss::ExportFailed, spans.len() as u64);
            }
            return;
        }
        let mut dropped = 0;
        for span in spans {
            let size = span.size();
            let fits = match self.limit {
                Limit::Spans(limit) => state.spans.len() < limit.get(),
                Limit::Bytes(limit) => state.bytes + size <= limit,
            };
            // A shorter one behind it must not overtake one that was dropped.
            if !fits || dropped > 0 {
                dropped += 1;
                continue;
            }
            state.bytes += size;
            state.spans.push_back(span);
        }
        let wake = state.spans.len() >= state.wanted;
        if wake {
            state.wanted = NOBODY;
        }
        drop(state);
        if dropped > 0 {
            self.stats.lose(Loss::QueueFull, dropped);
        }
        if wake {
            self.wake();
        }
    }

    /// Removes and returns at most `max` of the oldest spans.
    pub(super) fn take(&self, max: usize) -> Vec<T> {
        let mut state = self.lock();
        let n = max.min(state.spans.len());
        let spans: Vec<T> = state.spans.drain(..n).collect();
        state.bytes -= spans.iter().map(Item::size).sum::<usize>();
        spans
    }

    /// Ends the queue: what is in it can still be taken, nothing more comes.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.wake();
    }

    /// Ends the queue and drops what is in it, uncounted: nobody wants it any more.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        *state = State { closed: true, abandoned: true, ..State::default() };
        drop(state);
        self.wake();
    }

    /// Waits until the queue holds at least `n` spans or is closed.
    ///
    /// False: it is closed and empty. Cancel-safe.
    pub(super) async fn wait_for(&self, n: usize) -> bool {
        loop {
            let woken = self.filled.notified();
            {
                let mut state = self.lock();
                if state.closed || state.spans.len() >= n {
                    return !state.spans.is_empty();
                }
                state.wanted = n;
            }
            woken.await;
        }
    }

    /// Blocks the calling thread until there is a span or the queue is closed.
    ///
    /// False: it is closed and empty.
    pub(super) fn wait_blocking(&self) -> bool {
        let state = self
            .filled_blocking
            .wait_while(self.lock(), |state| {
                state.wanted = 1;
                !state.closed && state.spans.is_empty()
            })
            .unwrap_or_else(PoisonError::into_inner);
        !state.spans.is_empty()
    }

    /// How many spans wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().spans.len()
    }

    /// How much waits.
    pub(super) fn depth(&self) -> Depth {
        let state = self.lock();
        Depth { spans: state.spans.len() as u64, bytes: state.bytes as u64 }
    }

    /// How full it is, in percent.
    pub(super) fn fill(&self) -> usize {
        let state = self.lock();
        match self.limit {
            Limit::Spans(limit) => state.spans.len().saturating_mul(100) / limit,
            Limit::Bytes(limit) => state.bytes.saturating_mul(100).div_ceil(limit.max(1)),
        }
    }

    /// True if no span waits.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn wake(&self) {
        // notify_one keeps a permit for a consumer that is between two waits.
        self.filled.notify_one();
        self.filled_blocking.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing panics under the lock; even then the state would be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Item for Arc<Span> {
    /// What the span holds alone; shared text (`Arc`) belongs to everybody and counts nothing.
    fn size(&self) -> usize {
        let text: usize = self
            .attributes
            .iter()
            .map(|(_, value)| match value {
                Value::Text(text) => text.len(),
                _ => 0,
            })
            .sum();
        size_of::<Span>()
            + self.attributes.capacity() * size_of::<(&'static str, Value)>()
            + self.trace_state.as_ref().map_or(0, |state| state.len())
            + text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::tests::span;

    fn spans(n: usize) -> Vec<Arc<Span>> {
        (0..n).map(|i| Arc::new(span(i as u64))).collect()
    }

    fn limit(n: usize) -> Limit {
        Limit::Spans(NonZeroUsize::new(n).expect("tests use limits above zero"))
    }

    #[test]
    fn overflow_drops_the_newest_and_counts_them() {
        let stats = Arc::new(Stats::default());
        let queue = Queue::new(limit(10), Arc::clone(&stats));
        let all = spans(17);
        queue.push(all[..8].to_vec());
        queue.push(all[8..].to_vec());
        assert_eq!(queue.len(), 10);
        assert_eq!(stats.lost(Loss::QueueFull), 7);
        assert_eq!(queue.take(100), all[..10]);
        queue.push(all[16..].to_vec());
        assert_eq!(queue.take(100), all[16..]);
        assert_eq!(stats.lost(Loss::QueueFull), 7);
    }

    #[test]
    fn bytes_bound_the_queue_and_come_back() {
        let stats = Arc::new(Stats::default());
        let all = spans(10);
        let size = all[0].size();
        let queue = Queue::new(Limit::Bytes(4 * size), Arc::clone(&stats));
        queue.push(all.clone());
        assert_eq!((queue.len(), stats.lost(Loss::QueueFull)), (4, 6));
        assert_eq!(queue.fill(), 100);
        assert_eq!(queue.take(3).len(), 3);
        queue.push(all.clone());
        assert_eq!((queue.len(), stats.lost(Loss::QueueFull)), (4, 13));
    }

    #[test]
    fn closed_queue_ends_after_its_last_span() {
        let stats = Arc::new(Stats::default());
        let queue = Queue::new(limit(10), Arc::clone(&stats));
        queue.push(spans(1));
        queue.close();
        queue.push(spans(2));
        assert_eq!(stats.lost(Loss::ExportFailed), 2, "too late, but not unseen");
        assert!(queue.wait_blocking());
        assert_eq!(queue.take(9).len(), 1);
        assert!(!queue.wait_blocking());
    }

    #[tokio::test]
    async fn waits_for_a_number_of_spans() {
        let queue = Arc::new(Queue::new(limit(10), Arc::default()));
        let waiter = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move {
                queue.wait_for(3).await;
                queue.len()
            }
        });
        for span in spans(3) {
            tokio::task::yield_now().await;
            assert!(!waiter.is_finished());
            queue.push(vec![span]);
        }
        assert_eq!(waiter.await.expect("the waiter does not panic"), 3);
    }
}
