//! Markup wherever somebody may write: in what a prisoner asks and is, in reasons and in the policy. It is text on the pages,
//! and no more.

use std::fs;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::browser::{Browser, Driver, with_driver};
use crate::support::approvers::Panel;
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

/// A policy that does not load, for which markup is to blame.
const BROKEN: &str = r#"default_action: deny
"<img src=x onerror=window.ran='key'>": 3
rules:
  - {command: git, action: "<script>window.ran='action'</script>"}
  - {command: "[<svg onload=window.ran='pattern'>", action: allow}
"#;

/// What of it the page has to say.
const FAULTS: [&str; 3] = [
    "<img src=x onerror=window.ran='key'>",
    "<script>window.ran='action'</script>",
    "<svg onload=window.ran='pattern'>",
];

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

/// Opens the detail of the request whose command line has this word in it.
async fn open(browser: &Browser, word: &str) {
    let open = format!(
        "const found = [...document.querySelectorAll('td .row-link')].find((one) => one.textContent.includes({})); found?.click(); return Boolean(found)",
        json!(word)
    );
    browser.until(word, &open).await;
}

/// Whoever sends a link chooses what stands in it.
async fn links(driver: &Driver, house: &House, origin: &str, id: &str) {
    let browser = signed_in(driver, house).await;
    let go = async |path: &str| {
        browser.go("about:blank").await;
        browser.go(&format!("{origin}/{path}")).await;
    };
    go(&format!("#/history/{id}")).await;
    shows(&browser, "shared", &["One request", IMAGE, DRAWING, SCRIPT]).await;
    for (path, shown) in [
        (format!("#/{IMAGE}"), "return document.querySelector('main h1')"),
        (
            format!("#/history/{IMAGE}"),
            "return document.getElementById('announce').textContent.length > 10",
        ),
        (
            format!("#/history?command={IMAGE}&jail={IMAGE}&caller={IMAGE}&text={IMAGE}"),
            "return document.querySelector('.filters input').value.includes('onerror') && !document.body.innerText.includes('Reading…')",
        ),
        (
            format!("#/policy?explain={IMAGE}"),
            "return document.querySelector('#explain .problem')?.textContent",
        ),
    ] {
        go(&path).await;
        browser.until(&path, shown).await;
        is_harmless(&browser, &path).await;
    }
    browser.close().await;
    let stranger = driver.browser(1280, 900).await;
    stranger.go(&format!("{origin}/login#{IMAGE}")).await;
    stranger.until("that it opens nothing", "return document.querySelector('.problem')").await;
    is_harmless(&stranger, "a link that signs in").await;
    stranger.close().await;
}

#[test]
fn markup_is_text_in_what_is_opened_explained_shared_and_said() {
    with_driver(async |driver| {
        let two = "  - {command: touch, action: ask, approvers: {from: [security], count: 2}}\n";
        let panel = Panel::new(&format!("{POLICY}{two}"));
        panel.token("bob");
        let house = &panel.house;
        let reason = format!("{IMAGE}{SCRIPT}");
        let every = [IMAGE, DRAWING, SCRIPT, LINK];
        let answered = |verdict: &str| {
            let short = house.pending()["short"].as_str().unwrap().to_owned();
            let done = house.cli(&[verdict, &short, "--reason", &reason]);
            assert!(done.status.success(), "{}", text(&done.stderr));
        };
        let asked = asks(house);
        answered("deny");
        let _ = end(asked).await;
        let id = house.event("denied")["id"].as_str().unwrap().to_owned();
        let mut runs = house.shimmed("sh");
        runs.args(["-c", "read -r line; : waits"]).stdin(Stdio::piped()).stderr(Stdio::null());
        let runs = runs.spawn().unwrap();
        let running = until("the command", || {
            let told = house.json(&["ps", "--json"]);
            told["entries"].as_array()?.first().map(|one| one["id"].as_str().unwrap().to_owned())
        });
        assert!(house.cli(&["stop", &running, "--reason", &reason]).status.success());
        let _ = end(runs).await;
        let browser = signed_in(&driver, house).await;
        let mut voted = house.shimmed("touch");
        let voted = voted.arg(IMAGE).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        answered("approve");
        browser.until("the vote", &card("1 of 2", "true")).await;
        shows(&browser, "a vote", &[&reason]).await;
        answered("deny");
        let _ = end(voted).await;
        // What the rule asks for, and what a person said.
        browser.page("history").await;
        open(&browser, "push").await;
        let told = [&every[..], &["window.ran='reason'", &reason]].concat();
        shows(&browser, "detail", &told).await;
        browser.press("dialog a.button").await;
        shows(&browser, "explained from the history", &["window.ran='reason'"]).await;
        let line = json!(format!("git push \"{IMAGE}\" && rm \"{SCRIPT}\""));
        browser.run(&format!("document.querySelector('#explain input').value = {line}")).await;
        browser.press("#explain [type=submit]").await;
        // What is long is shortened.
        let script = SCRIPT.split("</scr").next().unwrap();
        let told = ["What it would run", IMAGE, script, "window.ran='deny'", "window.ran='policy'"];
        shows(&browser, "explained", &told).await;
        browser.page("history").await;
        open(&browser, "waits").await;
        shows(&browser, "detail of what was stopped", &["stopped by", &reason]).await;
        browser.press_button("Close").await;
        let origin = browser.run("return location.origin").await;
        links(&driver, house, origin.as_str().unwrap(), &id).await;
        // A candidate, and the file itself.
        browser.page("policy").await;
        browser.until("the candidate", "return document.querySelector('.candidate')").await;
        browser.run("document.querySelector('.candidate').value = 'default_action: allow'").await;
        browser.press_button("Hold against the history").await;
        shows(&browser, "held against the history", &["would be decided otherwise", IMAGE]).await;
        let candidate = json!(BROKEN);
        browser.run(&format!("document.querySelector('.candidate').value = {candidate}")).await;
        browser.press_button("Check").await;
        shows(&browser, "a candidate", &[&["does not load"], &FAULTS[..]].concat()).await;
        browser.run("document.getElementById('simulate').remove()").await;
        fs::write(house.path("policy.yaml"), BROKEN).unwrap();
        let reloaded = house.cli(&["policy", "reload"]);
        assert!(!reloaded.status.success(), "{}", text(&reloaded.stdout));
        let told = [&["The files do not load", "See why"], &FAULTS[..]].concat();
        shows(&browser, "a broken policy", &told).await;
        browser.close().await;
    });
}
