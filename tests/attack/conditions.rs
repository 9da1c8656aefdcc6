//! Conditions of rules: which of them hold against whoever asks, and which are the caller's own word.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::nothing_started;
use crate::support::other::{by, can, is_root, open_to_others};
use crate::support::pty::Pty;
use crate::support::{House, client, raw, text, until};

#[track_caller]
fn ends(command: &mut Command, wanted: i32) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(wanted), "{command:?} {said}");
    said
}

/// Folders in which `echo` and, by the warden, `id` are allowed, in which `cat` is denied, and of which no rule speaks.
fn places() -> House {
    let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
    let top = fs::canonicalize(dir.path()).unwrap();
    for name in ["open/deep", "closed/deep", "mine"] {
        fs::create_dir_all(top.join(name)).unwrap();
    }
    let top = top.display();
    let policy = format!(
        "default_action: deny
rules:
  - {{command: cat, cwd: '{top}/closed/*', action: deny}}
  - {{command: cat, action: allow}}
  - {{command: echo, cwd: '{top}/open', action: allow}}
  - {{command: id, cwd: '{top}/open', action: allow, executor: local}}
"
    );
    House::within(dir, &[], &policy, &[])
}

#[test]
fn a_working_directory_is_where_links_and_dots_lead_whatever_they_say() {
    let house = places();
    symlink(house.path("closed"), house.path("open/in")).unwrap();
    symlink("../closed/deep", house.path("mine/in")).unwrap();
    symlink("../open", house.path("mine/out")).unwrap();
    let go = |tool: &str, dir: &str, wanted: i32| {
        let dir = house.path(dir);
        ends(house.shimmed(tool).current_dir(&dir).env("PWD", &dir), wanted);
        // A client that is not ours says the same in so many words, wherever it is.
        let said = raw::ask(&house.socket(), &raw::request(&dir, &[tool], &raw::path()));
        assert_eq!(said.acks == [0], wanted == 0, "{tool} in {}: {said:?}", dir.display());
    };
    for dir in ["open/in", "open/../closed", "open/in/deep", "open/deep", "mine", "closed"] {
        go("echo", dir, 126);
    }
    for dir in ["closed/deep", "mine/in", "open/in/deep", "open/../closed/deep", "mine/out/in"] {
        go("cat", dir, 126);
    }
    nothing_started(&house);
    for dir in ["open", "open/../open", "open/deep/..", "mine/out"] {
        go("echo", dir, 0);
        go("cat", dir, 0);
    }
}

/// The acks that a client of version 1 and one of version 2 get for the same command.
fn both(house: &House, dir: &Path, argv: &[&str]) -> [Vec<u8>; 2] {
    let first = client::ask(&house.socket(), &client::header(argv[0], &argv[1..], dir));
    let second = raw::ask(&house.socket(), &raw::request(dir, argv, &raw::path()));
    [first.acks, second.acks]
}

#[test]
fn the_paths_that_are_allowed_are_places_and_no_beginnings_of_names() {
    let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
    let top = fs::canonicalize(dir.path()).unwrap();
    for name in ["app/deep", "application", "closed"] {
        fs::create_dir_all(top.join(name)).unwrap();
    }
    symlink("../closed", top.join("app/out")).unwrap();
    symlink("../application", top.join("app/more")).unwrap();
    symlink("../app/deep", top.join("closed/in")).unwrap();
    let policy = format!(
        "allowed_paths: ['{}/app/*']
rules: [{{command: echo, action: allow, executor: local}}]
",
        top.display()
    );
    let house = House::within(dir, &[], &policy, &[]);
    let go = |name: &str, wanted: i32| {
        let dir = top.join(name);
        ends(house.shimmed("echo").current_dir(&dir).env("PWD", &dir), wanted);
        let acks = if wanted == 0 { [0] } else { [1] };
        assert_eq!(both(&house, &dir, &["echo"]), [acks, acks], "{name}");
    };
    for name in ["application", "app/more", "app/../application", "app/out", "closed", "."] {
        go(name, 126);
    }
    nothing_started(&house);
    for name in ["app", "app/deep", "app/", "closed/in", "application/../app"] {
        go(name, 0);
    }
}

#[test]
fn a_command_with_a_slash_is_judged_by_the_file_that_it_is() {
    let policy = "
rules:
  - {command: rm, action: deny}
  - {command: '*', action: allow, executor: local}
";
    let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
    let top = fs::canonicalize(dir.path()).unwrap();
    fs::create_dir(top.join("own")).unwrap();
    fs::write(top.join("precious"), "").unwrap();
    let rm = fs::canonicalize("/bin/rm").unwrap();
    symlink(&rm, top.join("own/harmless")).unwrap();
    symlink("harmless", top.join("own/again")).unwrap();
    symlink("/bin/true", top.join("own/rm")).unwrap();
    let house = House::within(dir, &[], policy, &[]);
    let rm = rm.to_str().unwrap();
    let far = format!("../../../../../../../..{rm}");
    let names =
        ["/bin/rm", rm, "own/harmless", "./own/again", "own/../own/harmless", "own/rm", &far];
    for name in names {
        let acks = both(&house, &top, &[name, "-f", "precious"]);
        assert_eq!(acks, [[1], [1]], "{name}");
    }
    // Where it leads nowhere, nothing runs either.
    for name in ["own/", "own", "./rm", "precious/rm", "no/such"] {
        let acks = both(&house, &top, &[name, "-f", "precious"]);
        assert!(!acks.contains(&vec![0]), "{name}: {acks:?}");
    }
    nothing_started(&house);
    assert!(top.join("precious").exists());
    // By what it is on PATH it is allowed, whatever path it is called by.
    let said = client::ask(&house.socket(), &client::header("/bin/true", &[], &top));
    assert_eq!((said.acks, said.exit), (vec![0], Some(0)));
}

#[test]
fn a_working_directory_that_is_gone_is_in_no_place() {
    let house = places();
    let lost = |name: &str, tool: &str| {
        let dir = house.path(name);
        let script = format!("rmdir '{0}' && exec \"$0\"", dir.display());
        let mut sh = Command::new("/bin/sh");
        house.governed(sh.args(["-c", &script]).arg(house.bin().join(tool)));
        // It is back under its name by the time that it is asked about: another folder.
        let back =
            format!("{}; mkdir '{}'; exec \"$0\"", &script[..script.len() - 13], dir.display());
        let mut again = Command::new("/bin/sh");
        house.governed(again.args(["-c", &back]).arg(house.bin().join(tool)));
        [sh, again].map(|mut sh| {
            fs::create_dir_all(&dir).unwrap();
            sh.current_dir(&dir).stdin(Stdio::null()).stderr(Stdio::piped());
            sh.output().unwrap().status.code()
        })
    };
    fs::remove_dir(house.path("open/deep")).unwrap();
    assert_eq!(lost("open", "echo"), [Some(126); 2]);
    assert_eq!(lost("closed/deep", "cat"), [Some(126); 2]);
    nothing_started(&house);
}

#[test]
fn a_mount_of_the_callers_own_renames_a_place_for_it_alone_and_lends_nothing_of_the_wardens() {
    let prefix = ["unshare", "-Urm"];
    if !can(&prefix) {
        return;
    }
    let house = places();
    let mounted = |tool: &str, from: &str, to: &str| {
        let script = format!(
            "mount --bind '{}' '{to}' && cd '{to}' && exec \"$0\"",
            house.path(from).display(),
            to = house.path(to).display()
        );
        let mut sh = Command::new("/bin/sh");
        house.governed(sh.args(["-c", &script]).arg(house.bin().join(tool)));
        by(&prefix, &sh)
    };
    // A condition is about names, and these are the caller's there. What it runs by them, it runs as itself.
    ends(&mut mounted("echo", "mine", "open"), 0);
    ends(&mut mounted("cat", "closed", "mine"), 0);
    let said = ends(&mut mounted("id", "mine", "open"), 126);
    assert!(said.contains("namespace"), "{said}");
    // The names of a place that was allowed lend nothing to what lies elsewhere.
    ends(&mut mounted("echo", "open", "mine"), 126);
    assert!(house.events("started").iter().all(|record| record["executor"] == "mirror"));
}

#[test]
fn a_caller_is_who_the_kernel_says_whatever_it_is_in_a_namespace_of_its_own() {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    // Nobody here is uid 1 to the kernel, nor is anybody of this group.
    let policy = format!(
        "default_action: deny
rules:
  - {{command: echo, caller: {{uid: {uid}}}, action: allow}}
  - {{command: cat, caller: {{gid: {gid}}}, action: allow}}
  - {{command: ls, caller: {{uid: 12345}}, action: deny}}
  - {{command: ls, caller: {{gid: 12346}}, action: deny}}
  - {{command: ls, action: allow}}
  - {{command: id, caller: {{group: root}}, action: allow}}
  - {{command: head, caller: {{user: root}}, action: allow}}
"
    );
    let house = House::new(&policy);
    open_to_others(&house);
    ends(&mut house.shimmed("echo"), 0);
    ends(&mut house.shimmed("cat"), 0);
    if is_root() {
        let another = ["setpriv", "--reuid", "12345", "--regid", "12346", "--groups", "0,12347"];
        for tool in ["echo", "cat", "ls", "id", "head"] {
            ends(&mut by(&another, &house.shimmed(tool)), 126);
        }
        // Root where it can make itself root, which is not here.
        let inside = [&another[..5], &["--clear-groups", "unshare", "-Ur"]].concat();
        if can(&inside) {
            for tool in ["echo", "cat", "ls", "id", "head"] {
                ends(&mut by(&inside, &house.shimmed(tool)), 126);
            }
        }
        // The primary group counts, and a member of several can choose another.
        let member = ["setpriv", "--reuid", "12344", "--regid", "12347", "--groups", "12346"];
        ends(&mut by(&member, &house.shimmed("ls")), 0);
    } else if can(&["unshare", "-Ur"]) {
        for tool in ["id", "head"] {
            ends(&mut by(&["unshare", "-Ur"], &house.shimmed(tool)), 126);
        }
        ends(&mut by(&["unshare", "-Ur"], &house.shimmed("echo")), 0);
    }
    let said = r#"{"v":2,"id":"00112233445566778899aabbccddeeff","argc":1,"envc":0,"uid":0}"#;
    let claimed = format!("{said}\0head\0/\0head\0");
    assert_eq!(raw::ask(&house.socket(), &raw::framed(claimed.as_bytes())), raw::Said::default());
}

/// A request that says it has a terminal of 80 columns on its standard streams.
fn with_terminal(dir: &Path, tool: &str) -> Vec<u8> {
    let header = r#"{"v":2,"id":"00112233445566778899aabbccddeeff","argc":1,"envc":0,"tty":{"fds":7,"rows":24,"cols":80}}"#;
    raw::framed(format!("{header}\0{tool}\0{}\0{tool}\0", dir.display()).as_bytes())
}

#[test]
fn a_terminal_is_the_callers_word_for_allow_and_for_deny() {
    let house = House::new(
        "default_action: deny
rules:
  - {command: echo, tty: true, action: allow}
  - {command: cat, tty: true, action: deny}
  - {command: cat, action: allow}
  - {command: id, tty: true, action: allow, executor: local}
",
    );
    ends(&mut house.shimmed("echo"), 126);
    ends(house.shimmed("cat").stdout(Stdio::null()), 0);
    // Nobody sits at either terminal.
    let said = raw::ask(&house.socket(), &with_terminal(house.dir.path(), "echo"));
    assert_eq!(said.acks, [0], "{said:?}");
    let mut pty = Pty::spawn(&mut house.shimmed("echo"));
    let status = until("echo to end", || pty.child.try_wait().unwrap());
    assert!(status.success(), "{status}");
    let pty = Pty::spawn(&mut house.shimmed("id"));
    house.record("a local run", |record| {
        record["event"] == "started" && record["executor"] == "local"
    });
    drop(pty);
    // And one of a denied terminal's has none where it closes it.
    let mut pty = Pty::spawn(&mut house.shimmed("cat"));
    let status = until("cat to end", || pty.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(126));
}

const VARIABLES: &str = "
default_action: deny
rules:
  - {command: cat, env: {TARGET: 'prod*'}, action: deny}
  - {command: cat, action: allow}
  - {command: echo, env: {TARGET: staging}, action: allow}
  - {command: ls, env: {TARGET: absent}, action: allow}
  - {command: id, env: {TARGET: '?*'}, action: allow}
  - {command: head, env: {TARGET: '*'}, action: allow}
";

#[test]
fn a_variable_is_held_against_the_request_however_it_is_given() {
    let house = House::new(VARIABLES);
    let answer = |tool: &str, env: &[&str]| {
        let env = [raw::path(), env.iter().map(|&entry| entry.to_owned()).collect()].concat();
        raw::ask(&house.socket(), &raw::request(house.dir.path(), &[tool], &env)).acks
    };
    let (prod, staging) = ("TARGET=prod", "TARGET=staging");
    for (tool, env) in [
        // There twice: tools differ in which one they take.
        ("echo", &[staging, prod][..]),
        ("echo", &[prod, staging]),
        ("echo", &[staging, "TARGET="]),
        ("cat", &[staging, prod]),
        ("cat", &[prod, staging]),
        ("cat", &["TARGET=", prod]),
        ("ls", &["TARGET=", "TARGET"]),
        ("ls", &["TARGET="]),
        ("ls", &[prod]),
        // Of a value every byte counts, line ends as others.
        ("echo", &["TARGET=staging\n"]),
        ("echo", &["TARGET=staging\nTARGET=prod"]),
        ("echo", &["TARGET=\nstaging"]),
        ("echo", &["X=\nTARGET=staging"]),
        ("echo", &["TARGET=Staging"]),
        ("echo", &["target=staging"]),
        ("echo", &["TARGET =staging"]),
        ("echo", &["TARGET=staging "]),
        ("cat", &["TARGET=prod\n/eu"]),
        ("cat", &["TARGET=prod\u{1b}[2K"]),
        // Set and empty is not unset, and a name without `=` is nothing.
        ("id", &["TARGET="]),
        ("id", &["TARGET"]),
        ("id", &[]),
        ("head", &[]),
        ("head", &["TARGET"]),
    ] {
        assert_eq!(answer(tool, env), [1], "{tool} {env:?}");
    }
    for (tool, env) in [
        ("echo", &[staging][..]),
        ("echo", &[staging, staging]),
        ("cat", &[staging]),
        ("cat", &["TARGET="]),
        ("cat", &[]),
        ("ls", &[]),
        ("ls", &["TARGETS=x"]),
        ("id", &["TARGET=\n"]),
        ("head", &["TARGET="]),
    ] {
        assert_eq!(answer(tool, env), [0], "{tool} {env:?}");
    }
    // By the shim, as by anybody. A variable is the caller's to set, so a condition on it binds only who leaves it.
    ends(house.shimmed("cat").env("TARGET", "prod"), 126);
    ends(house.shimmed("cat").env_remove("TARGET"), 0);
    ends(house.shimmed("echo").env("TARGET", "staging"), 0);
}

#[test]
fn an_approval_is_for_the_variables_that_were_shown_every_one_of_them() {
    let house = House::new("rules: [{command: echo, env: {TARGET: '*'}, action: ask}]");
    let env = |more: &[&str]| {
        [raw::path(), more.iter().map(|&entry| entry.to_owned()).collect()].concat()
    };
    let ask = |more: &[&str]| {
        let mut stream = raw::connect(&house.socket());
        stream.write_all(&raw::request(house.dir.path(), &["echo"], &env(more))).unwrap();
        let ack = raw::ack(&mut stream);
        (stream, ack)
    };
    let approve = |env: &[&str]| {
        let (stream, ack) = ask(env);
        assert_eq!(ack, Some(2), "{env:?}");
        let short = house.pending()["short"].as_str().unwrap().to_owned();
        drop(stream);
        until("the entry to be parked", || (house.pending()["callers"] == 0).then_some(()));
        assert!(house.cli(&["approve", &short]).status.success());
    };
    approve(&["TARGET=staging", "GIT_PAGER=one"]);
    approve(&["TARGET=one", "TARGET=two"]);
    let mut waiting = Vec::new();
    for others in [
        &["TARGET=prod", "GIT_PAGER=one"][..],
        &["TARGET=staging", "GIT_PAGER=two"],
        &["TARGET=staging", "TARGET=prod", "GIT_PAGER=one"],
        &["TARGET=prod", "TARGET=staging", "GIT_PAGER=one"],
        &["TARGET=staging", "GIT_PAGER=one", "GIT_PAGER=two"],
        &["TARGET=staging", "GIT_PAGER=one", "LD_PRELOAD=/nowhere.so"],
        &["TARGET=staging\nGIT_PAGER=one"],
        &["TARGET=staging"],
        &["TARGET=two", "TARGET=one"],
        &["TARGET=one"],
    ] {
        let (stream, ack) = ask(others);
        assert_eq!(ack, Some(2), "{others:?}");
        waiting.push(stream);
    }
    nothing_started(&house);
    drop(waiting);
    // Its place in the environment is no matter.
    let (_stream, ack) = ask(&["GIT_PAGER=one", "TARGET=staging"]);
    assert_eq!(ack, Some(0));
    assert_eq!(ask(&["TARGET=one", "TARGET=two"]).1, Some(0));
}
