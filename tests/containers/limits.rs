//! `limits` of a rule for a prisoner in a container: below the container's own, and for what the engine starts as well.

use crate::prison::Prison;
use crate::support::other::can;
use crate::support::{text, until};

const POLICY: &str = "default_action: allow
on_unparsed: allow
rules:
  - {command: sh, action: allow, limits: {memory: 64m, pids: 6}}
  - {command: env, action: allow, supervised: true, limits: {memory: 64m, pids: 6, cpus: 0.5}}
  - {command: 'yes', action: allow, limits: {output: 64k}}
";

/// Whether a container's cgroup passes on what limits: in version 2 one with processes in it does not.
fn passes_on(prison: &Prison) -> bool {
    let started = prison.house.event("warden_started");
    let told = started["methods"]["cgroup_limits"].as_str().unwrap();
    ["memory v1", "cpu v1", "pids v1"].iter().all(|name| told.contains(name))
}

/// What cannot be limited does not run, and is told by what it would have been and what to do.
fn nothing_runs(prison: &Prison) {
    let remedy = "give the rule `executor: ghost` or `executor: local`, or leave that limit out";
    for words in [["sh", "-c", "echo it ran"], ["env", "/bin/echo", "it ran"]] {
        let output = prison.governed(&[], &words).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), &*output.stdout), (Some(126), &b""[..]), "{said}");
        assert!(
            said.contains("limited here by the cgroup controller `memory`: ")
                && said.contains(remedy),
            "{said}"
        );
    }
    let has_started = |record: &serde_json::Value| record["event"] == "started";
    assert!(!prison.house.ledger().iter().any(has_started));
}

#[test]
fn what_a_containers_cgroup_passes_nothing_on_to_is_refused_with_the_controller_and_what_to_do() {
    let mut prefix = vec!["unshare", "--mount"];
    if !can(&prefix) {
        return;
    }
    // A warden that sees no hierarchy of version 1, as on a machine with version 2 alone.
    let script = "for name in memory cpu pids; do umount /sys/fs/cgroup/$name; done 2>/dev/null; exec \"$0\" \"$@\"";
    prefix.extend(["sh", "-c", script]);
    let prison = Prison::under(&prefix, "debian12", POLICY, |spec| spec);
    assert!(!passes_on(&prison));
    nothing_runs(&prison);
}

#[test]
fn a_handed_off_and_a_supervised_tool_are_limited_below_their_container() {
    let prison = Prison::with_engine("debian12", POLICY, |spec| spec);
    if !passes_on(&prison) {
        return nothing_runs(&prison);
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
