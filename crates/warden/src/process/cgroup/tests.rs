use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;

use super::*;
use crate::process::cgroup_of;

/// Leaves are named as those of a pid namespace that there is not, another one each time: no warden on this machine takes
/// them for its own, nor does another test.
fn probed() -> Option<Cgroups> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let found = Cgroups::probe();
    if found.is_none() {
        eprintln!("no cgroup can be made here: the test shows nothing");
    }
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    found.map(|found| of_namespace(found, &format!("test-{}-{number}", std::process::id())))
}

/// As if this process were in a pid namespace of that name.
pub(super) fn of_namespace(cgroups: Cgroups, namespace: &str) -> Cgroups {
    let own = Identity::own().unwrap();
    Cgroups { prefix: format!("{namespace}.{}.{}", own.pid, own.start_ticks), ..cgroups }
}

/// The names that a warden with our number, started before us, would have given.
pub(super) fn of_the_dead(prefix: &str) -> String {
    let (same, ticks) = prefix.rsplit_once('.').unwrap();
    format!("{same}.{}", ticks.parse::<u64>().unwrap() - 1)
}

fn tree_of_three() -> Child {
    Command::new("sh")
        .args(["-c", "read go; (sleep 90 & sleep 90 & wait) & wait"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap()
}

fn start(child: &mut Child, leaf: &Leaf) {
    leaf.add(Identity::of(child.id()).unwrap()).unwrap();
    io::Write::write_all(child.stdin.as_mut().unwrap(), b"go\n").unwrap();
    while leaf.processes().len() < 4 {
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn unique(word: &str) -> String {
    format!("{word}-{:?}", std::thread::current().id()).replace(['(', ')'], "_")
}

/// Waits until a directory has gone.
fn is_gone(path: &Path) {
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while path.exists() {
        assert!(std::time::Instant::now() < end, "{path:?} is left");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_leaf_that_somebody_removed_is_empty_and_one_whose_hierarchy_has_gone_is_not() {
    let Some(cgroups) = probed() else { return };
    let leaf = cgroups.create(Parent::Own, Kind::Run, &unique("removed")).unwrap();
    std::fs::remove_dir(leaf.path()).unwrap();
    assert!(leaf.is_empty());
    assert_eq!(leaf.kill().unwrap(), 0);
    let elsewhere = tempfile::tempdir().unwrap();
    assert!(!Leaf::new(elsewhere.path().join("leaf"), "/leaf".to_owned()).is_empty());
}

#[test]
fn everything_born_in_a_leaf_is_ended_with_it() {
    let Some(cgroups) = probed() else { return };
    for one_by_one in [false, true] {
        let leaf = cgroups.create(Parent::Own, Kind::Run, &unique("kill")).unwrap();
        assert!(leaf.is_empty());
        let mut child = tree_of_three();
        start(&mut child, &leaf);
        assert!(leaf.contains(&cgroup_of(child.id()).unwrap().unwrap()));
        let inside = leaf.processes();
        let ended = if one_by_one { leaf.kill_one_by_one() } else { leaf.kill() }.unwrap();
        assert_eq!(ended, 4);
        assert!(leaf.is_empty());
        child.wait().unwrap();
        assert!(
            inside.iter().all(|&pid| Identity::of(pid).map_or(true, |found| !found.is_alive()))
        );
        let path = leaf.path().to_owned();
        drop(leaf);
        assert!(!path.exists());
    }
}

#[test]
fn a_leaf_ends_by_sigterm_before_its_grace_is_over() {
    let Some(cgroups) = probed() else { return };
    let leaf = cgroups.create(Parent::Own, Kind::Run, &unique("term")).unwrap();
    let mut child = tree_of_three();
    start(&mut child, &leaf);
    leaf.end(Duration::from_secs(30)).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
}

#[test]
fn a_frozen_leaf_stands_and_goes_on() {
    let Some(cgroups) = probed().filter(Cgroups::has_freeze) else { return };
    let leaf = cgroups.create(Parent::Own, Kind::Prisoner, &unique("freeze")).unwrap();
    let mut child = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
    leaf.add(Identity::of(child.id()).unwrap()).unwrap();
    let time = |pid: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        text.split(' ').nth(13).unwrap().parse::<u64>().unwrap()
    };
    leaf.freeze().unwrap();
    let before = time(child.id());
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(time(child.id()), before);
    leaf.thaw().unwrap();
    while time(child.id()) == before {
        std::thread::sleep(Duration::from_millis(5));
    }
    leaf.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_busy_leaf_is_removed_when_it_has_emptied() {
    let Some(cgroups) = probed() else { return };
    let leaf = cgroups.create(Parent::Own, Kind::Run, &unique("busy")).unwrap();
    let path = leaf.path().to_owned();
    let mut child = Command::new("sleep").arg("90").spawn().unwrap();
    leaf.add(Identity::of(child.id()).unwrap()).unwrap();
    drop(leaf);
    assert!(path.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    is_gone(&path);
}

#[test]
fn a_leaf_that_stays_busy_for_long_goes_in_the_end_too() {
    let Some(cgroups) = probed() else { return };
    let leaf = cgroups.create(Parent::Own, Kind::Run, &unique("long")).unwrap();
    let path = leaf.path().to_owned();
    let mut child = Command::new("sleep").arg("3").spawn().unwrap();
    leaf.add(Identity::of(child.id()).unwrap()).unwrap();
    drop(leaf);
    child.wait().unwrap();
    is_gone(&path);
}

#[test]
fn a_leaf_can_be_made_below_another_process_s_cgroup() {
    let Some(cgroups) = probed() else { return };
    let outer = cgroups.create(Parent::Own, Kind::Prisoner, &unique("outer")).unwrap();
    let mut child = Command::new("sleep").arg("90").spawn().unwrap();
    let identity = Identity::of(child.id()).unwrap();
    outer.add(identity).unwrap();
    let inner = cgroups.create(Parent::Of(child.id()), Kind::Handoff, &unique("inner")).unwrap();
    assert_eq!(inner.path().parent(), Some(outer.path()));
    inner.add(identity).unwrap();
    let group = cgroup_of(child.id()).unwrap().unwrap();
    assert!(inner.contains(&group) && outer.contains(&group));
    outer.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_reused_number_is_not_moved() {
    let Some(cgroups) = probed() else { return };
    let leaf = cgroups.create(Parent::Own, Kind::Run, &unique("reused")).unwrap();
    let mut child = Command::new("sleep").arg("90").spawn().unwrap();
    let identity = Identity::of(child.id()).unwrap();
    let former = Identity { start_ticks: identity.start_ticks - 1, ..identity };
    assert!(leaf.add(former).is_err());
    assert!(leaf.is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn leaves_of_a_crashed_warden_are_reaped_and_those_of_a_living_one_are_not() {
    let Some(mut cgroups) = probed() else { return };
    let mine = cgroups.create(Parent::Own, Kind::Run, &unique("alive")).unwrap();
    cgroups.prefix = of_the_dead(&cgroups.prefix);
    let empty = cgroups.create(Parent::Own, Kind::Prisoner, &unique("empty")).unwrap();
    let run = cgroups.create(Parent::Own, Kind::Run, &unique("run")).unwrap();
    let prisoner = cgroups.create(Parent::Own, Kind::Prisoner, &unique("left")).unwrap();
    let mut ended = Command::new("sleep").arg("90").spawn().unwrap();
    let mut left = Command::new("sleep").arg("90").spawn().unwrap();
    run.add(Identity::of(ended.id()).unwrap()).unwrap();
    prisoner.add(Identity::of(left.id()).unwrap()).unwrap();
    let [empty_path, run_path, prisoner_path] =
        [&empty, &run, &prisoner].map(|leaf| leaf.path().to_owned());
    [empty, run, prisoner].into_iter().for_each(Leaf::keep);

    let result = cgroups.reap_leftovers(Duration::ZERO);
    assert!(!empty_path.exists() && !run_path.exists());
    assert!(mine.path().exists());
    assert_eq!((&result.kept, result.removed, result.ended), (&vec![prisoner_path.clone()], 2, 1));
    assert!(result.problems.is_empty(), "{result:?}");
    assert!(ended.wait().unwrap().code().is_none());
    assert!(left.try_wait().unwrap().is_none());
    // It goes with the last process in it, though nobody asks again.
    left.kill().unwrap();
    left.wait().unwrap();
    is_gone(&prisoner_path);
}

#[test]
fn what_a_crashed_warden_ran_has_its_grace() {
    let Some(mut cgroups) = probed() else { return };
    cgroups.prefix = of_the_dead(&cgroups.prefix);
    // As it runs, and however it was told to stand.
    for way in ["", "stopped", "frozen", "frozen within"] {
        let run = cgroups.create(Parent::Own, Kind::Run, &unique("grace")).unwrap();
        let mut ends = Command::new("sh").args(["-c", "sleep 0.3; exit 7"]).spawn().unwrap();
        let identity = Identity::of(ends.id()).unwrap();
        run.add(identity).unwrap();
        let inner = cgroups.create(Parent::Of(ends.id()), Kind::Handoff, "inner").unwrap();
        match way {
            "stopped" => assert_eq!(run.signal(Signal::STOP), 1),
            "frozen" if cgroups.has_freeze() => run.freeze().unwrap(),
            "frozen within" if cgroups.has_freeze() => {
                inner.add(identity).unwrap();
                inner.freeze().unwrap();
            }
            _ => {}
        }
        let path = run.path().to_owned();
        [run, inner].into_iter().for_each(Leaf::keep);
        let ended = std::thread::spawn(move || ends.wait().unwrap().code());
        let _others = cgroups.reap_leftovers(Duration::from_secs(10));
        assert_eq!(ended.join().unwrap(), Some(7), "{way}");
        is_gone(&path);
    }
}

#[test]
fn a_warden_within_an_earlier_one_s_leaf_does_not_end_itself() {
    let Some(mut cgroups) = probed() else { return };
    cgroups.prefix = of_the_dead(&cgroups.prefix);
    let around = cgroups.create(Parent::Own, Kind::Run, &unique("around")).unwrap();
    let mut child = Command::new("sleep").arg("90").spawn().unwrap();
    around.add(Identity::of(child.id()).unwrap()).unwrap();
    let within = Cgroups { own: around.path().join("service"), ..cgroups };
    fs::create_dir(&within.own).unwrap();

    let result = within.reap_leftovers(Duration::ZERO);
    assert!(!result.kept.contains(&around.path().to_owned()), "{result:?}");
    assert!(around.path().exists() && child.try_wait().unwrap().is_none());
    around.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_is_made_in_a_busy_leaf_is_not_taken_from_under_it() {
    let Some(cgroups) = probed() else { return };
    let leaf = cgroups.create(Parent::Own, Kind::Handoff, &unique("within")).unwrap();
    let path = leaf.path().to_owned();
    let mut child = Command::new("sleep").arg("90").spawn().unwrap();
    leaf.add(Identity::of(child.id()).unwrap()).unwrap();
    // As somebody does who is about to put a process there.
    let inner = path.join("theirs");
    fs::create_dir(&inner).unwrap();
    drop(leaf);
    std::thread::sleep(Duration::from_millis(300));
    assert!(inner.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    is_gone(&path);
}

#[test]
fn what_a_warden_of_another_pid_namespace_left_is_not_touched() {
    let Some(mut cgroups) = probed() else { return };
    let others = probed().unwrap();
    cgroups.prefix = of_the_dead(&cgroups.prefix);
    let run = cgroups.create(Parent::Own, Kind::Run, "theirs").unwrap();
    assert_eq!(others.reap_leftovers(Duration::ZERO), Leftovers::default());
    assert!(run.path().exists());
}

#[test]
fn a_name_cannot_lead_out_of_the_parent() {
    let Some(cgroups) = probed() else { return };
    for name in ["", "..", "a/b", "a.b", "a b", "a\n", "é", &"x".repeat(65)] {
        let made = cgroups.create(Parent::Own, Kind::Run, name);
        assert!(matches!(made, Err(CgroupError::BadName(_))), "{name:?}");
    }
}

#[test]
fn mounts_are_read_with_their_root_and_escapes() {
    let text = "36 35 0:31 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs ro\n\
        41 31 0:38 /docker/ab /mnt/a\\040b rw,relatime shared:1 master:2 - cgroup2 cgroup2 rw\n\
        nonsense\n";
    let found = mounts(text);
    assert_eq!(found, [Mount { root: "/docker/ab".to_owned(), point: PathBuf::from("/mnt/a b") }]);
    let mount = &found[0];
    assert_eq!(mount.directory("/docker/ab/x"), Some(PathBuf::from("/mnt/a b/x")));
    assert_eq!(mount.directory("/docker/ab"), Some(PathBuf::from("/mnt/a b")));
    assert_eq!(mount.directory("/docker/abc"), None);
    assert_eq!(mount.directory("/"), None);
    assert_eq!(mount.group(Path::new("/mnt/a b/x")), Some("/docker/ab/x".to_owned()));
    let whole = Mount { root: "/".to_owned(), point: PathBuf::from("/cg") };
    assert_eq!(whole.directory("/"), Some(PathBuf::from("/cg")));
    assert_eq!(whole.directory("/a/b"), Some(PathBuf::from("/cg/a/b")));
    assert_eq!(whole.group(Path::new("/cg/a/b")), Some("/a/b".to_owned()));
}
