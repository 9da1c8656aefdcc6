//! How an answer becomes HTTP. Every refusal and every failure has the one shape of [`Problem`], and every answer the
//! id of its request.

use std::hash::{BuildHasher as _, Hash};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, OnceLock};

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use clawrden_api::{ErrorBody, ErrorCode, Problem};
use serde::Serialize;

/// The header that carries the id of a request.
pub(super) const REQUEST_ID: &str = "x-request-id";

/// What every answer carries: nothing of it is run, framed, kept or guessed at by a browser.
const HEADERS: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// An error on its way out.
#[derive(Debug, Clone)]
pub(super) struct Failure(pub(super) ErrorBody);

impl Failure {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(ErrorBody { code, message: message.into() })
    }
}

impl From<ErrorBody> for Failure {
    fn from(body: ErrorBody) -> Self {
        Self(body)
    }
}

/// It gets its body from [`finish`], which knows the request.
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The next request's id: unlike every other of this warden, and hardly ever like one of the warden's before.
pub(super) fn request_id() -> String {
    static START: OnceLock<u64> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let start = *START.get_or_init(|| {
        let mut bytes = [0; 8];
        // Without random bytes they begin at zero: an id names, and protects nothing.
        let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
        u64::from_be_bytes(bytes)
    });
    format!("{:016x}", start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// Gives an answer what all of them have.
pub(super) fn finish(mut response: Response, request_id: &str) -> Response {
    if let Some(Failure(body)) = response.extensions_mut().remove::<Failure>() {
        let mut headers = std::mem::take(response.headers_mut());
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::CONTENT_TYPE);
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let problem = serde_json::to_vec(&Problem::new(body, request_id)).unwrap_or_default();
        response = (response.status(), kind, Body::from(problem)).into_response();
        response.headers_mut().extend(headers);
    }
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

/// An answer as JSON.
pub(super) fn json<T: Serialize>(told: &T) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(told).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written as JSON");
        Failure::new(ErrorCode::Internal, "the warden failed; its log says more")
    })
}

/// Tells answers apart, each start of the warden in its own way: whoever could make two that look the same would hide one.
static TAGS: LazyLock<foldhash::quality::RandomState> = LazyLock::new(Default::default);

pub(super) fn tag_of(told: &impl Hash) -> u64 {
    TAGS.hash_one(told)
}

/// An answer of JSON that `tag` tells from others, or 304 where the client has it already.
pub(super) fn tagged(asked: &HeaderMap, tag: u64, body: impl FnOnce() -> Body) -> Response {
    let tag = format!("W/\"{tag:016x}\"");
    let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok());
    let is_known = known.flat_map(|v| v.split(',')).any(|known| known.trim() == tag);
    let tag = [(header::ETAG, tag)];
    if is_known {
        return (StatusCode::NOT_MODIFIED, tag).into_response();
    }
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (tag, kind, body()).into_response()
}

/// An answer as JSON.
pub(super) fn plain<T: Serialize>(told: T) -> Response {
    Json(told).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ() {
        assert_ne!(request_id(), request_id());
    }

    #[test]
    fn what_a_client_has_is_not_sent_again() {
        let tagged = |asked: &HeaderMap, told: &str| {
            tagged(asked, tag_of(&told), || Body::from(told.to_owned()))
        };
        let first = tagged(&HeaderMap::new(), "[1,2]");
        assert_eq!(first.status(), StatusCode::OK);
        let mut asked = HeaderMap::new();
        asked.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(tagged(&asked, "[1,2]").status(), StatusCode::NOT_MODIFIED);
        assert_eq!(tagged(&asked, "[1,3]").status(), StatusCode::OK);
    }
}
