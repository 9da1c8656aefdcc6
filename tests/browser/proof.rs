//! Proving the ledger from the page, and taking what the history suggests.

use std::fs;
use std::process::Stdio;

use crate::accessible::also_look;
use crate::browser::{Driver, with_driver};
use crate::support::House;
use crate::support::etc::{at_home, etc};
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

#[test]
fn what_the_history_suggests_is_shown_and_put_in_force_by_who_accepts_it() {
    let etc = etc("policy.yaml", "default_action: ask");
    let Some(house) = at_home(etc.path(), &TCP) else { return };
    with_driver(async |driver| accepted(&driver, &house).await);
}

async fn accepted(driver: &Driver, house: &House) {
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
    let browser = signed_in(driver, house).await;
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
