//! Accepting connections, with a bound on how many, and on how long each step of a client may take.

use std::future::Future;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::backend::Backend;
use super::peer::Peer;
use super::routes::{self, Control};
use super::seats::{Seated, Seats};
use super::stream::Stream;

/// How long to wait before accepting again when the kernel has no descriptors for us.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Headers of a request. One with more is refused with 431.
const MAX_HEADERS: usize = 64;

/// Bytes of a request's head. A longer one is refused with 431.
const MAX_HEAD: usize = 32 * 1024;

/// The bounds of the control API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once. For a further one the oldest that is not being served is closed; where all are, it waits in
    /// the kernel until one ends.
    pub connections: usize,
    /// From connecting, or from the last answer, to the last byte of a request's head. Then the connection is closed,
    /// so this is also how long an idle one is kept.
    pub head: Duration,
    /// From the head to the last byte of the body. Then the answer is 408.
    pub body: Duration,
    /// Without progress while an answer is written. Then the connection is closed.
    pub write: Duration,
    /// For connections that are open when the server stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            head: Duration::from_secs(10),
            body: Duration::from_secs(20),
            write: Duration::from_secs(20),
            drain: Duration::from_secs(5),
        }
    }
}

/// Serves the control API until `shutdown` is ready and the open requests are answered. The listener must be in
/// non-blocking mode, as [`bind_private`](crate::sockets::bind_private) gives it.
pub async fn serve(
    listener: UnixListener,
    backend: Arc<dyn Backend>,
    shutdown: impl Future<Output = ()>,
) {
    serve_with(listener, backend, shutdown, Limits::default()).await;
}

/// As [`serve`], with bounds of one's own.
pub async fn serve_with(
    listener: UnixListener,
    backend: Arc<dyn Backend>,
    shutdown: impl Future<Output = ()>,
    limits: Limits,
) {
    let control = Control { backend: Arc::clone(&backend), body_deadline: limits.body };
    let router = routes::router(control);
    let seats = Seats::new(limits.connections);
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        while connections.try_join_next().is_some() {}
        let seated = async {
            let (stream, _) = listener.accept().await?;
            Ok::<_, std::io::Error>((seats.sit().await, stream))
        };
        let seated = tokio::select! {
            () = &mut shutdown => break,
            seated = seated => seated,
        };
        match seated {
            Ok((seated, stream)) => {
                let router = router.clone();
                let backend = Arc::clone(&backend);
                let stopped = stopped.clone();
                connections.spawn(async move {
                    connection(stream, router, backend, stopped, limits, seated).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a control connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    stop.send_replace(true);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.drain, all_ended).await.is_err() {
        tracing::warn!("control connections were cut because they did not end");
    }
    connections.shutdown().await;
}

async fn connection(
    stream: UnixStream,
    router: Router,
    backend: Arc<dyn Backend>,
    mut stopped: watch::Receiver<bool>,
    limits: Limits,
    seated: Seated,
) {
    let peer = match Peer::of(stream.as_fd()) {
        Ok(peer) => Arc::new(peer),
        Err(error) => {
            tracing::warn!(%error, "cannot tell who is on a control connection");
            return;
        }
    };
    let service =
        TowerToHyperService::new(routes::for_peer(router, backend, peer, Arc::clone(&seated.seat)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head);
    http.max_headers(MAX_HEADERS).max_buf_size(MAX_HEAD);
    let io = TokioIo::new(Stream::new(stream, limits.write));
    let mut connection = pin!(http.serve_connection(io, service));
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = seated.seat.gone() => {
            tracing::debug!("a control connection was closed to make room");
            return;
        }
        () = async { drop(stopped.wait_for(|&stopped| stopped).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a control connection broke off");
    }
}
