//! The warden is killed at each named step of a request's way.

use std::io::Write;
use std::process::{Child, Stdio};

use crate::support::client::{finish, header, send};
use crate::support::{House, text};
use crate::{POLICY, all_is_in_order, has_crashed, tree, tree_is_gone, was_told};

/// A warden that dies when it comes to `point`; `None` where the build has no such points.
pub(crate) fn doomed(point: &str) -> Option<House> {
    if !cfg!(debug_assertions) {
        eprintln!("not tried: only debug builds can be killed at a point");
        return None;
    }
    let mut house = House::with(POLICY, &["--grace", "300ms"]);
    house.crash();
    house.restart_with(&[("CLAWRDEN_CRASH_AT", point)]);
    Some(house)
}

fn mark(house: &House) -> String {
    house.path("mark").display().to_string()
}

#[test]
fn mirror_before_the_answer_runs_nothing_and_says_so() {
    for point in ["after_request_read", "before_intent", "after_intent"] {
        let Some(mut house) = doomed(point) else { return };
        let output = house.shimmed("touch").arg(mark(&house)).output().unwrap();
        has_crashed(&mut house);
        was_told(&output);
        assert!(!house.path("mark").exists(), "{point}");
        all_is_in_order(&mut house, &[]);
    }
}

#[test]
fn mirror_after_the_answer_goes_on_as_if_nothing_were() {
    for point in ["after_ack", "before_finished"] {
        let Some(mut house) = doomed(point) else { return };
        let output = house.shimmed("touch").arg(mark(&house)).output().unwrap();
        has_crashed(&mut house);
        assert!(output.status.success() && output.stderr.is_empty(), "{point}: {output:?}");
        assert!(house.path("mark").exists());
        all_is_in_order(&mut house, &["mark".to_owned()]);
    }
}

#[test]
fn local_before_its_runner_has_the_plan_runs_nothing_and_says_so() {
    for point in ["after_request_read", "before_intent", "after_intent", "runner_taken"] {
        let Some(mut house) = doomed(point) else { return };
        let output = tree(&house).output().unwrap();
        has_crashed(&mut house);
        was_told(&output);
        assert_eq!(tree_is_gone(&house), 0, "{point}");
        all_is_in_order(&mut house, &[]);
    }
}

#[test]
fn local_under_way_is_ended_with_its_whole_tree() {
    for point in ["plan_sent", "tool_started"] {
        let Some(mut house) = doomed(point) else { return };
        let output = tree(&house).output().unwrap();
        has_crashed(&mut house);
        was_told(&output);
        let ran = tree_is_gone(&house) > 0;
        all_is_in_order(&mut house, &if ran { vec!["pids".to_owned()] } else { Vec::new() });
        let announced = house.ledger().iter().any(|record| record["event"] == "started");
        assert!(announced, "{point}");
    }
}

#[test]
fn local_at_its_end_has_told_its_caller_already() {
    let Some(mut house) = doomed("before_finished") else { return };
    let mut sort = house.shimmed("sort");
    let output = sort.args(["-o", &mark(&house), "/dev/null"]).output().unwrap();
    has_crashed(&mut house);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    all_is_in_order(&mut house, &["mark".to_owned()]);
}

fn version_1(house: &House, command: &str, args: &[&str]) -> std::os::unix::net::UnixStream {
    send(&house.socket(), &header(command, args, house.dir.path()))
}

#[test]
fn a_version_1_client_hears_the_end_of_the_connection_or_125() {
    for point in ["after_request_read", "after_intent", "runner_taken", "plan_sent", "tool_started"]
    {
        let Some(mut house) = doomed(point) else { return };
        let script = format!("echo $$ >> {}; sleep 300", house.path("pids").display());
        let answer = finish(version_1(&house, "bash", &["-c", &script]));
        has_crashed(&mut house);
        let told = answer.exit.is_none_or(|code| code == 125);
        assert!(told && answer.exit.is_some() == answer.acks.contains(&0), "{point}: {answer:?}");
        let ran = tree_is_gone(&house) > 0;
        all_is_in_order(&mut house, &if ran { vec!["pids".to_owned()] } else { Vec::new() });
    }
}

/// A command that waits for a person, and what it is killed at. `None` where it is killed before anybody can answer.
pub(crate) fn asked(house: &House, tool: &str) -> Child {
    let mut command = house.shimmed(tool);
    match tool {
        "tee" => command.arg(mark(house)),
        _ => command.args([
            "if=/dev/null".to_owned(),
            format!("of={}", mark(house)),
            "status=none".to_owned(),
        ]),
    };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn asking_runs_nothing_and_says_so() {
    for tool in ["tee", "dd"] {
        for point in ["after_asked", "before_pending"] {
            let Some(mut house) = doomed(point) else { return };
            let output = asked(&house, tool).wait_with_output().unwrap();
            has_crashed(&mut house);
            was_told(&output);
            assert!(!house.path("mark").exists());
            all_is_in_order(&mut house, &[]);
        }
    }
}

#[test]
fn an_approved_mirror_that_was_told_goes_on() {
    let Some(mut house) = doomed("after_ack") else { return };
    let child = asked(&house, "tee");
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    let _ = house.cli(&["approve", &short]);
    has_crashed(&mut house);
    assert!(child.wait_with_output().unwrap().status.success());
    assert!(house.path("mark").exists());
    all_is_in_order(&mut house, &["mark".to_owned()]);
}

#[test]
fn an_approved_local_run_is_announced_before_it_runs() {
    for point in ["runner_taken", "plan_sent", "tool_started"] {
        let Some(mut house) = doomed(point) else { return };
        let child = asked(&house, "dd");
        let short = house.pending()["short"].as_str().unwrap().to_owned();
        let _ = house.cli(&["approve", &short]);
        has_crashed(&mut house);
        let output = child.wait_with_output().unwrap();
        let ran = house.path("mark").exists();
        // Such a short tool may have ended before its runner saw that the warden had.
        if !(ran && output.status.success()) {
            was_told(&output);
            let denied = text(&output.stderr).contains("nothing ran");
            assert!(!(ran && denied), "it ran, and its caller was told that it had not");
        }
        all_is_in_order(&mut house, &if ran { vec!["mark".to_owned()] } else { Vec::new() });
    }
}

#[test]
fn every_point_can_be_reached() {
    let mut named = Vec::new();
    let mut folders =
        vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../warden/src"))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                let points = text.split("crash::point(\"").skip(1);
                named.extend(points.map(|rest| rest.split('"').next().unwrap().to_owned()));
            }
        }
    }
    let here = [
        include_str!("points.rs"),
        include_str!("reload.rs"),
        include_str!("asking.rs"),
        include_str!("dropping.rs"),
        include_str!("voting.rs"),
        include_str!("../containers/ghost/ends.rs"),
        include_str!("../containers/exec/ends.rs"),
    ]
    .concat();
    for point in &named {
        assert!(here.contains(&format!("\"{point}\"")), "nobody is killed at {point}");
    }
    assert!(named.len() >= 13, "{named:?}");
}

#[test]
fn a_line_that_a_crash_tore_is_set_aside_and_recorded() {
    let Some(mut house) = doomed("after_intent") else { return };
    was_told(&house.shimmed("touch").arg(mark(&house)).output().unwrap());
    has_crashed(&mut house);
    let path = house.path("ledger.jsonl");
    let torn = b"{\"seq\":77,\"time\":\"20";
    let mut ledger = std::fs::File::options().append(true).open(&path).unwrap();
    ledger.write_all(torn).unwrap();
    all_is_in_order(&mut house, &[]);
    let recovered = house.event("recovered");
    assert_eq!(recovered["torn_bytes"], torn.len());
    let aside = std::fs::read(recovered["file"].as_str().unwrap()).unwrap();
    assert_eq!(aside, torn);
}
