//! Tools that stand before others of the same name on PATH, and tools that start themselves.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::text;
use crate::{Stage, Way};

/// Looks for the next `mk` on PATH that is not itself, as ccache and its like do, and runs it in this way.
fn mask(run: &str) -> String {
    format!(
        "self=$(/usr/bin/readlink -f \"$0\")\nIFS=:\nfor dir in $PATH; do\n  next=$dir/mk\n  \
         if [ -x \"$next\" ] && [ \"$(/usr/bin/readlink -f \"$next\")\" != \"$self\" ]; then\n    \
         unset IFS\n    echo mask \"$@\"\n    {run}\n  fi\ndone\necho nothing behind the mask\nexit 9\n"
    )
}

const REAL: &str = "echo real \"$@\"\nexit 3\n";

/// What `mk` does natively, by mirror and by local, with these scripts of that name on PATH, in this order.
fn run(way: Way, scripts: &[(&str, &str)], variables: &[(&str, &str)]) -> (Output, usize) {
    let mut stage = Stage::new(way);
    let dir = stage.house.dir.path().to_owned();
    let at = |name: &str| dir.join(name);
    let mut path = String::new();
    if way != Way::Native {
        let made = crate::support::clawrden().arg("shims").arg(at("shims")).arg("mk").output();
        assert!(made.unwrap().status.success());
        path = format!("{}:", at("shims").display());
    }
    for (folder, script) in scripts {
        fs::create_dir_all(at(folder)).unwrap();
        write(&at(folder).join("mk"), script);
        path += &format!("{}:", at(folder).display());
    }
    path += "/usr/bin:/bin";
    if way == Way::Local {
        // What runs on the warden's side has the PATH that a prisoner was started with: here the warden's own.
        stage.house.crash();
        stage.house.restart_with(&[("PATH", &path)]);
    }
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "mk one 'two three'; echo status $?"]).current_dir(at(""));
    shell.env("PATH", path).env("CLAWRDEN_SOCKET", stage.house.socket());
    let output = shell.envs(variables.iter().copied()).output().unwrap();
    let ledger = stage.house.ledger();
    (output, ledger.iter().filter(|record| record["event"] == "requested").count())
}

/// Written elsewhere and moved: a file that another thread's child holds open for writing cannot be executed.
fn write(path: &Path, script: &str) {
    let fresh = path.with_extension("new");
    fs::write(&fresh, format!("#!/bin/sh\n{script}")).unwrap();
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&fresh, path).unwrap();
}

/// The lines, without those that a mask says again while it goes round.
fn once(output: &Output) -> Vec<String> {
    let mut lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    lines.dedup();
    lines
}

#[test]
fn a_mask_finds_the_tool_behind_it_whether_it_becomes_it_or_waits_for_it() {
    for (how, most) in [
        ("exec \"$next\" \"$@\"", 6),
        ("\"$next\" \"$@\"; exit $?", 6),
        ("(\"$next\" \"$@\"); exit $?", 6),
        // It does not say by which path.
        ("exec /bin/bash -c 'exec -a mk \"$0\" \"$@\"' \"$next\" \"$@\"", 20),
    ] {
        let scripts = [("mask", &mask(how)[..]), ("real", REAL)];
        let (native, _) = run(Way::Native, &scripts, &[]);
        assert_eq!(once(&native), ["mask one two three", "real one two three", "status 3"]);
        for way in [Way::Mirror, Way::Local] {
            let (output, asked) = run(way, &scripts, &[]);
            assert_eq!(once(&output), once(&native), "{way:?} {how}: {}", text(&output.stderr));
            assert_eq!(output.stderr, native.stderr, "{way:?} {how}");
            assert!((3..=most).contains(&asked), "{way:?} {how}: it took {asked} requests");
        }
    }
}

#[test]
fn a_mask_that_a_shell_counts_the_levels_of_finds_it_too() {
    let counted = format!(
        "SHLVL=$((${{SHLVL:-0}} + 1)); export SHLVL\n{}",
        mask("\"$next\" \"$@\"; exit $?")
    );
    let (mirror, asked) = run(Way::Mirror, &[("mask", &counted), ("real", REAL)], &[]);
    assert_eq!(once(&mirror), ["mask one two three", "real one two three", "status 3"]);
    assert!(asked <= 6, "it took {asked} requests");
}

#[test]
fn a_tool_that_starts_itself_is_not_taken_for_a_mask() {
    let other = ("other", "echo the other one; exit 5\n");
    let deep = "N=$((N + 1)); export N\necho level $N\n[ $N -ge 40 ] || mk \"$@\"\nexit $?\n";
    let in_place = "N=$((N + 1)); export N\necho level $N\n[ $N -ge 40 ] || exec mk \"$@\"\n";
    let shorter = "echo $#\n[ $# -eq 0 ] && exit 4\nshift\nmk \"$@\"\n";
    // Nothing that the warden sees has changed: as often as that happens on purpose, it may.
    let again = "echo x >> marks\n[ $(/usr/bin/wc -l < marks) -ge 10 ] || mk \"$@\"\necho done\n";
    for script in [deep, in_place, shorter, again] {
        let scripts = [("first", script), other];
        let (native, _) = run(Way::Native, &scripts, &[]);
        let (mirror, _) = run(Way::Mirror, &scripts, &[]);
        assert_eq!(
            text(&mirror.stdout),
            text(&native.stdout),
            "{script}: {}",
            text(&mirror.stderr)
        );
        assert!(!text(&mirror.stdout).contains("other"), "{script}");
    }
}

#[test]
fn a_tool_that_only_starts_itself_comes_to_an_end() {
    for script in ["exec mk \"$@\"\n", "N=$((N + 1)); export N\nexec mk \"$@\"\n"] {
        let (mirror, asked) = run(Way::Mirror, &[("only", script)], &[]);
        let said = text(&mirror.stderr);
        assert_eq!(text(&mirror.stdout), "status 125\n", "{said}");
        assert!(said.contains("has started itself") && said.lines().count() == 1, "{said}");
        assert!((100..400).contains(&asked), "{asked}");
    }
}

#[test]
fn make_calls_make_and_not_another_one_behind_it() {
    let Some(make) =
        std::env::split_paths("/usr/bin:/bin").map(|dir| dir.join("make")).find(|m| m.is_file())
    else {
        eprintln!("not tried: there is no make");
        return;
    };
    let stage = Stage::new(Way::Mirror);
    let at = |name: &str| stage.house.dir.path().join(name);
    let rule = "all:\n\t@echo level $(MAKELEVEL)\n\t@[ $(MAKELEVEL) -ge 6 ] || $(MAKE) --no-print-directory\n";
    fs::write(at("Makefile"), rule).unwrap();
    let made = crate::support::clawrden().arg("shims").arg(at("shims")).arg("make").output();
    assert!(made.unwrap().status.success());
    for folder in ["first", "other"] {
        fs::create_dir(at(folder)).unwrap();
    }
    std::os::unix::fs::symlink(make, at("first/make")).unwrap();
    write(&at("other/make"), "echo the other one\n");
    let path = |shims: &str| {
        format!("{shims}{}:{}:/usr/bin", at("first").display(), at("other").display())
    };
    let run = |path: String| {
        let mut make = Command::new("/bin/sh");
        make.args(["-c", "make --no-print-directory"]).env("PATH", path).current_dir(at(""));
        make.env("CLAWRDEN_SOCKET", stage.house.socket()).output().unwrap()
    };
    let (native, mirror) = (run(path("")), run(path(&format!("{}:", at("shims").display()))));
    assert!(text(&native.stdout).ends_with("level 6\n"), "{native:?}");
    assert_eq!(text(&mirror.stdout), text(&native.stdout), "{}", text(&mirror.stderr));
}
