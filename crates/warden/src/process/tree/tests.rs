use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use super::*;

/// Set in a copy of the test program that plays the subreaper; its value is the shell script to run below it.
const SUBREAPER: &str = "CLAWRDEN_TEST_SUBREAPER";

/// Not a test of its own: what [`subreaper`] starts.
#[test]
fn helper_subreaper() {
    let Ok(script) = std::env::var(SUBREAPER) else { return };
    rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1)).unwrap();
    let mut child = Command::new("sh").args(["-c", &script]).spawn().unwrap();
    child.wait().unwrap();
    loop {
        sleep(Duration::from_secs(1));
    }
}

/// A process that is the subreaper of a script which has ended; `lines` lines of output are awaited.
fn subreaper(script: &str, lines: usize) -> (Child, Vec<String>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process::tree::tests::helper_subreaper", "--nocapture", "--quiet"])
        .env(SUBREAPER, script)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let said = output
        .lines()
        .map(Result::unwrap)
        .filter_map(|line| line.split_once("said:").map(|(_, word)| word.to_owned()));
    let said = said.take(lines).collect();
    (child, said)
}

fn pids(said: &[String]) -> Vec<u32> {
    said.iter().map(|word| word.parse().unwrap()).collect()
}

const DAEMONS: &str = "for i in 1 2 3; do (setsid sh -c 'echo said:$$; exec sleep 90' &) ; done";

#[test]
fn daemonised_grandchildren_are_found_below_their_subreaper() {
    let (mut root, said) = subreaper(DAEMONS, 3);
    let identity = Identity::of(root.id()).unwrap();
    let found: Vec<u32> = descendants(identity).unwrap().iter().map(|found| found.pid).collect();
    for pid in pids(&said) {
        assert!(found.contains(&pid), "{pid} in {found:?}");
    }
    let report = end_tree(identity, Scope::Whole, Duration::ZERO);
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(root.wait().unwrap().signal(), Some(9));
    for pid in pids(&said) {
        assert!(proc::stat(pid).is_err() || proc::stat(pid).unwrap().has_ended(), "{pid}");
    }
}

#[test]
fn a_root_that_is_ours_is_spared() {
    let (mut root, said) = subreaper(DAEMONS, 3);
    let identity = Identity::of(root.id()).unwrap();
    let report = end_tree(identity, Scope::BelowRoot, Duration::from_secs(20));
    assert!(report.processes >= 3, "{report:?}");
    assert!(
        pids(&said)
            .iter()
            .all(|&pid| Identity::of(pid).is_err() || proc::stat(pid).unwrap().has_ended())
    );
    assert!(identity.is_alive());
    root.kill().unwrap();
    root.wait().unwrap();
}

#[test]
fn who_ignores_sigterm_is_killed_after_the_grace() {
    let (mut root, said) =
        subreaper("(sh -c 'trap \"\" TERM; echo said:$$; while :; do sleep 1; done' &)", 1);
    let stubborn = Identity::of(pids(&said)[0]).unwrap();
    let begin = Instant::now();
    let report =
        end_tree(Identity::of(root.id()).unwrap(), Scope::BelowRoot, Duration::from_millis(300));
    assert!(begin.elapsed() >= Duration::from_millis(300));
    assert_eq!(report.problems, Vec::<String>::new());
    assert!(!stubborn.is_alive());
    root.kill().unwrap();
    root.wait().unwrap();
}

#[test]
fn a_trap_has_its_grace_and_what_it_starts_is_not_hit() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("cleaned");
    let script = format!(
        "(sh -c 'trap \"sleep 0.2; echo yes >{}; exit\" TERM; echo said:$$; while :; do sleep 0.05; done' &)",
        mark.display()
    );
    let (mut root, _said) = subreaper(&script, 1);
    let report =
        end_tree(Identity::of(root.id()).unwrap(), Scope::BelowRoot, Duration::from_secs(20));
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(fs::read_to_string(mark).unwrap(), "yes\n");
    root.kill().unwrap();
    root.wait().unwrap();
}

#[test]
fn a_tree_that_forks_all_the_time_is_caught_up_with() {
    let script = "f() { (sleep 0.01; f) & }; f; f; f; echo said:$$; exec sleep 90";
    let (mut root, _said) = subreaper(script, 1);
    let identity = Identity::of(root.id()).unwrap();
    let report = end_tree(identity, Scope::Whole, Duration::ZERO);
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(root.wait().unwrap().signal(), Some(9));
}

/// A chain of processes of which each begins the next and ends; it says so once it runs, and ends after ten seconds.
const CHAIN: &str = "exec python3 -c '
import os, time
end = time.monotonic() + 10
print(\"said:1\", flush=True)
while time.monotonic() < end:
    if os.fork():
        os._exit(0)
' &";

fn is_there(chain: &str) -> bool {
    Snapshot::take().unwrap().all.keys().any(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(chain)
    })
}

#[test]
fn who_begins_another_and_ends_at_once_is_ended_and_frozen_all_the_same() {
    // Told apart from that of another test by its words.
    let words = format!("# {}", std::process::id());
    let (mut root, _said) = subreaper(&CHAIN.replace("import", &format!("{words}\nimport")), 1);
    let identity = Identity::of(root.id()).unwrap();
    assert_eq!(freeze_tree(identity, Scope::Whole).problems, Vec::<String>::new());
    let standing = || children(identity).unwrap();
    let before = standing();
    sleep(Duration::from_millis(100));
    assert_eq!(standing(), before, "it stands");
    let _ = thaw_tree(identity, Scope::BelowRoot);
    assert_eq!(end_tree(identity, Scope::Whole, Duration::ZERO).problems, Vec::<String>::new());
    assert_eq!(root.wait().unwrap().signal(), Some(9));
    let gone = Instant::now();
    while is_there(&words) {
        assert!(gone.elapsed() < Duration::from_secs(5), "it goes on");
        sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_frozen_tree_stands_and_goes_on() {
    let (mut root, said) = subreaper(DAEMONS, 3);
    let identity = Identity::of(root.id()).unwrap();
    let report = freeze_tree(identity, Scope::BelowRoot);
    assert_eq!(report.problems, Vec::<String>::new());
    assert!(pids(&said).iter().all(|&pid| proc::stat(pid).unwrap().is_stopped()));
    assert!(!proc::stat(root.id()).unwrap().is_stopped());
    let report = thaw_tree(identity, Scope::BelowRoot);
    assert!(report.processes >= 3);
    sleep(Duration::from_millis(20));
    assert!(pids(&said).iter().all(|&pid| !proc::stat(pid).unwrap().is_stopped()));
    assert!(end_tree(identity, Scope::Whole, Duration::ZERO).problems.is_empty());
    root.wait().unwrap();
}

#[test]
fn a_stopped_tree_takes_its_sigterm() {
    let (mut root, said) = subreaper(DAEMONS, 3);
    let identity = Identity::of(root.id()).unwrap();
    assert!(freeze_tree(identity, Scope::BelowRoot).problems.is_empty());
    let begin = Instant::now();
    let report = end_tree(identity, Scope::BelowRoot, Duration::from_secs(60));
    assert!(report.problems.is_empty() && begin.elapsed() < Duration::from_secs(30));
    assert!(
        pids(&said).iter().all(|&pid| Identity::of(pid).map_or(true, |found| !found.is_alive()))
    );
    root.kill().unwrap();
    root.wait().unwrap();
}

#[test]
fn a_reused_number_is_never_signalled() {
    let mut innocent = Command::new("sleep").arg("90").spawn().unwrap();
    let identity = Identity::of(innocent.id()).unwrap();
    let former = Identity { start_ticks: identity.start_ticks - 1, ..identity };
    assert_eq!(end_tree(former, Scope::Whole, Duration::from_millis(1)), Report::default());
    assert_eq!(freeze_tree(former, Scope::Whole), Report::default());
    assert_eq!(signal_tree(former, Scope::Whole, Signal::KILL), Report::default());
    assert!(identity.is_alive());
    innocent.kill().unwrap();
    innocent.wait().unwrap();
}

#[test]
fn this_process_is_never_part_of_a_tree() {
    let parent = Identity::of(std::os::unix::process::parent_id()).unwrap();
    let found = descendants(parent).unwrap();
    assert!(!found.contains(&Identity::own().unwrap()));
}

#[test]
fn an_unreaped_child_is_not_waited_for() {
    let mut child = Command::new("true").spawn().unwrap();
    let identity = Identity::of(child.id()).unwrap();
    while identity.is_alive() {
        sleep(Duration::from_millis(1));
    }
    let begin = Instant::now();
    assert_eq!(end_tree(identity, Scope::Whole, Duration::from_secs(30)), Report::default());
    assert!(begin.elapsed() < Duration::from_secs(10));
    child.wait().unwrap();
}
