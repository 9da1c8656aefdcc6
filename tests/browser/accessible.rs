//! What keeps people from using the page: axe-core looks at every page and dialog, light, dark and on a phone.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::browser::{Browser, Driver, link, with_driver};
use crate::support::{House, left_out, text, tried_without_tools};
use crate::{PAGES, POLICY, TCP, card, end, is_content, push};

/// The script of axe-core, or why there is none.
fn axe() -> Result<String, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/axe");
    let said = Command::new(script).output().map_err(|error| error.to_string())?;
    if !said.status.success() {
        return Err(text(&said.stderr));
    }
    fs::read_to_string(text(&said.stdout).trim()).map_err(|error| error.to_string())
}

/// Runs a test with the script, unless it cannot be had, which is said.
fn with_axe<F: Future<Output = ()>>(test: impl FnOnce(Driver, String) -> F) {
    match axe() {
        Ok(script) => with_driver(|driver| test(driver, script)),
        Err(why) => not_looked(&why),
    }
}

fn not_looked(why: &str) {
    left_out(&format!("nobody looks for what keeps people from using the page: {why}"));
}

/// What axe-core has against what is shown, as sentences. What it cannot tell by itself is left out.
async fn objections(browser: &Browser, axe: &str) -> Vec<String> {
    if browser.run("return typeof axe").await == "undefined" {
        browser.run(axe).await;
    }
    let look = "const done = arguments[0];
        axe.run(document, { resultTypes: ['violations'] }).then(({ violations, passes }) => done({
            looked: passes.length,
            found: violations.flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.target.join(' ')}: ${node.failureSummary}`)),
        }), (error) => done({ looked: 0, found: [String(error)] }))";
    let told = browser.run_and_wait(look).await;
    assert!(told["looked"].as_u64().unwrap() > 10, "it looked at nothing: {told}");
    serde_json::from_value(told["found"].clone()).unwrap()
}

/// Looks at what is shown; `what` names it.
async fn look(browser: &Browser, axe: &str, what: &str) {
    assert_eq!(objections(browser, axe).await, Vec::<String>::new(), "{what}");
    browser.shot(&format!("axe-{}", what.replace([' ', ':'], "-"))).await;
}

/// Looks at what another test shows, where axe-core can be had.
pub(crate) async fn also_look(browser: &Browser, what: &str) {
    match axe() {
        Ok(axe) => look(browser, &axe, what).await,
        Err(why) => not_looked(&why),
    }
}

/// A house in which there is something to see on every page.
fn lived_in() -> House {
    let house = House::with(POLICY, &TCP);
    for _ in 0..3 {
        assert!(house.shimmed("true").status().unwrap().success());
    }
    assert_eq!(house.shimmed("rm").arg("-r\u{202e}").output().unwrap().status.code(), Some(126));
    let made = house.cli(&["token", "create", "--role", "viewer", "--name", "carol"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    house
}

/// Every page in a browser of this size, and in these colours.
async fn pages(driver: &Driver, axe: &str, (width, height): (u32, u32), theme: &str) {
    let house = lived_in();
    let waiting = push(&house, "looked-at");
    let browser = driver.browser(width, height).await;
    browser.go(&link(&house)).await;
    browser.until("the card", "return document.querySelector('.request')").await;
    browser
        .run(&format!(
            "localStorage.setItem('clawrden', JSON.stringify({{ theme: {} }}))",
            json!(theme)
        ))
        .await;
    browser.run("location.reload()").await;
    for page in PAGES {
        browser.page(page).await;
        browser.until(page, &format!("return document.documentElement.dataset.theme === {} && document.querySelector('nav [aria-current]')?.dataset.page === '{page}' && document.querySelector('h1') && !document.body.innerText.includes('Reading…')", json!(theme))).await;
        browser
            .until("what it shows", "return document.querySelector('main .card, main td')")
            .await;
        look(&browser, axe, &format!("{page} {theme} {width}")).await;
    }
    let _ = house.cli(&["deny", house.pending()["short"].as_str().unwrap()]);
    let _ = end(waiting).await;
    is_content(&browser, &[]).await;
    browser.close().await;
}

#[test]
fn nothing_keeps_people_from_using_the_light_pages() {
    with_axe(async |driver, axe| pages(&driver, &axe, (1280, 900), "light").await);
}

#[test]
fn nothing_keeps_people_from_using_the_dark_pages() {
    with_axe(async |driver, axe| pages(&driver, &axe, (1280, 900), "dark").await);
}

#[test]
fn nothing_keeps_people_from_using_the_pages_on_a_phone() {
    with_axe(async |driver, axe| {
        pages(&driver, &axe, (390, 844), "light").await;
        pages(&driver, &axe, (390, 844), "dark").await;
    });
}

#[test]
fn nothing_keeps_people_from_using_the_dialogs() {
    with_axe(async |driver, axe| {
        let house = lived_in();
        let waiting = push(&house, "looked-at");
        let browser = driver.browser(1280, 900).await;
        let address = link(&house);
        browser.go(address.split("/login").next().unwrap()).await;
        browser.until("the form", "return document.querySelector('.login')").await;
        look(&browser, &axe, "login").await;
        browser.go("about:blank").await;
        browser.go(&address).await;
        browser.until("the card", &card("looked-at", "true")).await;
        let open = |selector: &str| format!("document.querySelector({}).click()", json!(selector));
        let close = "document.querySelectorAll('dialog').forEach((box) => box.close())";
        let key = |key: &str| {
            format!(
                "document.body.dispatchEvent(new KeyboardEvent('keydown', {{ key: {}, bubbles: true }}))",
                json!(key)
            )
        };
        for (what, how) in [
            ("approve for", open(".request .more")),
            ("deny", open(".request .deny")),
            ("stop", open("#kill")),
            ("settings", open("#settings")),
            ("keys", key("?")),
        ] {
            browser.run(&how).await;
            browser.until(what, "return document.querySelector('dialog[open]')").await;
            look(&browser, &axe, what).await;
            browser.run(close).await;
        }
        browser.run(&open(".request input[type=checkbox]")).await;
        browser.shows("1 marked").await;
        look(&browser, &axe, "marked").await;
        browser.page("history").await;
        browser.press("td .row-link").await;
        browser.until("the detail", "return document.querySelector('dialog[open]')").await;
        look(&browser, &axe, "one request").await;
        browser.run(close).await;
        browser.page("policy").await;
        browser.write("#explain input", "ls && git push -f").await;
        browser.press("#explain [type=submit]").await;
        browser.until("the answer", "return document.querySelector('#explain .answer')").await;
        browser
            .run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            .await;
        look(&browser, &axe, "explained").await;
        browser.run("document.querySelector('.candidate').value = 'default_action: maybe'").await;
        browser.press_button("Check").await;
        browser.shows("does not load").await;
        look(&browser, &axe, "checked").await;
        let _ = house.cli(&["deny", house.pending()["short"].as_str().unwrap()]);
        let _ = end(waiting).await;
        // What stands above every page.
        let stopped = house.cli(&["kill", "--pause"]);
        assert!(stopped.status.success(), "{}", text(&stopped.stderr));
        browser.shows("Everything is paused.").await;
        look(&browser, &axe, "paused").await;
        browser.close().await;
    });
}

#[test]
fn without_a_browser_or_axe_tests_say_that_they_are_left_out_and_fail_where_nothing_may_be() {
    for test in [
        "requests_are_answered_by_the_keyboard",
        "accessible::nothing_keeps_people_from_using_the_dialogs",
    ] {
        let (passes, said) = tried_without_tools(test, "0");
        assert!(passes && said.contains("LEFT OUT: "), "{test}: {said}");
        let (passes, said) = tried_without_tools(test, "1");
        assert!(!passes && said.contains("CLAWRDEN_TEST_ALL=1"), "{test}: {said}");
    }
}
