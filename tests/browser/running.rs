//! What runs: what it uses, what it shows, and ending it in two steps.

use std::process::{Child, Stdio};

use serde_json::json;

use crate::accessible::also_look;
use crate::browser::with_driver;
use crate::queue::{is_kept, keep};
use crate::support::{House, text, until};
use crate::{end, is_content, signed_in};

const POLICY: &str = "default_action: allow
on_unparsed: allow
rules:
  - {command: sh, action: allow, executor: local, record: output}
";

/// It hears no polite signal, uses a processor for a while, and waits with a child.
const WORKS: &str = "trap '' TERM; echo begun; i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo worked; /bin/sleep 1000 & wait";

fn works(house: &House) -> Child {
    let mut command = house.shimmed("sh");
    command.args(["-c", WORKS]).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn running(house: &House) -> usize {
    house.json(&["ps", "--json"])["entries"].as_array().unwrap().len()
}

#[test]
fn what_runs_is_seen_with_what_it_uses_and_ended_in_two_steps() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &["--api", "127.0.0.1:0", "--grace", "1s"]);
        let browser = signed_in(&driver, &house).await;
        browser.page("running").await;
        browser.shows("Nothing runs.").await;
        let child = works(&house);
        let uses = "const use = document.querySelector('.use')?.textContent ?? '';
            const found = use.match(/^([\\d.]+) m?s of processor · ([\\d.]+) MB · 2 processes$/);
            return found && Number(found[1]) > 0 && Number(found[2]) > 0.5 && use";
        browser.until("processor, memory and processes", uses).await;
        let chips =
            "return [...document.querySelectorAll('main .chip')].map((one) => one.textContent)";
        assert_eq!(
            browser.run(chips).await,
            json!(["default", "local", "recorded: output", "running"])
        );
        browser.shows("trap").await;
        also_look(&browser, "running").await;
        browser.shot("running").await;
        browser.press_button("Watch").await;
        let worked = "const text = document.querySelector('.screen')?.textContent ?? ''; return text.includes('begun') && text.includes('worked')";
        browser.until("what it showed", worked).await;
        browser.press_button("Close").await;
        // One step ends nothing, and there is a way back.
        browser.press_button("Stop…").await;
        browser.shows("Its whole tree gets SIGTERM").await;
        also_look(&browser, "stopping one").await;
        browser.press_button("Cancel").await;
        assert_eq!(running(&house), 1);
        let reaches = "document.querySelectorAll('dialog').forEach((box) => box.close()); document.getElementById('kill').click();
            return [...document.querySelectorAll('dialog[open] li')].some((one) => one.textContent === '1 running command')";
        browser.until("what a stop of everything reaches", reaches).await;
        browser.press_button("Cancel").await;
        let told = house.ledger();
        assert!(told.iter().all(|record| record["event"] != "finished"), "{told:?}");
        browser.press_button("Stop…").await;
        browser.write("dialog[open] input", "it loops").await;
        browser.press_button("Stop it").await;
        let ended = end(child).await;
        assert_eq!(ended.status.code(), Some(125), "{ended:?}");
        assert!(text(&ended.stderr).contains("it loops"), "{ended:?}");
        browser.shows("Nothing runs.").await;
        until("that nothing is left", || (running(&house) == 0).then_some(()));
        let stopped = house.event("killed");
        assert_eq!(stopped["reason"], "it loops");
        assert_eq!(stopped["processes"], 2, "{stopped}");
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}

#[test]
fn a_button_of_what_runs_stays_while_others_begin_and_end() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &["--api", "127.0.0.1:0", "--grace", "1s"]);
        let browser = signed_in(&driver, &house).await;
        browser.page("running").await;
        let (first, second) = (works(&house), works(&house));
        let many = |count: usize| {
            format!("return document.querySelectorAll('main section').length === {count}")
        };
        browser.until("both", &many(2)).await;
        // The second, so that what is before it goes.
        let focus = "window.kept = [...document.querySelectorAll('main section:last-child button')].at(-1); window.kept.focus()";
        browser.run(focus).await;
        let ids =
            "return [...document.querySelectorAll('main section')].map((one) => one.dataset.key)";
        let ids = browser.run(ids).await;
        let stop = |at: usize| house.cli(&["stop", ids[at].as_str().unwrap()]);
        assert!(stop(0).status.success());
        browser.until("one", &many(1)).await;
        is_kept(&browser, "the other's").await;
        let third = works(&house);
        browser.until("both", &many(2)).await;
        is_kept(&browser, "the first one's").await;
        assert!(stop(1).status.success());
        browser.until("the new one", &many(1)).await;
        browser.until("its button", &keep("Stop…")).await;
        browser.press_button("Stop…").await;
        browser.press_button("Stop it").await;
        browser.shows("Nothing runs.").await;
        for child in [first, second, third] {
            let _ = end(child).await;
        }
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}
