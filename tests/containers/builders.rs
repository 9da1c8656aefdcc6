//! `clawrden harden` with other builders than the classic one: BuildKit, and Podman's, of root and of a user.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::engine::{self, Engine};
use crate::support::{clawrden, other, text};

fn governed(mut harden: Command, client: &Path, base: &str, tag: &str, words: &[&str]) -> String {
    harden.args(["harden", base, "--tag", tag, "--client"]).arg(client).args(words);
    let output = harden.stdin(Stdio::null()).output().unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{base}: {said}");
    said
}

#[track_caller]
fn is_governed(engine: &Engine, tag: &str, user: &str) {
    for cat in ["cat", "/usr/bin/cat", "/bin/cat"] {
        // Only Alpine has it there, and Debian both.
        if (tag.contains("distroless") && cat == "/bin/cat")
            || (tag.contains("alpine") && cat == "/usr/bin/cat")
        {
            continue;
        }
        let spec = engine.container_of(tag).option("--network").option("none").user(user);
        let container = spec.command(&[cat, "/etc/passwd"]).start();
        assert_eq!(container.wait(), 125, "{tag} {cat}: {}", container.logs());
        assert!(container.logs().contains("the warden cannot be reached"), "{tag} {cat}");
    }
}

/// Removed with its test.
struct Tag<'e>(&'e Engine, String);

impl Drop for Tag<'_> {
    fn drop(&mut self) {
        let _ = self.0.docker().args(["rmi", "-f", &self.1]).output();
    }
}

fn tag<'e>(engine: &'e Engine, name: &str) -> Tag<'e> {
    Tag(engine, format!("clawrden-test/built-{name}:{}", std::process::id()))
}

#[test]
fn buildkit_makes_governed_images() {
    let engine = engine::get();
    for image in ["alpine", "debian12", "distroless"] {
        let (base, tag) = (engine.image(image), tag(engine, image));
        let mut harden = clawrden();
        harden.env("DOCKER_HOST", &engine.address).env("DOCKER_BUILDKIT", "1");
        let client = PathBuf::from(engine.docker().get_program());
        let words = ["--tools", "cat", "--user", "1000", "--lock"];
        let said = governed(harden, &client, &base, &tag.1, &words);
        assert!(said.contains("exporting layers"), "BuildKit tells its steps so: {said}");
        is_governed(engine, &tag.1, "1000");
    }
}

#[test]
fn podman_builds_governed_images_as_root_and_as_a_user() {
    if !other::is_root() {
        eprintln!("not tried: only root can start an engine");
        return;
    }
    // A user without /etc/subuid has no user 1000 in its containers.
    for (kind, user) in [("podman", "1000"), ("rootless", "0")] {
        let engine = Engine::at(engine::kind(kind));
        let (base, tag) = (engine.image("alpine"), tag(&engine, &format!("{kind}-alpine")));
        let dir = tempfile::tempdir().unwrap();
        let client = dir.path().join("podman");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/engine");
        let line = format!("#!/bin/sh\nexec {} client {kind} \"$@\"\n", script.display());
        std::fs::write(&client, line).unwrap();
        std::fs::set_permissions(&client, std::fs::Permissions::from_mode(0o755)).unwrap();
        let harden = clawrden();
        let words = ["--tools", "cat", "--user", "1000", "--lock"];
        governed(harden, &client, &base, &tag.1, &words);
        // The compatible socket takes a name without a place for one of Docker's registry; Podman's client for its own.
        let own = format!("localhost/{}", tag.1);
        is_governed(&engine, &own, user);
        let _ = engine.docker().args(["rmi", "-f", &own]).output();
    }
}
