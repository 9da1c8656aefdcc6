//! The queue: what a card shows of a request, answering several at once, and what is heard and seen of new ones.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Child, Stdio};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::accessible::also_look;
use crate::browser::{Browser, link, with_driver};
use crate::support::{House, text};
use crate::{POLICY, TCP, card, end, is_content, push, signed_in};

const ASKS: &str = "approval_timeout: 10m
default_action: deny
rules:
  - {command: ls, action: allow}
  - {command: rm, action: ask, reason: it removes files, suggest: move them away}
";

/// Facts of a card by their names, its chips, and its parts as text.
fn shown(word: &str) -> String {
    let told = "({
        facts: Object.fromEntries([...card.querySelectorAll('dt')].map((one) => [one.textContent, one.nextElementSibling.textContent])),
        chips: [...card.querySelectorAll('.request-head .chip')].map((one) => one.textContent),
        touches: [...card.querySelectorAll('.touches li')].map((one) => one.textContent),
        times: [...card.querySelectorAll('.counting')].map((one) => one.textContent),
        noticed: [...card.querySelectorAll('.noticed li')].map((one) => one.textContent),
        why: card.querySelector('.why').textContent,
        command: card.querySelector('.command').textContent,
    })";
    card(word, told)
}

#[test]
fn a_card_says_what_asks_by_which_rule_what_it_would_touch_and_how_long_there_is() {
    with_driver(async |driver| {
        let house = House::with(ASKS, &TCP);
        let place = fs::canonicalize(house.dir.path()).unwrap().join("place");
        fs::create_dir_all(place.join("build/deep")).unwrap();
        fs::write(place.join("build/notes"), "").unwrap();
        symlink("build/notes", place.join("notes")).unwrap();
        let mut command = house.shimmed("rm");
        command.args(["-r", "build", "notes", "../nowhere", "--", "-f"]).current_dir(&place);
        command.env("LD_AUDIT", "/none").stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let browser = signed_in(&driver, &house).await;
        let told = browser.until("the card", &shown("build")).await;
        assert_eq!(told["command"], "rm -r build notes ../nowhere -- -f");
        assert_eq!(told["chips"][0], "default", "{told}");
        assert_eq!(told["chips"][1], "mirror", "{told}");
        assert_eq!(told["why"], "it removes files · policy.yaml:5");
        let facts = &told["facts"];
        assert_eq!(facts["directory"], place.to_str().unwrap());
        let tool = fs::canonicalize("/bin/rm").unwrap();
        assert_eq!(facts["runs"], tool.to_str().unwrap());
        let sum: String =
            Sha256::digest(fs::read(&tool).unwrap()).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(facts["its sha256"], sum);
        let uid = rustix::process::getuid().as_raw();
        assert_eq!(facts["caller"], format!("uid {uid}, pid {pid}"));
        assert_eq!(facts["instead"], "move them away");
        let at = |name: &str, kind: &str| json!(format!("{} {kind}", place.join(name).display()));
        let beside = place.parent().unwrap().join("nowhere");
        let expected = [
            at("build", "folder"),
            at("build/notes", "file"),
            json!(format!("{} not there yet", beside.display())),
            at("-f", "not there yet"),
        ];
        assert_eq!(told["touches"], Value::from(expected.to_vec()));
        let noticed = told["noticed"].to_string();
        assert!(noticed.contains("LD_AUDIT"), "{noticed}");
        let times = |at: usize| told["times"][at].as_str().unwrap().to_owned();
        assert!(times(0).ends_with(" s ago"), "{told}");
        assert!(times(1) == "10 min 00 s left" || times(1).starts_with("9 min "), "{told}");
        // It counts.
        let older = card("build", "parseInt(card.querySelector('.counting').textContent) >= 2");
        browser.until("its age", &older).await;
        also_look(&browser, "a card with everything").await;
        let short = house.pending()["short"].as_str().unwrap().to_owned();
        assert!(house.cli(&["deny", &short, "--reason", "not now"]).status.success());
        let outcome = "card.querySelector('.outcome').textContent.startsWith('Denied by') && card.querySelector('.outcome').textContent.includes('not now')";
        browser.until("who answered elsewhere", &card("build", outcome)).await;
        assert_eq!(end(child).await.status.code(), Some(126));
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}

/// Marks the card of a command.
async fn mark(browser: &Browser, word: &str) {
    browser.until(word, &card(word, "!card.dataset.gone")).await;
    browser.run(&card(word, "card.querySelector('input').click()")).await;
}

#[test]
fn several_are_approved_at_once_and_several_denied_with_one_reason() {
    with_driver(async |driver| {
        let why = "  - {command: touch, action: ask, require_reason: true}\n";
        let house = House::with(&format!("{POLICY}{why}"), &TCP);
        let browser = signed_in(&driver, &house).await;
        let mut touch = house.shimmed("touch");
        let touch = touch.arg("reasoned").stdin(Stdio::null()).spawn().unwrap();
        let good: Vec<Child> = ["good-one", "good-two"].map(|name| push(&house, name)).into();
        let bad: Vec<Child> = ["bad-one", "bad-two"].map(|name| push(&house, name)).into();
        for word in ["good-one", "good-two", "bad-one", "reasoned"] {
            mark(&browser, word).await;
        }
        // A mark is taken back, one by one and all of them.
        mark(&browser, "bad-one").await;
        browser.shows("3 marked").await;
        browser.press_button("None").await;
        browser.until("no mark", "return document.querySelector('.bulk').hidden && !document.querySelector('.request input:checked')").await;
        for word in ["good-one", "good-two", "reasoned"] {
            mark(&browser, word).await;
        }
        browser.press_button("Approve 3").await;
        let listed = "return document.querySelectorAll('dialog[open] ol > li').length === 3 && document.querySelector('dialog[open]').innerText.includes('good-two')";
        browser.until("what it is about", listed).await;
        also_look(&browser, "several approved").await;
        // What needs a reason goes on waiting, and says so; the others are approved.
        browser.press_button("Approve all 3").await;
        browser.shows("is approved with a reason only").await;
        for child in good {
            let ended = end(child).await;
            assert!(!text(&ended.stderr).contains("denied"), "{ended:?}");
        }
        browser.write("dialog[open] textarea", "asked for in 214").await;
        browser.press_button("Approve the one that is left").await;
        assert!(end(touch).await.status.success());
        browser.until("its window to go", "return !document.querySelector('dialog')").await;
        let approved = house.events("approved");
        let reasons: Vec<Value> = approved.iter().map(|record| record["reason"].clone()).collect();
        assert_eq!(reasons, [Value::Null, Value::Null, json!("asked for in 214")]);
        for word in ["bad-one", "bad-two"] {
            mark(&browser, word).await;
        }
        browser.press_button("Deny 2…").await;
        browser.write("dialog[open] textarea", "use a pull request").await;
        browser.press_button("Deny").await;
        for child in bad {
            let ended = end(child).await;
            assert_eq!(ended.status.code(), Some(126), "{ended:?}");
            assert!(text(&ended.stderr).contains("use a pull request"), "{ended:?}");
        }
        browser.shows("Nothing waits").await;
        is_content(&browser, &[422]).await;
        browser.close().await;
    });
}

/// Takes the button with this text into `window.kept`, and gives it the focus.
pub(crate) fn keep(word: &str) -> String {
    format!(
        "window.kept = [...document.querySelectorAll('main button, #banners button')].find((one) => one.textContent === {}); window.kept?.focus(); return Boolean(window.kept)",
        json!(word)
    )
}

/// It is the same button as before, with the focus.
pub(crate) async fn is_kept(browser: &Browser, what: &str) {
    let kept = "return window.kept.isConnected && document.activeElement === window.kept";
    assert_eq!(browser.run(kept).await, true, "{what}");
}

/// A press is two events, and what is made anew between them was never pressed.
#[test]
fn a_button_is_the_same_one_while_other_things_happen() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        let browser = signed_in(&driver, &house).await;
        let first = push(&house, "marked-one");
        mark(&browser, "marked-one").await;
        browser.until("the bar", &keep("Approve 1")).await;
        let second = push(&house, "another-one");
        browser.until("the card", &card("another-one", "true")).await;
        is_kept(&browser, "approve what is marked").await;
        browser.page("jails").await;
        browser.until("the jail", &keep("Stop…")).await;
        assert!(house.shimmed("true").status().unwrap().success());
        let requests = "return document.querySelector('section .facts dd').textContent === '3'";
        browser.until("another request", requests).await;
        is_kept(&browser, "stop a jail").await;
        assert!(house.cli(&["kill", "--pause"]).status.success());
        browser.until("the banner", &keep("Resume…")).await;
        assert_eq!(house.shimmed("true").status().unwrap().code(), Some(126));
        let requests = "return document.querySelector('section .facts dd').textContent === '4'";
        browser.until("another request", requests).await;
        is_kept(&browser, "resume").await;
        assert!(house.cli(&["resume"]).status.success());
        browser.page("queue").await;
        for (child, word) in [(first, "marked-one"), (second, "another-one")] {
            browser.until(word, &card(word, "!card.dataset.gone")).await;
            browser.run(&card(word, "card.querySelector('.approve').click()")).await;
            let _ = end(child).await;
        }
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}

/// Counts what the page shows and sounds, and lets it do so.
const COUNTED: &str = "window.shown = []; window.sounds = 0;
    const Real = window.Notification;
    window.Notification = class extends Real { constructor(title, more) { super(title, more); window.shown.push(`${title}: ${more.body}`); } };
    const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (...given) { window.sounds += 1; return start.apply(this, given); };";

#[test]
fn of_a_new_request_there_is_a_sound_and_a_notification_for_who_wants_them() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        let before = push(&house, "before");
        let browser = driver.browser(1280, 900).await;
        let address = link(&house);
        browser.go(&address).await;
        browser.until("the card", &card("before", "true")).await;
        browser.run(COUNTED).await;
        let tick = |label: &str| {
            format!(
                "[...document.querySelectorAll('dialog .check')].find((one) => one.textContent.includes({})).querySelector('input').click()",
                json!(label)
            )
        };
        let setting = |name: &str| {
            format!("return JSON.parse(localStorage.getItem('clawrden') ?? '{{}}').{name} === true")
        };
        // Nothing is shown by a browser that does not allow it.
        browser.press("#settings").await;
        browser.run(&tick("A notification")).await;
        browser.shows("The browser does not allow notifications for this page").await;
        browser.grant(&address, &["notifications"]).await;
        browser.run(&tick("A notification")).await;
        browser.until("that it is wanted", &setting("notify")).await;
        browser.press_button("Close").await;
        // The page is in front: whoever looks at it needs no more.
        let first = push(&house, "first-one");
        browser.until("the card", &card("first-one", "true")).await;
        assert_eq!(browser.run("return [window.shown.length, window.sounds]").await, json!([0, 0]));
        browser.press("#settings").await;
        browser.run(&tick("A sound")).await;
        browser.until("that it is wanted", &setting("sound")).await;
        browser.press_button("Close").await;
        // Somebody looks at another page of the browser.
        browser.run("Object.defineProperty(document, 'hidden', { get: () => true })").await;
        let second = push(&house, "second-one");
        browser.until("the card", &card("second-one", "true")).await;
        let told = browser.run("return { shown: window.shown, sounds: window.sounds }").await;
        let expected = "Clawrden: New request in default: git push nowhere second-one";
        assert_eq!(told, json!({"shown": [expected], "sounds": 1}));
        let said = browser.run("return document.getElementById('announce').textContent").await;
        assert_eq!(said, "New request in default: git push nowhere second-one");
        // What waits already, and what is answered, is no news.
        let all = [before, first, second];
        for _ in &all {
            let short = house.pending()["short"].as_str().unwrap().to_owned();
            assert!(house.cli(&["deny", &short]).status.success());
        }
        browser
            .until("that all are answered", "return !document.querySelector('nav .count')")
            .await;
        assert_eq!(browser.run("return [window.shown.length, window.sounds]").await, json!([1, 1]));
        for child in all {
            let _ = end(child).await;
        }
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}
