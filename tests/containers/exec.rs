//! Mirror by exec: tools that the prisoner cannot reach, or that the warden stays with, run in the prisoner's own container.

mod ends;

use std::io::Write;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::prison::{PATH, Prison, house, inside};
use crate::support::engine::{self, Container, Spec};
use crate::support::pty::Pty;
use crate::support::{House, text, until};

/// Everything is allowed; the warden stays with `sh` and `python3`.
const STAY: &str = "default_action: allow\non_unparsed: allow\nrules:\n  - {command: [sh, python3], action: allow, supervised: \
                    true}";

/// Everything is allowed.
const ALL: &str = "default_action: allow\non_unparsed: allow";

/// Moves a tool to where only root goes, and puts the shim into its place.
const LOCK: &str = "set -e
for tool in \"$@\"; do
  folder=/usr/bin; [ -e $folder/$tool ] || folder=/bin; folder=$(cd $folder && pwd -P)
  mkdir -p /clawrden/locked$folder
  chmod 700 /clawrden/locked
  /bin/mv $folder/$tool /clawrden/locked$folder/$tool
  /bin/ln -s /clawrden/bin/clawrden-shim $folder/$tool
done";

/// A prisoner of this image, with the engine that the tests use.
struct Cage {
    container: Container<'static>,
    house: House,
}

impl Cage {
    fn new(image: &str, policy: &str) -> Self {
        Self::with(image, policy, |spec| spec)
    }

    fn with(image: &str, policy: &str, more: impl FnOnce(Spec<'static>) -> Spec<'static>) -> Self {
        let mut house = house(policy);
        // The same warden again, told of the engine.
        house.warden.kill().unwrap();
        house.warden.wait().unwrap();
        house.is_silent();
        house.add(&["--engine", &engine::get().address]);
        house.restart();
        house.json(&["status", "--json"]);
        let spec = inside(&house, engine::get().container(image));
        Self { container: more(spec).start(), house }
    }

    fn lock(&self, tools: &[&str]) {
        let words = ["/bin/sh", "-c", LOCK, "lock"];
        let path = format!("PATH={PATH}");
        let words: Vec<&str> = words.iter().chain(tools).copied().collect();
        let output = self.container.exec_with(&["-u", "0", "-e", &path], &words).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    fn command(&self, options: &[&str], words: &[&str]) -> std::process::Command {
        let path = format!("PATH=/clawrden/bin:{PATH}");
        let own = ["-u", "1000:1000", "-w", "/tmp", "-e", &path];
        let options: Vec<&str> = own.into_iter().chain(options.iter().copied()).collect();
        self.container.exec_with(&options, words)
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(&[], words).output().unwrap()
    }

    fn start(&self, words: &[&str]) -> Child {
        let mut command = self.command(&["-i"], words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn records(&self, event: &str) -> Vec<Value> {
        self.house.events(event)
    }

    /// Whether a process with these words runs in the container.
    fn has(&self, words: &str) -> bool {
        crate::prison::processes(&self.container.id).iter().any(|line| line.ends_with(words))
    }
}

#[test]
fn a_locked_tool_runs_as_its_caller_where_its_caller_is() {
    for image in ["alpine", "debian12", "debian13"] {
        let cage = Cage::with(image, ALL, |spec| {
            spec.option("--group-add").option("27").option("--group-add").option("3000")
        });
        let script = "umask 027; cd /var; A=b exec id";
        let native = cage.container.exec_with(&["-u", "1000:1000"], &["id"]).output().unwrap();
        cage.lock(&["id", "env", "pwd", "cat"]);
        // Nobody but root reaches it any more.
        let direct = cage.run(&[
            "/bin/sh",
            "-c",
            "ls /clawrden/locked 2>&1; /clawrden/locked/usr/bin/id 2>&1",
        ]);
        assert!(!text(&direct.stdout).contains("uid="), "{image}");
        let governed = cage.run(&["/bin/sh", "-c", script]);
        assert_eq!(
            text(&governed.stdout),
            text(&native.stdout),
            "{image} {}",
            text(&governed.stderr)
        );
        let started = cage.records("started").pop().unwrap();
        assert_eq!((&started["executor"], &started["method"]), (&"mirror".into(), &"exec".into()));
        let env = cage.run(&["/bin/sh", "-c", "cd /var/log; ONE=1 env; env pwd"]);
        let told = text(&env.stdout);
        assert!(told.contains("ONE=1\n") && told.ends_with("/var/log\n"), "{image} {told}");
        let finished = cage.records("finished").pop().unwrap();
        assert_eq!(
            (&finished["exit_code"], &finished["exit_source"]),
            (&0.into(), &"runner".into())
        );
    }
}

#[test]
fn what_a_person_approves_runs_with_the_words_and_variables_that_it_was_asked_with() {
    let cage = Cage::new("debian12", "default_action: ask\non_unparsed: ask");
    cage.lock(&["env"]);
    let mut command = cage.command(&["-e", "KEPT=whole"], &["env", "A=1", "/usr/bin/env"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let entry = cage.house.pending();
    assert!(cage.house.cli(&["approve", entry["short"].as_str().unwrap()]).status.success());
    // What it starts is behind the same lock, and asked about as well.
    let entry = until("the tool within", || {
        let entries = cage.house.json(&["queue", "--json"]);
        entries["entries"].as_array()?.iter().find(|other| other["id"] != entry["id"]).cloned()
    });
    assert!(cage.house.cli(&["approve", entry["short"].as_str().unwrap()]).status.success());
    let output = child.wait_with_output().unwrap();
    let told = text(&output.stdout);
    assert!(
        told.contains("KEPT=whole\n") && told.contains("A=1\n"),
        "{told} {}",
        text(&output.stderr)
    );
}

#[test]
fn bytes_and_descriptors_are_the_callers_own() {
    let cage = Cage::new("debian12", ALL);
    cage.lock(&["cat", "tee"]);
    let bytes: Vec<u8> = (0..2_000_000u32).flat_map(u32::to_le_bytes).collect();
    let mut child = cage.start(&["/bin/sh", "-c", "cat | tee copy | cat"]);
    let mut stdin = child.stdin.take().unwrap();
    let sent = bytes.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&sent).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.stdout == bytes, "{} bytes, {}", output.stdout.len(), text(&output.stderr));
    // Not a byte of it came through the warden: the tool writes to what its caller gave it.
    assert!(cage.records("finished").iter().all(|record| record["bytes_out"] == 0));
    let output = cage.run(&[
        "/bin/sh",
        "-c",
        "echo seven > f; exec 7<f; cat <&7; cat /dev/fd/7 3</dev/null",
    ]);
    // The second opens the file anew.
    assert_eq!(text(&output.stdout), "seven\nseven\n");
}

#[test]
fn codes_and_signals_are_exact() {
    let cage = Cage::new("alpine", STAY);
    for code in [0, 1, 75, 124, 125, 126, 127, 137, 255] {
        let output = cage.run(&["sh", "-c", &format!("exit {code}")]);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
    }
    let told =
        cage.run(&["/bin/sh", "-c", "sh -c 'kill -9 $$'; echo $?; sh -c 'exit 137'; echo $?"]);
    assert_eq!(text(&told.stdout).lines().filter(|line| *line == "137").count(), 2);
    let ends = cage.records("finished");
    let known = |record: &Value| (record["exit_code"].as_i64(), record["signal"].as_i64());
    // The engine itself could not tell these two apart.
    assert_eq!(known(&ends[9]), (None, Some(9)));
    assert_eq!(known(&ends[10]), (Some(137), None));
}

#[test]
fn a_terminal_is_one_of_the_containers_own() {
    let cage = Cage::new("debian12", STAY);
    let script =
        "tty; trap 'stty size; exit 5' WINCH; read x; echo \"got $x\"; while :; do sleep 0.1; done";
    let mut pty = Pty::spawn(&mut cage.command(&["-i", "-t"], &["sh", "-c", script]));
    pty.expect("/dev/pts/");
    pty.send("key\r");
    pty.expect("got key");
    pty.resize(41, 99);
    pty.expect("41 99");
    assert_eq!(pty.child.wait().unwrap().code(), Some(5));
}

/// Ends only by force, and leaves something that does so too.
const STUBBORN: &str = "PATH=/usr/bin:/bin; trap '' TERM INT HUP; (trap '' TERM HUP; setsid sleep 98765 &) ; echo ready; while :; do sleep 1; done";

#[test]
fn a_timeout_ends_the_whole_tree() {
    let cage =
        Cage::new("debian12", &STAY.replace("supervised: true", "supervised: true, timeout: 1s"));
    let begun = Instant::now();
    let output = cage.run(&["sh", "-c", STUBBORN]);
    assert_eq!(output.status.code(), Some(124), "{}", text(&output.stderr));
    assert!(begun.elapsed() < Duration::from_secs(25));
    until("the tree to be gone", || (!cage.has("sleep 98765")).then_some(()));
    assert_eq!(cage.house.event("finished")["timed_out"], true);
}

#[test]
fn a_caller_that_goes_away_and_a_kill_end_the_whole_tree() {
    for kill in [false, true] {
        let cage = Cage::new("debian12", STAY);
        let child = cage.start(&["sh", "-c", STUBBORN]);
        until("the tool to run", || cage.has("sleep 98765").then_some(()));
        if kill {
            assert!(cage.house.cli(&["kill"]).status.success());
        } else {
            // The shim, by its name: the tool's own is another file.
            let script = "for p in /proc/[0-9]*; do case $(readlink $p/exe) in */clawrden-shim) \
                          kill -9 ${p#/proc/};; esac; done";
            cage.container
                .exec_with(&["-u", "1000:1000"], &["/bin/sh", "-c", script])
                .output()
                .unwrap();
        }
        let output = child.wait_with_output().unwrap();
        assert_ne!(output.status.code(), Some(0));
        until("the tree to be gone", || (!cage.has("sleep 98765")).then_some(()));
        until("its end to be written", || (cage.records("finished").len() == 1).then_some(()));
    }
}

#[test]
fn a_container_without_capabilities_runs_locked_tools_too() {
    let cage = Cage::with("debian12", ALL, |spec| {
        spec.option("--cap-drop")
            .option("ALL")
            .option("--security-opt")
            .option("no-new-privileges")
            .user("1000:1000")
    });
    // Without capabilities root in there is bound by modes too.
    let script = "mkdir -p /clawrden/locked/usr/bin; mv /usr/bin/id /clawrden/locked/usr/bin/; \
                  ln -s /clawrden/bin/clawrden-shim /usr/bin/id; chmod 700 /clawrden/locked";
    let output =
        cage.container.exec_with(&["-u", "0"], &["/bin/sh", "-c", script]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let output = cage.run(&["id", "-u"]);
    assert_eq!(text(&output.stdout), "1000\n", "{}", text(&output.stderr));
    assert_eq!(cage.records("started")[0]["method"], "exec");
}

#[test]
fn locked_scripts_and_links_to_scripts_run() {
    let cage = Cage::new("debian12", ALL);
    let script = "set -e; cd /usr/local/bin
printf '#!/bin/sh\\necho \"plain $# $1\"\\n' > tee.real; chmod 755 tee.real
mkdir -p /clawrden/locked/usr/local/bin; chmod 700 /clawrden/locked
cp tee.real /clawrden/locked/usr/local/bin/grep; ln -s /usr/local/bin/tee.real /clawrden/locked/usr/local/bin/npm
ln -s /clawrden/bin/clawrden-shim grep; ln -s /clawrden/bin/clawrden-shim npm
cp tee.real sort.original; chmod 700 sort.original; ln -s /clawrden/bin/clawrden-shim sort";
    let output =
        cage.container.exec_with(&["-u", "0"], &["/bin/sh", "-c", script]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    // By its link to a script that everybody reads, and by its descriptor where nobody else does.
    for tool in ["npm", "grep"] {
        let output = cage.run(&[tool, "a b", "c"]);
        assert_eq!(text(&output.stdout), "plain 2 a b\n", "{tool} {}", text(&output.stderr));
    }
    // One that its caller may not even execute stays closed.
    let output = cage.run(&["sort", "x"]);
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("Permission denied"), "{}", text(&output.stderr));
}

#[test]
fn whoever_connects_in_the_place_of_the_runner_gets_nothing() {
    let cage = Cage::new("python-slim", STAY);
    let thief = "import os, socket, glob, time
seen = {}
end = time.time() + 20
while time.time() < end and not os.path.exists('/tmp/enough'):
    for path in glob.glob('/run/clawrden/exec-*/runner.sock'):
        if path in seen: continue
        try:
            s = socket.socket(socket.AF_UNIX); s.connect(path); seen[path] = s
        except OSError: pass
got = [s.recv(1) for s in seen.values()]
print(len(got), got.count(b''))";
    let words = ["-u", "1000:1000"];
    let mut thief = cage.container.exec_with(&words, &["/usr/local/bin/python3", "-c", thief]);
    let thief = thief.stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    for n in 0..5 {
        let output = cage.run(&["sh", "-c", &format!("echo {n}")]);
        assert_eq!(text(&output.stdout), format!("{n}\n"), "{}", text(&output.stderr));
    }
    cage.run(&["touch", "/tmp/enough"]);
    let told = text(&thief.wait_with_output().unwrap().stdout);
    let counts: Vec<u32> = told.split_whitespace().map(|n| n.parse().unwrap()).collect();
    assert!(counts[0] > 0, "the attack was not tried");
    assert_eq!(counts[0], counts[1], "each was closed without a byte");
    let mut left = std::fs::read_dir(cage.house.path("jails/box")).unwrap().flatten();
    assert!(!left.any(|entry| entry.file_name().to_string_lossy().starts_with("exec-")));
}

#[test]
fn a_caller_that_made_itself_root_in_a_namespace_is_nobody_else_for_a_locked_tool() {
    // Docker's own filter of system calls keeps namespaces from a prisoner; another's need not.
    let cage = Cage::with("debian12", ALL, |spec| {
        spec.option("--security-opt").option("seccomp=unconfined")
    });
    cage.lock(&["id"]);
    let script =
        "/usr/bin/unshare --user --map-root-user /bin/sh -c 'grep -c . /proc/self/uid_map; id -u'";
    let output = cage.run(&["/bin/sh", "-c", script]);
    let told = text(&output.stdout);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines, ["1", "1000"], "{}", text(&output.stderr));
}

#[test]
fn without_an_engine_or_a_container_it_is_said() {
    let prison = Prison::with("alpine", ALL, |spec| spec);
    // Its warden knows of no engine that has this container.
    let lock = "mkdir -p /clawrden/locked/usr/bin; mv /usr/bin/id /clawrden/locked/usr/bin/ && ln -s \
                /clawrden/bin/clawrden-shim /usr/bin/id";
    prison.container.exec_with(&["-u", "0"], &["/bin/sh", "-c", lock]).output().unwrap();
    let output = prison.governed(&[], &["id"]).output().unwrap();
    assert_eq!(output.status.code(), Some(126), "{}", text(&output.stdout));
    assert!(
        text(&output.stderr).contains("the engine has to start it"),
        "{}",
        text(&output.stderr)
    );
    let house = House::new(STAY);
    let output = house.shimmed("sh").args(["-c", "true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(126));
    assert!(text(&output.stderr).contains("the caller is in none"), "{}", text(&output.stderr));
}
