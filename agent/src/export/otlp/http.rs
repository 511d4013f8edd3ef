//! OTLP/HTTP with protobuf bodies over reqwest.

use std::io::Write as _;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use reqwest::{Certificate, Identity, Response, Url, redirect};

use super::answer::{Answer, chain};
use super::{Payload, USER_AGENT};
use crate::export::config::{OtlpConfig, Tls};

/// A connection that is not established in this time will not be.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Responses are small; the specification allows 4 MiB, and more is not worth reading.
const MAX_RESPONSE: usize = 4 << 20;
/// How much of an error's text is shown.
const MAX_ERROR: usize = 200;

/// A receiver reached by HTTP.
#[derive(Debug)]
pub(super) struct Http {
    client: reqwest::Client,
    url: Url,
    headers: HeaderMap,
    gzip: bool,
}

impl Http {
    pub(super) fn new(config: &OtlpConfig) -> Result<Self, String> {
        // Another one is only installed if a program embeds this as a library; it serves as well.
        _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            // The headers may hold credentials: they go where the user said and nowhere else.
            .redirect(redirect::Policy::none());
        let builder =
            if config.endpoint.is_tls() { secure(builder, &config.tls)? } else { builder };

        let mut headers: HeaderMap = config.headers.iter().cloned().collect();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        if config.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(Http {
            client: builder.build().map_err(|e| chain(&e))?,
            url: config.endpoint.url().clone(),
            headers,
            gzip: config.gzip,
        })
    }

    pub(super) async fn send(&self, payload: &Payload) -> Answer {
        let body = if self.gzip { gzip(&payload.body) } else { payload.body.clone() };
        let request = self.client.post(self.url.clone()).headers(self.headers.clone()).body(body);
        match request.send().await {
            Ok(response) => answer(response).await,
            Err(error) => Answer::no_answer(chain(&error.without_url())),
        }
    }
}

/// Which statuses may be retried: opentelemetry-proto docs/specification.md, "Failures".
async fn answer(mut response: Response) -> Answer {
    let status = response.status();
    let after = retry_after(response.headers(), SystemTime::now());
    let body = read(&mut response).await;
    if status.is_success() {
        // The receiver took the request, whatever it says about it: not to be sent again.
        return ExportTraceServiceResponse::decode(body).unwrap_or_default().into();
    }
    let error = describe(status, &body);
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Answer::TooLarge { error },
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Answer::Later { after, error }
        }
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
            Answer::Later { after: None, error }
        }
        _ => Answer::Refused { error },
    }
}

/// Seconds or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let date = httpdate::parse_http_date(value).ok()?;
            // A date that has passed means now.
            Some(date.duration_since(now).unwrap_or_default())
        }
    }
}

/// The body, as far as it came and is wanted. The status alone decides, so errors are the end.
async fn read(response: &mut Response) -> Bytes {
    let mut body = BytesMut::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        if body.len() + chunk.len() > MAX_RESPONSE {
            return Bytes::new();
        }
        body.extend_from_slice(&chunk);
    }
    body.freeze()
}

/// The body of an error is a protobuf `google.rpc.Status`; many servers send text.
fn describe(status: StatusCode, body: &Bytes) -> String {
    let message = tonic_types::Status::decode(body.clone())
        .map(|status| status.message)
        .unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned());
    let message: String =
        message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_ERROR).collect();
    match message.trim() {
        "" => format!("HTTP {status}"),
        message => format!("HTTP {status}: {message}"),
    }
}

/// Fast rather than small: the receiver is near more often than the CPU is idle.
fn gzip(body: &Bytes) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    // Writing to memory does not fail.
    _ = encoder.write_all(body);
    encoder.finish().map(Bytes::from).unwrap_or_default()
}

fn secure(
    mut builder: reqwest::ClientBuilder,
    tls: &Tls,
) -> Result<reqwest::ClientBuilder, String> {
    if let Some(ca) = &tls.ca {
        builder = builder.tls_certs_only(Certificate::from_pem_bundle(ca).map_err(|e| chain(&e))?);
    }
    if let Some(identity) = &tls.identity {
        let pem = [identity.cert.as_slice(), b"\n", identity.key.as_slice()].concat();
        builder = builder.identity(Identity::from_pem(&pem).map_err(|e| chain(&e))?);
    }
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let wait = |value: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            retry_after(&headers, now)
        };
        assert_eq!(wait("120"), Some(Duration::from_secs(120)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:47 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:30 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn errors_are_one_line() {
        let status = StatusCode::BAD_REQUEST;
        assert_eq!(describe(status, &Bytes::new()), "HTTP 400 Bad Request");
        assert_eq!(
            describe(status, &Bytes::from_static(b"no\nway\x1b[2J")),
            "HTTP 400 Bad Request: no way [2J"
        );
        let rpc = tonic_types::Status { code: 3, message: "bad span".into(), details: vec![] };
        assert_eq!(describe(status, &rpc.encode_to_vec().into()), "HTTP 400 Bad Request: bad span");
    }
}
