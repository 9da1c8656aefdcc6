//! The web page in a real Chromium, against a real warden.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, clippy::panic)]

mod accessible;
mod browser;
mod confirmed;
mod history;
mod hostile;
mod jails;
mod layers;
mod long;
mod many;
mod overview;
mod pictures;
mod proof;
mod queue;
mod reach;
mod recorded;
mod running;
mod session;
#[path = "../support/mod.rs"]
mod support;
mod written;

use std::process::{Child, Output, Stdio};

use serde_json::json;

use browser::{Browser, Driver, free_port, link, with_driver};
use support::approvers::Panel;
use support::{House, text};

const POLICY: &str = "default_action: deny
rules:
  - {command: git, args: push, action: ask, reason: pushes are looked at}
  - {command: ['true', ls], action: allow}
  - {command: rm, action: deny, reason: nothing is removed here}
";

const TCP: [&str; 2] = ["--api", "127.0.0.1:0"];

/// The pages that somebody may see who may everything.
const PAGES: [&str; 8] =
    ["queue", "running", "history", "overview", "jails", "policy", "tokens", "ledger"];

/// A prisoner that waits for a person.
fn push(house: &House, branch: &str) -> Child {
    let mut command = house.shimmed("git");
    command.args(["push", "nowhere", branch]).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

async fn end(child: Child) -> Output {
    tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap()
}

/// A browser at desk width that is signed in.
async fn signed_in(driver: &Driver, house: &House) -> Browser {
    let browser = driver.browser(1280, 900).await;
    browser.go(&link(house)).await;
    browser
        .until(
            "the pages",
            "return document.querySelector('nav a') && !location.hash.includes('login')",
        )
        .await;
    browser
}

async fn is_content(browser: &Browser, expected: &[u16]) {
    assert_eq!(browser.complaints(expected).await, Vec::<String>::new());
}

/// The words of the card of a command.
fn card(word: &str, more: &str) -> String {
    format!(
        "const card = [...document.querySelectorAll('.request')].find((c) => c.textContent.includes({})); return card && {more}",
        json!(word)
    )
}

#[test]
fn two_people_see_at_once_what_the_other_has_answered() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        let (one, two) = (signed_in(&driver, &house).await, signed_in(&driver, &house).await);
        one.shows("Nothing waits").await;
        let first = push(&house, "approved-one");
        for browser in [&one, &two] {
            browser
                .until(
                    "the card",
                    &card("approved-one", "card.textContent.includes('pushes are looked at')"),
                )
                .await;
        }
        one.shot("queue").await;
        one.press(".request .approve").await;
        two.until(
            "who answered",
            &card(
                "approved-one",
                "card.querySelector('.outcome').textContent.startsWith('Approved by')",
            ),
        )
        .await;
        // It ran: git itself says that there is no such place.
        let ended = end(first).await;
        assert!(!text(&ended.stderr).contains("denied"), "{ended:?}");
        assert_eq!(house.event("approved")["channel"], "web");

        let second = push(&house, "denied-one");
        two.until("the card", &card("denied-one", "!card.dataset.gone")).await;
        two.run("[...document.querySelectorAll('.request')].find((c) => c.textContent.includes('denied-one')).querySelector('.deny').click()").await;
        two.write("dialog textarea", "use a pull request").await;
        two.press_button("Deny").await;
        one.until(
            "who answered",
            &card(
                "denied-one",
                "card.querySelector('.outcome').textContent.includes('use a pull request')",
            ),
        )
        .await;
        let ended = end(second).await;
        assert_eq!(ended.status.code(), Some(126), "{ended:?}");
        assert!(text(&ended.stderr).contains("use a pull request"), "{ended:?}");
        for browser in [one, two] {
            is_content(&browser, &[]).await;
            browser.close().await;
        }
    });
}

#[test]
fn the_kill_switch_takes_two_steps_and_is_seen_on_every_page() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        let browser = signed_in(&driver, &house).await;
        browser.press("#kill").await;
        browser.shows("every new command, until somebody resumes").await;
        browser.press_button("End…").await;
        assert!(house.shimmed("true").status().unwrap().success(), "one step stops nothing");
        browser.press_button("End everything now").await;
        browser.shows("Everything is stopped.").await;
        browser.press_button("Close").await;
        let refused = house.shimmed("true").output().unwrap();
        assert_eq!(refused.status.code(), Some(126), "{refused:?}");
        for page in PAGES {
            browser.page(page).await;
            browser.until(page, &format!("return document.querySelector('nav [aria-current]').dataset.page === '{page}' && document.getElementById('banners').textContent.includes('Everything is stopped.')")).await;
        }
        browser.shot("stopped").await;
        browser.press_button("Resume…").await;
        browser.press_button("Resume").await;
        browser.until("no banner", "return !document.getElementById('banners').textContent").await;
        assert!(house.shimmed("true").status().unwrap().success());
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}

#[test]
fn history_and_overview_tell_what_was_asked() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        for _ in 0..3 {
            assert!(house.shimmed("true").status().unwrap().success());
        }
        let odd = house.shimmed("rm").arg("<img src=x onerror=alert(1)>\u{202e}").output().unwrap();
        assert_eq!(odd.status.code(), Some(126));
        let browser = signed_in(&driver, &house).await;
        browser.page("history").await;
        browser
            .until("four requests", "return document.querySelectorAll('tbody tr').length === 4")
            .await;
        // What a prisoner wrote is text, and no more.
        let made = "const text = document.querySelector('tbody').textContent; return !document.querySelector('img[src=x]') && text.includes('<img src=x') && !text.includes('\u{202e}')";
        browser.until("harmless text", made).await;
        browser.shot("history").await;
        browser.write("input[type=search]", "rm").await;
        browser.press("form [type=submit]").await;
        browser
            .until("one request", "return document.querySelectorAll('tbody tr').length === 1")
            .await;
        browser.press("td .row-link").await;
        browser.shows("nothing is removed here").await;
        browser.press_button("Close").await;
        browser.page("overview").await;
        browser
            .until(
                "the numbers",
                "return document.querySelector('.tile strong')?.textContent === '4'",
            )
            .await;
        browser
            .until(
                "the columns",
                "return document.querySelectorAll('.chart rect.good, .chart rect.bad').length >= 2",
            )
            .await;
        browser.shows("nothing waits").await;
        browser.shot("overview").await;
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}

#[test]
fn a_policy_is_explained_checked_and_held_against_the_history() {
    with_driver(async |driver| {
        let two = "  - {command: dd, action: ask, quorum: 2, require_reason: true}\n";
        let house = House::with(&format!("{POLICY}{two}"), &TCP);
        assert!(house.shimmed("true").status().unwrap().success());
        let browser = signed_in(&driver, &house).await;
        browser.page("policy").await;
        browser.write("#explain input", "ls && git push -f").await;
        browser.press("#explain [type=submit]").await;
        browser
            .until(
                "the answer",
                "return document.querySelector('#explain .answer .chip')?.textContent === 'ask'",
            )
            .await;
        browser.shows("pushes are looked at").await;
        browser.shot("policy").await;
        browser.run("document.querySelector('#explain input').value = ''").await;
        browser.write("#explain input", "dd if=here").await;
        browser.press("#explain [type=submit]").await;
        browser.shows("2 different people, with a reason").await;
        let write = "document.querySelector('.candidate').value = ";
        browser.run(&format!("{write}'default_action: maybe'")).await;
        browser.press_button("Check").await;
        browser.until("the error", "return document.querySelector('#simulate .answer')?.textContent === 'does not load'").await;
        browser.run(&format!("{write}'default_action: deny'")).await;
        browser.press_button("Hold against the history").await;
        browser.shows("1 command would be decided otherwise: 0 milder, 1 stricter.").await;
        browser.shot("simulate").await;
        assert!(house.shimmed("true").status().unwrap().success(), "nothing was put in force");
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}

#[test]
fn requests_are_answered_by_the_keyboard() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        let browser = signed_in(&driver, &house).await;
        let first = push(&house, "kept-away");
        browser.until("the card", &card("kept-away", "true")).await;
        let second = push(&house, "let-through");
        browser.until("the card", &card("let-through", "true")).await;
        let third = push(&house, "kept-as-well");
        browser.until("the card", &card("kept-as-well", "true")).await;
        let at = |word: &str| {
            format!(
                "return document.activeElement.matches('.request') && document.activeElement.textContent.includes('{word}')"
            )
        };
        browser.write("body", "j").await;
        browser.until("the first", &at("kept-away")).await;
        browser.write("body", "jj").await;
        browser.until("the last", &at("kept-as-well")).await;
        browser.write("body", "x").await;
        browser.write("body", "kk").await;
        browser.until("the first", &at("kept-away")).await;
        browser.write("body", "x").await;
        // Two are marked, and denied together.
        browser.until("both", "return document.querySelectorAll('.request input:checked').length === 2 && !document.querySelector('.bulk').hidden").await;
        browser.press_button("Deny 2…").await;
        browser.write("dialog[open] textarea", "not by hand").await;
        browser.press("dialog[open] .kill").await;
        for child in [first, third] {
            let ended = end(child).await;
            assert_eq!(ended.status.code(), Some(126));
            assert!(text(&ended.stderr).contains("not by hand"), "{}", text(&ended.stderr));
        }
        // Who came to a card by Tab is at that card.
        browser
            .until("one", "return document.querySelectorAll('.request:not(.gone)').length === 1")
            .await;
        browser.write(".request:not(.gone) .deny", "a").await;
        assert_eq!(house.event("approved")["channel"], "web");
        let _ = end(second).await;
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}

#[test]
fn a_token_is_shown_once_opens_a_session_and_is_revoked() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        let browser = signed_in(&driver, &house).await;
        browser.page("tokens").await;
        browser.press_button("Make a token…").await;
        browser.write("dialog input[type=text]", "alice").await;
        browser.press_button("Make it").await;
        let token = browser
            .until("the token", "return document.querySelector('.secret')?.textContent")
            .await;
        let token = token.as_str().unwrap().to_owned();
        browser.shot("token").await;
        browser.press_button("I have it").await;
        browser
            .until(
                "the token's row",
                "return document.querySelector('tbody td')?.textContent.includes('alice')",
            )
            .await;
        browser.until("its window to go", "return !document.querySelector('dialog')").await;
        let shown = browser.run("return document.documentElement.outerHTML").await;
        assert!(!shown.as_str().unwrap().contains(&token), "it is shown once");
        browser.shot("tokens").await;

        let other = driver.browser(1280, 900).await;
        let address = link(&house);
        other.go(address.split("/login").next().unwrap()).await;
        other.write("input[type=password]", &token).await;
        other.press_button("Sign in").await;
        other.until("the pages", "return document.querySelector('nav a')").await;
        // An approver has no page of tokens.
        assert_eq!(
            other.run("return document.querySelector('nav [data-page=tokens]')").await,
            json!(null)
        );
        is_content(&other, &[401]).await;

        browser.press("[aria-label='Revoke the token of alice']").await;
        browser.press_button("Revoke").await;
        browser.shows("There is no token.").await;
        other.shows("The session has ended.").await;
        is_content(&browser, &[]).await;
        for browser in [browser, other] {
            browser.close().await;
        }
    });
}

#[test]
fn every_page_fits_a_phone_and_obeys_the_content_security_policy() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        assert!(house.shimmed("true").status().unwrap().success());
        let waiting = push(
            &house,
            "a-branch-with-a-name-that-is-much-longer-than-any-phone-is-wide-and-then-some",
        );
        let browser = driver.browser(390, 844).await;
        browser.go(&link(&house)).await;
        browser.until("the card", "return document.querySelector('.request')").await;
        for page in PAGES {
            browser.page(page).await;
            browser.until(page, &format!("return document.querySelector('nav [aria-current]')?.dataset.page === '{page}' && document.querySelector('h1') && !document.body.innerText.includes('Reading…')")).await;
            let wide =
                browser.run("return document.documentElement.scrollWidth - innerWidth").await;
            assert!(wide.as_i64().unwrap() <= 0, "{page} is {wide} pixels too wide");
            browser.shot(&format!("phone-{page}")).await;
        }
        browser.page("queue").await;
        browser.press(".request .approve").await;
        browser.shows("Approved by you").await;
        let _ = end(waiting).await;
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}

#[test]
fn an_answer_whose_outcome_was_lost_is_sent_again_and_given_once() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        let browser = signed_in(&driver, &house).await;
        let waiting = push(&house, "lost");
        browser.until("the card", &card("lost", "true")).await;
        // The warden takes the first one, and the page does not hear of it.
        let script = "const real = window.fetch; window.keys = [];
            window.fetch = async (path, asked) => {
                const told = await real(path, asked);
                if (asked?.method !== 'POST' || !path.startsWith('/api/queue/')) return told;
                window.keys.push(asked.headers['Idempotency-Key']);
                if (window.keys.length === 1) throw new TypeError('lost');
                return told;
            };";
        browser.run(script).await;
        browser.press(".request .approve").await;
        browser.shows("Approved by you").await;
        let keys = browser.run("return window.keys").await;
        assert_eq!(keys.as_array().unwrap().len(), 2, "{keys}");
        assert!(keys[0] == keys[1] && keys[0].as_str().unwrap().len() == 32, "{keys}");
        let _ = end(waiting).await;
        assert_eq!(house.events("approved").len(), 1);
        is_content(&browser, &[]).await;
        // Of what is not sent again it does not say what came of it.
        browser.run("window.fetch = async () => { throw new TypeError('lost'); }").await;
        browser.page("policy").await;
        browser.press_button("Reload").await;
        browser.shows("Whether it was done is not known.").await;
        browser.close().await;
    });
}

#[test]
fn a_page_whose_warden_is_gone_says_so_and_finds_what_waits_when_it_is_back() {
    with_driver(async |driver| {
        let address = format!("127.0.0.1:{}", free_port());
        let mut house = House::with(POLICY, &["--api", &address]);
        let token = house.cli(&["token", "create", "--role", "approver", "--name", "bob"]);
        assert!(token.status.success(), "{}", text(&token.stderr));
        let token = text(&token.stdout).split_whitespace().next().unwrap().to_owned();
        let browser = signed_in(&driver, &house).await;
        let waiting = push(&house, "survives");
        browser.until("the card", &card("survives", "true")).await;
        house.crash();
        browser.shows("The warden does not answer.").await;
        browser.shot("offline").await;
        house.restart();
        // Sessions end with the warden.
        browser.shows("The session has ended.").await;
        browser.write("input[type=password]", &token).await;
        browser.press_button("Sign in").await;
        browser.until("the card", &card("survives", "true")).await;
        browser.press(".request .approve").await;
        browser.shows("Approved by you").await;
        let ended = end(waiting).await;
        assert!(!text(&ended.stderr).contains("denied"), "{ended:?}");
        is_content(&browser, &[0, 401]).await;
        browser.close().await;
    });
}

#[test]
fn a_card_shows_whose_yes_it_has_and_asks_for_the_reason_that_its_rule_wants() {
    with_driver(async |driver| {
        let policy = "rules: [{command: touch, action: ask, approvers: {from: [security], count: 2}, require_reason: true}]";
        let panel = Panel::new(policy);
        panel.token("bob");
        let browser = signed_in(&driver, &panel.house).await;
        let (child, short) = panel.waiting();
        let wanted = |text: &str| {
            card(
                "touch",
                &format!("card.querySelector('.wanted').textContent.includes({})", json!(text)),
            )
        };
        browser.until("who is wanted", &wanted("0 of 2 approvals (from security)")).await;
        browser.until("that it asks why", &wanted("A yes needs a reason.")).await;
        browser.press(".request .approve").await;
        browser.press("dialog .first").await;
        browser.shows("is approved with a reason only").await;
        browser.write("dialog textarea", "reviewed in 214").await;
        browser.press("dialog .first").await;
        browser.until("the vote", &wanted("1 of 2 approvals: alice (from security)")).await;
        browser.until("why", &wanted("alice: reviewed in 214")).await;
        browser.shot("votes").await;
        assert!(!panel.mark().exists());
        let (code, said) = panel.by("bob", &["approve", &short, "--reason", "so it is"]);
        assert_eq!(code, Some(0), "{said}");
        assert!(end(child).await.status.success());
        browser
            .until(
                "who answered",
                &card(
                    "touch",
                    "card.querySelector('.outcome').textContent.includes('bob (token ')",
                ),
            )
            .await;
        is_content(&browser, &[422]).await;
        browser.close().await;
    });
}
