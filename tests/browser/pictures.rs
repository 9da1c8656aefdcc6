//! The pictures of the documentation: a shop's agents on a working day. They are kept where CLAWRDEN_SHOTS says;
//! `scripts/pictures page` puts them where they belong.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::browser::{Browser, Driver, link, with_driver};
use crate::support::{House, clawrden, text, until};
use crate::written::{Past, write};
use crate::{TCP, end};

const POLICY: &str = "default_action: deny
on_unparsed: ask
rules:
  - command: git
    args: push
    action: ask
    reason: pushes are looked at
    suggest: open a pull request
  - command: rm
    args: -r
    action: ask
    reason: it removes folders
  - {command: [ls, cat, 'true'], action: allow}
  - {command: touch, action: ask, reason: it makes a file}
  - {command: bash, action: allow, executor: local, record: output}
  - {command: rm, action: deny, reason: nothing is removed here}
";

/// What is recorded: it takes its time, as tests do.
const TESTS: &str = "printf '\\033[1mrunning 3 tests\\033[0m\\n'
for t in parses_nothing parses_all keeps_order; do
  sleep 0.2; printf \"test %s ... \\033[32mok\\033[0m\\n\" $t
done
printf '\\n\\033[32mall 3 passed\\033[0m in 0.6 s\\n'
";

const MINUTE: u64 = 60_000;

/// The shop, its warden, and the folder in which its agents work.
struct Shop {
    house: House,
    place: PathBuf,
}

/// What an agent asked for in the hours before, more of it at some times than at others.
fn day() -> impl Iterator<Item = Past> {
    let one = |n: u64| match n % 9 {
        0 => Past::new("ask", &["git", "push", "origin", "main"])
            .answered(n.is_multiple_of(2))
            .took(900 + n),
        1 => Past::new("ask", &["touch", "CHANGELOG.md"]).answered(true).took(3),
        2 if n.is_multiple_of(2) => Past::new("deny", &["rm", "-f", "/etc/hosts"]),
        3 => Past::new("allow", &["cat", "package.json"]).took(4),
        4 | 5 => Past::new("allow", &["bash", "test.sh"]).took(600 + 7 * n % 300),
        _ => Past::new("allow", &["ls", "-la", "src"]).took(2 + n % 5),
    };
    // Steps of 75 seconds, as the overview has them in an hour; how much is done in one is as regular as chance.
    let steps = (0..46).flat_map(|step: u64| {
        let busy = [5, 9, 14, 11, 3, 1, 0, 4, 12, 17, 13, 6, 2];
        let count = busy[usize::try_from(step % 13).unwrap()] + step * 7 % 4;
        (0..count).map(move |n| (step, n))
    });
    let ago = |step: u64| 58 * MINUTE - step * 75_000;
    (0..).zip(steps).map(move |(n, (step, _))| one(n).ago(ago(step)))
}

impl Shop {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("shop-").rand_bytes(4).tempdir().unwrap();
        write(&dir.path().join("ledger.jsonl"), day());
        let place = fs::canonicalize(dir.path()).unwrap().join("backend");
        for folder in [".git", "build/cache", "migrations", "src"] {
            fs::create_dir_all(place.join(folder)).unwrap();
        }
        fs::write(place.join(".git/HEAD"), "ref: refs/heads/feature/login\n").unwrap();
        let remote = "[remote \"origin\"]\n\turl = git@git.shop.example:backend.git\n";
        fs::write(place.join(".git/config"), remote).unwrap();
        fs::write(place.join("test.sh"), TESTS).unwrap();
        let house = House::within(dir, &[], POLICY, &TCP);
        until("the index", || {
            (house.json(&["status", "--json"])["index"]["state"] == "ready").then_some(())
        });
        Self { house, place }
    }

    /// A command, as an agent starts it: by a line for a shell, which goes on behind it.
    fn asks(&self, line: &str) -> Child {
        let mut command = Command::new("/bin/bash");
        self.house.governed(&mut command);
        command.args(["-c", &format!("{line} && echo done")]).current_dir(&self.place);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// An agent that lives for a while.
    fn agent(&self, script: &str, label: &str) -> Child {
        let mut command = clawrden();
        command
            .arg("--control")
            .arg(self.house.control())
            .args(["run", "--quiet", "--policy"])
            .arg(self.house.path("policy.yaml"));
        command.args(["--tools", "bash,git,touch", "--label", label, "--", "/bin/bash", script]);
        command.current_dir(&self.place).env_remove("CLAWRDEN_SOCKET");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    fn cli(&self, args: &[&str]) {
        let done = self.house.cli(args);
        assert!(done.status.success(), "{}", text(&done.stderr));
    }
}

async fn in_colours(browser: &Browser, theme: &str) {
    let set = format!("localStorage.setItem('clawrden', JSON.stringify({{ theme: '{theme}' }}))");
    browser.run(&set).await;
    browser.run("location.reload()").await;
    let there = format!(
        "return document.documentElement.dataset.theme === '{theme}' && document.querySelector('nav a')"
    );
    browser.until("its colours", &there).await;
}

/// Opens a page, waits for what it is to show, and takes its picture.
async fn picture(browser: &Browser, page: &str, there: &str, name: &str) {
    browser.page(page).await;
    browser.until(page, there).await;
    browser.shot(&format!("docs-{name}")).await;
}

const THREE: &str = "return document.querySelectorAll('.request').length === 3";

#[test]
fn a_days_work_is_there_to_be_seen() {
    with_driver(async |driver| {
        let shop = Shop::new();
        for line in ["ls -la src", "ls migrations", "cat test.sh"] {
            let _ = end(shop.asks(line)).await;
        }
        let _ = end(shop.asks("rm -f /etc/hosts")).await;
        let touched = shop.asks("touch release-notes.md");
        let short = shop.house.pending()["short"].as_str().unwrap().to_owned();
        shop.cli(&["approve", &short, "--reason", "agreed in #214"]);
        let _ = end(touched).await;
        let _ = end(shop.asks("bash test.sh")).await;
        let wait = async |line: &str, count: usize| {
            let child = shop.asks(line);
            until("its place in the queue", || {
                let queue = shop.house.json(&["queue", "--json"]);
                (queue["entries"].as_array()?.len() == count).then_some(())
            });
            child
        };
        let waiting = [
            wait("git push --force origin 'main\u{202e}'", 1).await,
            wait("rm -r build ../frontend/dist", 2).await,
            wait("touch migrations/0042_add_index.sql", 3).await,
        ];
        let browser = driver.browser(1280, 1080).await;
        browser.go(&link(&shop.house)).await;
        picture(&browser, "queue", THREE, "queue").await;
        let rows = "return document.querySelectorAll('tbody tr').length >= 8";
        picture(&browser, "history", rows, "history").await;
        recording(&browser).await;
        pattern(&browser).await;
        let ran = "return document.querySelector('.tile strong')";
        in_colours(&browser, "dark").await;
        picture(&browser, "overview?back=3600000", ran, "overview").await;
        in_colours(&browser, "light").await;
        policy(&browser).await;
        phone(&driver, &shop).await;
        for child in waiting {
            shop.cli(&["deny", shop.house.pending()["short"].as_str().unwrap()]);
            let _ = end(child).await;
        }
        lived(&browser, &shop).await;
        browser.close().await;
    });
}

async fn recording(browser: &Browser) {
    browser.run("[...document.querySelectorAll('.row-link')].find((one) => one.textContent === 'bash test.sh').click()").await;
    browser.press_button("Recording").await;
    browser
        .until(
            "what it showed",
            "return document.querySelector('.screen')?.textContent.includes('all 3 passed')",
        )
        .await;
    browser.shot("docs-recording").await;
    browser.run("document.querySelectorAll('dialog').forEach((box) => box.close())").await;
}

/// A yes for more than one run, tried against the history.
async fn pattern(browser: &Browser) {
    browser.page("queue").await;
    browser.until("three cards", THREE).await;
    browser.run("[...document.querySelectorAll('.request')].find((one) => one.textContent.includes('0042')).querySelector('.more').click()").await;
    browser
        .run(
            "const scope = document.querySelector('dialog select'); scope.value = 'time';
             scope.dispatchEvent(new Event('change'));
             [...document.querySelectorAll('dialog .check')].find((one) => one.textContent.includes('pattern')).querySelector('input').click();
             document.querySelector('#reach-pattern').value = '';",
        )
        .await;
    browser.write("#reach-pattern", "touch migrations/*.sql").await;
    browser.press_button("Test it").await;
    browser
        .until(
            "that it was tried",
            "return document.querySelector('dialog .first').disabled === false",
        )
        .await;
    browser.shot("docs-pattern").await;
    browser.run("document.querySelectorAll('dialog').forEach((box) => box.close())").await;
}

async fn policy(browser: &Browser) {
    browser.page("policy").await;
    browser.write("#explain input", "ls src && rm -rf build").await;
    browser.press("#explain [type=submit]").await;
    browser.until("the answer", "return document.querySelector('#explain .answer')").await;
    browser.run("scrollTo(0, 0)").await;
    browser.shot("docs-policy").await;
}

async fn phone(driver: &Driver, shop: &Shop) {
    let phone = driver.browser(390, 844).await;
    phone.go(&link(&shop.house)).await;
    phone.until("three cards", THREE).await;
    in_colours(&phone, "dark").await;
    phone.until("three cards", THREE).await;
    phone.shot("docs-phone").await;
    phone.close().await;
}

/// Writes a script of an agent, which says when it has begun.
fn script(place: &Path, name: &str, text: &str) {
    fs::write(place.join(name), text).unwrap();
}

/// What runs, who is in jail, who may come in, what is proved, and what is seen of a stop.
async fn lived(browser: &Browser, shop: &Shop) {
    script(&shop.place, "fix-tests.sh", "bash watch.sh; true\n");
    script(&shop.place, "upgrade.sh", "/bin/sleep 1000; true\n");
    let watch = "echo 'watching 214 files'; i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; exec /bin/sleep 1000\n";
    script(&shop.place, "watch.sh", watch);
    let agents = [
        shop.agent("fix-tests.sh", "ticket=SHOP-214"),
        shop.agent("upgrade.sh", "ticket=SHOP-230"),
    ];
    // Its input is at its end, so something of its own waits for it.
    let mut reads = shop.house.shimmed("cat");
    let mut reads =
        reads.current_dir(&shop.place).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let open = reads.stdin.take();
    let uses = "return document.querySelectorAll('.use').length >= 2 && [...document.querySelectorAll('.use')].every((one) => one.textContent.includes('MB'))";
    picture(browser, "running", uses, "running").await;
    let there = "return document.body.textContent.includes('SHOP-214')";
    picture(browser, "jails", there, "jails").await;
    for (name, role) in [("alice", "approver"), ("bob", "admin"), ("grafana", "viewer")] {
        shop.cli(&["token", "create", "--role", role, "--name", name]);
    }
    picture(
        browser,
        "tokens",
        "return document.querySelectorAll('tbody tr').length >= 4",
        "tokens",
    )
    .await;
    browser.page("ledger").await;
    browser.press_button("Verify now").await;
    let holds = "return document.querySelector('#proof .chip.good')";
    picture(browser, "ledger", holds, "ledger").await;
    browser.page("jails").await;
    browser.press("#kill").await;
    browser.until("what it hits", "return document.querySelector('dialog[open]')").await;
    browser.write("dialog[open] input", "the token of the build leaked").await;
    browser.press_button("End…").await;
    browser.shot("docs-kill").await;
    browser.press_button("End everything now").await;
    browser.shows("Everything is stopped.").await;
    browser.press_button("Close").await;
    for child in agents.into_iter().chain([reads]) {
        let _ = end(child).await;
    }
    drop(open);
    let none = "return !document.querySelector('dialog') && document.body.textContent.includes('No prisoner')";
    picture(browser, "jails", none, "stopped").await;
}
