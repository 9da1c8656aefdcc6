//! The desktop, by the `notify-send` that is found first.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::again;
use super::house::{House, asked, id, soon};

#[tokio::test]
async fn what_waits_is_shown_by_the_notify_send_that_is_found() {
    let this = "desktop::what_waits_is_shown_by_the_notify_send_that_is_found";
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("notify-send");
    let script = "#!/bin/sh\nprintf '%s\\n' \"$@\" >> \"${0%/*}/said\"\n";
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let place = folder.path().to_str().unwrap();
    let path = format!("{place}:{}", std::env::var("PATH").unwrap());
    if !again::is_there(this, &[("PATH", &path), ("FOLDER", place)]) {
        return;
    }
    let said = std::path::PathBuf::from(std::env::var("FOLDER").unwrap()).join("said");
    let mut house = House::new(&[], json!({ "kind": "desktop" }));
    let channel = house.channel();
    assert!(!channel.answers(), "nobody can answer there");
    assert_eq!(channel.to, ["desktop"]);
    house.open().await;
    house.warden.ask(&asked(1, &["npm", "install", "<b>x</b>"]));
    let shown = soon("a notification", || {
        std::fs::read_to_string(&said).ok().filter(|said| said.contains("clawrden approve"))
    })
    .await;
    let words =
        ["--app-name=clawrden\n--\nA command waits for an answer\n", "npm install", "&lt;b&gt;x"];
    assert!(words.iter().all(|words| shown.contains(words)), "{shown}");
    assert!(!shown.contains("<b>"), "{shown}");
    // What was shown is gone: that it was answered is no other notification, and what waits next is one.
    house.warden.answer_elsewhere(&id(1), "carol", true);
    house.warden.ask(&asked(2, &["second"]));
    let shown = soon("the next", || {
        std::fs::read_to_string(&said).ok().filter(|said| said.contains("second"))
    })
    .await;
    assert_eq!(shown.matches("--app-name=clawrden").count(), 2, "{shown}");
    soon("all is well", || (house.standing.state().sent == 3).then_some(())).await;
    assert_eq!(house.standing.state().failed, 0);
}
