//! The installer on real images, and `clawrden harden`.

use std::process::{Command, Output, Stdio};

use crate::support::engine::{self, Container, Engine};
use crate::support::{House, clawrden, text};

/// Images with a shell, a tool of each that is a link or a program, and one that is another name beside it.
const IMAGES: &[(&str, &str, &str)] = &[
    ("alpine", "ls", "cat"),
    ("debian12", "ls", "cat"),
    ("debian13", "ls", "cat"),
    ("python-slim", "pip", "python3"),
    ("node", "npm", "npx"),
];

/// What a shim says, and ends with, where there is no warden.
const NO_WARDEN: (&str, i32) = ("the warden cannot be reached", 125);

/// Every path with owner, mode, time, link and hash, from an engine's own archive of a container. What the engine puts
/// there itself, and the installer's own folder, are left out.
const LISTING: &str = r"
import hashlib, sys, tarfile
archive = tarfile.open(fileobj=sys.stdin.buffer, mode='r|')
for entry in archive:
    if entry.name.split('/')[0] in ('clawrden-kit', 'dev', 'proc', 'sys') or entry.name in ('', '.'):
        continue
    content = archive.extractfile(entry).read() if entry.isreg() else b''
    facts = [entry.type, oct(entry.mode), entry.uid, entry.gid, entry.mtime, entry.linkname]
    print(entry.name, *facts, hashlib.sha256(content).hexdigest())
";

/// A governed image that goes with the test.
struct Governed {
    engine: &'static Engine,
    tag: String,
}

impl Governed {
    fn of(image: &str, words: &[&str]) -> (Self, String) {
        let engine = engine::get();
        let (base, tag) = (engine.image(image), tag(image));
        let output = harden(engine, &base).args(["--tag", &tag]).args(words).output().unwrap();
        let said = text(&output.stdout);
        assert!(output.status.success(), "{image}: {said}{}", text(&output.stderr));
        (Self { engine, tag }, said)
    }

    /// A container of it that runs these words and nothing else.
    fn run(&self, options: &[&str], words: &[&str]) -> Output {
        let mut docker = self.engine.docker();
        docker.args(["run", "--rm", "--network", "none"]).args(options);
        docker.arg(&self.tag).args(words).output().unwrap()
    }
}

impl Drop for Governed {
    fn drop(&mut self) {
        let _ = self.engine.docker().args(["rmi", "-f", &self.tag]).output();
    }
}

fn tag(image: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("clawrden-test/governed-{image}:{}-{number}", std::process::id())
}

/// With the client that the tests use, which need not be the first on PATH.
fn harden(engine: &Engine, base: &str) -> Command {
    let docker = engine.docker();
    let mut command = clawrden();
    command.args(["harden", base, "--client"]).arg(docker.get_program());
    command.env("DOCKER_HOST", &engine.address).env("DOCKER_BUILDKIT", "0").stdin(Stdio::null());
    command
}

#[track_caller]
fn is_shim(output: &Output, how: &str) {
    let (said, code) = NO_WARDEN;
    assert_eq!(output.status.code(), Some(code), "{how}: {output:?}");
    assert!(text(&output.stderr).contains(said), "{how}: {output:?}");
}

#[test]
fn the_stand_ins_come_first_however_a_tool_is_started() {
    for &(image, tool, _) in IMAGES {
        let (governed, said) = Governed::of(image, &["--tools", tool, "--user", "1000"]);
        assert!(said.starts_with("FROM ") && said.contains("ENV PATH=\"/clawrden/bin:"), "{said}");
        is_shim(&governed.run(&[], &[tool]), &format!("{image}: without a shell"));
        let has_bash = image != "alpine";
        for shell in ["sh", "bash"].iter().filter(|&&shell| shell != "bash" || has_bash) {
            for (options, flags) in [
                (&[][..], "-c"),
                (&[], "-lc"),
                (&["-e", "PATH=/usr/local/bin:/usr/bin:/bin"], "-lc"),
            ] {
                let output = governed.run(options, &[shell, flags, &format!("command -v {tool}")]);
                let how = format!("{image}: {shell} {flags} {options:?}");
                assert_eq!(text(&output.stdout), format!("/clawrden/bin/{tool}\n"), "{how}");
            }
        }
    }
}

#[test]
fn zsh_finds_the_stand_ins_with_and_without_login_and_a_terminal() {
    let (governed, _) = Governed::of("zsh", &["--tools", "ls,git", "--user", "1000"]);
    for options in [&[][..], &["-e", "PATH=/usr/local/bin:/usr/bin:/bin"], &["-e", "ZDOTDIR=/tmp"]]
    {
        for flags in ["-c", "-lc", "-ic", "-lic"] {
            let output = governed.run(options, &["zsh", flags, "command -v ls git"]);
            let how = format!("zsh {flags} {options:?} {}", text(&output.stderr));
            assert_eq!(text(&output.stdout), "/clawrden/bin/ls\n/clawrden/bin/git\n", "{how}");
        }
    }
    is_shim(&governed.run(&[], &["zsh", "-c", "ls"]), "a command of zsh's");
    // Its own files set PATH after ours, where they may.
    let script = "mkdir -p /tmp/h && cd /tmp/h && echo 'PATH=/usr/bin:/bin' >.zshrc && echo 'PATH=/usr/bin:/bin' >.zprofile; \
                  HOME=/tmp/h zsh -c 'command -v ls'";
    let output = governed.run(&[], &["sh", "-c", script]);
    assert_eq!(text(&output.stdout), "/clawrden/bin/ls\n", "{}", text(&output.stderr));
}

#[test]
fn a_locked_tool_is_out_of_the_prisoners_reach_and_the_others_work() {
    for &(image, tool, other) in IMAGES {
        let words = ["--tools", tool, "--user", "1000:1000", "--lock"];
        let (governed, _) = Governed::of(image, &words);
        let script = format!(
            "id -u; for d in /usr/local/bin /usr/bin /bin; do [ ! -e $d/{tool} ] || $d/{tool} --version; echo $?; done; \
             for d in /usr/local/bin /usr/bin /bin; do /clawrden/locked$d/{tool} --version && echo reached; done; \
             ls /clawrden/locked; cat /clawrden/locked/*; {other} --version </dev/null >/dev/null 2>&1; echo other $?"
        );
        let output = governed.run(&[], &["sh", "-c", &script]);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(out.starts_with("1000\n") && out.contains("125\n"), "{image}: {out}{err}");
        assert!(
            !out.contains("reached") && err.contains("ermission denied"),
            "{image}: {out}{err}"
        );
        let code = if image == "alpine" { ["0", "1"] } else { ["0", "0"] };
        assert!(code.iter().any(|c| out.ends_with(&format!("other {c}\n"))), "{image}: {out}{err}");
        // Root, as which the warden's runner is started, executes it from there.
        let find = format!(
            "p=$(cd /clawrden/locked && find . -name '{tool}' | head -1); \
                            PATH=/usr/local/bin:/usr/bin:/bin; /clawrden/locked/$p --version; echo $?"
        );
        let output = governed.run(&["-u", "0"], &["sh", "-c", &find]);
        if image != "alpine" {
            assert!(text(&output.stdout).ends_with("\n0\n"), "{image}: {output:?}");
        }
    }
}

#[test]
fn what_is_locked_runs_when_the_policy_lets_it() {
    for (image, tool, words, expected) in [
        ("alpine", "ls", &["/etc/alpine-release"][..], "/etc/alpine-release\n"),
        ("debian12", "ls", &["/etc/debian_version"], "/etc/debian_version\n"),
        ("node", "npm", &["--version"], "11."),
        ("distroless", "cat", &["/etc/hostname"], ""),
    ] {
        let (governed, _) = Governed::of(image, &["--tools", tool, "--user", "1000", "--lock"]);
        let policy = format!("{}jails: {{box: {{commands: [{tool}]}}}}\n", crate::prison::MIRROR);
        let house = House::with(&policy, &["--engine", &governed.engine.address]);
        house.json(&["status", "--json"]);
        let spec = governed.engine.container_of(&governed.tag);
        let spec = spec.mount_read_only(&house.path("jails/box"), "/run/clawrden");
        let words: Vec<&str> = [tool].iter().chain(words).copied().collect();
        let container = spec.command(&words).start();
        let code = container.wait();
        let said = container.logs();
        assert!(code == 0 && said.starts_with(expected), "{image}: {code} {said}");
        let finished = house.event("finished");
        assert_eq!(finished["exit_code"], 0, "{finished}");
        drop(container);
    }
}

#[test]
fn an_image_without_a_shell_is_governed_too() {
    let words = ["--tools", "cat,python3", "--user", "1000", "--lock"];
    let (governed, said) = Governed::of("distroless", &words);
    assert!(said.contains("COPY --from=governed"), "{said}");
    for tool in
        ["cat", "/usr/bin/cat", "python3", "/usr/local/bin/python3", "/usr/local/bin/python3.13"]
    {
        is_shim(&governed.run(&[], &[tool]), tool);
    }
    let id = governed.run(&[], &["id", "-u"]);
    assert_eq!(text(&id.stdout), "1000\n");
    // By a program inside: a newer engine itself finds the first one while it still has its capabilities.
    let output = governed.run(&[], &["sha256sum", "/clawrden/locked/usr/bin/cat"]);
    assert!(text(&output.stderr).contains("Permission denied"), "{output:?}");
    let root = governed.run(&["-u", "0"], &["/clawrden/locked/usr/bin/cat", "/etc/passwd"]);
    assert!(text(&root.stdout).starts_with("root:"), "{root:?}");
}

#[test]
fn an_image_that_cannot_be_governed_as_wished_is_not_made() {
    let engine = engine::get();
    let (base, tag) = (engine.image("alpine"), tag("alpine"));
    let words = ["--tools", "busybox", "--lock", "--user", "1000", "--tag", &tag];
    let output = harden(engine, &base).args(words).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(said.contains("/bin/busybox cannot be locked"), "{said}");
    assert_eq!(engine.say(&["images", "-q", &tag]), "");
    let output = harden(engine, "x y").args(["--tools", "git"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

/// A container of an image as it is, with the installer's parts in `/clawrden-kit`.
struct Bare {
    container: Container<'static>,
    image: &'static str,
    _kits: tempfile::TempDir,
}

impl Bare {
    fn new(image: &'static str) -> Self {
        let engine = engine::get();
        let base = engine.image(image);
        let kits = tempfile::tempdir().unwrap();
        for (name, more) in [("script", None), ("binary", Some("--no-shell"))] {
            let context = kits.path().join(name);
            let mut command = harden(engine, &base);
            command.args(["--tools", "ls", "--context"]).arg(&context).args(more);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", text(&output.stderr));
        }
        let container = engine.container(image).mount(kits.path(), "/clawrden-kit").start();
        Self { container, image, _kits: kits }
    }

    fn script(&self, options: &[&str], words: &[&str]) -> Output {
        let script = ["sh", "/clawrden-kit/script/kit/install-clawrden.sh"];
        let words: Vec<&str> = script.iter().chain(words).copied().collect();
        self.container.exec_with(options, &words).output().unwrap()
    }

    fn binary(&self, words: &[&str]) -> Output {
        let folder = "/clawrden-kit/binary/kit";
        let binary = format!("{folder}/clawrden");
        let loader = format!("{folder}/ld-linux-x86-64.so.2");
        let line: Vec<&str> =
            [&*loader, "--library-path", folder, &*binary].iter().chain(words).copied().collect();
        self.container.exec(&line).output().unwrap()
    }

    fn listing(&self) -> Vec<String> {
        let engine = self.container.engine;
        let mut export = engine.docker();
        let mut export =
            export.args(["export", &self.container.id]).stdout(Stdio::piped()).spawn().unwrap();
        let archive = export.stdout.take().unwrap();
        let listed = Command::new("python3").args(["-c", LISTING]).stdin(archive).output().unwrap();
        assert!(export.wait().unwrap().success() && listed.status.success(), "{listed:?}");
        let mut lines: Vec<String> = text(&listed.stdout).lines().map(str::to_owned).collect();
        assert!(lines.len() > 100, "{}: {lines:?}", self.image);
        lines.sort();
        lines
    }

    #[track_caller]
    fn is_as(&self, before: &[String], when: &str) {
        let after = self.listing();
        let only = |one: &[String], two: &[String]| -> Vec<String> {
            one.iter().filter(|line| !two.contains(line)).take(20).cloned().collect()
        };
        let (gone, come) = (only(before, &after), only(&after, before));
        assert!(gone.is_empty() && come.is_empty(), "{} {when}: {gone:#?} {come:#?}", self.image);
    }
}

#[track_caller]
fn well(output: &Output) {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn uninstalling_gives_back_every_file_of_a_real_image() {
    for (image, tools) in [
        ("alpine", "ls,cat,rm,mv,sh,curl"),
        ("debian12", "ls,cat,rm,mv,sh,bash,rbash,apt"),
        ("debian13", "ls,cat,awk,apt,dpkg"),
        ("python-slim", "pip,python3,ls"),
        ("node", "npm,npx,node"),
    ] {
        let bare = Bare::new(image);
        let before = bare.listing();
        let words = ["--tools", tools, "--lock", "--user", "1000"];
        well(&bare.script(&[], &words));
        // The binary, on musl too, brought its own libraries.
        well(&bare.binary(&["uninstall"]));
        bare.is_as(&before, "by the script, undone by the binary");
        well(&bare.binary(&[&["install"][..], &words].concat()));
        well(&bare.binary(&[&["install"][..], &words].concat()));
        let sh = match image {
            "alpine" => "/clawrden/locked/bin/sh",
            "debian12" => "/clawrden/locked/usr/bin/sh",
            _ => "sh",
        };
        let script = "/clawrden-kit/script/kit/install-clawrden.sh";
        well(&bare.container.exec(&[sh, script, "--uninstall"]).output().unwrap());
        bare.is_as(&before, "by the binary, undone by the script");
    }
}

#[test]
fn an_installation_that_was_killed_in_a_container_is_undone() {
    for image in ["alpine", "debian12"] {
        let bare = Bare::new(image);
        let before = bare.listing();
        let words = ["--tools", "ls,cat,sed", "--lock", "--user", "1000"];
        for point in ["install:7", "install:21", "install:24"] {
            let crash = format!("CLAWRDEN_CRASH_AT={point}");
            let killed = bare.script(&["-e", &crash], &words);
            assert_eq!(killed.status.code(), Some(137), "{image} {point}: {killed:?}");
            let refused = bare.script(&[], &words);
            assert!(text(&refused.stderr).contains("--finish"), "{image} {point}: {refused:?}");
            well(&bare.script(&[], &["--finish"]));
            assert!(text(&bare.container.sh("readlink /bin/ls").stdout).contains("clawrden"));
            well(&bare.script(&[], &["--uninstall"]));
            bare.is_as(&before, point);
        }
    }
}
