//! Recordings, played in the page; and what is saved from it.

use std::process::Stdio;

use serde_json::Value;

use crate::accessible::also_look;
use crate::browser::{Browser, with_driver};
use crate::support::House;
use crate::{TCP, end, is_content, signed_in};

const POLICY: &str = "default_action: allow
on_unparsed: allow
default_executor: local
rules:
  - {command: [sh, cat], action: allow, record: output}
";

/// What the page hands to its user, as text.
pub(crate) async fn saved(browser: &Browser, button: &str) -> String {
    browser
        .run("window.given = null; URL.createObjectURL = (blob) => { blob.text().then((text) => { window.given = text; }); return 'blob:none'; }")
        .await;
    // What the link would fetch is looked at instead.
    browser.run("HTMLAnchorElement.prototype.click = function () {}").await;
    browser.press_button(button).await;
    browser.until("the file", "return window.given").await.as_str().unwrap().to_owned()
}

#[test]
fn a_recording_is_played_in_the_page_and_does_nothing_else() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        let script = "printf '\\033[1;31mred\\033[0m then <img src=x onerror=alert(1)>\\n'; printf 'gone\\rhere\\n'; printf 'a\\342\\200\\256b\\n'";
        let ran = house.shimmed("sh").args(["-c", script]).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        let id = house.event("finished")["id"].as_str().unwrap().to_owned();
        let browser = signed_in(&driver, &house).await;
        // As a link that somebody shared.
        browser.page(&format!("history/{id}")).await;
        browser.until("the detail", "return document.querySelector('dialog[open]')").await;
        browser.press_button("Recording").await;
        let screen = "const box = document.querySelector('.screen'); return box && box.textContent.includes('here') && box.textContent";
        let shown = browser.until("what it showed", screen).await;
        let shown = shown.as_str().unwrap();
        assert!(shown.contains("red then <img src=x onerror=alert(1)>"), "{shown:?}");
        assert!(
            !shown.contains("gone") && !shown.contains('\u{202e}') && !shown.contains('\u{1b}'),
            "{shown:?}"
        );
        assert_eq!(browser.run("return document.querySelector('img[src=x]')").await, Value::Null);
        let red = "return [...document.querySelectorAll('.screen .ink-1.bold')].some((one) => one.textContent === 'red')";
        browser.until("its colour", red).await;
        also_look(&browser, "recording").await;
        browser.shot("recording").await;
        browser.press_button("Play").await;
        browser.until("its end", "return document.querySelector('.play-bar .first').textContent === 'Play' && document.querySelector('.screen').textContent.includes('here')").await;
        let cast = saved(&browser, "Save recording").await;
        assert!(cast.starts_with('{') && cast.contains("red"), "{cast}");
        browser.press_button("Close").await;
        let lines = saved(&browser, "Save as JSON").await;
        let line: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!(line["id"], id);
        let table = saved(&browser, "Save as CSV").await;
        assert!(table.starts_with("\"") || table.starts_with("time,id,"), "{table}");
        assert!(table.contains(&id), "{table}");
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}

/// Gives the page this recording in the place of the warden's, and counts what its screen is given.
fn served(head: &str, lines: &str) -> String {
    format!(
        "const done = arguments[0]; const real = window.fetch; window.written = 0;
         window.fetch = (path, asked) => {{
             if (!String(path).startsWith('/api/recordings/')) return real(path, asked);
             return Promise.resolve(new Response(['{head}', ...{lines}].join('\\n') + '\\n'));
         }};
         import('/ui/vendor/xterm.js').then(({{ Terminal }}) => {{
             const write = Terminal.prototype.write;
             Terminal.prototype.write = function (...given) {{ window.written += 1; return write.apply(this, given); }};
             done(1);
         }});"
    )
}

#[test]
fn a_recording_of_a_great_many_pieces_is_drawn_in_few() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        assert!(house.shimmed("sh").args(["-c", "echo short"]).status().unwrap().success());
        let id = house.event("finished")["id"].as_str().unwrap().to_owned();
        let browser = signed_in(&driver, &house).await;
        let open = async |head: &str, lines: &str| {
            browser.run_and_wait(&served(head, lines)).await;
            browser.page("overview").await;
            browser.page(&format!("history/{id}")).await;
            browser.until("the detail", "return document.querySelector('dialog[open]')").await;
            browser.press_button("Recording").await;
        };
        // One event for each letter, as a terminal gives what is typed.
        let many = "Array.from({ length: 50000 }, (_, n) => JSON.stringify([n / 1e4, 'o', n % 70 ? 'x' : `row-${n}\\r\\n`]))";
        open(r#"{"version": 2, "width": 80, "height": 24}"#, many).await;
        let last = "return document.querySelector('.screen')?.textContent.includes('row-49980')";
        browser.until("all of it", last).await;
        let written = browser.run("return window.written").await.as_u64().unwrap();
        assert!((1..=20).contains(&written), "the screen was given {written} pieces");
        browser.press_button("Close").await;
        // Each letter in a colour of its own, as wide and as long as it is kept.
        let colours = "Array.from({ length: 700 }, (_, n) => JSON.stringify([0, 'o', Array.from({ length: 200 }, (_, m) => `\\x1b[38;5;${(n + m) % 256}mx`).join('') + (n < 699 ? '\\r\\n' : 'end')]))";
        open(r#"{"version": 2, "width": 210, "height": 24}"#, colours).await;
        browser
            .until(
                "all of it",
                "return document.querySelector('.screen')?.textContent.includes('xend')",
            )
            .await;
        let pieces = browser.run("return document.querySelectorAll('.screen span').length").await;
        assert!((1..=20_210).contains(&pieces.as_u64().unwrap()), "{pieces} pieces");
        let rows = "return document.querySelector('.screen').textContent.split('\\n').length";
        let rows = browser.run(rows).await.as_u64().unwrap();
        assert!((24..=524).contains(&rows), "{rows} rows");
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}

#[test]
fn why_a_recording_that_is_watched_is_not_whole_stays_said() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        let mut child = house
            .shimmed("sh")
            .args(["-c", "read -r line"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let typed = child.stdin.take();
        let browser = signed_in(&driver, &house).await;
        let lines = r#"['[0, "o", "begun"]', '[1, "m", "the rest was not kept"]']"#;
        browser.run_and_wait(&served(r#"{"version": 2, "width": 80, "height": 24}"#, lines)).await;
        browser.page("running").await;
        browser.press_button("Watch").await;
        let begun = "return document.querySelector('.screen')?.textContent.includes('begun')";
        browser.until("what it showed", begun).await;
        browser.shows("The recording says: the rest was not kept").await;
        assert_eq!(
            browser.run("return document.body.textContent.includes('It has ended.')").await,
            false
        );
        drop(typed);
        let _ = end(child).await;
        browser.close().await;
    });
}

#[test]
fn what_runs_is_watched_as_it_shows_it() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        let mut command = house.shimmed("sh");
        command.args(["-c", "echo begun; read -r line; echo \"then $line\"; read -r line"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut typed = child.stdin.take().unwrap();
        let browser = signed_in(&driver, &house).await;
        browser.page("running").await;
        browser.press_button("Watch").await;
        let has = |text: &str| {
            format!("return document.querySelector('.screen')?.textContent.includes('{text}')")
        };
        browser.until("what it showed before", &has("begun")).await;
        std::io::Write::write_all(&mut typed, b"more\n").unwrap();
        browser.until("what it shows by now", &has("then more")).await;
        browser.shot("watch").await;
        drop(typed);
        let _ = end(child).await;
        browser.shows("It has ended.").await;
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}
