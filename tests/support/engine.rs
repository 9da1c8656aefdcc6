//! A real container engine for the tests, and containers on it that go with the test.
//!
//! `scripts/engine` starts it where none runs, `scripts/images` makes what is missing on it. Docker's own client is
//! driven, so that nothing of the code under test tests itself.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use super::text;

/// The label of every container that a test made; its value names the process.
pub const LABEL: &str = "clawrden-test.process";

/// The images that there are; `scripts/images` says what each is. `node-build`, which is large, is made for who asks.
pub const IMAGES: &[&str] =
    &["alpine", "debian12", "debian13", "zsh", "python-slim", "node", "distroless"];

/// An engine that answers.
pub struct Engine {
    /// Such as `unix:///run/clawrden-tests/engine/docker.sock`.
    pub address: String,
    /// The engine goes on while this is held.
    _used: Option<File>,
}

/// The engine that all tests share.
pub fn get() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let run = std::env::var_os("CLAWRDEN_TEST_RUN");
        let run = run.map_or_else(|| PathBuf::from("/run/clawrden-tests"), PathBuf::from);
        let _used = rustix::process::getuid().is_root().then(|| hold(&run));
        let started = script("engine").arg("start").output().unwrap();
        Engine { address: said(&started), _used }
    })
}

/// Whether there is one, or it can be started.
pub fn is_there() -> bool {
    script("engine").arg("start").output().is_ok_and(|started| started.status.success())
}

fn hold(run: &Path) -> File {
    fs::create_dir_all(run.join("engine")).unwrap();
    let users = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(run.join("engine/users"))
        .unwrap();
    users.lock_shared().unwrap();
    users
}

/// The address of another kind of engine, which is started where it does not run.
pub fn kind(name: &str) -> String {
    let started =
        script("engine").args(["start", name]).env_remove("CLAWRDEN_TEST_ENGINE").output();
    said(&started.unwrap())
}

/// An engine of one test's own, to stop and start; it ends with the test. Its images are to be put on it first.
pub struct Own {
    pub engine: Engine,
    dir: tempfile::TempDir,
}

impl Own {
    pub fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("clawrden-engine-").tempdir().unwrap();
        // Made images are archives that every engine shares.
        let images = cache().join("images");
        fs::create_dir_all(&images).unwrap();
        std::os::unix::fs::symlink(images, dir.path().join("images")).unwrap();
        let engine = Self::begin(dir.path());
        Self { engine, dir }
    }

    fn begin(dir: &Path) -> Engine {
        let _used = Some(hold(dir));
        let started = Self::script(dir, "engine").arg("start").output().unwrap();
        Engine { address: said(&started), _used }
    }

    /// The same, with the containers that it had.
    pub fn restart_with_containers(&mut self) {
        let dir = self.dir.path();
        let _used = Some(hold(dir));
        let started =
            Self::script(dir, "engine").arg("start").env("CLAWRDEN_TEST_KEEP", "1").output();
        self.engine = Engine { address: said(&started.unwrap()), _used };
    }

    /// Ends the daemon as a crash would; its containers run on.
    pub fn kill(&mut self) {
        let pid = rustix::process::Pid::from_raw(self.pid()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        super::until("the engine to be gone", || {
            (!Path::new(&format!("/proc/{}", pid.as_raw_nonzero())).exists()).then_some(())
        });
    }

    fn script(dir: &Path, name: &str) -> Command {
        let mut command = script(name);
        command.env("CLAWRDEN_TEST_CACHE", dir).env("CLAWRDEN_TEST_RUN", dir);
        command.env_remove("CLAWRDEN_TEST_ENGINE");
        command
    }

    /// The pid of the daemon.
    pub fn pid(&self) -> i32 {
        let file = self.dir.path().join("engine/docker.pid");
        fs::read_to_string(file).unwrap().trim().parse().unwrap()
    }

    /// Ends the daemon, and its containers with it.
    pub fn stop(&mut self) {
        self.engine._used = None;
        let stopped = Self::script(self.dir.path(), "engine").arg("stop").output().unwrap();
        said(&stopped);
    }

    /// Starts it again at the same address, on the same data.
    pub fn restart(&mut self) {
        self.engine = Self::begin(self.dir.path());
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.stop();
    }
}

fn cache() -> PathBuf {
    std::env::var_os("CLAWRDEN_TEST_CACHE")
        .map_or_else(|| PathBuf::from("/var/cache/clawrden-tests"), PathBuf::from)
}

fn script(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts").join(name))
}

/// The last line that a script printed.
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().last().unwrap_or_default().to_owned()
}

impl Engine {
    /// One that goes by itself.
    pub fn at(address: String) -> Self {
        Self { address, _used: None }
    }

    /// Docker's client for this engine.
    pub fn docker(&self) -> Command {
        // Debian's first: another program of that name may come before it on PATH.
        let debians = Path::new("/usr/bin/docker");
        let mut docker = Command::new(if debians.exists() { debians } else { Path::new("docker") });
        docker.env("DOCKER_HOST", &self.address).stdin(Stdio::null());
        docker
    }

    /// What the client prints for these words, which must succeed.
    pub fn say(&self, words: &[&str]) -> String {
        let output = self.docker().args(words).output().unwrap();
        assert!(output.status.success(), "docker {words:?}: {}", text(&output.stderr));
        text(&output.stdout).trim_end().to_owned()
    }

    /// The reference of one of [`IMAGES`], which is made if it is not there.
    pub fn image(&self, name: &str) -> String {
        said(&self.images(name))
    }

    /// The same, of one that cannot be had everywhere; without it, it says why.
    pub fn try_image(&self, name: &str) -> Option<String> {
        let output = self.images(name);
        if !output.status.success() {
            eprintln!("not tried: {}", text(&output.stderr).trim_end());
            return None;
        }
        Some(said(&output))
    }

    fn images(&self, name: &str) -> Output {
        script("images").arg(name).env("DOCKER_HOST", &self.address).output().unwrap()
    }

    /// A container to be started from one of [`IMAGES`].
    pub fn container(&self, image: &str) -> Spec<'_> {
        let reference = self.image(image);
        let mut spec = Spec { engine: self, options: Vec::new(), reference, words: Vec::new() };
        spec.words = match image {
            "distroless" => vec!["python3", "-c", "import signal; signal.pause()"],
            _ => vec!["sleep", "1000000"],
        }
        .into_iter()
        .map(str::to_owned)
        .collect();
        // An init, as the first process is nobody's parent by trade and ignores signals.
        spec.option("--init").option("--label").option(&format!("{LABEL}={}", std::process::id()))
    }

    /// The same, from any image that the engine has.
    pub fn container_of(&self, reference: &str) -> Spec<'_> {
        let spec = Spec {
            engine: self,
            options: Vec::new(),
            reference: reference.to_owned(),
            words: Vec::new(),
        };
        spec.option("--label").option(&format!("{LABEL}={}", std::process::id()))
    }

    /// The ids of all containers that carry this label, whatever their state.
    pub fn labelled(&self, label: &str) -> Vec<String> {
        let ids = self.say(&["ps", "-aq", "--no-trunc", "--filter", &format!("label={label}")]);
        ids.lines().map(str::to_owned).collect()
    }
}

/// A container that is not started yet. Unless it is given words, it sleeps.
pub struct Spec<'e> {
    engine: &'e Engine,
    options: Vec<String>,
    reference: String,
    words: Vec<String>,
}

impl<'e> Spec<'e> {
    /// Any word of `docker create`.
    pub fn option(mut self, word: &str) -> Self {
        self.options.push(word.to_owned());
        self
    }

    /// A folder or file of the host, at a place inside.
    pub fn mount(self, host: &Path, inside: &str) -> Self {
        let words = format!("{}:{inside}", host.display());
        self.option("-v").option(&words)
    }

    /// The same, read-only.
    pub fn mount_read_only(self, host: &Path, inside: &str) -> Self {
        self.mount(host, &format!("{inside}:ro"))
    }

    pub fn label(self, name: &str, value: &str) -> Self {
        self.option("--label").option(&format!("{name}={value}"))
    }

    /// `UID` or `UID:GID`.
    pub fn user(self, user: &str) -> Self {
        self.option("--user").option(user)
    }

    pub fn env(self, name: &str, value: &str) -> Self {
        self.option("--env").option(&format!("{name}={value}"))
    }

    /// What the container runs, instead of sleeping.
    pub fn command(mut self, words: &[&str]) -> Self {
        self.words = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Creates and starts it.
    pub fn start(self) -> Container<'e> {
        let container = self.create();
        container.engine.say(&["start", &container.id]);
        container
    }

    /// Creates it without starting it.
    pub fn create(self) -> Container<'e> {
        let mut docker = self.engine.docker();
        docker.arg("create").args(&self.options).arg(&self.reference).args(&self.words);
        let output = docker.output().unwrap();
        Container { engine: self.engine, id: said(&output) }
    }
}

/// A container that goes with the test.
pub struct Container<'e> {
    pub engine: &'e Engine,
    /// All 64 digits.
    pub id: String,
}

impl Container<'_> {
    /// `docker exec` of these words; without standard input.
    pub fn exec(&self, words: &[&str]) -> Command {
        self.exec_with(&[], words)
    }

    /// The same, with options such as `-i`, `-t`, `-u USER`, `-w DIR` and `-e NAME=VALUE`.
    pub fn exec_with(&self, options: &[&str], words: &[&str]) -> Command {
        let mut docker = self.engine.docker();
        docker.arg("exec").args(options).arg(&self.id).args(words);
        docker
    }

    /// What a shell in it does with this script.
    pub fn sh(&self, script: &str) -> Output {
        self.exec(&["sh", "-c", script]).output().unwrap()
    }

    /// What it printed on both outputs.
    pub fn logs(&self) -> String {
        let output = self.engine.docker().args(["logs", &self.id]).output().unwrap();
        text(&output.stdout) + &text(&output.stderr)
    }

    pub fn inspect(&self) -> Value {
        let all: Value =
            serde_json::from_str(&self.engine.say(&["inspect", "--type=container", &self.id]))
                .unwrap();
        all[0].clone()
    }

    /// The pid of its first process on the host.
    pub fn pid(&self) -> u32 {
        u32::try_from(self.inspect()["State"]["Pid"].as_u64().unwrap()).unwrap()
    }

    /// Waits for its end, and gives its exit code.
    pub fn wait(&self) -> i32 {
        self.engine.say(&["wait", &self.id]).parse().unwrap()
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the container's log ---\n{}", self.logs());
        }
        let _ = self.engine.docker().args(["rm", "-f", "-v", &self.id]).output();
    }
}
