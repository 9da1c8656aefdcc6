//! Where services call a bridge: plain HTTP, behind whatever ends TLS. Who calls is the service's business to prove; here
//! is bounded what an unknown caller can cost.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Connections at once. A further one waits in the kernel.
pub const MAX_CONNECTIONS: usize = 64;

/// Bytes of a call's body. A longer one is refused with 413.
pub const MAX_BODY: usize = 1024 * 1024;

/// From connecting, or from the last answer, to the last byte of a call's head. Then the connection is closed.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// From the head to the last byte of the body. Then the answer is 408.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may last in all: one that takes its answers slowly holds its seat no longer.
pub const MAX_LIFE: Duration = Duration::from_secs(300);

/// Headers of a call, and bytes of its head.
const MAX_HEADERS: usize = 64;
const MAX_HEAD: usize = 16 * 1024;

/// How long to wait before accepting again when the kernel has no descriptors for us.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A call, whole. It has no debug form: its headers may be secret.
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, at most [`MAX_BODY`] bytes.
    pub body: Bytes,
}

/// What a call is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The type of the body, such as `application/json`; `None` where there is none.
    pub content_type: Option<&'static str>,
    /// The body.
    pub body: Bytes,
}

impl From<StatusCode> for Reply {
    fn from(status: StatusCode) -> Self {
        Self { status, content_type: None, body: Bytes::new() }
    }
}

/// Opens the address.
///
/// # Errors
///
/// What the kernel says.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Answers calls for ever. Dropping it ends every connection.
pub async fn serve<F, A>(listener: TcpListener, answer: F) -> Infallible
where
    F: Fn(Call) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Reply> + Send + 'static,
{
    let seats = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // The semaphore is never closed.
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { continue };
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let answer = answer.clone();
        connections.spawn(async move {
            let _ = timeout(MAX_LIFE, connection(stream, answer)).await;
            drop(seat);
        });
    }
}

async fn connection<F, A>(stream: TcpStream, answer: F)
where
    F: Fn(Call) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Reply> + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer.clone();
        async move {
            let reply = match whole(request).await {
                Ok(call) => answer(call).await,
                Err(status) => status.into(),
            };
            let mut response = Response::new(Full::new(reply.body));
            *response.status_mut() = reply.status;
            if let Some(kind) = reply.content_type {
                response
                    .headers_mut()
                    .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::trace!(%error, "a caller broke off");
    }
}

async fn whole(request: Request<Incoming>) -> Result<Call, StatusCode> {
    let (head, body) = request.into_parts();
    let body = timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await;
    let body = match body {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        Ok(Err(_)) => return Err(StatusCode::BAD_REQUEST),
        Err(_) => return Err(StatusCode::REQUEST_TIMEOUT),
    };
    let path = head.uri.path().to_owned();
    Ok(Call { method: head.method, path, headers: head.headers, body })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn started() -> SocketAddr {
        let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, |call: Call| async move {
            Reply {
                body: call.body,
                content_type: Some("text/plain"),
                status: StatusCode::ACCEPTED,
            }
        }));
        address
    }

    async fn said(address: SocketAddr, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // A refused call is answered before it is wholly sent.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn a_call_is_answered_whole() {
        let address = started().await;
        let answer = said(
            address,
            b"POST /a?b HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi",
        )
        .await;
        assert!(
            answer.starts_with("HTTP/1.1 202 Accepted\r\ncontent-type: text/plain\r\n"),
            "{answer}"
        );
        assert!(answer.ends_with("\r\n\r\nhi"), "{answer}");
    }

    #[tokio::test]
    async fn what_is_too_long_is_refused_and_costs_no_memory() {
        let address = started().await;
        let head = format!(
            "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            MAX_BODY + 1
        );
        let answer = said(address, &[head.as_bytes(), &vec![b'x'; MAX_BODY + 1]].concat()).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(MAX_HEAD * 2));
        let answer = said(address, long.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }

    #[tokio::test]
    async fn more_callers_than_there_are_seats_wait_and_are_answered_then() {
        let address = started().await;
        let mut idle = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let call = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let waiting = tokio::spawn(async move { said(address, call).await });
        sleep(Duration::from_millis(100)).await;
        assert!(!waiting.is_finished());
        idle.clear();
        assert!(waiting.await.unwrap().starts_with("HTTP/1.1 202 "));
    }
}
