//! What docs/chat.md shows of settings is what the warden reads.

use std::collections::BTreeSet;
use std::path::Path;

use super::File;

/// As the warden reads its settings.
fn read(text: &str) -> Result<File, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("warden.yaml");
    std::fs::write(&path, text).unwrap();
    File::read(Some(&path), Path::new("/nowhere")).map_err(|error| error.to_string())
}

/// The blocks of YAML in docs/chat.md, without what all of their lines are behind.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "```yaml" {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let block = lines.by_ref().take_while(|line| line.trim() != "```");
        let block = block.map(|line| format!("{}\n", line.get(indent..).unwrap_or_default()));
        blocks.push(block.collect());
    }
    blocks
}

#[test]
fn every_block_of_docs_chat_md_is_read_as_it_stands_there() {
    let text = include_str!("../../../../docs/chat.md");
    let blocks = blocks(text);
    let mut kinds = BTreeSet::new();
    let (mut manifests, mut people) = (0, 0);
    for block in &blocks {
        // This one is for Slack.
        if block.starts_with("display_information:") {
            manifests += 1;
            manifest(block);
            continue;
        }
        let file = read(block).unwrap_or_else(|error| panic!("{error}\n{block}"));
        people += usize::from(file.people.with(&file.groups).unwrap().knows("alice"));
        for channel in &file.notify.0 {
            kinds.insert(channel.kind.as_str());
            assert!(!channel.routes().all().is_empty(), "{block}");
        }
    }
    assert_eq!((blocks.len(), manifests, people), (4, 1, 1), "{blocks:?}");
    // A desktop is one line in the text.
    let desktop = text.split('`').find(|code| code.contains("kind: desktop")).unwrap();
    let file = read(&format!("notify: [{desktop}]\n")).unwrap();
    kinds.insert(file.notify.0[0].kind.as_str());
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["desktop", "slack", "telegram", "webhook"]);
    for flood in text.split('`').filter(|code| code.starts_with("{posts:")) {
        let channel = format!("{{name: desk, kind: desktop, flood: {flood}}}");
        let file = read(&format!("notify: [{channel}]\n")).unwrap();
        assert_eq!(file.notify.0[0].flood, clawrden_bridge::floods::Flood::default());
    }
}

/// What an app needs so that a bridge can do by it what it does.
fn manifest(text: &str) {
    let manifest: serde_json::Value = serde_saphyr::from_str(text).unwrap();
    let scopes = manifest["oauth_config"]["scopes"]["bot"].as_array().unwrap();
    for scope in ["chat:write", "commands", "channels:read"] {
        assert!(scopes.iter().any(|it| it == scope), "{scope}: {scopes:?}");
    }
    assert_eq!(manifest["features"]["slash_commands"][0]["command"], "/clawrden");
    assert!(manifest["features"]["bot_user"]["display_name"].is_string());
    assert_eq!(manifest["settings"]["interactivity"]["is_enabled"], true);
    assert_eq!(manifest["settings"]["socket_mode_enabled"], true);
}
