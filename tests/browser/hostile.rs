//! Markup wherever somebody may write: in what a prisoner asks and is, in reasons and in the policy. It is text on the pages,
//! and no more.

use std::fs;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::browser::{Browser, with_driver};
use crate::support::{House, clawrden, text, until};
use crate::{TCP, card, end, signed_in};

/// What would run if it were read as markup. It fits into the name of a folder, too.
const IMAGE: &str = "<img src=x onerror=window.ran='image'>";
const DRAWING: &str = "\"><svg onload=window.ran='drawing'>";
const SCRIPT: &str = "</code></textarea></title><script>window.ran='script'</script>";
const LINK: &str = "javascript:window.ran='link'";

const POLICY: &str = r#"# </pre></code><script>window.ran='policy'</script>
default_action: deny
on_unparsed: ask
rules:
  - {command: git, args: push, action: ask, reason: "<img src=x onerror=window.ran='reason'>", suggest: "<svg onload=window.ran='suggest'>"}
  - {command: sh, action: allow, executor: local, record: output}
  - {command: rm, action: deny, reason: "<script>window.ran='deny'</script>"}
"#;

/// Nothing of it ran, and nothing of it became an element.
async fn is_harmless(browser: &Browser, what: &str) {
    let made = "return [window.ran ?? null, [...document.querySelectorAll('img, svg[onload], script, iframe, object, embed, base, form[action], [onerror], [onload], [onclick], [style*=url], a[href^=\"javascript:\" i]')]
        .filter((one) => !['/ui/icon.svg', '/ui/app.js'].includes(one.getAttribute('src'))).map((one) => one.outerHTML)]";
    assert_eq!(browser.run(made).await, json!([null, []]), "{what}");
}

/// Looks at what is shown, which has all of these words in it.
async fn shows(browser: &Browser, what: &str, words: &[&str]) {
    for word in words {
        // A quote within quotes is escaped.
        let has = format!(
            "return document.body.textContent.replaceAll('\\\\', '').includes({})",
            json!(word)
        );
        browser.until(&format!("{what}: {word}"), &has).await;
    }
    is_harmless(browser, what).await;
    browser.shot(&format!("hostile-{}", what.replace([' ', ':'], "-"))).await;
}

/// A prisoner in a folder of that name, started by a shell with markup in its line, in a repository with markup in its files.
fn asks(house: &House) -> Child {
    let place = house.path(IMAGE);
    fs::create_dir_all(place.join(".git")).unwrap();
    fs::write(place.join(".git/HEAD"), format!("ref: refs/heads/{DRAWING}\n")).unwrap();
    fs::write(place.join(".git/config"), format!("[remote \"origin\"]\n\turl = {SCRIPT}\n"))
        .unwrap();
    fs::write(place.join(DRAWING), "").unwrap();
    let script = format!("{} push \"$@\"; :", house.bin().join("git").display());
    let mut parent = std::process::Command::new("/bin/sh");
    house.governed(&mut parent).args(["-c", &script, IMAGE, IMAGE, DRAWING, SCRIPT, LINK]);
    parent.env("GIT_SSH_COMMAND", IMAGE).current_dir(&place);
    parent.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// A prisoner whose command line and labels are markup.
fn lives(house: &House) -> Child {
    let mut command = clawrden();
    command.arg("--control").arg(house.control()).args(["run", "--quiet", "--policy"]);
    command.arg(house.path("policy.yaml"));
    command.args([
        "--label",
        &format!("{IMAGE}={DRAWING}"),
        "--",
        "/bin/sh",
        "-c",
        "exec /bin/sleep 1000",
        SCRIPT,
    ]);
    command.env_remove("CLAWRDEN_SOCKET").stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn markup_is_text_wherever_it_was_written() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        // A token's name cannot be markup at all.
        let made = house.cli(&["token", "create", "--role", "viewer", "--name", IMAGE]);
        assert!(!made.status.success(), "{}", text(&made.stdout));
        let mut denied = house.shimmed("rm");
        denied.args([IMAGE, DRAWING, SCRIPT]).stdin(Stdio::null()).stderr(Stdio::null());
        assert_eq!(denied.status().unwrap().code(), Some(126));
        let mut runs = house.shimmed("sh");
        let script = format!("printf '%s\\n' \"$@\"; read -r line; : {LINK}");
        runs.args(["-c", &script, "sh", IMAGE, DRAWING, SCRIPT]).stdout(Stdio::null());
        let mut runs = runs.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let typed = runs.stdin.take();
        let (lives, asked) = (lives(&house), asks(&house));
        until("the prisoner", || {
            let status = house.json(&["status", "--json"]);
            let jails = status["jails"].as_array()?;
            let lives =
                |jail: &Value| jail["prisoners"].as_array().is_some_and(|all| !all.is_empty());
            jails.iter().any(lives).then_some(())
        });
        let browser = signed_in(&driver, &house).await;
        browser.until("the card", &card("image", "true")).await;
        let every = [IMAGE, DRAWING, SCRIPT, LINK];
        shows(
            &browser,
            "queue",
            &[&every[..], &["window.ran='reason'", "window.ran='suggest'"]].concat(),
        )
        .await;
        for (what, open) in [
            ("approve for", ".request .more"),
            ("deny", ".request .deny"),
            ("stop everything", "#kill"),
        ] {
            browser.press(open).await;
            shows(&browser, what, &[]).await;
            browser.run("document.querySelectorAll('dialog').forEach((box) => box.close())").await;
        }
        browser.press(".request input[type=checkbox]").await;
        browser.press_button("Approve 1").await;
        shows(&browser, "approve several", &every).await;
        browser.press_button("Cancel").await;
        browser.page("running").await;
        shows(&browser, "running", &every).await;
        browser.press_button("Watch").await;
        browser
            .until(
                "what it showed",
                "return document.querySelector('.screen')?.textContent.includes('drawing')",
            )
            .await;
        shows(&browser, "watch", &every).await;
        browser.press_button("Close").await;
        browser.press_button("Stop…").await;
        shows(&browser, "stop one", &every).await;
        browser.press_button("Cancel").await;
        browser.page("jails").await;
        shows(&browser, "jails", &[IMAGE, DRAWING, SCRIPT]).await;
        browser.run("document.querySelector('section button').click()").await;
        shows(&browser, "stop a jail", &[]).await;
        browser.press_button("Cancel").await;
        // A reason that a person wrote.
        let reason = format!("{IMAGE}{SCRIPT}");
        let short = house.pending()["short"].as_str().unwrap().to_owned();
        browser.page("queue").await;
        browser.until("the card", &card("image", "true")).await;
        assert!(house.cli(&["deny", &short, "--reason", &reason]).status.success());
        browser
            .until(
                "who answered",
                &card("image", "card.querySelector('.outcome').textContent.includes('Denied by')"),
            )
            .await;
        shows(&browser, "answered", &[IMAGE, SCRIPT]).await;
        let _ = end(asked).await;
        browser.page("history").await;
        browser.until("the rows", "return document.querySelectorAll('tbody tr').length >= 3").await;
        shows(&browser, "history", &[IMAGE, LINK]).await;
        drop(typed);
        let _ = end(runs).await;
        assert!(house.cli(&["kill", "--reason", &reason]).status.success());
        let _ = end(lives).await;
        browser.close().await;
    });
}
