//! A denied command inside another one, over the real socket: whatever starts it, the request of the outermost is denied
//! and nothing runs. Every tool here only says that it ran, and what is not denied or doubtful is allowed.

use std::process::{Command, Stdio};

use crate::support::{House, text};
use crate::write_tool;

const POLICY: &str = "
default_action: allow
on_unparsed: deny
rules:
  - {command: rm, args: ['-rf /'], action: deny, reason: disaster}
  - {command: git, args: ['push --force'], action: deny, reason: rewrites}
";

const TOOLS: &[&str] = &[
    "bash", "busybox", "dash", "docker", "doas", "env", "find", "flock", "git", "ionice", "nice",
    "nohup", "npx", "nsenter", "parallel", "rm", "rsync", "script", "setsid", "sh", "ssh",
    "stdbuf", "sudo", "su", "tar", "time", "timeout", "unshare", "watch", "xargs", "zsh",
];

struct Stage {
    house: House,
    path: String,
}

impl Stage {
    fn new() -> Self {
        let house = House::new(POLICY);
        let real = house.path("real");
        for name in TOOLS {
            write_tool(&real, name, "#!/bin/echo ran\n");
        }
        let made = house.cli(&[&["shims", house.bin().to_str().unwrap()][..], TOOLS].concat());
        assert!(made.status.success(), "{}", text(&made.stderr));
        let path = format!("{}:{}", house.bin().display(), real.display());
        Self { house, path }
    }

    fn command(&self, argv: &[&str]) -> Command {
        let mut command = self.house.shimmed(argv[0]);
        // The harmless tools come first: were a rule got around, nothing would be deleted.
        command.args(&argv[1..]).env("PATH", &self.path).stdin(Stdio::null());
        command
    }

    /// What of these was not denied, or ran.
    fn through<'a>(&self, all: impl IntoIterator<Item = Vec<&'a str>>) -> Vec<Vec<&'a str>> {
        let mut through = Vec::new();
        for argv in all {
            let output = self.command(&argv).output().unwrap();
            if output.status.code() != Some(126) || !output.stdout.is_empty() {
                through.push(argv);
            }
        }
        through
    }

    fn runs(&self, argv: &[&str]) {
        let output = self.command(argv).output().unwrap();
        let said = text(&output.stderr);
        assert!(text(&output.stdout).contains("ran"), "{argv:?} {said}");
    }
}

fn nothing_ran(house: &House) {
    assert!(house.ledger().iter().all(|record| record["event"] != "started"));
}

#[test]
fn a_denied_command_behind_a_wrapper_is_denied() {
    let stage = Stage::new();
    let options = [
        vec!["git", "-c", "core.pager=rm -rf /", "log"],
        vec!["git", "-c", "alias.x=!rm -rf /", "x"],
        vec!["tar", "--checkpoint=1", "--checkpoint-action=exec=rm -rf /", "-cf", "x", "y"],
        vec!["tar", "--checkpoint-acti=exec=rm -rf /", "-cf", "x", "y"],
        vec!["tar", "--to-command=rm -rf /", "-xf", "x"],
        vec!["tar", "-I", "rm -rf /", "-xf", "x"],
        vec!["ssh", "-o", "ProxyCommand=rm -rf /", "host"],
        vec!["ssh", "-oproxycommand=rm -rf /", "host"],
        vec!["rsync", "-e", "rm -rf /", "a", "b:"],
    ];
    let through = stage.through(options);
    assert_eq!(through, Vec::<Vec<&str>>::new());
    let through = stage.through(
        [
            "env rm -rf /",
            "env -i A=1 -u B rm -rf /",
            "env -- rm -rf /",
            "env - rm --recursive --force /",
            "nice rm -rf /",
            "nice -n 10 rm -rf /",
            "nice -10 rm -fr //",
            "nice --adjustment=10 rm -rf /",
            "ionice -c 3 rm -rf /",
            "nohup rm -rf /",
            "timeout 5 rm -rf /",
            "timeout -s KILL --preserve-status 5 rm -rf /",
            "timeout --signal=KILL -k 1 5 rm -rf /",
            "stdbuf -oL rm -rf /",
            "stdbuf -o L -e0 rm -rf /",
            "setsid -w rm -rf /",
            "time -p rm -rf /",
            "flock /tmp/lock rm -rf /",
            "sudo rm -rf /",
            "sudo -u root -- rm -rf /",
            "sudo -n A=1 rm -rf /",
            "doas rm -rf /",
            "xargs rm -rf /",
            "xargs -0 -n 1 rm -rf",
            "xargs -I{} rm -rf {}",
            "find . -exec rm -rf / ;",
            "find / -exec rm -rf {} +",
            "find / -name x -execdir rm -rf / ;",
            "find . -ok rm -rf / ;",
            "parallel rm -rf ::: /",
            "busybox rm -rf /",
            "busybox env busybox rm -rf /",
            "unshare -r rm -rf /",
            "nsenter -t 1 -m rm -rf /",
            "watch -n 1 rm -rf /",
            "env -S rm\\_-rf\\_/",
            "env --split-string=rm\\_-rf\\_/",
            "env nice -n 5 timeout 3 setsid nohup rm -rf /",
            "env sudo env xargs rm -rf /",
            "env -C /tmp git push -f",
            "git --exec-path=/tmp/evil status",
            "git --config-env=core.sshCommand=X fetch",
            "docker run x rm -rf /",
            "docker --host tcp://x exec y rm -rf /",
        ]
        .map(|line| line.split(' ').collect()),
    );
    assert_eq!(through, Vec::<Vec<&str>>::new());
    nothing_ran(&stage.house);
    stage.runs(&["nice", "-n", "10", "rm", "-rf", "x"]);
    stage.runs(&["env", "A=1", "git", "push"]);
}

#[test]
fn a_denied_command_in_a_shells_line_is_denied() {
    let stage = Stage::new();
    let lines = [
        "rm -rf /",
        "FOO=1 rm -rf /",
        "PATH=/tmp/evil rm -rf x",
        "LD_PRELOAD=/tmp/evil.so PATH=$PATH rm -rf /",
        "ls; rm -rf /",
        "ls && rm   -fr   //",
        "true || rm -r -f /",
        "! rm -rf /",
        "rm -rf / &",
        "ls | rm -rf /",
        "ls\nrm -rf /",
        "ls # nothing\nrm -rf /",
        "echo $(rm -rf /)",
        "echo \"$(rm -rf /)\"",
        "echo `rm -rf /`",
        "echo ${x:-$(rm -rf /)}",
        "echo $((1 + $(rm -rf /)))",
        "cat <(rm -rf /)",
        "cat <<E\n$(rm -rf /)\nE",
        "(rm -rf /)",
        "{ rm -rf /; }",
        "f() { rm -rf /; }; f",
        "if true; then rm -rf /; fi",
        "while rm -rf /; do :; done",
        "for x in 1; do rm -rf /; done",
        "case x in x) rm -rf /;; esac",
        "eval 'rm -rf /'",
        "eval rm -rf /",
        "exec rm -rf /",
        "command rm -rf /",
        "builtin command rm -rf /",
        "time rm -rf /",
        "trap 'rm -rf /' EXIT",
        "alias x='rm -rf /'; x",
        "r\\m -rf /",
        "'r'm -rf \"/\"",
        "\\rm -rf /",
        "$'rm' -rf /",
        "$'\\x72m' -rf /",
        "rm -rf $'\\x2f'",
        "r\\\nm -rf /",
        "x=rm; $x -rf /",
        "x=/; rm -rf $x",
        "x='-rf /'; rm $x",
        "rm -rf ${x-/}",
        "rm -r{f,} /",
        "rm -rf \"/\"",
        "rm -rf /*/..",
        "cd /; rm -rf .",
        "bash -c 'sh -c \"rm -rf /\"'",
        "env sh -c 'rm -rf /'",
        "xargs sh -c 'rm -rf /'",
        "find . -exec sh -c 'rm -rf /' ;",
        "echo x > >(rm -rf /)",
        "coproc rm -rf /",
        "[[ $(rm -rf /) ]]",
        "printf -v x %s \"$(rm -rf /)\"",
        "git push origin +main",
        "git -C x push -uf",
        "rm -rf / 2>/dev/null",
        "2>&1 rm -rf /",
        ">/dev/null rm -rf /",
        "echo 'unended",
        "echo $(",
    ];
    let mut all: Vec<Vec<&str>> = Vec::new();
    for line in lines {
        all.push(vec!["bash", "-c", line]);
        all.push(vec!["bash", "-lc", line]);
        all.push(vec!["env", "bash", "--norc", "-euo", "pipefail", "-c", line]);
    }
    for line in ["rm -rf /", "ls; rm -rf /", "echo $(rm -rf /)"] {
        for shell in ["sh", "dash", "zsh"] {
            all.push(vec![shell, "-c", line]);
        }
        all.push(vec!["busybox", "sh", "-c", line]);
        all.push(vec!["sudo", "sh", "-c", line]);
        all.push(vec!["su", "-c", line]);
        all.push(vec!["script", "-c", line, "/dev/null"]);
        all.push(vec!["watch", line]);
        all.push(vec!["timeout", "5", "bash", "-c", line]);
        all.push(vec!["flock", "/tmp/lock", "-c", line]);
    }
    let through = stage.through(all);
    assert_eq!(through, Vec::<Vec<&str>>::new());
    nothing_ran(&stage.house);
    stage.runs(&["bash", "-c", "ls -la; git commit -m 'rm -rf /'"]);
    stage.runs(&["bash", "-c", "rm -rf ./build && echo 'git push --force'"]);
}

#[test]
fn a_denied_tool_by_another_path_or_hard_link_is_denied() {
    let stage = Stage::new();
    let house = &stage.house;
    let (real, own) = (house.path("real"), house.path("own"));
    std::fs::create_dir(&own).unwrap();
    std::fs::hard_link(real.join("rm"), own.join("rm")).unwrap();
    let names = [own.join("rm"), real.join("rm")];
    let slashes = format!("{}//./rm", real.display());
    let climbing = format!("{}/../real/rm", own.display());
    let names = names.iter().map(|path| path.to_str().unwrap());
    let names: Vec<&str> = names.chain(["./own/rm", &slashes, &climbing]).collect();
    let all = names.iter().flat_map(|&name| {
        [vec!["env", name, "-rf", "/"], vec!["nice", "-n", "1", name, "-r", "-f", "/"]]
    });
    let all: Vec<Vec<&str>> = all.collect();
    let through = stage.through(all);
    assert_eq!(through, Vec::<Vec<&str>>::new());
    nothing_ran(house);
}
