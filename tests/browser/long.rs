//! The page before a warden that has really very much: ten thousand requests that wait, and a long history.
//! How long things take is printed, and not held to anything: that says more of the machine than of the page.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::browser::{Browser, with_driver};
use crate::support::{House, left_out, raw};
use crate::written::{Past, write};
use crate::{POLICY, TCP, card, is_content, signed_in};

/// Requests that wait.
const WAITING: u64 = 10_000;
/// Descriptors that a warden needs beside one for each of them.
const SPARE: u64 = 600;
/// Requests of the history, where `CLAWRDEN_BROWSER_HISTORY` does not say how many.
const PAST: u64 = 50_000;
/// How long anything may take here: other tests run beside it.
const PATIENT: Duration = Duration::from_secs(600);

/// Lets this process, and the wardens that it starts, have so many descriptors; gives whether they may.
fn allow_descriptors(wanted: u64) -> bool {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return true;
    }
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).is_ok()
        && limit.maximum.is_none_or(|most| most >= wanted)
}

/// Requests of prisoners that wait, each another one.
fn crowd(house: &House) -> Vec<UnixStream> {
    let one = |n: u64| {
        let branch = format!("number-{n}");
        let request =
            raw::request(house.dir.path(), &["git", "push", "nowhere", &branch], &raw::path());
        let mut stream = raw::connect(&house.socket());
        stream.write_all(&request).unwrap();
        assert_eq!(raw::ack(&mut stream), Some(2), "number {n} waits");
        stream
    };
    (0..WAITING).map(one).collect()
}

/// Tells from here on how long the page does nothing else: the longest time, and how often it was more than 50 ms.
const WATCHED: &str = "window.long = [];
    new PerformanceObserver((list) => window.long.push(...list.getEntries().map((one) => one.duration))).observe({ type: 'longtask', buffered: true });";

async fn print_long_tasks(browser: &Browser, what: &str) {
    let told = browser
        .run("const all = window.long.splice(0); return [all.length, Math.max(0, ...all)]")
        .await;
    eprintln!(
        "{what}: {} times busy for more than 50 ms, at most {:.0} ms",
        told[0],
        told[1].as_f64().unwrap()
    );
}

async fn nodes(browser: &Browser) -> u64 {
    browser.run("return document.querySelectorAll('*').length").await.as_u64().unwrap()
}

#[test]
fn before_ten_thousand_requests_that_really_wait_the_page_scrolls_and_answers() {
    if !allow_descriptors(WAITING + SPARE) {
        left_out("the page before ten thousand requests: the limit on open files is too low");
        return;
    }
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        let began = Instant::now();
        let mut waiting = crowd(&house);
        eprintln!("{WAITING} requests wait after {:.1} s", began.elapsed().as_secs_f64());
        let browser = signed_in(&driver, &house).await;
        browser.run(WATCHED).await;
        let began = Instant::now();
        let all = format!(
            "return document.querySelector('nav .count')?.textContent === '{WAITING}' && document.querySelectorAll('.request').length"
        );
        browser.until_within("all of them", &all, PATIENT).await;
        eprintln!("the page shows them after {:.1} s", began.elapsed().as_secs_f64());
        print_long_tasks(&browser, "opened").await;
        let mut most = nodes(&browser).await;
        for _ in 0..30 {
            browser.run_and_wait("const done = arguments[0]; scrollTo(0, document.documentElement.scrollHeight); requestAnimationFrame(() => requestAnimationFrame(() => done(1)))").await;
            most = most.max(nodes(&browser).await);
        }
        print_long_tasks(&browser, "scrolled by thirty screens").await;
        let cards = browser.run("return document.querySelectorAll('.request').length").await;
        assert!((40..=240).contains(&cards.as_u64().unwrap()), "{cards} cards");
        assert!(most < 20_000, "{most} elements at once");
        eprintln!("at most {most} elements at once");
        // One of those far below is looked for and answered.
        browser.write("input[type=search]", "number-9876").await;
        browser
            .until(
                "the one",
                &card("number-9876", "document.querySelectorAll('.request').length === 1"),
            )
            .await;
        print_long_tasks(&browser, "one looked for").await;
        let began = Instant::now();
        // By its key, which names its card: a click just when cards have moved is meant for another one.
        browser.write(".request .approve", "a").await;
        let outcome = card(
            "number-9876",
            "card.querySelector('.outcome').textContent.startsWith('Approved by')",
        );
        browser.until_within("the answer", &outcome, PATIENT).await;
        eprintln!("approved after {:.2} s", began.elapsed().as_secs_f64());
        assert_eq!(raw::ack(&mut waiting[9876]), Some(0), "its caller goes on");
        // Another surface's answer is seen, with who gave it.
        browser.run("const box = document.querySelector('input[type=search]'); box.value = ''; box.dispatchEvent(new Event('input')); scrollTo(0, 0)").await;
        browser.until("the first", &card("number-0", "true")).await;
        let first = browser.run("return document.querySelector('.request').dataset.id").await;
        let denied = house.cli(&["deny", first.as_str().unwrap(), "--reason", "not this one"]);
        assert!(denied.status.success(), "{denied:?}");
        let outcome = format!(
            "return document.querySelector('[data-id=\"{}\"] .outcome')?.textContent.includes('not this one')",
            first.as_str().unwrap()
        );
        let began = Instant::now();
        browser.until_within("who denied it", &outcome, PATIENT).await;
        eprintln!("seen to be denied elsewhere after {:.2} s", began.elapsed().as_secs_f64());
        print_long_tasks(&browser, "answered").await;
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}

/// The request `n` of the long history.
fn past(n: u64) -> Past {
    let tools = ["git", "npm", "cargo", "/usr/bin/python3"];
    let at = usize::try_from(n % 4).unwrap();
    let number = format!("--id={n}");
    let argv = [tools[at], "build", &number];
    let one = match n % 10 {
        0 => Past::new("deny", &argv),
        1 => Past::new("ask", &argv).answered(true).took(n % 5000),
        2 => Past::new("ask", &argv).answered(false),
        _ => Past::new("allow", &argv).took(n % 3000),
    };
    Past { jail: format!("jail-{}", n % 7), uid: 1000 + u32::try_from(n % 3).unwrap(), ..one }
}

/// What the page found by an address, and after how long it was drawn.
struct Listed {
    rows: Vec<String>,
    is_all: bool,
}

/// Opens the history by a query, as a shared link would, and prints how long it took.
async fn listed(browser: &Browser, query: &str) -> Listed {
    let script = format!(
        "const done = arguments[0]; const before = performance.now();
         const foot = () => document.querySelector('main > .list-foot:last-child');
         if (foot()) foot().textContent = 'Reading…';
         performance.clearResourceTimings();
         location.hash = '#/history{query}';
         const look = () => {{
             if (!foot() || foot().textContent === 'Reading…') return requestAnimationFrame(look);
             requestAnimationFrame(() => done({{
                 drawn: performance.now() - before,
                 answered: performance.getEntriesByType('resource').filter((one) => one.name.includes('/api/history')).at(-1)?.duration,
                 rows: [...document.querySelectorAll('tbody .row-link')].map((one) => one.textContent),
                 all: foot().textContent,
             }}));
         }};
         setTimeout(look)"
    );
    let told = browser.run_and_wait(&script).await;
    eprintln!(
        "{:40} {:4} rows, answered in {:5.0} ms, drawn after {:5.0} ms",
        if query.is_empty() { "(everything)" } else { query },
        told["rows"].as_array().unwrap().len(),
        told["answered"].as_f64().unwrap_or(f64::NAN),
        told["drawn"].as_f64().unwrap()
    );
    let is_all = told["all"] == "That is all." || told["all"] == "Nothing matches.";
    Listed { rows: serde_json::from_value(told["rows"].clone()).unwrap(), is_all }
}

fn line(n: u64) -> String {
    past(n).argv.join(" ")
}

/// The numbers of those that fit, the newest first.
fn fitting(all: u64, fits: impl Fn(u64) -> bool) -> impl Iterator<Item = String> {
    (0..all).rev().filter(move |n| fits(*n)).map(line)
}

#[test]
fn a_long_history_is_paged_and_filtered_through_the_page() {
    let asked = std::env::var("CLAWRDEN_BROWSER_HISTORY").ok().and_then(|text| text.parse().ok());
    let all: u64 = asked.unwrap_or(PAST);
    let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
    with_driver(async move |driver| {
        let began = Instant::now();
        write(&dir.path().join("ledger.jsonl"), (0..all).map(past));
        eprintln!("{all} requests written in {:.0} s", began.elapsed().as_secs_f64());
        let house = House::within(dir, &[], POLICY, &TCP);
        let began = Instant::now();
        while house.json(&["status", "--json"])["index"]["state"] != "ready" {
            assert!(began.elapsed() < PATIENT, "the index is not made");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        eprintln!("the index is there after {:.0} s", began.elapsed().as_secs_f64());
        let browser = signed_in(&driver, &house).await;
        // Page by page from the newest on, none twice and none left out.
        assert!(!listed(&browser, "").await.is_all);
        for page in 2..=5 {
            browser.press_button("Older").await;
            let there =
                format!("return document.querySelectorAll('tbody tr').length === {}", page * 100);
            browser.until("a further page", &there).await;
        }
        let rows = browser.run("return [...document.querySelectorAll('tbody .row-link')].map((one) => one.textContent)").await;
        let rows: Vec<String> = serde_json::from_value(rows).unwrap();
        assert!(rows.iter().eq(fitting(all, |_| true).take(500).collect::<Vec<_>>().iter()));
        // Every filter, and some together.
        type Fits = fn(u64) -> bool;
        let cases: [(&str, Fits); 8] = [
            ("?command=npm", |n| n % 4 == 1),
            ("?decision=deny", |n| n % 10 == 0),
            ("?decision=approved", |n| n % 10 == 1),
            ("?jail=jail-5", |n| n % 7 == 5),
            ("?caller=1002", |n| n % 3 == 2),
            ("?command=--id%3D4321", |n| n.to_string().starts_with("4321")),
            ("?text=alice+python3", |n| n % 4 == 3 && n % 10 == 1),
            ("?decision=denied&jail=jail-3&caller=1001", |n| {
                n % 10 == 2 && n % 7 == 3 && n % 3 == 1
            }),
        ];
        for (query, fits) in cases {
            let found = listed(&browser, query).await;
            let expected: Vec<String> = fitting(all, fits).take(100).collect();
            assert_eq!(found.rows, expected, "{query}");
            assert_eq!(found.is_all, fitting(all, fits).nth(100).is_none(), "{query}");
        }
        assert!(listed(&browser, "?command=nobody-ran-this").await.rows.is_empty());
        let found = listed(&browser, "?command=--id%3D77").await;
        assert!(found.rows[0].contains("--id=77"), "{:?}", found.rows);
        browser.press("td .row-link").await;
        browser.shows("One request").await;
        // The overview says of how many it tells.
        let began = Instant::now();
        browser.page("overview?back=2592000000").await;
        browser
            .until_within("the numbers", "return document.querySelector('.tile strong')", PATIENT)
            .await;
        eprintln!("the overview after {:.1} s", began.elapsed().as_secs_f64());
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}
