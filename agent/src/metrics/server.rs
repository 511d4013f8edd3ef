//! The HTTP side, on a thread of its own. Whoever asks is bounded in every way: what a request may
//! say, how long it may take, how many there are at once, and how often a page is made.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Connections at once. One more ends the one that has been there longest: a scraper needs a
/// moment, so who holds on longer than 15 others is no scraper.
const MAX_CONNECTIONS: usize = 16;
/// A scraper asks at once and reads at once: Prometheus gives up after 10 s, too.
const MAX_TIME: Duration = Duration::from_secs(10);
/// Bytes of a request head; hyper takes no smaller limit.
const MAX_HEAD: usize = 8 * 1024;
/// A page is made at most this often, however often it is asked for.
const FRESH: Duration = Duration::from_millis(100);
/// After an error that may last (no descriptors): waiting costs less than asking again.
const PAUSE: Duration = Duration::from_millis(100);

/// OpenMetrics, which is also Prometheus' own format in all that is used here.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The page, made anew where it is old.
struct Page<F> {
    render: F,
    last: Option<(Instant, Bytes)>,
}

impl<F: Fn() -> String> Page<F> {
    fn get(&mut self) -> Bytes {
        match &self.last {
            Some((made, page)) if made.elapsed() < FRESH => page.clone(),
            _ => {
                let page = Bytes::from((self.render)());
                self.last = Some((Instant::now(), page.clone()));
                page
            }
        }
    }
}

/// Serves `render`'s page at `/metrics` until the process ends.
///
/// # Errors
/// If no thread can be made.
pub(super) fn start(
    listener: TcpListener,
    render: impl Fn() -> String + Send + 'static,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _entered = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    let page = Arc::new(Mutex::new(Page { render, last: None }));
    thread::Builder::new().name("tracebee-metrics".to_owned()).spawn(move || {
        runtime.block_on(async {
            let mut open: VecDeque<JoinHandle<()>> = VecDeque::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                };
                open.retain(|connection| !connection.is_finished());
                if open.len() >= MAX_CONNECTIONS
                    && let Some(oldest) = open.pop_front()
                {
                    oldest.abort();
                }
                let page = Arc::clone(&page);
                open.push_back(tokio::spawn(async move {
                    // Whoever is not done by now is not answered.
                    _ = tokio::time::timeout(MAX_TIME, serve(stream, page)).await;
                }));
            }
        })
    })?;
    Ok(())
}

/// One request; the connection ends with its answer.
async fn serve<F: Fn() -> String>(stream: TcpStream, page: Arc<Mutex<Page<F>>>) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = answer(&request, &page);
        async { Ok::<_, Infallible>(response) }
    });
    // An error is the other side's.
    _ = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(MAX_HEAD)
        .timer(TokioTimer::new())
        .header_read_timeout(MAX_TIME)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn answer<B, F: Fn() -> String>(
    request: &Request<B>,
    page: &Mutex<Page<F>>,
) -> Response<Full<Bytes>> {
    let plain = |status, text: &'static str| {
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        response
    };
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "the metrics are at /metrics\n");
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    }
    let page = page.lock().unwrap_or_else(PoisonError::into_inner).get();
    let mut response = Response::new(Full::new(page));
    let content_type = header::HeaderValue::from_static(CONTENT_TYPE);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpStream};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn started() -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let made = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&made);
        start(listener, move || {
            count.fetch_add(1, Ordering::Relaxed);
            "# EOF\n".to_owned()
        })
        .expect("a thread");
        (address, made)
    }

    fn ask(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(MAX_TIME * 2)).expect("a timeout");
        // A server that has heard enough may close before all is written.
        _ = stream.write_all(request);
        let mut answer = Vec::new();
        _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[test]
    fn answers() {
        let (address, _) = started();
        let page = ask(address, b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n");
        assert!(page.starts_with("HTTP/1.1 200 ") && page.ends_with("\r\n\r\n# EOF\n"), "{page}");
        assert!(page.contains(CONTENT_TYPE), "{page}");
        let head = ask(address, b"HEAD /metrics HTTP/1.0\r\n\r\n");
        assert!(head.contains(" 200 ") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(ask(address, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").contains(" 404 "));
        assert!(ask(address, b"POST /metrics HTTP/1.1\r\nhost: a\r\n\r\n").contains(" 405 "));
        assert!(ask(address, b"\x16\x03\x01 no http\r\n\r\n").contains(" 400 "));
    }

    #[test]
    fn a_head_is_bounded() {
        let (address, _) = started();
        let mut request = b"GET /metrics HTTP/1.1\r\nhost: ".to_vec();
        request.resize(4 * MAX_HEAD, b'a');
        assert!(!ask(address, &request).contains(" 200 "));
    }

    #[test]
    fn who_holds_on_makes_room() {
        let (address, _) = started();
        let held: Vec<TcpStream> = (0..10 * MAX_CONNECTIONS)
            .map(|_| {
                let mut stream = TcpStream::connect(address).expect("it listens");
                stream.write_all(b"GET /metr").expect("room in the socket");
                stream
            })
            .collect();
        assert!(ask(address, b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n").contains(" 200 "));
        let mut first = &held[0];
        first.set_read_timeout(Some(MAX_TIME * 2)).expect("a timeout");
        let ended = first.read(&mut [0; 64]);
        assert!(matches!(ended, Ok(0) | Err(_)), "the first is ended without an answer: {ended:?}");
    }

    #[test]
    fn pages_are_made_now_and_then() {
        let made = AtomicUsize::new(0);
        let render = || {
            made.fetch_add(1, Ordering::Relaxed);
            String::new()
        };
        let mut page = Page { render, last: None };
        page.get();
        let (first, _) = page.last.clone().expect("kept");
        page.last = Some((first + Duration::from_secs(3600), Bytes::new()));
        page.get();
        assert_eq!(made.load(Ordering::Relaxed), 1, "it is fresh");
        page.last = first.checked_sub(FRESH * 2).map(|old| (old, Bytes::new()));
        page.get();
        assert_eq!(made.load(Ordering::Relaxed), 2);
    }
}
