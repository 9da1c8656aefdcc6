//! `docs/operations.md` names every file that a warden makes, with its mode.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::other::{UID, is_root, places};
use crate::support::{House, clawrden, text, until};

const DOCUMENT: &str = include_str!("../../docs/operations.md");

const POLICY: &str = "
default_action: allow
jails: {web: {commands: [ls]}}
rules:
  - {command: echo, action: allow, executor: local, record: output}
  - {command: touch, action: ask}
";

/// The modes of root's files and of a user's, by their names in the table behind `heading`.
fn table(heading: &str) -> BTreeMap<String, [String; 2]> {
    let (_, rest) = DOCUMENT.split_once(heading).unwrap();
    let rows = rest.lines().skip_while(|line| !line.starts_with('|')).skip(2);
    let mut found = BTreeMap::new();
    for row in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect();
        let [names, root, user, what, may] = cells[..] else { panic!("{row}") };
        assert!(!may.is_empty() && what.len() < 200, "{row}");
        for name in names.split(", ").map(|name| name.trim_matches('`')) {
            found.insert(name.to_owned(), [root.to_owned(), user.to_owned()]);
        }
    }
    assert!(found.len() > 5, "{heading}: {found:?}");
    found
}

/// All that is in a folder, by names as the tables have them.
fn files(folder: &Path, jails: &[&str]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        // What was only there while something was written.
        let Ok(metadata) = fs::symlink_metadata(&next) else { continue };
        let name = next.strip_prefix(folder).unwrap().to_str().unwrap();
        let parts = name.split('/').map(|part| match part {
            "" => ".",
            jail if jails.contains(&jail) => "JAIL",
            cast if cast.ends_with(".cast") => "ID.cast",
            tool if name.contains("/bin/")
                && !["bin", "jails", "clawrden-shim"].contains(&tool) =>
            {
                "TOOL"
            }
            other => other,
        });
        let mode = match metadata.is_symlink() {
            true => "link".to_owned(),
            false => format!("{:04o}", metadata.permissions().mode() & 0o7777),
        };
        found.insert(parts.collect::<Vec<_>>().join("/"), mode);
        if metadata.is_dir() {
            folders.extend(fs::read_dir(&next).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

/// A user's warden that is told nothing of where its things lie. Where the tests run as root, that user is [`UID`].
struct Usual {
    warden: Child,
    dir: TempDir,
}

impl Usual {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
        // Where the tests are built, another user may not look.
        fs::copy(clawrden().get_program(), dir.path().join("cli")).unwrap();
        for name in ["run", "state", "config", "config/clawrden"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("config/clawrden/policy.yaml"), POLICY).unwrap();
        if is_root() {
            for name in
                ["", "run", "state", "config", "config/clawrden", "config/clawrden/policy.yaml"]
            {
                chown(dir.path().join(name), Some(UID), Some(UID)).unwrap();
            }
        }
        let mut warden = Self::command(&dir);
        warden.args(["warden", "--engine", "none", "--api", "127.0.0.1:0", "--api-tls"]);
        let warden = warden.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let usual = Self { warden, dir };
        until("the warden to answer", || {
            let status = Self::command(&usual.dir).arg("status").output().unwrap();
            status.status.success().then_some(())
        });
        usual.say(&["shims", usual.dir.path().join("bin").to_str().unwrap(), "echo", "touch"]);
        usual
    }

    fn command(dir: &TempDir) -> Command {
        Self::of(dir, &dir.path().join("cli"))
    }

    fn of(dir: &TempDir, program: &Path) -> Command {
        let mut command = Command::new(program);
        if is_root() {
            command.uid(UID).gid(UID);
        }
        command.envs(places(dir.path())).current_dir(dir.path());
        command
    }

    fn say(&self, words: &[&str]) -> String {
        let output = Self::command(&self.dir).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn shimmed(&self, tool: &str) -> Command {
        let mut command = Self::of(&self.dir, &self.dir.path().join("bin").join(tool));
        command.arg0(tool).env("CLAWRDEN_SOCKET", self.run().join("warden.sock"));
        command
    }

    fn run(&self) -> PathBuf {
        self.dir.path().join("run/clawrden")
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state/clawrden")
    }
}

impl Drop for Usual {
    fn drop(&mut self) {
        let _ = self.warden.kill();
        let _ = self.warden.wait();
    }
}

const RUNTIME: &str = "In the runtime folder";
const STATE: &str = "In the state folder";

#[test]
fn each_file_of_a_users_warden_is_in_the_table_with_its_mode() {
    let home = Usual::new();
    home.say(&["jails", "create", "made"]);
    home.say(&["token", "create", "--role", "viewer"]);
    assert!(home.shimmed("echo").arg("x").stdout(Stdio::null()).status().unwrap().success());
    let mut waits = home.shimmed("touch").arg("x").stderr(Stdio::null()).spawn().unwrap();
    until("a request to wait", || home.say(&["queue"]).contains("touch").then_some(()));
    home.say(&["kill", "--jail", "web"]);
    home.say(&["kill"]);
    for (heading, folder, wanted) in [
        (RUNTIME, home.run(), ["control.sock", "jails/JAIL/warden.sock"]),
        (STATE, home.state(), ["switch.held.json", "recordings/ID.cast"]),
    ] {
        let told = table(heading);
        let found = files(&folder, &["web", "made"]);
        for (name, mode) in &found {
            let [_, of_users] = told.get(name).unwrap_or_else(|| panic!("{heading}: no {name}"));
            assert_eq!(of_users, mode, "{name}");
        }
        assert!(wanted.iter().all(|name| found.contains_key(*name)), "{found:?}");
    }
    waits.kill().unwrap();
    waits.wait().unwrap();
}

#[test]
fn the_folders_of_a_root_warden_have_the_modes_that_the_table_tells() {
    if !is_root() {
        eprintln!("skipped: this needs root");
        return;
    }
    let house = House::new(POLICY);
    house.json(&["status", "--json"]);
    for (heading, folder, names) in [
        (
            RUNTIME,
            house.path(""),
            &["control.sock", "warden.sock", "jails", "jails/JAIL", "jails/JAIL/warden.sock"][..],
        ),
        (
            STATE,
            house.path("clawrden"),
            &[".", "jails", "jails/JAIL", "jails/JAIL/bin", "jails/JAIL/bin/clawrden-shim"][..],
        ),
    ] {
        let (told, found) = (table(heading), files(&folder, &["web"]));
        for name in names {
            assert_eq!(told[*name][0], found[*name], "{name}");
        }
    }
}

/// Every `word` between back-quotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn what_the_table_of_alarms_names_is_counted_and_said() {
    let (_, rest) = DOCUMENT.split_once("\n## On call\n").unwrap();
    let (section, _) = rest.split_once("\n## ").unwrap();
    let (_, metrics) = DOCUMENT.split_once("\n## Metrics\n").unwrap();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 10, "{rows:?}");
    let said = [
        include_str!("../../crates/clawrden/src/verbs/status.rs"),
        include_str!("../../crates/clawrden/src/verbs/notify.rs"),
        include_str!("../../crates/api/src/client/error.rs"),
    ];
    for row in rows {
        let cells: Vec<&str> = row.split(" | ").collect();
        let [alarm, words, _, what_to_do] = cells[..] else { panic!("{row}") };
        assert!(what_to_do.len() > 10, "{row}");
        for name in quoted(alarm).filter(|name| name.starts_with("clawrden_")) {
            let name = name.split(['{', ' ']).next().unwrap();
            assert!(metrics.contains(&format!("\n| `{name}` |")), "no metric {name}");
        }
        // What stands for something else is left out.
        let pieces = quoted(words).flat_map(|words| words.split(['\u{2026}', '%']));
        let pieces = pieces.flat_map(|piece| piece.split(" N ")).flat_map(|p| p.split("NAME"));
        for piece in
            pieces.map(|piece| piece.trim_start_matches("N ").trim()).filter(|p| p.len() > 3)
        {
            assert!(said.iter().any(|source| source.contains(piece)), "nothing says {piece:?}");
        }
    }
}
