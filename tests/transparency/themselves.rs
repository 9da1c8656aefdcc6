//! Tools that look for themselves on PATH, where the first of their name is a shim.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::clawrden;
use crate::{Stage, Way, same};

/// The tool as a shell calls it that found it on PATH, with the shims first there.
fn by_path(stage: &Stage, tool: &str, args: &[&str], first: Option<&Path>) -> Output {
    let house = &stage.house;
    let mut command = stage.tool(tool);
    let shims = (stage.way != Way::Native).then(|| house.bin());
    let path = std::env::var_os("PATH").unwrap();
    let dirs = shims.into_iter().chain(first.map(Path::to_owned));
    command.env("PATH", std::env::join_paths(dirs.chain(std::env::split_paths(&path))).unwrap());
    command.args(args).output().unwrap()
}

#[test]
fn a_compiler_finds_its_parts() {
    let output = same("cc -print-prog-name", |stage| {
        if stage.way != Way::Native {
            let made = clawrden().arg("shims").arg(stage.house.bin()).arg("cc").output().unwrap();
            assert!(made.status.success());
        }
        by_path(stage, "cc", &["-print-prog-name=cc1"], None)
    });
    assert!(output.stdout.starts_with(b"/"), "{output:?}");
}

#[test]
fn a_python_knows_the_virtual_environment_that_it_lies_in() {
    for way in [Way::Native, Way::Mirror] {
        let stage = Stage::new(way);
        let venv = stage.house.path("venv");
        // Not by way of a manager of versions, which is a script.
        let python = "import sys; print(sys._base_executable)";
        let python = Command::new("python3").args(["-c", python]).output().unwrap();
        let python = String::from_utf8(python.stdout).unwrap();
        let mut make = Command::new(python.trim());
        let made = make.args(["-m", "venv", "--without-pip"]).arg(&venv).status().unwrap();
        assert!(made.success());
        let ask = ["-c", "import sys; print(sys.prefix, sys.executable)"];
        let output = by_path(&stage, "python3", &ask, Some(&venv.join("bin")));
        let expected = format!("{0} {0}/bin/python3\n", fs::canonicalize(&venv).unwrap().display());
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{way:?} {output:?}");
    }
}

#[test]
fn a_tool_that_comes_to_stand_before_another_on_path_is_the_next_one_that_runs() {
    for way in [Way::Native, Way::Mirror] {
        let stage = Stage::new(way);
        let (first, later) = (stage.house.path("first"), stage.house.path("later"));
        fs::create_dir(&first).unwrap();
        let runs = || {
            let output = by_path(&stage, "wc", &["-c"], Some(&first));
            String::from_utf8(output.stdout).unwrap()
        };
        for round in 0..5 {
            // Often enough to be known.
            (0..5).for_each(|_| assert_eq!(runs(), "0\n", "{way:?} {round}"));
            fs::write(&later, "#!/bin/sh\necho another\n").unwrap();
            fs::set_permissions(&later, fs::Permissions::from_mode(0o755)).unwrap();
            fs::rename(&later, first.join("wc")).unwrap();
            assert_eq!(runs(), "another\n", "{way:?} {round}");
            fs::remove_file(first.join("wc")).unwrap();
        }
    }
}
