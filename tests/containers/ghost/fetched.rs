//! Images of ghosts that are fetched from a registry.

use crate::cell::{Cell, Plan};
use crate::registry::{Mood, Registry};
use crate::support::{engine, text, until};

/// An image that goes with its test.
struct Gone(String);

impl Gone {
    fn is_here(&self) -> bool {
        engine::get()
            .docker()
            .args(["image", "inspect", &self.0])
            .output()
            .unwrap()
            .status
            .success()
    }

    fn remove(&self) {
        let _ = engine::get().docker().args(["rmi", "-f", &self.0]).output();
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.remove();
    }
}

fn cell(image: &str, pull: &str) -> Cell {
    let ghost = format!("{{image: '{image}', pull: {pull}}}");
    Cell::new(&Plan { ghost: &ghost, ..Plan::default() })
}

#[test]
fn an_image_is_fetched_as_its_policy_says_and_its_caller_is_told() {
    let registry = Registry::start();
    let image = Gone(registry.put("policy", "one"));
    let never = cell(&image.0, "never");
    let output = never.ghost("cat /mark");
    assert!(text(&output.stderr).contains("`pull: never`"), "{}", text(&output.stderr));
    assert_eq!(registry.asked(), 0);

    let missing = cell(&image.0, "missing");
    registry.is(Mood::IsSlow);
    let output = missing.ghost("cat /mark");
    let told = text(&output.stderr);
    assert_eq!((output.status.code(), &text(&output.stdout)[..]), (Some(0), "one"), "{told}");
    assert!(told.contains(&format!("fetching the image {}", image.0)), "{told}");
    assert!(told.lines().any(|line| line.ends_with("MB")), "{told}");
    assert_eq!(missing.records("started")[0]["ghost"]["image"], image.0.as_str());

    // It is there: nobody asks the registry, which could not answer.
    registry.is(Mood::IsDown);
    let asked = registry.asked();
    for cell in [&missing, &never] {
        assert_eq!(text(&cell.ghost("cat /mark").stdout), "one");
    }
    assert_eq!(registry.asked(), asked);

    registry.is(Mood::Serves);
    registry.put("policy", "two");
    assert_eq!(text(&missing.ghost("cat /mark").stdout), "one");
    let always = cell(&image.0, "always");
    assert_eq!(text(&always.ghost("cat /mark").stdout), "two");
    // What is here would do, and is not taken: it is not what the policy asks for.
    registry.is(Mood::IsDown);
    let output = always.ghost("cat /mark");
    let told = text(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(125), 0), "{told}");
    assert!(told.contains("cannot be fetched") && told.contains(&image.0), "{told}");
}

#[test]
fn an_image_that_no_registry_has_is_a_clear_error() {
    let registry = Registry::start();
    let known = registry.put("known", "x");
    let image = Gone(known.replace(":known", ":unknown"));
    let cell = cell(&image.0, "missing");
    let output = cell.ghost("true");
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{told}");
    assert!(told.contains("there is no image") && told.contains(&image.0), "{told}");
    assert!(cell.records("started").is_empty());
}

#[test]
fn a_registry_that_hangs_holds_nobody_up_but_its_caller_who_may_leave() {
    let registry = Registry::start();
    let image = Gone(registry.put("slow", "x"));
    registry.is(Mood::Hangs);
    let cell = cell(&image.0, "missing");
    let mut child = cell.start("true");
    // It is told before the registry has said anything.
    let mut stderr = child.stderr.take().unwrap();
    let mut told = Vec::new();
    let mut byte = [0];
    while !text(&told).contains(&format!("fetching the image {}", image.0)) {
        std::io::Read::read_exact(&mut stderr, &mut byte).unwrap();
        told.push(byte[0]);
    }
    cell.house.json(&["status", "--json"]);
    assert!(child.try_wait().unwrap().is_none(), "the warden answered only after the registry");
    cell.container.exec(&["/bin/busybox", "pkill", "-KILL", "sh"]).status().unwrap();
    child.wait().unwrap();
    until("its end to be written", || {
        let ends = |record: &serde_json::Value| {
            ["finished", "refused", "failed"].iter().any(|event| record["event"] == *event)
        };
        cell.house.ledger().iter().any(ends).then_some(())
    });
    assert!(cell.records("started").is_empty() && !image.is_here());
    assert!(cell.ghosts().is_empty());
}
