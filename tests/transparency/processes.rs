//! Exit codes, signals, limits, priority, and what outlives the tool.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::until;
use crate::{Stage, Way, same};

#[test]
fn every_exit_code() {
    for stage in Stage::all() {
        for code in 0..=255 {
            let status = stage.tool("sh").args(["-c", &format!("exit {code}")]).status().unwrap();
            assert_eq!(status.code(), Some(code), "{:?}", stage.way);
        }
    }
}

#[test]
fn death_by_signal_is_death_by_that_signal() {
    for stage in Stage::all() {
        for signal in ["TERM", "KILL", "SEGV", "INT", "HUP", "QUIT", "PIPE", "USR1"] {
            let script = format!("ulimit -c 0; kill -{signal} $$; sleep 5");
            let status = stage.tool("sh").args(["-c", &script]).status().unwrap();
            let number = std::process::Command::new("bash")
                .args(["-c", &format!("kill -l {signal}")])
                .output()
                .unwrap();
            let number: i32 = String::from_utf8(number.stdout).unwrap().trim().parse().unwrap();
            assert_eq!(status.signal(), Some(number), "{:?} {signal}", stage.way);
        }
    }
}

#[test]
fn a_signal_to_the_caller_reaches_the_tools_own_trap() {
    for stage in Stage::all() {
        for signal in [2, 15, 1, 10] {
            let script = format!(
                "trap 'echo trapped; exit 9' {signal}; echo ready; while :; do sleep 0.05; done"
            );
            // Waited for by its number, as its status must not be looked at by anybody else.
            #[allow(clippy::zombie_processes)]
            let mut child =
                stage.tool("sh").args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
            let mut reader = std::io::BufReader::new(child.stdout.take().unwrap());
            let mut line = String::new();
            std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
            assert_eq!(line, "ready\n");
            let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
            let signal_named = rustix::process::Signal::from_named_raw(signal).unwrap();
            rustix::process::kill_process(pid, signal_named).unwrap();
            line.clear();
            std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
            assert_eq!(line, "trapped\n", "{:?} signal {signal}", stage.way);
            let status = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
            assert_eq!(status.unwrap().unwrap().1.exit_status(), Some(9), "{:?}", stage.way);
        }
    }
}

#[test]
fn umask_limits_and_priority() {
    let output = same("limits", |stage| {
        let show = "umask; ulimit -n; ulimit -Hn; ulimit -s; ulimit -c; nice";
        let script = format!("umask 027; ulimit -n 200; ulimit -c 0; nice -n 5 {{sh}} -c '{show}'");
        stage.script(&script, &["sh"]).output().unwrap()
    });
    assert!(output.stdout.starts_with(b"0027\n200\n200\n"), "{output:?}");
}

#[test]
fn signals_that_the_caller_ignores_stay_ignored() {
    let output = same("ignored signals", |stage| {
        let script = "trap '' HUP PIPE; {sh} -c 'grep SigIgn /proc/$$/status'";
        stage.script(script, &["sh"]).output().unwrap()
    });
    assert!(!output.stdout.is_empty());
}

#[test]
fn user_and_groups_are_the_callers() {
    same("id", |stage| stage.tool("id").output().unwrap());
}

#[test]
fn what_runs_in_the_background_does_not_hold_the_tool_up() {
    for stage in Stage::all() {
        let start = Instant::now();
        let child = stage
            .tool("sh")
            .args(["-c", "sleep 3 >/dev/null 2>&1 & echo done"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.stdout, b"done\n");
        assert!(
            start.elapsed() < Duration::from_millis(2500),
            "{:?} took {:?}",
            stage.way,
            start.elapsed()
        );
    }
}

#[test]
fn what_keeps_the_tools_output_open_does_not_hold_it_up_either() {
    for stage in Stage::all() {
        let path = stage.house.path("said");
        let file = std::fs::File::create(&path).unwrap();
        let mut tool = stage.tool("sh");
        tool.args(["-c", "sleep 3 & echo done"]).stdout(file).stderr(Stdio::null());
        let start = Instant::now();
        let status = tool.status().unwrap();
        let took = start.elapsed();
        assert!(status.success(), "{:?}: {status}", stage.way);
        assert!(took < Duration::from_millis(2500), "{:?} took {took:?}", stage.way);
        assert_eq!(std::fs::read(&path).unwrap(), b"done\n", "{:?}", stage.way);
    }
}

#[test]
fn a_tool_that_daemonises_leaves_its_daemon_running() {
    for stage in Stage::all() {
        let (started, ended) = (stage.house.path("started"), stage.house.path("ended"));
        let script = format!(
            "(setsid sh -c 'touch {}; sleep 1; touch {}' >/dev/null 2>&1 &) ; exit 4",
            started.display(),
            ended.display()
        );
        let status = stage.tool("sh").args(["-c", &script]).status().unwrap();
        assert_eq!(status.code(), Some(4), "{:?}", stage.way);
        until("the daemon to do its work", || (started.exists() && ended.exists()).then_some(()));
    }
}

#[test]
fn a_script_and_its_name() {
    same("script", |stage| {
        let dir = stage.house.path("tools");
        std::fs::create_dir_all(&dir).unwrap();
        let tool = dir.join("mytool");
        std::fs::write(&tool, "#!/bin/sh\necho \"${0##*/}\" \"$@\"\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&tool, mode).unwrap();
        let made = crate::support::clawrden()
            .arg("shims")
            .arg(stage.house.bin())
            .args(["mytool", "sh"])
            .output()
            .unwrap();
        assert!(made.status.success());
        let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap());
        match stage.way {
            // A local run finds its tools where the prisoner was started with them, which this one is not.
            Way::Local => std::process::Command::new(&tool).args(["a", "b c"]).output().unwrap(),
            Way::Native => std::process::Command::new("mytool")
                .env("PATH", path)
                .args(["a", "b c"])
                .output()
                .unwrap(),
            Way::Mirror => {
                stage.tool("mytool").env("PATH", path).args(["a", "b c"]).output().unwrap()
            }
        }
    });
}

#[test]
fn the_tool_has_the_callers_pid_and_session_when_it_is_handed_off() {
    let stage = Stage::new(Way::Mirror);
    let child = stage.tool("sh").args(["-c", "echo $$"]).stdout(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), pid.to_string());
}

#[test]
fn a_signal_from_a_process_reaches_the_tool_and_not_its_children() {
    for stage in Stage::all() {
        // Not INT, which a shell lets its background jobs ignore.
        for signal in ["TERM", "HUP", "USR1"] {
            // The child has its chance to be reached until the tool has been.
            let script = format!(
                "rm -f go; trap 'echo trapped; touch go' {signal}; \
                 bash -c 'trap \"echo child reached\" {signal}; echo ready; \
                 until [ -e go ]; do sleep 0.02; done' & until wait $!; do :; done; exit 9"
            );
            let mut child =
                stage.tool("bash").args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
            let mut reader = std::io::BufReader::new(child.stdout.take().unwrap());
            let mut line = String::new();
            std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
            assert_eq!(line, "ready\n");
            let done = std::process::Command::new("kill")
                .args([&format!("-{signal}"), &child.id().to_string()])
                .status()
                .unwrap();
            assert!(done.success());
            let mut rest = String::new();
            std::io::Read::read_to_string(&mut reader, &mut rest).unwrap();
            assert_eq!(rest, "trapped\n", "{:?} {signal}", stage.way);
            assert_eq!(child.wait().unwrap().code(), Some(9), "{:?} {signal}", stage.way);
        }
    }
}

#[test]
fn a_signal_to_the_callers_group_leaves_nothing_of_an_untrapped_tool() {
    for stage in Stage::all() {
        let mut command = stage.tool("sh");
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command
            .args(["-c", "sleep 1000 & echo $!; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut reader = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
        let group = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        rustix::process::kill_process_group(group, rustix::process::Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(15), "{:?}", stage.way);
        // Empty for one that has ended and was not waited for.
        let words = format!("/proc/{}/cmdline", line.trim());
        let left = || std::fs::read(&words).is_ok_and(|words| !words.is_empty());
        until("its child to end", || (!left()).then_some(()));
    }
}

#[test]
fn the_tool_keeps_its_cgroup_when_it_is_handed_off() {
    let [native, mirror] = [Way::Native, Way::Mirror].map(|way| {
        let stage = Stage::new(way);
        let output = stage.tool("cat").arg("/proc/self/cgroup").output().unwrap();
        assert!(output.status.success(), "{way:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    });
    assert!(!native.is_empty());
    assert_eq!(mirror, native);
}
