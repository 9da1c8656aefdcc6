//! What stands in a path or a query, checked; and what of it is repeated.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query};
use axum::http::Uri;
use clawrden_api::ErrorCode;
use serde::de::DeserializeOwned;

use super::reply::Failure;

/// Digits of a request's id, and of the shortest prefix that stands for one.
const ID_DIGITS: std::ops::RangeInclusive<usize> = 4..=32;

/// Whether this is written as a request's id, or as a prefix that stands for one.
pub(super) fn is_id(text: &str) -> bool {
    ID_DIGITS.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Bytes of a path that are repeated in messages and records.
const MAX_SHOWN: usize = 200;

/// The beginning of what a client wrote.
pub(super) fn shown(text: &str) -> &str {
    let end = (0..=text.len().min(MAX_SHOWN)).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

/// The id in a path.
pub(super) fn command_id(id: Result<Path<String>, PathRejection>) -> Result<String, Failure> {
    let Path(id) =
        id.map_err(|error| Failure::new(ErrorCode::BadRequest, format!("the id: {error}")))?;
    request_id(&id)
}

/// A whole id or a prefix of one, in small letters.
pub(super) fn request_id(given: &str) -> Result<String, Failure> {
    if !given.bytes().all(|b| b.is_ascii_hexdigit()) || given.len() > *ID_DIGITS.end() {
        return Err(Failure::new(
            ErrorCode::NotFound,
            format!("there is no request {:?}", shown(given)),
        ));
    }
    if given.len() < *ID_DIGITS.start() {
        let message = format!("{given:?} is too short; give {} digits or more", ID_DIGITS.start());
        return Err(Failure::new(ErrorCode::BadRequest, message));
    }
    Ok(given.to_ascii_lowercase())
}

pub(super) fn jail_name(name: Result<Path<String>, PathRejection>) -> Result<String, Failure> {
    let name = name.map_err(|error| {
        Failure::new(ErrorCode::BadRequest, format!("the name of the jail: {error}"))
    });
    Ok(name?.0)
}

/// What stands in a query.
pub(super) fn of_query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Failure> {
    let Query(query) = Query::try_from_uri(uri).map_err(|rejection| {
        let text = format!("the query is not understood: {}", cause(&rejection));
        Failure::new(ErrorCode::BadRequest, text)
    })?;
    Ok(query)
}

/// The innermost cause, which names the field.
fn cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
