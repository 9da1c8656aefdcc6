//! Coming in and going out: what stays in the address and in the browser, who may show the page in a frame, and what of
//! a page may run.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::browser::{Browser, link, with_driver};
use crate::support::{House, text};
use crate::{POLICY, TCP, is_content, signed_in};

/// Everything in a browser that outlasts the moment and can be read by a script.
const KEPT: &str = "return JSON.stringify([location.href, document.cookie, { ...localStorage }, { ...sessionStorage }, history.state, document.referrer, document.title, document.documentElement.outerHTML])";

async fn kept(browser: &Browser) -> String {
    browser.run(KEPT).await.as_str().unwrap().to_owned()
}

async fn status(browser: &Browser, script: &str) -> Value {
    let script = format!(
        "const done = arguments[0]; ({script}).then((told) => done(told.status), (error) => done(String(error)))"
    );
    browser.run_and_wait(&script).await
}

#[test]
fn a_link_signs_in_once_and_leaves_nothing_of_itself() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        let address = link(&house);
        let (origin, code) = address.split_once("/login#").unwrap();
        let browser = driver.browser(1280, 900).await;
        browser.go(&address).await;
        browser.until("the pages", "return document.querySelector('nav a')").await;
        let told = kept(&browser).await;
        assert!(code.len() >= 16 && !told.contains(code), "{told}");
        let here = browser.run("return location.href").await;
        assert_eq!(here.as_str().unwrap().split('#').next().unwrap(), format!("{origin}/"));
        // The cookie is not a script's to read, and without the word that goes with it opens nothing.
        assert_eq!(browser.run("return document.cookie").await, "");
        assert_eq!(status(&browser, "fetch('/api/status')").await, 401);
        // Nor does going back lead to it.
        browser.run("history.back()").await;
        let there = browser.until("an address", "return location.href").await;
        assert!(!there.as_str().unwrap().contains(code), "{there}");
        let other = driver.browser(1280, 900).await;
        other.go(&address).await;
        other.until("the form", "return document.querySelector('.login')").await;
        assert!(!kept(&other).await.contains(code));
        is_content(&other, &[401]).await;
        is_content(&browser, &[401]).await;
        for browser in [browser, other] {
            browser.close().await;
        }
    });
}

#[test]
fn a_token_signs_in_and_is_kept_nowhere() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        let made = house.cli(&["token", "create", "--role", "approver", "--name", "bob"]);
        let token = text(&made.stdout).split_whitespace().next().unwrap().to_owned();
        let origin = link(&house).split("/login").next().unwrap().to_owned();
        let browser = driver.browser(1280, 900).await;
        browser.go(&origin).await;
        browser.write("input[type=password]", "clw_not_a_token").await;
        browser.press_button("Sign in").await;
        browser
            .until(
                "that it is none",
                "return document.querySelector('.login .problem')?.textContent",
            )
            .await;
        browser.run("document.querySelector('input').value = ''").await;
        browser.write("input[type=password]", &token).await;
        browser.press_button("Sign in").await;
        browser.until("the pages", "return document.querySelector('nav a')").await;
        let told = kept(&browser).await;
        let secret = token.splitn(3, '_').nth(2).unwrap();
        assert!(secret.len() >= 16 && !told.contains(secret), "{told}");
        browser.press("#settings").await;
        browser.shows("Signed in as bob").await;
        is_content(&browser, &[401]).await;
        browser.close().await;
    });
}

#[test]
fn who_signs_out_is_out_and_nobody_else_is() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        let (browser, other) = (signed_in(&driver, &house).await, signed_in(&driver, &house).await);
        let word = browser.run("return localStorage.getItem('clawrden-session')").await;
        let asked = format!("fetch('/api/status', {{ headers: {{ 'X-CSRF-Token': {word} }} }})");
        assert_eq!(status(&browser, &asked).await, 200);
        browser.press("#settings").await;
        browser.press_button("Sign out").await;
        browser
            .until(
                "the form",
                "return document.querySelector('.login') && !document.querySelector('nav a')",
            )
            .await;
        assert_eq!(
            browser.run("return localStorage.getItem('clawrden-session')").await,
            Value::Null
        );
        // What it had opens nothing any more, whatever was remembered of it.
        assert_eq!(status(&browser, &asked).await, 401);
        let told = kept(&browser).await;
        assert!(!told.contains(word.as_str().unwrap()), "{told}");
        browser.run("location.hash = '#/tokens'").await;
        browser.run("location.reload()").await;
        browser
            .until(
                "the form",
                "return document.querySelector('.login') && !document.querySelector('nav a')",
            )
            .await;
        other.page("tokens").await;
        other.until("the sessions", "return document.querySelectorAll('[aria-label=\"Sessions of this page\"] tbody tr').length === 1").await;
        is_content(&browser, &[401]).await;
        is_content(&other, &[]).await;
        for browser in [browser, other] {
            browser.close().await;
        }
    });
}

/// Serves this page to whoever asks, on a port of its own: another origin. Gives its address.
fn elsewhere(page: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                page.len()
            );
            let _ = stream.write_all(format!("{head}{page}").as_bytes());
        }
    });
    address
}

#[test]
fn no_page_of_another_origin_shows_it_in_a_frame() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        let browser = signed_in(&driver, &house).await;
        let origin = link(&house).split("/login").next().unwrap().to_owned();
        for path in ["/", "/login", "/ui/index.html"] {
            // The frame's own page would say so if it were shown: the session is there.
            let page = format!(
                "<!doctype html><h1>Win a prize</h1><iframe src=\"{origin}{path}\" width=900 height=700 onload=\"window.loaded = true\"></iframe>"
            );
            browser.go(&elsewhere(page)).await;
            browser.until("the frame", "return window.loaded").await;
            let there = browser.in_frame("return location.href").await;
            assert_eq!(there, "chrome-error://chromewebdata/", "{path}");
            let shown = browser.in_frame("return document.body.innerText").await;
            assert!(!shown.as_str().unwrap().contains("Clawrden"), "{path}: {shown}");
            let said = browser.complaints(&[]).await.join("\n");
            assert!(
                said.contains("frame-ancestors") || said.contains("X-Frame-Options"),
                "{path}: {said}"
            );
        }
        // A window of another origin that opened it has no hold of it either.
        let page =
            format!("<!doctype html><script>window.opened = window.open('{origin}/')</script>");
        browser.go(&elsewhere(page)).await;
        browser
            .until("that it is cut off", "return window.opened === null || window.opened.closed")
            .await;
        browser.close().await;
    });
}

/// Files of the page, as they are served.
fn files() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../warden/dashboard");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            let inner = std::fs::read_dir(entry.path()).unwrap().map(Result::unwrap);
            files
                .extend(inner.map(|it| format!("/ui/{name}/{}", it.file_name().to_str().unwrap())));
        } else {
            files.push(format!("/ui/{name}"));
        }
    }
    files
}

#[test]
fn every_file_of_the_page_forbids_frames_guesses_and_what_is_inline() {
    with_driver(async |driver| {
        let house = House::with(POLICY, &TCP);
        let browser = signed_in(&driver, &house).await;
        let all: Vec<String> =
            ["/", "/login"].map(str::to_owned).into_iter().chain(files()).collect();
        assert!(all.len() > 30, "{all:?}");
        let script = format!(
            "const done = arguments[0]; Promise.all({}.map(async (path) => {{
                const told = await fetch(path); return [path, told.status, Object.fromEntries(told.headers)];
            }})).then(done, (error) => done(String(error)))",
            json!(all)
        );
        let told = browser.run_and_wait(&script).await;
        for one in told.as_array().unwrap() {
            let (path, headers) = (&one[0], &one[2]);
            assert_eq!(one[1], 200, "{path}");
            let policy = headers["content-security-policy"].as_str().unwrap();
            let rules: Vec<&str> = policy.split(';').map(str::trim).collect();
            for rule in [
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "frame-ancestors 'none'",
                "base-uri 'none'",
            ] {
                assert!(rules.contains(&rule), "{path}: {policy}");
            }
            assert!(!policy.contains("unsafe") && !policy.contains('*'), "{path}: {policy}");
            assert_eq!(headers["x-frame-options"], "DENY", "{path}");
            assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        }
        // And the browser keeps to it: what is inline does not run, nothing is loaded from elsewhere.
        let there = elsewhere("window.ran = 'elsewhere'".to_owned());
        let try_all = format!(
            "const done = arguments[0]; const said = []; window.ran = null;
             document.addEventListener('securitypolicyviolation', (event) => {{ said.push(event.effectiveDirective); if (said.length === 4) done({{ ran: window.ran, said: said.sort() }}); }});
             const inline = document.createElement('script'); inline.textContent = \"window.ran = 'inline'\"; document.body.append(inline);
             const foreign = document.createElement('script'); foreign.src = '{there}x.js'; document.body.append(foreign);
             const handler = document.createElement('b'); handler.setAttribute('onclick', \"window.ran = 'handler'\"); document.body.append(handler); handler.click();
             fetch('{there}').catch(() => {{}});"
        );
        let told = browser.run_and_wait(&try_all).await;
        assert_eq!(
            told,
            json!({"ran": null, "said": ["connect-src", "script-src-attr", "script-src-elem", "script-src-elem"]})
        );
        browser.close().await;
    });
}
