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
