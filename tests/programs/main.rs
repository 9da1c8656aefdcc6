//! Two real programs' own test suites, natively and with every tool of theirs shimmed: the results must be the same.
//!
//! What is downloaded stays in a folder under the target directory; without it and without a network these tests fail.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod byacc;
mod cache;
mod pexpect;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{House, PATIENCE, clawrden};

/// Everything that either suite, or what builds it, calls by name. What a machine lacks gets no shim.
const TOOLS: &[&str] = &[
    "[", "ar", "as", "awk", "basename", "bash", "cat", "cc", "chmod", "cmp", "comm", "cp", "cut",
    "date", "diff", "dirname", "echo", "egrep", "env", "expr", "false", "fgrep", "find", "gawk",
    "gcc", "grep", "head", "hostname", "id", "install", "join", "ld", "ln", "ls", "make", "mawk",
    "mkdir", "mktemp", "mv", "nm", "od", "paste", "printf", "pwd", "python", "python3", "ranlib",
    "readlink", "rm", "rmdir", "sed", "seq", "sh", "sleep", "sort", "ssh", "strip", "stty", "tail",
    "tee", "test", "touch", "tr", "true", "tty", "uname", "uniq", "wc", "which", "xargs", "yes",
    "zsh",
];

/// Suites change what they like in their environment: `configure` exports SHELL, pexpect's tests PYTHONPATH.
const POLICY: &str = "
default_action: allow
on_unparsed: allow
rules:
  - {command: ['*', '/**'], action: allow, dangerous_env: allow}
";

/// How long one step may take.
const STEP: Duration = Duration::from_secs(280);

/// Where a program's suite runs: natively, or in a house whose shims stand before everything else.
struct Stage<'a> {
    house: Option<&'a House>,
    /// The folders that come first on PATH, behind the shims.
    first: Vec<PathBuf>,
    dir: PathBuf,
    log: PathBuf,
}

/// How a step ended, and how long it took.
struct Ran {
    code: Option<i32>,
    said: String,
    took: Duration,
}

impl Stage<'_> {
    /// The path by which a tool is named where PATH is not asked.
    fn path(&self, tool: &str) -> PathBuf {
        match self.house {
            Some(house) => house.bin().join(tool),
            None => found(tool, &self.first).unwrap(),
        }
    }

    /// Runs one command in the stage's folder, without a terminal, within the time that a step has.
    fn run(&self, wrap: &[&str], tool: &str, args: &[&str], env: &[(&str, &Path)]) -> Ran {
        let out = fs::File::create(&self.log).unwrap();
        let limit = STEP.as_secs().to_string();
        let mut command = Command::new("timeout");
        command.args(["-k", "5", &limit]).args(wrap).arg(self.path(tool)).args(args);
        let path = std::env::var_os("PATH").unwrap();
        let shims = self.house.map(House::bin);
        let all = shims.into_iter().chain(self.first.iter().cloned());
        let path = std::env::join_paths(all.chain(std::env::split_paths(&path))).unwrap();
        command.env("PATH", path).envs(env.iter().copied()).env("LC_ALL", "C.UTF-8");
        for (name, _) in std::env::vars_os() {
            // What cargo and its jobs left would be read by the suites' own tools.
            let name = name.to_string_lossy();
            if name.starts_with("CARGO")
                || name.starts_with("MAKE")
                || name.starts_with("PYTEST")
                || name == "MFLAGS"
            {
                command.env_remove(&*name);
            }
        }
        if let Some(house) = self.house {
            command.env("CLAWRDEN_SOCKET", house.socket());
        }
        command.current_dir(&self.dir).stdin(Stdio::null());
        command.stdout(out.try_clone().unwrap()).stderr(out);
        let start = Instant::now();
        let status = command.status().unwrap();
        let said = String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned();
        Ran { code: status.code(), said, took: start.elapsed() }
    }
}

/// A house that lets everything run, with a shim for every tool of [`TOOLS`] that is there natively.
fn house(first: &[PathBuf]) -> House {
    let house = House::new(POLICY);
    let tools: Vec<&&str> = TOOLS.iter().filter(|tool| found(tool, first).is_some()).collect();
    let made = clawrden().arg("shims").arg(house.bin()).args(tools).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    house
}

fn found(tool: &str, first: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let all = first.iter().cloned().chain(std::env::split_paths(&path));
    all.map(|dir| dir.join(tool)).find(|file| file.is_file())
}

/// Proves the house's ledger, and gives the requests that it holds, counted for each tool. Each was allowed and has
/// ended, but for those whose caller was killed before it had its answer.
fn requests(house: &House) -> BTreeMap<String, usize> {
    let mut tools = BTreeMap::new();
    let mut open = BTreeMap::new();
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        tools.clear();
        open.clear();
        for record in house.ledger() {
            let event = record["event"].as_str().unwrap();
            let id = record["id"].as_str().unwrap_or_default().to_owned();
            match event {
                "requested" => {
                    let executable = record["executable"].as_str().unwrap_or("?");
                    let name = executable.rsplit('/').next().unwrap().to_owned();
                    *tools.entry(name).or_default() += 1;
                    open.insert(id, record["argv"].to_string());
                }
                "decided" => assert_eq!(record["decision"], "allow", "{record}"),
                "finished" | "caller_left" => drop(open.remove(&id)),
                "failed" => {
                    let why = record["error"].as_str().unwrap();
                    assert!(why.starts_with("the caller ended"), "{record}");
                    open.remove(&id);
                }
                "denied" | "recovered" => panic!("{record}"),
                _ => {}
            }
        }
        if open.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(open.is_empty(), "these have not ended: {open:#?}");
    clawrden_warden::ledger::verify(&house.path("ledger.jsonl")).unwrap();
    tools
}

/// What a run of a suite cost, for whoever reads the test's output.
fn report(name: &str, tools: &BTreeMap<String, usize>, native: Duration, shimmed: Duration) {
    let requests: usize = tools.values().sum();
    let ratio = shimmed.as_secs_f64() / native.as_secs_f64();
    eprintln!(
        "{name}: {requests} requests; native {native:.1?}, shimmed {shimmed:.1?}, {ratio:.2} times"
    );
    eprintln!("{name}: {tools:?}");
}
