//! Proving the ledger from the page, and taking what the history suggests.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use crate::accessible::also_look;
use crate::browser::{Driver, with_driver};
use crate::reach::can_have_mounts;
use crate::support::House;
use crate::{POLICY, TCP, end, is_content, signed_in};

#[test]
fn the_ledger_is_proved_from_the_page_and_where_it_does_not_hold_is_said() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        assert!(house.shimmed("true").status().unwrap().success());
        let browser = signed_in(&driver, &house).await;
        browser.page("ledger").await;
        browser.shows("It was not proved since the warden started.").await;
        browser.press_button("Verify now").await;
        browser
            .until(
                "that it holds",
                "return document.querySelector('#proof .chip.good')?.textContent === 'holds'",
            )
            .await;
        also_look(&browser, "proof").await;
        browser.shot("proof").await;
        // One byte of an early record.
        let path = house.path("ledger.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        let at = text.find("\"event\":\"").unwrap() + 10;
        let file = fs::File::options().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"Z", at as u64).unwrap();
        browser.press_button("Verify now").await;
        browser.until("that it does not", "return document.querySelector('#proof .chip.bad')?.textContent === 'does not hold'").await;
        browser.shows("ledger.jsonl, line 1").await;
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}

/// A warden whose policy is the host's own, so that it has a folder for further rules.
async fn at_home(driver: Driver) {
    let etc = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
    fs::set_permissions(etc.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copied = Command::new("cp").args(["-a", "/etc/."]).arg(etc.path()).status().unwrap();
    assert!(copied.success());
    fs::create_dir_all(etc.path().join("clawrden")).unwrap();
    fs::write(etc.path().join("clawrden/policy.yaml"), "default_action: ask").unwrap();
    let script = "mount --bind \"$0\" /etc; p=$1 w=$2 s=$4 c=$6; shift 8; exec \"$p\" \"$w\" --socket \"$s\" --control \"$c\" \"$@\"";
    let prefix = ["unshare", "--mount", "sh", "-c", script, etc.path().to_str().unwrap()];
    let house = House::under(&prefix, "", &TCP);
    let touch = || {
        let mut command = house.shimmed("touch");
        command
            .arg("always-the-same")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.spawn().unwrap()
    };
    for _ in 0..3 {
        let child = touch();
        let short = house.pending()["short"].as_str().unwrap().to_owned();
        assert!(house.cli(&["approve", &short]).status.success());
        assert!(end(child).await.status.success());
    }
    let browser = signed_in(&driver, &house).await;
    browser.page("policy").await;
    browser.press_button("Look for suggestions").await;
    browser.shows("1 rule would have answered what people did.").await;
    browser.shows("would have answered 3 asks").await;
    also_look(&browser, "suggestions").await;
    browser.shot("suggestions").await;
    browser.press_button("Accept…").await;
    browser.write("dialog input", "always approved").await;
    browser.press_button("Write it").await;
    let added = house.event("rule_added");
    assert_eq!((&added["reason"], &added["channel"]), (&"always approved".into(), &"web".into()));
    assert!(added.get("entry").is_none(), "{added}");
    browser.shows("Nothing to suggest.").await;
    assert!(end(touch()).await.status.success(), "nobody is asked again");
    let mut other = house.shimmed("touch").arg("another").stderr(Stdio::null()).spawn().unwrap();
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    assert!(house.cli(&["deny", &short]).status.success());
    assert_eq!(other.wait().unwrap().code(), Some(126), "it takes nothing else");
    is_content(&browser, &[]).await;
    browser.close().await;
}

#[test]
fn what_the_history_suggests_is_shown_and_put_in_force_by_who_accepts_it() {
    if !rustix::process::getuid().is_root() || !can_have_mounts() {
        eprintln!("LEFT OUT: only root can put a folder in the place of /etc");
        return;
    }
    with_driver(at_home);
}
