//! What a receiver's answer means for the spans that were sent.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;

/// The outcome of one attempt (opentelemetry-proto docs/specification.md, "OTLP/gRPC Response",
/// "OTLP/HTTP Response").
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Taken, but for `rejected` spans. Never to be retried.
    Taken {
        rejected: u64,
        /// A warning or a reason; empty if there is none.
        message: String,
    },
    /// Try again later, not before `after` if the receiver says so.
    Later { after: Option<Duration>, error: String },
    /// Too large: try in parts.
    TooLarge { error: String },
    /// Refused for good.
    Refused { error: String },
}

impl From<ExportTraceServiceResponse> for Answer {
    fn from(response: ExportTraceServiceResponse) -> Self {
        let partial = response.partial_success.unwrap_or_default();
        Answer::Taken {
            rejected: u64::try_from(partial.rejected_spans).unwrap_or(0),
            message: partial.error_message,
        }
    }
}

impl Answer {
    /// Connection trouble or no answer in time: nobody knows whether the spans arrived, and a
    /// span that arrives twice is less harm than one that never does.
    pub(super) fn no_answer(error: impl Into<String>) -> Self {
        Answer::Later { after: None, error: error.into() }
    }
}

/// An error with its causes on one line; transports hide the interesting part in the last one.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
