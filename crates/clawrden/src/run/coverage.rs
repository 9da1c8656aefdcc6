//! Proof that the tools are governed: every way in which agents start shells is tried, and every tool looked up in it.
//! It reports what it saw; a way that does not answer counts as not governed.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::run::environment::Environment;
use crate::run::probe::Probe;
use crate::sys;

/// How long one way may take: a login shell with a slow profile is worth waiting for, one that hangs is not.
const BOUND: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read; what a profile prints besides is part of it.
const MAX_ANSWER: u64 = 1024 * 1024;
/// Stands before each of our lines, so that a profile's own output is told apart.
const MARK: &str = "\u{1}clawrden\u{2}";
/// Tools that shells have built in. A shell that is asked for one runs no program at all.
const BUILT_IN: [&str; 9] =
    ["[", "echo", "false", "kill", "printf", "pwd", "test", "true", "which"];

const SCRIPT: &str = "for t in \"$@\"; do \
    printf '\\001clawrden\\002%s\\t%s\\n' \"$t\" \"$(command -v \"$t\")\"; done; \
    printf '\\001clawrden\\002end'";

/// One way to start a shell.
#[derive(Debug, Clone)]
struct Way {
    name: &'static str,
    shell: PathBuf,
    options: &'static str,
    environment: Environment,
    /// What would help where it does not hold.
    remedy: &'static str,
}

/// What one way does not govern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The way, as agents would type it.
    pub(crate) way: &'static str,
    /// The tools; empty when the way gave no answer at all.
    pub(crate) tools: Vec<String>,
    /// What would help.
    pub(crate) remedy: &'static str,
}

/// What was found out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// Tools that were looked up.
    pub(crate) tools: usize,
    /// Ways that were tried.
    pub(crate) ways: usize,
    /// Where it does not hold.
    pub(crate) gaps: Vec<Gap>,
}

const PLAIN: &str = "its startup file sets PATH; the shims have to come first there";
const LOGIN: &str =
    "add to the end of ~/.profile: [ -z \"$CLAWRDEN_BIN\" ] || PATH=$CLAWRDEN_BIN:$PATH";
const INTERACTIVE: &str =
    "add to the end of ~/.bashrc: [ -z \"$CLAWRDEN_BIN\" ] || PATH=$CLAWRDEN_BIN:$PATH";
const EMPTY: &str = "nothing reaches a shell without environment but /etc/profile, which only a run as root can cover";
const VENV_SH: &str =
    "call what the environment itself holds through bash, or activate it before `clawrden run`";

/// Looks every tool up in every way, all ways at once.
pub(crate) fn prove(probe: &Probe, names: &[String]) -> Coverage {
    let ways = ways(probe);
    let (sender, answers) = mpsc::channel();
    for (at, way) in ways.iter().cloned().enumerate() {
        let (sender, names) = (sender.clone(), names.to_vec());
        // A receiver that is gone has seen enough.
        std::thread::spawn(move || drop(sender.send((at, ask(&way, &names)))));
    }
    drop(sender);
    let mut found: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    while let Ok((at, answer)) = answers.recv() {
        if let Some(answer) = answer {
            found.insert(at, ungoverned(&answer, &probe.bin, names));
        }
    }
    let gaps = ways.iter().enumerate().filter_map(|(at, way)| {
        let tools = match found.remove(&at) {
            Some(tools) if tools.is_empty() => return None,
            Some(tools) => tools,
            None => Vec::new(),
        };
        Some(Gap { way: way.name, tools, remedy: way.remedy })
    });
    Coverage { tools: names.len(), ways: ways.len(), gaps: gaps.collect() }
}

fn ways(probe: &Probe) -> Vec<Way> {
    let plain = &probe.environment;
    let empty = Environment::new([]);
    let path = plain.get("PATH").unwrap_or_default();
    let mut ways = Vec::new();
    let mut add = |name, shell: &str, options, environment: &Environment, remedy| {
        let found = std::env::split_paths(path).map(|dir| dir.join(shell));
        if let Some(shell) = found.into_iter().find(|file| sys::is_executable(file)) {
            ways.push(Way { name, shell, options, environment: environment.clone(), remedy });
        }
    };
    add("bash -c", "bash", "-c", plain, PLAIN);
    add("bash -lc", "bash", "-lc", plain, LOGIN);
    add("bash -ic", "bash", "-ic", plain, INTERACTIVE);
    add("sh -c", "sh", "-c", plain, PLAIN);
    add("sh -lc", "sh", "-lc", plain, LOGIN);
    add("zsh -lc", "zsh", "-lc", plain, PLAIN);
    add("env -i bash -lc", "bash", "-lc", &empty, EMPTY);
    if let Some(activated) = &probe.activated {
        add("bash -c in an activated venv", "bash", "-c", activated, PLAIN);
        add("sh -c in an activated venv", "sh", "-c", activated, VENV_SH);
    }
    ways
}

/// What the shell says, or `None` when it does not within the bound.
fn ask(way: &Way, names: &[String]) -> Option<String> {
    let mut command = Command::new(&way.shell);
    command.args([way.options, SCRIPT, "clawrden"]).args(names);
    command.env_clear().envs(way.environment.iter());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    sys::in_new_session(&mut command);
    let mut child = command.spawn().ok()?;
    let pid = Pid::from_child(&child);
    let out = child.stdout.take()?;
    let (sender, answer) = mpsc::channel();
    std::thread::spawn(move || drop(sender.send(until_end(out))));
    let answer = answer.recv_timeout(BOUND).ok().flatten();
    // What a profile left running in the background goes as well. That the group is gone already is the usual case.
    let _ = kill_process_group(pid, Signal::KILL);
    child.wait().ok()?;
    answer
}

/// Reads up to the mark of the end. Not up to the end of the stream: a daemon that a profile started may hold it open.
fn until_end(from: impl Read) -> Option<String> {
    let end = format!("{MARK}end");
    let mut from = from.take(MAX_ANSWER);
    let mut text = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        let n = from.read(&mut chunk).ok().filter(|&n| n > 0)?;
        text.extend_from_slice(&chunk[..n]);
        if text.ends_with(end.as_bytes()) {
            return Some(String::from_utf8_lossy(&text).into_owned());
        }
    }
}

/// The tools that the answer does not find among the shims.
fn ungoverned(answer: &str, bin: &Path, names: &[String]) -> Vec<String> {
    let found: BTreeMap<&str, &str> = answer
        .split(MARK)
        .skip(1)
        .filter_map(|line| line.lines().next()?.split_once('\t'))
        .collect();
    let governed = |name: &&String| {
        found.get(name.as_str()).is_some_and(|&at| {
            // An alias of the tool's own name (`rm='rm -i'`) still ends at the shim.
            Path::new(at) == bin.join(name) || is_alias_of_itself(at, name) || is_built_in(at, name)
        })
    };
    names.iter().filter(|name| !governed(name)).cloned().collect()
}

/// Nothing to be governed: no program is started.
fn is_built_in(text: &str, name: &str) -> bool {
    text == name && BUILT_IN.contains(&name)
}

fn is_alias_of_itself(text: &str, name: &str) -> bool {
    let value = text.strip_prefix("alias ").unwrap_or(text).strip_prefix(name);
    let value = value.and_then(|v| v.strip_prefix('=')).map(|v| v.trim_matches('\''));
    value.and_then(|v| v.split(' ').next()) == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_a_tool_that_is_found_among_the_shims_is_governed() {
        let answer = "welcome!\n\u{1}clawrden\u{2}git\t/b/git\n\u{1}clawrden\u{2}npm\t/usr/bin/npm\n\
                      \u{1}clawrden\u{2}kill\tkill\n\u{1}clawrden\u{2}rm\talias rm='rm -i'\n\
                      \u{1}clawrden\u{2}ls\tls\n\u{1}clawrden\u{2}mv\talias mv='/bin/mv -i'\n";
        let tools = names(&["git", "npm", "kill", "rm", "mv", "absent", "ls"]);
        let expected = names(&["npm", "mv", "absent", "ls"]);
        assert_eq!(ungoverned(answer, Path::new("/b"), &tools), expected);
    }

    #[test]
    fn an_answer_that_was_cut_off_governs_nothing() {
        let tools = names(&["git"]);
        assert_eq!(ungoverned("\u{1}clawrden\u{2}git", Path::new("/b"), &tools), tools);
        assert_eq!(ungoverned("", Path::new("/b"), &tools), tools);
    }
}
