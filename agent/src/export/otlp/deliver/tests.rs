use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::super::Transport;
use super::*;
use crate::export::tests::{otlp_config, span};
use crate::stats::{Loss, Stats};
use crate::trace::Span;
use crate::value::Value;

/// Gives scripted answers, then takes everything; notes how many spans came and when.
#[derive(Debug, Default)]
pub(in super::super) struct Script {
    answers: Mutex<VecDeque<Answer>>,
    /// Never takes more than this many spans at once.
    most: Option<usize>,
    seen: Arc<Mutex<Vec<(usize, Instant)>>>,
}

impl Script {
    pub(in super::super) async fn send(&self, payload: &Payload) -> Answer {
        self.seen.lock().expect("no test panics here").push((payload.spans, Instant::now()));
        if self.most.is_some_and(|most| payload.spans > most) {
            return Answer::TooLarge { error: "too large".to_owned() };
        }
        let next = self.answers.lock().expect("no test panics here").pop_front();
        next.unwrap_or(Answer::Taken { rejected: 0, message: String::new() })
    }
}

/// What a delivery did: sizes of the attempts with the time since the first, and the counters.
struct Delivery {
    attempts: Vec<(usize, Duration)>,
    exported: u64,
    failed: u64,
    rejected: u64,
}

async fn deliver(script: Script, spans: Vec<Span>, closing: bool) -> Delivery {
    let stats = Arc::new(Stats::default());
    let seen = Arc::clone(&script.seen);
    let (_keep, closing) = watch::channel(closing);
    let config = otlp_config("http://h:4317", &[]);
    let courier = Courier::new(Client(Transport::Script(script)), &config, closing, Arc::default());
    let custody = Custody::new(spans.len(), Arc::clone(&stats));
    courier.deliver(Encoded::all(&spans), custody).await;
    let seen = seen.lock().expect("no test panics here");
    Delivery {
        attempts: seen.iter().map(|(spans, at)| (*spans, *at - seen[0].1)).collect(),
        exported: stats.exported.load(Ordering::Relaxed),
        failed: stats.lost(Loss::ExportFailed),
        rejected: stats.lost(Loss::ExportRejected),
    }
}

fn spans(n: u64) -> Vec<Span> {
    (0..n).map(span).collect()
}

fn script(answers: impl IntoIterator<Item = Answer>) -> Script {
    Script { answers: Mutex::new(answers.into_iter().collect()), ..Script::default() }
}

fn later(after: Option<Duration>) -> Answer {
    Answer::Later { after, error: "busy".to_owned() }
}

#[tokio::test(start_paused = true)]
async fn backoff_grows_to_its_limit_until_taken() {
    let done = deliver(script(vec![later(None); 20]), spans(3), false).await;
    assert_eq!((done.attempts.len(), done.exported, done.failed), (21, 3, 0));
    let waits: Vec<_> = done.attempts.windows(2).map(|pair| pair[1].1 - pair[0].1).collect();
    for (i, wait) in waits.iter().enumerate() {
        let nominal = (BACKOFF_MIN * 2_u32.pow(i.min(10) as u32)).min(BACKOFF_MAX);
        // The timer counts in milliseconds.
        let slack = Duration::from_millis(2);
        assert!(*wait + slack >= nominal / 2 && *wait <= nominal * 3 / 2 + slack, "{i}: {wait:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn receiver_says_when_within_reason() {
    let asked = Duration::from_secs(20);
    let answers = [later(Some(asked)), later(Some(Duration::from_secs(86_400)))];
    let done = deliver(script(answers), spans(1), false).await;
    let [_, (_, second), (_, third)] = done.attempts[..] else { panic!("three attempts") };
    assert!(second >= asked && second < asked * 2, "{second:?}");
    assert!(third - second >= AFTER_MAX && third - second < AFTER_MAX * 2, "{third:?}");
    assert_eq!(done.exported, 1);
}

#[tokio::test(start_paused = true)]
async fn given_up_when_the_budget_is_spent() {
    let done = deliver(script(vec![later(None); 10_000]), spans(7), false).await;
    assert_eq!((done.exported, done.failed), (0, 7));
    let last = done.attempts.last().expect("there were attempts").1;
    assert!(last <= Duration::from_secs(300), "{last:?}");
    assert!(last >= Duration::from_secs(290), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn refused_and_rejected_are_never_retried() {
    let refused = Answer::Refused { error: "bad".to_owned() };
    let done = deliver(script([refused]), spans(5), false).await;
    assert_eq!((done.attempts.len(), done.exported, done.failed), (1, 0, 5));

    let partial = Answer::Taken { rejected: 2, message: "two are odd".to_owned() };
    let done = deliver(script([partial]), spans(5), false).await;
    assert_eq!((done.attempts.len(), done.exported, done.rejected), (1, 3, 2));
    // More than were sent: servers count wrongly, too.
    let partial = Answer::Taken { rejected: 99, message: String::new() };
    let done = deliver(script([partial]), spans(5), false).await;
    assert_eq!((done.exported, done.failed, done.rejected), (0, 0, 5));
}

#[tokio::test(start_paused = true)]
async fn split_until_the_receiver_takes_it() {
    let done = deliver(Script { most: Some(3), ..Script::default() }, spans(10), false).await;
    let sizes: Vec<_> = done.attempts.iter().map(|(spans, _)| *spans).collect();
    assert_eq!(sizes, [10, 5, 2, 3, 5, 2, 3]);
    assert_eq!((done.exported, done.failed), (10, 0));

    let done = deliver(Script { most: Some(0), ..Script::default() }, spans(3), false).await;
    assert_eq!((done.exported, done.failed), (0, 3), "single spans that are too large are lost");
}

#[tokio::test(start_paused = true)]
async fn large_requests_are_split_before_they_are_sent() {
    let mut spans = spans(4);
    for span in &mut spans {
        span.attributes.push(("x", Value::Text("x".repeat(MAX_BYTES * 2 / 5).into())));
    }
    spans[3].attributes.push(("y", Value::Text("y".repeat(MAX_BYTES).into())));
    let done = deliver(Script::default(), spans, false).await;
    let sizes: Vec<_> = done.attempts.iter().map(|(spans, _)| *spans).collect();
    assert_eq!(sizes, [2, 1]);
    assert_eq!((done.exported, done.failed), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn end_of_the_agent_cuts_waits_short() {
    let asked = Duration::from_secs(50);
    let done = deliver(script([later(Some(asked)), later(None)]), spans(1), true).await;
    let [_, _, (_, third)] = done.attempts[..] else { panic!("three attempts") };
    assert!(third <= 3 * BACKOFF_CLOSING, "{third:?}");
    assert_eq!(done.exported, 1);
}
