//! Scripts, links to scripts, applets, images without a shell, and containers of every kind.

use crate::prison::{IMAGES, MIRROR, Prison, house, inside};
use crate::support::engine::{self, Spec};
use crate::support::text;

/// What these words print natively and by the shim, which must be the same.
fn same(prison: &Prison, words: &[&str]) -> String {
    let native = prison.container.exec(words).output().unwrap();
    let shimmed = prison.governed(&[], words).output().unwrap();
    assert_eq!(text(&shimmed.stdout), text(&native.stdout), "{words:?}: {}", text(&shimmed.stderr));
    assert_eq!(shimmed.status, native.status, "{words:?}");
    text(&native.stdout)
}

#[test]
fn a_python_in_usr_local_is_the_images() {
    let prison = Prison::new("python-slim", MIRROR);
    let show = "import sys; print(sys.prefix, sys.executable, sys.argv)";
    // Of a program on PATH, Python asks PATH where it lies.
    let said = same(&prison, &["env", "python3", "-c", show, "a"]);
    assert_eq!(said, "/usr/local /usr/local/bin/python3 ['-c', 'a']\n");
    let version = same(&prison, &["env", "pip", "--version"]);
    assert!(version.starts_with("pip "), "{version}");
    let venv = "python3 -m venv --without-pip /tmp/v && PATH=/tmp/v/bin:$PATH && python3 -c 'import sys; print(sys.prefix)'";
    assert_eq!(same(&prison, &["sh", "-c", venv]), "/tmp/v\n");
    let argv0: Vec<_> = prison.records("requested", 3);
    assert!(argv0.iter().any(|record| record["argv"][0] == "python3"), "{argv0:?}");
}

#[test]
fn npm_is_a_link_to_a_script_of_node() {
    let prison = Prison::new("node", MIRROR);
    let version = same(&prison, &["env", "npm", "--version"]);
    assert!(version.contains('.'), "{version}");
    assert_eq!(same(&prison, &["env", "node", "-p", "6*7"]), "42\n");
    let root = same(&prison, &["env", "npm", "prefix", "-g"]);
    assert_eq!(root, "/usr/local\n");
    let tools: Vec<_> = prison.records("requested", 6);
    for tool in ["npm", "node"] {
        assert!(tools.iter().any(|record| record["argv"][0] == tool), "{tools:?}");
    }
}

#[test]
fn busyboxs_applets_are_told_apart_by_their_names() {
    let prison = Prison::new("alpine", MIRROR);
    for (words, wanted) in [
        (&["env", "readlink", "/bin/ls"][..], "/bin/busybox\n"),
        (&["env", "printf", "%s-", "a"], "a-"),
        (
            &["sh", "-c", "echo $0; ls -d /etc; echo x | wc -l; env true; env false || echo $?"],
            "sh\n/etc\n1\n1\n",
        ),
    ] {
        assert_eq!(same(&prison, words), wanted);
    }
}

#[test]
fn an_image_without_a_shell_is_governed_too() {
    let prison = Prison::new("distroless", MIRROR);
    let agent = "import subprocess; \
                 r = subprocess.run(['cat'], input=b'through', capture_output=True); print(r); \
                 print(subprocess.run(['id', '-u'], capture_output=True)); \
                 print(subprocess.run(['cat', '/nonexistent'], capture_output=True))";
    let native = prison.container.exec(&["python3", "-c", agent]).output().unwrap();
    let shimmed = prison.governed(&[], &["/usr/local/bin/python3", "-c", agent]).output().unwrap();
    assert_eq!(text(&shimmed.stdout), text(&native.stdout), "{}", text(&shimmed.stderr));
    assert!(text(&native.stdout).contains("stdout=b'through'"));
    prison.records("finished", 3);
}

#[test]
fn a_shim_is_the_first_process_of_a_container() {
    let house = house(MIRROR);
    let engine = engine::get();
    for image in IMAGES {
        for (script, code) in [("exit 7", 7), ("echo said $$", 0), ("kill -TERM $$; exit 3", 3)] {
            let spec = inside(&house, engine.container_of(&engine.image(image)));
            let container = spec.command(&["/clawrden/bin/sh", "-c", script]).start();
            assert_eq!(container.wait(), code, "{image} {script}: {}", container.logs());
            let said = if script.starts_with("echo") { "said 1\n" } else { "" };
            assert_eq!(container.logs(), said, "{image}");
        }
    }
}

#[test]
fn a_container_that_may_do_next_to_nothing_is_governed_as_any() {
    for image in IMAGES {
        let prison = Prison::with(image, MIRROR, |spec| {
            let words = [
                "--cap-drop=ALL",
                "--security-opt=no-new-privileges",
                "--read-only",
                "--network=none",
                "--pids-limit=64",
                "--memory=64m",
                "--user=1000:1000",
            ];
            words.into_iter().fold(spec, Spec::option)
        });
        let script = "id; ls -ld /tmp; touch /x; echo $?; grep -E '^(Cap|NoNewPrivs|Seccomp)' /proc/self/status";
        let said = same(&prison, &["sh", "-c", script]);
        assert!(said.contains("uid=1000"), "{said}");
        let requested = prison.records("requested", 1);
        assert_eq!(requested[0]["caller"]["uid"], 1000, "{requested:?}");
    }
}

#[test]
fn containers_that_share_namespaces_are_governed_as_any() {
    let other = engine::get().container("alpine").start();
    let joined = format!("container:{}", other.id);
    for options in [
        &["--pid=host"][..],
        &["--ipc=host", "--uts=host"],
        &["--network=host"],
        &["--pid", &joined],
        &["--security-opt", "seccomp=unconfined"],
    ] {
        let prison = Prison::with("debian12", MIRROR, |spec| {
            options.iter().fold(spec, |spec, word| spec.option(word))
        });
        let said = same(&prison, &["sh", "-c", "echo $(id -u); echo a | cat; exit 3"]);
        assert_eq!(said, "0\na\n", "{options:?}");
    }
}

#[test]
fn a_container_that_is_paused_in_the_middle_goes_on() {
    let prison = Prison::new("alpine", MIRROR);
    let mut command = prison.governed(&[], &["sh", "-c", "echo begun; sleep 1; echo done"]);
    let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    prison.records("started", 1);
    for verb in ["pause", "unpause"] {
        prison.container.engine.say(&[verb, &prison.container.id]);
    }
    assert_eq!(text(&child.wait_with_output().unwrap().stdout), "begun\ndone\n");
}

#[test]
fn a_container_that_is_removed_in_the_middle_has_an_outcome() {
    let prison = Prison::new("alpine", MIRROR);
    let mut child = prison.governed(&[], &["sleep", "1000"]).spawn().unwrap();
    prison.records("started", 1);
    prison.container.engine.say(&["rm", "-f", &prison.container.id]);
    child.wait().unwrap();
    let finished = prison.records("finished", 1);
    assert_eq!(finished[0]["signal"], 9, "{finished:?}");
}
