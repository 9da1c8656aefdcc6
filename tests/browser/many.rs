//! Ten thousand requests that wait, and a long history: the page holds a window of them.

use serde_json::json;

use crate::browser::{Browser, with_driver};
use crate::support::House;
use crate::{POLICY, TCP, is_content, push, signed_in};

/// Requests of the queue.
const MANY: usize = 10_000;

/// Gives the page a queue of copies of its first request, as if the warden told it.
fn crowd() -> String {
    format!(
        "const real = window.fetch; window.posts = 0; window.answered = 0;
         window.fetch = async (path, asked) => {{
            if (asked?.method === 'POST') window.posts += 1;
            if (path !== '/api/queue') return real(path, asked);
            const {{ entries: [one] }} = await (await real(path, {{ ...asked, headers: {{ ...asked.headers, 'If-None-Match': '' }} }})).json();
            const entries = Array.from({{ length: {MANY} }}, (_, n) => {{
                const id = n.toString(16).padStart(32, '0');
                return {{ ...one, id, short: id.slice(-4), argv: [...one.argv, `number-${{n}}`] }};
            }});
            return new Response(JSON.stringify({{ entries: entries.slice(window.answered) }}), {{ headers: {{ 'Content-Type': 'application/json' }} }});
         }};"
    )
}

async fn cards(browser: &Browser) -> u64 {
    browser.run("return document.querySelectorAll('.request').length").await.as_u64().unwrap()
}

#[test]
fn of_ten_thousand_requests_the_page_holds_a_window() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        let waiting = push(&house, "first");
        let browser = signed_in(&driver, &house).await;
        browser.until("the card", "return document.querySelector('.request')").await;
        browser.run(&crowd()).await;
        browser
            .until(
                "all of them",
                &format!("return document.querySelector('nav .count').textContent === '{MANY}'"),
            )
            .await;
        let mut most = cards(&browser).await;
        assert!(most > 10);
        // Down, as far as a person would not.
        let mut frames = Vec::new();
        for _ in 0..40 {
            let scroll = "const done = arguments[0]; const before = performance.now();
                scrollTo(0, document.documentElement.scrollHeight);
                requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - before)))";
            frames.push(browser.run_and_wait(scroll).await.as_f64().unwrap());
            most = most.max(cards(&browser).await);
        }
        frames.sort_by(f64::total_cmp);
        eprintln!(
            "scrolling by a screen and more: half of the pictures within {:.0} ms, the slowest {:.0} ms",
            frames[frames.len() / 2],
            frames[frames.len() - 1]
        );
        let last = "return [...document.querySelectorAll('.request:not(.gone)')].at(-1).textContent.match(/number-(\\d+)/)[1]";
        let seen: usize = browser.run(last).await.as_str().unwrap().parse().unwrap();
        assert!(seen > 400, "only {seen} of them came near");
        assert!(most <= 240, "there were {most} cards at once");
        // One far above is answered, all that is shown moves up, and a click at that moment was meant for another.
        let moved = "const done = arguments[0]; const first = () => document.querySelector('.request:not(.gone)');
            const which = () => first().textContent.match(/number-\\d+/)[0]; const before = which();
            window.answered = 1;
            const look = () => {
                if (which() === before) return requestAnimationFrame(look);
                const act = [...first().querySelectorAll('button')].find((one) => one.textContent === 'Approve');
                act.dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true, detail: 1 }));
                done(window.posts);
            };
            look()";
        assert_eq!(browser.run_and_wait(moved).await, json!(0), "another one was approved");
        // And up again, to the first one.
        for _ in 0..200 {
            browser.run_and_wait("const done = arguments[0]; scrollTo(0, 0); requestAnimationFrame(() => requestAnimationFrame(() => done(1)))").await;
            if browser.run("return Boolean(document.querySelector('.request')?.textContent.match(/number-1(?!\\d)/))").await == true {
                break;
            }
        }
        let first =
            "return document.querySelector('.request').textContent.match(/number-1(?!\\d)/)";
        browser.until("the first one", first).await;
        assert!(cards(&browser).await <= 240);
        browser.write("input[type=search]", "number-9876").await;
        browser.until("the one", "return document.querySelectorAll('.request').length === 1").await;
        let all = "const done = arguments[0]; const before = performance.now(); const box = document.querySelector('input[type=search]');
            box.value = ''; box.dispatchEvent(new Event('input')); requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - before)))";
        let took = browser.run_and_wait(all).await;
        eprintln!("from one of them to all: {:.0} ms", took.as_f64().unwrap());
        is_content(&browser, &[]).await;
        browser.close().await;
        let _ = house.cli(&["deny", house.pending()["short"].as_str().unwrap()]);
        let _ = crate::end(waiting).await;
    });
}

#[test]
fn of_a_long_history_the_page_holds_the_last_thousand_that_were_looked_at() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        assert!(house.shimmed("true").status().unwrap().success());
        let browser = signed_in(&driver, &house).await;
        // A warden whose history never ends.
        let long = json!("const real = window.fetch; let one = null;
            window.fetch = async (path, asked) => {
                if (!path.startsWith('/api/history')) return real(path, asked);
                one ??= (await (await real('/api/history?limit=1', asked)).json()).entries[0];
                const at = Number(new URLSearchParams(path.split('?')[1]).get('cursor') ?? 1000000);
                const entries = Array.from({ length: 100 }, (_, n) => ({ ...one, sequence: at - n, argv: ['true', `number-${at - n}`] }));
                return new Response(JSON.stringify({ entries, next: at - 100 }), { headers: { 'Content-Type': 'application/json' } });
            };");
        browser.run(long.as_str().unwrap()).await;
        browser.page("history").await;
        for n in 1..=13 {
            browser.until("a page of them", &format!("return document.querySelector('tbody')?.lastChild?.textContent.includes('number-{}')", 1_000_001 - 100 * n)).await;
            browser.press_button("Older").await;
        }
        browser
            .until("the bound", "return document.querySelectorAll('tbody tr').length === 1000")
            .await;
        browser.press_button("Back to the newest").await;
        browser.until("the newest", "return document.querySelectorAll('tbody tr').length === 100 && document.querySelector('tbody').textContent.includes('number-1000000')").await;
        is_content(&browser, &[]).await;
        browser.close().await;
    });
}
