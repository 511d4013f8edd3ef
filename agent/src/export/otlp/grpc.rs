//! OTLP/gRPC over tonic.

use std::error::Error as _;
use std::time::Duration;

use bytes::{BufMut, Bytes};
use http::uri::PathAndQuery;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tonic::client::Grpc as GrpcClient;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use super::answer::{Answer, chain};
use super::{Payload, USER_AGENT};
use crate::export::config::{OtlpConfig, Tls};

/// The method of `TraceService`, as in the generated client, which is not used because it takes
/// messages only: each retry would have to copy and encode them again.
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// A connection that is not established in this time will not be.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Finds a peer that went away without a word, before the next request does.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// A receiver reached by gRPC.
#[derive(Debug)]
pub(super) struct Grpc {
    client: GrpcClient<Channel>,
    metadata: MetadataMap,
}

impl Grpc {
    pub(super) fn new(config: &OtlpConfig) -> Result<Self, String> {
        let endpoint = Endpoint::from_shared(config.endpoint.url().to_string())
            .and_then(|endpoint| endpoint.user_agent(USER_AGENT))
            .map_err(|e| chain(&e))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE);
        let endpoint =
            if config.endpoint.is_tls() { secure(endpoint, &config.tls)? } else { endpoint };

        let mut client =
            GrpcClient::new(endpoint.connect_lazy()).accept_compressed(CompressionEncoding::Gzip);
        if config.gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        let headers = config.headers.iter().cloned().collect();
        Ok(Grpc { client, metadata: MetadataMap::from_headers(headers) })
    }

    pub(super) async fn send(&self, payload: &Payload) -> Answer {
        let mut client = self.client.clone();
        if let Err(error) = client.ready().await {
            return Answer::no_answer(chain(&error));
        }
        let mut request = Request::new(payload.body.clone());
        *request.metadata_mut() = self.metadata.clone();
        match client.unary(request, PathAndQuery::from_static(EXPORT), Raw).await {
            Ok(response) => Answer::from(response.into_inner()),
            Err(status) => answer(&status),
        }
    }
}

/// Which statuses may be retried: opentelemetry-proto docs/specification.md, "Failures".
fn answer(status: &Status) -> Answer {
    if let Some(cause) = status.source() {
        // Made on this side, by a connection that failed.
        return Answer::no_answer(chain(cause));
    }
    let error = format!("{}: {}", status.code().description(), status.message());
    if is_too_large(status) {
        return Answer::TooLarge { error };
    }
    let after = status.get_details_retry_info().and_then(|info| info.retry_delay);
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Answer::Later { after, error },
        Code::ResourceExhausted if after.is_some() => Answer::Later { after, error },
        _ => Answer::Refused { error },
    }
}

/// The words of grpc-go, grpc-java and tonic: there is no code for this.
fn is_too_large(status: &Status) -> bool {
    let says = |words| status.message().contains(words);
    match status.code() {
        Code::ResourceExhausted => {
            says("larger than max") || says("exceeds maximum size") || says("too large")
        }
        Code::OutOfRange => says("message length too large"),
        _ => false,
    }
}

fn secure(endpoint: Endpoint, tls: &Tls) -> Result<Endpoint, String> {
    let mut config = ClientTlsConfig::new();
    if let Some(identity) = &tls.identity {
        config = config.identity(Identity::from_pem(&identity.cert, &identity.key));
    }
    if let Some(ca) = &tls.ca {
        return endpoint
            .tls_config(config.ca_certificate(Certificate::from_pem(ca)))
            .map_err(|e| chain(&e));
    }
    // The host's roots know a company's own CA; the built-in ones are there in an image that
    // has none, where asking for the host's fails.
    endpoint
        .clone()
        .tls_config(config.clone().with_enabled_roots())
        .or_else(|_| endpoint.tls_config(config.with_webpki_roots()))
        .map_err(|e| chain(&e))
}

/// Sends bytes that are encoded already; decodes the response.
#[derive(Clone, Copy, Debug)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = ExportTraceServiceResponse;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, body: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(body);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ExportTraceServiceResponse;
    type Error = Status;

    fn decode(&mut self, body: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        // The receiver took the request, whatever it says about it: not to be sent again.
        Ok(Some(ExportTraceServiceResponse::decode(body).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    fn later(status: &Status) -> Option<Option<Duration>> {
        match answer(status) {
            Answer::Later { after, .. } => Some(after),
            _ => None,
        }
    }

    #[test]
    fn retryable_codes_are_those_of_the_specification() {
        let retryable = [1, 4, 10, 11, 14, 15];
        for code in 1..=16 {
            let status = Status::new(Code::from(code), "no");
            assert_eq!(later(&status).is_some(), retryable.contains(&code), "{status}");
        }
    }

    #[test]
    fn retry_info_is_honoured_and_makes_exhaustion_retryable() {
        let wait = Duration::from_secs(7);
        let details = ErrorDetails::with_retry_info(Some(wait));
        for code in [Code::ResourceExhausted, Code::Unavailable] {
            let status = Status::with_error_details(code, "slow down", details.clone());
            assert_eq!(later(&status), Some(Some(wait)));
        }
    }

    #[test]
    fn size_limits_of_the_known_servers() {
        for (code, message) in [
            (
                Code::ResourceExhausted,
                "grpc: received message larger than max (5000001 vs. 4194304)",
            ),
            (Code::ResourceExhausted, "gRPC message exceeds maximum size 4194304: 5000001"),
            (
                Code::OutOfRange,
                "Error, decoded message length too large: found 5000001 bytes, the limit is: 4194304 bytes",
            ),
        ] {
            assert!(
                matches!(answer(&Status::new(code, message)), Answer::TooLarge { .. }),
                "{message}"
            );
        }
    }
}
