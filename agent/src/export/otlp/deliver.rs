//! Brings one batch to the receiver: retries, splits, gives up, counts.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::payload::MAX_BYTES;
use super::{Answer, Client, Custody, Encoded, Payload};
use crate::export::config::OtlpConfig;
use crate::export::quiet::Quiet;
use crate::stats::{ExportResult, Stats};

/// First wait before a retry; it doubles each time.
const BACKOFF_MIN: Duration = Duration::from_millis(500);
/// A receiver that is back must not be left alone for long: its queue is our full queue.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Waits while the agent ends: its deadline is short.
const BACKOFF_CLOSING: Duration = Duration::from_millis(100);
/// The longest that a receiver may tell us to wait.
const AFTER_MAX: Duration = Duration::from_secs(60);
/// One line this often about the same trouble.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// Delivers batches. Shared by all deliveries under way.
pub(super) struct Courier {
    client: Client,
    endpoint: String,
    timeout: Option<Duration>,
    retry_budget: Duration,
    closing: watch::Receiver<bool>,
    stats: Arc<Stats>,
    trouble: Quiet,
    dropped: Quiet,
    warned: Quiet,
}

impl Courier {
    pub(super) fn new(
        client: Client,
        config: &OtlpConfig,
        closing: watch::Receiver<bool>,
        stats: Arc<Stats>,
    ) -> Self {
        Courier {
            client,
            endpoint: config.endpoint.to_string(),
            timeout: config.timeout,
            retry_budget: config.retry_budget,
            closing,
            stats,
            trouble: Quiet::new(LOG_EVERY),
            dropped: Quiet::new(LOG_EVERY),
            warned: Quiet::new(LOG_EVERY),
        }
    }

    /// Delivers `spans`, in as many requests as the receiver's size limit asks for.
    pub(super) async fn deliver(&self, spans: Vec<Encoded>, custody: Custody) {
        let give_up = Instant::now() + self.retry_budget;
        // Parts to do, first on top. Custody goes with its part.
        let mut parts = vec![(Payload::new(spans), custody)];
        while let Some((payload, custody)) = parts.pop() {
            let answer = if payload.body.len() > MAX_BYTES {
                Answer::TooLarge { error: format!("{} bytes", payload.body.len()) }
            } else {
                self.send(&payload, give_up).await
            };
            match answer {
                Answer::Taken { rejected, message } => self.taken(custody, rejected, &message),
                Answer::TooLarge { error } => match payload.halves() {
                    Some((first, second)) => {
                        let mut first_custody = custody;
                        let second_custody = first_custody.split(second.spans);
                        parts.push((second, second_custody));
                        parts.push((first, first_custody));
                    }
                    None => self.lost(custody, &error),
                },
                Answer::Later { error, .. } | Answer::Refused { error } => {
                    self.lost(custody, &error);
                }
            }
        }
    }

    /// Sends until there is an answer that is not "later", or the time is up.
    async fn send(&self, payload: &Payload, give_up: Instant) -> Answer {
        let mut backoff = BACKOFF_MIN;
        loop {
            let answer = self.attempt(payload).await;
            let Answer::Later { after, error } = &answer else {
                if self.trouble.end() {
                    tracing::info!("OTLP receiver {} answers again", self.endpoint);
                }
                return answer;
            };
            let wait = match after {
                Some(after) => jitter_up((*after).min(AFTER_MAX)),
                None => jitter(backoff),
            };
            backoff = (backoff * 2).min(BACKOFF_MAX);
            if Instant::now() + wait > give_up {
                return answer;
            }
            if let Some(silenced) = self.trouble.say() {
                tracing::warn!(
                    "OTLP receiver {} does not take spans: {error}; retrying{}",
                    self.endpoint,
                    silenced
                );
            }
            self.pause(wait).await;
        }
    }

    async fn attempt(&self, payload: &Payload) -> Answer {
        let answer = self.answer(payload).await;
        self.stats.answered(match &answer {
            Answer::Taken { .. } => ExportResult::Taken,
            Answer::Later { .. } => ExportResult::Later,
            Answer::TooLarge { .. } => ExportResult::TooLarge,
            Answer::Refused { .. } => ExportResult::Refused,
        });
        answer
    }

    async fn answer(&self, payload: &Payload) -> Answer {
        let Some(timeout) = self.timeout else { return self.client.send(payload).await };
        match tokio::time::timeout(timeout, self.client.send(payload)).await {
            Ok(answer) => answer,
            Err(_) => Answer::no_answer(format!("no answer within {timeout:?}")),
        }
    }

    /// Waits, but not while the agent ends: then only a moment, whatever was asked for.
    async fn pause(&self, wait: Duration) {
        let mut closing = self.closing.clone();
        let ending = tokio::select! {
            () = sleep(wait) => false,
            // A sender that is gone means the end, too.
            _ = closing.wait_for(|closing| *closing) => true,
        };
        if ending {
            sleep(wait.min(BACKOFF_CLOSING)).await;
        }
    }

    fn taken(&self, custody: Custody, rejected: u64, message: &str) {
        custody.delivered(rejected);
        if rejected == 0 && message.is_empty() {
            return;
        }
        if let Some(silenced) = self.warned.say() {
            tracing::warn!(
                "OTLP receiver {} rejected {rejected} spans: {message:?}{silenced}",
                self.endpoint
            );
        }
    }

    /// Drops the spans of `custody`, which counts them.
    fn lost(&self, custody: Custody, error: &str) {
        if let Some(silenced) = self.dropped.say() {
            tracing::warn!(
                "{} spans dropped, OTLP receiver {}: {error}{silenced}",
                custody.spans(),
                self.endpoint
            );
        }
    }
}

/// Half to one and a half of `wait`, so that many agents do not knock at once.
fn jitter(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.5..1.5))
}

/// Never sooner than asked.
fn jitter_up(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(1.0..1.1))
}

#[cfg(test)]
pub(super) mod tests;
