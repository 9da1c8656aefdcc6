//! Which container a caller is in: what rules, records and people see of it, and what a prisoner can do about that.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::prison::{Prison, inside};
use crate::support::engine::{self, Container, Spec};
use crate::support::{House, text, until};

/// Only in Alpine may it be asked who one is; only in a container that is called so, what there is.
const BY_CONTAINER: &str = "default_action: deny\nrules:\n\
     - {command: id, container: {image: '*alpine*'}, action: allow}\n\
     - {command: ls, container: {labels: {team: 'we?'}}, action: ask}\n\
     - {command: pwd, container: {name: 'clawrden-test-*'}, action: deny, reason: not from there}\n\
     - {command: pwd, action: allow}\n\
     - {command: echo, action: allow}\n";

const JAILS: &str = "jails:\n  box: {commands: [id, ls, pwd, echo]}\n  other: {commands: [id]}\n";

/// A warden that knows the tests' engine.
fn house(policy: &str) -> House {
    with_engine(policy, &engine::get().address)
}

fn with_engine(policy: &str, address: &str) -> House {
    let house = House::with(&format!("{policy}{JAILS}"), &["--engine", address]);
    house.json(&["status", "--json"]);
    house
}

fn prison(image: &str, house: House, more: impl FnOnce(Spec<'static>) -> Spec<'static>) -> Prison {
    let container = more(inside(&house, engine::get().container(image))).start();
    Prison { container, house }
}

fn plain(spec: Spec<'static>) -> Spec<'static> {
    spec
}

fn run(prison: &Prison, words: &[&str]) -> Output {
    prison.governed(&[], words).output().unwrap()
}

#[track_caller]
fn allowed(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

#[track_caller]
fn denied(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(126), "{output:?}");
    text(&output.stderr)
}

/// The newest request in the ledger, once there are `count`.
fn caller(prison: &Prison, count: usize) -> Value {
    prison.records("requested", count).pop().unwrap()["caller"].clone()
}

#[test]
fn a_rule_sees_the_image_of_its_callers_container() {
    let alpine = prison("alpine", house(BY_CONTAINER), plain);
    allowed(&run(&alpine, &["id"]));
    let debian = prison("debian12", house(BY_CONTAINER), plain);
    denied(&run(&debian, &["id"]));
    // In no container at all, though by the same socket.
    let shim = debian.house.path("clawrden/jails/box/bin/id");
    let mut native = Command::new(shim);
    native.env("CLAWRDEN_SOCKET", debian.house.path("jails/box/warden.sock"));
    denied(&native.output().unwrap());
    assert_eq!(caller(&debian, 2).get("container"), None);
}

#[test]
fn a_rule_sees_names_and_labels_and_so_do_records_and_people() {
    let name = format!("clawrden-test-{}", std::process::id());
    let named = |spec: Spec<'static>| spec.option("--name").option(&name).label("team", "web");
    let prison = prison("alpine", house(BY_CONTAINER), named);
    assert!(denied(&run(&prison, &["pwd"])).contains("not from there"));
    let mut asking = prison.governed(&[], &["ls", "/"]).spawn().unwrap();
    let entry = prison.house.pending();
    let shown = &entry["caller"]["container"];
    assert_eq!(shown["name"], name);
    assert_eq!(shown["id"], prison.container.id);
    assert!(shown["image"].as_str().unwrap().contains("alpine"), "{shown}");
    assert!(text(&prison.house.cli(&["queue"]).stdout).contains(&name));
    let id = entry["id"].as_str().unwrap();
    assert!(prison.house.cli(&["approve", id]).status.success());
    assert!(asking.wait().unwrap().success());
    let by_name = format!("container:{name}");
    let by_id = format!("container:{}", &prison.container.id[..12]);
    for filter in [&by_name, &by_id] {
        let history = prison.house.json(&["history", "--caller", filter, "--json"]);
        assert_eq!(history["entries"].as_array().unwrap().len(), 2, "{filter}");
    }
    let none = prison.house.json(&["history", "--caller", "container:nobody", "--json"]);
    assert_eq!(none["entries"].as_array().unwrap().len(), 0);
    assert_eq!(caller(&prison, 2)["container"]["id"], prison.container.id);
}

#[test]
fn a_container_that_was_renamed_has_its_new_name() {
    // A newer engine renames nothing that is on a bridge which it was told not to make.
    let alone = |spec: Spec<'static>| spec.option("--network").option("none");
    let prison = prison("alpine", house(BY_CONTAINER), alone);
    allowed(&run(&prison, &["pwd"]));
    let name = format!("clawrden-test-renamed-{}", std::process::id());
    engine::get().say(&["rename", &prison.container.id, &name]);
    until("the new name", || {
        let output = run(&prison, &["pwd"]);
        (output.status.code() == Some(126)).then_some(())
    });
}

#[test]
fn without_an_engine_the_rest_goes_on_and_what_needs_it_says_what_to_add() {
    let nowhere = "unix:///run/clawrden-tests/no-such.sock";
    for (address, told) in [("none", "--engine unix://"), (nowhere, "no-such.sock")] {
        let prison = prison("alpine", with_engine(BY_CONTAINER, address), plain);
        allowed(&run(&prison, &["echo", "on"]));
        let said = denied(&run(&prison, &["id"]));
        assert!(said.contains("rules look at the container") && said.contains(told), "{said}");
        // What is denied to some container is denied to one that may be it.
        assert!(denied(&run(&prison, &["pwd"])).contains(told));
        let status = text(&prison.house.cli(&["status"]).stdout);
        assert!(status.contains("engine absent"), "{status}");
    }
}

#[test]
fn a_container_of_another_jail_is_not_served() {
    let prison = prison("alpine", house(BY_CONTAINER), |spec| spec.label("clawrden.jail", "other"));
    let said = denied(&run(&prison, &["echo", "x"]));
    assert!(said.contains("belongs to jail other"), "{said}");
    assert_eq!(prison.house.events("started").len(), 0);
}

/// Waits in the container for `mark`, then becomes a governed `id`; and its pid here.
fn waiting(prison: &Prison, mark: &str) -> (std::process::Child, u32) {
    let script = format!("until [ -e {mark} ]; do sleep 0.05; done; exec id");
    let mut asking = prison.governed(&[], &["/bin/sh", "-c", &script]);
    let asking = asking.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let pid = until("the one that waits", || {
        let out = engine::get().say(&["top", &prison.container.id, "-eo", "pid,args"]);
        let line = out.lines().find(|line| line.contains(mark) && line.contains("/bin/sh"))?;
        line.split_whitespace().next()?.parse::<u32>().ok()
    });
    (asking, pid)
}

/// Every mounted hierarchy of cgroups.
fn hierarchies() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let cgroups = mounts.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        matches!(fields[2], "cgroup" | "cgroup2").then(|| PathBuf::from(fields[1]))
    });
    cgroups.collect()
}

/// A cgroup of this path in every hierarchy; removed with it.
struct Made(Vec<PathBuf>);

impl Made {
    fn new(path: impl Fn(&Path) -> Option<PathBuf>) -> Self {
        let made: Vec<PathBuf> = hierarchies().iter().filter_map(|at| path(at)).collect();
        for path in &made {
            fs::create_dir(path).unwrap();
            // Without these, nothing can be in a cpuset.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let Ok(value) = fs::read_to_string(path.parent().unwrap().join(file)) {
                    let _ = fs::write(path.join(file), value);
                }
            }
        }
        Self(made)
    }

    fn enter(&self, pid: u32) {
        enter(&self.0, pid);
    }
}

/// Moves a process into these cgroups.
fn enter(cgroups: &[PathBuf], pid: u32) {
    for path in cgroups {
        fs::write(path.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in &self.0 {
            until("a cgroup to be empty", || fs::remove_dir(path).ok());
        }
    }
}

/// Where a container's first process is below a hierarchy, as far as that is a place of the container's own.
fn place(container: &Container<'_>, hierarchy: &Path) -> Option<PathBuf> {
    let pid = container.pid().to_string();
    let told = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let paths = told.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let own = paths.filter(|path| path.contains(&container.id));
    let mut places = own.map(|path| hierarchy.join(path.trim_start_matches('/')));
    places.find(|place| {
        fs::read_to_string(place.join("cgroup.procs"))
            .is_ok_and(|listed| listed.lines().any(|line| line == pid))
    })
}

/// Whether the engine has systemd make its cgroups.
fn is_systemds() -> bool {
    engine::get().say(&["info", "--format", "{{.CgroupDriver}}"]) == "systemd"
}

#[test]
fn an_id_that_a_prisoner_forged_below_its_own_cgroup_is_not_believed() {
    let victim = engine::get().container("alpine").start();
    let prison = prison("debian12", house(BY_CONTAINER), plain);
    // What a prisoner could do that may write its cgroups: an own group that is called like the victim's.
    let forged = |scope: &str| {
        let name = scope.replace("ID", &victim.id);
        Made::new(|at| Some(place(&prison.container, at)?.join(&name)))
    };
    for (round, scope) in ["ID", "docker-ID.scope"].iter().enumerate() {
        let mark = format!("/tmp/go-{round}");
        let (asking, pid) = waiting(&prison, &mark);
        let made = forged(scope);
        assert!(!made.0.is_empty());
        made.enter(pid);
        assert!(prison.container.sh(&format!("touch {mark}")).status.success());
        let output = asking.wait_with_output().unwrap();
        denied(&output);
        assert_eq!(caller(&prison, round + 1)["container"]["id"], prison.container.id);
        drop(made);
    }
}

#[test]
fn a_container_below_a_cgroup_of_somebodys_choice_is_known() {
    // systemd's are slices, of which the first is below the second.
    let (parents, scope) = match is_systemds() {
        true => (["clawrden.slice", "clawrden-tests.slice"], "docker-ID.scope"),
        false => (["/clawrden-tests", "/clawrden-tests/kubepods/burstable/pod1"], "ID"),
    };
    for parent in parents {
        let below = |spec: Spec<'static>| spec.option("--cgroup-parent").option(parent);
        let prison = prison("alpine", house(BY_CONTAINER), below);
        let place = fs::read_to_string(format!("/proc/{}/cgroup", prison.container.pid())).unwrap();
        let end = format!("{parent}/{}", scope.replace("ID", &prison.container.id));
        assert!(place.contains(&end), "{place}");
        allowed(&run(&prison, &["id"]));
        assert_eq!(caller(&prison, 1)["container"]["id"], prison.container.id);
    }
}

/// Where systemd is not had, a container's processes are moved to where it would have put them, in each hierarchy of this
/// machine and in the second version's alone.
#[test]
fn a_container_in_the_layout_of_systemd_and_of_the_second_version_alone_is_known() {
    let versions = hierarchies();
    let is_second = |at: &Path| at.join("cgroup.controllers").exists();
    assert!(versions.iter().any(|at| is_second(at)), "{versions:?}");
    if is_systemds() {
        let prison = prison("alpine", house(BY_CONTAINER), plain);
        let place = fs::read_to_string(format!("/proc/{}/cgroup", prison.container.pid())).unwrap();
        assert!(place.contains(&format!("/system.slice/docker-{}.scope", prison.container.id)));
        allowed(&run(&prison, &["id"]));
        assert_eq!(caller(&prison, 1)["container"]["id"], prison.container.id);
    }
    // With the second alone, each hierarchy is that one.
    let rounds: &[bool] =
        if versions.iter().all(|at| is_second(at)) { &[true] } else { &[false, true] };
    for &only_second in rounds {
        let prison = prison("alpine", house(BY_CONTAINER), plain);
        let id = prison.container.id.clone();
        let name = format!("clawrden-tests-{}-{only_second}.slice", std::process::id());
        let wanted = |at: &Path| !only_second || is_second(at);
        let slice = Made::new(|at| wanted(at).then(|| at.join(&name)));
        let scope =
            Made::new(|at| wanted(at).then(|| at.join(&name).join(format!("docker-{id}.scope"))));
        let (asking, pid) = waiting(&prison, "/tmp/go");
        for pid in [pid, prison.container.pid()] {
            for at in versions.iter().filter(|at| !wanted(at)) {
                fs::write(at.join("cgroup.procs"), pid.to_string()).unwrap();
            }
            scope.enter(pid);
        }
        let place = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let second = format!("0::/{name}/docker-{id}.scope");
        assert!(place.lines().any(|line| line == second), "{place}");
        assert_eq!(place.matches(&id).count() == 1, only_second, "{place}");
        assert!(prison.container.sh("touch /tmp/go").status.success());
        allowed(&asking.wait_with_output().unwrap());
        assert_eq!(caller(&prison, 1)["container"]["id"], *id);
        drop((prison, scope, slice));
    }
}

/// What a process of the host gets that asks at the prison's door, once it was moved by this.
fn of_the_host(prison: &Prison, moved: impl FnOnce(u32)) -> Output {
    let shim = prison.house.path("clawrden/jails/box/bin/id");
    let script = format!("kill -STOP $$; exec {}", shim.display());
    let mut native = Command::new("bash");
    native.args(["-c", &script]).env("CLAWRDEN_SOCKET", prison.house.path("jails/box/warden.sock"));
    let native = native.stderr(std::process::Stdio::piped()).spawn().unwrap();
    moved(native.id());
    until("the process to stop", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", native.id())).ok()?;
        stat.contains(") T ").then_some(())
    });
    assert!(
        Command::new("kill").args(["-CONT", &native.id().to_string()]).status().unwrap().success()
    );
    native.wait_with_output().unwrap()
}

#[test]
fn a_process_of_the_host_in_a_cgroup_of_that_name_is_in_no_container() {
    let prison = prison("alpine", house(BY_CONTAINER), plain);
    // A container that has the host's pid namespace cannot be told from it by that.
    let victim = engine::get().container("alpine").option("--pid").option("host").start();
    let made = Made::new(|at| Some(at.join(&victim.id)));
    let said = denied(&of_the_host(&prison, |pid| made.enter(pid)));
    assert!(said.contains("the caller is not in it"), "{said}");
    assert_eq!(caller(&prison, 1).get("container"), None);
}

#[test]
fn who_comes_into_a_known_containers_own_cgroup_from_outside_is_not_in_it() {
    let prison = prison("alpine", house(BY_CONTAINER), plain);
    let own = Made::new(|at| Some(place(&prison.container, at)?.join("below")));
    for count in 1..=3 {
        allowed(&run(&prison, &["id"]));
        assert_eq!(caller(&prison, count)["container"]["id"], prison.container.id);
    }
    // Its own cgroup, and one below that was asked from already.
    let (asking, pid) = waiting(&prison, "/tmp/go");
    own.enter(pid);
    assert!(prison.container.sh("touch /tmp/go").status.success());
    allowed(&asking.wait_with_output().unwrap());
    let places: Vec<PathBuf> =
        hierarchies().iter().filter_map(|at| place(&prison.container, at)).collect();
    for (count, to) in [(5, &places), (6, &own.0)] {
        let said = denied(&of_the_host(&prison, |pid| enter(to, pid)));
        assert!(said.contains("the caller is not in it"), "{said}");
        assert_eq!(caller(&prison, count).get("container"), None);
    }
}
