//! Who asks comes from the kernel; other namespaces and other users never get what is the warden's own.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::{Command, Output, Stdio};

use crate::nothing_started;
use crate::support::client::{ask, header};
use crate::support::other::{Home, UID, by, can, is_root, open_to_others, set_user};
use crate::support::{House, clawrden, raw, text};

const POLICY: &str = "
default_action: allow
on_unparsed: allow
rules:
  - {command: [touch, id, sh], action: allow, executor: local}
  - {command: echo, action: allow}
";

/// The ways into other namespaces, and what the refusal calls them.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (&["unshare", "-Ur"], "user namespace"),
    (&["unshare", "-m"], "mount namespace"),
    (&["unshare", "-pf"], "pid namespace"),
    (&["unshare", "-Urm"], "user namespace"),
    (&["unshare", "-Urpf", "--mount-proc"], "user namespace"),
    (&["bwrap", "--dev-bind", "/", "/"], "namespace"),
    (&["bwrap", "--dev-bind", "/", "/", "--unshare-pid", "--proc", "/proc"], "namespace"),
];

#[test]
fn what_a_client_says_of_itself_is_not_believed() {
    let house = House::new(POLICY);
    let mut forged = header("id", &["-u"], house.dir.path());
    forged["identity"] = serde_json::json!({"uid": 4242, "gid": 4242});
    forged["pid"] = 1.into();
    forged["caller"] = serde_json::json!({"uid": 4242, "pid": 1});
    let answer = ask(&house.socket(), &forged);
    let uid = rustix::process::getuid().as_raw();
    assert_eq!(text(&answer.stdout), format!("{uid}\n"));
    let caller = &house.event("requested")["caller"];
    assert_eq!(caller["uid"], uid);
    assert_eq!(caller["gid"], rustix::process::getgid().as_raw());
    assert_eq!(caller["pid"], std::process::id());
}

#[test]
fn an_identity_in_a_version_2_request_is_refused() {
    let house = House::new(POLICY);
    let cwd = house.dir.path().display().to_string();
    for field in ["\"identity\":{\"uid\":0,\"gid\":0}", "\"pid\":1", "\"uid\":0", "\"jail\":\"x\""]
    {
        let body = format!(
            "{{\"v\":2,\"id\":\"00112233445566778899aabbccddeeff\",\"argc\":2,\"envc\":0,{field}}}\0\
             touch\0{cwd}\0touch\0mark\0"
        );
        let said = raw::ask(&house.socket(), &raw::framed(body.as_bytes()));
        assert_eq!(said, raw::Said::default(), "{field}: the connection is closed");
    }
    assert!(!house.path("mark").exists());
    nothing_started(&house);
}

fn refused(house: &House, output: &Output, what: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(126), "{said}");
    assert!(said.contains(what), "{said}");
    assert!(!house.path("mark").exists(), "{what}: it ran");
}

#[test]
fn a_caller_in_other_namespaces_never_gets_local() {
    let house = House::new(POLICY);
    for (prefix, what) in ELSEWHERE.iter().filter(|(prefix, _)| can(prefix)) {
        let mut touch = house.shimmed("touch");
        let output = by(prefix, touch.arg(house.path("mark"))).output().unwrap();
        refused(&house, &output, what);
    }
    nothing_started(&house);
    assert!(house.shimmed("touch").arg(house.path("mark")).status().unwrap().success());
}

#[test]
fn a_caller_in_other_namespaces_still_gets_mirror() {
    let house = House::new(POLICY);
    for (prefix, _) in ELSEWHERE.iter().filter(|(prefix, _)| can(prefix)) {
        let mut echo = house.shimmed("echo");
        let output = by(prefix, echo.arg("hi")).output().unwrap();
        assert_eq!(text(&output.stdout), "hi\n", "{prefix:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_caller_under_another_root_never_gets_local() {
    let house = House::new(POLICY);
    let inside = house.path("usr/bin");
    crate::write_tool(&inside, "touch", "#!/bin/sh\n:>/mark\n");
    let dir = house.dir.path().display().to_string();
    // A user namespace lets anybody change its root; only root stays in the warden's own namespaces with it.
    let root: &[&str] = if is_root() { &["chroot", &dir] } else { &["unshare", "-r", "-R", &dir] };
    let output = Command::new(root[0])
        .args(&root[1..])
        .args(["/bin/touch", "/mark"])
        .env("PATH", "/usr/bin:/usr/sbin:/bin:/sbin")
        .env("CLAWRDEN_SOCKET", "/warden.sock")
        .output()
        .unwrap();
    let what = if is_root() { "root" } else { "user namespace" };
    refused(&house, &output, what);
    nothing_started(&house);
}

#[test]
fn uid_0_of_a_user_namespace_is_not_ours() {
    if !can(&["unshare", "-Ur"]) {
        return;
    }
    if !is_root() {
        // Nobody else to be: in a namespace of one's own one is root there, and oneself to the warden.
        let house = House::new(POLICY);
        by(&["unshare", "-Ur"], &house.shimmed("echo")).status().unwrap();
        let uid = &house.event("requested")["caller"]["uid"];
        assert_eq!(uid, rustix::process::getuid().as_raw());
        return;
    }
    let house = House::new(POLICY);
    open_to_others(&house);
    let mut prefix = set_user(UID).to_vec();
    prefix.extend(["unshare", "-Ur"]);
    let output = by(&prefix, house.shimmed("touch").arg("/proc/self/nothing")).output().unwrap();
    refused(&house, &output, "user namespace");
    assert_eq!(house.event("requested")["caller"]["uid"], UID);
    let control = house.control();
    let mut queue = clawrden();
    queue.arg("--control").arg(&control).arg("queue");
    // It is not even let in by the socket's mode.
    assert_eq!(by(&prefix, &visible(&house, &queue)).output().unwrap().status.code(), Some(3));
}

#[test]
fn the_overflow_uid_is_nobody() {
    if !is_root() {
        eprintln!(
            "not root: a caller without a name cannot be had, so a namespace without one is looked at"
        );
        a_caller_in_other_namespaces_never_gets_local();
        return;
    }
    let house = House::new(POLICY);
    open_to_others(&house);
    let prefix = set_user(65534);
    let output = by(&prefix, house.shimmed("touch").arg("/dev/null")).output().unwrap();
    refused(&house, &output, "user");
    let caller = house.event("requested")["caller"].clone();
    assert_eq!((caller.get("uid"), caller.get("gid")), (None, None), "{caller}");
}

#[test]
fn a_user_that_the_wardens_namespace_has_no_name_for_is_nobody() {
    let namespace = ["unshare", "-Ur"];
    if !is_root() || !can(&namespace) {
        eprintln!("not tried: it takes root and user namespaces");
        return the_overflow_uid_is_nobody();
    }
    let house = House::under(&namespace, POLICY, &[]);
    open_to_others(&house);
    let folder = house.path("free");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    for tool in ["touch", "echo"] {
        let mark = folder.join("mark");
        let output = by(&set_user(UID), house.shimmed(tool).arg(&mark)).output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
        assert!(!mark.exists());
    }
    for record in house.events("requested") {
        assert_eq!(record["caller"].get("uid"), None, "{record}");
    }
    nothing_started(&house);
}

#[test]
fn a_root_warden_runs_a_command_as_its_caller_and_never_as_root() {
    if !is_root() {
        let house = House::new(POLICY);
        let output = house.shimmed("id").arg("-u").output().unwrap();
        assert_eq!(text(&output.stdout).trim(), rustix::process::getuid().as_raw().to_string());
        return;
    }
    let house = House::new(POLICY);
    open_to_others(&house);
    let folder = house.path("theirs");
    fs::create_dir(&folder).unwrap();
    chown(&folder, Some(UID), Some(UID)).unwrap();
    let prefix = ["setpriv", "--reuid", "12345", "--regid", "12346", "--groups", "12347,12348"];
    let script = "id -u; id -g; id -G; umask; ulimit -n; grep -E '^(Cap|NoNewPrivs)' /proc/self/status; \
                  echo x > theirs/made && cat /etc/shadow";
    let outer = |shell: &std::path::Path| {
        let inner = format!("umask 027; ulimit -n 77; exec {} -c \"$0\"", shell.display());
        let mut command = Command::new("/bin/sh");
        house.governed(command.args(["-c", &inner, script]));
        // The tools inside the script are not what this is about.
        command.env("PATH", std::env::var("PATH").unwrap());
        let output = by(&prefix, &command).output().unwrap();
        (text(&output.stdout), output.status.code())
    };
    let native = outer(std::path::Path::new("/bin/sh"));
    fs::remove_file(folder.join("made")).unwrap();
    let local = outer(&house.bin().join("sh"));
    assert_eq!(local, native);
    assert!(native.0.starts_with("12345\n12346\n12346 12347 12348\n"), "{}", native.0);
    let made = fs::metadata(folder.join("made")).unwrap();
    assert_eq!((made.uid(), made.gid(), made.mode() & 0o777), (UID, 12346, 0o640));
    assert_eq!(house.event("requested")["caller"]["uid"], UID);
}

#[test]
fn another_users_version_1_client_is_served_as_itself() {
    if !is_root() || !std::path::Path::new("/usr/bin/perl").exists() {
        return a_root_warden_runs_a_command_as_its_caller_and_never_as_root();
    }
    let house = House::new(POLICY);
    open_to_others(&house);
    let request = header("id", &["-u"], std::path::Path::new("/")).to_string();
    let script = r#"use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die;
        print $s pack("N", length $ARGV[1]), $ARGV[1]; $s->flush; local $/; print <$s>;"#;
    let mut perl = Command::new("/usr/bin/perl");
    perl.args(["-e", script]).arg(house.socket()).arg(request);
    let output = by(&set_user(UID), &perl).output().unwrap();
    assert_eq!(text(&output.stdout), "\0\u{1}\0\0\0\u{6}12345\n\u{3}\0\0\0\u{1}\0", "{output:?}");
}

#[test]
fn another_user_can_neither_reach_the_control_socket_nor_approve() {
    if !is_root() {
        // Nobody else to be; the mode is what keeps them out.
        let house = House::new(POLICY);
        assert_eq!(fs::metadata(house.control()).unwrap().mode() & 0o777, 0o600);
        return;
    }
    let house = House::new("rules: [{command: touch, action: ask}]");
    open_to_others(&house);
    let mut waiting = house.shimmed("touch").arg(house.path("mark")).spawn().unwrap();
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    let mut approve = clawrden();
    approve.arg("--control").arg(house.control()).args(["approve", &short]);
    let approve = visible(&house, &approve);
    assert_eq!(by(&set_user(UID), &approve).output().unwrap().status.code(), Some(3));
    // A careless chmod opens the socket's door; the peer is looked at all the same.
    fs::set_permissions(house.control(), fs::Permissions::from_mode(0o666)).unwrap();
    for uid in [UID, 65534] {
        let output = by(&set_user(uid), &approve).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let refused = house.record("the refusal", |record| {
            record["event"] == "control_refused" && record["peer"]["uid"] == uid
        });
        assert!(refused["why"].as_str().unwrap().contains("approve"), "{refused}");
    }
    assert_eq!(house.pending()["short"], short.as_str());
    assert!(waiting.try_wait().unwrap().is_none() && !house.path("mark").exists());
    waiting.kill().unwrap();
    waiting.wait().unwrap();
}

/// `clawrden` where another user can execute it.
fn visible(house: &House, command: &Command) -> Command {
    let copy = house.path("cli");
    if !copy.exists() {
        fs::copy(command.get_program(), &copy).unwrap();
    }
    let mut visible = Command::new(copy);
    visible.args(command.get_args()).env("HOME", house.dir.path());
    visible
}

#[test]
fn a_users_warden_serves_that_user_alone() {
    let home = Home::new(POLICY);
    let mark = home.house.path("mark");
    if is_root() {
        // Root gets through every mode, and still is not the warden's user.
        let mut touch = home.house.shimmed("touch");
        let output = touch.arg(&mark).stdin(Stdio::null()).output().unwrap();
        assert!(!output.status.success() && !mark.exists(), "{output:?}");
        nothing_started(&home.house);
    } else {
        assert_eq!(fs::metadata(home.house.socket()).unwrap().mode() & 0o777, 0o600);
    }
    let mut own = home.command(home.house.bin().join("touch"));
    let own = own.arg(&mark).env("CLAWRDEN_SOCKET", home.house.socket());
    let output = own.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let owner = fs::metadata(&mark).unwrap().uid();
    assert_eq!(owner, if is_root() { UID } else { rustix::process::getuid().as_raw() });
}
