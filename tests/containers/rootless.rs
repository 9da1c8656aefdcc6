//! A warden that is not root, over an engine that its user runs.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::prison::{PATH, inside, processes};
use crate::support::engine::{self, Container, Engine};
use crate::support::{House, other, text, until};

/// The engines of `scripts/engine` that an ordinary user runs: Podman's and Docker's.
const KINDS: [&str; 2] = ["rootless", "rootless-docker"];

/// The user that `scripts/engine` runs them as.
const UID: u32 = 64_123;

fn owned(prefix: &str) -> TempDir {
    let dir = tempfile::Builder::new().prefix(prefix).tempdir().unwrap();
    chown(dir.path(), Some(UID), Some(UID)).unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn user(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={UID}"), format!("--regid={UID}"), "--clear-groups".to_owned()]);
    command.arg(program);
    command
}

/// A user's warden and engine, and a folder of that user's.
struct Users {
    engine: &'static Engine,
    house: House,
    work: TempDir,
}

impl Users {
    /// On each of the engines.
    fn each(rules: &str, case: impl Fn(&Self)) {
        for kind in KINDS {
            let Some(users) = Self::new(kind, rules) else { return };
            case(&users);
        }
    }

    fn new(kind: &str, rules: &str) -> Option<Self> {
        if !other::is_root() {
            eprintln!("not tried: only root can become the user of the tests' rootless engines");
            return None;
        }
        let engine: &Engine = Box::leak(Box::new(Engine::at(engine::kind(kind))));
        let image = engine.image("alpine");
        let work = owned("clawrden-work-");
        let policy = format!(
            "default_action: allow\non_unparsed: allow\nghost_images: {{'*': '{image}'}}\njails:\n  default: \
             {{workspace: {0}}}\n  box: {{commands: [sh, id, cat], workspace: [/work]}}\n{rules}",
            work.path().display()
        );
        let ids = [format!("--reuid={UID}"), format!("--regid={UID}")];
        let dir = owned("clawrden-");
        let home = format!("HOME={}", dir.path().display());
        let runtime = format!("XDG_RUNTIME_DIR={}", dir.path().display());
        let state = format!("XDG_STATE_HOME={}", dir.path().display());
        let prefix =
            ["setpriv", &ids[0], &ids[1], "--clear-groups", "env", &home, &runtime, &state];
        let house = House::within(dir, &prefix, &policy, &["--engine", &engine.address]);
        until("the engine to be known", || {
            let status = house.json(&["status", "--json"]);
            status["engine"]["error"].is_null().then_some(())
        });
        Some(Self { engine, house, work })
    }

    /// A governed script of the user's own, outside of containers.
    fn run(&self, script: &str) -> Output {
        let mut command = user(self.house.bin().join("sh"));
        self.house.governed(&mut command).args(["-c", script]).current_dir(self.work.path());
        command.output().unwrap()
    }

    fn prisoner(&self) -> Container<'_> {
        let spec = inside(&self.house, self.engine.container("alpine"));
        // A network of its own would take a program more.
        spec.mount(self.work.path(), "/work").option("--network").option("none").start()
    }

    fn is_clean(&self) {
        until("no ghost to be left", || {
            self.engine.labelled("clawrden.ghost").is_empty().then_some(())
        });
    }
}

fn governed(container: &Container<'_>, words: &[&str]) -> Output {
    let path = format!("PATH=/clawrden/bin:{PATH}");
    container.exec_with(&["-w", "/work", "-e", &path], words).output().unwrap()
}

fn owner(path: &Path) -> (u32, u32) {
    let found = std::fs::metadata(path).unwrap();
    (found.uid(), found.gid())
}

#[test]
fn a_users_ghosts_make_files_of_that_user() {
    let rules = "rules: [{command: '*', action: allow, executor: ghost}]\n";
    Users::each(rules, |users| {
        let script = "id -u; echo made > made; cat made; grep -E '^(CapEff|NoNewPrivs):' /proc/self/status; exit 7";
        let output = users.run(script);
        let told = text(&output.stdout);
        assert_eq!(output.status.code(), Some(7), "{told}{}", text(&output.stderr));
        // Root in there is the user, and has nothing of root's.
        assert!(told.starts_with("0\nmade\n"), "{told}");
        assert!(
            told.contains("CapEff:\t0000000000000000") && told.contains("NoNewPrivs:\t1"),
            "{told}"
        );
        assert_eq!(owner(&users.work.path().join("made")), (UID, UID));
        users.is_clean();
    });
}

#[test]
fn a_prisoner_of_a_users_engine_is_known_and_has_mirror_exec_and_ghosts() {
    let rules = "rules:\n  - {command: cat, action: deny, container: {name: 'nobody-*'}, reason: other}\n  \
                 - {command: id, action: allow, executor: mirror, supervised: true}\n  - {command: sh, action: allow, \
                 executor: ghost}\n";
    Users::each(rules, |users| {
        let container = users.prisoner();
        std::fs::write(users.work.path().join("file"), "read\n").unwrap();
        let mirrored = governed(&container, &["cat", "file"]);
        assert_eq!(text(&mirrored.stdout), "read\n", "{}", text(&mirrored.stderr));
        let record = users.house.event("requested");
        assert_eq!(record["caller"]["container"]["id"], container.id.as_str(), "{record}");
        let exec = governed(&container, &["id", "-u"]);
        assert_eq!(text(&exec.stdout), "0\n", "{}", text(&exec.stderr));
        let ghost = governed(&container, &["sh", "-c", "id -u; hostname; echo made > made"]);
        assert_eq!(ghost.status.code(), Some(0), "{}", text(&ghost.stderr));
        assert_ne!(
            text(&ghost.stdout).lines().nth(1),
            text(&container.sh("/bin/hostname").stdout).lines().next()
        );
        assert_eq!(owner(&users.work.path().join("made")), (UID, UID));
        users.is_clean();
        assert!(
            processes(&container.id).is_empty(),
            "its engine gives it no cgroup of its own here"
        );
    });
}

#[test]
fn a_users_ghost_gets_no_secret_that_its_caller_could_read() {
    let rules = "secrets: {token: {from_file: /etc/hostname, as_file: token}}\nrules: [{command: '*', action: allow, \
                 executor: ghost, secrets: [token]}]\n";
    Users::each(rules, |users| {
        let output = users.run("cat /run/secrets/token");
        assert_eq!(output.status.code(), Some(126), "{}", text(&output.stdout));
        assert!(text(&output.stderr).contains("can reach into"), "{}", text(&output.stderr));
    });
}
