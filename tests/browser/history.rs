//! History: every filter of the form, what is kept of it in the address, details that are explained and shared, and files.

use std::process::{Child, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::accessible::also_look;
use crate::browser::{Browser, Driver, link, with_driver};
use crate::recorded::saved;
use crate::support::other::Home;
use crate::support::{House, text, until};
use crate::{TCP, end, is_content, push, signed_in};

/// Requests of two jails, with every decision and every outcome.
const POLICY: &str = "default_action: deny
jails: {box: {commands: [ls, touch]}}
rules:
  - {command: ls, action: allow}
  - {command: touch, args: short, action: ask, approval_timeout: 1s}
  - {command: touch, action: ask, reason: '=it makes a file'}
  - {command: rm, action: deny, reason: nothing is removed here}
";

fn asks(home: &Home, jail: &str, tool: &str, args: &[&str]) -> Child {
    let mut command = home.shimmed(jail, tool);
    if jail == "default" {
        command.env("CLAWRDEN_SOCKET", home.house.socket());
    }
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn answer(home: &Home, verdict: &[&str]) {
    let short = home.pending()["short"].as_str().unwrap().to_owned();
    let done = home.clawrden().args([&[verdict[0], &short], &verdict[1..]].concat()).output();
    let done = done.unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A second of the clock that begins after everything before, and ends before everything behind it.
fn next_second() -> u64 {
    let before = now_ms() / 1000;
    // The form leaves out seconds that are none.
    let fits = |now: &u64| *now > before && !now.is_multiple_of(60);
    let second = until("the next second", || Some(now_ms() / 1000).filter(fits));
    until("its end", || (now_ms() / 1000 > second).then_some(()));
    second * 1000
}

/// What the prisoners did: ids by a word that stands in the command, and the moment in the middle.
struct Past {
    home: Home,
    pid: u32,
    middle_ms: u64,
}

async fn past() -> Past {
    let home = Home::with(POLICY, &TCP);
    for args in [&["-l"][..], &["-a"]] {
        assert!(end(asks(&home, "box", "ls", args)).await.status.success());
    }
    let _ = end(asks(&home, "default", "rm", &["-r", "x"])).await;
    let good = asks(&home, "box", "touch", &["good"]);
    answer(&home, &["approve", "--reason", "agreed in 214"]);
    assert!(end(good).await.status.success());
    let middle_ms = next_second();
    let bad = asks(&home, "box", "touch", &["bad"]);
    answer(&home, &["deny", "--reason", "elsewhere, please"]);
    assert_eq!(end(bad).await.status.code(), Some(126));
    let late = asks(&home, "box", "touch", &["short"]);
    let pid = late.id();
    assert_eq!(end(late).await.status.code(), Some(126));
    let mut gone = asks(&home, "box", "touch", &["gone"]);
    home.pending();
    gone.kill().unwrap();
    let _ = end(gone).await;
    until("all of it", || {
        let told = home.json(&["history", "--json"]);
        let entries = told["entries"].as_array()?;
        let left = entries.iter().any(|entry| entry["outcome"] == "caller_left");
        (entries.len() == 7 && left).then_some(())
    });
    Past { home, pid, middle_ms }
}

/// The commands that are listed, the newest first, once the list is read.
async fn listed(browser: &Browser) -> Vec<String> {
    let script = "if (document.querySelector('.list-foot:not([hidden])')?.textContent === 'Reading…' || !document.querySelector('main form')) return null;
        return { rows: [...document.querySelectorAll('tbody .row-link')].map((one) => one.textContent), foot: document.querySelector('main > .list-foot:last-child').textContent };";
    let told = browser.until("the list", script).await;
    assert!(
        ["That is all.", "Nothing matches."].contains(&told["foot"].as_str().unwrap()),
        "{told}"
    );
    serde_json::from_value(told["rows"].clone()).unwrap()
}

/// Fills one field of the form and searches. Gives what is listed, and what the address says.
async fn search(browser: &Browser, label: &str, value: &str) -> (Vec<String>, String) {
    let fill = format!(
        "for (const one of document.querySelectorAll('.filters input, .filters select')) one.value = '';
         const box = [...document.querySelectorAll('.filters .field')].find((one) => one.firstChild.textContent === {}).querySelector('input, select');
         box.value = {}; if (box.value !== {1}) throw new Error('it does not take ' + {1});
         document.querySelector('main > .list-foot:last-child').textContent = 'Reading…';",
        json!(label),
        json!(value)
    );
    browser.run(&fill).await;
    browser.press("form [type=submit]").await;
    let rows = listed(browser).await;
    let hash = browser.run("return decodeURIComponent(location.hash.replaceAll('+', ' '))").await;
    (rows, hash.as_str().unwrap().to_owned())
}

/// A moment as the form writes it, in the browser's own zone.
async fn written(browser: &Browser, ms: u64) -> String {
    let script = format!(
        "const at = new Date({ms}); return new Date(at.getTime() - at.getTimezoneOffset() * 60000).toISOString().slice(0, 19)"
    );
    browser.run(&script).await.as_str().unwrap().to_owned()
}

#[test]
fn every_filter_of_the_form_finds_what_it_says_and_stays_in_the_address() {
    with_driver(async |driver| {
        let past = past().await;
        let house = &past.home.house;
        let browser = signed_in(&driver, house).await;
        browser.page("history").await;
        let all =
            ["touch gone", "touch short", "touch bad", "touch good", "rm -r x", "ls -a", "ls -l"];
        assert_eq!(listed(&browser).await, all);
        let middle = written(&browser, past.middle_ms).await;
        let uid = past.home.json(&["history", "--json"])["entries"][0]["caller"]["uid"].to_string();
        let pid = format!("pid:{}", past.pid);
        let cases: [(&str, &str, &str, &[&str]); 16] = [
            ("Command", "ls", "command", &["ls -a", "ls -l"]),
            ("Command", "-r", "command", &["rm -r x"]),
            ("Command", "t*", "command", &all[..4]),
            ("Decision", "allow", "decision", &["ls -a", "ls -l"]),
            ("Decision", "ask", "decision", &all[..4]),
            ("Decision", "deny", "decision", &["rm -r x"]),
            ("Decision", "approved", "decision", &["touch good"]),
            ("Decision", "denied", "decision", &["touch bad"]),
            ("Decision", "expired", "decision", &["touch short"]),
            ("Decision", "caller_left", "decision", &["touch gone"]),
            ("Jail", "default", "jail", &["rm -r x"]),
            ("Caller", &uid, "caller", &all),
            ("Caller", &pid, "caller", &["touch short"]),
            ("Words", "please elsewhere", "text", &["touch bad"]),
            ("From", &middle, "since", &all[..3]),
            ("To", &middle, "until", &all[3..]),
        ];
        for (label, value, name, expected) in cases {
            let (rows, hash) = search(&browser, label, value).await;
            assert_eq!(rows, expected, "{label}: {value}");
            assert_eq!(hash, format!("#/history?{name}={value}"), "{label}");
        }
        assert_eq!(search(&browser, "Jail", "nowhere").await.0, Vec::<String>::new());
        // What a caller cannot be is said.
        browser
            .run(
                "document.querySelectorAll('.filters input').forEach((one) => { one.value = ''; })",
            )
            .await;
        browser.run("document.querySelectorAll('.filters .field')[3].querySelector('input').value = 'pid:x'").await;
        browser.press("form [type=submit]").await;
        browser.shows("\"pid:x\" is no uid").await;
        // The address alone is enough, for somebody else as well.
        let other = signed_in(&driver, house).await;
        other.page("history?decision=approved&jail=box&text=214").await;
        assert_eq!(listed(&other).await, ["touch good"]);
        let form = "return [...document.querySelectorAll('.filters input, .filters select')].map((one) => one.value).join()";
        assert_eq!(other.run(form).await, ",approved,box,,214,,");
        is_content(&browser, &[400]).await;
        is_content(&other, &[]).await;
        for browser in [browser, other] {
            browser.close().await;
        }
    });
}

/// A house with one denial whose words take care to be quoted.
fn denied_once() -> House {
    let policy = "default_action: deny\nrules:\n  - {command: rm, action: deny, reason: '=it removes'}\n  - {command: ls, action: allow}\n";
    let house = House::with(policy, &TCP);
    assert!(house.shimmed("ls").stdout(Stdio::null()).status().unwrap().success());
    let denied = house.shimmed("rm").args(["-r", "it's; ls", "$HOME"]).output().unwrap();
    assert_eq!(denied.status.code(), Some(126));
    house
}

#[test]
fn a_detail_leads_to_why_it_was_decided_so() {
    with_driver(async |driver| {
        let house = denied_once();
        let browser = signed_in(&driver, &house).await;
        browser.page("history").await;
        browser.press("td .row-link").await;
        browser.shows("One request").await;
        browser.press("dialog a.button").await;
        let answer = "return document.querySelector('#explain .answer')?.textContent";
        assert_eq!(browser.until("the answer", answer).await, "deny =it removes");
        let filled = browser
            .run("return [...document.querySelectorAll('#explain input')].map((one) => one.value)")
            .await;
        let place = std::fs::canonicalize(house.dir.path()).unwrap();
        assert_eq!(filled, json!([r"rm -r $'it\'s; ls' '$HOME'", place.to_str().unwrap()]));
        // Word by word, and not as a line for a shell: nothing else would run.
        let parts = browser.run("return document.getElementById('explain').innerText").await;
        let parts = parts.as_str().unwrap();
        assert!(
            parts.contains("policy.yaml:3") && parts.contains("The words that the history keeps"),
            "{parts}"
        );
        assert!(!parts.to_lowercase().contains("what it would run"), "{parts}");
        assert_eq!(browser.run("return document.querySelector('dialog')").await, Value::Null);
        also_look(&browser, "explained from the history").await;
        // Another line is a line.
        browser.run("document.querySelector('#explain input').value = 'ls; rm x'").await;
        browser.press("#explain [type=submit]").await;
        browser.shows("What it would run").await;
        assert_eq!(browser.run("return document.getElementById('explain').innerText.includes('the history keeps')").await, false);
        // One that is not there is said.
        browser.page("policy?explain=00000000000000000000000000000000").await;
        browser.shows("That request is not in the history, or not any more.").await;
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}

#[test]
fn a_detail_has_what_the_rule_asks_for_and_what_a_person_said() {
    with_driver(async |driver| {
        let house = House::with(crate::POLICY, &TCP);
        let said = [("deny", "use a pull request"), ("approve", "reviewed in 214")];
        for (verdict, reason) in said {
            let child = push(&house, verdict);
            let short = house.pending()["short"].as_str().unwrap().to_owned();
            assert!(house.cli(&[verdict, &short, "--reason", reason]).status.success());
            let _ = end(child).await;
        }
        let browser = signed_in(&driver, &house).await;
        browser.page("history").await;
        for (verdict, reason) in said {
            let open = format!(
                "const found = [...document.querySelectorAll('td .row-link')].find((one) => one.textContent.endsWith({})); found?.click(); return Boolean(found)",
                json!(format!(" {verdict}"))
            );
            browser.until(verdict, &open).await;
            let facts = "return Object.fromEntries([...document.querySelectorAll('dialog dt')].map((one) => [one.textContent, one.nextElementSibling.textContent]))";
            let facts = browser.run(facts).await;
            assert_eq!(facts["why"], "pushes are looked at", "{facts}");
            assert_eq!(facts["rule"], "policy.yaml:3", "{facts}");
            assert_eq!(facts["saying"], reason, "{facts}");
            assert!(facts["answered by"].as_str().unwrap().contains("uid "), "{facts}");
            browser.press_button("Close").await;
        }
        let table = saved(&browser, "Save as CSV").await;
        assert!(table.contains("\"pushes are looked at\"") && table.contains(said[0].1), "{table}");
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}

async fn clipboard(browser: &Browser) -> String {
    let read = "const done = arguments[0]; navigator.clipboard.readText().then(done, (error) => done(String(error)))";
    browser.run_and_wait(read).await.as_str().unwrap().to_owned()
}

async fn shared(driver: &Driver, house: &House) {
    let browser = driver.browser(1280, 900).await;
    let address = link(house);
    browser.go(&address).await;
    browser.until("the pages", "return document.querySelector('nav a')").await;
    browser.grant(&address, &["clipboardReadWrite", "clipboardSanitizedWrite"]).await;
    browser.page("history").await;
    browser.press("td .row-link").await;
    browser.press_button("Copy command").await;
    browser
        .until(
            "that it is copied",
            "return document.getElementById('announce').textContent === 'Copied'",
        )
        .await;
    assert_eq!(clipboard(&browser).await, r"rm -r $'it\'s; ls' '$HOME'");
    browser.run("document.getElementById('announce').textContent = ''").await;
    browser.press_button("Copy link").await;
    browser
        .until(
            "that it is copied",
            "return document.getElementById('announce').textContent === 'Copied'",
        )
        .await;
    let copied = clipboard(&browser).await;
    let id = house.event("requested")["id"].clone();
    assert_ne!(id, Value::Null);
    assert!(copied.starts_with("http://127.0.0.1:") && copied.contains("/#/history/"), "{copied}");
    // Whoever gets it signs in, and is there.
    let other = signed_in(driver, house).await;
    other.go(&copied).await;
    other.shows("One request").await;
    other.shows("=it removes").await;
    is_content(&other, &[]).await;
    is_content(&browser, &[]).await;
    for browser in [browser, other] {
        browser.close().await;
    }
}

#[test]
fn a_request_is_shared_by_a_link() {
    with_driver(async |driver| shared(&driver, &denied_once()).await);
}

#[test]
fn what_a_search_finds_is_saved_and_no_spreadsheet_takes_it_for_a_formula() {
    with_driver(async |driver| {
        let house = denied_once();
        let browser = signed_in(&driver, &house).await;
        browser.page("history?decision=deny").await;
        assert_eq!(listed(&browser).await.len(), 1);
        let table = saved(&browser, "Save as CSV").await;
        let lines: Vec<&str> = table.trim_end().split("\r\n").collect();
        assert_eq!(lines.len(), 2, "{table}");
        assert!(lines[0].starts_with("time,id,jail,uid,pid,argv,cwd,decision"), "{table}");
        assert!(lines[1].contains("\"'=it removes\""), "{table}");
        assert!(lines[1].contains(r#""[""rm"",""-r"",""it's; ls"",""$HOME""]""#), "{table}");
        let told = saved(&browser, "Save as JSON").await;
        let entries: Vec<Value> =
            told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(entries.len(), 1, "{told}");
        assert_eq!(entries[0]["reason"], "=it removes");
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}
