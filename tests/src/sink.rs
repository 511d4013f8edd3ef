//! An OTLP receiver for suites and benchmarks: gRPC and HTTP/protobuf on one port each.
//!
//! It counts always and keeps spans if asked to. It can be stopped and started again on the same
//! ports, as a receiver in trouble would.

use std::collections::HashSet;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1 as proto;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::CompressionEncoding;
use tonic::{Request, Response, Status};

use crate::paths::free_port;
use crate::span::{Kind, Span, from_proto};

/// Largest request that is accepted: far more than any agent should send at once.
const MAX_REQUEST: usize = 64 << 20;

/// What a receiver remembers of spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Only how many there were: for benchmarks.
    #[default]
    Nothing,
    /// Their ids, so that one that came twice counts once.
    Ids,
    /// Everything.
    Spans,
}

/// What was received so far.
#[derive(Debug, Default)]
pub struct Received {
    /// Export requests.
    pub requests: AtomicU64,
    /// Spans in them.
    pub spans: AtomicU64,
    /// Client spans among these.
    pub clients: AtomicU64,
    /// Server spans that have a parent.
    pub linked: AtomicU64,
    /// Requests that could not be understood.
    pub invalid: AtomicU64,
    keep: Keep,
    kept: Mutex<Vec<Span>>,
    ids: Mutex<HashSet<Vec<u8>>>,
    /// Why the first invalid request was invalid.
    problem: Mutex<Option<String>>,
}

impl Received {
    fn take(&self, request: ExportTraceServiceRequest) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        match self.keep {
            Keep::Nothing => return self.count(&request),
            Keep::Ids => {
                self.count(&request);
                return lock(&self.ids).extend(spans(&request).map(|span| span.span_id.clone()));
            }
            Keep::Spans => {}
        }
        match from_proto(request) {
            Ok(spans) => {
                for span in &spans {
                    self.count_span(span.kind == Kind::Client, span.parent.is_some());
                }
                lock(&self.kept).extend(spans);
            }
            Err(error) => self.refuse(format!("{error:#}")),
        }
    }

    /// Counts without unpacking: a benchmark's receiver must be cheap.
    fn count(&self, request: &ExportTraceServiceRequest) {
        for span in spans(request) {
            self.count_span(span.kind == 3, !span.parent_span_id.is_empty());
        }
    }

    fn count_span(&self, client: bool, parent: bool) {
        self.spans.fetch_add(1, Ordering::Relaxed);
        self.clients.fetch_add(u64::from(client), Ordering::Relaxed);
        self.linked.fetch_add(u64::from(!client && parent), Ordering::Relaxed);
    }

    fn refuse(&self, problem: String) {
        self.invalid.fetch_add(1, Ordering::Relaxed);
        lock(&self.problem).get_or_insert(problem);
    }

    /// Requests received so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Spans received so far.
    pub fn spans(&self) -> u64 {
        self.spans.load(Ordering::Relaxed)
    }

    /// Takes the spans that were kept.
    pub fn take_spans(&self) -> Vec<Span> {
        std::mem::take(&mut *lock(&self.kept))
    }

    /// How many different spans there were, with [`Keep::Ids`].
    pub fn different(&self) -> u64 {
        lock(&self.ids).len() as u64
    }

    /// Why a request was not understood, if one was not.
    pub fn problem(&self) -> Option<String> {
        lock(&self.problem).clone()
    }
}

fn spans(request: &ExportTraceServiceRequest) -> impl Iterator<Item = &proto::Span> {
    let scopes = request.resource_spans.iter().flat_map(|group| &group.scope_spans);
    scopes.flat_map(|scope| &scope.spans)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A receiver on 127.0.0.1.
#[derive(Debug)]
pub struct Sink {
    grpc: u16,
    http: u16,
    received: Arc<Received>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Sink {
    /// Starts a receiver.
    pub fn start(keep: Keep) -> Result<Self> {
        let received = Received { keep, ..Received::default() };
        let (grpc, http) = (free_port(), free_port());
        let mut sink = Self { grpc, http, received: Arc::new(received), running: None };
        sink.resume()?;
        Ok(sink)
    }

    /// Endpoint for `--otlp-endpoint` with gRPC.
    pub fn grpc(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc)
    }

    /// Endpoint for `--otlp-endpoint` with `--otlp-protocol http/protobuf`.
    pub fn http(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    /// What came in.
    pub fn received(&self) -> &Received {
        &self.received
    }

    /// Stops listening and cuts every connection.
    pub fn cut(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            let _ = stop.send(());
            let _ = thread.join();
        }
    }

    /// Listens again on the same ports.
    pub fn resume(&mut self) -> Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        let (stop, stopped) = oneshot::channel();
        let (started, starting) = std::sync::mpsc::channel();
        let (grpc, http, received) = (self.grpc, self.http, self.received.clone());
        let thread = std::thread::Builder::new().name("sink".into()).spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(started.send(Err(error.into()))),
            };
            runtime.block_on(async {
                match serve(grpc, http, received).await {
                    Ok(()) => drop(started.send(Ok(()))),
                    Err(error) => return drop(started.send(Err(error))),
                }
                let _ = stopped.await;
            });
            // Dropping the runtime drops every task, and so every connection, at once.
        })?;
        starting.recv().context("the receiver's thread ended")??;
        self.running = Some((stop, thread));
        Ok(())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.cut();
    }
}

async fn serve(grpc: u16, http: u16, received: Arc<Received>) -> Result<()> {
    let bind = async |port| {
        TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
            .await
            .with_context(|| format!("listen on port {port}"))
    };
    let (grpc, http) = (bind(grpc).await?, bind(http).await?);
    let service = TraceServiceServer::new(Grpc(received.clone()))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MAX_REQUEST);
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(grpc)),
    );
    let router = axum::Router::new()
        .route("/v1/traces", axum::routing::post(http_export))
        .layer(DefaultBodyLimit::max(MAX_REQUEST))
        .with_state(received);
    tokio::spawn(async move { axum::serve(http, router).await });
    Ok(())
}

struct Grpc(Arc<Received>);

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.take(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn http_export(
    State(received): State<Arc<Received>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, [(header::HeaderName, &'static str); 1], Vec<u8>) {
    let kind = [(header::CONTENT_TYPE, "application/x-protobuf")];
    let decoded = if headers.get(header::CONTENT_ENCODING).is_some_and(|value| value == "gzip") {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&body[..])
            .take(MAX_REQUEST as u64)
            .read_to_end(&mut plain)
            .map(|_| Bytes::from(plain))
            .map_err(|error| error.to_string())
    } else {
        Ok(body)
    };
    let request = decoded.and_then(|bytes| {
        ExportTraceServiceRequest::decode(bytes).map_err(|error| error.to_string())
    });
    match request {
        Ok(request) => {
            received.take(request);
            (StatusCode::OK, kind, ExportTraceServiceResponse::default().encode_to_vec())
        }
        Err(problem) => {
            received.refuse(problem);
            (StatusCode::BAD_REQUEST, kind, Vec::new())
        }
    }
}
