//! Approving for more than one run: what the page's dialog says and gives.

use std::process::{Child, Stdio};

use crate::accessible::also_look;
use crate::browser::{Browser, Driver, with_driver};
use crate::support::etc::{at_home, etc};
use crate::support::{House, text};
use crate::{POLICY, TCP, card, end, is_content, push, signed_in};

#[test]
fn a_request_is_approved_for_a_time_and_with_what_it_starts() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        let browser = signed_in(&driver, &house).await;
        let waiting = push(&house, "often");
        browser.until("the card", &card("often", "true")).await;
        browser.press(".request .more").await;
        browser.shows("Approve for longer").await;
        browser.shot("approve-for").await;
        let choose = "const scope = document.querySelector('dialog select'); scope.value = 'time';
            scope.dispatchEvent(new Event('change')); document.querySelector('#reach-starts').click();";
        browser.run(choose).await;
        browser.shows("For how long").await;
        browser.press("dialog .first").await;
        let approved = house.event("approved");
        assert_eq!(approved["scope"], "time", "{approved}");
        assert_eq!(approved["and_what_it_starts"], true);
        let _ = end(waiting).await;
        // Of what the warden refuses it says why.
        let other = push(&house, "elsewhere");
        browser.until("the card", &card("elsewhere", "!card.dataset.gone")).await;
        let open = card("elsewhere", "card.querySelector('.more').click()");
        browser.run(&open).await;
        browser.press("dialog .first").await;
        browser.shows("there is no session").await;
        let _ = house.cli(&["deny", house.pending()["short"].as_str().unwrap()]);
        let _ = end(other).await;
        is_content(&browser, &[400]).await;
        browser.close().await;
    });
}

/// A prisoner that asks to touch a file.
fn touch(house: &House, name: &str) -> Child {
    let mut command = house.shimmed("touch");
    command.arg(name).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

#[test]
fn a_pattern_is_approved_once_it_was_held_against_the_history() {
    with_driver(async |driver| {
        let house = House::with("rules: [{command: touch, action: ask}]", &TCP);
        let denied = touch(&house, "a-bad");
        let short = house.pending()["short"].as_str().unwrap().to_owned();
        assert!(house.cli(&["deny", &short]).status.success());
        let _ = end(denied).await;
        let browser = signed_in(&driver, &house).await;
        let waiting = touch(&house, "a-good");
        browser.until("the card", &card("a-good", "true")).await;
        browser.press(".request .more").await;
        let open = "return document.querySelector('dialog[open] .first')?.disabled === false";
        browser.until("a yes for the very same", open).await;
        browser
            .run(
                "const scope = document.querySelector('dialog select'); scope.value = 'time';
                scope.dispatchEvent(new Event('change'));
                [...document.querySelectorAll('dialog .check')].find((one) => one.textContent.includes('pattern')).querySelector('input').click();",
            )
            .await;
        // What was not tried is not approved.
        let shut = "return document.querySelector('dialog[open] .first').disabled";
        browser.until("that it has to be tried", shut).await;
        let value = browser.run("return document.querySelector('#reach-pattern').value").await;
        assert_eq!(value, "touch a-good");
        browser.run("document.querySelector('#reach-pattern').value = ''").await;
        browser.write("#reach-pattern", "touch b-*").await;
        browser.press_button("Test it").await;
        browser.shows("It cannot be approved here: it does not take the command").await;
        assert_eq!(browser.run(shut).await, true);
        browser.run("document.querySelector('#reach-pattern').value = ''").await;
        browser.write("#reach-pattern", "touch a-*").await;
        browser.press_button("Test it").await;
        browser.shows("1 time, denied 1").await;
        also_look(&browser, "pattern").await;
        browser.shot("pattern").await;
        browser.write("#reach-pattern", "x").await;
        assert_eq!(browser.run(shut).await, true, "another pattern than the one that was tried");
        browser.write("#reach-pattern", "\u{e003}").await;
        browser.press_button("Test it").await;
        browser.until("that it was tried", open).await;
        browser.press("dialog .first").await;
        let approved = house.event("approved");
        assert_eq!(approved["pattern"], "touch a-*", "{approved}");
        assert!(end(waiting).await.status.success());
        assert!(end(touch(&house, "a-third")).await.status.success(), "nobody is asked again");
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}

/// A request to touch a file, on the page, with the dialog that would approve it for always.
async fn asked_for_always(driver: &Driver, house: &House) -> (Browser, Child) {
    let browser = signed_in(driver, house).await;
    let waiting = touch(house, "for-ever");
    browser.until("the card", &card("for-ever", "true")).await;
    browser.press(".request .more").await;
    let always = "const scope = document.querySelector('dialog select'); scope.value = 'always';
        scope.dispatchEvent(new Event('change'));";
    browser.run(always).await;
    (browser, waiting)
}

#[test]
fn why_there_is_no_rule_for_always_is_said_before_anything_is_written() {
    with_driver(async |driver| {
        let house = House::with("default_action: ask", &TCP);
        let (browser, waiting) = asked_for_always(&driver, &house).await;
        browser.shows("which is read alone").await;
        let shut = "return document.querySelector('dialog[open] .first').disabled";
        browser.until("that nothing can be approved", shut).await;
        browser.press_button("Cancel").await;
        let short = house.pending()["short"].as_str().unwrap().to_owned();
        let denied = house.cli(&["deny", &short]);
        assert!(denied.status.success(), "{}", text(&denied.stderr));
        let _ = end(waiting).await;
        is_content(&browser, &[400]).await;
        browser.close().await;
    });
}

#[test]
fn a_rule_for_always_is_shown_and_then_written() {
    let etc = etc("policy.yaml", "default_action: ask");
    let Some(house) = at_home(etc.path(), &TCP) else { return };
    with_driver(async |driver| {
        let (browser, waiting) = asked_for_always(&driver, &house).await;
        browser.shows("command: touch").await;
        browser.shot("always").await;
        browser.press_button("Write the rule and approve").await;
        assert_eq!(house.event("rule_added")["channel"], "web");
        assert!(end(waiting).await.status.success());
        assert!(end(touch(&house, "for-ever")).await.status.success(), "nobody is asked again");
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}
