use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn read(json: &str) -> Result<Channel, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

#[test]
fn what_does_not_belong_to_a_kind_is_refused() {
    let slack =
        r#"{"name": "ops", "kind": "slack", "token_file": "/t", "app_token_env": "T", "to": "C1"}"#;
    assert_eq!(read(slack).unwrap().to, ["C1"]);
    assert_eq!(read(r#"{"name": "d", "kind": "desktop"}"#).unwrap().to, ["desktop"]);
    for (bad, says) in [
        (r#"{"name": "a/b", "kind": "desktop"}"#, "no name"),
        (r#"{"name": "", "kind": "desktop"}"#, "no name"),
        (r#"{"name": "d", "kind": "irc"}"#, "irc"),
        (r#"{"name": "d", "kind": "desktop", "token_env": "T"}"#, "has no token"),
        (r#"{"name": "d", "kind": "desktop", "to": "C1"}"#, "only place"),
        (r#"{"name": "w", "kind": "webhook", "app_token_env": "T"}"#, "has no app_token"),
        (r#"{"name": "w", "kind": "webhook", "url": "x", "url_env": "T"}"#, "one of url"),
        (r#"{"name": "s", "kind": "slack", "to": "C1", "token": "xoxb-1"}"#, "unknown field"),
        (r#"{"name": "s", "kind": "slack", "to": "C1", "token_file": "t"}"#, "not absolute"),
        (r#"{"name": "s", "kind": "slack", "token_env": "T"}"#, "nobody is told"),
        (r#"{"name": "d", "kind": "desktop", "page": "javascript:x"}"#, "no page"),
    ] {
        let said = read(bad).unwrap_err();
        assert!(said.contains(says), "{bad}: {said}");
    }
}

#[test]
fn a_secret_that_others_can_read_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, " 0123456789abcdef\n").unwrap();
    let json = serde_json::json!({
        "name": "w", "kind": "webhook", "url": "http://127.0.0.1:1/", "secret_file": path,
        "ca": rooted(folder.path()),
    });
    let channel = read(&json.to_string()).unwrap();
    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode));
    for open in [0o644, 0o640, 0o604] {
        mode(open).unwrap();
        assert!(matches!(channel.open(), Err(ChannelError::Secret(SecretError::Open(_)))));
    }
    mode(0o600).unwrap();
    let (_, secrets) = channel.open().unwrap();
    assert_eq!(secrets[0], "0123456789abcdef");
    std::fs::write(&path, "\n").unwrap();
    assert!(matches!(channel.open(), Err(ChannelError::Secret(SecretError::Empty(_)))));
    let other = json.to_string().replace("secret_file", "url_file");
    assert!(read(&other).is_err(), "two addresses");
    let none = read(r#"{"name": "w", "kind": "webhook"}"#).unwrap().open();
    assert!(matches!(none, Err(ChannelError::Missing { key: "url", .. })));
}

/// A file with an authority.
fn rooted(folder: &std::path::Path) -> PathBuf {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let path = folder.join("ca.pem");
    std::fs::write(&path, made.cert.pem()).unwrap();
    path
}

/// The keys in the table of docs/chat.md, and those that are read.
#[test]
fn every_key_is_documented_and_every_documented_key_is_read() {
    let text = include_str!("../../../../docs/chat.md");
    let (_, table) = text.split_once("## Every channel").unwrap();
    let (table, _) = table.split_once("\nIn a chat:").unwrap();
    let first = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" | "));
    let documented =
        first.flat_map(|(keys, _)| keys.split(',').map(|key| key.trim().trim_matches('`')));
    let documented: BTreeSet<&str> = documented.collect();
    // Serde names all of them where it knows one not.
    let said = read(r#"{"nobody_reads_it": 1}"#).unwrap_err();
    let (_, expected) = said.split_once("expected one of").unwrap();
    let read: BTreeSet<&str> = expected.split('`').skip(1).step_by(2).collect();
    assert_eq!(documented, read);
}

/// A channel of each form that docs/chat.md has, and what is missing or too much in others.
#[test]
fn which_secrets_make_a_channel_is_known_before_it_says_anything() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    let (bot, app) = (file("bot", "xoxb-1"), file("app", "xapp-1"));
    let (secret, token) = (file("secret", "0123456789abcdef"), file("token", "1:a"));
    let listen = "127.0.0.1:8091";
    let of = |kind: &str, more: serde_json::Value| {
        let mut json = serde_json::json!({ "name": "ops", "kind": kind });
        for (key, value) in more.as_object().unwrap() {
            json[key] = value.clone();
        }
        json["ca"] = serde_json::json!(rooted(folder.path()));
        read(&json.to_string()).and_then(|channel| match channel.open() {
            Ok((_, secrets)) => Ok((channel.answers(), secrets.len())),
            Err(error) => Err(error.to_string()),
        })
    };
    let url = "https://bridge.example/telegram";
    for (kind, more, expected) in [
        (
            "slack",
            serde_json::json!({ "to": "C1", "token_file": bot, "app_token_file": app }),
            (true, 2),
        ),
        (
            "slack",
            serde_json::json!({ "to": "C1", "token_file": bot, "listen": listen, "secret_file": secret }),
            (true, 2),
        ),
        ("telegram", serde_json::json!({ "to": -100, "token_file": token }), (true, 1)),
        (
            "telegram",
            serde_json::json!({ "to": -100, "token_file": token, "listen": listen, "url": url }),
            (true, 1),
        ),
        (
            "telegram",
            serde_json::json!({
                "to": -100, "token_file": token, "listen": listen, "url": url, "secret_file": secret,
            }),
            (true, 2),
        ),
        ("webhook", serde_json::json!({ "url": url }), (false, 1)),
        (
            "webhook",
            serde_json::json!({ "url": url, "template": "ntfy", "token_file": token }),
            (false, 2),
        ),
        (
            "webhook",
            serde_json::json!({ "url": url, "listen": listen, "secret_file": secret }),
            (true, 2),
        ),
    ] {
        assert_eq!(of(kind, more.clone()), Ok(expected), "{kind} {more}");
    }
    for (kind, more, says) in [
        ("slack", serde_json::json!({ "to": "C1", "token_file": bot }), "app_token"),
        ("slack", serde_json::json!({ "to": "C1", "app_token_file": app }), "has no token"),
        (
            "slack",
            serde_json::json!({ "to": "C1", "token_file": bot, "listen": listen }),
            "has no secret",
        ),
        (
            "slack",
            serde_json::json!({ "to": "C1", "token_file": app, "app_token_file": app }),
            "xoxb-",
        ),
        (
            "slack",
            serde_json::json!({
                "to": "C1", "token_file": bot, "app_token_file": app, "listen": listen, "secret_file": secret,
            }),
            "or listen and secret",
        ),
        ("telegram", serde_json::json!({ "to": 1, "token_file": bot }), "@BotFather"),
        (
            "telegram",
            serde_json::json!({ "to": 1, "token_file": token, "listen": listen }),
            "has no url",
        ),
        (
            "telegram",
            serde_json::json!({ "to": 1, "token_file": token, "url": url }),
            "has no listen",
        ),
        (
            "telegram",
            serde_json::json!({ "to": 1, "token_file": token, "listen": listen, "url": "http://b.example" }),
            "https",
        ),
        ("webhook", serde_json::json!({ "url": url, "listen": listen }), "needs a secret"),
        ("webhook", serde_json::json!({ "url": url, "template": "teams" }), "teams"),
        (
            "webhook",
            serde_json::json!({ "url": url, "template": "ntfy", "listen": listen, "secret_file": secret }),
            "template json",
        ),
    ] {
        let said = of(kind, more.clone()).unwrap_err();
        assert!(said.contains(says), "{kind} {more}: {said}");
    }
}
