//! The pieces of a message. What a prisoner chose stands in rich text alone, where Slack parses nothing: no mention, no
//! link, no markup comes of it.

use serde_json::{Value, json};

use super::limits::{MAX_TEXT, MAX_URL, short, units};

/// Elements of rich text, one after the other.
#[derive(Debug, Default)]
pub(super) struct Rich {
    elements: Vec<Value>,
    units: usize,
}

impl Rich {
    /// Our own words.
    pub(super) fn text(mut self, text: &str) -> Self {
        self.push(text, &Value::Null);
        self
    }

    /// Our own words, to be seen first.
    pub(super) fn bold(mut self, text: &str) -> Self {
        self.push(text, &json!({ "bold": true }));
        self
    }

    /// What is somebody else's.
    pub(super) fn code(mut self, text: &str) -> Self {
        self.push(text, &json!({ "code": true }));
        self
    }

    /// Slack refuses empty texts, and ones over the limit.
    fn push(&mut self, text: &str, style: &Value) {
        let text = short(text, MAX_TEXT);
        if text.is_empty() {
            return;
        }
        self.units += units(&text);
        let mut element = json!({ "type": "text", "text": text });
        if !style.is_null() {
            element["style"] = style.clone();
        }
        self.elements.push(element);
    }

    /// Everything of another one behind it.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.units += other.units;
        self.elements.extend(other.elements);
        self
    }

    pub(super) fn units(&self) -> usize {
        self.units
    }

    pub(super) fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// As a part of a block.
    pub(super) fn section(self) -> Value {
        json!({ "type": "rich_text_section", "elements": self.elements })
    }

    /// As a part of a block, in letters of one width. It has no style within.
    pub(super) fn preformatted(text: &str) -> Value {
        let plain = Self::default().text(text);
        json!({ "type": "rich_text_preformatted", "elements": plain.elements })
    }
}

/// A block of rich text.
pub(super) fn rich(block_id: &str, parts: &[Value]) -> Value {
    json!({ "type": "rich_text", "block_id": block_id, "elements": parts })
}

/// A block of small letters. `mrkdwn` is parsed: our own words alone.
pub(super) fn context(block_id: &str, mrkdwn: &str) -> Value {
    let element = json!({ "type": "mrkdwn", "text": mrkdwn });
    json!({ "type": "context", "block_id": block_id, "elements": [element] })
}

/// A block of buttons.
pub(super) fn actions(block_id: &str, buttons: &[Value]) -> Value {
    json!({ "type": "actions", "block_id": block_id, "elements": buttons })
}

/// Our own words where Slack takes no other text.
pub(super) fn plain(text: &str) -> Value {
    json!({ "type": "plain_text", "text": text, "emoji": false })
}

/// A button that is heard of.
pub(super) fn button(action_id: &str, label: &str, value: &str) -> Value {
    json!({ "type": "button", "action_id": action_id, "text": plain(label), "value": value })
}

/// The same, in the colour of a style: `primary` or `danger`.
pub(super) fn styled(mut button: Value, style: &str) -> Value {
    button["style"] = style.into();
    button
}

/// A button that opens a page; `None` where the address is none that Slack takes.
pub(super) fn page(url: Option<&str>) -> Option<Value> {
    let url = url.filter(|url| url.len() <= MAX_URL && url.starts_with("http"))?;
    let mut button =
        json!({ "type": "button", "action_id": "page", "text": plain("Open the page") });
    button["url"] = url.into();
    Some(button)
}

/// A moment as the reader's own clock has it; `format` in Slack's words, such as `{date_short_pretty} {time}`.
pub(super) fn date(at_ms: u64, format: &str) -> String {
    let utc = clawrden_api::display::rfc3339(at_ms);
    format!("<!date^{}^{format}|{utc}>", at_ms / 1_000)
}

/// For text that Slack parses: nothing of it is control.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The same where Slack parses styles, links and emoji as well: a space of no width is behind whatever begins one.
pub(super) fn unstyled(escaped: &str) -> String {
    let mut out = String::with_capacity(escaped.len() + 16);
    for c in escaped.chars() {
        out.push(c);
        if "*_~`:@#".contains(c) {
            out.push('\u{200b}');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rich_text_is_as_it_was_and_never_empty_or_too_long() {
        let rich = Rich::default().text("").bold("a").code("<!channel> *b* `c`");
        assert_eq!(rich.units(), 19);
        let section = rich.section();
        assert_eq!(section["elements"].as_array().unwrap().len(), 2);
        assert_eq!(section["elements"][1]["text"], "<!channel> *b* `c`");
        assert_eq!(section["elements"][1]["style"]["code"], true);
        let long = Rich::preformatted(&"x".repeat(5_000));
        assert!(long["elements"][0]["text"].as_str().unwrap().len() <= MAX_TEXT);
    }

    #[test]
    fn what_is_parsed_has_no_control_characters() {
        assert_eq!(escaped("<!here> & <@U1>"), "&lt;!here&gt; &amp; &lt;@U1&gt;");
        assert_eq!(unstyled("a*b:c"), "a*\u{200b}b:\u{200b}c");
        assert_eq!(date(1_000, "{time}"), "<!date^1^{time}|1970-01-01T00:00:01.000Z>");
    }

    #[test]
    fn a_page_is_only_behind_an_address() {
        assert_eq!(page(Some("https://w.example/r")).unwrap()["url"], "https://w.example/r");
        let long = format!("https://{}", "a".repeat(MAX_URL));
        assert!(
            page(None).is_none()
                && page(Some("javascript:x")).is_none()
                && page(Some(&long)).is_none()
        );
    }
}
