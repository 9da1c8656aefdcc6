//! The shim up to the decision, and handoff: what the tool sees is what the caller gave.

#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;

use clawrden_protocol::ToClient;
use clawrden_protocol::frame::{Handoff, Strings};
use clawrden_protocol::note::{HEAD, is_shim};
use support::{Warden, played, shims, text, until};

#[test]
fn the_raw_build_is_small_and_static_and_both_are_known_by_their_note() {
    for shim in shims() {
        let bytes = std::fs::read(&shim).unwrap();
        assert!(is_shim(&bytes[..HEAD]), "{}", shim.display());
    }
    let raw = std::fs::read(support::raw()).unwrap();
    assert!(raw.len() <= 64 * 1024, "{} bytes", raw.len());
    assert!(!raw.windows(8).any(|w| w == b"ld-linux"));
    assert!(!is_shim(&std::fs::read("/bin/ls").unwrap()[..HEAD]));
}

#[test]
fn a_handed_off_tool_has_the_callers_arguments_environment_and_id() {
    for shim in shims() {
        let warden = Warden::new();
        let mut command = Command::new(&shim);
        command
            .arg0("tool")
            .args(["a b", "", "\u{e9}"])
            .env_clear()
            .env("CLAWRDEN_SOCKET", warden.socket())
            .env("B", "2")
            .env("A", "1");
        let output = played(command, || {
            let (mut client, request) = warden.asked();
            assert_eq!(request.exec(), shim.as_os_str().as_encoded_bytes());
            let cwd = std::env::current_dir().unwrap();
            assert_eq!(request.cwd(), cwd.as_os_str().as_encoded_bytes());
            let argv: Vec<_> = request.argv().map(text).collect();
            assert_eq!(argv, ["tool", "a b", "", "\u{e9}"]);
            assert_eq!(request.tty, None);
            client.hand_off(false, "/usr/bin/printenv", b"B=3\0C=4\0");
        });
        // printenv fails for the arguments that are no variables and says nothing.
        assert_eq!(text(&output.stderr), "");
        assert_eq!(output.status.code(), Some(1));

        let output =
            played(warden.command(&shim, &["-c", "echo $$ $X; cat /proc/$$/cmdline"]), || {
                let (mut client, _) = warden.asked();
                client.hand_off(false, "/bin/sh", b"X=5\0");
            });
        assert!(text(&output.stdout).contains(" 5\n"), "{output:?}");
    }
}

#[test]
fn a_script_that_names_a_shim_in_its_first_line_asks_for_that_tool() {
    for shim in shims() {
        let warden = Warden::new();
        let tool = warden.folder.path().join("sh");
        std::os::unix::fs::symlink(&shim, &tool).unwrap();
        let script = warden.folder.path().join("script");
        std::fs::write(&script, format!("#!{}\necho \"$0 $1\"\n", tool.display())).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let output = played(warden.command(&script, &["word"]), || {
            let (mut client, request) = warden.asked();
            assert_eq!(request.exec(), tool.as_os_str().as_encoded_bytes());
            let argv: Vec<_> = request.argv().map(text).collect();
            assert_eq!(
                argv,
                [
                    text(tool.as_os_str().as_encoded_bytes()),
                    text(script.as_os_str().as_encoded_bytes()),
                    "word".into()
                ]
            );
            client.hand_off(false, "/bin/sh", b"");
        });
        assert_eq!(text(&output.stdout), format!("{} word\n", script.display()));
    }
}

#[test]
fn a_tool_that_looks_for_itself_gets_its_path_for_its_name() {
    for shim in shims() {
        for report in [false, true] {
            let warden = Warden::new();
            let mut command = warden.command(&shim, &["-c", "tr '\\0' ' ' < /proc/$$/cmdline"]);
            command.arg0("sh");
            let output = played(command, || {
                let (mut client, _) = warden.asked();
                let set = Strings::new(b"").unwrap();
                client.hand_over(Handoff { report, by_path: true, path: b"/bin/sh", set });
            });
            assert!(text(&output.stdout).starts_with("/bin/sh -c tr"), "{output:?}");
        }
    }
}

#[test]
fn the_environment_keeps_its_order_and_its_oddities() {
    for shim in shims() {
        let warden = Warden::new();
        let script = format!(
            "exec env -i Z=1 A=2 CLAWRDEN_SOCKET={} M=3 {}",
            warden.socket().display(),
            shim.display()
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        let output = played(command, || {
            let (mut client, request) = warden.asked();
            let env: Vec<_> = request.env().map(text).collect();
            assert_eq!((env[0].as_str(), env[1].as_str(), env[3].as_str()), ("Z=1", "A=2", "M=3"));
            client.hand_off(false, "/usr/bin/env", b"A=9\0");
        });
        let lines = text(&output.stdout);
        let names: Vec<_> = lines.lines().map(|l| l.split('=').next().unwrap()).collect();
        assert_eq!(names, ["Z", "A", "CLAWRDEN_SOCKET", "M"]);
        assert!(lines.contains("A=9\n"));
    }
}

#[test]
fn descriptors_are_as_the_caller_left_them_closed_ones_included() {
    for shim in shims() {
        for redirections in ["", "0<&-", "0<&- 1>&2", "0<&- 2>&-", "7</dev/null 9>/dev/null"] {
            let warden = Warden::new();
            let list = warden.folder.path().join("list");
            let script = "for n in /proc/self/fd/*; do printf '%s ' \"${n##*/}\"; done >\"$OUT\"\n";
            std::fs::write(&list, script).unwrap();
            let run = |tool: &std::path::Path, out: &std::path::Path| {
                let line = format!("exec {} {} {redirections}", tool.display(), list.display());
                let mut command = Command::new("bash");
                command.args(["-c", &line]).env("OUT", out).env("CLAWRDEN_SOCKET", warden.socket());
                command.spawn().unwrap()
            };
            let (native, shimmed) = (list.with_extension("native"), list.with_extension("shim"));
            assert!(run("/bin/bash".as_ref(), &native).wait().unwrap().success());
            let mut child = run(&shim, &shimmed);
            let (mut client, _) = warden.asked();
            client.hand_off(false, "/bin/bash", b"");
            assert!(child.wait().unwrap().success());
            let (native, shimmed) =
                (std::fs::read(native).unwrap(), std::fs::read(shimmed).unwrap());
            assert_eq!(text(&native), text(&shimmed), "{redirections}");
        }
    }
}

#[test]
fn a_deleted_working_directory_is_told_as_unknown_and_stays() {
    for shim in shims() {
        let warden = Warden::new();
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "cd {0}; rmdir {0}; exec {1} -c 'readlink /proc/$$/cwd'",
            folder.path().display(),
            shim.display()
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script]).env("CLAWRDEN_SOCKET", warden.socket());
        let output = played(command, || {
            let (mut client, request) = warden.asked();
            assert_eq!(request.cwd(), b"");
            client.hand_off(false, "/bin/sh", b"");
        });
        assert!(text(&output.stdout).ends_with("(deleted)\n"), "{output:?}");
    }
}

#[test]
fn a_script_without_an_interpreter_is_given_to_the_shell() {
    for shim in shims() {
        let warden = Warden::new();
        let script = warden.folder.path().join("script");
        std::fs::write(&script, "echo $0 $1\n").unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let output = played(warden.command(&shim, &["x"]), || {
            warden.asked().0.hand_off(false, script.to_str().unwrap(), b"");
        });
        assert_eq!(text(&output.stdout), format!("{} x\n", script.display()));
    }
}

#[test]
fn a_tool_that_has_gone_is_127_and_one_that_cannot_run_125() {
    for shim in shims() {
        let warden = Warden::new();
        for (path, code, words) in
            [("/nonexistent", 127, "No such file"), ("/etc/passwd", 125, "Permission denied")]
        {
            let output = played(warden.command(&shim, &[]), || {
                warden.asked().0.hand_off(false, path, b"");
            });
            assert_eq!(output.status.code(), Some(code));
            let line = text(&output.stderr);
            assert!(line.starts_with("clawrden: ") && line.contains(words), "{line}");
            assert_eq!(line.lines().count(), 1);
        }
    }
}

#[test]
fn a_denial_is_126_with_reason_and_rule_made_harmless() {
    for shim in shims() {
        let warden = Warden::new();
        let output = played(warden.command(&shim, &[]), || {
            let (mut client, _) = warden.asked();
            client.byte(1);
            client.send(&ToClient::Denial { rule: "policy.yaml:3", reason: "no \x1b[2J\nway" });
        });
        assert_eq!(output.status.code(), Some(126));
        assert_eq!(text(&output.stderr), "clawrden: denied: no ?[2J way (policy.yaml:3)\n");
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn while_a_person_is_asked_notices_come_and_then_the_decision() {
    for shim in shims() {
        let warden = Warden::new();
        let output = played(warden.command(&shim, &["yes"]), || {
            let (mut client, _) = warden.asked();
            client.byte(2);
            client.send(&ToClient::Notice("waiting for approval 7f3a"));
            client.hand_off(false, "/bin/echo", b"");
        });
        assert_eq!(text(&output.stderr), "clawrden: waiting for approval 7f3a\n");
        assert_eq!(text(&output.stdout), "yes\n");

        let output = played(warden.command(&shim, &[]), || {
            let (mut client, _) = warden.asked();
            client.byte(2);
            client.send(&ToClient::StillWaiting("still waiting; nothing ran"));
        });
        assert_eq!(output.status.code(), Some(75));
        assert_eq!(text(&output.stderr), "clawrden: still waiting; nothing ran\n");
    }
}

#[test]
fn ctrl_c_while_waiting_is_native() {
    for shim in shims() {
        let warden = Warden::new();
        let mut child = warden.command(&shim, &[]).spawn().unwrap();
        let (mut client, _) = warden.asked();
        client.byte(2);
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(2));
        assert_eq!(client.frame(), None);
    }
}

#[test]
fn an_unreachable_warden_is_125_and_one_line_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "").unwrap();
    let stale = folder.path().join("stale");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    for shim in shims() {
        for (path, words) in [
            (folder.path().join("missing"), "No such file or directory"),
            (plain.clone(), "Connection refused"),
            (stale.clone(), "Connection refused"),
            (plain.join("below"), "Not a directory"),
        ] {
            let output = Command::new(&shim).env("CLAWRDEN_SOCKET", &path).output().unwrap();
            assert_eq!(output.status.code(), Some(125));
            assert_eq!(
                text(&output.stderr),
                format!(
                    "clawrden: the warden cannot be reached at {} ({words}); nothing ran. \
                     Start it with: clawrden warden\n",
                    path.display()
                )
            );
        }
    }
}

#[test]
fn a_socket_beside_the_folder_of_shims_is_found_without_a_variable() {
    for shim in shims() {
        let warden = Warden::new();
        let bin = warden.folder.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::fs::copy(&shim, bin.join("clawrden-shim")).unwrap();
        std::os::unix::fs::symlink("clawrden-shim", bin.join("git")).unwrap();
        let mut command = Command::new(bin.join("git"));
        command.env_remove("CLAWRDEN_SOCKET").arg("found");
        let output = played(command, || {
            let (mut client, request) = warden.asked();
            assert!(request.exec().ends_with(b"/bin/git"));
            client.hand_off(false, "/bin/echo", b"");
        });
        assert_eq!(text(&output.stdout), "found\n");
    }
}

#[test]
fn a_socket_whose_path_is_too_long_for_an_address_is_reached() {
    for shim in shims() {
        let warden = Warden::new();
        let deep = warden.folder.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        std::fs::rename(warden.socket(), deep.join("warden.sock")).unwrap();
        let mut command = Command::new(&shim);
        command.env("CLAWRDEN_SOCKET", deep.join("warden.sock")).arg("far");
        let output = played(command, || warden.asked().0.hand_off(false, "/bin/echo", b""));
        assert_eq!(text(&output.stdout), "far\n");
    }
}

#[test]
fn a_warden_that_goes_away_or_babbles_is_125() {
    for shim in shims() {
        let warden = Warden::new();
        type Play = fn(&mut support::Client);
        let plays: [(Play, &str); 8] = [
            (|_| {}, "before it decided; nothing ran"),
            // It may look for this one again, and is told not to.
            (
                |c| c.stream_bytes(&[2, 40, 0, 0, 0, 2, 0, 0]),
                "while the command waited; nothing ran",
            ),
            (|c| c.byte(0), "had been allowed"),
            (|c| c.byte(9), "no ack"),
            (|c| c.stream_bytes(&[2, 2]), "no ack"),
            (|c| c.stream_bytes(&[1, 35, 0, 0, 0, 1, 65]), "not of its type"),
            (|c| c.stream_bytes(&[0, 33, 0xff, 0xff, 0xff, 0xff]), "over its limit"),
            (|c| c.stream_bytes(&[0, 77, 0, 0, 0, 0]), "not accepted"),
        ];
        for (play, words) in plays {
            let output = played(warden.command(&shim, &[]), || play(&mut warden.asked().0));
            assert_eq!(output.status.code(), Some(125), "{words}");
            let line = text(&output.stderr);
            assert!(line.contains(words), "{line}");
            assert_eq!(line.lines().count(), 1, "{line}");
        }
    }
}

#[test]
fn big_arguments_and_many_variables_arrive_whole() {
    for shim in shims() {
        let warden = Warden::new();
        let big = "x".repeat(120_000);
        let args: Vec<&str> = (0..12).map(|_| big.as_str()).collect();
        let mut command = warden.command(&shim, &args);
        for i in 0..3000 {
            command.env(format!("V{i}"), "v");
        }
        let output = played(command, || {
            let (mut client, request) = warden.asked();
            assert_eq!(request.argv().skip(1).map(<[u8]>::len).sum::<usize>(), 1_440_000);
            assert!(request.env().filter(|e| e.starts_with(b"V")).count() >= 3000);
            client.hand_off(false, "/bin/true", b"");
        });
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn a_reporting_shim_ends_as_its_tool_and_says_so() {
    for shim in shims() {
        let warden = Warden::new();
        for code in [0, 1, 7, 126, 255] {
            let script = format!("exit {code}");
            let output = played(warden.command(&shim, &["-c", &script]), || {
                let (mut client, _) = warden.asked();
                client.hand_off(true, "/bin/sh", b"");
                assert_eq!(client.frame(), Some((21, vec![0, code])));
            });
            assert_eq!(output.status.code(), Some(code.into()));
        }
        for signal in [1, 9, 11, 15] {
            let script = format!("kill -{signal} $$");
            let output = played(warden.command(&shim, &["-c", &script]), || {
                let (mut client, _) = warden.asked();
                client.hand_off(true, "/bin/sh", b"");
                assert_eq!(client.frame(), Some((21, vec![1, signal])));
            });
            assert_eq!(output.status.signal(), Some(signal.into()));
            assert!(!output.status.core_dumped());
        }
    }
}

#[test]
fn a_reporting_shim_passes_signals_on_and_stops_with_its_tool() {
    use rustix::process::{Signal, kill_process};
    for shim in shims() {
        let warden = Warden::new();
        let script = "trap 'echo got; exit 3' TERM; echo ready; while :; do sleep 0.01; done";
        let mut command = warden.command(&shim, &["-c", script]);
        let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
        let (mut client, _) = warden.asked();
        client.hand_off(true, "/bin/sh", b"");
        let mut out = child.stdout.take().unwrap();
        let mut room = [0; 6];
        std::io::Read::read_exact(&mut out, &mut room).unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        let state = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
            stat.rsplit(") ").next().unwrap().as_bytes()[0]
        };
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let tool: i32 = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
        let tool = rustix::process::Pid::from_raw(tool).unwrap();
        kill_process(tool, Signal::STOP).unwrap();
        until(|| state() == b'T');
        kill_process(pid, Signal::CONT).unwrap();
        until(|| state() != b'T');
        kill_process(pid, Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(3));
        assert_eq!(client.frame(), Some((21, vec![0, 3])));
    }
}
