//! The overview, of a ledger that is known to the last request.

use serde_json::{Value, json};

use crate::accessible::also_look;
use crate::browser::with_driver;
use crate::support::{House, text, until};
use crate::written::{Past, write};
use crate::{POLICY, TCP, card, end, is_content, push, signed_in};

const HOUR: u64 = 3_600_000;

/// 30 requests of the last minutes: 19 allowed, 5 asked about and 6 denied; 20 of them ran, 11 of these for 50 ms, 8 for 2 s and one for a minute.
/// Before them, three hours and two days ago, two others.
fn past() -> Vec<Past> {
    let many = |count: usize, one: &Past| std::iter::repeat_n(one.clone(), count);
    let (ls, git) =
        (Past::new("allow", &["/usr/bin/ls", "-l"]), Past::new("ask", &["git", "push"]));
    let rm = |what: &str| Past::new("deny", &["rm", "-r", what]);
    let cargo = Past { jail: "build".to_owned(), ..Past::new("deny", &["cargo", "publish"]) };
    let old = |ago: u64| Past::new("allow", &["make", "test"]).took(100).ago(ago);
    [old(48 * HOUR), old(3 * HOUR)]
        .into_iter()
        .chain(many(11, &ls.clone().took(50)))
        .chain(many(8, &ls.took(2000)))
        .chain(many(1, &git.clone().answered(true).took(60_000)))
        .chain(many(4, &git.answered(false)))
        .chain(many(3, &rm("<b>node_modules</b>")))
        .chain(many(1, &rm("build")))
        .chain(many(2, &cargo))
        .collect()
}

/// What a panel's bars say: name and value.
fn bars(title: &str) -> String {
    format!(
        "const panel = [...document.querySelectorAll('main section')].find((one) => one.querySelector('h2').textContent === {});
         return [...panel.querySelectorAll('.bars li')].map((one) => `${{one.querySelector('.bar-name').textContent}}: ${{one.querySelector('.bar-value').textContent}}`)",
        json!(title)
    )
}

#[test]
fn the_overview_counts_a_known_ledger_to_the_last_request() {
    let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
    write(&dir.path().join("ledger.jsonl"), past().into_iter());
    with_driver(async move |driver| {
        let house = House::within(dir, &[], POLICY, &TCP);
        until("the index", || {
            (house.json(&["status", "--json"])["index"]["state"] == "ready").then_some(())
        });
        let waiting = push(&house, "waits");
        let browser = signed_in(&driver, &house).await;
        browser.until("the card", &card("waits", "true")).await;
        browser.page("overview?back=3600000").await;
        let tiles = "return Object.fromEntries([...document.querySelectorAll('.tile')].map((one) => [one.firstChild.textContent, [...one.children].slice(1).map((part) => part.textContent)]))";
        browser
            .until(
                "the numbers",
                "return document.querySelector('.tile strong')?.textContent === '31'",
            )
            .await;
        let told = browser.run(tiles).await;
        assert_eq!(told["requests"], json!(["31"]), "{told}");
        assert_eq!(told["asked a person"], json!(["6", "5 answered"]));
        assert_eq!(told["denied by policy"], json!(["6"]));
        let since = told["waiting"][1].as_str().unwrap();
        assert!(since.starts_with("the oldest for ") && since.ends_with(" s"), "{told}");
        assert_eq!(told["waiting"][0], "1");
        assert_eq!(told["half take at most"], json!(["50 ms", "19 of 20 at most 2.0 s"]));
        let list = async |title: &str| -> Vec<String> {
            let rows: Value = browser.run(&bars(title)).await;
            serde_json::from_value(rows).unwrap()
        };
        assert_eq!(
            list("Most asked for").await,
            ["ls: 19", "git: 6 4 denied", "rm: 4 4 denied", "cargo: 2 2 denied"]
        );
        assert_eq!(
            list("Most denied").await,
            [
                "git push default, policy.yaml:3: 4",
                "rm -r '<b>node_modules</b>' default, policy.yaml:3: 3",
                "cargo publish build, policy.yaml:3: 2",
                "rm -r build default, policy.yaml:3: 1",
            ]
        );
        assert_eq!(
            list("How long it waits by now").await,
            ["less than a minute: 1", "1 to 5 minutes: 0", "5 to 15 minutes: 0", "longer: 0"]
        );
        assert_eq!(
            list("What people answered").await,
            ["approved: 1", "denied: 4", "nobody answered: 0", "the caller left: 0"]
        );
        let chart = browser
            .run("return document.querySelector('.chart svg').getAttribute('aria-label')")
            .await;
        assert_eq!(chart, "Decisions over time: 19 allowed, 6 asked, 6 denied");
        // Every number can be read as text, and stays as long as somebody reads it.
        browser.run("document.querySelector('details').open = true").await;
        let table = "return [...document.querySelectorAll('details td.number')].reduce((sum, one) => sum + Number(one.textContent), 0)";
        assert_eq!(browser.run(table).await, json!(31));
        also_look(&browser, "overview with a table").await;
        // In a longer time there is more of it.
        for (back, requests) in [(24 * HOUR, "32"), (7 * 24 * HOUR, "33")] {
            browser.run(&format!("const box = document.querySelector('select'); box.value = '{back}'; box.dispatchEvent(new Event('change'))")).await;
            browser.until("a longer time", &format!("return location.hash === '#/overview?back={back}' && document.querySelector('.tile strong')?.textContent === '{requests}'")).await;
        }
        assert!(list("Most asked for").await.contains(&"make: 2".to_owned()));
        // The ledger that it is counted from holds.
        let proved = house.cli(&["audit", "verify", house.path("ledger.jsonl").to_str().unwrap()]);
        assert!(proved.status.success(), "{}", text(&proved.stdout));
        let _ = house.cli(&["deny", house.pending()["short"].as_str().unwrap()]);
        let _ = end(waiting).await;
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}
