//! What Slack says that people did.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{Message, State, TEAM, View};

fn hook(state: &mut State, address: SocketAddr) -> String {
    format!("http://{address}/hook/{TEAM}/{}", state.number())
}

pub(super) fn tapped(
    state: &mut State,
    address: SocketAddr,
    message: &Message,
    block: Option<&str>,
    action: &str,
    user: &str,
) -> Value {
    let (block_id, button) = button(&message.payload, block, action)
        .unwrap_or_else(|| panic!("the message has no button {action}: {}", message.payload));
    let (trigger, hook) = (state.trigger(), hook(state, address));
    let blocks = as_slack_tells(&message.payload["blocks"]);
    json!({
        "type": "block_actions", "api_app_id": "A1", "token": "deprecated", "trigger_id": trigger,
        "user": { "id": user, "username": "somebody", "name": "somebody", "team_id": TEAM },
        "team": { "id": TEAM, "domain": "x" }, "enterprise": null, "is_enterprise_install": false,
        "channel": { "id": message.channel, "name": "general" }, "response_url": hook,
        "container": { "type": "message", "message_ts": message.ts, "channel_id": message.channel, "is_ephemeral": false },
        "message": { "type": "message", "bot_id": "B1", "ts": message.ts, "text": message.payload["text"], "blocks": blocks },
        "state": { "values": {} },
        "actions": [{
            "type": "button", "action_id": action, "block_id": block_id, "text": button["text"],
            "value": button["value"], "style": button["style"], "action_ts": "1700000001.000001",
        }],
    })
}

fn button(payload: &Value, block: Option<&str>, action: &str) -> Option<(String, Value)> {
    payload["blocks"].as_array()?.iter().find_map(|candidate| {
        let id = candidate["block_id"].as_str()?;
        let is_it = candidate["type"] == "actions" && block.is_none_or(|wanted| wanted == id);
        let buttons = candidate["elements"].as_array().filter(|_| is_it)?;
        let button = buttons.iter().find(|button| button["action_id"] == action)?;
        Some((id.to_owned(), button.clone()))
    })
}

/// Slack gives rich text back with more fields than it was sent with.
fn as_slack_tells(blocks: &Value) -> Value {
    let mut blocks = blocks.clone();
    for block in blocks.as_array_mut().into_iter().flatten() {
        for part in block["elements"].as_array_mut().into_iter().flatten() {
            if part["type"] == "rich_text_preformatted" {
                part["border"] = 0.into();
            }
        }
    }
    blocks
}

pub(super) fn submitted(
    state: &mut State,
    view: &View,
    choice: &str,
    reason: &str,
    user: &str,
) -> Value {
    let trigger = state.trigger();
    let mut shown = view.view.clone();
    let option = if choice.is_empty() { Value::Null } else { json!({ "value": choice }) };
    let reason = if reason.is_empty() { Value::Null } else { reason.into() };
    shown["id"] = view.id.clone().into();
    shown["team_id"] = TEAM.into();
    shown["state"] = json!({ "values": {
        "choice": { "choice": { "type": "radio_buttons", "selected_option": option } },
        "reason": { "reason": { "type": "plain_text_input", "value": reason } },
    } });
    json!({
        "type": "view_submission", "api_app_id": "A1", "token": "deprecated", "trigger_id": trigger,
        "team": { "id": TEAM, "domain": "x" }, "enterprise": null, "is_enterprise_install": false,
        "user": { "id": user, "username": "somebody", "name": "somebody", "team_id": TEAM },
        "view": shown, "response_urls": [],
    })
}

pub(super) fn typed(state: &mut State, address: SocketAddr, text: &str, user: &str) -> Value {
    let (trigger, hook) = (state.trigger(), hook(state, address));
    json!({
        "token": "deprecated", "team_id": TEAM, "team_domain": "x", "channel_id": super::CHANNEL,
        "channel_name": "general", "user_id": user, "user_name": "somebody", "command": "/clawrden",
        "text": text, "api_app_id": "A1", "is_enterprise_install": "false", "response_url": hook,
        "trigger_id": trigger,
    })
}
