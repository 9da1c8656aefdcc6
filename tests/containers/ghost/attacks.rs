//! Ways out of a ghost, and ways to make one a burden.

use std::fs;
use std::os::unix::fs::symlink;

use crate::cell::{Cell, Plan, workspace};
use crate::support::{text, until};

#[test]
fn a_ghost_that_forks_without_end_comes_to_its_end() {
    let cell = Cell::new(&Plan { rule: ", timeout: 3s, limits: {pids: 40}", ..Plan::default() });
    let output = cell.ghost("bomb() { bomb | bomb & }; while :; do bomb 2>/dev/null; done");
    assert!(matches!(output.status.code(), Some(124 | 2 | 137)), "{:?}", output.status);
    cell.is_clean();
    assert_eq!(cell.ghost("echo alive").stdout, b"alive\n");
}

#[test]
fn a_ghost_that_prints_for_ever_to_nobody_holds_nothing_up() {
    let cell = Cell::new(&Plan { rule: ", timeout: 2s", ..Plan::default() });
    let script = "sh -c 'trap \"\" TERM PIPE; while :; do echo y 2>/dev/null; done' | /bin/sleep 6";
    let mut child = cell.command(&[], &["/bin/sh", "-c", script]).spawn().unwrap();
    until("it to be ended", || (cell.records("finished").len() == 1).then_some(()));
    cell.is_clean();
    child.wait().unwrap();
}

#[test]
fn a_ghost_fills_no_disk_but_its_callers_own() {
    let cell = Cell::new(&Plan { rule: ", limits: {memory: 32m}", ..Plan::default() });
    let output = cell.ghost("dd if=/dev/zero of=/tmp/big bs=1M count=64 2>&1; dd if=/dev/zero of=/big bs=1M count=1 2>&1");
    let told = text(&output.stdout);
    // Its memory is all that there is.
    assert!(
        output.status.code() == Some(137)
            || told.contains("No space")
            || told.contains("Killed")
            || told.contains("Read-only"),
        "{told}"
    );
    cell.is_clean();
}

#[test]
fn root_in_a_container_gets_no_ghost() {
    let cell = Cell::new(&Plan::default());
    let output = cell.command(&["-u", "0"], &["sh", "-c", "id"]).output().unwrap();
    assert_eq!(output.status.code(), Some(126));
    assert!(text(&output.stderr).contains("does not run as root"), "{}", text(&output.stderr));
    assert!(cell.records("started").is_empty());
}

#[test]
fn a_link_in_the_workspace_leads_nowhere_but_in_the_ghost() {
    let cell = Cell::new(&Plan::default());
    symlink("/etc", cell.work.path().join("etc")).unwrap();
    fs::write("/tmp/clawrden-outside", "host").unwrap();
    symlink("/tmp/clawrden-outside", cell.work.path().join("out")).unwrap();
    let output = cell.ghost("cat etc/alpine-release out");
    assert!(text(&output.stdout).starts_with("3.") && !text(&output.stdout).contains("host"));
    // A working directory that is a link is where it leads to, which is not shared.
    let output = cell.command(&["-w", "/work/etc"], &["sh", "-c", "pwd"]).output().unwrap();
    assert_eq!(output.status.code(), Some(126));
    fs::remove_file("/tmp/clawrden-outside").unwrap();
}

#[test]
fn a_mount_whose_way_on_the_host_the_prisoner_can_bend_is_not_shared() {
    let outer = workspace();
    fs::create_dir(outer.path().join("inner")).unwrap();
    std::os::unix::fs::chown(outer.path().join("inner"), Some(1000), Some(1000)).unwrap();
    let jail = "workspace: [/work, /outer, /inner]";
    let cell = Cell::with(&Plan { jail, ..Plan::default() }, |spec| {
        spec.mount(outer.path(), "/outer").mount(&outer.path().join("inner"), "/inner")
    });
    assert_eq!(cell.ghost("ls /inner; echo fine").stdout, b"fine\n");
    // The engine would follow this link on the host.
    let bend = "mv /outer/inner /outer/was && ln -s /root /outer/inner";
    let done =
        cell.container.exec_with(&["-u", "1000"], &["/bin/sh", "-c", bend]).output().unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
    let output = cell.ghost("ls /inner");
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stdout));
    assert!(
        text(&output.stderr).contains("/inner is another folder in the ghost"),
        "{}",
        text(&output.stderr)
    );
    cell.is_clean();
}

#[test]
fn our_sockets_and_the_systems_folders_are_shared_with_no_ghost() {
    let cell =
        Cell::with(&Plan { jail: "workspace: [/work, /jail, /all]", ..Plan::default() }, |spec| {
            spec.mount(std::path::Path::new("/etc"), "/all")
        });
    let output = cell.ghost("ls -d /all /jail /run/clawrden /clawrden/bin 2>&1; ls -A / | sort");
    let told = text(&output.stdout);
    assert_eq!(told.matches("No such file").count(), 4, "{told}");
}

#[test]
fn what_looks_like_a_word_for_the_engine_is_one_for_the_tool() {
    let cell = Cell::new(&Plan::default());
    let words = ["echo", "--privileged", "-v", "/:/host", "--cap-add=ALL", "--user=0"];
    let output = cell.command(&[], &words).output().unwrap();
    assert_eq!(text(&output.stdout), "--privileged -v /:/host --cap-add=ALL --user=0\n");
}

#[test]
fn a_ghost_leaves_no_setuid_file_of_roots_in_the_workspace() {
    let cell = Cell::new(&Plan::default());
    let output = cell.ghost("cp /bin/busybox own; chmod 4755 own; chown 0:0 own 2>&1; ls -ln own");
    let told = text(&output.stdout);
    assert!(told.contains("not permitted") && told.contains(" 1000 "), "{told}");
}
