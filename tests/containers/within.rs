//! A warden that is in a container itself, beside its prisoner's: what it gives to other containers lies on volumes, and
//! the engine has other paths for all of it.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::prison::PATH;
use crate::support::engine::{self, Container};
use crate::support::{clawrden, text, until};

const POLICY: &str = "default_action: deny
on_unparsed: allow
ghost_images: {'*': same, 'tac': ALPINE, 'touch': ALPINE, 'nl': ALPINE}
jails:
  box: {commands: [cat, wc, sh, head, sort, id, ls, pwd, tee, rm, tac, touch, nl], workspace: [/work]}
rules:
  - {command: rm, args: ['-rf /'], action: deny, reason: it would delete everything}
  - {command: [cat, id, exit], action: allow}
  - {command: wc, action: allow}
  - {command: sh, action: allow, supervised: true}
  - {command: sort, action: allow, executor: ghost}
  - {command: head, action: ask, executor: ghost}
  - {command: [tac, touch], action: allow, executor: ghost}
  - {command: nl, action: ask, executor: ghost}
  - {command: tee, action: ask}
  - {command: ls, container: {image: '*debian*'}, action: allow}
  - {command: pwd, action: allow, executor: local}
";

/// Moves `wc` to where only root goes, and puts the shim into its place.
const LOCK: &str = "mkdir -p /clawrden/locked/usr/bin && chmod 700 /clawrden/locked && mv /usr/bin/wc \
                    /clawrden/locked/usr/bin/ && ln -s /clawrden/bin/clawrden-shim /usr/bin/wc && chown 1000:1000 /work";

/// A warden and a prisoner, each in a container. Dropped in this order.
struct Lodge {
    prisoner: Container<'static>,
    warden: Container<'static>,
    door: String,
    _volumes: Volumes,
    _dir: tempfile::TempDir,
}

/// Volumes that go with the test.
struct Volumes(Vec<String>);

impl Drop for Volumes {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = engine::get().docker().args(["volume", "rm", "-f", name]).output();
        }
    }
}

impl Lodge {
    /// `options` are the warden's, such as `--pid host`; without `has_state` its state is on no volume.
    fn new(options: &[&str], has_state: bool) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let engine = engine::get();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |what: &str| format!("clawrden-test-{}-{number}-{what}", std::process::id());
        let (door, state, work) = (name("door"), name("state"), name("work"));
        let dir = tempfile::Builder::new().prefix("clawrden-lodge-").tempdir().unwrap();
        let (policy, shims) = (dir.path().join("policy.yaml"), dir.path().join("shims"));
        std::fs::write(&policy, POLICY.replace("ALPINE", &engine.image("alpine"))).unwrap();
        let tools = [
            "cat", "wc", "sh", "head", "sort", "id", "ls", "pwd", "tee", "rm", "tac", "touch", "nl",
        ];
        let made = clawrden().arg("shims").arg(&shims).args(tools).output().unwrap();
        assert!(made.status.success(), "{}", text(&made.stderr));
        let _ = std::os::unix::fs::symlink("clawrden-shim", shims.join("clawrden-runner"));

        let socket = engine.address.strip_prefix("unix://").unwrap();
        let mut spec = engine
            .container("debian12")
            .mount_read_only(Path::new(clawrden().get_program()), "/usr/local/bin/clawrden")
            .mount_read_only(&policy, "/etc/clawrden/policy.yaml")
            .mount(Path::new(socket), "/var/run/docker.sock")
            .mount(Path::new(&door), "/run/clawrden/jails/box")
            .option("--tmpfs")
            .option("/run")
            .option("--network")
            .option("none")
            .option("--cap-add")
            .option("SYS_PTRACE")
            .command(&["/usr/local/bin/clawrden", "warden"]);
        if has_state {
            spec = spec.mount(Path::new(&state), "/var/lib/clawrden");
        }
        for option in options {
            spec = spec.option(option);
        }
        let warden = spec.start();
        let lodge = |prisoner| Self {
            prisoner,
            warden,
            door: door.clone(),
            _volumes: Volumes(vec![door.clone(), state.clone(), work.clone()]),
            _dir: dir,
        };
        let prisoner = engine
            .container("debian13")
            .user("1000:1000")
            .mount_read_only(Path::new(&door), "/run/clawrden")
            .mount_read_only(&shims, "/clawrden/bin")
            .mount(Path::new(&work), "/work");
        let lodge = lodge(prisoner.start());
        until("the warden to serve", || {
            lodge.cli(&["status", "--json"]).status.success().then_some(())
        });
        let path = format!("PATH={PATH}");
        let as_root = ["-u", "0", "-e", &path];
        let locked = lodge.prisoner.exec_with(&as_root, &["/bin/sh", "-c", LOCK]).output().unwrap();
        assert!(locked.status.success(), "{}", text(&locked.stderr));
        lodge
    }

    fn cli(&self, words: &[&str]) -> Output {
        let words = [&["/usr/local/bin/clawrden"], words].concat();
        self.warden.exec(&words).output().unwrap()
    }

    fn json(&self, words: &[&str]) -> Value {
        let output = self.cli(words);
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn command(&self, words: &[&str]) -> Command {
        let path = format!("PATH=/clawrden/bin:{PATH}");
        self.prisoner.exec_with(&["-i", "-w", "/work", "-e", &path], words)
    }

    fn start(&self, words: &[&str]) -> Child {
        let mut command = self.command(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn run(&self, words: &[&str], input: &[u8]) -> Output {
        let mut child = self.start(words);
        // Who is refused reads nothing.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    /// Answers the one question that there is.
    fn answer(&self, verb: &str) {
        self.answer_with(verb, &[]);
    }

    fn answer_with(&self, verb: &str, more: &[&str]) {
        let id = until("the question", || {
            let queue = self.json(&["queue", "--json"]);
            Some(queue["entries"].as_array()?.first()?["id"].as_str()?.to_owned())
        });
        let answered = self.cli(&[&[verb, &id], more].concat());
        assert!(answered.status.success(), "{}", text(&answered.stderr));
    }

    /// What the ledger says of `event`, in its order.
    fn records(&self, event: &str) -> Vec<Value> {
        let output = self.warden.exec(&["cat", "/var/lib/clawrden/ledger.jsonl"]).output().unwrap();
        let lines = text(&output.stdout);
        let all = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        all.filter(|record| record["event"] == event).collect()
    }
}

impl Drop for Lodge {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the warden's log ---\n{}", self.warden.logs());
        }
    }
}

#[track_caller]
fn well(output: &Output, told: &str) {
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&output.stdout), told, "{output:?}");
}

#[track_caller]
fn refused(output: &Output, told: &str) {
    assert_eq!(output.status.code(), Some(126), "{output:?}");
    assert!(text(&output.stderr).contains(told), "{}", text(&output.stderr));
}

#[test]
fn a_warden_in_a_container_runs_everything_where_it_belongs() {
    let lodge = Lodge::new(&["--pid", "host"], true);
    let version = lodge.prisoner.exec(&["/usr/bin/cat", "/etc/debian_version"]).output().unwrap();
    well(&lodge.run(&["cat", "/etc/debian_version"], b""), &text(&version.stdout));
    // A locked tool and a supervised one, by the engine's exec.
    well(&lodge.run(&["wc", "-c"], b"\0\xff12345"), "7\n");
    let output = lodge.run(&["sh", "-c", "id -u; exit 7"], b"");
    assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(7), "1000\n"));
    // Ghosts with the caller's volume.
    let put = lodge.prisoner.exec(&["/bin/sh", "-c", "printf 'b\\na\\nc\\n' >/work/lines"]);
    assert!({ put }.status().unwrap().success());
    well(&lodge.run(&["sort", "lines", "-o", "sorted"], b""), "");
    let asked = lodge.start(&["head", "-n", "2", "sorted"]);
    lodge.answer("approve");
    well(&asked.wait_with_output().unwrap(), "a\nb\n");
    let asked = lodge.start(&["head", "sorted"]);
    lodge.answer("deny");
    assert_eq!(asked.wait_with_output().unwrap().status.code(), Some(126));
    let missing = lodge.run(&["sort", "no-such-file"], b"");
    assert_eq!(missing.status.code(), Some(2), "{missing:?}");
    // A rule that looks at the container, and one that would run on the warden's side.
    assert!(lodge.run(&["ls", "/"], b"").status.success());
    refused(&lodge.run(&["pwd"], b""), "");

    let started = lodge.records("started");
    let how: Vec<(&str, &str)> = started
        .iter()
        .map(|one| (one["executor"].as_str().unwrap(), one["method"].as_str().unwrap()))
        .collect();
    let (exec, ghost) = (("mirror", "exec"), ("ghost", "runner"));
    let handoff = ("mirror", "handoff");
    // Within the supervised shell, `id` is a command of its own.
    assert_eq!(how, [handoff, exec, exec, handoff, ghost, ghost, ghost, handoff]);
    let named = lodge.records("requested");
    assert!(named.iter().all(|one| one["caller"]["container"]["id"] == *lodge.prisoner.id));
    until("no ghost to be left", || {
        let all = engine::get().docker().args(["ps", "-a", "--format", "{{.Names}}"]).output();
        let all = text(&all.unwrap().stdout);
        let of = |one: &Value| format!("clawrden-ghost-{}", one["id"].as_str().unwrap());
        started.iter().all(|one| !all.contains(&of(one))).then_some(())
    });
}

#[test]
fn without_the_hosts_pids_the_policy_and_people_say_no_and_nothing_runs() {
    let lodge = Lodge::new(&[], true);
    let add = "`pid: host`";
    // By handoff, exec and ghost, and on the warden's side.
    for words in [&["cat", "/etc/hostname"][..], &["wc"], &["sh", "-c", "exit 0"], &["pwd"]] {
        let output = lodge.run(words, b"");
        assert_eq!(output.status.code(), Some(125), "{words:?}: {output:?}");
        assert!(text(&output.stderr).contains(add), "{words:?}: {output:?}");
        assert_eq!(text(&output.stdout), "");
    }
    // Nor the prisoner's own image, as a ghost.
    refused(&lodge.run(&["sort"], b""), add);
    // By a rule with a reason, by one about containers, and by none.
    refused(&lodge.run(&["rm", "-r", "-f", "//"], b""), "it would delete everything");
    refused(&lodge.run(&["ls"], b""), add);
    refused(&lodge.run(&["rm", "a"], b""), add);
    // A person is asked, and their word reaches the agent.
    let asked = lodge.start(&["tee", "a"]);
    lodge.answer_with("deny", &["--reason", "not on a Friday"]);
    refused(&asked.wait_with_output().unwrap(), "not on a Friday");
    let asked = lodge.start(&["tee", "a"]);
    lodge.answer("approve");
    let output = asked.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    assert!(text(&output.stderr).contains(add), "{output:?}");

    let requested = lodge.records("requested");
    assert!(requested.iter().all(|one| one["jail"] == "box"), "{requested:?}");
    assert!(requested.iter().all(|one| one["caller"]["uid"] == 1000), "{requested:?}");
    assert_eq!((requested.len(), lodge.records("started").len()), (10, 0));
    assert_eq!(lodge.records("approval_returned").len(), 1);
    // It is ended by its door all the same.
    assert_eq!(lodge.json(&["kill", "--jail", "box", "--json"])["containers"], 1);
}

#[test]
fn without_the_hosts_pids_a_ghost_has_the_volume_of_every_prisoner_of_its_jail() {
    let lodge = Lodge::new(&[], true);
    let work = |script: &str| {
        let output = lodge.prisoner.exec_with(&["-w", "/work"], &["/bin/sh", "-c", script]);
        text(&{ output }.output().unwrap().stdout)
    };
    work(
        "printf 'a\\nb\\n' >lines; mkdir -p sub; ln -s sub link; printf 'in\\n' >sub/lines; chmod 777 sub",
    );
    well(&lodge.run(&["tac", "lines"], b""), "b\na\n");
    well(&lodge.run(&["tac"], b"1\n2\n"), "2\n1\n");
    well(&lodge.run(&["touch", "made"], b""), "");
    assert_eq!(work("stat -c '%u:%g %a' made"), "1000:1000 600\n");
    assert_eq!(lodge.run(&["tac", "no-such-file"], b"").status.code(), Some(1));
    // What a person says yes or no to.
    let asked = lodge.start(&["nl", "lines"]);
    lodge.answer_with("deny", &["--reason", "not numbered"]);
    refused(&asked.wait_with_output().unwrap(), "not numbered");
    let asked = lodge.start(&["nl", "lines"]);
    lodge.answer("approve");
    let output = asked.wait_with_output().unwrap();
    assert!(text(&output.stdout).contains("1\ta"), "{output:?}");
    // It is where its caller says that it is, if that is a folder of the volume by a way without links.
    let at = |folder: &str| {
        let path = format!("PATH=/clawrden/bin:{PATH}");
        let options = ["-w", folder, "-e", &path];
        lodge.prisoner.exec_with(&options, &["tac", "lines"]).output().unwrap()
    };
    well(&at("/work/sub"), "in\n");
    refused(&at("/tmp"), "not shared with a ghost");
    let lying = format!("PATH=/clawrden/bin:{PATH}");
    let linked = ["-w", "/work", "-e", &lying];
    let script = "cd /work/link && exec tac lines";
    let output = lodge.prisoner.exec_with(&linked, &["/bin/sh", "-c", script]).output().unwrap();
    well(&output, "in\n");
    // Root is nobody here either.
    let root = ["-u", "0", "-w", "/work", "-e", &lying];
    let output = lodge.prisoner.exec_with(&root, &["tac", "lines"]).output().unwrap();
    refused(&output, "does not run as root");

    let started = lodge.records("started");
    assert!(started.iter().all(|one| one["executor"] == "ghost"), "{started:?}");
    assert!(lodge.records("requested").iter().all(|one| one["caller"]["container"].is_null()));
    until("no ghost to be left", || {
        let all = engine::get().docker().args(["ps", "-a", "--format", "{{.Names}}"]).output();
        let all = text(&all.unwrap().stdout);
        let of = |one: &Value| format!("clawrden-ghost-{}", one["id"].as_str().unwrap());
        started.iter().all(|one| !all.contains(&of(one))).then_some(())
    });

    // Whoever of the jail it is that asks: what not all of them have is nobody's.
    let other = engine::get()
        .container("debian13")
        .mount_read_only(Path::new(&lodge.door), "/run/clawrden")
        .start();
    refused(&lodge.run(&["tac", "lines"], b""), "`pid: host`");
    drop(other);
    well(&lodge.run(&["tac", "lines"], b""), "b\na\n");
    // The folder above leads to the same door.
    let format = ["volume", "inspect", "--format", "{{.Mountpoint}}", &lodge.door];
    let folder = text(&engine::get().docker().args(format).output().unwrap().stdout);
    let above = Path::new(folder.trim()).parent().unwrap();
    let far = engine::get().container("debian13").mount_read_only(above, "/mnt").start();
    refused(&lodge.run(&["tac", "lines"], b""), "`pid: host`");
    drop(far);
    well(&lodge.run(&["tac", "lines"], b""), "b\na\n");
    let odd = engine::get()
        .container("debian13")
        .mount_read_only(Path::new(&lodge.door), "/run/clawrden")
        .label("clawrden.jail", "another")
        .start();
    refused(&lodge.run(&["tac", "lines"], b""), "belongs to jail another");
    drop(odd);
}

#[test]
fn without_the_hosts_pids_a_paused_container_takes_every_ghost_along_that_may_be_its() {
    let lodge = Lodge::new(&[], true);
    let mut asked = lodge.start(&["tac"]);
    let ghost = until("the ghost to run", || {
        let all = lodge.json(&["ps", "--json"]);
        let one = all["entries"].as_array()?.first().filter(|one| one["state"] == "running")?;
        Some(format!("clawrden-ghost-{}", one["id"].as_str().unwrap()))
    });
    let is = |wanted: &str| {
        until(wanted, || {
            let state = engine::get().say(&["inspect", "--format", "{{.State.Status}}", &ghost]);
            (state.trim() == wanted).then_some(())
        });
    };
    let report = lodge.json(&["kill", "--pause", "--container", &lodge.prisoner.id, "--json"]);
    assert_eq!((&report["processes"], &report["containers"]), (&1.into(), &1.into()), "{report}");
    is("paused");
    let report = lodge.json(&["resume", "--container", &lodge.prisoner.id, "--json"]);
    assert_eq!((&report["processes"], &report["containers"]), (&1.into(), &1.into()), "{report}");
    is("running");
    asked.stdin.take().unwrap().write_all(b"1\n2\n").unwrap();
    well(&asked.wait_with_output().unwrap(), "2\n1\n");
}

#[test]
fn the_kill_switch_finds_who_has_the_door_by_a_volume_and_not_the_warden_itself() {
    let lodge = Lodge::new(&["--pid", "host"], true);
    let state = |container: &Container<'_>| {
        container.inspect()["State"]["Status"].as_str().unwrap().to_owned()
    };
    // It has no label and has asked for nothing.
    let report = lodge.json(&["kill", "--jail", "box", "--pause", "--json"]);
    assert_eq!(report["containers"], 1, "{report}");
    assert_eq!((state(&lodge.prisoner), state(&lodge.warden)), ("paused".into(), "running".into()));
    assert_eq!(lodge.json(&["resume", "--jail", "box", "--json"])["containers"], 1);
    assert_eq!(state(&lodge.prisoner), "running");
    let report = lodge.json(&["kill", "--jail", "box", "--json"]);
    assert_eq!(report["containers"], 1, "{report}");
    assert_eq!((state(&lodge.prisoner), state(&lodge.warden)), ("exited".into(), "running".into()));
}

#[test]
fn a_ghost_for_which_nothing_is_mounted_says_what_to_mount() {
    let lodge = Lodge::new(&["--pid", "host"], false);
    well(&lodge.run(&["wc", "-c"], b"123"), "3\n");
    let output = lodge.run(&["sort", "/dev/null"], b"");
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    let told = text(&output.stderr);
    assert!(told.contains("mount a volume at") && told.contains("/var/lib/clawrden"), "{told}");
}
