//! Sends spans to an OTLP receiver.
//!
//! One task gathers batches from the queue; a few tasks deliver them. While a receiver is away
//! the batches in hand are retried and the queue keeps what it can hold, so that a receiver that
//! comes back gets all of it; what the queue cannot hold is shed there and counted.

mod answer;
#[cfg(test)]
mod convert;
mod custody;
mod deliver;
mod encode;
mod grpc;
mod http;
mod payload;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use crate::export::Unreached;
use crate::export::config::{OtlpConfig, Protocol};
use crate::export::queue::Queue;
use crate::stats::Stats;
use answer::Answer;
use custody::Custody;
use deliver::Courier;
pub(super) use encode::Encoded;
use payload::Payload;

/// Requests under way at once.
///
/// One slow request must not stall the others; more than a few would only queue in the receiver
/// and, while it is away, hold memory outside the bounded queue.
const IN_FLIGHT: usize = 4;

/// An error that keeps the exporter from being built.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// TLS or the HTTP client cannot be set up with this configuration.
    #[error("cannot set up the OTLP client for {endpoint}: {reason}; check certificates and URL")]
    Setup {
        /// The receiver.
        endpoint: String,
        /// What came back.
        reason: String,
    },
}

/// A connection to a receiver, by either protocol. Connects at the first request.
#[derive(Debug)]
pub(super) struct Client(Transport);

#[derive(Debug)]
enum Transport {
    Grpc(grpc::Grpc),
    Http(http::Http),
    /// Answers without a network, for tests of what is made of answers.
    #[cfg(test)]
    Script(deliver::tests::Script),
}

impl Client {
    /// Must be called inside the runtime that will send.
    pub(super) fn new(config: &OtlpConfig) -> Result<Self, ClientError> {
        match config.protocol {
            Protocol::Grpc => grpc::Grpc::new(config).map(Transport::Grpc),
            Protocol::HttpProtobuf => http::Http::new(config).map(Transport::Http),
        }
        .map(Client)
        .map_err(|reason| ClientError::Setup { endpoint: config.endpoint.to_string(), reason })
    }

    /// Asks for nothing, to hear whether anybody answers.
    pub(super) async fn knock(&self) -> Result<(), Unreached> {
        match self.send(&Payload::new(Vec::new())).await {
            Answer::Taken { .. } => Ok(()),
            Answer::Later { error, .. } => Err(Unreached::NoAnswer(error)),
            Answer::TooLarge { error } | Answer::Refused { error } => {
                Err(Unreached::Refused(error))
            }
        }
    }

    /// One attempt.
    async fn send(&self, payload: &Payload) -> Answer {
        match &self.0 {
            Transport::Grpc(client) => client.send(payload).await,
            Transport::Http(client) => client.send(payload).await,
            #[cfg(test)]
            Transport::Script(script) => script.send(payload).await,
        }
    }
}

/// Name of this exporter to the receiver (specification, protocol/exporter.md "User Agent").
const USER_AGENT: &str = concat!(
    "tracebee/",
    env!("CARGO_PKG_VERSION"),
    " OTel-OTLP-Exporter-Rust/",
    env!("CARGO_PKG_VERSION")
);

/// Exports until the queue is closed and empty and the last request is answered.
///
/// `closing` turns true when the queue is closed: deliveries then stop waiting for better times.
pub(super) async fn run(
    queue: Arc<Queue<Encoded>>,
    client: Client,
    config: OtlpConfig,
    stats: Arc<Stats>,
    closing: watch::Receiver<bool>,
) {
    let max_batch = config.max_batch.get();
    let delay = config.schedule_delay;
    let courier = Arc::new(Courier::new(client, &config, closing, Arc::clone(&stats)));
    let slots = Arc::new(Semaphore::new(IN_FLIGHT));
    while queue.wait_for(1).await {
        gather(&queue, max_batch, delay).await;
        // Never closed: acquiring cannot fail.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let spans = queue.take(max_batch);
        let custody = Custody::new(spans.len(), Arc::clone(&stats));
        let courier = Arc::clone(&courier);
        tokio::spawn(async move {
            courier.deliver(spans, custody).await;
            drop(slot);
        });
    }
    // All slots are free when all deliveries have ended.
    _ = slots.acquire_many(IN_FLIGHT as u32).await;
}

/// Lets others join the spans that wait, until a batch is full or the oldest waited long enough.
async fn gather(queue: &Queue<Encoded>, max_batch: usize, delay: Duration) {
    _ = tokio::time::timeout(delay, queue.wait_for(max_batch)).await;
}
