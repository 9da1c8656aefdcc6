//! The tables of limits in `docs` say what the constants say.

use std::time::Duration;

use clawrden_policy::MAX_POLICY_BYTES;

use crate::control::Limits;
use crate::control::access::{
    CODE_LIFE, LINK_LIFE_MS, MAX_CODES, MAX_SESSIONS, MAX_TOKENS, MAX_WRONG, MAX_WRONG_IN_ALL,
    SESSION_LIFE_MS, TOLERATED, WINDOW,
};
use crate::control::body::{MAX_BODY, MAX_PRISONER_BODY};
use crate::{approvals, config, engine, events, holds, intercom, jails, ledger, metrics, policies};

fn count(number: usize) -> String {
    let digits = number.to_string();
    match digits.len() {
        ..=3 => digits,
        length => format!("{},{}", &digits[..length - 3], &digits[length - 3..]),
    }
}

fn mib(bytes: usize) -> String {
    format!("{} MiB", bytes / (1024 * 1024))
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs())
}

fn minutes(time: Duration) -> String {
    format!("{} min", time.as_secs() / 60)
}

/// Each of these rows begins a line of a table of `document`.
fn has_rows(document: &str, rows: &[(&str, String)]) {
    for (what, bound) in rows {
        let row = format!("\n| {what} | {bound} |");
        assert!(document.contains(&row), "{row}");
    }
}

#[test]
fn limits_of_the_warden_are_as_documented() {
    let (half_open, of_one) = (intercom::MAX_HALF_OPEN, intercom::MAX_HALF_OPEN_PER_PEER);
    let days = approvals::MAX_SCOPE.as_secs() / (24 * 60 * 60);
    has_rows(
        include_str!("../../../docs/operations.md"),
        &[
            (
                "connections to the intercom whose request is not read yet; of one process",
                format!("{}; {}", count(half_open), count(of_one)),
            ),
            ("what such requests may hold in memory", mib(intercom::MAX_BYTES)),
            (
                "what requests that wait for a person may hold; of one caller",
                format!("{}; half of what is left", mib(intercom::MAX_WAITING_BYTES)),
            ),
            (
                "requests that wait for a person",
                format!(
                    "{}, and {} of what is shown of them",
                    count(approvals::MAX_OPEN),
                    mib(approvals::MAX_HELD_BYTES)
                ),
            ),
            (
                "answers that are kept for callers who have gone",
                format!(
                    "{}, each for {}",
                    count(approvals::MAX_KEPT),
                    minutes(approvals::GRANT_LIFE)
                ),
            ),
            ("how long an approval for more than one run holds", format!("{days} days")),
            ("`clawrden wait` for one entry", count(approvals::MAX_WATCHERS)),
            ("jails", count(jails::MAX_JAILS)),
            ("prisoners of `clawrden run`", count(jails::registry::MAX_PRISONERS)),
            ("tools of a jail", count(jails::shims::MAX_TOOLS)),
            ("jails and containers that are stopped alone", count(holds::MOST)),
            (
                "a policy file",
                format!("{} bytes", count(usize::try_from(MAX_POLICY_BYTES).unwrap())),
            ),
            ("files of a policy", count(policies::MAX_FILES)),
            ("a line of the ledger", mib(ledger::MAX_LINE)),
            ("what has happened while the ledger could not be written", mib(ledger::MAX_OWED)),
            ("rules that metrics tell apart", count(metrics::MAX_RULES)),
            (
                "a question to the container engine; a change there",
                format!("{}; {}", seconds(engine::CALL_TIMEOUT), seconds(engine::CHANGE_TIMEOUT)),
            ),
            (
                "whoever comes to the API from elsewhere, until the engine has said whose its address is",
                seconds(crate::warden::ENGINE_PATIENCE),
            ),
            (
                "the warden's end, from SIGTERM",
                format!(
                    "`--grace` ({}), and {}",
                    seconds(config::DEFAULT_GRACE),
                    seconds(crate::warden::LAST_WORDS)
                ),
            ),
        ],
    );
}

#[test]
fn bounds_of_the_control_api_are_as_documented() {
    let Limits { connections, head, body, write, .. } = Limits::default();
    let within = |times: usize| {
        assert_eq!(WINDOW, Duration::from_secs(60));
        format!("{times} in a minute")
    };
    has_rows(
        include_str!("../../../docs/api.md"),
        &[
            ("a request's head", format!("32 KiB, 64 headers, {}", seconds(head))),
            (
                "a body",
                format!(
                    "{}; {} for `POST /api/prisoners`; {}",
                    mib(MAX_BODY),
                    mib(MAX_PRISONER_BODY),
                    seconds(body)
                ),
            ),
            ("tokens; sessions; unused links", format!("{MAX_TOKENS}; {MAX_SESSIONS}; 64")),
            (
                "listeners to events and watchers of recordings",
                format!(
                    "{} together, for which connections are not counted",
                    events::MAX_LISTENERS
                ),
            ),
            (
                "failures from a user of this machine, or from an address",
                within(usize::try_from(TOLERATED).unwrap()),
            ),
            (
                "codes for pairing; users that are paired",
                format!("{MAX_CODES}, each for {}; 1024", minutes(CODE_LIFE)),
            ),
            (
                "wrong codes of one user of a chat; of all",
                format!("{MAX_WRONG} in 15 min; {MAX_WRONG_IN_ALL} in a minute"),
            ),
            ("an answer that is not read", seconds(write)),
            (
                "connections at once, on each of socket, TCP and the warden's own bridges",
                count(connections),
            ),
        ],
    );
    let document = include_str!("../../../docs/api.md");
    for said in [
        format!("A link works once, within {} s", LINK_LIFE_MS / 1000),
        format!("A session holds {} h", SESSION_LIFE_MS / 3_600_000),
        format!("among the last {}", count(events::MAX_EVENTS)),
    ] {
        assert!(document.contains(&said), "{said}");
    }
}
