use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::*;
use crate::process::cgroup::tests::{of_namespace, of_the_dead};

/// As a warden does, it looks once: whoever has made room is in another cgroup afterwards. No warden takes what is made for
/// its own; what a test before has left in making room goes.
fn here() -> Controllers {
    static HERE: OnceLock<Controllers> = OnceLock::new();
    let look = || {
        let found = of("test");
        found.sweep(Duration::ZERO);
        found
    };
    HERE.get_or_init(look).clone()
}

/// As they are to a process in a pid namespace of that name.
fn of(namespace: &str) -> Controllers {
    let own = Identity::own().unwrap();
    let second = Cgroups::probe().map(|found| of_namespace(found, namespace));
    let prefix = format!("{namespace}.{}.{}", own.pid, own.start_ticks);
    Controllers { prefix, ..Controllers::probe(second.as_ref()) }
}

/// `None` where nothing can be limited, which says so.
fn bound(name: &str, limits: Limits) -> Option<Bounded> {
    let name = format!("{name}-{:?}", std::thread::current().id()).replace(['(', ')'], "_");
    match here().bound(Parent::Own, Kind::Run, &name, limits) {
        Ok(bounded) => Some(bounded),
        Err(error) => {
            eprintln!("the test shows nothing: {error}");
            None
        }
    }
}

/// A shell that runs `script` in there.
fn within(bounded: &Bounded, script: &str) -> Child {
    let mut child = Command::new("sh")
        .args(["-c", &format!("read go; {script}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    bounded.add(Identity::of(child.id()).unwrap()).unwrap();
    io::Write::write_all(child.stdin.as_mut().unwrap(), b"go\n").unwrap();
    child
}

#[test]
fn what_takes_more_memory_than_it_may_is_ended_and_that_is_told() {
    let Some(bounded) = bound("memory", Limits { memory: Some(64 << 20), ..Limits::default() })
    else {
        return;
    };
    let hog = "x=$(head -c 300000000 /dev/zero | tr '\\0' x); echo ${#x}";
    let output = within(&bounded, hog).wait_with_output().unwrap();
    assert!(!output.status.success() || output.stdout.is_empty(), "{output:?}");
    assert_eq!(bounded.ended_for_memory(), Some(64 << 20));
}

#[test]
fn what_stays_within_its_memory_is_left_alone() {
    let Some(bounded) = bound("small", Limits { memory: Some(64 << 20), ..Limits::default() })
    else {
        return;
    };
    let output = within(&bounded, "echo fine").wait_with_output().unwrap();
    assert_eq!(output.stdout, b"fine\n");
    assert_eq!(bounded.ended_for_memory(), None);
}

#[test]
fn no_more_processes_are_born_than_it_may_have_however_far_they_go() {
    let Some(bounded) = bound("pids", Limits { pids: Some(5), ..Limits::default() }) else {
        return;
    };
    // Each leaves its parent and its session behind, as a daemon does.
    let script =
        "i=0; while [ $i -lt 20 ]; do (setsid sleep 20 &) 2>/dev/null; i=$((i+1)); done; echo done";
    let shell = within(&bounded, script);
    let id = shell.id();
    let place = bounded.more.first().or(bounded.leaf.as_ref()).unwrap();
    let end = Instant::now() + Duration::from_secs(5);
    let mut most = 0;
    // A shell that is refused a birth ends, maybe before we look a second time.
    while Instant::now() < end && proc::stat(id).is_ok_and(|found| !found.has_ended()) {
        most = most.max(place.processes().len());
        std::thread::sleep(Duration::from_millis(5));
    }
    let left = place.processes();
    let events = fs::read_to_string(place.path().join("pids.events")).unwrap();
    for pid in &left {
        let _ = place.signal(rustix::process::Signal::KILL);
        let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
    }
    let _ = shell.wait_with_output();
    assert!((2..=5).contains(&most.max(left.len())), "{most} {left:?}");
    assert!(events.starts_with("max ") && !events.starts_with("max 0\n"), "{events:?}");
}

#[test]
fn a_share_of_the_processors_is_all_that_it_gets() {
    let Some(bounded) = bound("cpu", Limits { milli_cpus: Some(100), ..Limits::default() }) else {
        return;
    };
    let mut child = within(&bounded, "while :; do :; done");
    std::thread::sleep(Duration::from_secs(2));
    let text = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let ticks: u64 = text.split(' ').nth(13).unwrap().parse().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    // A tenth of two seconds is 20 ticks; without a limit there would be 200 on a machine with nothing else to do.
    assert!(ticks <= 40, "{ticks} ticks of a hundredth of a second in two seconds");
}

#[test]
fn nothing_is_left_of_cgroups_that_nothing_is_in() {
    let limits = Limits { memory: Some(64 << 20), milli_cpus: Some(500), pids: Some(9) };
    let Some(bounded) = bound("gone", limits) else { return };
    let paths: Vec<PathBuf> =
        bounded.leaf.iter().chain(&bounded.more).map(|leaf| leaf.path().to_owned()).collect();
    assert!(!paths.is_empty() && paths.iter().all(|path| path.exists()));
    drop(bounded);
    assert!(paths.iter().all(|path| !path.exists()), "{paths:?}");
}

#[test]
fn what_an_earlier_warden_left_empty_is_swept_and_what_is_in_use_is_not() {
    let mut controllers = of(&format!("test-swept-{}", std::process::id()));
    let limits = Limits { pids: Some(9), ..Limits::default() };
    let Ok(mine) = controllers.bound(Parent::Own, Kind::Run, "mine", limits) else { return };
    let Some(mine) = mine.more.first().map(|leaf| leaf.path().to_owned()).map(|path| (mine, path))
    else {
        return;
    };
    let living = controllers.clone();
    controllers.prefix = of_the_dead(&controllers.prefix);
    let mut old = controllers.bound(Parent::Own, Kind::Handoff, "old", limits).unwrap();
    let old = old.more.remove(0);
    let path = old.path().to_owned();
    old.keep();
    living.sweep(Duration::ZERO);
    assert!(!path.exists() && mine.1.exists());
}

#[test]
fn without_a_controller_it_is_said_which_one_and_nothing_is_made() {
    let none = Controllers { prefix: "1.2.3".to_owned(), ..Controllers::default() };
    let limits = Limits { pids: Some(9), ..Limits::default() };
    let error = none.bound(Parent::Own, Kind::Run, "x", limits).unwrap_err();
    assert_eq!(
        error.to_string(),
        "its processes cannot be limited here by the cgroup controller `pids`: no hierarchy that has it can be written to"
    );
    assert!(none.bound(Parent::Own, Kind::Run, "x", Limits::default()).is_ok());
    assert_eq!(none.told(), "no");
}

#[test]
fn hierarchies_of_version_1_are_found_by_their_controller() {
    let text = "30 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
        31 25 0:28 /docker/ab /mnt/a\\040b rw - cgroup cgroup rw,memory\n\
        32 25 0:29 / /u rw - cgroup2 cgroup2 rw,pids\n";
    let mount = |root: &str, point: &str| Mount { root: root.to_owned(), point: point.into() };
    assert_eq!(first_mount(text, "cpu"), Some(mount("/", "/sys/fs/cgroup/cpu,cpuacct")));
    assert_eq!(first_mount(text, "memory"), Some(mount("/docker/ab", "/mnt/a b")));
    assert_eq!(first_mount(text, "pids"), None);
    let groups = b"4:memory:/a:b\n3:cpu,cpuacct:/c\n2:name=systemd:/\n1:pids:/../x\n0::/d\n";
    assert_eq!(first_group(groups, "memory").as_deref(), Some("/a:b"));
    assert_eq!(first_group(groups, "cpuacct").as_deref(), Some("/c"));
    assert_eq!((first_group(groups, "pids"), first_group(groups, "io")), (None, None));
}

#[test]
fn shares_are_counted_in_the_kernels_period() {
    assert_eq!((share(1_500), share(10), share(1_024_000)), (150_000, 1_000, 102_400_000));
}
