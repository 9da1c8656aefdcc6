//! Jails for containers: found by labels, made and deleted by people, stopped alone.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::prison::PATH;
use crate::support::engine::{self, Container, Engine, Own, Spec};
use crate::support::{House, text, until};

/// A jail's name of this test's own: labels speak to every warden of an engine.
fn own(jail: &str) -> String {
    format!("{jail}-{}", std::process::id())
}

fn policy() -> String {
    let (one, other) = (own("box"), own("other"));
    format!(
        "default_action: allow
jails:
  {one}: {{commands: [echo, id]}}
  {other}: {{commands: [echo]}}
"
    )
}

fn house(engine: &Engine) -> House {
    let house = House::with(&policy(), &["--engine", &engine.address]);
    house.json(&["status", "--json"]);
    house
}

fn jail(house: &House, name: &str) -> Option<Value> {
    let list = house.json(&["jails", "--json"]);
    list["jails"].as_array().unwrap().iter().find(|jail| jail["name"] == name).cloned()
}

/// Waits until a jail has a container in this state, and gives the jail.
fn holding(house: &House, name: &str, id: &str, state: &str) -> Value {
    until(&format!("{name} to have a container that is {state}"), || {
        let jail = jail(house, name)?;
        let containers = jail["containers"].as_array().unwrap();
        let found = containers.iter().find(|one| one["id"] == id)?;
        (found["state"] == state).then_some(jail.clone())
    })
}

fn labelled<'e>(spec: Spec<'e>, jail: &str) -> Spec<'e> {
    spec.label("clawrden.enabled", "true").label("clawrden.jail", jail)
}

/// Gives a container what a jail has for it.
fn within<'e>(house: &House, spec: Spec<'e>, jail: &str) -> Spec<'e> {
    spec.mount_read_only(&house.path(&format!("jails/{}", own(jail))), "/run/clawrden")
        .mount_read_only(&house.path(&format!("clawrden/jails/{}/bin", own(jail))), "/clawrden/bin")
}

fn governed(container: &Container<'_>, words: &[&str]) -> Output {
    let path = format!("PATH=/clawrden/bin:{PATH}");
    container.exec_with(&["-e", &path], words).output().unwrap()
}

#[test]
fn containers_are_found_by_their_labels_also_those_that_run_already() {
    let engine = engine::get();
    let spec = labelled(engine.container("alpine"), &own("found"))
        .label("clawrden.cmds", "wc,sort")
        .label("clawrden.mode", "hardened");
    let early = spec.start();
    let house = house(engine);
    let found = holding(&house, &own("found"), &early.id, "running");
    assert_eq!(found["origin"], "label");
    assert_eq!(found["tools"], serde_json::json!(["sort", "wc"]));
    assert_eq!(found["containers"][0]["hardened"], true);
    let bin = Path::new(found["bin"].as_str().unwrap());
    for name in ["wc", "sort", "clawrden-runner", "clawrden-shim"] {
        assert!(bin.join(name).exists(), "{name}");
    }
    assert!(Path::new(found["folder"].as_str().unwrap()).join("warden.sock").exists());
    // One that comes later brings a tool more.
    let late =
        labelled(engine.container("alpine"), &own("found")).label("clawrden.cmds", "tac").create();
    holding(&house, &own("found"), &late.id, "stopped");
    until("the shim of the later one", || bin.join("tac").exists().then_some(()));
    assert!(bin.join("wc").exists());
    engine.say(&["start", &late.id]);
    holding(&house, &own("found"), &late.id, "running");
    let gone = late.id.clone();
    drop(late);
    until("the removed one to be gone", || {
        let jail = jail(&house, &own("found"))?;
        let containers = jail["containers"].as_array().unwrap();
        containers.iter().all(|one| one["id"] != gone.as_str()).then_some(())
    });
}

#[test]
fn a_label_cannot_lead_out_of_the_folder_of_jails() {
    let engine = engine::get();
    let house = house(engine);
    let odd = labelled(engine.container("alpine"), "../../escape").create();
    let problem = until("the problem to be told", || {
        let list = house.json(&["jails", "--json"]);
        let problems = list["problems"].as_array().unwrap().clone();
        problems.iter().find(|one| one.to_string().contains("escape")).cloned()
    });
    assert!(problem.to_string().contains("cannot name a jail"), "{problem}");
    assert!(!house.path("escape").exists() && !house.path("clawrden/escape").exists());
    drop(odd);
}

#[test]
fn containers_are_found_again_after_the_engine_was_restarted() {
    let mut daemon = Own::start();
    let container = labelled(daemon.engine.container("alpine"), &own("box")).start();
    let id = container.id.clone();
    let house = house(&daemon.engine);
    holding(&house, &own("box"), &id, "running");
    // The engine of a test begins without the containers of its last run.
    std::mem::forget(container);
    daemon.stop();
    until("the engine to be missed", || {
        let status = house.json(&["status", "--json"]);
        status["engine"]["error"].is_string().then_some(())
    });
    daemon.restart();
    let second = labelled(daemon.engine.container("alpine"), &own("box")).start();
    let found = holding(&house, &own("box"), &second.id, "running");
    assert!(found["containers"].as_array().unwrap().iter().all(|one| one["id"] != id.as_str()));
    let third = labelled(daemon.engine.container("alpine"), &own("box")).create();
    holding(&house, &own("box"), &third.id, "stopped");
    assert_eq!(house.json(&["status", "--json"])["engine"]["error"], Value::Null);
}

#[test]
fn a_created_jail_stays_over_a_restart_until_it_is_deleted() {
    let engine = engine::get();
    let mut house = house(engine);
    let made = house.json(&["jails", "create", "web", "--command", "echo,wc", "--json"]);
    assert_eq!(
        (&made["origin"], &made["tools"]),
        (&"created".into(), &serde_json::json!(["echo", "wc"]))
    );
    let bin = house.path("clawrden/jails/web/bin");
    assert!(bin.join("wc").exists());
    assert_eq!(house.cli(&["jails", "create", "web"]).status.code(), Some(1));
    house.crash();
    house.restart();
    let shown = house.json(&["jails", "show", "web", "--json"]);
    assert_eq!(shown["origin"], "created");
    let container = engine
        .container("alpine")
        .mount_read_only(&house.path("jails/web"), "/run/clawrden")
        .mount_read_only(&bin, "/clawrden/bin")
        .start();
    assert_eq!(text(&governed(&container, &["echo", "hi"]).stdout), "hi\n");
    let refused = house.cli(&["jails", "delete", "web"]);
    assert!(text(&refused.stderr).contains("is in jail web"), "{refused:?}");
    drop(container);
    until("the jail to be empty", || {
        house.cli(&["jails", "delete", "web"]).status.success().then_some(())
    });
    assert!(!bin.exists() && !house.path("jails/web").exists());
    assert_eq!(house.cli(&["jails", "show", "web"]).status.code(), Some(1));
    house.crash();
    house.restart();
    assert_eq!(jail(&house, "web"), None);
    let events = house.ledger();
    for event in ["jail_created", "jail_deleted"] {
        assert_eq!(events.iter().filter(|record| record["event"] == event).count(), 1, "{event}");
    }
}

#[test]
fn odd_names_make_and_delete_nothing() {
    let house = house(engine::get());
    fs::write(house.path("keep"), "").unwrap();
    for name in ["..", "../keep", "a/b", "/etc", ".x", "A", "a b", "", "%2e%2e", "a\u{202e}"] {
        for verb in ["create", "delete", "show"] {
            let output = house.cli(&["jails", verb, "--", name]);
            assert!(!output.status.success(), "{verb} {name:?}");
        }
    }
    let output = house.cli(&["jails", "create", "fine", "--command", "../sh"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(jail(&house, "fine"), None);
    assert!(house.path("keep").exists());
    for kept in [own("box"), "default".to_owned()] {
        assert!(!house.cli(&["jails", "delete", &kept]).status.success(), "{kept}");
    }
}

#[test]
fn the_shims_follow_the_policy() {
    let house = house(engine::get());
    let bin = house.path(&format!("clawrden/jails/{}/bin", own("box")));
    assert!(bin.join("id").exists() && !bin.join("wc").exists());
    let changed = policy().replace("[echo, id]", "[echo, wc]");
    fs::write(house.path("policy.yaml"), changed).unwrap();
    assert!(house.cli(&["policy", "reload"]).status.success());
    assert!(bin.join("wc").exists() && !bin.join("id").exists() && bin.join("echo").exists());
    assert_eq!(jail(&house, &own("box")).unwrap()["tools"], serde_json::json!(["echo", "wc"]));
}

/// One container in each of two jails.
fn pair(house: &House) -> (Container<'static>, Container<'static>) {
    let engine = engine::get();
    let [one, other] = ["box", "other"].map(|jail| {
        let container =
            within(house, labelled(engine.container("alpine"), &own(jail)), jail).start();
        holding(house, &own(jail), &container.id, "running");
        container
    });
    (one, other)
}

fn state(container: &Container<'_>) -> String {
    let inspected = container.inspect();
    match inspected["State"]["Status"].as_str().unwrap() {
        // Podman's word for one that has ended, until what was mounted for it is gone as well.
        "stopped" => "exited".to_owned(),
        told => told.to_owned(),
    }
}

#[track_caller]
fn stopped(output: &Output, resume: &str) {
    assert_eq!(output.status.code(), Some(126), "{output:?}");
    assert!(text(&output.stderr).contains(resume), "{output:?}");
}

#[test]
fn a_killed_jail_is_down_and_stays_so_and_the_other_one_does_not_mind() {
    let mut house = house(engine::get());
    let (one, other) = pair(&house);
    let report = house.json(&["kill", "--jail", &own("box"), "--reason", "test", "--json"]);
    assert_eq!(report["containers"], 1);
    assert_eq!((state(&one), state(&other)), ("exited".to_owned(), "running".to_owned()));
    assert_eq!(text(&governed(&other, &["echo", "on"]).stdout), "on\n");
    engine::get().say(&["start", &one.id]);
    stopped(&governed(&one, &["echo", "x"]), &format!("clawrden resume --jail {}", own("box")));
    house.crash();
    house.restart();
    // Its jail is there again once the engine has told of it.
    let answers = || governed(&one, &["echo", "x"]).status.code() != Some(125);
    until("the jail's door to be there", || answers().then_some(()));
    stopped(&governed(&one, &["echo", "x"]), &format!("clawrden resume --jail {}", own("box")));
    assert!(
        text(&house.cli(&["status"]).stdout).contains(&format!("jail {} is STOPPED", own("box")))
    );
    assert!(jail(&house, &own("box")).unwrap()["stopped"].is_object());
    // What is stopped alone is not meant by that.
    assert!(house.cli(&["resume"]).status.success());
    stopped(&governed(&one, &["echo", "x"]), &format!("clawrden resume --jail {}", own("box")));
    assert!(house.cli(&["resume", "--jail", &own("box")]).status.success());
    assert_eq!(text(&governed(&one, &["echo", "on"]).stdout), "on\n");
    assert_eq!(house.cli(&["kill", "--jail", "nowhere"]).status.code(), Some(1));
    assert_eq!(house.cli(&["kill", "--jail", "../box"]).status.code(), Some(2));
    let record = house.event("stopped");
    assert_eq!((&record["jail"], &record["paused"]), (&own("box").into(), &false.into()));
}

#[test]
fn a_paused_jail_is_frozen_over_a_restart_and_goes_on_with_resume() {
    let mut house = house(engine::get());
    let (one, other) = pair(&house);
    let mut long = one.exec(&["sh", "-c", "touch /tmp/begun; sleep 1; echo went on"]);
    let long = long.stdout(std::process::Stdio::piped()).spawn().unwrap();
    until("the long command to begin", || {
        one.exec(&["test", "-e", "/tmp/begun"]).status().unwrap().success().then_some(())
    });
    let report = house.json(&["kill", "--pause", "--jail", &own("box"), "--json"]);
    assert_eq!(report["containers"], 1);
    assert_eq!((state(&one), state(&other)), ("paused".to_owned(), "running".to_owned()));
    house.crash();
    house.restart();
    holding(&house, &own("box"), &one.id, "paused");
    let report = house.json(&["resume", "--jail", &own("box"), "--json"]);
    assert_eq!(report["containers"], 1);
    assert_eq!(text(&long.wait_with_output().unwrap().stdout), "went on\n");
    assert_eq!(text(&governed(&one, &["echo", "on"]).stdout), "on\n");
}

#[test]
fn a_container_can_be_stopped_alone_by_name_or_by_the_start_of_its_id() {
    let house = house(engine::get());
    let engine = engine::get();
    let twins = [(); 2]
        .map(|()| within(&house, labelled(engine.container("alpine"), &own("box")), "box").start());
    let short = &twins[0].id[..12];
    house.json(&["kill", "--pause", "--container", short, "--json"]);
    assert_eq!(twins.each_ref().map(state), ["paused", "running"]);
    assert_eq!(text(&governed(&twins[1], &["echo", "on"]).stdout), "on\n");
    // Thawed by somebody else, it is still denied.
    engine.say(&["unpause", &twins[0].id]);
    stopped(&governed(&twins[0], &["echo", "x"]), "clawrden resume --container");
    let name = twins[0].inspect()["Name"].as_str().unwrap().trim_start_matches('/').to_owned();
    let resumed = house.cli(&["resume", "--container", &name]);
    assert!(resumed.status.success(), "{resumed:?}");
    assert_eq!(text(&governed(&twins[0], &["echo", "on"]).stdout), "on\n");
    assert_eq!(house.cli(&["kill", "--container", "no-such-one"]).status.code(), Some(1));
    assert_eq!(house.cli(&["kill", "--container", "a/../b"]).status.code(), Some(1));
}

#[test]
fn the_kill_switch_takes_containers_without_labels_too_where_they_reach_a_jail() {
    // It is for everything on the engine.
    let daemon = Own::start();
    let engine = &daemon.engine;
    let house = house(engine);
    let unlabelled = within(&house, engine.container("alpine"), "box").start();
    let bystander = engine.container("alpine").start();
    let report = house.json(&["kill", "--pause", "--json"]);
    assert_eq!(report["containers"], 1, "{report}");
    assert_eq!(
        (state(&unlabelled), state(&bystander)),
        ("paused".to_owned(), "running".to_owned())
    );
    let report = house.json(&["resume", "--json"]);
    assert_eq!(report["containers"], 1, "{report}");
    assert_eq!(state(&unlabelled), "running");
}

#[test]
fn of_two_wardens_on_one_engine_each_has_the_container_that_has_its_door() {
    let engine = engine::get();
    let (one, other) = (house(engine), house(engine));
    let shared = own("shared");
    one.json(&["jails", "create", &shared, "--json"]);
    let door = one.path(&format!("jails/{shared}"));
    let theirs = labelled(engine.container("alpine"), &shared)
        .mount_read_only(&door, "/run/clawrden")
        .start();
    holding(&one, &shared, &theirs.id, "running");
    // Who has no door is everybody's, and tells that what came before was heard.
    let open = labelled(engine.container("alpine"), &shared).create();
    let late = house(engine);
    for (warden, has_it) in [(&one, true), (&other, false), (&late, false)] {
        let jail = holding(warden, &shared, &open.id, "stopped");
        let containers = jail["containers"].as_array().unwrap();
        assert_eq!(containers.iter().any(|found| found["id"] == *theirs.id), has_it, "{jail}");
    }
    let is_running = || theirs.inspect()["State"]["Running"] == true;
    for (warden, reached) in [(&other, 0), (&late, 0), (&one, 1)] {
        assert!(is_running());
        let report = warden.json(&["kill", "--jail", &shared, "--json"]);
        assert_eq!(report["containers"], reached, "{report}");
    }
    assert!(!is_running());
}
