//! Exit codes, signals, limits, priority, and what outlives the tool.

use super::{Stage, WAYS, Way, same};
use crate::prison::IMAGES;
use crate::support::text;

#[test]
fn every_exit_code() {
    same(&[(
        "n=0; while [ $n -lt 256 ]; do sh -c \"exit $n\"; echo -n \"$? \"; n=$((n + 1)); done",
        None,
    )]);
}

#[test]
fn the_ledger_has_the_exit_code_and_the_signal_from_the_kernel() {
    for image in IMAGES {
        let stage = Stage::new(image);
        stage.run(Way::Shimmed, &[], "sh -c 'exit 7'; sh -c 'kill -KILL $$'; true", b"");
        let finished = stage.prison.records("finished", 2);
        assert_eq!(finished[0]["exit_code"], 7, "{image}: {finished:?}");
        assert_eq!(finished[1]["signal"], 9, "{image}: {finished:?}");
        assert!(finished.iter().all(|record| record["exit_source"] == "kernel"), "{finished:?}");
    }
}

#[test]
fn death_by_signal_is_death_by_that_signal() {
    same(&[(
        "ulimit -c 0; for s in TERM KILL SEGV INT HUP QUIT PIPE USR1; do sh -c \"kill -$s \\$\\$; sleep 5\" 2>/dev/null; echo $s $?; done 2>/dev/null",
        None,
    )]);
}

#[test]
fn a_signal_reaches_the_tools_own_trap_and_ends_one_without() {
    same(&[
        (
            "for s in HUP TERM USR1; do sh -c \"trap 'echo trapped; exit 9' $s; : >up; while :; do sleep 0.05; done\" & p=$!; until [ -e up ]; do sleep 0.05; done; rm up; kill -$s $p; wait $p; echo $s $?; done",
            Some("trapped\nHUP 9\ntrapped\nTERM 9\ntrapped\nUSR1 9\n"),
        ),
        (
            "sleep 1000 & p=$!; sleep 0.5; kill -TERM $p; wait $p 2>/dev/null; echo $?",
            Some("143\n"),
        ),
        (
            "sleep 1000 & p=$!; sleep 0.5; kill -STOP $p; sleep 0.2; grep ^State /proc/$p/status; kill -KILL $p; wait $p 2>/dev/null; echo $?",
            None,
        ),
    ]);
}

#[test]
fn limits_mask_priority_and_ignored_signals() {
    same(&[
        (
            "umask 027; ulimit -n 200; ulimit -c 0; nice -n 5 sh -c 'umask; ulimit -n; ulimit -c; nice; ulimit -s'",
            None,
        ),
        // By the shell itself: dash blocks all signals for a moment while it starts a child.
        (
            "trap '' HUP PIPE; sh -c 'while read -r name mask; do case $name in SigIgn: | SigBlk:) echo $name $mask ;; esac; done </proc/self/status'",
            None,
        ),
        ("echo 500 >/proc/self/oom_score_adj; cat /proc/self/oom_score_adj", Some("500\n")),
        ("sh -c 'cat /proc/self/cgroup' | sort", None),
    ]);
}

#[test]
fn the_tool_has_the_callers_pid_and_parent() {
    same(&[
        ("sh -c 'echo $$' >out & p=$!; wait; [ $(cat out) = $p ] && echo same", Some("same\n")),
        ("sh -c 'echo $PPID' >out; [ $(cat out) = $$ ] && echo same", Some("same\n")),
    ]);
}

#[test]
fn what_runs_on_is_not_waited_for_and_is_left_running() {
    same(&[
        (
            "rm -f ended; sh -c '(sleep 1; : >ended) >/dev/null 2>&1 </dev/null & echo done'; ls ended 2>/dev/null; sleep 1.5; ls ended",
            Some("done\nended\n"),
        ),
        (
            "rm -f ended; sh -c \"setsid sh -c 'sleep 0.5; : >ended' >/dev/null 2>&1 </dev/null & exit 4\"; echo $?; sleep 1; ls ended",
            Some("4\nended\n"),
        ),
    ]);
}

#[test]
fn two_hundred_at_once_and_none_fails() {
    for image in IMAGES {
        let stage = Stage::new(image);
        let script = "n=0; while [ $n -lt 200 ]; do (env printf '%s\\n' $n || echo failed) & n=$((n + 1)); done; wait";
        for way in WAYS {
            let output = stage.run(way, &[], script, b"");
            let shown = text(&output.stdout);
            let mut numbers: Vec<u32> = shown.lines().map(|line| line.parse().unwrap()).collect();
            numbers.sort_unstable();
            assert_eq!(
                numbers,
                (0..200).collect::<Vec<u32>>(),
                "{image} {way:?}: {}",
                text(&output.stderr)
            );
        }
    }
}
