//! Reading a request's body: at most so many bytes, within so much time, as JSON.

use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use clawrden_api::ErrorCode;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::reply::Failure;

/// Bytes of a body. A longer one is refused with 413.
pub const MAX_BODY: usize = 1024 * 1024;

/// Bytes of the body of `POST /api/prisoners`, which carries a policy and an environment.
pub const MAX_PRISONER_BODY: usize = 16 * 1024 * 1024;

/// Bytes of a body over its limit that are still taken off the wire and thrown away, so that a client that writes
/// first and reads then sees its refusal. What is longer finds the connection closed.
pub const MAX_THROWN_AWAY: usize = 64 * 1024 * 1024;

/// Reads the whole body.
pub(super) async fn read(body: Body, limit: usize, time: Duration) -> Result<Vec<u8>, Failure> {
    match timeout(time, collect(body, limit)).await {
        Ok(result) => result,
        Err(_) => Err(Failure::new(
            ErrorCode::TooSlow,
            format!("the body did not come within {} ms", time.as_millis()),
        )),
    }
}

async fn collect(body: Body, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut body = pin!(body);
    let mut kept = Vec::new();
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Failure::new(ErrorCode::BadRequest, format!("the body broke off: {error}"))
        })?;
        let Some(data) = frame.data_ref() else { continue };
        length = length.saturating_add(data.len());
        if length <= limit {
            kept.extend_from_slice(data);
        } else if length > MAX_THROWN_AWAY {
            break;
        } else {
            kept = Vec::new();
        }
    }
    if length > limit {
        let message = format!("the body is longer than {limit} bytes");
        return Err(Failure::new(ErrorCode::TooLarge, message));
    }
    Ok(kept)
}

/// Understands a body. An empty one stands for the empty object; what is no object is refused, although serde would
/// take a list of a type's fields as well.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    let bad = |why: String| {
        Failure::new(ErrorCode::BadRequest, format!("the body is not understood: {why}"))
    };
    let text = match body.trim_ascii_start() {
        [] => b"{}",
        text @ [b'{', ..] => text,
        _ => return Err(bad("it must be a JSON object".to_owned())),
    };
    serde_json::from_slice(text).map_err(|error| bad(error.to_string()))
}
