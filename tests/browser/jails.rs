//! Jails and their prisoners, stopping and pausing from the page, and what it says before it does.

use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::json;

use crate::accessible::also_look;
use crate::browser::{Browser, with_driver};
use crate::support::other::Home;
use crate::support::{text, until};
use crate::{PAGES, TCP, end, is_content, signed_in};

const POLICY: &str = "default_action: deny
jails: {box: {commands: ['true', sleep]}, other: {commands: ['true']}}
rules:
  - {command: ['true', sleep], action: allow}
";

/// A prisoner of the box, whose own shell says its pid.
fn prisoner(home: &Home) -> (Child, i32) {
    let file = home.house.path("pid");
    let _ = std::fs::remove_file(&file);
    let script = format!("echo $$ > {}; exec /bin/sleep 1000", file.display());
    let mut command = home.clawrden();
    command.args(["run", "--quiet", "--jail", "box", "--label", "ticket=A-17", "--"]);
    command.args(["/bin/sh", "-c", &script]).env_remove("CLAWRDEN_SOCKET");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let pid = until("the prisoner", || std::fs::read_to_string(&file).ok()?.trim().parse().ok());
    (child, pid)
}

/// The state of a process: `S` sleeps, `T` is stopped, nothing is gone.
fn state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Whether it can go on: a frozen cgroup holds it as well as a signal does.
fn is_frozen(pid: i32) -> bool {
    let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let at = cgroup.lines().find_map(|line| line.strip_prefix("0::"));
    let events = at.map(|at| {
        Path::new("/sys/fs/cgroup").join(at.trim_start_matches('/')).join("cgroup.events")
    });
    let frozen = events.and_then(|file| std::fs::read_to_string(file).ok());
    state(pid) == Some('T') || frozen.is_some_and(|events| events.contains("frozen 1"))
}

fn code(home: &Home, jail: &str) -> Option<i32> {
    home.shimmed(jail, "true").stderr(Stdio::null()).status().unwrap().code()
}

/// Presses a button of the card of a jail.
async fn press_of(browser: &Browser, jail: &str, button: &str) {
    let script = format!(
        "const found = [...document.querySelectorAll('section[aria-label={}] button')].find((one) => one.textContent === {}); found?.click(); return Boolean(found)",
        json!(jail),
        json!(button)
    );
    browser.until(button, &script).await;
}

/// Waits until every page shows this, or that none does.
async fn on_every_page(browser: &Browser, said: &str, is_there: bool) {
    for page in PAGES {
        browser.page(page).await;
        browser.until(page, &format!("return document.querySelector('nav [aria-current]').dataset.page === '{page}' && document.getElementById('banners').textContent.includes({}) === {is_there}", json!(said))).await;
    }
}

#[test]
fn one_jail_is_paused_and_ended_and_the_others_do_not_mind() {
    with_driver(async |driver| {
        let home = Home::with(POLICY, &TCP);
        let (child, pid) = prisoner(&home);
        assert_eq!((code(&home, "box"), code(&home, "other")), (Some(0), Some(0)));
        let browser = signed_in(&driver, &home.house).await;
        browser.page("jails").await;
        let there = "const box = document.querySelector('section[aria-label=box]'); return box?.textContent.includes('ticket=A-17') && [box.querySelector('.command').textContent, box.querySelector('.facts').textContent]";
        let told = browser.until("the prisoner", there).await;
        assert!(told[0].as_str().unwrap().starts_with("/bin/sh -c"), "{told}");
        assert!(told[1].as_str().unwrap().contains("/jails/box/warden.sock"), "{told}");
        also_look(&browser, "a jail with a prisoner").await;
        browser.shot("jails").await;
        // What it will hit is said before, and of the other jail nothing.
        press_of(&browser, "box", "Stop…").await;
        let told = browser
            .until("what it reaches", "return document.querySelector('dialog[open]')?.innerText")
            .await;
        let told = told.as_str().unwrap();
        assert!(told.contains("Stop jail box") && told.contains("1 prisoner: /bin/sh"), "{told}");
        let jail = "1 jail (box) with all its containers";
        assert!(told.contains(jail) && !told.contains("other"), "{told}");
        also_look(&browser, "stopping a jail").await;
        browser.press_button("Pause…").await;
        assert!(!is_frozen(pid), "one step stops nothing");
        // There is a way back, from the second step too.
        browser.press_button("Back").await;
        browser.press_button("Pause…").await;
        browser.press_button("Pause jail box now").await;
        browser.shows("The jail box is paused by").await;
        browser.press_button("Close").await;
        until("that it stands still", || is_frozen(pid).then_some(()));
        assert_eq!((code(&home, "box"), code(&home, "other")), (Some(126), Some(0)));
        on_every_page(&browser, "The jail box is paused by", true).await;
        browser.press_button("Resume…").await;
        browser.press_button("Resume").await;
        on_every_page(&browser, "The jail box", false).await;
        until("that it goes on", || (!is_frozen(pid)).then_some(()));
        assert_eq!(code(&home, "box"), Some(0));
        browser.page("jails").await;
        press_of(&browser, "box", "Stop…").await;
        browser.write("dialog[open] input", "drill").await;
        browser.press_button("End…").await;
        browser.press_button("End jail box now").await;
        browser.shows("The jail box is stopped by").await;
        browser.press_button("Close").await;
        let _ = end(child).await;
        assert!(state(pid).is_none_or(|state| state == 'Z'), "it lives");
        assert_eq!((code(&home, "box"), code(&home, "other")), (Some(126), Some(0)));
        let stopped =
            home.house.record("the stop", |it| it["event"] == "stopped" && it["reason"] == "drill");
        assert_eq!(stopped["jail"], "box", "{stopped}");
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}

#[test]
fn everything_is_paused_in_two_steps_and_goes_on() {
    with_driver(async |driver| {
        let home = Home::with(POLICY, &TCP);
        let (child, pid) = prisoner(&home);
        let browser = signed_in(&driver, &home.house).await;
        browser.until("the prisoner", "return document.querySelector('nav a')").await;
        browser.page("jails").await;
        browser.shows("ticket=A-17").await;
        browser.press("#kill").await;
        let told = browser
            .until("what it reaches", "return document.querySelector('dialog[open]')?.innerText")
            .await;
        let told = told.as_str().unwrap();
        assert!(told.contains("Stop everything") && told.contains("1 prisoner: /bin/sh"), "{told}");
        assert!(told.contains("box, ") || told.contains(", box"), "{told}");
        browser.press_button("Pause…").await;
        assert!(!is_frozen(pid), "one step stops nothing");
        browser.press_button("Pause everything now").await;
        browser.shows("Everything is paused.").await;
        browser.press_button("Close").await;
        until("that it stands still", || is_frozen(pid).then_some(()));
        for jail in ["box", "other"] {
            assert_eq!(code(&home, jail), Some(126), "{jail}");
        }
        on_every_page(&browser, "Everything is paused.", true).await;
        // Somebody elsewhere lets it go on, and the page sees that.
        let resumed = home.clawrden().arg("resume").output().unwrap();
        assert!(resumed.status.success(), "{}", text(&resumed.stderr));
        on_every_page(&browser, "Everything is paused.", false).await;
        until("that it goes on", || (!is_frozen(pid)).then_some(()));
        for jail in ["box", "other"] {
            assert_eq!(code(&home, jail), Some(0), "{jail}");
        }
        assert!(home.clawrden().arg("kill").output().unwrap().status.success());
        let _ = end(child).await;
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}
