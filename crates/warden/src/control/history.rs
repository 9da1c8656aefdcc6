//! The query of `GET /api/history`, checked: a value that is out of range is refused by name, never bent.

use axum::http::Uri;
use clawrden_api::{ErrorCode, HistoryQuery};

use super::reply::Failure;
use super::values::{is_id, of_query};
use crate::jails::JailName;

/// Entries of one page.
pub(super) const MAX_LIMIT: usize = 1000;

/// Bytes of a text that is looked for.
const MAX_TEXT: usize = 1000;

/// What `decision` can be.
const DECISIONS: [&str; 6] = ["allow", "ask", "deny", "approved", "denied", "expired"];

pub(super) fn query(uri: &Uri) -> Result<HistoryQuery, Failure> {
    let bad = |message| Failure::new(ErrorCode::BadRequest, message);
    let mut query: HistoryQuery = of_query(uri)?;
    check(&query).map_err(bad)?;
    if let Some(id) = &mut query.id {
        id.make_ascii_lowercase();
    }
    Ok(query)
}

fn check(query: &HistoryQuery) -> Result<(), String> {
    if let Some(id) = query.id.as_deref().filter(|id| !is_id(id)) {
        return Err(format!("id: {id:?} is no id; give 4 to 32 hex digits"));
    }
    if query.command.as_deref() == Some("") {
        return Err("command: empty; leave it away to have any".to_owned());
    }
    if let Some(decision) = query.decision.as_deref().filter(|given| !DECISIONS.contains(given)) {
        return Err(format!("decision: {decision:?} is none of {}", DECISIONS.join(", ")));
    }
    if let Some(caller) = query.caller.as_deref().filter(|given| !is_caller(given)) {
        return Err(format!(
            "caller: {caller:?} is no uid, no `pid:N`, no `container:NAME` and no prisoner's id"
        ));
    }
    if let Some(error) = query.jail.as_deref().and_then(|given| JailName::new(given).err()) {
        return Err(format!("jail: {error}"));
    }
    let outcomes = &DECISIONS[3..];
    for (name, given, known) in [
        ("outcome", &query.outcome, [outcomes, &["caller_left"]].concat()),
        ("executor", &query.executor, vec!["mirror", "ghost", "local"]),
    ] {
        if let Some(given) = given.as_deref().filter(|given| !known.contains(given)) {
            return Err(format!("{name}: {given:?} is none of {}", known.join(", ")));
        }
    }
    for (name, given) in [("text", &query.text), ("rule", &query.rule)] {
        match given.as_deref().map(str::trim) {
            Some("") => return Err(format!("{name}: empty; leave it away to have any")),
            Some(text) if text.len() > MAX_TEXT => {
                return Err(format!("{name}: {} bytes are more than {MAX_TEXT}", text.len()));
            }
            _ => {}
        }
    }
    if query.container.as_deref().is_some_and(|given| !is_caller(&format!("container:{given}"))) {
        return Err("container: no container has such a name".to_owned());
    }
    if let Some(limit) = query.limit.filter(|given| !(1..=MAX_LIMIT).contains(given)) {
        return Err(format!("limit: {limit} is not within 1 and {MAX_LIMIT}"));
    }
    match (query.since_ms, query.until_ms) {
        (Some(since), Some(until)) if since > until => {
            Err(format!("since_ms: {since} is after until_ms, {until}"))
        }
        _ => Ok(()),
    }
}

fn is_caller(text: &str) -> bool {
    if let Some(pid) = text.strip_prefix("pid:") {
        return pid.parse::<u32>().is_ok();
    }
    if let Some(name) = text.strip_prefix("container:") {
        let named = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        return !name.is_empty() && name.bytes().all(named);
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    !text.is_empty() && text.bytes().all(plain) && (!is_number || text.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str) -> Result<HistoryQuery, String> {
        query(&text.parse().unwrap()).map_err(|failure| failure.0.message)
    }

    #[test]
    fn a_full_query_is_understood() {
        let uri = "/api/history?command=git%20*&decision=ask&caller=pid:7&jail=a&since_ms=1&until_ms=2&limit=1000&cursor=9";
        let found = ask(uri).unwrap();
        assert_eq!(found.command.as_deref(), Some("git *"));
        assert_eq!((found.limit, found.cursor), (Some(1000), Some(9)));
        assert_eq!(ask("/api/history").unwrap(), HistoryQuery::default());
        let uri = "/api/history?text=a%20b&outcome=caller_left&executor=ghost&rule=p:1&exit_code=-1&container=x";
        let found = ask(uri).unwrap();
        assert_eq!((found.text.as_deref(), found.exit_code), (Some("a b"), Some(-1)));
        assert_eq!(ask("/api/history?id=00Ff").unwrap().id.as_deref(), Some("00ff"));
        for caller in ["0", "pid:1", "3f2a", "some-prisoner"] {
            assert!(ask(&format!("/api/history?caller={caller}")).is_ok(), "{caller}");
        }
    }

    #[test]
    fn a_bad_value_is_refused_with_its_field() {
        for (given, field) in [
            ("id=", "id"),
            ("id=abc", "id"),
            ("id=wxyz", "id"),
            ("id=000000000000000000000000000000000", "id"),
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=many", "limit"),
            ("limit=", "limit"),
            ("limit=-1", "limit"),
            ("limit=5&limit=6", "limit"),
            ("since_ms=x", "since_ms"),
            ("since_ms=2&until_ms=1", "since_ms"),
            ("cursor=1.5", "cursor"),
            ("decision=Allow", "decision"),
            ("caller=", "caller"),
            ("caller=pid:x", "caller"),
            ("caller=99999999999", "caller"),
            ("caller=a%0Ab", "caller"),
            ("jail=../x", "jail"),
            ("command=", "command"),
            ("colour=red", "colour"),
            ("outcome=allow", "outcome"),
            ("executor=docker", "executor"),
            ("text=%20", "text"),
            ("rule=", "rule"),
            ("exit_code=x", "exit_code"),
            ("container=a/b", "container"),
        ] {
            let message = ask(&format!("/api/history?{given}")).unwrap_err();
            assert!(message.contains(field), "{given}: {message}");
        }
    }
}
