//! That the engine and the images are what the other tests take them for.

use crate::support::engine::{self, IMAGES, LABEL, Own};
use crate::support::text;

/// What `script` prints in a container of this image.
fn printed(image: &str, script: &str) -> String {
    let container = engine::get().container(image).start();
    let output = container.sh(script);
    assert!(output.status.success(), "{image}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn alpine_is_alpine_with_busybox_and_musl() {
    let said = printed("alpine", "cat /etc/alpine-release; readlink /bin/ls; ls /lib/ld-musl-*");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("3.23"), "{said}");
    assert_eq!(lines[1], "/bin/busybox");
    assert!(lines[2].starts_with("/lib/ld-musl-"), "{said}");
}

#[test]
fn debian_is_debian_with_dash_and_bash() {
    for (image, version) in [("debian12", "12"), ("debian13", "13")] {
        let script = ". /etc/os-release; echo $VERSION_ID; readlink /bin/sh; bash -c 'echo $0'";
        assert_eq!(printed(image, script), format!("{version}\ndash\nbash\n"));
    }
}

#[test]
fn python_slim_has_its_python_in_usr_local() {
    let said = printed(
        "python-slim",
        "command -v python3; python3 -c 'import sys, ssl, sqlite3, ctypes; print(sys.prefix)'; \
         pip --version; head -1 $(command -v pip); ! dpkg -S /usr/local/bin/python3.13 2>/dev/null",
    );
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..2], ["/usr/local/bin/python3", "/usr/local"]);
    assert!(lines[2].starts_with("pip "), "{said}");
    assert!(lines[3].starts_with("#!/usr/local/bin/python3"), "{said}");
}

#[test]
fn npm_of_node_is_a_link_to_a_script() {
    let said = printed(
        "node",
        "readlink /usr/local/bin/npm; head -1 /usr/local/bin/npm; npm --version; node -p 6*7",
    );
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "../lib/node_modules/npm/bin/npm-cli.js");
    assert_eq!(lines[1], "#!/usr/bin/env node");
    assert!(lines[2].contains('.'), "{said}");
    assert_eq!(lines[3], "42");
}

#[test]
fn distroless_has_no_shell_and_runs_its_programs() {
    let container = engine::get().container("distroless").start();
    let sh = container.exec(&["sh", "-c", "true"]).output().unwrap();
    assert_ne!(sh.status.code(), Some(0));
    let list =
        "import os, ssl; print(sorted(os.listdir('/usr/bin') + os.listdir('/usr/local/bin')))";
    let python = container.exec(&["python3", "-c", list]).output().unwrap();
    let there = "['cat', 'id', 'python', 'python3', 'python3.13', 'sha256sum']\n";
    assert_eq!(text(&python.stdout), there, "{}", text(&python.stderr));
    for program in ["cat", "sha256sum"] {
        let output = container.exec(&[program, "/etc/passwd"]).output().unwrap();
        assert!(output.status.success(), "{program}: {}", text(&output.stderr));
    }
    let id = container.exec_with(&["-u", "65532"], &["id", "-un"]).output().unwrap();
    assert_eq!(text(&id.stdout), "nonroot\n");
}

#[test]
fn ubuntu_where_it_is_to_be_had() {
    let engine = engine::get();
    let Some(reference) = engine.try_image("ubuntu") else { return };
    let container = engine.container_of(&reference).command(&["cat", "/etc/os-release"]).start();
    container.wait();
    assert!(container.logs().contains("VERSION_ID=\"24.04\""), "{}", container.logs());
}

#[test]
fn a_container_goes_with_its_test() {
    let engine = engine::get();
    let mark = format!("clawrden-test.mark={}", std::process::id());
    let (name, value) = mark.split_once('=').unwrap();
    let first = engine.container("alpine").label(name, value).start();
    let second = engine.container("alpine").label(name, value).command(&["false"]).create();
    assert_eq!(engine.labelled(&mark).len(), 2);
    assert_eq!(first.inspect()["Config"]["Labels"][LABEL], std::process::id().to_string());
    drop((first, second));
    assert_eq!(engine.labelled(&mark), Vec::<String>::new());
}

#[test]
fn every_image_is_made_once() {
    let engine = engine::get();
    let id = |image: &str| {
        let reference = engine.image(image);
        engine.say(&["image", "inspect", "--format", "{{.Id}}", &reference])
    };
    for image in IMAGES {
        assert_eq!(id(image), id(image));
    }
}

#[test]
fn an_engine_of_ones_own_ends_and_comes_back() {
    if !crate::support::other::is_root() {
        eprintln!("not tried: only root can start an engine");
        return;
    }
    let mut own = Own::start();
    let pid = own.pid();
    let id = own.engine.image("alpine");
    assert!(own.engine.address != engine::get().address);
    own.stop();
    assert!(!own.engine.docker().arg("version").output().unwrap().status.success());
    own.restart();
    assert_ne!(own.pid(), pid);
    assert_eq!(own.engine.image("alpine"), id);
    let container = own.engine.container("alpine").start();
    assert_eq!(text(&container.sh("echo hi").stdout), "hi\n");
}
