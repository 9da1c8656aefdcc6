//! Nothing that fails makes a command run: a policy that does not load, a ledger that cannot be written.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::nothing_started;
use crate::support::approvers::Panel;
use crate::support::client::{ask, header};
use crate::support::other::{UID, by, is_root, set_user};
use crate::support::{House, clawrden, raw, text, until};

const GOOD: &str = "
default_action: deny
rules:
  - {command: [touch, 'true'], action: allow}
  - {command: [id, tee], action: allow, executor: local}
  - {command: cat, action: ask}
";

/// What a warden with this policy says instead of starting.
fn refusal(prefix: &[&str], policy: &Path) -> String {
    let dir = tempfile::tempdir().unwrap();
    if !prefix.is_empty() {
        chown(dir.path(), Some(UID), Some(UID)).unwrap();
    }
    let at = |name: &str| dir.path().join(name);
    let mut command = clawrden();
    if !prefix.is_empty() {
        // Where the tests are built, another user may not look.
        command = Command::new(at("cli"));
        fs::copy(clawrden().get_program(), at("cli")).unwrap();
    }
    command.arg("warden").arg("--policy").arg(policy).arg("--audit").arg(at("own/ledger.jsonl"));
    command.arg("--socket").arg(at("warden.sock")).arg("--control").arg(at("control.sock"));
    command.env("HOME", dir.path());
    for name in ["XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME"] {
        command.env(name, at(name));
    }
    let mut whole = if prefix.is_empty() { command } else { by(prefix, &command) };
    let log = fs::File::create(at("log")).unwrap();
    let mut child = whole.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let start = Instant::now();
    let status = until("the warden to refuse", || child.try_wait().unwrap());
    let said = fs::read_to_string(at("log")).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(start.elapsed() < Duration::from_secs(10), "it took {:?}", start.elapsed());
    assert!(!at("warden.sock").exists() && !at("control.sock").exists());
    said
}

fn refusal_of(text: impl AsRef<[u8]>) -> String {
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("policy.yaml");
    fs::write(&policy, text).unwrap();
    refusal(&[], &policy)
}

#[test]
fn a_policy_with_an_error_is_refused_at_its_line_and_column() {
    for (policy, place, what) in [
        ("default_action: deny\nrules:\n  - {command: ls, act", ":3:", "unclosed"),
        ("default_action: alow\n", ":1:17", "alow"),
        ("default_action: deny\ndefault_acton: allow\n", ":2:1", "default_acton"),
        ("default_action: deny\ndefault_action: allow\n", ":2:1", "default_action"),
        ("rules:\n  - {command: ls, action: allow, colour: red}\n", ":2:34", "colour"),
        ("rules:\n  - {command: ls, action: allow, action: deny}\n", ":2:34", "action"),
        ("rules:\n  - {command: ls}\n", ":2:5", "action"),
        ("rules:\n  - {action: allow}\n", ":2:5", "command"),
        ("rules:\n  - {command: '[', action: allow}\n", ":2:15", "["),
        ("approval_timeout: 5 parsecs\n", ":1:19", "parsecs"),
        ("jails:\n  ../../etc: {commands: [ls]}\n", ":2:3", "../../etc"),
        ("jails:\n  a: {commands: [../ls]}\n", ":2:18", "../ls"),
        ("- allow\n", ":1:1", ""),
        ("allow everything\n", ":1:1", ""),
        ("default_action: !!python/object allow\n", ":1:", ""),
    ] {
        let said = refusal_of(policy);
        assert!(said.contains(&format!("policy.yaml{place}")), "{policy:?}: {said}");
        assert!(said.contains(what) && said.contains('^'), "{policy:?}: {said}");
    }
}

#[test]
fn a_policy_that_is_no_policy_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    assert!(refusal(&[], &at("missing")).contains("missing"));
    fs::create_dir(at("folder")).unwrap();
    assert!(refusal(&[], &at("folder")).contains("not a regular file"));
    let made = Command::new("mkfifo").arg(at("pipe")).status().unwrap();
    assert!(made.success());
    assert!(refusal(&[], &at("pipe")).contains("not a regular file"));
    let _listener = UnixListener::bind(at("socket")).unwrap();
    assert!(refusal(&[], &at("socket")).contains("not a regular file"));
    assert!(refusal(&[], Path::new("/dev/zero")).contains("not a regular file"));
    symlink(at("loop"), at("loop")).unwrap();
    assert!(refusal(&[], &at("loop")).contains("loop"));
    let large = fs::File::create(at("large")).unwrap();
    large.set_len(100 * 1024 * 1024).unwrap();
    drop(large);
    assert!(refusal(&[], &at("large")).contains("more than"));
}

#[test]
fn a_policy_that_cannot_be_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let policy = dir.path().join("policy.yaml");
    fs::write(&policy, GOOD).unwrap();
    fs::set_permissions(&policy, fs::Permissions::from_mode(0o000)).unwrap();
    let prefix = set_user(UID);
    // Root reads everything, so it becomes somebody else.
    let prefix: &[&str] = if is_root() { &prefix } else { &[] };
    let said = refusal(prefix, &policy);
    assert!(said.contains("policy.yaml") && said.contains("ermission denied"), "{said}");
}

#[test]
fn a_policy_of_noise_is_refused() {
    assert!(refusal_of(b"rules: [\xff\xfe]").contains("UTF-8"));
    for noise in [
        "\0\0\0\0".to_owned(),
        "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n".to_owned()
            + "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nrules: [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n",
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "%YAML 9.9\n---\n...\n---\nx\n".to_owned(),
    ] {
        refusal_of(noise);
    }
}

#[test]
fn an_empty_policy_allows_nothing() {
    for text in ["rules: []\n", "default_action: deny\n"] {
        let house = House::new(text);
        assert_eq!(house.shimmed("touch").arg("mark").status().unwrap().code(), Some(126));
        assert!(!house.path("mark").exists());
    }
    for text in ["", "\n", "# nothing\n", "---\n"] {
        let said = refusal_of(text);
        assert!(!said.is_empty());
    }
}

#[test]
fn what_is_too_much_or_too_deep_to_be_judged_is_not_allowed() {
    let house = House::new(
        "on_unparsed: deny
rules:
  - {command: echo, args: 'one two **', action: deny}
  - {command: echo, action: allow}
  - {command: cat, args: '**', action: allow}
  - {command: bash, action: allow}
  - {command: 'true', action: allow}
",
    );
    let answer = |argv: &[&str]| {
        raw::ask(&house.socket(), &raw::request(house.dir.path(), argv, &raw::path())).acks
    };
    // More words than are read: a deny with arguments may match, and an allow with arguments does not.
    let many = |tool: &'static str, count: usize| [vec![tool], vec!["x"; count]].concat();
    assert_eq!(answer(&many("echo", 1000)), [0]);
    assert_eq!(answer(&many("cat", 1000)), [0]);
    assert_eq!(answer(&many("echo", 100_001)), [1]);
    assert_eq!(answer(&many("cat", 100_001)), [1]);
    // Deeper, longer and more tangled than is looked through.
    let deep = format!("{}true{}", "$(".repeat(5000), ")".repeat(5000));
    let nested = (0..12).fold("true".to_owned(), |line, _| format!("bash -c {line:?}"));
    let wide = "true; ".repeat(5000);
    let env = "env ".repeat(1000) + "true";
    for line in ["true; true", "env env true"] {
        assert_eq!(answer(&["bash", "-c", line]), [0], "{line}");
    }
    for line in [&deep, &nested, &wide, &env] {
        assert_eq!(answer(&["bash", "-c", line]), [1], "{line:.60}");
    }
    nothing_started_but(&house, 4);
}

/// As many were started, and no more.
fn nothing_started_but(house: &House, count: usize) {
    assert_eq!(house.events("started").len(), count);
}

/// Tries to run something in each way, and sees that nothing runs and why.
fn nothing_runs(house: &House) {
    let mark = house.path("mark");
    let output = house.shimmed("touch").arg(&mark).output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    let said = text(&output.stderr);
    assert!(said.contains("ledger cannot be written") && said.lines().count() == 1, "{said}");
    let output = house.shimmed("tee").arg(&mark).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    let output = house.shimmed("cat").output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("nobody is asked"), "{}", text(&output.stderr));
    let answer = ask(&house.socket(), &header("id", &[], house.dir.path()));
    assert_eq!((&answer.acks[..], answer.exit), (&[1][..], Some(125)));
    assert!(!mark.exists());
    nothing_started(house);
    let status = house.json(&["status", "--json"]);
    assert!(status["ledger"]["error"].is_string(), "{status}");
}

fn runs_again(house: &House) {
    let mark = house.path("mark");
    assert!(house.shimmed("touch").arg(&mark).status().unwrap().success());
    assert!(mark.exists());
    let status = house.json(&["status", "--json"]);
    assert_eq!(status["ledger"]["error"], serde_json::Value::Null);
}

/// A limit in bytes on every file that the warden writes; its ledger is longer than 100 from the beginning.
fn limit(house: &House, limit: &str) {
    let pid = house.warden.id().to_string();
    let limit = format!("--fsize={limit}:");
    assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
}

#[test]
fn what_is_taken_back_is_taken_back_while_the_ledger_cannot_be_written() {
    let panel = Panel::new("rules: [{command: touch, action: ask}]");
    let slack = panel.bridge("slack", &[]);
    let made = panel.here(&["people", "pair", "carol"]).1;
    let code = made.lines().next().unwrap().trim();
    let body = format!(r#"{{"code":"{code}"}}"#);
    assert_eq!(slack.post(Some("slack:T1/CAROL"), "/api/pairings/redeem", &body).0, 200);
    let (mut child, short) = panel.waiting();
    limit(&panel.house, "100");
    let (code, said) = panel.here(&["people", "unpair", "carol", "slack:T1/CAROL"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(slack.tap("slack:T1/CAROL", "approve", &short).0, 403);
    let (code, said) = panel.here(&["token", "revoke", slack.id()]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(slack.tap("slack:T1/ALICE", "approve", &short).0, 401);
    limit(&panel.house, "unlimited");
    // What is owed is written before anything else.
    assert_eq!(panel.here(&["deny", &short]).0, Some(0));
    assert_eq!(child.wait().unwrap().code(), Some(126));
    assert_eq!(panel.house.event("unpaired")["user"], "slack:T1/CAROL");
    assert_eq!(panel.house.event("access_revoked")["revoked"], slack.id());
}

#[test]
fn a_ledger_at_its_size_limit_lets_nothing_run_until_it_can_be_written_again() {
    let house = House::new(GOOD);
    // It listens before it is ready, and answers after.
    house.json(&["status", "--json"]);
    limit(&house, "100");
    nothing_runs(&house);
    limit(&house, "unlimited");
    runs_again(&house);
    house.event("finished");
    clawrden_warden::ledger::verify(&house.path("ledger.jsonl")).unwrap();
}

/// A file system of this many KiB, for as long as this lives.
struct Disk(PathBuf);

impl Disk {
    fn new(path: &Path, size: &str) -> Option<Self> {
        fs::create_dir(path).unwrap();
        let options = format!("size={size},mode=0700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path).stderr(Stdio::null());
        mount.status().unwrap().success().then(|| Self(path.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_lets_nothing_run_until_there_is_room_again() {
    let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
    let Some(disk) = Disk::new(&dir.path().join("disk"), "512k") else {
        eprintln!("no file system can be mounted here; a limit on the ledger's size stands for it");
        return a_ledger_at_its_size_limit_lets_nothing_run_until_it_can_be_written_again();
    };
    let ledger = disk.0.join("ledger.jsonl");
    let house = House::audited(dir, GOOD, &ledger);
    runs_again(&house);
    fs::remove_file(house.path("mark")).unwrap();
    let before = crate::support::read_ledger(&ledger).len();
    let filler = disk.0.join("filler");
    let filled = fs::write(&filler, vec![0; 1024 * 1024]);
    assert!(filled.is_err(), "the disk is full now");
    // What fits into the ledger's last page still goes there; then nothing does.
    until("the last page to be full", || {
        let status = house.shimmed("touch").arg("/dev/null").status().unwrap();
        (status.code() == Some(125)).then_some(())
    });
    let mark = house.path("mark");
    let output = house.shimmed("touch").arg(&mark).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output.stderr).contains("ledger cannot be written"), "{output:?}");
    assert!(!mark.exists());
    fs::remove_file(&filler).unwrap();
    runs_again(&house);
    clawrden_warden::ledger::verify(&ledger).unwrap();
    assert!(crate::support::read_ledger(&ledger).len() > before);
    drop(house);
}

/// A disk of its own, for as long as this lives, which the kernel makes read-only when it finds an error.
struct Ext4(PathBuf);

impl Ext4 {
    fn new(dir: &Path) -> Option<Self> {
        let (image, path) = (dir.join("image"), dir.join("disk"));
        fs::create_dir(&path).unwrap();
        fs::File::create(&image).unwrap().set_len(8 << 20).unwrap();
        let mut made = Command::new("mkfs.ext4");
        made.args(["-q", "-F"]).arg(&image).stderr(Stdio::null());
        let disk = Self(path);
        let is_made = made.status().is_ok_and(|status| status.success());
        (is_made && disk.mount(&image)).then_some(disk)
    }

    fn mount(&self, image: &Path) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop,errors=remount-ro"]).arg(image).arg(&self.0).stderr(Stdio::null());
        mount.status().unwrap().success()
    }

    /// Reports an error to the kernel as a failing disk would.
    fn fail(&self) {
        let device = fs::metadata(&self.0).unwrap().dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let device = fs::read_link(format!("/sys/dev/block/{major}:{minor}")).unwrap();
        let name = device.file_name().unwrap().to_str().unwrap();
        // The answer comes from the disk as it is then, which takes nothing more.
        let _ = fs::write(format!("/sys/fs/ext4/{name}/trigger_fs_error"), "1");
    }

    fn unmount(&self) -> bool {
        Command::new("umount").arg(&self.0).stderr(Stdio::null()).status().unwrap().success()
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-q", "-l"]).arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_becomes_read_only_lets_nothing_run_until_it_is_mounted_again() {
    let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
    let Some(disk) = Ext4::new(dir.path()) else {
        eprintln!("no disk can be made here; a limit on the ledger's size stands for it");
        return a_ledger_at_its_size_limit_lets_nothing_run_until_it_can_be_written_again();
    };
    let ledger = disk.0.join("ledger.jsonl");
    let mut house = House::audited(dir, GOOD, &ledger);
    runs_again(&house);
    fs::remove_file(house.path("mark")).unwrap();
    until("the last run to be recorded", || {
        crate::support::read_ledger(&ledger).iter().find(|r| r["event"] == "finished").cloned()
    });
    // What the kernel has not written out by itself yet is lost to such an error, as by a loss of power.
    assert!(Command::new("sync").arg("-f").arg(&ledger).status().unwrap().success());
    disk.fail();
    let refused = fs::File::create(disk.0.join("other")).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(30), "the disk is read-only: {refused}");
    nothing_runs(&house);
    // A kernel that has found an error takes the disk back only when nobody holds it.
    house.crash();
    assert!(disk.unmount() && disk.mount(&house.path("image")));
    house.restart();
    runs_again(&house);
    clawrden_warden::ledger::verify(&ledger).unwrap();
    let text = fs::read_to_string(&ledger).unwrap();
    assert_eq!(text.matches("\"event\":\"started\"").count(), 2, "{text}");
}

#[test]
fn a_ledger_that_somebody_takes_away_lets_nothing_run() {
    let house = House::new(GOOD);
    fs::remove_file(house.path("ledger.jsonl")).unwrap();
    nothing_runs(&house);
}

#[test]
fn a_ledger_that_somebody_writes_to_lets_nothing_run() {
    let house = House::new(GOOD);
    let mut other = fs::File::options().append(true).open(house.path("ledger.jsonl")).unwrap();
    std::io::Write::write_all(&mut other, b"{\"event\":\"finished\"}\n").unwrap();
    nothing_runs(&house);
}
