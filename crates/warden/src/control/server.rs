//! Accepting connections, with a bound on how many, and on how long each step of a client may take.

use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use clawrden_api::ChatService;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::access::{self, Access};
use super::backend::Backend;
use super::openapi;
use super::peer::Peer;
use super::routes::{self, From};
use super::seats::{Seated, Seats};
use super::state::Control;
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
    /// the kernel until one ends. Only who is known is being served.
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

/// Serves the control API on its Unix socket until `shutdown` is ready and the open requests are answered. The listener
/// must be in non-blocking mode, as [`bind_private`](crate::sockets::bind_private) gives it.
pub async fn serve(
    listener: UnixListener,
    backend: Arc<dyn Backend>,
    access: Arc<Access>,
    shutdown: impl Future<Output = ()>,
) {
    serve_with(listener, backend, access, shutdown, Limits::default()).await;
}

/// As [`serve`], with bounds of one's own.
pub async fn serve_with(
    listener: UnixListener,
    backend: Arc<dyn Backend>,
    access: Arc<Access>,
    shutdown: impl Future<Output = ()>,
    limits: Limits,
) {
    run(listener, over_socket, control(backend, access, limits), shutdown, limits).await;
}

/// Serves the control API over TCP, by TLS where `access` has a certificate. The listener must be in non-blocking mode.
pub async fn serve_tcp(
    listener: TcpListener,
    backend: Arc<dyn Backend>,
    access: Arc<Access>,
    shutdown: impl Future<Output = ()>,
    limits: Limits,
) {
    run(listener, over_tcp, control(backend, access, limits), shutdown, limits).await;
}

/// Serves the control API to the warden's own bridge to a service: whoever else connects is refused, and it is recorded.
/// The listener must be in non-blocking mode, as [`bind_private`](crate::sockets::bind_private) gives it; the other end is
/// a client of this very process.
pub async fn serve_bridge(
    listener: UnixListener,
    service: ChatService,
    backend: Arc<dyn Backend>,
    access: Arc<Access>,
    shutdown: impl Future<Output = ()>,
) {
    let limits = Limits::default();
    let control = control(backend, access, limits);
    let receive =
        move |stream: UnixStream, house, seated| over_bridge(stream, service, house, seated);
    run(listener, receive, control, shutdown, limits).await;
}

fn control(backend: Arc<dyn Backend>, access: Arc<Access>, limits: Limits) -> Control {
    Control::new(backend, access, limits.body, openapi::description)
}

/// What each connection gets.
#[derive(Clone)]
struct House {
    router: Router,
    control: Control,
    stopped: watch::Receiver<bool>,
    limits: Limits,
}

/// What connections come in by.
trait Listens {
    type Stream;

    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listens for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        Ok(self.accept().await?.0)
    }
}

impl Listens for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        Ok(self.accept().await?.0)
    }
}

async fn run<L: Listens, F>(
    listener: L,
    receive: impl Fn(L::Stream, House, Seated) -> F,
    control: Control,
    shutdown: impl Future<Output = ()>,
    limits: Limits,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let seats = Seats::new(limits.connections);
    let (stop, stopped) = watch::channel(false);
    let house = House { router: routes::router(control.clone()), control, stopped, limits };
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        while connections.try_join_next().is_some() {}
        let seated = async {
            let stream = listener.next().await?;
            Ok::<_, io::Error>((seats.sit().await, stream))
        };
        let seated = tokio::select! {
            () = &mut shutdown => break,
            seated = seated => seated,
        };
        match seated {
            Ok((seated, stream)) => {
                connections.spawn(receive(stream, house.clone(), seated));
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

async fn over_socket(stream: UnixStream, house: House, seated: Seated) {
    match Peer::of(stream.as_fd()) {
        Ok(peer) => connection(stream, From::Socket(Arc::new(peer)), house, seated).await,
        Err(error) => tracing::warn!(%error, "cannot tell who is on a control connection"),
    }
}

async fn over_bridge(stream: UnixStream, service: ChatService, house: House, seated: Seated) {
    match Peer::of(stream.as_fd()) {
        Ok(peer) => {
            connection(stream, From::Bridge(service, Arc::new(peer)), house, seated).await;
        }
        Err(error) => tracing::warn!(%error, "cannot tell who is on a bridge's connection"),
    }
}

async fn over_tcp(stream: TcpStream, house: House, seated: Seated) {
    let addresses = stream.peer_addr().and_then(|peer| Ok((peer, stream.local_addr()?)));
    // One that is gone already has no address any more.
    let Ok((peer, own)) = addresses else { return };
    // Answers are small and whole: waiting for more to send only makes them late.
    let _ = stream.set_nodelay(true);
    let tls = house.control.access.tls().cloned();
    let is_secure = tls.is_some();
    let backend = Arc::clone(&house.control.backend);
    let looking = tokio::task::spawn_blocking(move || {
        access::visitor(peer, own, is_secure).placed(&*backend)
    });
    let looked = tokio::select! {
        looked = looking => looked,
        () = seated.seat.gone() => return,
    };
    let Ok(visitor) = looked else { return };
    let from = From::Tcp(visitor);
    let Some(tls) = tls else { return connection(stream, from, house, seated).await };
    let shaken = async {
        tokio::select! {
            shaken = timeout(house.limits.head, tls.accept(stream)) => shaken.ok(),
            () = seated.seat.gone() => None,
        }
    };
    match shaken.await {
        Some(Ok(stream)) => connection(stream, from, house, seated).await,
        Some(Err(error)) => tracing::debug!(%error, %peer, "no TLS could be agreed on"),
        None => {}
    }
}

async fn connection<S>(stream: S, from: From, house: House, seated: Seated)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let House { router, control, mut stopped, limits } = house;
    let seat = Arc::clone(&seated.seat);
    let io = TokioIo::new(Stream::new(stream, limits.write, Arc::clone(&seat)));
    let service = TowerToHyperService::new(routes::for_one(router, control, from, seat));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head);
    http.max_headers(MAX_HEADERS).max_header_size(MAX_HEAD).max_buf_size(MAX_HEAD);
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
