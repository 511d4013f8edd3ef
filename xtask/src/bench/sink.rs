//! An OTLP/gRPC receiver that counts spans and does nothing else with them.
//!
//! A process of its own, so that its processor time can be told. It never decodes a span: that
//! would cost about as much as the agent's encoding, and a receiver is not what is measured.

mod count;

use std::convert::Infallible;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tracebee_tests::process::Process;

/// How often it says what it counted.
const SAY: Duration = Duration::from_millis(20);
/// Largest request that it takes; the agent's stay below 4 MB.
const MAX_REQUEST: usize = 16 << 20;
/// How long spans may be on their way after the load ended: the agent's queue at its pace.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(10);
/// Nothing came for so long: nothing comes any more. An unfilled batch waits for a second.
const QUIET: Duration = Duration::from_millis(1500);

/// A running receiver.
pub(super) struct Sink {
    process: Process,
    port: u16,
}

impl Sink {
    /// Starts `xtask sink`.
    pub(super) fn start(xtask: &Path, dir: &Path) -> Result<Self> {
        let mut process = Process::spawn("sink", dir, Command::new(xtask).arg("sink"))?;
        process.wait_until("port of the receiver", Duration::from_secs(10), |process| {
            process.stdout().contains('\n')
        })?;
        let text = process.stdout();
        let port = text.lines().next().and_then(|line| line.parse().ok());
        Ok(Self { process, port: port.context("the receiver did not name its port")? })
    }

    /// For `--otlp-endpoint`.
    pub(super) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Spans received so far.
    pub(super) fn spans(&self) -> u64 {
        let text = self.process.stdout();
        // The last line may be half written.
        let complete = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        complete.lines().skip(1).last().and_then(|line| line.parse().ok()).unwrap_or_default()
    }

    /// Spans received when no more came.
    pub(super) fn settled(&self) -> u64 {
        let deadline = Instant::now() + ARRIVAL_LIMIT;
        let (mut spans, mut since) = (self.spans(), Instant::now());
        while since.elapsed() < QUIET && Instant::now() < deadline {
            std::thread::sleep(SAY);
            let now = self.spans();
            if now != spans {
                (spans, since) = (now, Instant::now());
            }
        }
        spans
    }
}

/// Runs the receiver: first says its port, then, whenever it changed, how many spans came.
pub(crate) fn serve() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listen")?;
        say(listener.local_addr()?.port().into())?;
        let spans = Arc::new(AtomicU64::new(0));
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(Counter(Arc::clone(&spans)))
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        let mut said = 0;
        loop {
            tokio::time::sleep(SAY).await;
            let now = spans.load(Ordering::Relaxed);
            if now != said {
                say(now)?;
                said = now;
            }
        }
    })
}

fn say(number: u64) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{number}")?;
    Ok(stdout.flush()?)
}

/// `TraceService` by hand: the generated one takes decoded messages only.
#[derive(Clone)]
struct Counter(Arc<AtomicU64>);

impl NamedService for Counter {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl Service<http::Request<Body>> for Counter {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = Export(Arc::clone(&self.0));
        Box::pin(async move {
            let mut grpc = Grpc::new(count::Codec).max_decoding_message_size(MAX_REQUEST);
            Ok(grpc.unary(method, request).await)
        })
    }
}

struct Export(Arc<AtomicU64>);

impl UnaryService<u64> for Export {
    type Response = ();
    type Future = std::future::Ready<Result<Response<()>, Status>>;

    fn call(&mut self, spans: Request<u64>) -> Self::Future {
        self.0.fetch_add(spans.into_inner(), Ordering::Relaxed);
        std::future::ready(Ok(Response::new(())))
    }
}
