//! The container engine that is measured against: that of the tests, which `scripts/engine` starts.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::Outcome;
use crate::house::{find, run};
use crate::streams::read_rate;

/// Where the engine counts its users; only root has an engine of its own.
const USERS: &str = "/run/clawrden-tests/engine/users";

/// An engine that answers.
pub(crate) struct Engine {
    address: String,
    /// It goes on while this is held.
    _used: Option<File>,
}

impl Engine {
    /// Finds or starts it.
    pub(crate) fn get() -> Outcome<Self> {
        last_line(&mut script("engine", &["start"]))?;
        let used = File::options().write(true).create(true).truncate(false).open(USERS).ok();
        if let Some(used) = &used {
            used.lock_shared()?;
        }
        // It may have ended between the two.
        let address = last_line(&mut script("engine", &["start"]))?;
        Ok(Self { address, _used: used })
    }

    /// Such as `unix:///run/clawrden-tests/engine/docker.sock`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The reference of an image, which is made if it is not there.
    pub(crate) fn image(&self, name: &str) -> Outcome<String> {
        last_line(script("images", &[name]).env("DOCKER_HOST", &self.address))
    }

    /// Docker's client.
    pub(crate) fn docker(&self) -> Outcome<Command> {
        // Debian's first: another program of that name may come before it on PATH.
        let debians = PathBuf::from("/usr/bin/docker");
        let mut docker = Command::new(if debians.exists() { debians } else { find("docker")? });
        docker.env("DOCKER_HOST", &self.address).stdin(Stdio::null());
        Ok(docker)
    }

    /// A sleeping container of `image`, with these options of `docker create`.
    pub(crate) fn container(&self, image: &str, options: &[&str]) -> Outcome<Container<'_>> {
        let image = self.image(image)?;
        let mut create = self.docker()?;
        create.args(["create", "--init"]).args(options).args([&image, "sleep", "1000000"]);
        let container = Container { engine: self, id: last_line(&mut create)? };
        last_line(self.docker()?.args(["start", &container.id]))?;
        Ok(container)
    }
}

/// A container that is removed when this is dropped.
pub(crate) struct Container<'e> {
    pub(crate) engine: &'e Engine,
    pub(crate) id: String,
}

impl Container<'_> {
    /// `docker exec` with these options and words.
    pub(crate) fn exec(&self, options: &[&str], words: &[&str]) -> Outcome<Command> {
        let mut docker = self.engine.docker()?;
        docker.arg("exec").args(options).arg(&self.id).args(words);
        Ok(docker)
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let Ok(mut docker) = self.engine.docker() else { return };
        let _ = docker.args(["rm", "-f", "-v", &self.id]).output();
    }
}

fn script(name: &str, words: &[&str]) -> Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts");
    let mut command = Command::new(scripts.join(name));
    command.args(words).stdin(Stdio::null());
    command
}

/// What a command printed last; what it complained of where it failed.
fn last_line(command: &mut Command) -> Outcome<String> {
    let output = command.output()?;
    let last =
        |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().last().unwrap_or_default().to_owned();
    if output.status.success() {
        Ok(last(&output.stdout))
    } else {
        Err(last(&output.stderr).into())
    }
}

/// A copy of this program inside a container, which starts programs there and says how long each took: whatever it
/// takes to reach it is not measured.
pub(crate) struct Spawner {
    child: Child,
    words: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Spawner {
    /// Starts it, with these options of `docker exec`, in a container that has this program at `place`.
    pub(crate) fn start(container: &Container<'_>, options: &[&str], place: &str) -> Outcome<Self> {
        let mut exec = container.exec(&[&["-i"], options].concat(), &[place, "--spawner"])?;
        let mut child = exec.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (words, answers) = (child.stdin.take(), child.stdout.take());
        let missing = "the spawner has no streams";
        Ok(Self {
            child,
            words: words.ok_or(missing)?,
            answers: BufReader::new(answers.ok_or(missing)?),
        })
    }

    /// Runs these words in the container; microseconds.
    pub(crate) fn run(&mut self, words: &[&str]) -> Outcome<f64> {
        self.ask("run", words)
    }

    /// Runs these words in the container and reads what they print, which must be so many bytes; megabytes a second.
    pub(crate) fn read(&mut self, bytes: usize, words: &[&str]) -> Outcome<f64> {
        self.ask(&bytes.to_string(), words)
    }

    fn ask(&mut self, what: &str, words: &[&str]) -> Outcome<f64> {
        self.words.write_all(format!("{what}\t{}\n", words.join("\t")).as_bytes())?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        answer.trim().parse().map_err(|_| format!("{words:?} in the container: {answer}").into())
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What [`Spawner`] talks with, inside. A line is `run`, or how many bytes are to be read, and words, separated by
/// tabs; the answer is a number, or what went wrong.
pub(crate) fn serve_spawner() -> Outcome<()> {
    let mut out = std::io::stdout();
    for line in std::io::stdin().lines() {
        match answer(&line?) {
            Ok(number) => writeln!(out, "{number}")?,
            Err(why) => writeln!(out, "{}", why.to_string().replace('\n', " "))?,
        }
        out.flush()?;
    }
    Ok(())
}

fn answer(line: &str) -> Outcome<f64> {
    let mut words = line.split('\t');
    let what = words.next().unwrap_or_default();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null());
    if what == "run" { run(&mut command) } else { read_rate(what.parse()?, command) }
}
