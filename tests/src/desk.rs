//! The twin of workloads/services/desk.js on tokio: tasks that change threads, and a pool of connections
//! that one hands on to the other.

use std::env;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore};

/// Connections to the other service, fewer than there are requests.
const POOL: usize = 8;
/// Bytes that are asked for.
const ASKED: usize = 10;

struct Pool {
    down: SocketAddr,
    permuted: bool,
    permits: Semaphore,
    idle: Mutex<Vec<TcpStream>>,
}

/// Serves on a port until it is killed. `DOWN` is the base URL of another service, which is asked while
/// it answers.
#[tokio::main]
pub async fn serve(port: u16) -> Result<()> {
    let down = env::var("DOWN").context("DOWN")?;
    let pool = Pool {
        down: down.strip_prefix("http://").context("DOWN without http://")?.parse()?,
        permuted: env::var_os("PERMUTED").is_some(),
        permits: Semaphore::new(POOL),
        idle: Mutex::default(),
    };
    let router = Router::new().route("/work", get(work)).with_state(Arc::new(pool));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    axum::serve(listener, router).await?;
    Ok(())
}

async fn work(State(pool): State<Arc<Pool>>, uri: Uri) -> Result<&'static str, StatusCode> {
    let call = uri.query().and_then(|query| query.strip_prefix("call="));
    let call = call.ok_or(StatusCode::BAD_REQUEST)?;
    let failed = |_| StatusCode::BAD_GATEWAY;
    pool.ask(call, "one").await.map_err(failed)?;
    tokio::time::sleep(Duration::from_millis(call.len() as u64 % 8)).await;
    pool.ask(call, "two").await.map_err(failed)?;
    pool.ask(call, "three").await.map_err(failed)?;
    Ok("{}")
}

impl Pool {
    async fn ask(&self, call: &str, n: &str) -> Result<()> {
        let _permit = self.permits.acquire().await?;
        let idle = self.idle.lock().await.pop();
        let mut stream = match idle {
            Some(stream) => stream,
            None => TcpStream::connect(self.down).await?,
        };
        let call = self.others(call);
        let request =
            format!("GET /bytes/{ASKED}?call={call}.{n} HTTP/1.1\r\nHost: {}\r\n\r\n", self.down);
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        loop {
            let head = answer.windows(4).position(|end| end == b"\r\n\r\n");
            if head.is_some_and(|head| answer.len() >= head + 4 + ASKED) {
                break;
            }
            ensure!(stream.read_buf(&mut answer).await? > 0, "closed");
        }
        self.idle.lock().await.push(stream);
        Ok(())
    }

    /// The id of another request, if ids are permuted: the last digit is one higher.
    fn others(&self, call: &str) -> String {
        let (before, last) = call.split_at(call.len().saturating_sub(1));
        match last.parse::<u8>() {
            Ok(last) if self.permuted => format!("{before}{}", (last + 1) % 10),
            _ => call.to_owned(),
        }
    }
}
