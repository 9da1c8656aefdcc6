//! `limits` of a rule for a prisoner in a container: below the container's own, and for what the engine starts as well.

use crate::prison::Prison;
use crate::support::{text, until};

const POLICY: &str = "default_action: allow
on_unparsed: allow
rules:
  - {command: sh, action: allow, limits: {memory: 64m, pids: 6}}
  - {command: env, action: allow, supervised: true, limits: {memory: 64m, pids: 6, cpus: 0.5}}
  - {command: 'yes', action: allow, limits: {output: 64k}}
";

fn can(prison: &Prison) -> bool {
    let started = prison.house.event("warden_started");
    let told = started["methods"]["cgroup_limits"].as_str().unwrap();
    let can = ["memory v1", "cpu v1", "pids v1"].iter().all(|name| told.contains(name));
    if !can {
        eprintln!("not tried: a container's cgroup passes nothing on here ({told})");
    }
    can
}

#[test]
fn a_handed_off_and_a_supervised_tool_are_limited_below_their_container() {
    let prison = Prison::with_engine("debian12", POLICY, |spec| spec);
    if !can(&prison) {
        return;
    }
    for (words, name) in [
        (["sh", "-c", "exec /bin/cat /proc/self/cgroup"], "clawrden.handoff."),
        (["env", "/bin/cat", "/proc/self/cgroup"], "clawrden.run."),
    ] {
        let output = prison.governed(&[], &words).output().unwrap();
        let said = text(&output.stdout);
        assert!(output.status.success(), "{}", text(&output.stderr));
        for controller in ["memory", "pids"] {
            let line = said.lines().find(|line| line.contains(&format!(":{controller}:"))).unwrap();
            let is_below = line.contains(&prison.container.id) && line.contains(name);
            // In a cgroup namespace of its own it sees what is below its container alone.
            assert!(is_below || (line.contains(":/clawrden.") && line.contains(name)), "{line}");
        }
    }
    let hog = "x=$(/usr/bin/head -c 300000000 /dev/zero | /usr/bin/tr '\\0' x); echo ${#x}";
    for words in [vec!["sh", "-c", hog], vec!["env", "/bin/sh", "-c", hog]] {
        let output = prison.governed(&[], &words).output().unwrap();
        assert!(!output.status.success(), "{words:?}: {}", text(&output.stdout));
    }
    let errors = || {
        let all = prison.house.ledger();
        all.iter()
            .filter(|r| r["error"].as_str().is_some_and(|e| e.contains("bytes of memory")))
            .count()
    };
    until("both ends", || (errors() == 2).then_some(()));
}

#[test]
fn what_may_only_write_so_much_is_started_by_the_engine_and_ended() {
    let prison = Prison::with_engine("debian12", POLICY, |spec| spec);
    let output = prison.governed(&[], &["yes"]).output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("wrote more than it may"), "{}", text(&output.stderr));
    assert_eq!(output.stdout, b"y\n".repeat(32_768));
    let end = prison.house.event("finished");
    assert_eq!(end["error"], "it wrote more than the 65536 bytes that it may");
    assert_eq!(prison.house.event("started")["method"], "exec");
}
