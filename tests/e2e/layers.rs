//! The ceiling over every policy of a host, and a repository's own file below them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};

use crate::support::etc::etc;
use crate::support::other::{by, can, is_root};
use crate::support::{House, clawrden, text, until};

const CEILING: &str = "
rules:
  - {command: touch, action: deny, reason: 'nobody touches here'}
  - {command: echo, action: allow}
";

/// A command line that puts `etc` in the place of /etc and becomes the rest of its words.
fn with_etc(etc: &Path) -> [&str; 6] {
    let script = "mount --bind \"$0\" /etc && exec \"$@\"";
    ["unshare", "--mount", "sh", "-c", script, etc.to_str().unwrap()]
}

#[test]
fn a_ceiling_holds_over_the_hosts_policy_and_over_that_of_a_run() {
    let etc = etc("ceiling.yaml", CEILING);
    let prefix = with_etc(etc.path());
    if !is_root() || !can(&prefix) {
        return;
    }
    let house = House::under(&prefix, "default_action: allow", &[]);
    let output = house.shimmed("touch").arg("made").output().unwrap();
    assert_eq!(output.status.code(), Some(126));
    let said = text(&output.stderr);
    assert!(said.contains("nobody touches here (ceiling.yaml:3)"), "{said}");
    assert_eq!(text(&house.shimmed("echo").arg("hello").output().unwrap().stdout), "hello\n");

    fs::write(house.path("own.yaml"), "default_action: allow\nrules: []").unwrap();
    let own = house.path("own.yaml");
    let mut run = clawrden();
    run.arg("--control").arg(house.control()).args(["run", "--quiet", "--tools", "touch,echo"]);
    run.arg("--policy").arg(own).args(["--", "sh", "-c", "env echo begun; env touch made"]);
    run.current_dir(house.dir.path()).env_remove("CLAWRDEN_SOCKET").stdin(Stdio::null());
    let output = run.output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(text(&output.stdout), "begun\n", "{said}");
    assert!(said.contains("nobody touches here"), "{said}");
    assert!(!house.path("made").exists());
}

#[test]
fn a_ceiling_that_comes_down_holds_at_once_also_over_a_run_with_a_policy_of_its_own() {
    let etc = etc("ceiling.yaml", "rules: []");
    let prefix = with_etc(etc.path());
    if !is_root() || !can(&prefix) {
        return;
    }
    let house = House::under(&prefix, "default_action: allow", &[]);
    until("the watches", || {
        (house.json(&["status", "--json"])["policy"]["watched"] == true).then_some(())
    });
    fs::write(house.path("own.yaml"), "default_action: allow\nrules: []").unwrap();
    let mut run = clawrden();
    run.arg("--control").arg(house.control()).args(["run", "--quiet", "--tools", "touch,echo"]);
    let script = "env touch one && env echo begun; read -r line; env touch two";
    run.arg("--policy").arg(house.path("own.yaml")).args(["--", "bash", "-c", script]);
    run.current_dir(house.dir.path()).env_remove("CLAWRDEN_SOCKET");
    let mut run =
        run.stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    until("the first file", || house.path("one").exists().then_some(()));
    let loads = || house.events("policy_loaded").len();
    let before = loads();
    fs::write(etc.path().join("clawrden/ceiling.yaml"), CEILING).unwrap();
    until("the ceiling in both jails", || (loads() >= before + 2).then_some(()));
    run.stdin.take().unwrap().write_all(b"\n").unwrap();
    let output = run.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert!(said.contains("nobody touches here (ceiling.yaml:3)"), "{said}");
    assert!(!house.path("two").exists());

    // Nor does one that is taken away stop to hold.
    fs::remove_file(etc.path().join("clawrden/ceiling.yaml")).unwrap();
    let gone = until("the error", || {
        let error = house.json(&["status", "--json"])["policy"]["error"].clone();
        (!error.is_null()).then_some(error)
    });
    assert!(gone["message"].as_str().unwrap().contains("is gone; put it back"), "{gone}");
    assert_eq!(house.shimmed("touch").arg("three").output().unwrap().status.code(), Some(126));
}

#[test]
fn under_a_ceiling_that_others_can_write_nothing_starts() {
    let etc = etc("ceiling.yaml", CEILING);
    let prefix = with_etc(etc.path());
    if !is_root() || !can(&prefix) {
        return;
    }
    let ceiling = etc.path().join("clawrden/ceiling.yaml");
    fs::set_permissions(ceiling, fs::Permissions::from_mode(0o666)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("policy.yaml"), "default_action: allow").unwrap();
    let mut warden = clawrden();
    warden.arg("warden").arg("--policy").arg(dir.path().join("policy.yaml"));
    warden.arg("--socket").arg(dir.path().join("warden.sock"));
    warden.arg("--control").arg(dir.path().join("control.sock"));
    warden.arg("--audit").arg(dir.path().join("ledger.jsonl"));
    let mut warden = by(&prefix, &warden);
    let mut warden = warden.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // One that started in spite of it would serve for ever.
    until("the end", || {
        warden.try_wait().unwrap().or_else(|| {
            assert!(!dir.path().join("warden.sock").exists());
            None
        })
    });
    let output = warden.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("others can write /etc/clawrden/ceiling.yaml"), "{said}");
    assert!(!dir.path().join("warden.sock").exists());
}

/// `clawrden run` in a folder with this `.clawrden.yaml`.
fn run_in_repository(own: &str, script: &str) -> Output {
    let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
    fs::write(dir.path().join("policy.yaml"), "rules: [{command: [echo, ls], action: allow}]")
        .unwrap();
    fs::write(dir.path().join(".clawrden.yaml"), own).unwrap();
    let mut run = clawrden();
    run.arg("--control").arg(dir.path().join("control.sock"));
    run.args(["run", "--quiet", "--tools", "echo,ls,touch", "--policy", "policy.yaml"]);
    run.args(["--", "sh", "-c", script]).stdin(Stdio::null());
    run.current_dir(dir.path()).env_remove("CLAWRDEN_SOCKET").output().unwrap()
}

#[test]
fn a_repositorys_own_file_narrows_the_run_and_widens_nothing() {
    let own = "rules: [{command: ls, action: deny, reason: 'no looking'}, {command: touch, action: allow}]";
    let output = run_in_repository(
        own,
        "env echo begun; env ls; env touch made; test ! -e made && env echo clean",
    );
    let said = text(&output.stderr);
    assert_eq!(text(&output.stdout), "begun\nclean\n", "{said}");
    assert!(said.contains("no looking (.clawrden.yaml:1)"), "{said}");
}

#[test]
fn a_repositorys_own_file_that_would_give_something_starts_no_run() {
    let own = "rules: [{command: ls, action: allow, executor: local}]";
    let output = run_in_repository(own, "echo begun");
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""));
    let said = text(&output.stderr);
    assert!(said.contains("can only narrow") && said.contains(".clawrden.yaml:1:38"), "{said}");
}
