//! Saying things in Slack.

use clawrden_api::display;
use serde_json::{Value, json};

use super::blocks::{Rich, escaped, rich, unstyled};
use super::limits::{MAX_FALLBACK, MAX_TEXT, short, tail, units};
use super::refusal::Refusal;
use super::web::Web;
use crate::heard::{Failure, ReplyTo};
use crate::service::Posted;

/// Units of a note on what is left out.
const NOTE: usize = 60;

/// Posts a message of text and blocks; `thread` is the message below which it stands.
pub(super) async fn post(
    web: &Web,
    place: &str,
    thread: Option<&str>,
    mut payload: Value,
) -> Result<Posted, Failure> {
    payload["channel"] = place.into();
    // Nothing is fetched for what a prisoner wrote, and the text of notifications is only text.
    payload["unfurl_links"] = false.into();
    payload["unfurl_media"] = false.into();
    payload["mrkdwn"] = false.into();
    if let Some(thread) = thread {
        payload["thread_ts"] = thread.into();
    }
    let answer = web.call("chat.postMessage", &payload).await?;
    match (answer["channel"].as_str(), answer["ts"].as_str()) {
        (Some(place), Some(message)) => {
            Ok(Posted { place: place.to_owned(), message: message.to_owned() })
        }
        _ => Err(Failure::Now("slack does not say where the message is".to_owned())),
    }
}

/// Makes a message say something else.
pub(super) async fn edit(web: &Web, posted: &Posted, mut payload: Value) -> Result<(), Refusal> {
    payload["channel"] = posted.place.as_str().into();
    payload["ts"] = posted.message.as_str().into();
    web.call("chat.update", &payload).await.map(drop)
}

/// Tells one person something that nobody else sees.
pub(super) async fn tell(web: &Web, to: &ReplyTo, text: &str) -> Result<(), Failure> {
    let mut payload = said(text);
    if let Some(address) = &to.address {
        let mut response = payload.clone();
        response["response_type"] = "ephemeral".into();
        response["replace_original"] = false.into();
        if let Some(told) = web.respond(address, &response).await {
            return told;
        }
    }
    payload["channel"] = to.place.as_str().into();
    payload["user"] = to.user.as_str().into();
    Ok(web.call("chat.postEphemeral", &payload).await.map(drop)?)
}

/// Plain text, as a message.
pub(super) fn said(text: &str) -> Value {
    let text = short(&lines(text), MAX_TEXT);
    let text = if text.is_empty() { "…" } else { &text };
    let section = Rich::default().text(text).section();
    json!({ "text": unstyled(&escaped(&short(text, MAX_FALLBACK))), "blocks": [rich("said", &[section])] })
}

/// What a command wrote, as a message: of a long text its end.
pub(super) fn output(text: &str) -> Value {
    let text = lines(text.trim_end());
    let shown = tail(&text, MAX_TEXT - NOTE);
    let mut parts = Vec::new();
    if units(shown) < units(&text) {
        let left_out = text.chars().count() - shown.chars().count();
        let note = format!("⋯ {left_out} characters before this are left out here ⋯");
        parts.push(Rich::default().bold(&note).section());
    }
    parts.push(Rich::preformatted(if shown.is_empty() { "(it wrote nothing)" } else { shown }));
    json!({ "text": "what it wrote", "blocks": [rich("output", &parts)] })
}

/// Text of several lines without anything that cannot be seen.
fn lines(text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            let is_plain = |c: char| display::is_plain(c) || c == '\t';
            if line.chars().all(is_plain) { line.to_owned() } else { display::text(line) }
        })
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_are_told_is_no_markup_and_never_too_long() {
        let payload = said("<!channel> & `x`\n\u{1b}[2J");
        assert_eq!(payload["text"], "&lt;!channel&gt; &amp; `\u{200b}x`\u{200b}\n\\e[2J");
        let element = &payload["blocks"][0]["elements"][0]["elements"][0];
        assert_eq!(element["text"], "<!channel> & `x`\n\\e[2J");
        assert!(said(&"x".repeat(10_000)).to_string().len() < 5_000);
        assert!(said("").to_string().contains('…'));
    }

    #[test]
    fn of_long_output_the_end_is_shown() {
        let payload = output(&format!("{}\nthe end\n\n", "x".repeat(10_000)));
        let text = payload.to_string();
        assert!(text.contains("\\nthe end\"") && text.contains("characters before this"), "{text}");
        assert!(output("  \n").to_string().contains("(it wrote nothing)"));
    }
}
