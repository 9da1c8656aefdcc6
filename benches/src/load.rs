//! How long a policy takes to load, and inputs of one megabyte that are made to be slow.

use std::hint::black_box;
use std::time::Instant;

use clawrden_policy::{Facts, Policy};

use crate::house::Bench;
use crate::pairs::Spread;
use crate::report::{Budget, Report, Row, Unit};
use crate::{Outcome, decide, worst};

/// What judges the lines: a rule of each form.
const RULES: &str = "default_action: ask\nrules:\n\
    - {command: rm, args: [\"-rf /\"], action: deny}\n\
    - {command: git, args: {subcommand: push, flags: {any: [-f]}}, action: deny}\n\
    - {command: [ls, echo, cat, sh, bash, zsh], action: allow}\n";
/// Tools that get the lines as one argument, or as many: those whose arguments are read for commands.
const TOOLS: [&str; 12] = [
    "sudo", "env", "xargs", "find", "git", "rm", "tar", "sed", "awk", "parallel", "busybox",
    "other",
];

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let rounds = if bench.quick() { 1 } else { 5 };
    let mut rows = Vec::new();
    for (what, files) in
        [("rules", decide::rules(10_000)), ("structured rules", decide::structured(10_000))]
    {
        decide::loaded(&files)?;
        let spread = millis(rounds.max(3), || decide::loaded(&files).is_ok());
        let row = Row::value(format!("10000 {what}"), Unit::Millis, spread);
        let bytes: usize = files.iter().map(String::len).sum();
        let note = format!("{bytes} bytes in {} files", files.len());
        rows.push(row.budget(Budget::UpTo(200.0)).note(note));
    }
    let policies: Vec<(String, bool, Spread)> = worst::policies()
        .into_iter()
        .map(|(what, yaml)| {
            let loads = Policy::from_yaml("bench.yaml", &yaml).is_ok();
            let spread = millis(rounds, || Policy::from_yaml("bench.yaml", &yaml).is_ok());
            (what.to_owned(), loads, spread)
        })
        .collect();
    let megabyte: Vec<(String, Spread)> = worst::policies()
        .into_iter()
        .map(|(what, yaml)| {
            let fill = worst::SIZE.saturating_sub(yaml.len());
            let yaml = yaml + &" ".repeat(fill);
            (what.to_owned(), millis(rounds, || Policy::from_yaml("bench.yaml", &yaml).is_ok()))
        })
        .collect();
    rows.push(within(slowest("1 MB of YAML", megabyte)));
    for (told, wanted) in [("is refused", false), ("loads", true)] {
        let of = policies.iter().filter(|(_, loads, _)| *loads == wanted);
        let of = of.map(|(what, _, spread)| (what.clone(), *spread)).collect();
        rows.push(slowest(&format!("the largest file, one that {told}"), of));
    }
    report.group("loading a policy", rows);

    let policy = Policy::from_yaml("bench.yaml", RULES)?;
    let lines = worst::lines_of(worst::SIZE);
    let longest = worst::lines_of(worst::LINE);
    let rows = vec![
        within(slowest("a shell line of 1 MB", shells(&policy, &lines, rounds))),
        within(slowest("a shell line of 128 KiB", shells(&policy, &longest, rounds))),
        within(slowest("1 MB of arguments", arguments(&policy, &lines, rounds))),
    ];
    report.group("judging what is long", rows);
    Ok(())
}

fn shells(policy: &Policy, lines: &[(&str, String)], rounds: usize) -> Vec<(String, Spread)> {
    let of = |shell: &'static str| {
        lines.iter().map(move |(what, line)| {
            let argv = [shell.as_bytes(), b"-c", line.as_bytes()];
            (format!("{shell}, {what}"), judged(policy, &argv, rounds))
        })
    };
    ["sh", "bash", "zsh"].into_iter().flat_map(of).collect()
}

fn arguments(policy: &Policy, lines: &[(&str, String)], rounds: usize) -> Vec<(String, Spread)> {
    let of = |tool: &'static str| {
        lines.iter().flat_map(move |(what, line)| {
            let one = vec![tool.as_bytes(), line.as_bytes()];
            let parts = line.as_bytes().split(|byte| b" ;".contains(byte));
            let parts = parts.filter(|word| !word.is_empty());
            let many: Vec<&[u8]> = std::iter::once(tool.as_bytes()).chain(parts).collect();
            [("one", one), ("many", many)].map(|(how, argv)| {
                (format!("{tool}, {what}, {how}"), judged(policy, &argv, rounds))
            })
        })
    };
    TOOLS.into_iter().flat_map(of).collect()
}

fn judged(policy: &Policy, argv: &[&[u8]], rounds: usize) -> Spread {
    let name = argv.first().copied().unwrap_or_default();
    let path = [b"/usr/bin/", name].concat();
    let facts = Facts {
        name,
        path: Some(&path),
        tool: Some(name),
        argv,
        cwd: Some(b"/home/user/project"),
        uid: Some(1000),
        gid: Some(1000),
        ..Facts::default()
    };
    millis(rounds, || policy.decide(black_box(&facts)))
}

fn millis<T>(rounds: usize, run: impl Fn() -> T) -> Spread {
    let one = || {
        let start = Instant::now();
        black_box(run());
        start.elapsed().as_secs_f64() * 1e3
    };
    Spread::of((0..rounds).map(|_| one()).collect())
}

fn within(row: Row) -> Row {
    row.budget(Budget::UpTo(worst::WITHIN_MS))
}

/// The spread is that of the kind that takes longest.
fn slowest(what: &str, mut kinds: Vec<(String, Spread)>) -> Row {
    kinds.sort_by(|a, b| b.1.median.total_cmp(&a.1.median));
    let over = kinds.iter().filter(|(_, spread)| spread.median > worst::WITHIN_MS).count();
    let what = format!("{what}, slowest of {} kinds", kinds.len());
    let Some((kind, spread)) = kinds.first() else { return Row::skipped(what, "there is none") };
    let note = if over > 0 { format!("{kind}; {over} over") } else { kind.clone() };
    Row::value(what, Unit::Millis, *spread).note(note)
}
