//! What a person did, as Slack tells it: a tap, a dialog that was sent, a command that was typed.
//!
//! Who it was is told by ids alone. Whatever is not understood is nothing; nothing of it is ever taken for a yes.

use clawrden_api::display;
use serde_json::{Value, json};

use super::digest::{DENY_ALL, SHOWN};
use super::limits::{is_id, short};
use super::modal::{self, Submitted};
use crate::card::is_request;
use crate::heard::{Heard, ReplyTo, Scope, Wants};
use crate::words::with_code;

/// Words of a command, and characters of one.
const MAX_WORDS: usize = 16;
const MAX_WORD: usize = 256;

/// Units of a name that is shown.
const MAX_NAME: usize = 80;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Done {
    /// Somebody wants something; of several requests, the same for each.
    Heard(Vec<Heard>),
    /// A dialog is to be opened while the tap is young.
    Open(Box<Opening>),
    /// A dialog stays open: what Slack is answered.
    Amend(Value),
    /// Nothing of ours.
    Nothing,
}

/// A dialog that is to be opened.
#[derive(Debug, PartialEq, Eq)]
pub struct Opening {
    /// What allows it, for 3 s.
    pub trigger: String,
    /// The dialog.
    pub view: Value,
    /// Where the person is told if it cannot be.
    pub to: ReplyTo,
}

/// A payload of interactive components: the `payload` of an envelope, or of a form.
#[must_use]
pub fn interactive(payload: &Value) -> Done {
    match payload["type"].as_str() {
        Some("block_actions") => tapped(payload).unwrap_or(Done::Nothing),
        Some("view_submission") => sent(payload).unwrap_or(Done::Nothing),
        _ => Done::Nothing,
    }
}

/// A payload of a slash command.
#[must_use]
pub fn command(payload: &Value) -> Done {
    typed(payload).unwrap_or(Done::Nothing)
}

fn tapped(payload: &Value) -> Option<Done> {
    let action = payload["actions"].as_array()?.first()?;
    let verb = action["action_id"].as_str()?;
    if !matches!(verb, "approve" | "session" | "deny" | "more" | DENY_ALL) {
        return None;
    }
    let most = if verb == DENY_ALL { SHOWN } else { 1 };
    let requests: Vec<&str> = action["value"].as_str()?.split(' ').collect();
    if requests.len() > most || !requests.iter().all(|id| is_request(id)) {
        return None;
    }
    let channel =
        id(&payload["channel"]["id"]).or_else(|| id(&payload["container"]["channel_id"]))?;
    let trigger = trigger(payload)?;
    let to =
        ReplyTo { place: channel, address: address(payload), user: id(&payload["user"]["id"])? };
    if verb == "more" {
        let block = action["block_id"].as_str().unwrap_or_default();
        let view = modal::view(requests[0], &to.place, &payload["message"], block);
        return Some(Done::Open(Box::new(Opening { trigger, view, to })));
    }
    let approve = matches!(verb, "approve" | "session");
    let each = requests.into_iter().enumerate().map(|(at, request)| {
        let request = request.to_owned();
        let scope = if verb == "session" { Scope::Session } else { Scope::Once };
        let wants = Wants::Answer { request, approve, reason: None, scope };
        let part = if at == 0 { String::new() } else { format!(":{at}") };
        heard(payload, format!("tap:{trigger}{part}"), to.clone(), wants)
    });
    Some(Done::Heard(each.collect::<Option<_>>()?))
}

fn sent(payload: &Value) -> Option<Done> {
    let view = &payload["view"];
    match modal::submitted(view) {
        Submitted::Foreign => None,
        Submitted::Amend(block, text) => {
            Some(Done::Amend(json!({ "response_action": "errors", "errors": { block: text } })))
        }
        Submitted::Wants(wants, channel) => {
            let key = trigger(payload).or_else(|| id(&view["id"]))?;
            let user = id(&payload["user"]["id"])?;
            let to = ReplyTo { place: channel, address: None, user };
            Some(Done::Heard(vec![heard(payload, format!("sent:{key}"), to, wants)?]))
        }
    }
}

fn heard(payload: &Value, key: String, to: ReplyTo, wants: Wants) -> Option<Heard> {
    let user = &payload["user"];
    // In a channel that is shared with others, the team of the payload is ours, and the user may be of theirs.
    let team = id(&user["team_id"])
        .or_else(|| id(&payload["team"]["id"]))
        .or_else(|| id(&payload["enterprise"]["id"]))?;
    let shown = shown(user["username"].as_str().or(user["name"].as_str()));
    let user = format!("{team}/{}", to.user);
    Some(Heard { user, shown, key, said_ms: None, to, wants })
}

fn typed(payload: &Value) -> Option<Done> {
    let text = payload["text"].as_str().unwrap_or_default();
    let mut words: Vec<String> = text
        .split_whitespace()
        .take(MAX_WORDS)
        .map(|word| word.chars().take(MAX_WORD).collect())
        .collect();
    if words.is_empty() {
        words.push("help".to_owned());
    }
    let user = id(&payload["user_id"])?;
    let team = id(&payload["team_id"]).or_else(|| id(&payload["enterprise_id"]))?;
    let shown = shown(payload["user_name"].as_str());
    let to = ReplyTo {
        place: id(&payload["channel_id"])?,
        address: address(payload),
        user: user.clone(),
    };
    let key = format!("typed:{}", trigger(payload)?);
    let wants = Wants::Command(with_code(words));
    Some(Done::Heard(vec![Heard {
        user: format!("{team}/{user}"),
        shown,
        key,
        said_ms: None,
        to,
        wants,
    }]))
}

/// A name, as people may see it.
fn shown(name: Option<&str>) -> String {
    short(&display::text(name.unwrap_or_default()), MAX_NAME)
}

/// One of Slack's ids: letters and digits.
fn id(value: &Value) -> Option<String> {
    value.as_str().filter(|id| is_id(id)).map(str::to_owned)
}

/// What Slack gives each tap alone.
fn trigger(payload: &Value) -> Option<String> {
    let trigger = payload["trigger_id"].as_str()?;
    let is_one = !trigger.is_empty()
        && trigger.len() <= 256
        && trigger.bytes().all(|b| b.is_ascii_graphic());
    is_one.then(|| trigger.to_owned())
}

fn address(payload: &Value) -> Option<String> {
    payload["response_url"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tap(team: &Value, user_team: &Value) -> Value {
        json!({
            "type": "block_actions", "trigger_id": "1.2.x", "team": { "id": team },
            "user": { "id": "U1", "team_id": user_team, "username": "admin" }, "channel": { "id": "C1" },
            "actions": [{ "action_id": "approve", "value": "7f3a".repeat(8) }],
        })
    }

    fn user(payload: &Value) -> Option<String> {
        match interactive(payload) {
            Done::Heard(mut heard) => Some(heard.remove(0).user),
            _ => None,
        }
    }

    #[test]
    fn a_user_is_of_their_own_team() {
        assert_eq!(user(&tap(&"T1".into(), &"T1".into())), Some("T1/U1".to_owned()));
        // Somebody of another workspace in a channel that is shared with it.
        assert_eq!(user(&tap(&"T1".into(), &"T2".into())), Some("T2/U1".to_owned()));
        assert_eq!(user(&tap(&"T1".into(), &Value::Null)), Some("T1/U1".to_owned()));
        assert_eq!(user(&tap(&Value::Null, &Value::Null)), None);
        assert_eq!(user(&tap(&"T1/U2".into(), &Value::Null)), None);
    }

    #[test]
    fn several_are_denied_at_once_and_never_approved() {
        let mut payload = tap(&"T1".into(), &"T1".into());
        let ids: Vec<String> = (0..SHOWN).map(|n| format!("{n:032x}")).collect();
        payload["actions"][0] = json!({ "action_id": DENY_ALL, "value": ids.join(" ") });
        let Done::Heard(all) = interactive(&payload) else { panic!() };
        let keys: std::collections::HashSet<&str> =
            all.iter().map(|heard| &heard.key[..]).collect();
        assert_eq!(keys.len(), SHOWN);
        for (heard, id) in all.iter().zip(&ids) {
            let Wants::Answer { request, approve: false, .. } = &heard.wants else { panic!() };
            assert_eq!(request, id);
        }
        for verb in ["approve", "session", "deny", "more"] {
            payload["actions"][0]["action_id"] = verb.into();
            assert_eq!(interactive(&payload), Done::Nothing, "{verb}");
        }
        payload["actions"][0] =
            json!({ "action_id": DENY_ALL, "value": vec!["0".repeat(32); 9].join(" ") });
        assert_eq!(interactive(&payload), Done::Nothing);
    }

    #[test]
    fn what_is_not_understood_is_nothing() {
        for payload in
            [Value::Null, json!([]), json!({}), json!({ "type": "view_closed" }), json!("x")]
        {
            assert_eq!(interactive(&payload), Done::Nothing);
            assert_eq!(command(&payload), Done::Nothing);
        }
    }

    #[test]
    fn a_code_is_typed_in_parts_as_well() {
        let payload = json!({
            "text": "pair <@U0BOT|clawrden> 7XK2P 9QRST", "user_id": "U1", "team_id": "T1", "channel_id": "C1",
            "trigger_id": "1",
        });
        let Done::Heard(heard) = command(&payload) else { panic!() };
        let words = vec!["pair".to_owned(), "7XK2P9QRST".to_owned()];
        assert_eq!(heard[0].wants, Wants::Command(words));
    }

    #[test]
    fn a_command_is_bounded() {
        let payload = json!({
            "text": format!("kill {}", "x ".repeat(1_000)), "user_id": "U1", "team_id": "T1", "channel_id": "C1",
            "trigger_id": "1", "response_url": "https://hooks.slack.com/commands/1",
        });
        let Done::Heard(heard) = command(&payload) else { panic!() };
        let Wants::Command(words) = &heard[0].wants else { panic!() };
        assert_eq!(words.len(), MAX_WORDS);
        assert_eq!(heard[0].to.address.as_deref(), Some("https://hooks.slack.com/commands/1"));
    }
}
