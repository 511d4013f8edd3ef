//! OTLP receivers inside the test: gRPC by tonic, HTTP by hand. Both follow a script.

use std::collections::VecDeque;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::super::Protocol;

/// What the receiver does with a request.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Partial(i64),
    /// Overloaded: come back after this long (whole seconds over HTTP).
    Busy(Option<Duration>),
    TooLarge,
    Bad,
    /// No answer, ever.
    Hang,
}

/// Certificates of a private CA, for both ends; PEM.
pub(super) struct Pki {
    pub(super) ca: String,
    pub(super) server: (String, String),
    pub(super) client: (String, String),
}

/// A running receiver; it stops when dropped.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

/// A request that came: its headers (names in lower case) and what was in it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) head: Vec<(String, String)>,
    /// Request line of HTTP.
    pub(super) path: String,
    pub(super) request: ExportTraceServiceRequest,
}

#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<Reply>>,
    taken: Mutex<Vec<Seen>>,
}

/// Longest wait for anything in these tests; only reached when they fail.
const PATIENCE: Duration = Duration::from_secs(30);

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl Receiver {
    pub(super) fn start(protocol: Protocol, script: Vec<Reply>) -> Self {
        Self::start_at(protocol, script, None, "127.0.0.1:0")
    }

    pub(super) fn start_at(
        protocol: Protocol,
        script: Vec<Reply>,
        pki: Option<&Pki>,
        address: &str,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind(address)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared { script: Mutex::new(script.into()), ..Shared::default() });
        match protocol {
            Protocol::Grpc => runtime.spawn(grpc(listener, Arc::clone(&shared), tls_of_tonic(pki))),
            Protocol::HttpProtobuf => {
                runtime.spawn(http(listener, Arc::clone(&shared), pki.map(tls_of_rustls)))
            }
        };
        Receiver { address, shared, _runtime: runtime }
    }

    /// Requests that were taken.
    pub(super) fn taken(&self) -> Vec<Seen> {
        self.shared.taken.lock().expect("no test panics here").clone()
    }

    /// Ids of all spans that were taken, in order of arrival.
    pub(super) fn span_ids(&self) -> Vec<u64> {
        self.taken()
            .into_iter()
            .flat_map(|seen| super::flatten(seen.request))
            .map(|(_, span)| {
                u64::from_be_bytes(span.span_id.try_into().expect("span ids have 8 bytes"))
            })
            .collect()
    }

    /// Waits until `n` spans were taken; returns their ids sorted.
    pub(super) fn wait_for_spans(&self, n: usize) -> Vec<u64> {
        let end = Instant::now() + PATIENCE;
        loop {
            let mut ids = self.span_ids();
            if ids.len() >= n || Instant::now() > end {
                ids.sort_unstable();
                return ids;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Shared {
    fn next(&self) -> Option<Reply> {
        self.script.lock().expect("no test panics here").pop_front()
    }

    fn take(&self, seen: Seen) {
        self.taken.lock().expect("no test panics here").push(seen);
    }
}

impl Pki {
    pub(super) fn new() -> Self {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
        let ca_key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&ca_key).expect("a CA").pem();
        let issuer = Issuer::new(params, ca_key);
        let leaf = |names: &[&str]| {
            let key = KeyPair::generate().expect("a key");
            let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            let params = CertificateParams::new(names).expect("names");
            (params.signed_by(&key, &issuer).expect("a certificate").pem(), key.serialize_pem())
        };
        Pki { ca, server: leaf(&["localhost"]), client: leaf(&["agent"]) }
    }
}

// === gRPC

struct Service(Arc<Shared>);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let rejected_spans = match self.0.next() {
            None => 0,
            Some(Reply::Partial(rejected)) => rejected,
            Some(Reply::Busy(Some(wait))) => {
                let details = ErrorDetails::with_retry_info(Some(wait));
                return Err(Status::with_error_details(Code::ResourceExhausted, "busy", details));
            }
            Some(Reply::Busy(None)) => return Err(Status::unavailable("busy")),
            Some(Reply::TooLarge) => {
                return Err(Status::resource_exhausted("grpc: received message larger than max"));
            }
            Some(Reply::Bad) => return Err(Status::invalid_argument("bad")),
            Some(Reply::Hang) => std::future::pending().await,
        };
        let head = request
            .metadata()
            .clone()
            .into_headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
            .collect();
        self.0.take(Seen { head, path: String::new(), request: request.into_inner() });
        Ok(Response::new(response(rejected_spans)))
    }
}

async fn grpc(listener: TcpListener, shared: Arc<Shared>, tls: Option<ServerTlsConfig>) {
    let mut server = Server::builder();
    if let Some(tls) = tls {
        server = server.tls_config(tls).expect("valid certificates");
    }
    let service = TraceServiceServer::new(Service(shared))
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    server
        .add_service(service)
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await
        .expect("the server runs until it is dropped");
}

fn tls_of_tonic(pki: Option<&Pki>) -> Option<ServerTlsConfig> {
    let pki = pki?;
    Some(
        ServerTlsConfig::new()
            .identity(Identity::from_pem(&pki.server.0, &pki.server.1))
            .client_ca_root(Certificate::from_pem(&pki.ca)),
    )
}

// === HTTP

async fn http(listener: TcpListener, shared: Arc<Shared>, tls: Option<TlsAcceptor>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        let tls = tls.clone();
        tokio::spawn(async move {
            match tls {
                None => serve(stream, &shared).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, &shared).await;
                    }
                }
            }
        });
    }
}

/// HTTP/1.1 with keep-alive and Content-Length, as much as the exporter needs.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) {
    let mut buffer = BytesMut::new();
    loop {
        let head_end = loop {
            if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            match stream.read_buf(&mut buffer).await {
                Ok(n) if n > 0 => {}
                _ => return,
            }
        };
        let head = buffer.split_to(head_end);
        let head = std::str::from_utf8(&head).expect("heads are ASCII");
        let mut lines = head.lines();
        let path = lines.next().expect("a request line").to_owned();
        let head: Vec<_> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let header = |name: &str| head.iter().find(|(key, _)| key == name).map(|(_, v)| v.as_str());
        let length: usize =
            header("content-length").and_then(|n| n.parse().ok()).expect("a length");
        while buffer.len() < length {
            match stream.read_buf(&mut buffer).await {
                Ok(n) if n > 0 => {}
                _ => return,
            }
        }
        let mut body = buffer.split_to(length).to_vec();
        if header("content-encoding") == Some("gzip") {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).expect("gzip");
            body = plain;
        }
        let seen = Seen {
            request: ExportTraceServiceRequest::decode(&body[..]).expect("protobuf"),
            path,
            head,
        };
        let Some(reply) = reply(shared, seen).await else { return };
        if stream.write_all(&reply).await.is_err() {
            return;
        }
    }
}

async fn reply(shared: &Shared, seen: Seen) -> Option<Vec<u8>> {
    let fail =
        |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes();
    let rejected = match shared.next() {
        None => 0,
        Some(Reply::Partial(rejected)) => rejected,
        Some(Reply::Busy(after)) => {
            let after =
                after.map_or(String::new(), |wait| format!("\r\nRetry-After: {}", wait.as_secs()));
            return Some(fail(&format!("503 Service Unavailable{after}")));
        }
        Some(Reply::TooLarge) => return Some(fail("413 Content Too Large")),
        Some(Reply::Bad) => return Some(fail("400 Bad Request")),
        Some(Reply::Hang) => std::future::pending().await,
    };
    shared.take(seen);
    let body = response(rejected).encode_to_vec();
    let mut reply =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    reply.extend(body);
    Some(reply)
}

fn tls_of_rustls(pki: &Pki) -> TlsAcceptor {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::server::WebPkiClientVerifier;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate =
        |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate(&pki.ca)).expect("a CA");
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .expect("a verifier");
    let key = PrivateKeyDer::from_pem_slice(pki.server.1.as_bytes()).expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate(&pki.server.0)], key)
        .expect("a key that fits");
    TlsAcceptor::from(Arc::new(config))
}

fn response(rejected_spans: i64) -> ExportTraceServiceResponse {
    ExportTraceServiceResponse {
        partial_success: (rejected_spans > 0).then(|| ExportTracePartialSuccess {
            rejected_spans,
            error_message: "some are odd".to_owned(),
        }),
    }
}
