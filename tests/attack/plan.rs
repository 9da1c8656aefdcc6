//! What runs is what was decided on: nothing that changes between the question and the answer gets in.

use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::support::other::Home;
use crate::support::{House, raw, text, until};
use crate::{nothing_started, write_tool};

const POLICY: &str = "
default_action: deny
rules:
  - {command: mirrored, action: ask}
  - {command: local, action: ask, executor: local}
  - {command: env, action: allow, executor: local}
  - {command: touch, action: allow, executor: local}
  - {command: echo, action: allow}
  - {command: [git, ls], action: allow}
  - {command: cat, action: deny}
";

/// What every tool of ours does: it says that it was the good one.
const GOOD: &str = "#!/bin/sh\necho good; pwd; echo ran >> \"$MARK\"\n";
const EVIL: &str = "#!/bin/sh\necho evil; echo evil >> \"$MARK\"\n";

/// A house in which `mirrored` and `local` lie in a folder that the prisoner's first PATH has.
struct Stage {
    house: House,
    tools: PathBuf,
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
        let tools = dir.path().join("tools");
        for name in ["mirrored", "local", "git"] {
            write_tool(&tools, name, GOOD);
        }
        let path = format!("PATH={}:{}", tools.display(), std::env::var("PATH").unwrap());
        let house = House::within(dir, &["env", &path], POLICY, &[]);
        let names = ["mirrored", "local", "git", "echo"];
        let made = house.cli(&[&["shims", house.bin().to_str().unwrap()][..], &names].concat());
        assert!(made.status.success(), "{}", text(&made.stderr));
        Self { house, tools }
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = self.house.shimmed(name);
        let usual = std::env::var("PATH").unwrap();
        let path = format!("{}:{}:{usual}", self.house.bin().display(), self.tools.display());
        command.env("PATH", path).env("MARK", self.house.path("mark"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// One that waits for a person.
    fn waiting(&self, command: &mut Command) -> (Child, String) {
        let child = command.spawn().unwrap();
        (child, self.house.pending()["short"].as_str().unwrap().to_owned())
    }

    /// Approves, and sees that it is refused because of the change.
    fn refused_after_approval(&self, child: Child, short: &str) {
        assert!(self.house.cli(&["approve", short]).status.success());
        let output = child.wait_with_output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(126), "{said} {}", text(&output.stdout));
        assert!(said.contains("changed after approval"), "{said}");
        assert!(!self.house.path("mark").exists());
        nothing_started(&self.house);
    }

    /// Leaves a request behind and approves it without its caller.
    fn parked_and_approved(&self, command: &mut Command) {
        let (mut child, short) = self.waiting(command);
        child.kill().unwrap();
        child.wait().unwrap();
        let parked = || (self.house.pending()["callers"] == 0).then_some(());
        until("the entry to be parked", parked);
        assert!(self.house.cli(&["approve", &short]).status.success());
    }

    /// Whoever asks after that is asked about again.
    fn asked_again(&self, command: &mut Command) {
        let (mut child, _) = self.waiting(command);
        nothing_started(&self.house);
        assert!(!self.house.path("mark").exists());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn an_executable_that_is_replaced_while_it_waits_does_not_run() {
    for name in ["mirrored", "local"] {
        let stage = Stage::new();
        let (child, short) = stage.waiting(&mut stage.tool(name));
        write_tool(&stage.tools, name, EVIL);
        stage.refused_after_approval(child, &short);
    }
}

#[test]
fn an_executable_that_is_rewritten_in_place_does_not_run() {
    let stage = Stage::new();
    let (child, short) = stage.waiting(&mut stage.tool("mirrored"));
    fs::write(stage.tools.join("mirrored"), EVIL).unwrap();
    stage.refused_after_approval(child, &short);
}

#[test]
fn an_executable_that_is_replaced_by_a_link_does_not_run() {
    let stage = Stage::new();
    let (child, short) = stage.waiting(&mut stage.tool("local"));
    write_tool(&stage.house.path("other"), "local", EVIL);
    fs::remove_file(stage.tools.join("local")).unwrap();
    symlink(stage.house.path("other/local"), stage.tools.join("local")).unwrap();
    stage.refused_after_approval(child, &short);
}

#[test]
fn an_interpreter_that_is_replaced_while_a_script_waits_does_not_run() {
    for name in ["mirrored", "local"] {
        let stage = Stage::new();
        let folder = stage.house.path("interpreters");
        fs::create_dir(&folder).unwrap();
        fs::copy("/bin/sh", folder.join("sh")).unwrap();
        let line = format!("#!{}\n", folder.join("sh").display());
        write_tool(&stage.tools, name, &format!("{line}echo harmless\n"));
        let (child, short) = stage.waiting(&mut stage.tool(name));
        let entry = stage.house.pending();
        assert_eq!(entry["sha256"].as_str().map(str::len), Some(64), "{entry}");
        write_tool(&folder, "sh", EVIL);
        stage.refused_after_approval(child, &short);
    }
}

#[test]
fn an_interpreter_that_was_not_there_when_a_person_was_asked_does_not_run() {
    for (name, is_absolute) in [("mirrored", true), ("mirrored", false), ("local", false)] {
        let stage = || {
            let stage = Stage::new();
            let folder = stage.house.path("interpreters");
            fs::create_dir(&folder).unwrap();
            let place = if is_absolute { folder.to_str().unwrap() } else { "." };
            write_tool(&stage.tools, name, &format!("#!{place}/i\n"));
            (stage, folder)
        };
        let (waiting, folder) = stage();
        let (child, short) = waiting.waiting(waiting.tool(name).current_dir(&folder));
        write_tool(&folder, "i", EVIL);
        waiting.refused_after_approval(child, &short);

        let (parked, folder) = stage();
        parked.parked_and_approved(parked.tool(name).current_dir(&folder));
        write_tool(&folder, "i", EVIL);
        parked.asked_again(parked.tool(name).current_dir(&folder));
    }
}

#[test]
fn an_approval_that_is_kept_is_for_the_file_that_was_approved() {
    for name in ["mirrored", "local"] {
        let stage = Stage::new();
        stage.parked_and_approved(&mut stage.tool(name));
        write_tool(&stage.tools, name, EVIL);
        stage.asked_again(&mut stage.tool(name));
    }
}

#[test]
fn a_working_directory_that_is_swapped_while_it_waits_is_noticed() {
    for (name, by_link) in [("mirrored", false), ("local", false), ("mirrored", true)] {
        let stage = Stage::new();
        let [work, other] = ["work", "other"].map(|name| stage.house.path(name));
        fs::create_dir(&work).unwrap();
        fs::create_dir(&other).unwrap();
        let (child, short) = stage.waiting(stage.tool(name).current_dir(&work));
        fs::rename(&work, stage.house.path("away")).unwrap();
        if by_link {
            symlink(&other, &work).unwrap();
        } else {
            fs::rename(&other, &work).unwrap();
        }
        stage.refused_after_approval(child, &short);
    }
}

#[test]
fn an_approval_that_is_kept_is_for_the_directory_that_was_approved() {
    let stage = Stage::new();
    let [work, other] = ["work", "other"].map(|name| stage.house.path(name));
    fs::create_dir(&work).unwrap();
    fs::create_dir(&other).unwrap();
    stage.parked_and_approved(stage.tool("mirrored").current_dir(&work));
    fs::rename(&work, stage.house.path("away")).unwrap();
    fs::rename(&other, &work).unwrap();
    stage.asked_again(stage.tool("mirrored").current_dir(&work));
}

#[test]
fn a_tool_that_appears_earlier_on_path_while_it_waits_is_not_taken() {
    for name in ["mirrored", "local"] {
        let stage = Stage::new();
        let early = stage.house.path("early");
        fs::create_dir(&early).unwrap();
        let mut command = stage.tool(name);
        let path = format!("{}:{}:/usr/bin:/bin", early.display(), stage.tools.display());
        let (child, short) = stage.waiting(command.env("PATH", path));
        write_tool(&early, name, EVIL);
        assert!(stage.house.cli(&["approve", &short]).status.success());
        let output = child.wait_with_output().unwrap();
        assert!(text(&output.stdout).starts_with("good\n"), "{output:?}");
    }
}

#[test]
fn another_directory_than_the_one_that_was_judged_is_not_entered() {
    let house = House::new(POLICY);
    let elsewhere = house.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let mut stream = raw::connect(&house.socket());
    let request = raw::request(house.dir.path(), &["touch", "mark"], &raw::path());
    stream.write_all(&request).unwrap();
    assert_eq!(raw::ack(&mut stream), Some(0));
    assert_eq!(raw::frame(&mut stream).unwrap().0, 37);
    raw::send_descriptors(&stream, fs::File::open(&elsewhere).unwrap().as_fd());
    let (kind, payload) = raw::frame(&mut stream).unwrap();
    let said = text(&payload);
    assert!(kind == 39 && payload[0] == 125 && said.contains("changed"), "{kind} {said}");
    assert!(!elsewhere.join("mark").exists() && !house.path("mark").exists());
}

#[test]
fn a_local_run_never_has_the_callers_environment() {
    let house = House::new(POLICY);
    let planted = [
        ("LD_PRELOAD", "/nowhere.so"),
        ("LD_LIBRARY_PATH", "/nowhere"),
        ("BASH_ENV", "/nowhere"),
        ("GIT_SSH_COMMAND", "evil"),
        ("PYTHONPATH", "/nowhere"),
        ("NODE_OPTIONS", "--require /nowhere"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("SOME_THING", "x"),
        ("BASH_FUNC_ls%%", "() { evil; }"),
    ];
    // Dangerous ones turn an allow into an ask: here the person has said yes.
    let mut command = house.shimmed("env");
    let child = command.envs(planted).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = child.spawn().unwrap();
    let entry = house.pending();
    assert!(entry["noticed"].to_string().contains("LD_PRELOAD"), "{entry}");
    assert!(house.cli(&["approve", entry["short"].as_str().unwrap()]).status.success());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let seen = text(&output.stdout);
    let stripped = house.event("started")["stripped"].clone();
    for (name, _) in planted {
        assert!(!seen.contains(name), "{name} came through: {seen}");
        let told = stripped.as_array().unwrap().iter().any(|told| told == name);
        assert!(told, "{name} is not in {stripped}");
    }
    let trusted = format!("PATH={}\n", std::env::var("PATH").unwrap());
    assert!(seen.contains(&trusted), "{seen}");
}

#[test]
fn a_variable_that_redirects_a_tool_turns_allow_into_ask() {
    for (tool, name, value) in [
        ("echo", "LD_PRELOAD", "/nowhere.so"),
        ("echo", "LD_AUDIT", "/nowhere.so"),
        ("git", "GIT_SSH_COMMAND", "evil"),
        ("git", "GIT_EXTERNAL_DIFF", "evil"),
        ("git", "BASH_FUNC_ls%%", "() { evil; }"),
    ] {
        let stage = Stage::new();
        let mut command = stage.tool(tool);
        let (mut child, _) = stage.waiting(command.env(name, value));
        let entry = stage.house.pending();
        assert!(entry["noticed"].to_string().contains(name), "{entry}");
        let decided = stage.house.event("decided");
        assert!(decided["noticed"].to_string().contains(name), "{decided}");
        nothing_started(&stage.house);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_variable_never_turns_deny_into_anything() {
    let house = House::new(POLICY);
    let output = house.shimmed("cat").env("LD_PRELOAD", "/nowhere.so").output().unwrap();
    assert_eq!(output.status.code(), Some(126));
    assert_eq!(house.json(&["queue", "--json"])["entries"], serde_json::json!([]));
}

#[test]
fn a_variable_that_comes_twice_is_judged_by_what_the_tool_would_see() {
    let house = House::new(POLICY);
    // The first one is what a program sees, the second what some see; either is a fact.
    for env in
        [["LD_PRELOAD=/nowhere.so", "LD_PRELOAD="], ["LD_PRELOAD=", "LD_PRELOAD=/nowhere.so"]]
    {
        let mut all: Vec<String> = raw::path();
        all.extend(env.map(str::to_owned));
        let mut stream = raw::connect(&house.socket());
        stream.write_all(&raw::request(house.dir.path(), &["echo", env[0]], &all)).unwrap();
        assert_eq!(raw::ack(&mut stream), Some(2), "{env:?}");
    }
}

#[test]
fn a_tool_from_a_folder_of_the_prisoners_own_never_runs_on_the_wardens_side() {
    let house = House::new(POLICY);
    write_tool(&house.path("mine"), "touch", EVIL);
    let path = format!("{}:/usr/bin:/bin", house.path("mine").display());
    for command in [
        house.shimmed("touch").env("PATH", &path),
        house.shimmed("touch").env("PATH", "mine:/usr/bin"),
        house.shimmed("touch").env("PATH", ":/usr/bin").current_dir(house.path("mine")),
    ] {
        let mark = house.path("mark");
        let output = command.env("MARK", &mark).arg(&mark).output().unwrap();
        assert!(!output.status.success(), "{output:?}");
        assert!(!mark.exists(), "{}", text(&output.stderr));
    }
    nothing_started(&house);
}

#[test]
fn an_approved_tool_has_the_path_that_an_allowed_one_has() {
    let policy = "jails: {one: {commands: [sh]}}\nrules:\n  - {command: sh, args: ['-c asked*'], \
                  action: ask}\n  - {command: sh, action: allow}\n";
    let home = Home::new(policy);
    let tool = |script: &str| {
        let mut sh = home.shimmed("one", "sh");
        sh.args(["-c", script]).env("PATH", "/usr/bin:/bin").stdout(Stdio::piped());
        sh.spawn().unwrap()
    };
    let allowed = tool("echo $PATH").wait_with_output().unwrap();
    let asked = tool("asked=1; echo $PATH");
    let short = home.pending()["short"].as_str().unwrap().to_owned();
    assert!(home.clawrden().args(["approve", &short]).status().unwrap().success());
    let asked = asked.wait_with_output().unwrap();
    assert!(text(&allowed.stdout).ends_with(":/usr/bin:/bin\n"), "{allowed:?}");
    assert_eq!(text(&asked.stdout), text(&allowed.stdout));
}

#[test]
fn only_the_decision_makes_a_plan_that_may_run() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../warden/src");
    let mut folders = vec![PathBuf::from(root)];
    let mut makers = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            // What watchers of an approval are told has the same name.
            let text = fs::read_to_string(&path).unwrap();
            let text = text.replace("Told::Approved {", "");
            if text.contains("Approved {") && !text.contains("enum Told {") {
                makers.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    assert_eq!(makers, ["decision.rs"]);
    let decision = fs::read_to_string(format!("{root}/decision.rs")).unwrap();
    let (_, fields) = decision.split_once("struct Approved {").unwrap();
    let (fields, _) = fields.split_once("\n}").unwrap();
    assert!(!fields.contains("pub"), "whoever reaches its fields can make another: {fields}");
}
