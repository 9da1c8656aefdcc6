//! pexpect: a Python library that drives programs on terminals of their own. Its tests start cat, bash, sh, ls, sleep
//! and Pythons, type at them, resize, interrupt, stop and kill them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{Stage, cache, house, report, requests};

/// The release whose tests are run.
const RELEASE: &str = "pexpect==4.9.0";
/// What runs them.
const NEEDS: [&str; 3] = ["pytest<10", "pytest-xdist<4", "ptyprocess==0.7.0"];
/// Tests that run at once: nearly all of what they do is waiting.
const AT_ONCE: &str = "-n6";
/// These start nothing, take half a minute, and all want the same port.
const SOCKETS: &str = "--ignore-glob=tests/test_socket*";
/// How often a test that failed is tried again alone, before it counts: many have deadlines of a second or two.
const AGAIN: usize = 3;

/// Names the Python that tests start other Pythons by, so that these go the same way as everything else.
const CONFTEST: &str = "import os, sys\nsys.executable = os.environ['SUITE_PYTHON']\n";

/// Bash asks the terminal for marks around what is pasted, which the suite does not expect.
const INPUTRC: &str = "set enable-bracketed-paste off\n";

fn source(folder: &Path, pip: &Path) -> PathBuf {
    let kept = || cache::file(folder, "pexpect-", ".tar.gz");
    kept().unwrap_or_else(|| {
        let mut download = Command::new(pip);
        download.args(["download", "--quiet", "--no-deps", "--no-binary", ":all:", RELEASE, "-d"]);
        cache::fetch("the source of pexpect", download.arg(folder));
        kept().unwrap()
    })
}

/// A virtual environment with what runs the tests, made once.
fn environment(folder: &Path) -> PathBuf {
    let venv = folder.join("venv");
    let python = venv.join("bin/python3");
    let works = Command::new(&python).args(["-c", "import pytest, xdist, ptyprocess"]).output();
    if works.is_ok_and(|output| output.status.success()) {
        return venv;
    }
    let mut make = Command::new("python3");
    let made = make.args(["-m", "venv", "--clear"]).arg(&venv).output().unwrap();
    let said = String::from_utf8_lossy(&made.stdout);
    assert!(
        made.status.success(),
        "python3 makes no virtual environment (python3-venv has what it needs): {said}"
    );
    let mut install = Command::new(venv.join("bin/pip"));
    cache::fetch("pytest", install.args(["install", "--quiet"]).args(NEEDS));
    venv
}

/// What became of every test, by its name.
type Verdicts = BTreeMap<String, String>;

fn verdicts(said: &str) -> Verdicts {
    let of = |line: &str| {
        let (verdict, rest) = line.split_once(' ')?;
        let name = rest.split(" - ").next()?.trim();
        let known = ["PASSED", "FAILED", "ERROR", "SKIPPED", "XFAIL", "XPASS"].contains(&verdict);
        known.then(|| (name.to_owned(), verdict.to_owned()))
    };
    said.lines().filter_map(of).collect()
}

/// Runs the suite; what fails is tried again alone.
fn suite(stage: &Stage<'_>, home: &Path) -> (Verdicts, Duration) {
    let (python, inputrc) = (stage.path("python3"), home.join("inputrc"));
    let env = [("HOME", home), ("INPUTRC", &inputrc), ("SUITE_PYTHON", &python)];
    let common = ["-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider"];
    let run = |more: &[&str]| stage.run(&[], "python3", &[&common[..], more].concat(), &env);
    let first = run(&[AT_ONCE, SOCKETS, "tests"]);
    let mut all = verdicts(&first.said);
    assert!(all.len() > 200, "the suite did not run:\n{}", first.said);
    for _ in 0..AGAIN {
        let failed: Vec<String> =
            all.iter().filter(|(_, v)| *v == "FAILED").map(|(n, _)| n.clone()).collect();
        if failed.is_empty() {
            break;
        }
        let names: Vec<&str> = failed.iter().map(String::as_str).collect();
        let again = run(&[&["-p", "no:xdist"][..], &names].concat());
        eprintln!("tried again: {failed:?}:\n{}", again.said);
        all.extend(verdicts(&again.said));
    }
    (all, first.took)
}

#[test]
fn pexpect_passes_its_tests() {
    let folder = cache::folder("pexpect");
    let venv = environment(&folder);
    let archive = source(&folder, &venv.join("bin/pip"));
    let work = tempfile::tempdir().unwrap();
    let (dir, home) = (work.path().join("suite"), work.path().join("home"));
    fs::create_dir(&dir).unwrap();
    fs::create_dir(&home).unwrap();
    fs::write(home.join("inputrc"), INPUTRC).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("xf").arg(&archive).arg("--strip-components=1").current_dir(&dir);
    assert!(tar.status().unwrap().success());
    fs::write(dir.join("conftest.py"), CONFTEST).unwrap();
    let first = vec![venv.join("bin")];
    let stage = |house| Stage {
        house,
        first: first.clone(),
        dir: dir.clone(),
        log: work.path().join("log"),
    };
    let (native, native_took) = suite(&stage(None), &home);
    let house = house(&first);
    let (shimmed, shimmed_took) = suite(&stage(Some(&house)), &home);
    let passed = native.values().filter(|verdict| *verdict == "PASSED").count();
    let differs = |name: &&String| native.get(*name) != shimmed.get(*name);
    let different: Vec<&String> = native.keys().chain(shimmed.keys()).filter(differs).collect();
    assert!(different.is_empty(), "other results with shims: {different:#?}");
    assert!(passed > 200, "only {passed} pass: {native:#?}");

    let tools = requests(&house);
    assert!(tools.values().sum::<usize>() > 100, "{tools:?}");
    for tool in ["cat", "bash", "sleep", "ls", "echo"] {
        assert!(tools.contains_key(tool), "{tool} was never asked for: {tools:?}");
    }
    let failed: Vec<&String> =
        native.iter().filter(|(_, v)| *v != "PASSED").map(|(n, _)| n).collect();
    eprintln!("pexpect: {passed} tests pass, these do not: {failed:?}");
    report("pexpect", &tools, native_took, shimmed_took);
}
