//! The one shape in which the API says no.

use serde::{Deserialize, Serialize};

/// The body of every answer whose status is 4xx or 5xx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// For programs.
    pub code: ErrorCode,
    /// One sentence for people: the fact, and what to do.
    pub message: String,
}

/// What went wrong, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// 400: the request is malformed, or a value is out of range.
    BadRequest,
    /// 403: the peer may not use the control plane.
    Forbidden,
    /// 404: no such route, or no such id.
    NotFound,
    /// 405: the route is there, but not for this method.
    MethodNotAllowed,
    /// 408: the body did not come in time.
    TooSlow,
    /// 409: the request was answered before, or the state does not permit it.
    Conflict,
    /// 409: the policy in force denies by this time what was asked, so that it cannot be approved.
    DeniedByPolicy,
    /// 409: a short id fits more than one request.
    Ambiguous,
    /// 413: the body is over its limit.
    TooLarge,
    /// 422: the policy that was given does not load; the message is the whole diagnosis.
    BadPolicy,
    /// 500: the warden failed.
    Internal,
    /// 503: the ledger cannot be written, so nothing that needs a record is done.
    LedgerUnavailable,
    /// 503: the warden goes down and takes nobody in; another may be started when it has gone.
    GoingDown,
}

impl ErrorCode {
    /// The HTTP status that goes with it.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::TooSlow => 408,
            Self::Conflict | Self::DeniedByPolicy | Self::Ambiguous => 409,
            Self::TooLarge => 413,
            Self::BadPolicy => 422,
            Self::Internal => 500,
            Self::LedgerUnavailable | Self::GoingDown => 503,
        }
    }
}
