//! Sockets, files and descriptors: who may touch them, what lies in their way, and what does not leak.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::other::{Home, is_alive, is_root};
use crate::support::{House, clawrden, text, until};

const POLICY: &str = "
default_action: allow
on_unparsed: allow
rules:
  - {command: [env, python3], action: allow, executor: local}
  - {command: sh, action: allow, executor: local}
  - {command: ls, action: allow}
  - {command: rm, action: deny}
";

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn sockets_ledger_and_state_are_for_those_only_who_need_them() {
    let house = House::new(POLICY);
    assert!(house.cli(&["kill"]).status.success());
    assert_eq!(mode(&house.control()), 0o600);
    assert_eq!(mode(&house.socket()), if is_root() { 0o666 } else { 0o600 });
    for name in ["ledger.jsonl", "ledger.jsonl.lock", "ledger.jsonl.stopped", "warden.sock.lock"] {
        assert_eq!(mode(&house.path(name)), 0o600, "{name}");
    }
    let home = Home::new("jails: {a: {commands: [ls]}}");
    assert_eq!(mode(&home.jail_socket("a")), 0o600);
    for folder in ["jails", "jails/a", "clawrden", "clawrden/jails/a/bin"] {
        assert_eq!(mode(&home.house.path(folder)), 0o700, "{folder}");
    }
}

#[test]
fn a_careless_umask_opens_nothing() {
    let house = House::under(&["sh", "-c", "umask 000; exec \"$0\" \"$@\""], POLICY, &[]);
    assert_eq!(mode(&house.control()), 0o600);
    assert_eq!(mode(&house.path("ledger.jsonl")), 0o600);
}

/// A warden that must not start: `prepare` puts something in its way.
fn refused(what: &str, prepare: impl FnOnce(&Path)) -> String {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("policy.yaml"), POLICY).unwrap();
    prepare(dir.path());
    let mut warden = clawrden();
    warden.arg("warden").arg("--policy").arg(at("policy.yaml"));
    warden.arg("--socket").arg(at("warden.sock")).arg("--control").arg(at("control.sock"));
    warden.arg("--audit").arg(at("ledger.jsonl"));
    let mut child = warden.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = until(what, || child.try_wait().unwrap());
    let said = text(&child.wait_with_output().unwrap().stderr);
    assert_eq!(ended.code(), Some(1), "{what}: {said}");
    assert!(!said.trim().is_empty());
    said
}

#[test]
fn a_ledger_that_is_not_a_file_of_ones_own_is_refused() {
    let target = tempfile::NamedTempFile::new().unwrap();
    let before = fs::read(target.path()).unwrap();
    let said = refused("a link", |dir| symlink(target.path(), dir.join("ledger.jsonl")).unwrap());
    assert!(said.contains("symbolic link"), "{said}");
    let said = refused("a second name", |dir| {
        fs::write(dir.join("other"), "").unwrap();
        fs::hard_link(dir.join("other"), dir.join("ledger.jsonl")).unwrap();
    });
    assert!(said.contains("second name"), "{said}");
    refused("a folder", |dir| fs::create_dir(dir.join("ledger.jsonl")).unwrap());
    refused("a pipe", |dir| {
        assert!(Command::new("mkfifo").arg(dir.join("ledger.jsonl")).status().unwrap().success());
    });
    refused("a linked lock", |dir| {
        symlink(target.path(), dir.join("ledger.jsonl.lock")).unwrap();
    });
    assert_eq!(fs::read(target.path()).unwrap(), before);
}

#[test]
fn what_stands_where_a_socket_should_is_refused_and_left_alone() {
    for name in ["warden.sock", "control.sock"] {
        let said = refused("a file", |dir| fs::write(dir.join(name), "precious").unwrap());
        assert!(said.contains(name), "{said}");
        let target = tempfile::NamedTempFile::new().unwrap();
        fs::write(target.path(), "precious").unwrap();
        refused("a link to a file", |dir| symlink(target.path(), dir.join(name)).unwrap());
        assert_eq!(fs::read_to_string(target.path()).unwrap(), "precious");
        refused("a dangling link", |dir| symlink("/nowhere/x", dir.join(name)).unwrap());
        refused("a folder", |dir| fs::create_dir(dir.join(name)).unwrap());
        let mut holder = None;
        refused("a living socket", |dir| {
            holder = Some(UnixListener::bind(dir.join(name)).unwrap());
        });
        drop(holder);
        refused("a linked lock", |dir| {
            symlink(target.path(), dir.join(format!("{name}.lock"))).unwrap();
        });
        assert_eq!(fs::read_to_string(target.path()).unwrap(), "precious");
    }
}

#[test]
fn a_kill_switch_that_is_not_understood_counts_as_thrown() {
    for content in ["", "{", "{\"stopped\":0}", "garbage"] {
        let mut house = House::new("rules: [{command: ls, action: allow}]");
        house.crash();
        fs::write(house.path("ledger.jsonl.stopped"), content).unwrap();
        house.restart();
        let output = house.shimmed("ls").output().unwrap();
        assert_eq!(output.status.code(), Some(126), "{content:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains("kill switch"), "{}", text(&output.stderr));
    }
}

#[test]
fn state_that_is_a_link_or_open_to_others_is_refused() {
    for prepare in [
        |home: &Home| {
            let state = home.house.path("clawrden");
            fs::rename(&state, home.house.path("elsewhere")).unwrap();
            symlink(home.house.path("elsewhere"), state).unwrap();
        },
        |home: &Home| {
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
            fs::set_permissions(home.house.path("clawrden"), open).unwrap();
        },
        |home: &Home| {
            let run = home.house.path("jails/a");
            fs::remove_dir_all(&run).unwrap();
            symlink("/etc", run).unwrap();
        },
    ] {
        let mut home = Home::new("jails: {a: {commands: [ls]}}");
        home.house.crash();
        prepare(&home);
        let mut warden = home.command(&home.cli);
        warden.arg("warden").arg("--policy").arg(home.house.path("policy.yaml"));
        warden.arg("--socket").arg(home.house.socket()).arg("--control").arg(home.house.control());
        warden.arg("--audit").arg(home.house.path("ledger.jsonl"));
        let mut child = warden.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let ended = until("the warden to refuse", || child.try_wait().unwrap());
        let said = text(&child.wait_with_output().unwrap().stderr);
        assert_eq!(ended.code(), Some(1), "{said}");
        assert!(!Path::new("/etc/warden.sock").exists());
    }
}

#[test]
fn names_of_jails_and_tools_lead_nowhere_else() {
    let home = Home::new(POLICY);
    let outside = home.house.path("outside");
    let run = |args: &[&str]| -> Output {
        home.clawrden().args(args).stdin(Stdio::null()).output().unwrap()
    };
    for name in ["../outside", "/outside", "..", ".", "a/b", "A", "a\n", "-x", "a b", ""] {
        let jail = format!("--jail={name}");
        let output = run(&["run", "-q", &jail, "--tools", "ls", "--", "true"]);
        assert!(!output.status.success(), "{name:?}: {}", text(&output.stderr));
        assert!(!outside.exists(), "{name:?}");
    }
    for name in ["../outside", "/outside", "..", ".", "a/b", "a\nb", "clawrden"] {
        let tools = format!("--tools={name}");
        let output = run(&["run", "-q", &tools, "--", "true"]);
        assert_eq!(output.status.code(), Some(2), "{name:?}: {}", text(&output.stderr));
        let bin = home.house.path("made").display().to_string();
        let output = run(&["shims", &bin, "--", name]);
        assert!(!output.status.success(), "{name:?}: {}", text(&output.stderr));
        assert!(!outside.exists(), "{name:?}");
    }
}

#[test]
fn the_api_takes_no_names_that_lead_elsewhere_either() {
    let home = Home::new(POLICY);
    let mut perl = home.command("perl");
    // What `clawrden run` would refuse to send.
    let script = r#"use IO::Socket::UNIX; for my $body (@ARGV[1..$#ARGV]) {
        my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die;
        print $s "POST /api/prisoners HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ",
            length $body, "\r\n\r\n$body"; $s->flush; my $line = <$s>; print $line; }"#;
    let body = |jail: &str, tool: &str| {
        format!(
            "{{\"jail\":\"{jail}\",\"policy\":null,\"tools\":[\"{tool}\"],\"command\":[\"x\"],\
             \"labels\":{{}},\"unattended\":false,\"environment\":\"\"}}"
        )
    };
    let bodies = [
        body("../outside", "ls"),
        body("/outside", "ls"),
        body("a", "../outside"),
        body("a", "/outside"),
        body("a", ""),
    ];
    let output =
        perl.args(["-e", script]).arg(home.house.control()).args(&bodies).output().unwrap();
    let said = text(&output.stdout);
    assert_eq!(
        said.matches("HTTP/1.1 400").count(),
        bodies.len(),
        "{said} {}",
        text(&output.stderr)
    );
    assert!(!home.house.path("outside").exists());
}

#[test]
fn a_handed_off_and_a_local_tool_have_the_callers_descriptors_and_no_others() {
    let mirror = House::new(POLICY);
    let local = House::new("rules: [{command: ls, action: allow, executor: local}]");
    // The number of each, and what it is without the numbers that no two pipes share.
    let listed = |house: &House, ls: &Path| -> BTreeSet<String> {
        let script = "exec 5</dev/null 9</dev/zero; exec \"$0\" -l /proc/self/fd";
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script]).arg(ls);
        house.governed(&mut shell).stdin(Stdio::null()).stderr(Stdio::null());
        let shown = text(&shell.output().unwrap().stdout);
        let lines = shown.lines().filter_map(|line| line.split_once(" -> "));
        lines
            .map(|(left, target)| {
                let kind = target.split(|c: char| c.is_ascii_digit()).next().unwrap();
                format!("{} {kind}", left.rsplit(' ').next().unwrap())
            })
            .collect()
    };
    let native = listed(&mirror, Path::new("/bin/ls"));
    assert!(native.contains("5 /dev/null") && native.contains("9 /dev/zero"), "{native:?}");
    assert_eq!(listed(&mirror, &mirror.bin().join("ls")), native);
    assert_eq!(listed(&local, &local.bin().join("ls")), native);
}

#[test]
fn neither_the_wardens_nor_the_runners_environment_is_to_be_seen() {
    let house = House::under(&["env", "WARDEN_SECRET=hidden"], POLICY, &[]);
    let output = house.shimmed("env").output().unwrap();
    assert!(output.status.success() && !text(&output.stdout).contains("hidden"), "{output:?}");
    // Nor in the processes between.
    let script =
        "cat /proc/$PPID/environ /proc/$PPID/cmdline; ls /proc/$PPID/fd >/dev/null; echo end";
    let output = house.shimmed("sh").args(["-c", script]).output().unwrap();
    let seen = text(&output.stdout);
    assert!(seen.contains("end") && !seen.contains("hidden"), "{seen}");
}

#[test]
fn a_run_leaves_no_descriptor_behind_in_the_warden() {
    let house = House::new(POLICY);
    let open = || fs::read_dir(format!("/proc/{}/fd", house.warden.id())).unwrap().count();
    let round = || {
        assert!(house.shimmed("ls").stdout(Stdio::null()).status().unwrap().success());
        assert!(house.shimmed("env").stdout(Stdio::null()).status().unwrap().success());
        assert_eq!(house.shimmed("rm").stderr(Stdio::null()).status().unwrap().code(), Some(126));
    };
    round();
    let settled = || house.json(&["status", "--json"])["running"] == 0;
    until("it to settle", || settled().then_some(()));
    let before = open();
    // More than all that the runners hold that wait for work, of which there may be more by now: a run that leaves one
    // descriptor behind leaves as many.
    const ROUNDS: usize = 40;
    (0..ROUNDS).for_each(|_| round());
    until("everything to be closed", || (settled() && open() < before + ROUNDS).then_some(()));
    assert!(is_alive(&house.warden.id().to_string()));
}
