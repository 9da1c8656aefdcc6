//! What a message looks like, near enough: a page of HTML made of the payload itself.

use serde_json::Value;

/// Several messages or dialogs below each other, each with a line above it.
pub fn page(shown: &[(&str, &Value)]) -> String {
    let all: String = shown
        .iter()
        .map(|(what, body)| {
            let body = if body["type"] == "modal" { modal(body) } else { message(body) };
            format!("<p class=what>{}</p>{body}", escaped(what))
        })
        .collect();
    format!(
        "<!doctype html><meta charset=utf-8><title>Slack</title><style>{STYLE}</style><main>{all}</main>\n"
    )
}

const STYLE: &str = "body{font:15px/1.46 Lato,'Liberation Sans',sans-serif;color:#1d1c1d;background:#fff;margin:24px}\
main{max-width:680px}.what{color:#616061;font-size:13px;margin:28px 0 6px}\
.message{display:flex;gap:10px}.face{flex:none;width:36px;height:36px;border-radius:6px;background:#2b3a55;color:#fff;\
text-align:center;line-height:36px;font-weight:700}.name{font-weight:900}.app{background:#ddd;border-radius:2px;\
font-size:10px;padding:1px 4px;color:#616061;margin-left:4px}.body{flex:1;min-width:0}\
pre{background:#f8f8f8;border:1px solid #ddd;border-radius:4px;padding:8px;margin:4px 0;white-space:pre-wrap;\
overflow-wrap:anywhere;font:12px/1.5 Menlo,'DejaVu Sans Mono',monospace}\
code{background:#f8f8f8;border:1px solid #ddd;border-radius:3px;color:#c0134e;padding:1px 3px;\
font:12px/1.5 Menlo,'DejaVu Sans Mono',monospace;overflow-wrap:anywhere}\
.section{white-space:pre-wrap;margin:4px 0;overflow-wrap:anywhere}.context{color:#616061;font-size:13px;margin:4px 0}\
button{font:700 13px Lato,'Liberation Sans',sans-serif;border:1px solid #bbb;border-radius:4px;background:#fff;\
padding:5px 12px;margin:4px 8px 4px 0}.primary{background:#007a5a;color:#fff;border-color:#007a5a}\
.danger{background:#e01e5a;color:#fff;border-color:#e01e5a}\
.modal{border:1px solid #ccc;border-radius:8px;box-shadow:0 4px 18px #0003;padding:16px 20px;max-width:480px}\
.modal h1{font-size:20px;margin:0 0 8px}.label{font-weight:700;margin:10px 0 4px}.hint{color:#616061;font-size:13px}\
.field{border:1px solid #868686;border-radius:4px;height:56px}.foot{text-align:right;margin-top:12px}";

fn message(body: &Value) -> String {
    let blocks = blocks(&body["blocks"]);
    format!(
        "<div class=message><div class=face>C</div><div class=body><span class=name>Clawrden</span>\
         <span class=app>APP</span>{blocks}</div></div>"
    )
}

fn modal(view: &Value) -> String {
    let (title, blocks) = (text(&view["title"]), blocks(&view["blocks"]));
    let (close, submit) = (text(&view["close"]), text(&view["submit"]));
    format!(
        "<div class=modal><h1>{title}</h1>{blocks}<div class=foot><button>{close}</button>\
         <button class=primary>{submit}</button></div></div>"
    )
}

fn blocks(blocks: &Value) -> String {
    blocks.as_array().into_iter().flatten().map(block).collect()
}

fn block(block: &Value) -> String {
    let elements = || block["elements"].as_array().into_iter().flatten();
    match block["type"].as_str().unwrap_or_default() {
        "rich_text" => elements().map(rich).collect(),
        "header" => format!("<h2>{}</h2>", text(&block["text"])),
        "section" => format!("<div class=section>{}</div>", text(&block["text"])),
        "context" => {
            let all: Vec<String> = elements().map(text).collect();
            format!("<div class=context>{}</div>", all.join(" "))
        }
        "actions" => {
            let buttons: String = elements()
                .map(|button| {
                    let style = button["style"].as_str().unwrap_or_default();
                    format!("<button class='{style}'>{}</button>", text(&button["text"]))
                })
                .collect();
            format!("<div>{buttons}</div>")
        }
        "input" => {
            let label = text(&block["label"]);
            let options = block["element"]["options"].as_array().into_iter().flatten();
            let options: String =
                options.map(|option| format!("<div>◯ {}</div>", text(&option["text"]))).collect();
            let field =
                if options.is_empty() { "<div class=field></div>".to_owned() } else { options };
            let optional = if block["optional"] == true { " (optional)" } else { "" };
            let hint = text(&block["hint"]);
            format!("<div class=label>{label}{optional}</div>{field}<div class=hint>{hint}</div>")
        }
        other => format!("<div>{other}?</div>"),
    }
}

fn rich(part: &Value) -> String {
    let inner: String = part["elements"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|element| {
            let mut text = escaped(element["text"].as_str().unwrap_or_default());
            for (style, tag) in [("code", "code"), ("bold", "b"), ("italic", "i")] {
                if element["style"][style] == true {
                    text = format!("<{tag}>{text}</{tag}>");
                }
            }
            text
        })
        .collect();
    match part["type"].as_str() {
        Some("rich_text_preformatted") => format!("<pre>{inner}</pre>"),
        _ => format!("<div class=section>{inner}</div>"),
    }
}

/// A text object. Of what Slack parses only dates are ours: they are shown as who cannot read them would see them.
fn text(object: &Value) -> String {
    let mut rest = object["text"].as_str().unwrap_or_default();
    let mut out = String::new();
    while let Some(at) = rest.find("<!date^") {
        let Some(end) = rest[at..].find('>') else { break };
        out.push_str(&rest[..at]);
        let token = &rest[at..at + end];
        let fallback = token.split_once('|').map_or(token, |(_, fallback)| fallback);
        let shown = match token.contains("{ago}") {
            true => "2 minutes ago".to_owned(),
            false => fallback.replace('T', " ").split('.').next().unwrap_or_default().to_owned(),
        };
        out.push_str(&shown);
        rest = &rest[at + end + 1..];
    }
    out.push_str(rest);
    // What was escaped for Slack stands for the same letters here.
    if out.contains("&lt;") || out.contains("&amp;") { out } else { escaped(&out) }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
