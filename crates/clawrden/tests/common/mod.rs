//! A control plane that answers what a test wants, over a real Unix socket; and `clawrden` in an environment of its own.
// Each test program uses a part of it, and to clippy a helper is no test.
#![allow(dead_code, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin;
use clawrden_api::{
    Explained, PolicyChecked, PolicyInfo, PolicySuggestions, RuleAnswer, Simulated, SuggestedRule,
};

/// A request as it came: method and path, and body.
pub(crate) type Seen = Arc<Mutex<Vec<(String, String)>>>;

/// A rule that is suggested, and what it is called: the beginning of its SHA-256.
pub(crate) const SUGGESTED: &str = "- {command: ls, action: allow}";
pub(crate) const SUGGESTED_ID: &str = "22fb0cb7";

/// A home of its own for one test, with places for everything.
pub(crate) struct Sandbox {
    dir: tempfile::TempDir,
    /// What the control plane was asked.
    pub(crate) seen: Seen,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), seen: Seen::default() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn control(&self) -> PathBuf {
        self.path("control.sock")
    }

    /// Answers every `METHOD /path` as given: status and JSON body. Anything else is 404.
    pub(crate) fn answer(&self, answers: &[(&str, u16, String)]) {
        let listener = UnixListener::bind(self.control()).unwrap();
        let (answers, seen) = (owned(answers), Arc::clone(&self.seen));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                serve(&stream, &stream, &answers, &seen);
            }
        });
    }

    /// The same over TCP, for who comes from elsewhere.
    pub(crate) fn answer_elsewhere(&self, answers: &[(&str, u16, String)]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (answers, seen) = (owned(answers), Arc::clone(&self.seen));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                serve(&stream, &stream, &answers, &seen);
            }
        });
        address
    }

    /// A file with a token, for its owner alone.
    pub(crate) fn token(&self) -> PathBuf {
        let token = self.path("token");
        std::fs::write(&token, "clawrden_0_0").unwrap();
        std::fs::set_permissions(&token, PermissionsExt::from_mode(0o600)).unwrap();
        token
    }

    /// `clawrden --host …` for a warden elsewhere.
    pub(crate) fn elsewhere(&self, url: &str) -> Command {
        let mut command = Command::new(cargo_bin("clawrden"));
        self.environment(&mut command);
        command.args(["--host", url, "--token-file"]).arg(self.token());
        command
    }

    /// `clawrden --control …` with an environment that has nothing of this machine's user.
    pub(crate) fn clawrden(&self) -> Command {
        let mut command = Command::new(cargo_bin("clawrden"));
        self.environment(&mut command);
        command.arg("--control").arg(self.control());
        command
    }

    pub(crate) fn environment(&self, command: &mut Command) {
        command.env_clear().env("HOME", self.dir.path()).env("PATH", "/usr/bin:/bin");
        command
            .env("XDG_RUNTIME_DIR", self.path("runtime"))
            .env("XDG_STATE_HOME", self.path("state"));
        command.env("XDG_CONFIG_HOME", self.path("config")).env("TZ", "UTC");
        command.timeout(std::time::Duration::from_secs(60));
    }

    /// Runs a line of an example, with `clawrden` being this one: its exit code, whatever the line pipes it into, and what
    /// was said on standard error.
    pub(crate) fn example(&self, line: &str) -> (String, String) {
        let (binary, control) = (cargo_bin("clawrden"), self.control());
        let body = format!(
            "{binary:?} --control {control:?} \"$@\"; code=$?; echo $code >> \"$CODES\"; exit $code"
        );
        self.script(&self.path("bin/clawrden"), &body);
        let mut shell = Command::new("bash");
        self.environment(&mut shell);
        shell.env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()));
        shell.env("CODES", self.path("codes")).current_dir(self.dir.path());
        let output = shell.arg("-c").arg(line).output().unwrap();
        let codes = std::fs::read_to_string(self.path("codes")).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (codes.lines().last().unwrap_or_default().to_owned(), said)
    }

    /// A control plane and policy files, as the examples name them.
    pub(crate) fn for_examples(policy: &str) -> Self {
        let sandbox = Self::new();
        std::fs::create_dir(sandbox.path("rules.d")).unwrap();
        for name in ["policy.yaml", "p.yaml", "candidate.yaml", "rules.d/one.yaml"] {
            std::fs::write(sandbox.path(name), policy).unwrap();
        }
        let tests = "tests: [{command: no-such-tool, expect: deny}]\n";
        std::fs::write(sandbox.path("team-tests.yaml"), tests).unwrap();
        let reloaded = r#"{"source":"p.yaml","fingerprint":"0","changed":false,"problems":[]}"#;
        let status = r#"{"version":"0","pid":1,"uid":1,"started_ms":0,"stopped":null,"jails":[],"pending":0,
            "running":0,"policy":{"source":"policy.yaml","fingerprint":"0","since_ms":0,"watched":true,"error":null},
            "ledger":{"path":"/l","sequence":0,"error":null},"methods":{},"cautions":[]}"#;
        let rule = SuggestedRule { rule: SUGGESTED.to_owned(), ..SuggestedRule::default() };
        let suggested = PolicySuggestions { rules: vec![rule], ..PolicySuggestions::default() };
        let json = |told: serde_json::Result<String>| told.unwrap();
        sandbox.answer(&[
            ("GET /api/policy", 200, json(serde_json::to_string(&PolicyInfo::default()))),
            ("POST /api/policy/check", 200, json(serde_json::to_string(&PolicyChecked::default()))),
            ("POST /api/policy/explain", 200, json(serde_json::to_string(&Explained::default()))),
            ("POST /api/policy/simulate", 200, json(serde_json::to_string(&Simulated::default()))),
            ("GET /api/policy/suggestions", 200, json(serde_json::to_string(&suggested))),
            (
                "POST /api/policy/suggestions",
                200,
                json(serde_json::to_string(&RuleAnswer::default())),
            ),
            ("GET /api/history", 200, r#"{"entries":[],"next":null}"#.into()),
            ("GET /api/status", 200, status.into()),
            ("POST /api/policy/reload", 200, reloaded.into()),
        ]);
        sandbox
    }

    /// Writes an executable shell script.
    pub(crate) fn script(&self, path: &Path, body: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
}

fn owned(answers: &[(&str, u16, String)]) -> Vec<(String, u16, String)> {
    answers.iter().map(|(r, s, b)| (r.to_string(), *s, b.clone())).collect()
}

fn serve(from: impl Read, mut to: impl Write, answers: &[(String, u16, String)], seen: &Seen) {
    let mut reader = BufReader::new(from);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let asked = first.rsplit_once(' ').map_or("", |(asked, _)| asked).to_owned();
    seen.lock().unwrap().push((asked.clone(), String::from_utf8(body).unwrap()));
    let missing = r#"{"code":"not_found","message":"there is no request with that id"}"#.to_owned();
    let route = asked.split('?').next().unwrap_or_default();
    let found = answers.iter().find(|(r, ..)| r == route);
    let (status, text) = found.map_or((404, &missing), |(_, s, b)| (*s, b));
    // A client that gave up does not want it.
    let _ = write!(
        to,
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
}
