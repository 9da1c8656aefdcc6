//! The warden is killed while its policy changes and commands are asked for: by the file that is there afterwards it judges
//! on, and what no policy allows was never run in between.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::etc::{at_home, etc};
use crate::support::{House, raw, until};
use crate::{all_is_in_order, has_crashed};

const ROUNDS: u64 = 12;

/// What each of the two policies lets be touched. Nothing else, and `both-` least of all.
const FREE: [&str; 2] = ["one", "two"];

/// Each beginning of it that is a policy allows what both deny.
fn policy(which: usize) -> String {
    let mut text = format!("# {which}\ndefault_action: allow\nrules:\n");
    text.push_str(&format!("  - {{command: touch, args: '{}-*', action: allow}}\n", FREE[which]));
    for other in 0..40 {
        text.push_str(&format!("  - {{command: other-{other}, action: deny}}\n"));
    }
    text.push_str("  - {command: touch, action: deny}\n");
    text
}

/// How a policy becomes another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Renamed,
    Swapped,
    InPlace,
    Folder,
}

const WAYS: [Way; 4] = [Way::Renamed, Way::Swapped, Way::InPlace, Way::Folder];

struct Scene {
    house: House,
    way: Way,
    /// Stands in for /etc.
    etc: TempDir,
}

impl Scene {
    /// A warden with the first policy; `None` where its files cannot be put there.
    fn new(way: Way) -> Option<Self> {
        let etc = etc("policy.yaml", "default_action: allow\n");
        let house = if way == Way::Folder {
            fs::create_dir(etc.path().join("clawrden/rules.d")).unwrap();
            folder(etc.path(), 0);
            at_home(etc.path(), &[])?
        } else {
            House::new(&policy(0))
        };
        fs::create_dir(house.path("marks")).unwrap();
        let scene = Self { house, way, etc };
        if way == Way::Swapped {
            for which in [0, 1] {
                let version = scene.house.path(&format!("..{which}"));
                fs::create_dir(&version).unwrap();
                fs::write(version.join("policy.yaml"), policy(which)).unwrap();
            }
            scene.change(0);
            symlink("..data/policy.yaml", scene.house.path("link")).unwrap();
            fs::rename(scene.house.path("link"), scene.house.path("policy.yaml")).unwrap();
        }
        Some(scene)
    }

    fn change(&self, to: usize) {
        let file = self.house.path("policy.yaml");
        match self.way {
            Way::Renamed => replace(&file, &policy(to)),
            Way::Swapped => {
                let link = self.house.path("..tmp");
                symlink(format!("..{to}"), &link).unwrap();
                fs::rename(link, self.house.path("..data")).unwrap();
            }
            Way::InPlace => {
                let mut file = File::create(file).unwrap();
                for line in policy(to).lines() {
                    writeln!(file, "{line}").unwrap();
                }
            }
            Way::Folder => folder(self.etc.path(), to),
        }
    }

    /// Asks for what one, the other and neither policy allows, until it is over.
    fn ask(&self, is_over: &AtomicBool, number: &AtomicUsize) {
        while !is_over.load(Ordering::Acquire) {
            let number = number.fetch_add(1, Ordering::Relaxed);
            for name in [FREE[0], FREE[1], "both"] {
                // With no warden there is nobody to ask, and nothing runs.
                let _ = self.touch(&format!("{name}-{number}."));
            }
        }
    }

    /// Asks for what neither allows as fast as can be, with no shim that would have to start.
    fn pester(&self, is_over: &AtomicBool) {
        let request = raw::request(&self.house.path("marks"), &["touch", "both-raw"], &raw::path());
        while !is_over.load(Ordering::Acquire) {
            let Ok(mut stream) = UnixStream::connect(self.house.socket()) else { continue };
            if stream.write_all(&request).is_ok() {
                let said = raw::finish(&mut stream);
                assert!(said.acks.is_empty() || said.acks == [1], "{:?}: {said:?}", self.way);
            }
        }
    }

    /// How many commands have run.
    fn marks(&self) -> usize {
        fs::read_dir(self.house.path("marks")).unwrap().count()
    }

    fn touch(&self, name: &str) -> Option<i32> {
        let mut touch = self.house.shimmed("touch");
        touch.arg(name).current_dir(self.house.path("marks")).stderr(Stdio::null());
        touch.stdin(Stdio::null()).status().unwrap().code()
    }

    /// After a crash: the warden that comes next judges by what the files say.
    fn goes_on_with(&mut self, which: usize) {
        let marks = fs::read_dir(self.house.path("marks")).unwrap();
        let ran: Vec<String> =
            marks.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        all_is_in_order(&mut self.house, &ran);
        let wanted = |name: &str| if name == FREE[which] { Some(0) } else { Some(126) };
        for name in [FREE[0], FREE[1], "both"] {
            assert_eq!(self.touch(&format!("{name}-after")), wanted(name), "{:?}", self.way);
        }
        let all = fs::read_dir(self.house.path("marks")).unwrap();
        let both = all.filter(|entry| {
            entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("both-")
        });
        assert_eq!(both.count(), 0, "{:?}: it ran, and no policy allows it", self.way);
        let ledger = self.house.ledger();
        for asked in ledger.iter().filter(|record| {
            record["event"] == "requested" && record["argv"].to_string().contains("both-")
        }) {
            let decided = |record: &&serde_json::Value| {
                record["id"] == asked["id"] && record["event"] == "decided"
            };
            let decided = ledger.iter().find(decided);
            assert!(decided.is_none_or(|record| record["decision"] == "deny"), "{decided:?}");
        }
    }
}

fn replace(file: &Path, text: &str) {
    let fresh = file.with_extension("new");
    fs::write(&fresh, text).unwrap();
    fs::rename(fresh, file).unwrap();
}

/// The usual file, and two in the folder of further rules, one of which has the denial.
fn folder(etc: &Path, which: usize) {
    let rules = etc.join("clawrden/rules.d");
    let free =
        format!("rules:\n  - {{command: touch, args: '{}-*', action: allow}}\n", FREE[which]);
    let deny = format!("# {which}\nrules:\n  - {{command: touch, args: 'both-*', action: deny}}\n");
    let rest = format!(
        "# {which}\nrules:\n  - {{command: touch, args: '{}-*', action: deny}}\n",
        FREE[1 - which]
    );
    replace(&rules.join("10-deny.yaml"), &deny);
    replace(&rules.join("20-free.yaml"), &(free + rest.split_once("rules:\n").unwrap().1));
}

/// Has the policy read anew; whether anybody did so is no matter.
fn reload(control: &PathBuf) {
    let request = "POST /api/policy/reload HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: \
                   application/json\r\ncontent-length: 2\r\n\r\n{}";
    if let Ok(mut stream) = UnixStream::connect(control)
        && stream.write_all(request.as_bytes()).is_ok()
    {
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

#[test]
fn at_each_step_of_a_reload() {
    if !cfg!(debug_assertions) {
        eprintln!("not tried: only debug builds can be killed at a point");
        return;
    }
    for way in WAYS {
        let Some(mut scene) = Scene::new(way) else { continue };
        let mut which = 0;
        for point in ["policy_read", "policy_known", "policy_in_force", "policy_recorded"] {
            scene.house.crash();
            scene.house.restart_with(&[("CLAWRDEN_CRASH_AT", point)]);
            let (is_over, number) = (AtomicBool::new(false), AtomicUsize::new(1000 * which));
            which = 1 - which;
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| scene.ask(&is_over, &number));
                }
                scene.change(which);
                reload(&scene.house.control());
                until("the sockets to be dead", || {
                    UnixStream::connect(scene.house.control()).is_err().then_some(())
                });
                is_over.store(true, Ordering::Release);
            });
            has_crashed(&mut scene.house);
            scene.goes_on_with(which);
            fs::remove_dir_all(scene.house.path("marks")).unwrap();
            fs::create_dir(scene.house.path("marks")).unwrap();
        }
    }
}

#[test]
fn while_a_policy_that_is_none_is_refused() {
    if !cfg!(debug_assertions) {
        eprintln!("not tried: only debug builds can be killed at a point");
        return;
    }
    let mut scene = Scene::new(Way::Renamed).unwrap();
    scene.house.crash();
    scene.house.restart_with(&[("CLAWRDEN_CRASH_AT", "policy_refused")]);
    replace(&scene.house.path("policy.yaml"), &policy(1).replace("  - {command: touch, ac", "  -"));
    reload(&scene.house.control());
    has_crashed(&mut scene.house);
    assert_eq!(scene.touch("one-1."), Some(125));
    scene.change(1);
    scene.goes_on_with(1);
}

#[test]
fn at_moments_that_nobody_chose() {
    for way in WAYS {
        let Some(mut scene) = Scene::new(way) else { continue };
        let number = AtomicUsize::new(0);
        for round in 0..ROUNDS {
            let is_over = AtomicBool::new(false);
            let pid = rustix::process::Pid::from_child(&scene.house.warden);
            let before = scene.marks();
            let which = std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| scene.ask(&is_over, &number));
                }
                scope.spawn(|| scene.pester(&is_over));
                let changer = scope.spawn(|| {
                    let mut which = 0;
                    while !is_over.load(Ordering::Acquire) {
                        which = 1 - which;
                        scene.change(which);
                    }
                    which
                });
                scope.spawn(|| {
                    while !is_over.load(Ordering::Acquire) {
                        reload(&scene.house.control());
                    }
                });
                until("the first command of the round", || (scene.marks() > before).then_some(()));
                sleep(Duration::from_micros(round * round * 400));
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
                is_over.store(true, Ordering::Release);
                changer.join().unwrap()
            });
            has_crashed(&mut scene.house);
            scene.goes_on_with(which);
            scene.house.crash();
            scene.change(0);
            scene.house.restart();
            let _ = fs::remove_file(scene.house.path("marks").join("one-after"));
            let _ = fs::remove_file(scene.house.path("marks").join("two-after"));
        }
    }
}
