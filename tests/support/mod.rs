//! A warden of its own for each test, real sockets, the real shim.

#![allow(dead_code, unreachable_pub)] // Each suite uses its part of it.

pub mod approvers;
pub mod chats;
pub mod client;
pub mod engine;
pub mod etc;
pub mod hook;
pub mod other;
pub mod pty;
pub mod raw;
pub mod screen;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The binary under test.
pub fn clawrden() -> Command {
    Command::new(env!("CARGO_BIN_EXE_clawrden"))
}

/// A warden that serves one test, with a folder of shims.
pub struct House {
    pub dir: TempDir,
    pub warden: Child,
    extra: Vec<String>,
    /// A command line that the warden is started by: `unshare`, `prlimit` and their like.
    prefix: Vec<String>,
}

/// Tools that every house has a shim for.
const TOOLS: &[&str] = &[
    "sh", "bash", "cat", "echo", "env", "false", "head", "ls", "printf", "pwd", "python3", "sleep",
    "sort", "touch", "true", "tty", "wc", "yes", "dd", "tee", "kill", "nice", "readlink", "rm",
    "id", "git", "setsid", "stty",
];

impl House {
    /// Starts a warden with this policy.
    pub fn new(policy: &str) -> Self {
        Self::with(policy, &[])
    }

    /// Starts a warden with this policy and these further arguments.
    pub fn with(policy: &str, extra: &[&str]) -> Self {
        Self::under(&[], policy, extra)
    }

    /// The same, with the warden started by `prefix`, which must execute it in its own process.
    pub fn under(prefix: &[&str], policy: &str, extra: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
        Self::within(dir, prefix, policy, extra)
    }

    /// The same, in a folder that was prepared for it.
    pub fn within(dir: TempDir, prefix: &[&str], policy: &str, extra: &[&str]) -> Self {
        fs::write(dir.path().join("policy.yaml"), policy).unwrap();
        let bin = dir.path().join("bin");
        let made = clawrden().arg("shims").arg(&bin).args(TOOLS).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let (prefix, extra): (Vec<String>, Vec<String>) = (owned(prefix), owned(extra));
        let warden = start(dir.path(), &prefix, &extra, &[]);
        Self { dir, warden, extra, prefix }
    }

    /// The same, with its ledger elsewhere.
    pub fn audited(dir: TempDir, policy: &str, ledger: &Path) -> Self {
        Self::within(dir, &[], policy, &["--audit", ledger.to_str().unwrap()])
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.path("warden.sock")
    }

    pub fn control(&self) -> PathBuf {
        self.path("control.sock")
    }

    pub fn bin(&self) -> PathBuf {
        self.path("bin")
    }

    /// The tool by way of its shim.
    pub fn shimmed(&self, tool: &str) -> Command {
        let mut command = Command::new(self.bin().join(tool));
        // As a shell does that found it on PATH.
        command.arg0(tool);
        self.governed(&mut command);
        command
    }

    /// Sets the environment of a governed process on `command`.
    pub fn governed<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let path = format!("{}:{}", self.bin().display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).env("CLAWRDEN_SOCKET", self.socket()).current_dir(self.dir.path())
    }

    /// A verb of the CLI, for this warden.
    pub fn cli<S: AsRef<OsStr>>(&self, args: &[S]) -> Output {
        let mut command = clawrden();
        command.arg("--control").arg(self.control()).args(args).output().unwrap()
    }

    /// The same, which must succeed and print JSON.
    pub fn json<S: AsRef<OsStr>>(&self, args: &[S]) -> Value {
        let output = self.cli(args);
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The records of the ledger, in order.
    pub fn ledger(&self) -> Vec<Value> {
        read_ledger(&self.path("ledger.jsonl"))
    }

    /// Those of `event`.
    pub fn events(&self, event: &str) -> Vec<Value> {
        events(&self.path("ledger.jsonl"), event)
    }

    /// Waits until `count` of `event` are there.
    pub fn has(&self, count: usize, event: &str) {
        until(event, || (self.events(event).len() == count).then_some(()));
    }

    /// Waits until the ledger has a record that `wanted` likes, and gives it.
    pub fn record(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(what, || self.ledger().into_iter().find(&wanted))
    }

    /// Waits for the first record of `event`.
    pub fn event(&self, event: &str) -> Value {
        self.record(event, |record| record["event"] == event)
    }

    /// Waits until somebody waits for a person, and gives the entry.
    pub fn pending(&self) -> Value {
        until("a pending request", || {
            self.json(&["queue", "--json"])["entries"].as_array()?.first().cloned()
        })
    }

    /// Kills the warden as a crash would.
    pub fn crash(&mut self) {
        self.warden.kill().unwrap();
        self.warden.wait().unwrap();
        self.is_silent();
    }

    /// Waits until nobody listens any more: a child that a dead warden was about to start may do so for a moment.
    pub fn is_silent(&self) {
        until("the sockets to be dead", || {
            let dead = |socket: PathBuf| UnixStream::connect(socket).is_err();
            (dead(self.socket()) && dead(self.control())).then_some(())
        });
    }

    /// Adds arguments for the next warden.
    pub fn add(&mut self, extra: &[&str]) {
        self.extra.extend(extra.iter().map(|&word| word.to_owned()));
    }

    /// Starts another warden in the same place.
    pub fn restart(&mut self) {
        self.restart_with(&[]);
    }

    /// The same, with these variables in its environment.
    pub fn restart_with(&mut self, env: &[(&str, &str)]) {
        self.warden = start(self.dir.path(), &self.prefix, &self.extra, env);
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.warden.kill();
        let _ = self.warden.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.path("warden.log")).unwrap_or_default();
            eprintln!("--- the warden's log ---\n{log}");
            let ledger = fs::read_to_string(self.path("ledger.jsonl")).unwrap_or_default();
            let end = ledger.lines().rev().take(40).collect::<Vec<_>>();
            eprintln!("--- the end of its ledger ---");
            end.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

fn start(dir: &Path, prefix: &[String], extra: &[String], env: &[(&str, &str)]) -> Child {
    let log = fs::File::options().create(true).append(true).open(dir.join("warden.log")).unwrap();
    let mut command = match prefix {
        [] => clawrden(),
        [program, words @ ..] => {
            let mut command = Command::new(program);
            command.args(words).arg(clawrden().get_program());
            command
        }
    };
    command
        .arg("warden")
        .arg("--socket")
        .arg(dir.join("warden.sock"))
        .arg("--control")
        .arg(dir.join("control.sock"))
        .arg("--policy")
        .arg(dir.join("policy.yaml"))
        .args(extra)
        .env("CLAWRDEN_LOG", "debug")
        // The settings of whoever runs the tests are not ours.
        .env("XDG_CONFIG_HOME", dir.join("config"))
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    if !extra.iter().any(|word| word == "--audit") {
        command.arg("--audit").arg(dir.join("ledger.jsonl"));
    }
    let mut warden = command.spawn().unwrap();
    until("the warden to serve", || {
        if let Some(status) = warden.try_wait().unwrap() {
            let log = fs::read_to_string(dir.join("warden.log")).unwrap_or_default();
            panic!("the warden ended with {status}:\n{log}");
        }
        // Who listens is told by the kernel: the last warden's socket may linger.
        let own = rustix::process::Pid::from_child(&warden);
        let is_own = |stream| {
            rustix::net::sockopt::socket_peercred(&stream).is_ok_and(|peer| peer.pid == own)
        };
        let up = |name: &str| UnixStream::connect(dir.join(name)).is_ok_and(is_own);
        (up("warden.sock") && up("control.sock")).then_some(())
    });
    warden
}

/// Every whole line of a ledger.
pub fn read_ledger(path: &Path) -> Vec<Value> {
    let Ok(file) = fs::File::open(path) else { return Vec::new() };
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    lines.filter_map(|line| serde_json::from_str(&line).ok()).collect()
}

/// Its records of `event`, in order.
pub fn events(ledger: &Path, event: &str) -> Vec<Value> {
    read_ledger(ledger).into_iter().filter(|record| record["event"] == event).collect()
}

/// [`PATIENCE`], or as many seconds as `CLAWRDEN_PATIENCE` says, where the machine has much else to do.
fn patience() -> Duration {
    let said = std::env::var("CLAWRDEN_PATIENCE").ok();
    said.map_or(PATIENCE, |seconds| Duration::from_secs(seconds.parse().unwrap()))
}

/// Polls until `ready` gives something.
pub fn until<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let (start, patience) = (Instant::now(), patience());
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(start.elapsed() < patience, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Says what is not tried here, and why; where nothing may be left out, that is a failure.
pub fn left_out(what: &str) {
    let all = std::env::var_os("CLAWRDEN_TEST_ALL").is_some_and(|all| all == "1");
    assert!(!all, "LEFT OUT, though CLAWRDEN_TEST_ALL=1: {what}");
    eprintln!("LEFT OUT: {what}");
}

/// What a process printed, as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether a test of this program passes where no tool is installed, and what it says. `all` is CLAWRDEN_TEST_ALL.
pub fn tried_without_tools(test: &str, all: &str) -> (bool, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env_remove("NEXTEST_EXECUTION_MODE");
    let ran = command.env("PATH", "/nowhere").env("CLAWRDEN_TEST_ALL", all).output().unwrap();
    let said = text(&ran.stdout) + &text(&ran.stderr);
    assert!(said.contains("running 1 test"), "there is no {test}: {said}");
    (ran.status.success(), said)
}
