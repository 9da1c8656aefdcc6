//! The dialog behind `More…`: an answer with a reason, and for what a yes is good.

use serde_json::{Value, json};

use super::blocks::{plain, rich};
use super::limits::{MAX_REASON, head, is_id};
use super::message::COMMAND;
use crate::card::is_request;
use crate::heard::{Scope, Wants};

/// Names the dialog in what Slack says of it.
pub(super) const CALLBACK: &str = "clawrden-answer";

const HOUR: u64 = 60 * 60 * 1_000;

/// What can be chosen: a value, and what is read.
const CHOICES: [(&str, &str); 5] = [
    ("once", "Approve once"),
    ("session", "Approve for this session"),
    ("hour", "Approve for 1 hour"),
    ("hours", "Approve for 8 hours"),
    ("deny", "Deny"),
];

/// The dialog for a request, opened at a message in a channel. `message` is the message as Slack tells it, and `actions`
/// the id of the block that was tapped: the command is shown again as it stands there.
pub(super) fn view(request: &str, channel: &str, message: &Value, actions: &str) -> Value {
    let mut blocks = Vec::new();
    blocks.extend(shown(message, actions));
    let options: Vec<Value> = CHOICES
        .iter()
        .map(|(value, label)| json!({ "text": plain(label), "value": value }))
        .collect();
    blocks.push(json!({
        "type": "input", "block_id": "choice", "label": plain("Answer"),
        "element": { "type": "radio_buttons", "action_id": "choice", "options": options },
    }));
    blocks.push(json!({
        "type": "input", "block_id": "reason", "optional": true,
        "label": plain("Reason"), "hint": plain("A denial's reason goes to the agent."),
        "element": {
            "type": "plain_text_input", "action_id": "reason", "multiline": true, "max_length": MAX_REASON,
        },
    }));
    json!({
        "type": "modal", "callback_id": CALLBACK, "title": plain("Answer a request"),
        "submit": plain("Send"), "close": plain("Cancel"), "blocks": blocks,
        "private_metadata": json!({ "request": request, "channel": channel }).to_string(),
    })
}

/// The command's block of the message, where it can be found. Only what we know of is copied.
fn shown(message: &Value, actions: &str) -> Option<Value> {
    let wanted = match actions.strip_prefix("answer-") {
        Some(at) => format!("request-{at}"),
        None => COMMAND.to_owned(),
    };
    let blocks = message["blocks"].as_array()?;
    let block = blocks.iter().find(|block| block["block_id"] == wanted.as_str())?;
    (block["type"] == "rich_text").then(|| {
        let parts = block["elements"].as_array().cloned().unwrap_or_default();
        rich(COMMAND, &parts)
    })
}

/// Leaves the command out of a dialog; false where it is not in it.
pub(super) fn forget_command(view: &mut Value) -> bool {
    let Some(blocks) = view["blocks"].as_array_mut() else { return false };
    let before = blocks.len();
    blocks.retain(|block| block["block_id"] != COMMAND);
    blocks.len() < before
}

/// What a filled-in dialog says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Submitted {
    /// What is wanted, and in which channel it was asked for.
    Wants(Wants, String),
    /// What to tell below a field: its block, and the text.
    Amend(&'static str, &'static str),
    /// It is none of ours.
    Foreign,
}

/// Reads a filled-in dialog.
pub(super) fn submitted(view: &Value) -> Submitted {
    if view["callback_id"] != CALLBACK {
        return Submitted::Foreign;
    }
    let metadata = view["private_metadata"].as_str().unwrap_or_default();
    let metadata: Value = serde_json::from_str(metadata).unwrap_or_default();
    let (Some(request), Some(channel)) =
        (metadata["request"].as_str(), metadata["channel"].as_str())
    else {
        return Submitted::Foreign;
    };
    if !is_request(request) || !is_id(channel) {
        return Submitted::Foreign;
    }
    let values = &view["state"]["values"];
    let choice = values["choice"]["choice"]["selected_option"]["value"].as_str();
    let (approve, scope) = match choice {
        Some("once") => (true, Scope::Once),
        Some("session") => (true, Scope::Session),
        Some("hour") => (true, Scope::Time(HOUR)),
        Some("hours") => (true, Scope::Time(8 * HOUR)),
        Some("deny") => (false, Scope::Once),
        _ => return Submitted::Amend("choice", "Choose one."),
    };
    let reason = values["reason"]["reason"]["value"].as_str().unwrap_or_default().trim();
    let reason = (!reason.is_empty()).then(|| head(reason, MAX_REASON).to_owned());
    let wants = Wants::Answer { request: request.to_owned(), approve, reason, scope };
    Submitted::Wants(wants, channel.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::{Card, Stage};
    use crate::slack::{message, testing::entry};

    fn filled(choice: &Value, reason: &Value) -> Value {
        let mut view = view(&"7f3a".repeat(8), "C1", &Value::Null, "answer");
        view["state"]["values"] = json!({
            "choice": { "choice": { "type": "radio_buttons", "selected_option": { "value": choice } } },
            "reason": { "reason": { "type": "plain_text_input", "value": reason } },
        });
        view
    }

    #[test]
    fn every_choice_says_what_it_means() {
        for (choice, approve, scope) in [
            ("once", true, Scope::Once),
            ("session", true, Scope::Session),
            ("hour", true, Scope::Time(3_600_000)),
            ("hours", true, Scope::Time(28_800_000)),
            ("deny", false, Scope::Once),
        ] {
            let view = filled(&choice.into(), &" because ".into());
            let reason = Some("because".to_owned());
            let wants = Wants::Answer { request: "7f3a".repeat(8), approve, reason, scope };
            assert_eq!(submitted(&view), Submitted::Wants(wants, "C1".to_owned()));
        }
    }

    #[test]
    fn no_choice_is_no_answer() {
        for choice in [Value::Null, "yes".into(), 1.into(), "approve".into()] {
            let submitted = submitted(&filled(&choice, &Value::Null));
            assert!(matches!(submitted, Submitted::Amend("choice", _)), "{submitted:?}");
        }
        let mut foreign = filled(&"once".into(), &Value::Null);
        foreign["callback_id"] = "other".into();
        assert_eq!(submitted(&foreign), Submitted::Foreign);
        let elsewhere = json!({ "request": "7f3a".repeat(8), "channel": "../C1" }).to_string();
        for metadata in ["", "{}", "[]", r#"{"request":"../x","channel":"C1"}"#, &elsewhere] {
            let mut view = filled(&"once".into(), &Value::Null);
            view["private_metadata"] = metadata.into();
            assert_eq!(submitted(&view), Submitted::Foreign, "{metadata}");
        }
    }

    #[test]
    fn a_dialog_shows_the_command_that_was_tapped() {
        let card = Card {
            entry: entry(&["rm", "-rf", "<@U1>"]),
            stage: Stage::Waiting,
            progress: None,
            page: None,
        };
        let view = view(&card.entry.id, "C1", &message::payload(&card), "answer");
        assert!(view["blocks"][0].to_string().contains("rm -rf '<@U1>'"), "{view}");
        assert_eq!(view["blocks"][0]["type"], "rich_text");
    }
}
