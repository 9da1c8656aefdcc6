//! The policy in force, layer by layer: what each says, which of them decides, and what of a change is seen at once.

use std::fs;

use serde_json::json;

use crate::accessible::also_look;
use crate::browser::{Browser, with_driver};
use crate::support::etc::{at_home, etc};
use crate::support::text;
use crate::{TCP, is_content, signed_in};

/// The layers that are shown, the highest first: what they are, their file, and what it says.
const LAYERS: &str = "const box = [...document.querySelectorAll('section')].find((one) => one.textContent.startsWith('Layers'));
    return box && [...box.querySelectorAll('details')].map((one) => [one.querySelector('.chip').textContent, one.querySelector('summary').textContent, one.querySelector('pre').textContent])";

async fn explained(browser: &Browser, line: &str) -> String {
    browser
        .run("document.querySelector('#explain input').value = ''; document.querySelector('#explain [role=status]').replaceChildren()")
        .await;
    browser.write("#explain input", line).await;
    browser.press("#explain [type=submit]").await;
    let told = "const box = document.querySelector('#explain .answer'); return box && `${box.textContent} (${document.querySelector('#explain .facts dd').textContent})`";
    browser.until(line, told).await.as_str().unwrap().to_owned()
}

#[test]
fn the_policy_is_shown_layer_by_layer_and_each_is_seen_to_decide() {
    let etc =
        etc("policy.yaml", "default_action: deny\nrules:\n  - {command: ls, action: allow}\n");
    let folder = etc.path().join("clawrden");
    fs::write(
        folder.join("ceiling.yaml"),
        "rules:\n  - {command: dd, action: deny, reason: above all}\n",
    )
    .unwrap();
    fs::create_dir(folder.join("rules.d")).unwrap();
    fs::write(
        folder.join("rules.d/team.yaml"),
        "rules:\n  - {command: touch, action: ask, reason: the team asks}\n",
    )
    .unwrap();
    let Some(house) = at_home(etc.path(), &TCP) else { return };
    with_driver(async |driver| {
        let browser = signed_in(&driver, &house).await;
        browser.page("policy").await;
        let told = browser.until("the layers", LAYERS).await;
        let layers: Vec<(String, String, String)> = serde_json::from_value(told).unwrap();
        for ((kind, file, says), (name, part)) in layers.iter().zip([
            ("ceiling", "above all"),
            ("policy", "default_action: deny"),
            ("further rules", "the team asks"),
        ]) {
            assert_eq!(kind, name, "{layers:?}");
            assert!(says.contains(part), "{layers:?}");
            assert!(
                file.contains(if name == "further rules" { "team.yaml" } else { name }),
                "{layers:?}"
            );
        }
        assert_eq!(layers.len(), 3, "{layers:?}");
        browser
            .run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            .await;
        also_look(&browser, "layers").await;
        browser.shot("layers").await;
        for (line, action, why) in [
            ("ls", "allow", "(policy.yaml:3)"),
            ("dd if=x", "deny", "above all (ceiling.yaml:2)"),
            ("touch x", "ask", "the team asks (team.yaml:2)"),
            ("ls && touch x", "ask", "the team asks (team.yaml:2)"),
        ] {
            let told = explained(&browser, line).await;
            assert!(told.starts_with(action) && told.ends_with(why), "{line}: {told}");
        }
        // A change comes into force by Reload, and is told of.
        fs::write(
            folder.join("policy.yaml"),
            "default_action: deny\nrules:\n  - {command: ls, action: ask}\n",
        )
        .unwrap();
        let reloaded = house.cli(&["policy", "reload"]);
        assert!(reloaded.status.success(), "{}", text(&reloaded.stderr));
        assert!(
            explained(&browser, "ls").await.starts_with("ask"),
            "the page asks the policy in force"
        );
        browser.press_button("Reload").await;
        browser.shows("The policy is the same as before.").await;
        // One that does not load is said on every page, with its place; the last good one stays.
        fs::write(folder.join("policy.yaml"), "default_action: maybe\n").unwrap();
        browser.press_button("Reload").await;
        browser.shows("the last good policy is in force").await;
        let fault =
            browser.run("return document.querySelector('main .card .command').textContent").await;
        assert!(fault.as_str().unwrap().contains("maybe"), "{fault}");
        also_look(&browser, "a policy that does not load").await;
        assert!(explained(&browser, "ls").await.starts_with("ask"));
        assert_eq!(browser.run("return document.getElementById('banners').textContent.includes('does not load')").await, json!(true));
        is_content(&browser, &[400, 409, 422]).await;
        browser.close().await;
    });
}
