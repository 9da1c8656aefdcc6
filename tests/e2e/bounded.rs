//! `limits` on what a command uses: memory, processors, processes and output, kept to by the kernel and the runner.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::other::{Home, all_gone, can, is_root, status_number};
use crate::support::{House, client, text, until};

/// `sh` runs on the warden's side, `bash` in the prisoner.
const POLICY: &str = "
default_action: allow
on_unparsed: allow
rules:
  - {command: sh, action: allow, executor: local, limits: {memory: 64m, pids: 8, cpus: 1.5}}
  - {command: bash, action: allow, timeout: 1m, limits: {memory: 64m, pids: 8, cpus: 1.5}}
  - {command: [yes, printf], action: allow, executor: local, limits: {output: 100k}}
  - {command: env, action: allow, limits: {output: 4k}}
  - {command: tee, action: allow, executor: local, limits: {memory: 64m, concurrent: 1}}
";

const SHELLS: [(&str, &str); 2] = [("sh", "clawrden.run."), ("bash", "clawrden.handoff.")];

/// A warden that can limit what it runs, where it can: with version 2 of cgroups alone, it has to be alone in its own.
fn warden(extra: &[&str]) -> House {
    let scope = ["systemd-run", "--scope", "--quiet", "--collect", "--property=Delegate=yes", "--"];
    let is_second = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let prefix = if is_second && is_root() && can(&scope) { &scope[..] } else { &[] };
    House::under(prefix, POLICY, extra)
}

/// Those of [`SHELLS`] that it can limit here.
fn shells(house: &House) -> &'static [(&'static str, &'static str)] {
    let told =
        house.event("warden_started")["methods"]["cgroup_limits"].as_str().unwrap().to_owned();
    let has = |version| {
        ["memory", "cpu", "pids"].iter().all(|c| told.contains(&format!("{c} {version}")))
    };
    if !is_root() || !(has("v1") || has("v2")) {
        eprintln!("not tried: nothing can be limited here ({told})");
        return &[];
    }
    if has("v1") {
        return &SHELLS;
    }
    // What is handed off would have its cgroup below its caller's, which has processes in it and passes nothing on.
    let output = run(house, "bash", "echo ran");
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), &*output.stdout), (Some(126), &b""[..]), "{said}");
    assert!(said.contains(" does not pass it on; give the rule `executor: ghost` or "), "{said}");
    &SHELLS[..1]
}

fn run(house: &House, shell: &str, script: &str) -> Output {
    house.shimmed(shell).args(["-c", script]).output().unwrap()
}

#[test]
fn one_after_the_other_what_is_bounded_never_meets_how_many_run_at_once() {
    let house = warden(&[]);
    if shells(&house).is_empty() {
        return;
    }
    for round in 0..20 {
        let output = house.shimmed("tee").stdin(std::process::Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{round}: {}", text(&output.stderr));
    }
}

fn finished(house: &House, shell: &str) -> Value {
    let asked = house.record("the request", |r| r["event"] == "requested" && r["argv"][0] == shell);
    house.record("its end", |r| r["event"] == "finished" && r["id"] == asked["id"])
}

/// The cgroup of every hierarchy that a process is in, as far as it is one of ours.
fn cgroups(text: &str) -> Vec<PathBuf> {
    let place = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (names, path) = (parts.next()?, parts.next()?.trim_start_matches('/').to_owned());
        let name = if names.is_empty() { "unified" } else { names };
        let mounted = Path::new("/sys/fs/cgroup").join(name);
        let mount = if mounted.exists() { mounted } else { "/sys/fs/cgroup".into() };
        path.contains("clawrden.").then(|| mount.join(path))
    };
    text.lines().filter_map(place).collect()
}

fn read(places: &[PathBuf], files: &[&str]) -> String {
    let all = places.iter().flat_map(|place| files.iter().map(move |file| place.join(file)));
    let found = all.filter_map(|path| std::fs::read_to_string(path).ok()).next();
    found.unwrap_or_else(|| panic!("{files:?} is nowhere in {places:?}")).trim().to_owned()
}

#[test]
fn a_command_is_in_cgroups_with_its_limits_from_its_first_step_and_they_go_with_it() {
    let house = warden(&[]);
    for &(shell, name) in shells(&house) {
        let mut command = house.shimmed(shell);
        command.args(["-c", "/bin/cat /proc/self/cgroup; read -r line"]);
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = String::new();
        let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
        while !lines.contains("0::") {
            assert_ne!(std::io::BufRead::read_line(&mut stdout, &mut lines).unwrap(), 0, "{lines}");
        }
        let places = cgroups(&lines);
        assert!(
            !places.is_empty() && places.iter().all(|place| place.to_str().unwrap().contains(name)),
            "{lines}"
        );
        assert_eq!(read(&places, &["pids.max"]), "8", "{shell}");
        assert_eq!(read(&places, &["memory.limit_in_bytes", "memory.max"]), (64 << 20).to_string());
        let cpu = read(&places, &["cpu.cfs_quota_us", "cpu.max"]);
        assert!(cpu.starts_with("150000"), "{cpu}");
        drop(child.stdin.take());
        child.wait().unwrap();
        until("nothing to be left", || places.iter().all(|place| !place.exists()).then_some(()));
    }
}

#[test]
fn what_a_crashed_warden_ran_is_ended_by_the_next_one_and_its_cgroups_go() {
    let mut house = warden(&["--grace", "1s"]);
    if shells(&house).is_empty() {
        return;
    }
    let mut command = house.shimmed("sh");
    command.args(["-c", "echo $$; exec /bin/sleep 97"]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    let tool = line.trim();
    let places = cgroups(&std::fs::read_to_string(format!("/proc/{tool}/cgroup")).unwrap());
    // The leaf by which the tree is ended.
    let leaf = house.event("warden_started")["methods"]["cgroup"].as_str().unwrap().to_owned();
    assert!(places.iter().any(|place| place.starts_with(&leaf)), "{places:?} {leaf}");
    // A runner that stands does not see that its warden has gone.
    let runner = status_number(tool.parse().unwrap(), "PPid");
    let signal = |name: &str| {
        Command::new("kill").args([name, &runner.to_string()]).status().unwrap();
    };
    signal("-STOP");
    house.crash();
    assert!(places.iter().all(|place| place.exists()));
    house.restart();
    all_gone(&[tool.to_owned()]);
    until("their cgroups to go", || places.iter().all(|place| !place.exists()).then_some(()));
    child.wait().unwrap();
}

#[test]
fn who_wants_more_memory_is_ended_and_the_ledger_says_why() {
    let house = warden(&[]);
    for &(shell, _) in shells(&house) {
        let hog = "x=$(/usr/bin/head -c 300000000 /dev/zero | /usr/bin/tr '\\0' x); echo ${#x}";
        let output = run(&house, shell, hog);
        assert!(
            !text(&output.stdout).contains("300000000") && !output.status.success(),
            "{output:?}"
        );
        let end = finished(&house, shell);
        assert_eq!(
            end["error"], "it wanted more than the 67108864 bytes of memory that it may use",
            "{end}"
        );
        assert_eq!(run(&house, shell, "echo fine").stdout, b"fine\n");
    }
}

#[test]
fn who_forks_without_end_gets_no_further_than_its_limit_and_no_child_gets_away() {
    let house = warden(&[]);
    for (at, &(shell, name)) in shells(&house).iter().enumerate() {
        // A time that no other process sleeps.
        let time = format!("4.0{}{at}", std::process::id());
        let sleepers = || {
            let all = std::fs::read_dir("/proc").unwrap().flatten();
            let of_it = all.filter(|entry| {
                let words = std::fs::read_to_string(entry.path().join("cmdline"));
                words.is_ok_and(|words| words == format!("/bin/sleep\0{time}\0"))
            });
            of_it.map(|entry| entry.path()).collect::<Vec<PathBuf>>()
        };
        let bomb = format!(
            "i=0; while [ $i -lt 40 ]; do (/usr/bin/setsid /bin/sleep {time} >/dev/null 2>&1 &) 2>/dev/null; i=$((i+1)); done"
        );
        let mut child = house
            .shimmed(shell)
            .args(["-c", &bomb])
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        let mut most = 0;
        while began.elapsed() < Duration::from_secs(2) {
            let found = sleepers();
            most = most.max(found.len());
            for process in found {
                let group = std::fs::read_to_string(process.join("cgroup")).unwrap_or_default();
                assert!(group.is_empty() || group.contains(name), "{group}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!((1..=8).contains(&most), "{shell}: {most}");
        // Some shells try to fork again and again.
        child.kill().unwrap();
        child.wait().unwrap();
        until("the sleepers to end", || sleepers().is_empty().then_some(()));
    }
}

#[test]
fn who_writes_more_than_it_may_is_ended_with_its_own_sentence() {
    let house = House::new(POLICY);
    let output = house.shimmed("yes").output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("the command wrote more than it may and was ended"));
    assert_eq!(output.stdout, b"y\n".repeat(51_200));
    let end = finished(&house, "yes");
    assert_eq!(end["error"], "it wrote more than the 102400 bytes that it may");
    assert_eq!(end["bytes_out"], 102_401, "{end}");
    let output = house.shimmed("printf").arg("fine").output().unwrap();
    assert_eq!((output.stdout, output.status.code()), (b"fine".to_vec(), Some(0)));
    let old = client::ask(&house.socket(), &client::header("yes", &[], house.dir.path()));
    assert_eq!((old.acks, old.exit), (vec![0], Some(125)));
    assert_eq!(old.stdout.len(), 102_400);
}

#[test]
fn output_that_cannot_be_counted_where_the_command_runs_is_refused_with_what_to_do() {
    let house = House::new(POLICY);
    let output = house.shimmed("env").output().unwrap();
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(126), 0), "{said}");
    assert!(said.contains("limited in its output") && said.contains("executor: local"), "{said}");
}

#[test]
fn a_warden_that_may_make_no_cgroups_runs_nothing_that_they_would_limit() {
    let home = Home::new(POLICY);
    let house = &home.house;
    let shimmed = |tool: &str| {
        let mut command = home.command(house.bin().join(tool));
        command.arg0(tool).env("CLAWRDEN_SOCKET", house.socket());
        command
    };
    for (shell, _) in SHELLS {
        let mut command = shimmed(shell);
        let output = command.args(["-c", "echo ran"]).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(
            (output.status.code(), text(&output.stdout)),
            (Some(126), String::new()),
            "{said}"
        );
        assert!(
            said.contains("its memory cannot be limited here by the cgroup controller `memory`: "),
            "{said}"
        );
        assert!(said.contains("executor: ghost") && said.lines().count() == 1, "{said}");
    }
    assert!(house.ledger().iter().all(|record| record["event"] != "started"));
    let mut command = shimmed("printf");
    assert_eq!(command.arg("fine").output().unwrap().stdout, b"fine");
}
