//! The pictures of the documentation: a working day's queue, history and overview. They are kept where CLAWRDEN_SHOTS says.

use std::process::{Child, Stdio};

use crate::browser::{Browser, link, with_driver};
use crate::support::{House, text};
use crate::{TCP, end};

const POLICY: &str = "default_action: deny
on_unparsed: ask
rules:
  - {command: git, args: push, action: ask, reason: pushes are looked at, suggest: open a pull request}
  - {command: [ls, cat, 'true'], action: allow}
  - {command: touch, action: ask, reason: it makes a file}
  - {command: sh, action: allow, executor: local, record: output}
  - {command: rm, action: deny, reason: nothing is removed here}
";

fn asks(house: &House, tool: &str, args: &[&str]) -> Child {
    let mut command = house.shimmed(tool);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

async fn in_colours(browser: &Browser, theme: &str) {
    let set = format!("localStorage.setItem('clawrden', JSON.stringify({{ theme: '{theme}' }}))");
    browser.run(&set).await;
    browser.run("location.reload()").await;
}

#[test]
fn a_days_work_is_there_to_be_seen() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        for args in [&["-l", "src"][..], &["-la"], &["docs"]] {
            let _ = end(asks(&house, "ls", args)).await;
        }
        let _ = end(asks(&house, "rm", &["-rf", "node_modules"])).await;
        let script = "printf '\\033[1mrunning 3 tests\\033[0m\\n'; for t in parses_nothing parses_all keeps_order; do printf \"test %s ... \\033[32mok\\033[0m\\n\" $t; done; printf '\\n\\033[32mall 3 passed\\033[0m in 0.8 s\\n'";
        let _ = end(asks(&house, "sh", &["-c", script])).await;
        let id = house.event("finished");
        assert!(id["id"].is_string(), "{id}");
        let touched = asks(&house, "touch", &["release-notes.md"]);
        let short = house.pending()["short"].as_str().unwrap().to_owned();
        let approved = house.cli(&["approve", &short, "--reason", "agreed in #214"]);
        assert!(approved.status.success(), "{}", text(&approved.stderr));
        let _ = end(touched).await;
        let waiting = [
            asks(&house, "git", &["push", "origin", "feature/login"]),
            asks(&house, "touch", &["migrations/0042_add_index.sql"]),
            asks(&house, "git", &["push", "--force", "origin", "main\u{202e}"]),
        ];
        let browser = driver.browser(1280, 1000).await;
        browser.go(&link(&house)).await;
        let three = "return document.querySelectorAll('.request').length === 3";
        browser.until("three cards", three).await;
        browser.shot("docs-queue").await;
        browser.page("history").await;
        browser.until("what ran", "return document.querySelectorAll('tbody tr').length >= 8").await;
        browser.shot("docs-history").await;
        browser.run("[...document.querySelectorAll('.row-link')].find((one) => one.textContent.startsWith('sh ')).click()").await;
        browser.press_button("Recording").await;
        browser
            .until(
                "what it showed",
                "return document.querySelector('.screen')?.textContent.includes('all 3 passed')",
            )
            .await;
        browser.shot("docs-recording").await;
        browser.run("document.querySelectorAll('dialog').forEach((box) => box.close())").await;
        in_colours(&browser, "dark").await;
        browser.page("overview?back=3600000").await;
        browser.until("the numbers", "return document.querySelector('.tile strong')").await;
        browser.shot("docs-overview").await;
        browser.close().await;
        let phone = driver.browser(390, 844).await;
        phone.go(&link(&house)).await;
        phone.until("three cards", three).await;
        in_colours(&phone, "dark").await;
        phone.until("three cards", three).await;
        phone.shot("docs-phone").await;
        phone.close().await;
        for _ in &waiting {
            let _ = house.cli(&["deny", house.pending()["short"].as_str().unwrap()]);
        }
        for child in waiting {
            let _ = end(child).await;
        }
    });
}
