//! The table of routes: what there is, who may use it at least, what it takes and gives. The router, the check of roles
//! and the OpenAPI description are all made from it.

use std::borrow::Cow;

use axum::routing::{MethodRouter, delete, get, post};
use clawrden_api::{
    AnswerRequest, Answered, ChannelList, ChannelTested, ConfigInfo, ErrorCode, EventQuery,
    ExplainRequest, Explained, ExportQuery, GrantList, History, HistoryQuery, IndexStatus,
    JailInfo, JailList, JailRequest, KillReport, KillRequest, LedgerProof, LoginLink, LoginRequest,
    Overview, OverviewQuery, PairRequest, PairedUser, PairingCode, PatternQuery, PatternTested,
    PeopleList, PolicyCheckRequest, PolicyChecked, PolicyInfo, PolicyReloaded, PolicySuggestions,
    PrisonerAnswer, PrisonerRequest, Queue, QueueQuery, RecordingQuery, RecordingTail,
    RedeemRequest, ResumeRequest, RevokeReport, RevokeRequest, Revoked, Role, RuleAnswer,
    RuleRequest, RunningList, Session, SimulateRequest, Simulated, Status, StopReport, StopRequest,
    SuggestionAccepted, SuggestionsQuery, TokenList, TokenMade, TokenRequest, UnpairRequest,
};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::answer::Nothing;
use super::credentials as opens;
use super::grants;
use super::handlers as does;
use super::metrics;
use super::paths::{DESCRIPTION, LIVENESS, REDEEM, SESSION};
use super::state::Control;
use super::streams;
use super::{audit, channels, export, overview, patterns, people, policy, recordings, running};

/// A method of HTTP that some route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Only reads.
    Get,
    /// Changes something.
    Post,
    /// Removes something.
    Delete,
}

impl Method {
    /// As it is written in a request.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Least {
    /// Everybody: it tells nothing but that the warden lives.
    Anyone,
    /// Everybody who comes by TCP: what opens a session is in the body.
    Login,
    /// Who has this role or a higher one.
    Role(Role),
}

/// One route.
pub struct Route {
    /// Its method.
    pub method: Method,
    /// Its path; what stands in braces is a value.
    pub path: &'static str,
    /// Who may use it.
    pub least: Least,
    /// What it does, in one sentence.
    pub summary: &'static str,
    pub(super) handler: fn() -> MethodRouter<Control>,
    pub(super) takes: Takes,
    pub(super) gives: Gives,
    /// What it says besides what every route can say.
    pub(super) errors: &'static [ErrorCode],
}

impl Route {
    /// Whether it gives a person's answer, which may carry a key that keeps it from being given twice.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        self.method == Post && self.path.starts_with("/api/queue/")
    }

    /// Whether it looks at the jails that somebody is bounded to. Where it does not, only the unbounded may use it.
    #[must_use]
    pub fn keeps_scope(&self) -> bool {
        KEEP_SCOPE.contains(&(self.method, self.path))
    }
}

/// What a request carries.
pub(super) enum Takes {
    Nothing,
    Query(Shape),
    Body(Shape),
}

/// What an answer carries.
pub(super) enum Gives {
    Json(Shape),
    /// A JSON object that is described elsewhere.
    Document,
    Text,
    /// A recording, with its facts in a header.
    Cast,
    /// Records, with what is known of them in a header, and what came of it in a trailer.
    Export,
    /// Server-sent events.
    Events,
}

/// A type's schema.
pub(super) struct Shape {
    pub(super) name: fn() -> Cow<'static, str>,
    pub(super) schema: fn() -> RefOr<Schema>,
    pub(super) parts: fn(&mut Vec<(String, RefOr<Schema>)>),
}

const fn shape<T: ToSchema>() -> Shape {
    Shape { name: T::name, schema: T::schema, parts: T::schemas }
}

const fn query<T: ToSchema>() -> Takes {
    Takes::Query(shape::<T>())
}

const fn body<T: ToSchema>() -> Takes {
    Takes::Body(shape::<T>())
}

const fn json<T: ToSchema>() -> Gives {
    Gives::Json(shape::<T>())
}

/// The routes that show and do nothing of other jails to who is bounded to some.
const KEEP_SCOPE: &[(Method, &str)] = &[
    (Get, LIVENESS),
    (Get, DESCRIPTION),
    (Get, "/api/status"),
    (Get, "/api/queue"),
    (Get, "/api/queue/{id}/pattern"),
    (Post, "/api/queue/{id}/approve"),
    (Post, "/api/queue/{id}/deny"),
    (Get, "/api/history"),
    (Get, "/api/overview"),
    (Get, "/api/events"),
    (Get, "/api/running"),
    (Get, "/api/recordings/{id}/tail"),
    (Post, "/api/kill"),
    (Post, "/api/resume"),
    (Get, "/api/jails"),
    (Get, "/api/jails/{name}"),
    (Post, "/api/policy/explain"),
    (Post, REDEEM),
    (Get, SESSION),
    (Post, SESSION),
    (Delete, SESSION),
];

const VIEWER: Least = Least::Role(Role::Viewer);
const APPROVER: Least = Least::Role(Role::Approver);
const ADMIN: Least = Least::Role(Role::Admin);

use ErrorCode::{
    AlreadyVoted, Ambiguous, BadPolicy, BadRequest, ConfirmOnPage, Conflict, DeniedByPolicy,
    GoingDown, LedgerUnavailable, NotApprover, NotFound, NotReady, OwnRequest, ReasonRequired,
    TooLarge,
};
use Method::{Delete, Get, Post};

/// Every route.
#[rustfmt::skip]
pub static ROUTES: &[Route] = &[
    Route { method: Get, path: LIVENESS, least: Least::Anyone, summary: "Tell that the warden lives.",
        handler: || get(does::alive), takes: Takes::Nothing, gives: Gives::Text, errors: &[] },
    Route { method: Get, path: "/readyz", least: VIEWER, summary: "Tell whether requests can be served, and else what is missing.",
        handler: || get(metrics::ready), takes: Takes::Nothing, gives: Gives::Text, errors: &[NotReady] },
    Route { method: Get, path: "/metrics", least: VIEWER, summary: "Give the metrics, for Prometheus or as OpenMetrics.",
        handler: || get(metrics::metrics), takes: Takes::Nothing, gives: Gives::Text, errors: &[] },
    Route { method: Get, path: DESCRIPTION, least: VIEWER, summary: "Describe this API as OpenAPI 3.1.",
        handler: || get(does::describe), takes: Takes::Nothing, gives: Gives::Document, errors: &[] },
    Route { method: Get, path: "/api/status", least: VIEWER, summary: "Tell how the warden is.",
        handler: || get(does::status), takes: Takes::Nothing, gives: json::<Status>(), errors: &[] },
    Route { method: Get, path: "/api/queue", least: VIEWER, summary: "List what waits for a person, oldest first.",
        handler: || get(does::queue), takes: query::<QueueQuery>(), gives: json::<Queue>(), errors: &[BadRequest] },
    Route { method: Post, path: "/api/queue/{id}/approve", least: APPROVER, summary: "Let a request run, once; where several people are wanted, be one of them.",
        handler: || post(does::approve), takes: body::<AnswerRequest>(), gives: json::<Answered>(),
        errors: &[NotApprover, OwnRequest, NotFound, Conflict, ConfirmOnPage, AlreadyVoted, Ambiguous, DeniedByPolicy, ReasonRequired, LedgerUnavailable] },
    Route { method: Post, path: "/api/queue/{id}/deny", least: APPROVER, summary: "Refuse a request.",
        handler: || post(does::deny), takes: body::<AnswerRequest>(), gives: json::<Answered>(),
        errors: &[NotFound, Conflict, Ambiguous, LedgerUnavailable] },
    Route { method: Get, path: "/api/queue/{id}/pattern", least: APPROVER, summary: "Tell what a pattern would have taken of the history, and whether it may be approved for a request.",
        handler: || get(patterns::test), takes: query::<PatternQuery>(), gives: json::<PatternTested>(), errors: &[BadRequest, NotFound, Conflict, Ambiguous] },
    Route { method: Get, path: "/api/history", least: VIEWER, summary: "List what was asked, newest first.",
        handler: || get(does::read_history), takes: query::<HistoryQuery>(), gives: json::<History>(), errors: &[BadRequest] },
    Route { method: Get, path: "/api/overview", least: VIEWER, summary: "Tell in numbers what happened lately.",
        handler: || get(overview::show), takes: query::<OverviewQuery>(), gives: json::<Overview>(), errors: &[BadRequest, NotFound, NotReady] },
    Route { method: Get, path: "/api/events", least: VIEWER, summary: "Tell what happens, as server-sent events.",
        handler: || get(streams::events), takes: query::<EventQuery>(), gives: Gives::Events, errors: &[BadRequest] },
    Route { method: Get, path: "/api/grants", least: VIEWER, summary: "List approvals that were given and not used yet.",
        handler: || get(grants::list), takes: Takes::Nothing, gives: json::<GrantList>(), errors: &[] },
    Route { method: Post, path: "/api/grants/{id}/revoke", least: APPROVER, summary: "Take an approval back before it is used.",
        handler: || post(grants::revoke), takes: body::<RevokeRequest>(), gives: json::<RevokeReport>(),
        errors: &[NotFound, Ambiguous, LedgerUnavailable] },
    Route { method: Get, path: "/api/running", least: VIEWER, summary: "List what runs, oldest first.",
        handler: || get(running::list), takes: Takes::Nothing, gives: json::<RunningList>(), errors: &[] },
    Route { method: Post, path: "/api/running/{id}/stop", least: APPROVER, summary: "End a running command.",
        handler: || post(running::stop), takes: body::<StopRequest>(), gives: json::<StopReport>(),
        errors: &[NotFound, Conflict, Ambiguous] },
    Route { method: Get, path: "/api/recordings/{id}", least: VIEWER, summary: "Give a recording, and go on with it while its command runs.",
        handler: || get(recordings::recording), takes: query::<RecordingQuery>(), gives: Gives::Cast,
        errors: &[BadRequest, NotFound, Ambiguous] },
    Route { method: Get, path: "/api/recordings/{id}/tail", least: VIEWER, summary: "Give the end of what a recorded command wrote.",
        handler: || get(recordings::tail), takes: Takes::Nothing, gives: json::<RecordingTail>(),
        errors: &[BadRequest, NotFound, Ambiguous, TooLarge] },
    Route { method: Post, path: "/api/kill", least: APPROVER, summary: "Throw the kill switch, for everything or one jail or container.",
        handler: || post(does::kill), takes: body::<KillRequest>(), gives: json::<KillReport>(), errors: &[NotFound, Ambiguous] },
    Route { method: Post, path: "/api/resume", least: APPROVER, summary: "Take the kill switch back.",
        handler: || post(does::resume), takes: body::<ResumeRequest>(), gives: json::<KillReport>(), errors: &[NotFound, Conflict, Ambiguous] },
    Route { method: Get, path: "/api/jails", least: VIEWER, summary: "List the jails.",
        handler: || get(does::jails), takes: Takes::Nothing, gives: json::<JailList>(), errors: &[] },
    Route { method: Post, path: "/api/jails", least: ADMIN, summary: "Create a jail.",
        handler: || post(does::create_jail), takes: body::<JailRequest>(), gives: json::<JailInfo>(), errors: &[Conflict, LedgerUnavailable] },
    Route { method: Get, path: "/api/jails/{name}", least: VIEWER, summary: "Show a jail.",
        handler: || get(does::jail), takes: Takes::Nothing, gives: json::<JailInfo>(), errors: &[BadRequest, NotFound] },
    Route { method: Delete, path: "/api/jails/{name}", least: ADMIN, summary: "Delete a jail.",
        handler: || delete(does::delete_jail), takes: Takes::Nothing, gives: json::<JailInfo>(),
        errors: &[BadRequest, NotFound, Conflict, LedgerUnavailable] },
    Route { method: Get, path: "/api/policy", least: VIEWER, summary: "Show the policy in force, layer by layer, and what judges in each jail.",
        handler: || get(policy::show), takes: Takes::Nothing, gives: json::<PolicyInfo>(), errors: &[] },
    Route { method: Post, path: "/api/policy/rules", least: ADMIN, summary: "Approve a request for always: write the smallest rule that allows it.",
        handler: || post(policy::add_rule), takes: body::<RuleRequest>(), gives: json::<RuleAnswer>(),
        errors: &[NotApprover, NotFound, Conflict, Ambiguous, BadPolicy, LedgerUnavailable] },
    Route { method: Get, path: "/api/policy/suggestions", least: ADMIN, summary: "Suggest the rules that would have answered what people had to answer.",
        handler: || get(policy::suggestions), takes: query::<SuggestionsQuery>(), gives: json::<PolicySuggestions>(), errors: &[BadRequest, Conflict] },
    Route { method: Post, path: "/api/policy/suggestions", least: ADMIN, summary: "Write a rule that is suggested, and put it in force.",
        handler: || post(policy::accept), takes: body::<SuggestionAccepted>(), gives: json::<RuleAnswer>(),
        errors: &[NotFound, Conflict, BadPolicy, LedgerUnavailable] },
    Route { method: Post, path: "/api/policy/check", least: APPROVER, summary: "Tell whether a policy's text loads, and else every error of it.",
        handler: || post(policy::check), takes: body::<PolicyCheckRequest>(), gives: json::<PolicyChecked>(), errors: &[] },
    Route { method: Post, path: "/api/policy/explain", least: APPROVER, summary: "Tell what the policy in force says of a command, and why; nothing is run.",
        handler: || post(policy::explain), takes: body::<ExplainRequest>(), gives: json::<Explained>(), errors: &[NotFound] },
    Route { method: Post, path: "/api/policy/simulate", least: ADMIN, summary: "Tell what a candidate policy would have said of what was asked.",
        handler: || post(policy::simulate), takes: body::<SimulateRequest>(), gives: json::<Simulated>(), errors: &[BadPolicy, Conflict] },
    Route { method: Post, path: "/api/policy/reload", least: ADMIN, summary: "Read the policy's files anew.",
        handler: || post(does::reload_policy), takes: body::<Nothing>(), gives: json::<PolicyReloaded>(), errors: &[BadPolicy, Conflict] },
    Route { method: Get, path: "/api/audit/verify", least: VIEWER, summary: "Tell what the last proof of the ledger came to, and whether one is under way.",
        handler: || get(audit::show), takes: Takes::Nothing, gives: json::<LedgerProof>(), errors: &[] },
    Route { method: Post, path: "/api/audit/verify", least: ADMIN, summary: "Prove the ledger by the files that the warden has, in the background.",
        handler: || post(audit::start), takes: body::<Nothing>(), gives: json::<LedgerProof>(), errors: &[Conflict] },
    Route { method: Get, path: "/api/audit/export", least: ADMIN, summary: "Give the ledger's records, as lines of JSON or as CSV.",
        handler: || get(export::export), takes: query::<ExportQuery>(), gives: Gives::Export, errors: &[BadRequest] },
    Route { method: Post, path: "/api/index/rebuild", least: ADMIN, summary: "Make the ledger's index anew, in the background.",
        handler: || post(does::rebuild_index), takes: body::<Nothing>(), gives: json::<IndexStatus>(), errors: &[] },
    Route { method: Post, path: "/api/prisoners", least: ADMIN, summary: "Make the calling process known as a prisoner's holder; on the Unix socket only.",
        handler: || post(does::register), takes: body::<PrisonerRequest>(), gives: json::<PrisonerAnswer>(),
        errors: &[BadPolicy, Conflict, GoingDown] },
    Route { method: Get, path: "/api/channels", least: VIEWER, summary: "List the channels by which people are told of what waits.",
        handler: || get(channels::list), takes: Takes::Nothing, gives: json::<ChannelList>(), errors: &[] },
    Route { method: Post, path: "/api/channels/{name}/test", least: ADMIN, summary: "Try the whole way of a channel, step by step, with a message there.",
        handler: || post(channels::test), takes: body::<Nothing>(), gives: json::<ChannelTested>(), errors: &[NotFound] },
    Route { method: Get, path: "/api/config", least: VIEWER, summary: "Tell what the warden was started with.",
        handler: || get(opens::config), takes: Takes::Nothing, gives: json::<ConfigInfo>(), errors: &[] },
    Route { method: Get, path: "/api/tokens", least: ADMIN, summary: "List tokens and sessions, without what makes them open anything.",
        handler: || get(opens::tokens), takes: Takes::Nothing, gives: json::<TokenList>(), errors: &[] },
    Route { method: Post, path: "/api/tokens", least: ADMIN, summary: "Make a token; it is told this once.",
        handler: || post(opens::create_token), takes: body::<TokenRequest>(), gives: json::<TokenMade>(),
        errors: &[Conflict, LedgerUnavailable] },
    Route { method: Delete, path: "/api/tokens/{id}", least: ADMIN, summary: "Revoke a token with its sessions, or one session.",
        handler: || delete(opens::revoke), takes: Takes::Nothing, gives: json::<Revoked>(),
        errors: &[BadRequest, NotFound] },
    Route { method: Get, path: "/api/people", least: ADMIN, summary: "List who answers, by which doors, and which users of chats are theirs.",
        handler: || get(people::list), takes: Takes::Nothing, gives: json::<PeopleList>(), errors: &[] },
    Route { method: Post, path: "/api/pairings", least: ADMIN, summary: "Make a code that binds the user of a chat who says it to a person, once.",
        handler: || post(people::pair), takes: body::<PairRequest>(), gives: json::<PairingCode>(),
        errors: &[NotFound, LedgerUnavailable] },
    Route { method: Post, path: REDEEM, least: APPROVER, summary: "Bind the user for whom a bridge asks to the person of a code; for bridges only.",
        handler: || post(people::redeem), takes: body::<RedeemRequest>(), gives: json::<PairedUser>(),
        errors: &[NotFound, Conflict, LedgerUnavailable] },
    Route { method: Post, path: "/api/pairings/revoke", least: ADMIN, summary: "Take back what a code has bound.",
        handler: || post(people::revoke), takes: body::<UnpairRequest>(), gives: json::<PairedUser>(),
        errors: &[NotFound, Conflict] },
    Route { method: Post, path: "/api/login-links", least: ADMIN, summary: "Make a link that opens one session within a minute; on the Unix socket only.",
        handler: || post(opens::link), takes: body::<Nothing>(), gives: json::<LoginLink>(), errors: &[Conflict] },
    Route { method: Get, path: SESSION, least: VIEWER, summary: "Tell who asks.",
        handler: || get(opens::session), takes: Takes::Nothing, gives: json::<Session>(), errors: &[] },
    Route { method: Post, path: SESSION, least: Least::Login, summary: "Open a session of the web page, by a link's code or by a token.",
        handler: || post(opens::log_in), takes: body::<LoginRequest>(), gives: json::<Session>(),
        errors: &[Conflict, LedgerUnavailable] },
    Route { method: Delete, path: SESSION, least: VIEWER, summary: "End the session that asks.",
        handler: || delete(opens::log_out), takes: Takes::Nothing, gives: json::<Revoked>(), errors: &[Conflict] },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_route_is_there_twice_and_only_liveness_is_for_everybody() {
        let all: BTreeSet<_> = ROUTES.iter().map(|route| (route.path, route.method)).collect();
        assert_eq!(all.len(), ROUTES.len());
        for route in ROUTES {
            assert_eq!(route.least == Least::Anyone, route.path == LIVENESS, "{}", route.path);
            assert_eq!(route.least == Least::Login, route.path == SESSION && route.method == Post);
            let changes = route.method != Get && route.path != SESSION;
            assert!(!changes || route.least != VIEWER, "{} is for viewers", route.path);
        }
    }
}
