//! The bare tool beside the shimmed tool in one container: output, status, signals, limits and descriptors must be the
//! same.
//!
//! A case is a script. It runs twice, and only its PATH differs: what it starts by name is the image's, or the shim.

mod exec;
mod ghost;
mod processes;
mod programs;
mod streams;
mod terminal;
mod words;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::cell::workspace;
use crate::prison::{IMAGES, MIRROR, Prison};
use crate::support::text;

/// The ways in which a tool is run in a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Native,
    Shimmed,
}

/// Everything is allowed, and the warden stays with it.
const SUPERVISED: &str = "default_action: allow\non_unparsed: allow\nrules:\n  - {command: '*', action: allow, executor: mirror, \
                          supervised: true}\n";

/// Everything is allowed, in a ghost of the prisoner's own image.
const GHOSTS: &str = "default_action: allow\non_unparsed: allow\nghost_images: {'*': same}\nrules:\n  - {command: '*', action: \
                      allow, executor: ghost}\n";

pub(crate) const WAYS: [Way; 2] = [Way::Native, Way::Shimmed];

/// A container in which tools are run natively or by their shims.
pub(crate) struct Stage {
    pub(crate) image: &'static str,
    prison: Prison,
    /// How the warden says that it ran what was shimmed.
    method: &'static str,
    /// Where scripts run.
    cwd: &'static str,
    _work: Option<tempfile::TempDir>,
}

impl Stage {
    pub(crate) fn new(image: &'static str) -> Self {
        let prison = Prison::new(image, MIRROR);
        Self { image, prison, method: "handoff", cwd: "/tmp", _work: None }
    }

    /// The same, where the engine starts what is shimmed.
    pub(crate) fn by_exec(image: &'static str) -> Self {
        let prison = Prison::with_engine(image, SUPERVISED, |spec| spec.user("1000:1000"));
        Self { image, prison, method: "exec", cwd: "/tmp", _work: None }
    }

    /// The same, where each tool runs in a ghost of the same image, with a folder of its caller's.
    pub(crate) fn by_ghost(image: &'static str) -> Self {
        let work = workspace();
        let prison = Prison::with_engine(image, GHOSTS, |spec| {
            spec.user("1000:1000").mount(work.path(), "/work")
        });
        Self { image, prison, method: "runner", cwd: "/work", _work: Some(work) }
    }

    /// Words of a program in the container, this way.
    pub(crate) fn command(&self, way: Way, options: &[&str], words: &[&str]) -> Command {
        match way {
            Way::Native => self.prison.container.exec_with(options, words),
            Way::Shimmed => self.prison.governed(options, words),
        }
    }

    /// Runs a script this way, fed with `input`.
    pub(crate) fn run(&self, way: Way, options: &[&str], script: &str, input: &[u8]) -> Output {
        let options: Vec<&str> =
            ["-i", "-w", self.cwd].into_iter().chain(options.iter().copied()).collect();
        // By its place, so that the shell itself is the image's either way.
        let mut command = self.command(way, &options, &["/bin/sh", "-c", script]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || {
            // A reader that ends early is part of some cases.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    }

    /// Compares what comes of a script, and gives what came of it natively.
    pub(crate) fn same(&self, options: &[&str], script: &str, input: &[u8]) -> Output {
        let asked = self.asked();
        let [native, shimmed] = WAYS.map(|way| self.run(way, options, script, input));
        let what = format!("{}: {script}", self.image);
        assert_eq!(shimmed.status, native.status, "{what}: {} {}", said(&native), said(&shimmed));
        assert!(shimmed.stdout == native.stdout, "{what}: {} {}", said(&native), said(&shimmed));
        assert!(shimmed.stderr == native.stderr, "{what}: {} {}", said(&native), said(&shimmed));
        assert!(self.asked() > asked, "{what}: nothing was governed");
        let started = self.prison.house.events("started");
        for record in started {
            assert_eq!(record["method"], self.method, "{what}");
        }
        native
    }

    /// How many requests there were.
    pub(crate) fn asked(&self) -> usize {
        self.prison.house.events("requested").len()
    }
}

/// Each script on each image; `wanted` is what it prints, where that is known.
pub(crate) fn same(cases: &[(&str, Option<&str>)]) {
    for image in IMAGES {
        let stage = Stage::new(image);
        for (script, wanted) in cases {
            let output = stage.same(&[], script, b"");
            if let Some(wanted) = wanted {
                assert_eq!(text(&output.stdout), *wanted, "{image}: {script}: {}", said(&output));
            }
        }
    }
}

fn said(output: &Output) -> String {
    let cut = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).into_owned();
    format!("({}, {:?}, {:?})", output.status, cut(&output.stdout), cut(&output.stderr))
}
