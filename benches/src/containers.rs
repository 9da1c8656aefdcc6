//! What governing costs in a container, beside the same container without.

use std::cell::RefCell;

use crate::Outcome;
use crate::engine::{Container, Engine, Spawner};
use crate::house::{Bench, House};
use crate::pairs::{Spread, alternate};
use crate::report::{Budget, Report, Row, Unit};

/// Every command runs in the prisoner, by handoff.
const HANDOFF: &str = "default_action: allow\n";

/// Where this program is in a prison.
const SELF: &str = "/bench";

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let rows = match Engine::get() {
        Ok(engine) => rows(bench, &engine)?,
        Err(why) => vec![Row::skipped("everything in containers", why.to_string())],
    };
    report.group("one command in a container", rows);
    Ok(())
}

fn rows(bench: &Bench, engine: &Engine) -> Outcome<Vec<Row>> {
    let prison = Prison::new(bench, engine, "containers-handoff", HANDOFF, &[])?;
    let mut rows = handoff(bench, &prison, "true", &[], Some(1.5))?;
    rows.extend(handoff(bench, &prison, "sh", &["-c", ":"], None)?);
    prison.was_governed()?;
    Ok(rows)
}

/// A container with shims and the jail's folder, its warden, and this program inside.
struct Prison<'e> {
    // The container goes before its warden does.
    inside: RefCell<Spawner>,
    _container: Container<'e>,
    house: House,
}

impl<'e> Prison<'e> {
    /// One under this policy, which has no `jails` of its own.
    fn new(
        bench: &Bench,
        engine: &'e Engine,
        name: &str,
        policy: &str,
        options: &[&str],
    ) -> Outcome<Self> {
        let policy = format!("{policy}jails:\n  box: {{commands: ['true', sh, cat]}}\n");
        let house = bench.house_with(name, &policy, &[])?;
        let at = |place: &str| bench.dir().join(name).join(place).display().to_string();
        let mounts = [
            format!("-v{}:/run/clawrden:ro", at("jails/box")),
            format!("-v{}:/clawrden/bin:ro", at("clawrden/jails/box/bin")),
            format!("-v{}:{SELF}:ro", std::env::current_exe()?.display()),
        ];
        let mounts = mounts.iter().map(String::as_str);
        let options: Vec<&str> = mounts.chain(options.iter().copied()).collect();
        // The newest C library: this program was linked with the host's.
        let container = engine.container("debian13", &options)?;
        let inside = RefCell::new(Spawner::start(&container, SELF)?);
        Ok(Self { inside, _container: container, house })
    }

    /// Runs these words inside, in microseconds; without shims, unless they are called by their place.
    fn run(&self, words: &[&str]) -> Outcome<f64> {
        self.inside.borrow_mut().run(words)
    }

    fn was_governed(&self) -> Outcome<()> {
        match self.house.ledger_bytes() {
            0 => {
                Err("the ledger stayed empty, so this was no measurement of governed commands"
                    .into())
            }
            _ => Ok(()),
        }
    }
}

/// A tool by way of its shim, beside the same tool in the same container.
fn handoff(
    bench: &Bench,
    prison: &Prison<'_>,
    tool: &str,
    args: &[&str],
    budget: Option<f64>,
) -> Outcome<Vec<Row>> {
    let paths = [format!("/usr/bin/{tool}"), format!("/clawrden/bin/{tool}")];
    let [native, ours] = paths.each_ref().map(|path| [&[path.as_str()], args].concat());
    let (before, mut runs) = (prison.house.used(), 0.0);
    let rounds = bench.rounds(20, 25);
    let pair = alternate(
        rounds,
        || prison.run(&native),
        || {
            runs += 1.0;
            prison.run(&ours)
        },
    )?;
    let used = (prison.house.used() - before) / runs;
    let what = [&[tool], args].concat().join(" ");
    let row = Row::pair(format!("{what}, mirror by handoff"), Unit::Micros, &pair);
    Ok(match budget {
        None => vec![row],
        Some(most) => vec![
            row.budget(Budget::RatioUpTo(most)),
            Row::value("  the warden's processor time for it", Unit::Micros, Spread::only(used)),
        ],
    })
}
