//! A real browser, by way of its driver.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::support::{House, left_out, text};

/// How a browser words that nobody answers any more.
const GONE: [&str; 3] = ["ERR_CONNECTION", "ERR_EMPTY_RESPONSE", "ERR_INCOMPLETE_CHUNKED_ENCODING"];

/// How long anything on a page may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no browser, if there is none.
pub(crate) fn missing() -> Option<&'static str> {
    let has = |program: &str| {
        Command::new(program).arg("--version").output().is_ok_and(|said| said.status.success())
    };
    match (has("chromedriver"), has("chromium")) {
        (true, true) => None,
        (false, _) => Some("chromedriver is not installed"),
        (_, false) => Some("chromium is not installed"),
    }
}

/// Runs a test with browsers, unless there can be none, which is said.
pub(crate) fn with_driver<F: Future<Output = ()>>(test: impl FnOnce(Driver) -> F) {
    if let Some(why) = missing() {
        left_out(&format!("nothing is tried in a browser, because {why}"));
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let driver = Driver::start();
    runtime.block_on(test(driver));
}

/// A port that was free a moment ago, for a warden that is to come back to it.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The link that opens a session of this warden's page.
pub(crate) fn link(house: &House) -> String {
    let said = house.cli(&["dashboard"]);
    assert!(said.status.success(), "{}", text(&said.stderr));
    text(&said.stdout).trim().to_owned()
}

/// Chromium's driver. Its browsers end with it.
pub(crate) struct Driver {
    child: Child,
    port: u16,
    home: tempfile::TempDir,
}

impl Driver {
    fn start() -> Self {
        let home = tempfile::Builder::new().prefix("clawrden-browser-").tempdir().unwrap();
        loop {
            let mut child = Command::new("chromedriver")
                .args(["--port=0", "--log-level=WARNING"])
                .env("HOME", home.path())
                .env("TMPDIR", home.path())
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let said = BufReader::new(child.stdout.take().unwrap());
            let (mut lines, mut before) = (said.lines().map_while(Result::ok), Vec::new());
            let port = lines.find_map(|line| {
                let port = line.split("successfully on port ").nth(1);
                let port = port.and_then(|port| port.trim_end_matches('.').parse().ok());
                before.push(line);
                port
            });
            if let Some(port) = port {
                // It must not be stopped by a full pipe.
                std::thread::spawn(move || lines.for_each(drop));
                return Self { child, port, home };
            }
            let ended = child.wait().unwrap();
            // It takes the port that it got of IPv4 for IPv6 as well, where somebody else may have it.
            let is_taken = before.iter().any(|line| line.contains("port not available"));
            assert!(is_taken, "the driver says no port, and ends with {ended}: {before:?}");
        }
    }

    /// A browser of its own, of this size.
    pub(crate) async fn browser(&self, width: u32, height: u32) -> Browser {
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            // They differ from machine to machine, and take from the width.
            "--hide-scrollbars".to_owned(),
            format!("--window-size={width},{height}"),
        ];
        if rustix::process::getuid().is_root() {
            arguments.push("--no-sandbox".to_owned());
        }
        let mut options = json!({"args": arguments});
        if width < 500 {
            let metrics = json!({"width": width, "height": height, "pixelRatio": 1.0});
            options["mobileEmulation"] = json!({"deviceMetrics": metrics});
        }
        let Value::Object(wanted) = json!({
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }) else {
            unreachable!()
        };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(wanted);
        let address = format!("http://127.0.0.1:{}", self.port);
        let client = builder.connect(&address).await.expect("a browser starts");
        Browser { client, port: self.port }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Asked so, it ends its browsers as well.
        let _ = http(self.port, "GET", "/shutdown", "");
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.home.path();
    }
}

/// One browser.
pub(crate) struct Browser {
    client: Client,
    port: u16,
}

impl Browser {
    /// Opens an address.
    pub(crate) async fn go(&self, address: &str) {
        self.client.goto(address).await.unwrap();
    }

    /// Opens another page of the one that is open.
    pub(crate) async fn page(&self, name: &str) {
        self.run(&format!("location.hash = '#/{name}'")).await;
    }

    /// Runs a script; `return` gives its value.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Runs a script that calls its last argument with its value.
    pub(crate) async fn run_and_wait(&self, script: &str) -> Value {
        self.client.execute_async(script, Vec::new()).await.unwrap()
    }

    /// Waits until a script gives something that counts as true, and gives it.
    pub(crate) async fn until(&self, what: &str, script: &str) -> Value {
        self.until_within(what, script, PATIENCE).await
    }

    /// The same, where it may take longer than usual.
    pub(crate) async fn until_within(&self, what: &str, script: &str, long: Duration) -> Value {
        let end = Instant::now() + long;
        loop {
            // A page that is being loaded has no scripts yet.
            let told = self.client.execute(script, Vec::new()).await.unwrap_or_default();
            if !matches!(told, Value::Null | Value::Bool(false))
                && told != json!("")
                && told != json!(0)
            {
                return told;
            }
            if Instant::now() >= end {
                let shown = self.run("return document.body.innerText").await;
                panic!("waited in vain for {what}; the page shows: {shown}");
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    }

    /// Waits until the page shows a text.
    pub(crate) async fn shows(&self, text: &str) {
        let script = format!("return document.body.innerText.includes({})", json!(text));
        self.until(text, &script).await;
    }

    /// Waits for what a selector finds, and presses it as a person would.
    pub(crate) async fn press(&self, selector: &str) {
        let find = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(selector));
        find.await.unwrap().click().await.unwrap();
    }

    /// Presses the button with this text, in the topmost dialog if one is open.
    pub(crate) async fn press_button(&self, text: &str) {
        let script = format!(
            "const box = [...document.querySelectorAll('dialog[open]')].at(-1) ?? document;
             const found = [...box.querySelectorAll('button')].find((b) => b.textContent === {} && !b.hidden && !b.disabled);
             if (found) {{ document.querySelectorAll('[data-pressed]').forEach((b) => delete b.dataset.pressed); found.dataset.pressed = 'yes'; found.scrollIntoView({{ block: 'center' }}); }}
             return Boolean(found)",
            json!(text)
        );
        self.until(text, &script).await;
        self.press("[data-pressed]").await;
    }

    /// Writes into what a selector finds.
    pub(crate) async fn write(&self, selector: &str, text: &str) {
        let find = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(selector));
        find.await.unwrap().send_keys(text).await.unwrap();
    }

    /// Tells the browser something by its own protocol, as a person would in its menus.
    pub(crate) async fn command(&self, name: &str, params: Value) {
        let session = self.client.session_id().await.unwrap().unwrap();
        let path = format!("/session/{session}/goog/cdp/execute");
        let told =
            http(self.port, "POST", &path, &json!({"cmd": name, "params": params}).to_string());
        let told: Value = serde_json::from_str(&told).unwrap();
        assert!(told["value"].get("error").is_none(), "{name}: {told}");
    }

    /// Lets the page of this address do what a person would be asked for.
    pub(crate) async fn grant(&self, address: &str, permissions: &[&str]) {
        let origin = address.split("/login").next().unwrap();
        let params = json!({"origin": origin, "permissions": permissions});
        self.command("Browser.grantPermissions", params).await;
    }

    /// Looks into the first frame of the page: a script is run in it.
    pub(crate) async fn in_frame(&self, script: &str) -> Value {
        self.client.enter_frame(0).await.unwrap();
        let told = self.run(script).await;
        self.client.enter_parent_frame().await.unwrap();
        told
    }

    /// What the browser has to complain of: errors of scripts, of the content security policy, of what was not found. What
    /// it says of an answer with this status is left out; 0 is none at all.
    pub(crate) async fn complaints(&self, expected: &[u16]) -> Vec<String> {
        let session = self.client.session_id().await.unwrap().unwrap();
        let path = format!("/session/{session}/se/log");
        let told = http(self.port, "POST", &path, r#"{"type":"browser"}"#);
        let told: Value = serde_json::from_str(&told).unwrap();
        let entries = told["value"].as_array().cloned().unwrap_or_default();
        let bad = entries.into_iter().filter(|entry| entry["level"] == "SEVERE");
        let texts = bad.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned());
        let is_expected = |text: &String| {
            expected.iter().any(|status| match status {
                0 => GONE.iter().any(|gone| text.contains(gone)),
                status => text.contains(&format!("status of {status}")),
            })
        };
        texts.filter(|text| !is_expected(text)).collect()
    }

    /// Keeps what it shows, where somebody wants to look at it: in the folder of CLAWRDEN_SHOTS.
    pub(crate) async fn shot(&self, name: &str) {
        if let Some(folder) = std::env::var_os("CLAWRDEN_SHOTS") {
            let picture = self.client.screenshot().await.unwrap();
            std::fs::write(std::path::Path::new(&folder).join(format!("{name}.png")), picture)
                .unwrap();
        }
    }

    /// Closes it.
    pub(crate) async fn close(self) {
        self.client.close().await.unwrap();
    }
}

/// One request to the driver.
fn http(port: u16, method: &str, path: &str, body: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return String::new() };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
    let mut said = String::new();
    let _ = stream.read_to_string(&mut said);
    said.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}
