//! Arguments, environment, working directory and user.

use super::{Stage, Way, same};
use crate::prison::IMAGES;
use crate::support::text;

#[test]
fn arguments_of_any_bytes() {
    same(&[
        (
            "env printf '%s|' '' ' ' 'a b' -- \"'\\\"\\\\\" '\t' 'ünï' \"$(printf '\\377\\376\\200')\"",
            None,
        ),
        ("sh -c 'echo $0 $#' name 1 2 3", Some("name 3\n")),
        (
            "x=$(head -c 100000 /dev/zero | tr '\\0' x); env printf '%s' $x $x $x $x $x $x | wc -c",
            Some("600000\n"),
        ),
    ]);
}

#[test]
fn the_environment_byte_by_byte() {
    same(&[(
        "export A='one\ntwo' EMPTY= BYTES=\"$(printf '\\377=\\376')\"; env -u PATH | grep -v ^_= | sort",
        None,
    )]);
    for image in IMAGES {
        let stage = Stage::new(image);
        let show = "env | grep -v -e ^PATH= -e ^_=";
        let options = ["-e", "GIVEN=by the engine", "-e", "TERM=odd"];
        let output = stage.same(&options, show, b"");
        assert!(text(&output.stdout).contains("GIVEN=by the engine\n"), "{image}");
    }
}

/// The folder of shims comes back where PATH has lost it, by its name in the container.
#[test]
fn path_is_the_callers_own_and_names_nothing_that_is_on_the_wardens_side() {
    for (image, stage) in
        IMAGES.iter().flat_map(|image| [(image, Stage::new(image)), (image, Stage::by_exec(image))])
    {
        let at = |script: &str| {
            let output = stage.run(Way::Shimmed, &[], script, b"");
            text(&output.stdout).trim_end().to_owned()
        };
        for path in ["/clawrden/bin:/usr/bin:/bin", "/usr/bin:/bin:/clawrden/bin"] {
            assert_eq!(
                at(&format!("PATH={path}; /clawrden/bin/env | grep ^PATH=")),
                format!("PATH={path}"),
                "{image}"
            );
        }
        if stage.method == "handoff" {
            let lost = at("PATH=/usr/bin:/bin; /clawrden/bin/env | grep ^PATH=");
            assert_eq!(lost, "PATH=/clawrden/bin:/usr/bin:/bin", "{image}");
        }
    }
}

#[test]
fn five_thousand_variables() {
    same(&[(
        "n=0; while [ $n -lt 5000 ]; do export V$n=value$n; n=$((n + 1)); done; env | grep -c ^V[0-9]",
        Some("5000\n"),
    )]);
}

#[test]
fn the_working_directory_is_the_callers() {
    same(&[
        ("mkdir -p a/real; ln -sfn real a/link; cd a/link; env pwd; sh -c 'pwd; pwd -P'", None),
        (
            "mkdir -p gone; cd gone; rmdir ../gone; sh -c 'echo ran' 2>/dev/null; readlink /proc/self/cwd",
            None,
        ),
        (
            "mkdir -p 'odd\n name'; cd 'odd\n name'; readlink /proc/self/cwd",
            Some("/tmp/odd\n name\n"),
        ),
        ("cd /proc/self; ls -d cwd", Some("cwd\n")),
    ]);
}

#[test]
fn user_groups_and_capabilities_are_the_callers() {
    for image in IMAGES {
        let stage = Stage::new(image);
        for user in ["0", "1000:1000", "65534", "4242:77"] {
            let script = "id; grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp)' /proc/self/status";
            let output = stage.same(&["-u", user], script, b"");
            assert!(text(&output.stdout).contains("CapEff"), "{image} {user}");
        }
    }
}

#[test]
fn a_tool_is_looked_for_as_a_shell_would() {
    same(&[
        (
            "mkdir -p own; printf '#!/bin/sh\\necho my own ls $0 $1\\n' >own/ls; chmod +x own/ls; PATH=$PATH:/tmp/own; cd /; ls -d etc",
            Some("etc\n"),
        ),
        ("env no-such-tool; echo $?", None),
    ]);
    // First on PATH behind the shims: the prisoner's own.
    for image in IMAGES {
        let stage = Stage::new(image);
        let setup = "mkdir -p own; printf '#!/bin/sh\\necho my own $1\\n' >own/ls; chmod +x own/ls; cat /dev/null";
        stage.same(&[], setup, b"");
        for (way, path) in [
            (Way::Native, "/tmp/own:/usr/bin:/bin"),
            (Way::Shimmed, "/clawrden/bin:/tmp/own:/usr/bin:/bin"),
        ] {
            let output = stage.run(way, &[], &format!("PATH={path}; ls -d"), b"");
            assert_eq!(
                text(&output.stdout),
                "my own -d\n",
                "{image} {way:?}: {}",
                text(&output.stderr)
            );
        }
    }
}
