//! The policy's decision by itself, for small and large policies.

use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

use clawrden_policy::{Facts, Layer, MAX_POLICY_BYTES, Policy, Source};

use crate::Outcome;
use crate::house::Bench;
use crate::pairs::Spread;
use crate::report::{Budget, Report, Row, Unit};

/// Tools that rules are about, besides numbered ones.
const TOOLS: [&str; 12] = [
    "git",
    "npm",
    "rm",
    "docker",
    "kubectl",
    "terraform",
    "pip",
    "cargo",
    "curl",
    "aws",
    "psql",
    "make",
];
/// How many tools a large policy is about.
const DISTINCT: usize = 300;
/// Every so many rules one names its tools by a glob, which no index by name finds.
const GLOB_EVERY: usize = 100;

/// Commands that are judged. The first three are about by many rules; the last by none.
const COMMANDS: [&[&str]; 5] = [
    &["git", "status", "--short"],
    &["npm", "install", "--save-dev", "left-pad"],
    &["rm", "-rf", "build/output"],
    &["kubectl", "get", "pods", "-n", "prod"],
    &["frobnicate", "--all"],
];

/// What agents run all day, for the policy that comes along.
const DAILY: [&[&str]; 16] = [
    &["ls", "-la", "src"],
    &["cat", "README.md"],
    &["grep", "-rn", "main", "src"],
    &["find", ".", "-name", "*.rs"],
    &["sed", "-n", "1,40p", "src/main.rs"],
    &["git", "status", "--short"],
    &["git", "log", "--oneline", "-5"],
    &["git", "commit", "-m", "Say what changed"],
    &["git", "push", "origin", "main"],
    &["npm", "run", "build"],
    &["npm", "install", "left-pad"],
    &["cargo", "test", "--workspace"],
    &["python3", "-m", "pytest", "tests"],
    &["docker", "ps"],
    &["kubectl", "get", "pods"],
    &["curl", "https://example.com/"],
];

/// Commands that run one of those, or several.
const WRAPPED: [&[&str]; 6] = [
    &["env", "CI=1", "git", "status", "--short"],
    &["timeout", "-k", "5", "1m", "nice", "-n", "5", "npm", "install", "left-pad"],
    &["sudo", "-n", "rm", "-rf", "build/output"],
    &["xargs", "-0", "git", "add"],
    &["find", ".", "-name", "*.o", "-exec", "rm", "-f", "{}", ";"],
    &["sh", "-c", "cd src && git status --short | grep x; npm test > out.txt"],
];

/// One command in four others, and a line of five.
const DEEP: &[&str] = &["sudo", "env", "A=1", "timeout", "5", "nice", "git", "push"];
const LINE: &[&str] = &[
    "sh",
    "-c",
    "cd src && git fetch origin; npm test | tee log.txt && git push origin main || echo failed",
];

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let mut rows = Vec::new();
    for count in [10, 1000, 10_000] {
        let row = judged(
            bench,
            format!("{count} rules, slowest of {} commands", COMMANDS.len()),
            &rules(count),
            &COMMANDS,
        )?;
        rows.push(if count == 10_000 { row.budget(Budget::UpTo(10_000.0)) } else { row });
    }
    rows.push(judged(
        bench,
        "10000 rules about git alone".to_owned(),
        &rules_about("git", 10_000),
        &COMMANDS,
    )?);
    let what = format!("10000 rules, slowest of {} commands that run others", WRAPPED.len());
    rows.push(judged(bench, what, &rules(10_000), &WRAPPED)?.budget(Budget::UpTo(30_000.0)));
    for (what, yaml) in
        [("", structured(10_000)), (" about git alone", structured_about_git(10_000))]
    {
        let what = format!("10000 structured rules{what}");
        rows.push(judged(bench, what, &yaml, &COMMANDS)?.budget(Budget::UpTo(10_000.0)));
    }
    for (what, words) in
        [("sudo env A=1 timeout 5 nice git push", DEEP), ("a shell line of five commands", LINE)]
    {
        for (kind, yaml) in [("", rules(10_000)), (" structured", structured(10_000))] {
            let row = judged(bench, format!("10000{kind} rules, {what}"), &yaml, &[words])?;
            rows.push(row.budget(Budget::UpTo(30_000.0)));
        }
    }
    let what = format!("the stock policy, slowest of {} commands", DAILY.len());
    let Extremes { slowest, command, fastest } = extremes(bench, &Policy::stock(), &DAILY);
    let row = Row::value(what, Unit::Nanos, slowest).budget(Budget::UpTo(10_000.0));
    rows.push(row.note(format!("`{command}`; fastest {fastest:.0} ns")));
    report.group("the policy's decision", rows);
    Ok(())
}

/// The spread is that of the command that takes longest.
fn judged(bench: &Bench, what: String, files: &[String], commands: &[&[&str]]) -> Outcome<Row> {
    let start = Instant::now();
    let policy = loaded(files)?;
    let loading = start.elapsed().as_secs_f64() * 1e3;
    let Extremes { slowest, fastest, .. } = extremes(bench, &policy, commands);
    Ok(Row::value(what, Unit::Nanos, slowest)
        .note(format!("fastest {fastest:.0} ns; loads in {loading:.1} ms")))
}

/// Of several commands.
struct Extremes {
    slowest: Spread,
    /// Which one that is.
    command: String,
    /// The median of the fastest, in nanoseconds.
    fastest: f64,
}

fn extremes(bench: &Bench, policy: &Policy, commands: &[&[&str]]) -> Extremes {
    let each = commands.iter().map(|words| (nanos(bench, policy, words), words.join(" ")));
    let mut each: Vec<(Spread, String)> = each.collect();
    each.sort_by(|a, b| a.0.median.total_cmp(&b.0.median));
    let fastest = each.first().map_or(0.0, |(spread, _)| spread.median);
    let (slowest, command) = each.pop().unwrap_or((Spread::only(0.0), String::new()));
    Extremes { slowest, command, fastest }
}

fn nanos(bench: &Bench, policy: &Policy, words: &[&str]) -> Spread {
    let argv: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    let path = format!("/usr/bin/{}", words[0]);
    let facts = Facts {
        jail: "default",
        name: argv[0],
        path: Some(path.as_bytes()),
        tool: Some(argv[0]),
        argv: &argv,
        cwd: Some(b"/home/user/project"),
        uid: Some(1000),
        gid: Some(1000),
        changed_env: &[],
        ..Facts::default()
    };
    let (samples, runs) = if bench.quick() { (20, 50) } else { (100, 100) };
    let sample = || {
        let start = Instant::now();
        for _ in 0..runs {
            let _ = black_box(policy.decide(black_box(&facts)));
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(runs)
    };
    Spread::of((0..samples).map(|_| sample()).collect())
}

/// A policy of `count` rules as a large team would have it: many tools, a few dozen rules about each.
pub(crate) fn rules(count: usize) -> Vec<String> {
    files(count, |yaml, n| {
        if n % GLOB_EVERY == GLOB_EVERY - 1 {
            let _ = writeln!(yaml, "  - {{command: \"vendor{n}-*\", action: ask}}");
        } else {
            put_rule(yaml, &tool(n), n);
        }
    })
}

fn rules_about(tool: &str, count: usize) -> Vec<String> {
    files(count, |yaml, n| put_rule(yaml, tool, n))
}

/// The same in the structured form, each key of it in some of them.
pub(crate) fn structured(count: usize) -> Vec<String> {
    files(count, |yaml, n| put_structured(yaml, &tool(n), n))
}

fn structured_about_git(count: usize) -> Vec<String> {
    files(count, |yaml, n| put_structured(yaml, "git", n))
}

fn tool(n: usize) -> String {
    let at = n % DISTINCT;
    TOOLS.get(at).map_or_else(|| format!("tool-{at}"), |&name| name.to_owned())
}

/// As many files as so many rules need: a policy, and further rules.
fn files(count: usize, put: impl Fn(&mut String, usize)) -> Vec<String> {
    let mut files = vec![String::from("default_action: ask\nrules:\n")];
    for n in 0..count {
        let mut rule = String::new();
        put(&mut rule, n);
        let is_full = |file: &&mut String| (file.len() + rule.len()) as u64 > MAX_POLICY_BYTES;
        match files.last_mut().filter(|file| !is_full(file)) {
            Some(file) => file.push_str(&rule),
            None => files.push(format!("rules:\n{rule}")),
        }
    }
    files
}

/// The policy of these files.
pub(crate) fn loaded(files: &[String]) -> Outcome<Policy> {
    let layers = std::iter::once(Layer::Host).chain(std::iter::repeat(Layer::Rules));
    let sources = layers.zip(files).enumerate();
    let sources: Vec<Source> = sources
        .map(|(n, (layer, text))| Source::new(layer, format!("bench{n}.yaml"), text.clone()))
        .collect();
    Ok(Policy::from_sources(&sources)?)
}

fn put_structured(yaml: &mut String, tool: &str, n: usize) {
    let args = match n % 3 {
        0 => format!(
            "subcommand: verb{n}, flags: {{only: [-a, --all], none: [--force]}}, operands: {{max: 3}}"
        ),
        1 => format!("subcommand: [verb{n}, noun{n}], inside: [., /srv/app{n}]"),
        _ => {
            format!("flags: {{any: [--config{n}, -x]}}, operands: {{any: [\"conf{n}*\", verb{n}]}}")
        }
    };
    let action = ["allow", "ask", "deny"][n % 3];
    let _ = writeln!(
        yaml,
        "  - {{command: {tool}, args: {{{args}}}, action: {action}, reason: \"rule {n}\"}}"
    );
}

fn put_rule(yaml: &mut String, tool: &str, n: usize) {
    let args = match n % 3 {
        0 => format!("[\"verb{n} --force\", \"verb{n} -f ...\"]"),
        1 => format!("[\"verb{n} /srv/app{n}/*\"]"),
        _ => format!("[\"--config=conf{n} verb -*\"]"),
    };
    let action = ["allow", "ask", "deny"][n % 3];
    // A string takes what is written; it cannot fail.
    let _ = writeln!(
        yaml,
        "  - {{command: {tool}, args: {args}, action: {action}, reason: \"rule {n}\"}}"
    );
}
