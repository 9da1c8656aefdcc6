//! What governing costs in a container, beside the same container without, and what the engine's own commands cost.

use std::cell::RefCell;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::engine::{Container, Engine, Spawner};
use crate::house::{Bench, House, PATIENCE, run};
use crate::pairs::{Rounds, Spread, alternate};
use crate::report::{Budget, Report, Row, Unit};
use crate::streams::read_rate;

/// Where this program is in a prison.
const SELF: &str = "/bench";
/// The prisoner's user where it must not be root.
const USER: u32 = 1000;
/// Bytes of the file that is read several times: small enough to stay in memory.
const FILE: usize = 64 * 1024 * 1024;

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Outcome<()> {
    match Engine::get() {
        Ok(engine) => {
            report.group("one command in a container", in_place(bench, &engine)?);
            let mut rows = by_exec(bench, &engine)?;
            let (started, carried) = ghosts(bench, &engine)?;
            rows.extend(started);
            report.group("one command by the engine", rows);
            report.group("1024 MiB out of a container", carried);
        }
        Err(why) => {
            let row = Row::skipped("everything in containers", why.to_string());
            report.group("one command in a container", vec![row]);
        }
    }
    Ok(())
}

/// A container with shims and the jail's folder, its warden, and this program inside.
struct Prison<'e> {
    inside: RefCell<Spawner>,
    container: Container<'e>,
    house: House,
}

impl<'e> Prison<'e> {
    /// One under this policy, whose jail has `jail` besides its tools; with these options for the container, and for
    /// what runs in it.
    fn new(
        bench: &Bench,
        engine: &'e Engine,
        name: &str,
        (policy, jail): (&str, &str),
        (options, inside): (&[&str], &[&str]),
    ) -> Outcome<Self> {
        let policy = format!("{policy}jails:\n  box: {{commands: ['true', sh, cat]{jail}}}\n");
        let house = bench.house_with(name, &policy, &["--engine", engine.address()])?;
        let at = |place: &str| bench.dir().join(name).join(place).display().to_string();
        // It listens before it has made its jails.
        let start = Instant::now();
        while UnixStream::connect(at("jails/box/warden.sock")).is_err() {
            if start.elapsed() > PATIENCE {
                return Err("the warden does not make its jail".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let mounts = [
            format!("-v{}:/run/clawrden:ro", at("jails/box")),
            format!("-v{}:/clawrden/bin:ro", at("clawrden/jails/box/bin")),
            format!("-v{}:{SELF}:ro", std::env::current_exe()?.display()),
        ];
        let mounts = mounts.iter().map(String::as_str);
        let options: Vec<&str> = mounts.chain(options.iter().copied()).collect();
        // The newest C library: this program was linked with the host's.
        let container = engine.container("debian13", &options)?;
        let inside = RefCell::new(Spawner::start(&container, inside, SELF)?);
        Ok(Self { inside, container, house })
    }

    /// Runs these words inside; microseconds.
    fn run(&self, words: &[&str]) -> Outcome<f64> {
        self.inside.borrow_mut().run(words)
    }

    /// The row, and how much of the time the warden works.
    fn rows(
        &self,
        what: String,
        rounds: Rounds,
        native: impl FnMut() -> Outcome<f64>,
        ours: &[&str],
    ) -> Outcome<[Row; 2]> {
        let (before, mut runs) = (self.house.used(), 0.0);
        let governed = || {
            runs += 1.0;
            self.run(ours)
        };
        let pair = alternate(rounds, native, governed)?;
        if self.house.ledger_bytes() == 0 {
            return Err("the ledger stayed empty, so nothing was governed".into());
        }
        let used = Spread::only((self.house.used() - before) / runs);
        let work = Row::value("  the warden's processor time for it", Unit::Micros, used);
        Ok([Row::pair(what, Unit::Micros, &pair), work])
    }
}

/// A tool by way of its shim, beside the same tool in the same container.
fn in_place(bench: &Bench, engine: &Engine) -> Outcome<Vec<Row>> {
    let policy = "default_action: allow\n";
    let prison = Prison::new(bench, engine, "handoff", (policy, ""), (&[], &[]))?;
    let (rounds, shell) = (bench.rounds(20, 25), ["-c", ":"]);
    let native = || prison.run(&["/usr/bin/true"]);
    let what = "true, mirror by handoff".to_owned();
    let [first, work] = prison.rows(what, rounds, native, &["/clawrden/bin/true"])?;
    let native = || prison.run(&["/usr/bin/sh", shell[0], shell[1]]);
    let what = "sh -c :, mirror by handoff".to_owned();
    let ours = ["/clawrden/bin/sh", shell[0], shell[1]];
    let [second, _] = prison.rows(what, rounds, native, &ours)?;
    Ok(vec![first.budget(Budget::RatioUpTo(1.5)), work, second])
}

/// How often where each run is some tenths of a second.
fn slow(bench: &Bench) -> Rounds {
    bench.rounds(10, 5)
}

/// Mirror by exec, beside the client's `docker exec` in the same container.
fn by_exec(bench: &Bench, engine: &Engine) -> Outcome<Vec<Row>> {
    let policy =
        "default_action: deny\nrules:\n  - {command: '*', action: allow, supervised: true}\n";
    let prison = Prison::new(bench, engine, "exec", (policy, ""), (&[], &[]))?;
    let mut exec = prison.container.exec(&[], &["true"])?;
    let what = "true, mirror by exec, beside docker exec".to_owned();
    let native = || run(&mut exec);
    let [row, work] = prison.rows(what, slow(bench), native, &["/clawrden/bin/true"])?;
    Ok(vec![row.budget(Budget::RatioUpTo(1.1)), work])
}

/// A ghost, beside the client's `docker run --rm` of the same image; and what either prints.
fn ghosts(bench: &Bench, engine: &Engine) -> Outcome<(Vec<Row>, Vec<Row>)> {
    let (work, image) = (workspace(bench)?, engine.image("alpine")?);
    let policy = format!(
        "default_action: deny\nghost_images: {{'*': '{image}'}}\nrules:\n  - {{command: '*', action: allow, executor: ghost}}\n"
    );
    let (mount, user) = (format!("-v{}:/work", work.display()), USER.to_string());
    let jail = ", workspace: [/work]";
    let options: (&[&str], &[&str]) = (&[&mount], &["-u", &user, "-w", "/work"]);
    let prison = Prison::new(bench, engine, "ghost", (&policy, jail), options)?;
    let docker = |words: &[&str]| {
        // Nothing keeps what it prints: that would only slow it down.
        let own = ["run", "--rm", "--log-driver=none", "--network=none", &mount, "-w/work", "-u"];
        let mut docker = engine.docker()?;
        docker.args(own).args([&user, &image]).args(words).stderr(Stdio::null());
        Outcome::Ok(docker)
    };
    let mut native = docker(&["true"])?;
    let what = "true, ghost, beside docker run --rm".to_owned();
    let native = || run(&mut native);
    let [row, used] = prison.rows(what, slow(bench), native, &["/clawrden/bin/true"])?;
    let started = vec![row.budget(Budget::RatioUpTo(1.1)), used];

    let files = ["load"; 16];
    let (native, ours) =
        ([&["cat"], &files[..]].concat(), [&["/clawrden/bin/cat"], &files[..]].concat());
    let bytes = files.len() * FILE;
    let pair = alternate(
        Rounds { turns: if bench.quick() { 2 } else { 5 }, runs: 1 },
        || read_rate(bytes, docker(&native)?),
        || prison.inside.borrow_mut().read(bytes, &ours),
    )?;
    let row = Row::pair("stdout, ghost, beside docker run", Unit::MegabytesPerSecond, &pair);
    Ok((started, vec![row.budget(Budget::RatioFrom(0.9))]))
}

/// A folder of the prisoner's, with a file to be read.
fn workspace(bench: &Bench) -> Outcome<PathBuf> {
    let work = bench.dir().join("work");
    std::fs::create_dir(&work)?;
    std::fs::set_permissions(&work, std::fs::Permissions::from_mode(0o755))?;
    let load = work.join("load");
    std::fs::write(&load, (0..FILE).map(|n| (n % 251).to_le_bytes()[0]).collect::<Vec<u8>>())?;
    for path in [&work, &load] {
        chown(path, Some(USER), Some(USER))?;
    }
    Ok(work)
}
