//! The one shape in which the API says no.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// For programs.
    pub code: ErrorCode,
    /// One sentence for people: the fact, and what to do.
    #[serde(alias = "detail")]
    pub message: String,
}

/// The body of every answer whose status is 4xx or 5xx: `application/problem+json` as RFC 9457 has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Names the kind of problem: `urn:clawrden:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// One sentence for people: the fact, and what to do.
    pub detail: String,
    /// For programs.
    pub code: ErrorCode,
    /// The id that this request has in the warden's log.
    pub request_id: String,
}

impl Problem {
    /// What a client is told.
    #[must_use]
    pub fn new(body: ErrorBody, request_id: impl Into<String>) -> Self {
        let ErrorBody { code, message } = body;
        Self {
            kind: format!("urn:clawrden:problem:{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status(),
            detail: message,
            code,
            request_id: request_id.into(),
        }
    }
}

/// Makes the enum and everything that is said of each code from one table.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $code:ident $name:literal $status:literal $title:literal;)+) => {
        /// What went wrong, for programs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ $code,)+
        }

        impl ErrorCode {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$code),+];

            /// The HTTP status that goes with it.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$code => $status,)+ }
            }

            /// Its name, as it travels.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$code => $name,)+ }
            }

            /// Its name in words.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$code => $title,)+ }
            }
        }
    };
}

codes! {
    /// 400: the request is malformed, or a value is out of range.
    BadRequest "bad_request" 400 "The request is not understood";
    /// 401: nobody is named by a token or session that holds.
    Unauthorized "unauthorized" 401 "Who asks is not known";
    /// 403: whoever asks may not do this, or not from there.
    Forbidden "forbidden" 403 "This is not permitted";
    /// 403: others are asked about this request.
    NotApprover "not_approver" 403 "Others are to answer this";
    /// 403: the user of a chat is bound to nobody, or to nobody any more.
    UnknownUser "unknown_user" 403 "Whose this user is, is not known";
    /// 403: nobody approves what they have asked for themselves.
    OwnRequest "own_request" 403 "Nobody approves their own request";
    /// 404: no such route, or no such id.
    NotFound "not_found" 404 "There is no such thing";
    /// 405: the route is there, but not for this method.
    MethodNotAllowed "method_not_allowed" 405 "The route does not take this method";
    /// 408: the body did not come in time.
    TooSlow "too_slow" 408 "The body did not come in time";
    /// 409: the request was answered before, or the state does not permit it.
    Conflict "conflict" 409 "The state does not permit it";
    /// 409: the policy in force denies by this time what was asked, so that it cannot be approved.
    DeniedByPolicy "denied_by_policy" 409 "The policy denies it by now";
    /// 409: a yes by a chat is a wish, which the same person confirms on the web page or the command line.
    ConfirmOnPage "confirm_on_page" 409 "The rule wants this confirmed elsewhere";
    /// 409: a person's yes is counted once, and more people are wanted.
    AlreadyVoted "already_voted" 409 "This person's yes is counted already";
    /// 409: a short id fits more than one request.
    Ambiguous "ambiguous" 409 "The short id fits several requests";
    /// 413: the body is over its limit.
    TooLarge "too_large" 413 "The body is too long";
    /// 421: the request names another host than those that are served.
    Misdirected "misdirected" 421 "This host is not served here";
    /// 422: the policy that was given does not load; the message is the whole diagnosis.
    BadPolicy "bad_policy" 422 "The policy does not load";
    /// 422: the rule wants a reason with a yes.
    ReasonRequired "reason_required" 422 "A yes needs a reason";
    /// 429: too many failures came from this address, or too much is open.
    TooMany "too_many" 429 "Too much at once";
    /// 500: the warden failed.
    Internal "internal" 500 "The warden failed";
    /// 503: the ledger cannot be written, so nothing that needs a record is done.
    LedgerUnavailable "ledger_unavailable" 503 "The ledger cannot be written";
    /// 503: the warden goes down and takes nobody in; another may be started when it has gone.
    GoingDown "going_down" 503 "The warden goes down";
    /// 503: something is missing that serving requests needs; the message says what.
    NotReady "not_ready" 503 "The warden is not ready";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_what_rfc_9457_says_and_the_client_reads_code_and_sentence_out_of_it() {
        let body = ErrorBody { code: ErrorCode::TooLarge, message: "it is too long".to_owned() };
        let json = serde_json::to_value(Problem::new(body.clone(), "7f3a")).unwrap();
        let expected = serde_json::json!({
            "type": "urn:clawrden:problem:too_large", "title": "The body is too long", "status": 413,
            "detail": "it is too long", "code": "too_large", "request_id": "7f3a",
        });
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_value::<ErrorBody>(json).unwrap(), body);
    }

    #[test]
    fn each_code_travels_under_its_name() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
            assert!((400..600).contains(&code.status()));
        }
    }
}
