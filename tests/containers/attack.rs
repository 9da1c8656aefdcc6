//! What a prisoner in a container tries: whoever tries what is tried here gets nothing by it.

use std::process::Output;

use crate::prison::{IMAGES, MIRROR, Prison, house, inside};
use crate::support::engine;
use crate::support::{House, text, until};

/// As `MIRROR`, with tools that run on the warden's side.
const LOCAL: &str = "
default_action: allow
on_unparsed: allow
rules:
  - {command: [touch, id, sh], action: allow, executor: local}
";

/// Nothing was started for anybody.
fn nothing_started(house: &House) {
    assert_eq!(house.events("started"), Vec::<serde_json::Value>::new());
}

fn is_refused(output: &Output, what: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(126), "{said}");
    assert!(said.contains(what), "{what}: {said}");
}

#[test]
fn neither_another_jails_socket_nor_the_control_plane_is_there() {
    for image in IMAGES {
        let prison = Prison::new(image, MIRROR);
        let found = prison.container.sh(
            "find / -xdev \\( -type s -o -name control.sock -o -name '*.jsonl' -o -name policy.yaml \\) 2>/dev/null; \
             find /run/clawrden /clawrden -type s; ls -a /run/clawrden /run/clawrden/..",
        );
        let shown = text(&found.stdout);
        let sockets: Vec<&str> =
            shown.lines().filter(|line| line.starts_with('/') && !line.ends_with(':')).collect();
        assert_eq!(sockets, ["/run/clawrden/warden.sock"], "{image}: {shown}");
        assert!(
            !shown.lines().any(|line| ["other", "jails", "control.sock"].contains(&line)),
            "{shown}"
        );
        // By whatever name it calls the jail's folder.
        let script = "for s in /run/clawrden/../other/warden.sock /run/clawrden/../../jails/other/warden.sock \
                      /run/clawrden/jails/other/warden.sock /proc/1/root/run/clawrden/jails/other/warden.sock; do \
                      CLAWRDEN_SOCKET=$s env true; echo $?; done";
        let output = prison.governed(&[], &["/bin/sh", "-c", script]).output().unwrap();
        assert_eq!(
            text(&output.stdout),
            "125\n125\n125\n125\n",
            "{image}: {}",
            text(&output.stderr)
        );
        nothing_started(&prison.house);
    }
}

#[test]
fn who_points_its_shims_at_its_own_socket_by_another_name_is_in_the_same_jail() {
    let prison = Prison::new("debian12", MIRROR);
    let script =
        "ln -s /run/clawrden/warden.sock /tmp/other.sock; CLAWRDEN_SOCKET=/tmp/other.sock env true";
    assert!(prison.governed(&[], &["/bin/sh", "-c", script]).status().unwrap().success());
    let requested = prison.records("requested", 1);
    assert!(requested.iter().all(|record| record["jail"] == "box"), "{requested:?}");
}

#[test]
fn what_is_mounted_cannot_be_changed_by_root_inside() {
    for image in IMAGES {
        let prison = Prison::new(image, MIRROR);
        let script = "rm /run/clawrden/warden.sock; mv /run/clawrden/warden.sock /run/clawrden/old; \
                      ln -s /tmp/mine.sock /run/clawrden/mine.sock; chmod 777 /run/clawrden/warden.sock; \
                      rm /clawrden/bin/env; cp /bin/sh /clawrden/bin/clawrden-shim; echo >>/clawrden/bin/clawrden-shim; \
                      mount -o remount,rw /clawrden/bin; umount /clawrden/bin; umount /run/clawrden; true";
        prison.container.exec(&["/bin/sh", "-c", script]).output().unwrap();
        let shim = |house: &House| {
            std::fs::read(house.path("clawrden/jails/box/bin/clawrden-shim")).unwrap()
        };
        assert!(
            shim(&prison.house) == std::fs::read(prison.house.bin().join("clawrden-shim")).unwrap()
        );
        let output = prison.governed(&[], &["env", "true"]).output().unwrap();
        assert!(output.status.success(), "{image}: {}", text(&output.stderr));
        prison.records("finished", 1);
    }
}

#[test]
fn a_control_plane_that_a_container_can_see_is_closed_to_it() {
    // Who mounts the folder of the default jail mounts the control socket, too.
    let house = house("default_action: deny\nrules: [{command: touch, action: ask}]");
    let engine = engine::get();
    let cli = crate::support::clawrden().get_program().to_owned();
    for options in [
        &[][..],
        &["--user=1000"],
        &["--pid=host"],
        &["--network=host", "--ipc=host", "--uts=host"],
    ] {
        let spec = engine.container("debian12").mount(house.dir.path(), "/run/clawrden");
        let spec = spec.mount_read_only(std::path::Path::new(&cli), "/usr/bin/clawrden");
        let container = options.iter().fold(spec, |spec, word| spec.option(word)).start();
        let shim = "CLAWRDEN_SOCKET=/run/clawrden/jails/box/warden.sock /run/clawrden/clawrden/jails/box/bin/touch /tmp/mark";
        let waiting =
            container.exec(&["sh", "-c", shim]).stderr(std::process::Stdio::null()).spawn();
        let id = house.pending()["id"].as_str().unwrap().to_owned();
        for words in [
            &["queue"][..],
            &["approve", &id],
            &["deny", &id],
            &["kill"],
            &["status"],
            &["history"],
        ] {
            let words = [&["clawrden", "--control", "/run/clawrden/control.sock"], words].concat();
            let output = container.exec(&words).output().unwrap();
            let said = text(&output.stderr) + &text(&output.stdout);
            assert_ne!(output.status.code(), Some(0), "{options:?} {words:?}: {said}");
            assert!(!said.contains("/tmp/mark"), "{options:?} {words:?}: {said}");
        }
        assert_eq!(house.pending()["id"], id.as_str(), "{options:?}");
        house.json(&["deny", &id, "--json"]);
        assert_eq!(waiting.unwrap().wait().unwrap().code(), Some(126));
        assert!(!container.sh("ls /tmp/mark").status.success());
        until("nobody to wait", || {
            house.json(&["queue", "--json"])["entries"].as_array()?.is_empty().then_some(())
        });
    }
    nothing_started(&house);
}

#[test]
fn an_identity_in_the_header_does_nothing() {
    let prison = Prison::with("python-slim", LOCAL, |spec| spec.user("1234:1234"));
    let client = "
import json, socket, struct, sys
def ask(body):
    s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect('/run/clawrden/warden.sock')
    s.sendall(struct.pack('>I', len(body)) + body)
    said = b''
    while True:
        more = s.recv(65536)
        if not more: return said
        said += more
header = {'command': 'id', 'args': ['-u'], 'cwd': '/tmp', 'env': ['PATH=/usr/bin:/bin'], 'identity': {'uid': 0, 'gid': 0}, 'pid': 1, 'container': 'x'}
print(ask(json.dumps(header).encode()))
for field in ['\"identity\":{\"uid\":0,\"gid\":0}', '\"pid\":1', '\"uid\":0', '\"jail\":\"other\"', '\"container\":\"' + 'f' * 64 + '\"']:
    print(ask(('{\"v\":2,\"id\":\"00112233445566778899aabbccddeeff\",\"argc\":2,\"envc\":0,%s}\\0id\\0/tmp\\0id\\0-u\\0' % field).encode()))
";
    let output = prison.container.exec(&["python3", "-c", client]).output().unwrap();
    let said = text(&output.stdout);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 6, "{said} {}", text(&output.stderr));
    // Denied, and told why; it never ran.
    assert!(lines[0].starts_with("b\"\\x01"), "{said}");
    for line in &lines[1..] {
        assert_eq!(*line, "b''", "the connection is closed: {said}");
    }
    let requested = prison.records("requested", 1);
    assert_eq!(requested[0]["caller"]["uid"], 1234, "{requested:?}");
    assert_eq!(requested[0]["caller"]["gid"], 1234, "{requested:?}");
    assert_ne!(requested[0]["caller"]["pid"], 1, "{requested:?}");
    assert_eq!(requested[0]["jail"], "box", "{requested:?}");
    nothing_started(&prison.house);
}

#[test]
fn root_of_a_container_never_gets_local() {
    for options in
        [&[][..], &["--pid=host"], &["--pid=host", "--network=host", "--ipc=host", "--uts=host"]]
    {
        let prison = Prison::with("debian12", LOCAL, |spec| {
            // The warden's own folder at its own place: nothing that is looked up tells the two apart.
            options.iter().fold(spec, |spec, word| spec.option(word))
        });
        let mark = prison.house.path("mark").display().to_string();
        for words in [&["touch", &mark][..], &["id", "-u"], &["sh", "-c", ":"]] {
            let words = [&["env"], words].concat();
            is_refused(&prison.governed(&[], &words).output().unwrap(), "namespace");
        }
        assert!(!prison.house.path("mark").exists());
        let ran = prison
            .house
            .ledger()
            .into_iter()
            .any(|record| record["event"] == "started" && record["executor"] != "mirror");
        assert!(!ran, "{options:?}");
    }
}

#[test]
fn links_and_dots_lead_nowhere_but_in_the_container() {
    let policy = "
default_action: deny
rules:
  - {command: cat, args: {inside: .}, action: allow}
  - {command: env, action: allow}
";
    for image in IMAGES {
        let prison = Prison::new(image, policy);
        let secret = prison.house.path("secret");
        std::fs::write(&secret, "of the host\n").unwrap();
        let secret = secret.display();
        let script = format!(
            "mkdir -p /work/in; cd /work; echo inside >in/file; ln -s {secret} link; ln -s / root; ln -s ../../../../../../.. up; \
             ln -s /proc/1/root{secret} by-proc; \
             for f in in/file link root/etc/hostname up/etc/hostname by-proc ../../../{secret} /proc/self/root/etc/hostname; do \
             cat \"$f\"; echo $?; done"
        );
        let output = prison.governed(&[], &["/bin/sh", "-c", &script]).output().unwrap();
        let said = text(&output.stdout);
        assert_eq!(
            said,
            "inside\n0\n126\n126\n126\n126\n126\n126\n",
            "{image}: {}",
            text(&output.stderr)
        );
    }
}

#[test]
fn an_applet_by_argv_0_is_judged_as_the_applet_that_it_is() {
    let policy = "
default_action: deny
rules:
  - {command: rm, action: deny, reason: kept}
  - {command: [cat, sh, echo], action: allow}
";
    let prison = Prison::new("alpine", policy);
    let file = ":>/tmp/file; ";
    for (script, code) in [
        ("cat /tmp/file", 0),
        ("cat rm /tmp/file 2>/dev/null", 1),
        ("sh -c 'exec -a rm cat /tmp/file'", 126),
        ("exec -a rm cat /tmp/file", 126),
        ("exec -a sh cat -c 'rm /tmp/file'", 126),
    ] {
        let script = [file, script].concat();
        let output = prison.governed(&[], &["/bin/sh", "-c", &script]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{script}: {}", text(&output.stderr));
        assert!(prison.container.sh("ls /tmp/file").status.success(), "{script}");
    }
}

#[test]
fn a_tool_of_the_hosts_is_not_the_containers() {
    // In the container there is none of this name; on the host there is one, and it is on the warden's PATH.
    let prison = Prison::new("distroless", MIRROR);
    let agent =
        "import subprocess, os; print(subprocess.run(['/clawrden/bin/ls', '/']).returncode)";
    let output = prison.governed(&[], &["/usr/local/bin/python3", "-c", agent]).output().unwrap();
    assert_eq!(text(&output.stdout), "127\n", "{}", text(&output.stderr));
    nothing_started(&prison.house);
}

#[test]
fn three_hundred_waiting_requests_of_one_container_do_not_stop_another() {
    let house = house("default_action: allow\nrules: [{command: cat, action: ask}]");
    let engine = engine::get();
    let [loud, quiet] =
        ["alpine", "debian12"].map(|image| inside(&house, engine.container(image)).start());
    let flood = "n=0; while [ $n -lt 300 ]; do /clawrden/bin/cat /etc/passwd >/dev/null 2>&1 & n=$((n + 1)); done; wait";
    let mut flooding = loud.exec(&["sh", "-c", flood]).spawn().unwrap();
    until("the flood", || {
        let queue = house.json(&["queue", "--json"]);
        let entries = queue["entries"].as_array()?;
        let callers: u64 = entries.iter().filter_map(|entry| entry["callers"].as_u64()).sum();
        (callers >= 250).then_some(())
    });
    for _ in 0..5 {
        let output = quiet.exec(&["/clawrden/bin/env", "true"]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    drop(loud);
    let _ = flooding.wait();
}
