//! A yes in a chat that its rule wants confirmed: who gave it says it again on the page, or says no there.

use std::fs;
use std::process::Child;

use serde_json::{Value, json};

use crate::accessible::also_look;
use crate::browser::{Browser, Driver, with_driver};
use crate::support::approvers::Panel;
use crate::support::{events, text};
use crate::{card, end, is_content};

const POLICY: &str =
    "rules: [{command: touch, action: ask, reason: it makes a file, confirm: page}]";

/// Bob has said yes in a chat, which started nothing, and has signed in where he was told to confirm it.
async fn wished(driver: &Driver) -> (Panel, Browser, Child) {
    let panel = Panel::new(POLICY);
    panel.token("bob");
    let slack = panel.bridge("slack", &[]);
    let (mut child, short) = panel.waiting();
    let (status, said) = slack.tap("slack:T1/BOB", "approve", &short);
    assert_eq!(status, 409, "{said}");
    let place = said.split("confirm at ").nth(1).and_then(|rest| rest.split(' ').next());
    assert_eq!(place, Some(&*format!("{}/", panel.url)), "{said}");
    let browser = driver.browser(1280, 900).await;
    browser.go(place.unwrap()).await;
    let token = fs::read_to_string(panel.house.path("token-bob")).unwrap();
    browser.write("input[type=password]", &token).await;
    browser.press_button("Sign in").await;
    let told = "card.querySelector('.wanted').textContent.includes('A yes by a chat is a wish, to be confirmed here.')";
    browser.until("what is wanted", &card("touch", told)).await;
    assert!(child.try_wait().unwrap().is_none() && !panel.mark().exists());
    let ledger = panel.house.path("ledger.jsonl");
    for event in ["approved", "voted", "started"] {
        assert_eq!(events(&ledger, event), Vec::<Value>::new());
    }
    (panel, browser, child)
}

/// The answer that the ledger has is Bob's, given on the page.
fn is_of_the_page(answer: &Value) {
    assert!(answer["approver"].as_str().unwrap().starts_with("bob (token "), "{answer}");
    assert_eq!((&answer["channel"], &answer["chat"]), (&json!("web"), &Value::Null), "{answer}");
}

#[test]
fn a_yes_in_a_chat_is_confirmed_by_a_press_on_the_page_and_the_command_runs() {
    with_driver(async |driver| {
        let (panel, browser, child) = wished(&driver).await;
        also_look(&browser, "a wish").await;
        browser.press(".request .approve").await;
        browser.shows("Approved by you").await;
        assert!(end(child).await.status.success() && panel.mark().exists());
        is_of_the_page(&panel.house.event("approved"));
        is_content(&browser, &[401]).await;
        browser.close().await;
    });
}

#[test]
fn a_yes_in_a_chat_is_taken_back_on_the_page_and_the_command_does_not_run() {
    with_driver(async |driver| {
        let (panel, browser, child) = wished(&driver).await;
        browser.press(".request .deny").await;
        browser.write("dialog[open] textarea", "on second thought").await;
        browser.press_button("Deny").await;
        let ended = end(child).await;
        assert_eq!(ended.status.code(), Some(126), "{ended:?}");
        assert!(text(&ended.stderr).contains("on second thought"), "{ended:?}");
        let denied = panel.house.event("denied");
        assert_eq!(denied["reason"], "on second thought");
        is_of_the_page(&denied);
        assert!(!panel.mark().exists());
        assert_eq!(panel.house.events("started"), Vec::<Value>::new());
        is_content(&browser, &[401]).await;
        browser.close().await;
    });
}
