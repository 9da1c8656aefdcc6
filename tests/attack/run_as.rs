//! `run_as`: a command that a rule runs as a user of the warden's host. The caller has a say in its arguments and its
//! streams, and in nothing else.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::other::{Home, UID, by, can, is_root, open_to_others};
use crate::support::{House, text};
use crate::{nothing_started, write_tool};

/// A user that every Linux has, and that is nobody.
const NOBODY: u32 = 65534;

const POLICY: &str = "
default_action: allow
on_unparsed: allow
rules:
  - {command: touch, action: allow, executor: local}
  - {command: [id, sh, cat, pwd], action: allow, executor: local, run_as: nobody}
  - {command: head, action: allow, executor: local, run_as: no-such-user}
  - {command: rm, action: ask, executor: local, run_as: nobody}
";

/// The ways into other namespaces that this machine has.
fn elsewhere() -> Vec<Vec<&'static str>> {
    let ways: [&[&str]; 4] = [
        &["unshare", "-Urm"],
        &["unshare", "-Ur"],
        &["unshare", "-m"],
        &["bwrap", "--dev-bind", "/", "/", "--unshare-pid", "--proc", "/proc"],
    ];
    ways.into_iter().filter(|way| can(way)).map(<[_]>::to_vec).collect()
}

/// A house that its own namespace's others may look into; `None` where the warden cannot be root.
fn house(policy: &str) -> Option<House> {
    if !is_root() {
        eprintln!("not root: only that it is refused can be tried");
        a_warden_that_is_not_root_runs_nothing_as_another_user();
        return None;
    }
    let house = House::new(policy);
    open_to_others(&house);
    Some(house)
}

fn run(prefix: &[&str], command: &Command) -> Output {
    by(prefix, command).stdin(Stdio::null()).output().unwrap()
}

fn is_refused(output: &Output, what: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(126), "{said}");
    assert!(said.contains(what), "{what}: {said}");
}

#[test]
fn a_caller_elsewhere_gets_local_only_as_the_user_that_the_rule_names() {
    let Some(house) = house(POLICY) else { return };
    for way in elsewhere() {
        let output = run(&way, house.shimmed("touch").arg(house.path("mark")));
        is_refused(&output, "namespace");
        let output = run(&way, house.shimmed("id").arg("-u"));
        assert_eq!(text(&output.stdout), format!("{NOBODY}\n"), "{way:?}: {output:?}");
    }
    assert!(!house.path("mark").exists());
    let started = house.event("started");
    assert_eq!(started["run_as"]["uid"], NOBODY, "{started}");
    assert_eq!(started["run_as"]["user"], "nobody", "{started}");
    let history = house.json(&["history", "--command", "id", "--json"]);
    assert_eq!(history["entries"][0]["run_as"], "nobody", "{history}");
    let shown = house.cli(&["history", "--command", "id"]);
    assert!(text(&shown.stdout).contains("exit 0, as nobody"), "{shown:?}");
    let decided = house.record("the decision", |record| record["run_as"] == "nobody");
    assert_eq!(decided["decision"], "allow", "{decided}");
}

#[test]
fn uid_0_of_a_user_namespace_gets_no_root_by_it() {
    let Some(house) = house(POLICY) else { return };
    if !can(&["unshare", "-Ur"]) {
        return;
    }
    let script =
        "id -u; grep -E '^(CapEff|CapPrm)' /proc/self/status; cat /etc/shadow && echo read";
    let output = run(&["unshare", "-Ur"], house.shimmed("sh").args(["-c", script]));
    let said = text(&output.stdout);
    let wanted = format!("{NOBODY}\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n");
    assert_eq!(said, wanted, "{output:?}");
}

#[test]
fn the_hosts_file_runs_in_the_hosts_folder_and_not_the_callers() {
    let Some(house) = house(POLICY) else { return };
    if !can(&["unshare", "-Urm"]) {
        return;
    }
    fs::write(house.path("word"), "the host's\n").unwrap();
    let evil = house.path("evil");
    write_tool(&evil, "cat", "#!/bin/sh\necho 'the prisoner has run'\n");
    write_tool(&evil, "word", "the prisoner's\n");
    // Another tool where the host's lies, another file in the folder, a PATH that leads elsewhere.
    let script = "mount --bind evil/cat /usr/bin/cat && mount --bind evil/word word && \
                  PATH=$PWD/bin:$PWD/evil:$PATH exec -a /tmp/odd bin/cat word ../$(basename $PWD)/word";
    let mut shell = Command::new("/bin/bash");
    house.governed(shell.args(["-c", script]));
    let output = run(&["unshare", "-Urm"], &shell);
    assert_eq!(text(&output.stdout), "the host's\nthe host's\n", "{output:?}");
    let started = house.event("started");
    assert_eq!(started["run_as"]["executable"], "/usr/bin/cat", "{started}");
    let dir = fs::canonicalize(house.dir.path()).unwrap();
    assert_eq!(started["run_as"]["cwd"], dir.to_str().unwrap(), "{started}");
}

#[test]
fn a_caller_whose_root_has_no_such_tool_gets_the_hosts() {
    let Some(house) = house(POLICY) else { return };
    let output = Command::new("chroot")
        .arg(house.dir.path())
        .args(["/bin/id", "-u"])
        .env("PATH", "/usr/bin:/usr/sbin:/bin:/sbin")
        .env("CLAWRDEN_SOCKET", "/warden.sock")
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), format!("{NOBODY}\n"), "{output:?}");
    // One that no rule runs as somebody is as absent as ever.
    let output = Command::new("chroot")
        .arg(house.dir.path())
        .arg("/bin/touch")
        .env("PATH", "/usr/bin:/usr/sbin:/bin:/sbin")
        .env("CLAWRDEN_SOCKET", "/warden.sock")
        .output()
        .unwrap();
    assert!(matches!(output.status.code(), Some(126 | 127)), "{output:?}");
}

#[test]
fn a_folder_that_the_host_has_not_or_the_user_may_not_enter_runs_nothing() {
    let Some(house) = house(POLICY) else { return };
    if can(&["unshare", "-Urm"]) {
        let script = "mount -t tmpfs none /mnt && mkdir -p /mnt/made/here && cd /mnt/made/here && exec \"$0\"";
        let mut shell = Command::new("/bin/sh");
        house.governed(shell.args(["-c", script]).arg(house.bin().join("pwd")));
        let output = run(&["unshare", "-Urm"], &shell);
        is_refused(&output, "/mnt/made/here is no directory on the warden's host");
    }
    nothing_started(&house);
    // Open itself, below one that is not.
    let inner = house.path("closed/open");
    fs::create_dir_all(&inner).unwrap();
    fs::set_permissions(house.path("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    let output = house.shimmed("pwd").current_dir(&inner).output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    assert!(text(&output.stderr).contains("cannot be entered"), "{output:?}");
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn a_user_that_is_not_known_runs_nothing() {
    let Some(house) = house(POLICY) else { return };
    for way in [vec!["timeout", "30"], vec!["unshare", "-Ur"]].into_iter().filter(|way| can(way)) {
        is_refused(&run(&way, &house.shimmed("head")), "there is no user `no-such-user`");
    }
    nothing_started(&house);
    assert_eq!(house.event("decided")["decision"], "deny");
}

#[test]
fn nothing_of_the_callers_rides_along_but_arguments_and_streams() {
    let Some(house) = house(POLICY) else { return };
    let script = "umask; ulimit -n; echo $0; echo $HOME $USER $LOGNAME; echo $PATH; cat; id -G; \
                  readlink /proc/self/fd/7; trap";
    let mut outer = Command::new("/bin/bash");
    let inner = "umask 000; ulimit -n 77; exec 7</dev/zero; echo streamed | (exec -a /tmp/evil/sh \"$0\" -c \"$1\")";
    outer.args(["-c", inner]).arg(house.bin().join("sh")).arg(script);
    house.governed(&mut outer).env("HOME", "/evil").env("USER", "root").env("LOGNAME", "root");
    let output = outer.output().unwrap();
    let said = text(&output.stdout);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 8, "{output:?}");
    assert_eq!(lines[0], "0022");
    assert_ne!(lines[1], "77");
    assert_eq!(lines[2], "sh");
    let nobody = text(&Command::new("getent").args(["passwd", "nobody"]).output().unwrap().stdout);
    let home = nobody.trim().split(':').nth(5).unwrap();
    assert_eq!(lines[3], format!("{home} nobody nobody"));
    assert_eq!(lines[4], "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    assert_eq!(lines[5], "streamed");
    let groups = text(&Command::new("id").args(["-G", "nobody"]).output().unwrap().stdout);
    assert_eq!(lines[6], groups.trim());
    assert_eq!(lines[7], "/dev/zero");
}

#[test]
fn a_person_sees_who_runs_what_and_approves_that() {
    let Some(house) = house(POLICY) else { return };
    let folder = house.path("theirs");
    fs::create_dir(&folder).unwrap();
    chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
    fs::write(folder.join("file"), "").unwrap();
    let mut waiting = house.shimmed("rm").arg(folder.join("file")).spawn().unwrap();
    let entry = house.pending();
    assert_eq!(
        (&entry["run_as"], &entry["executor"]),
        (&"nobody".into(), &"local".into()),
        "{entry}"
    );
    assert_eq!(entry["executable"], fs::canonicalize("/usr/bin/rm").unwrap().to_str().unwrap());
    assert!(text(&house.cli(&["queue"]).stdout).contains("as nobody"), "{entry}");
    assert!(house.cli(&["approve", entry["short"].as_str().unwrap()]).status.success());
    assert!(waiting.wait().unwrap().success());
    assert!(!folder.join("file").exists());
    assert_eq!(house.event("started")["run_as"]["uid"], NOBODY);
}

#[test]
fn a_warden_that_is_not_root_runs_nothing_as_another_user() {
    let home = Home::new(
        "rules:
  - {command: id, action: allow, executor: local, run_as: nobody}
  - {command: sh, action: allow, executor: local, run_as: root}",
    );
    for tool in ["id", "sh"] {
        let mut shim = home.command(home.house.bin().join(tool));
        let output = shim.env("CLAWRDEN_SOCKET", home.house.socket()).output().unwrap();
        let own = if is_root() { UID } else { rustix::process::getuid().as_raw() };
        is_refused(&output, &format!("the warden runs as user {own} and cannot run a command as"));
    }
    nothing_started(&home.house);
}

#[test]
fn a_warden_that_is_not_root_may_name_itself() {
    if !is_root() {
        return a_warden_that_is_not_root_runs_nothing_as_another_user();
    }
    let daemon = ["setpriv", "--reuid", "1", "--regid", "1", "--clear-groups"];
    let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
    chown(dir.path(), Some(1), Some(1)).unwrap();
    let policy = "rules: [{command: id, action: allow, executor: local, run_as: daemon}]";
    let house = House::within(dir, &daemon, policy, &[]);
    let output = run(&daemon, &house.shimmed("id"));
    assert_eq!(
        text(&output.stdout),
        "uid=1(daemon) gid=1(daemon) groups=1(daemon)\n",
        "{output:?}"
    );
    assert_eq!(house.event("started")["run_as"]["user"], "daemon");
}

#[test]
fn a_tool_of_the_callers_own_is_not_run_as_anybody() {
    let Some(house) = house(POLICY) else { return };
    let own = house.path("own");
    write_tool(&own, "cat", "#!/bin/sh\nid -u > own/mark\n");
    let mut cat = house.shimmed("cat");
    cat.arg("/dev/null").env("PATH", &own);
    let output = cat.output().unwrap();
    assert!(!Path::new(&own.join("mark")).exists(), "{output:?}");
    assert!(output.status.success(), "the host's cat ran: {output:?}");
    assert_eq!(house.event("started")["run_as"]["executable"], "/usr/bin/cat");
    assert_eq!(fs::metadata(&own).unwrap().uid(), 0);
}
