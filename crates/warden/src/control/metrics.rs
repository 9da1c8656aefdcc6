//! The routes that machines look at: whether the warden can serve, and what it counts.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use clawrden_api::ErrorCode;

use super::answer::{Answer, blocking};
use super::backend::Readiness;
use super::reply::Failure;
use super::state::Control;
use crate::metrics::Format;

/// `GET /readyz`: 200 when requests can be served, with a line for each thing that should be known; else 503.
pub(super) async fn ready(State(control): State<Control>) -> Answer {
    let readiness = blocking(move || Ok::<_, Failure>(control.backend.readiness())).await?;
    Ok(told(&readiness)?.into_response())
}

/// `GET /metrics`, in the format that the client accepts.
pub(super) async fn metrics(State(control): State<Control>, headers: HeaderMap) -> Answer {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    let page = blocking(move || Ok(control.backend.metrics(format)?)).await?;
    Ok(([(header::CONTENT_TYPE, format.content_type())], page).into_response())
}

/// What is said of it: `ready` with a line for each note, or what is missing.
fn told(readiness: &Readiness) -> Result<String, Failure> {
    if !readiness.missing.is_empty() {
        return Err(Failure::new(ErrorCode::NotReady, readiness.missing.join("; ")));
    }
    let notes = readiness.notes.iter();
    let notes = notes.map(|line| format!("note: {}\n", clawrden_api::display::text(line)));
    Ok(std::iter::once("ready\n".to_owned()).chain(notes).collect())
}
