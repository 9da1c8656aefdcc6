//! The methods of the Web API that an app of ours calls.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{APP_TOKEN, BOT_TOKEN, Message, State, TEAM, View, check_message, check_view};

pub(super) type Reply = Result<Value, Refused>;

/// Why not.
pub(super) struct Refused {
    pub(super) error: &'static str,
    pub(super) needed: Option<&'static str>,
}

impl From<&'static str> for Refused {
    fn from(error: &'static str) -> Self {
        Self { error, needed: None }
    }
}

pub(super) fn call(
    state: &mut State,
    address: SocketAddr,
    method: &str,
    token: Option<&str>,
    body: &Value,
) -> Reply {
    let Some(token) = token else { return Err("not_authed".into()) };
    let (wanted, scope) = match method {
        "apps.connections.open" => (APP_TOKEN, Some("connections:write")),
        "auth.test" | "views.open" => (BOT_TOKEN, None),
        "conversations.info" => (BOT_TOKEN, Some("channels:read")),
        "chat.postMessage" | "chat.update" | "chat.postEphemeral" => {
            (BOT_TOKEN, Some("chat:write"))
        }
        _ => return Err("unknown_method".into()),
    };
    if state.revoked.contains(token) {
        return Err("token_revoked".into());
    }
    if token != wanted {
        let is_other = token == BOT_TOKEN || token == APP_TOKEN;
        return Err(if is_other { "not_allowed_token_type" } else { "invalid_auth" }.into());
    }
    if let Some(scope) = scope.filter(|scope| !state.scopes.contains(scope)) {
        return Err(Refused { error: "missing_scope", needed: Some(scope) });
    }
    match method {
        "apps.connections.open" => {
            let ticket = format!("ticket-{}", state.number());
            state.tickets.insert(ticket.clone());
            Ok(json!({ "url": format!("ws://{address}/link/?ticket={ticket}&app_id=A1") }))
        }
        "auth.test" => Ok(
            json!({ "url": "https://x.slack.com/", "team_id": TEAM, "user_id": "U0BOT", "bot_id": "B1" }),
        ),
        "conversations.info" => {
            let id = body["channel"].as_str().unwrap_or_default();
            let channel = state.channels.get(id).ok_or("channel_not_found")?;
            let (is_member, is_archived) = (channel.is_member, channel.is_archived);
            Ok(
                json!({ "channel": { "id": id, "is_member": is_member, "is_archived": is_archived } }),
            )
        }
        "chat.postMessage" => post(state, body, None),
        "chat.postEphemeral" => {
            let user = body["user"].as_str().ok_or("user_not_in_channel")?;
            let posted = post(state, body, Some(user.to_owned()))?;
            Ok(json!({ "message_ts": posted["ts"] }))
        }
        "chat.update" => update(state, body),
        _ => open(state, body),
    }
}

fn channel(state: &State, body: &Value) -> Result<String, Refused> {
    let id = body["channel"].as_str().unwrap_or_default();
    // A message to a person goes to the conversation with them.
    if id.starts_with('U') {
        return Ok(id.replacen('U', "D", 1));
    }
    if id.starts_with('D') {
        return Ok(id.to_owned());
    }
    let channel = state.channels.get(id).ok_or("channel_not_found")?;
    if channel.is_archived {
        return Err("is_archived".into());
    }
    if !channel.is_member {
        return Err("not_in_channel".into());
    }
    Ok(id.to_owned())
}

fn post(state: &mut State, body: &Value, only_for: Option<String>) -> Reply {
    let channel = channel(state, body)?;
    checked(state, check_message(body), "invalid_blocks")?;
    let thread = body["thread_ts"].as_str().map(str::to_owned);
    if thread.as_ref().is_some_and(|ts| !state.messages.iter().any(|message| message.ts == *ts)) {
        return Err("thread_not_found".into());
    }
    let ts = format!("1700000000.{:06}", state.number());
    let answer = json!({ "channel": channel, "ts": ts, "message": { "text": body["text"], "blocks": body["blocks"] } });
    state.messages.push(Message { channel, ts, thread, only_for, payload: body.clone(), edits: 0 });
    Ok(answer)
}

fn update(state: &mut State, body: &Value) -> Reply {
    let channel = channel(state, body)?;
    checked(state, check_message(body), "invalid_blocks")?;
    let ts = body["ts"].as_str().unwrap_or_default();
    let found = state.messages.iter_mut().find(|message| {
        message.channel == channel && message.ts == ts && message.only_for.is_none()
    });
    let message = found.ok_or("message_not_found")?;
    message.payload = body.clone();
    message.edits += 1;
    Ok(json!({ "channel": channel, "ts": ts }))
}

fn open(state: &mut State, body: &Value) -> Reply {
    let life = state.trigger_life;
    let trigger = body["trigger_id"].as_str().unwrap_or_default();
    let trigger = state.triggers.get_mut(trigger).ok_or("invalid_trigger_id")?;
    if trigger.used {
        return Err("exchanged_trigger_id".into());
    }
    if trigger.made.elapsed() > life {
        return Err("expired_trigger_id".into());
    }
    let result = check_view(&body["view"]);
    let is_good = result.is_ok();
    trigger.used = is_good;
    checked(state, result, "invalid_arguments")?;
    let id = format!("V{:010}", state.number());
    state.views.push(View { id: id.clone(), view: body["view"].clone() });
    Ok(json!({ "view": { "id": id } }))
}

fn checked(
    state: &mut State,
    result: Result<(), String>,
    error: &'static str,
) -> Result<(), Refused> {
    result.map_err(|problem| {
        state.problems.push(problem);
        error.into()
    })
}
