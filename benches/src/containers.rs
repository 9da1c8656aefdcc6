//! What governing costs in a container, beside the same container without.

use crate::Outcome;
use crate::engine::{Engine, Spawner};
use crate::house::Bench;
use crate::pairs::{Spread, alternate};
use crate::report::{Budget, Report, Row, Unit};

/// Every command runs in the prisoner; the shims are those of one jail.
const POLICY: &str = "default_action: allow\njails:\n  box: {commands: ['true', sh, cat]}\n";

/// Where this program is in the container.
const SELF: &str = "/bench";

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let rows = match Engine::get() {
        Ok(engine) => handoff(bench, &engine)?,
        Err(why) => vec![Row::skipped("everything in containers", why.to_string())],
    };
    report.group("one command in a container", rows);
    Ok(())
}

/// A tool by way of its shim, beside the same tool in the same container.
fn handoff(bench: &Bench, engine: &Engine) -> Outcome<Vec<Row>> {
    let house = bench.house("containers", POLICY)?;
    let at = |place: &str| bench.dir().join("containers").join(place).display().to_string();
    let program = std::env::current_exe()?.display().to_string();
    let options = [
        format!("-v{}:/run/clawrden:ro", at("jails/box")),
        format!("-v{}:/clawrden/bin:ro", at("clawrden/jails/box/bin")),
        format!("-v{program}:{SELF}:ro"),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    // The newest C library: this program was linked with the host's.
    let container = engine.container("debian13", &options)?;
    let mut inside = Spawner::start(&container, SELF)?;
    let mut rows = Vec::new();
    for (tool, args, budget) in [("true", &[][..], Some(1.5)), ("sh", &["-c", ":"], None)] {
        let paths = [format!("/usr/bin/{tool}"), format!("/clawrden/bin/{tool}")];
        let [native, ours] = paths.each_ref().map(|path| [&[path.as_str()], args].concat());
        let (before, mut runs) = (house.used(), 0.0);
        // Both ask the one inside, in turn.
        let inside = std::cell::RefCell::new(&mut inside);
        let pair = alternate(
            bench.rounds(20, 25),
            || inside.borrow_mut().run(&native),
            || {
                runs += 1.0;
                inside.borrow_mut().run(&ours)
            },
        )?;
        let used = (house.used() - before) / runs;
        let what = [&[tool], args].concat().join(" ");
        let row = Row::pair(format!("{what}, mirror by handoff"), Unit::Micros, &pair);
        let Some(most) = budget else {
            rows.push(row);
            continue;
        };
        rows.push(row.budget(Budget::RatioUpTo(most)));
        let what = "  the warden's processor time for it";
        rows.push(Row::value(what, Unit::Micros, Spread::only(used)));
    }
    if house.ledger_bytes() == 0 {
        return Err(
            "the ledger stayed empty, so this was no measurement of governed commands".into()
        );
    }
    Ok(rows)
}
