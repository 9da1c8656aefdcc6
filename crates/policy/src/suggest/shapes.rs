//! Shapes: the rules that may be worth suggesting, each drawn from commands that people answered one way.
//! One place at most differs among the commands of a shape, and nothing is left open but files that lie together.

use std::collections::{BTreeMap, BTreeSet};

use super::past::History;
use super::plain;
use super::request::tool;
use crate::action::Action;
use crate::matchers::argv::Subcommand;
use crate::matchers::reader;
use crate::policy::Policy;

/// How many values make a place one that may differ.
const DISTINCT: usize = 3;
/// Most values that are listed.
const MAX_LISTED: usize = 32;

/// Any files in the working directory.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Alternatives {
    pub(super) sub: Option<String>,
    /// The flags as a pattern writes them, all of which have to be there.
    pub(super) flags: Vec<String>,
    /// How many at once.
    pub(super) most: usize,
}

/// What a rule takes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    /// One command.
    Exact,
    /// Files in the working directory.
    Files(Alternatives),
    /// Some commands that differ in one operand.
    Seen,
}

/// A rule that may be suggested.
pub(super) struct Candidate {
    pub(super) action: Action,
    pub(super) shape: Shape,
    /// The commands that it is drawn from, in the order of the history.
    pub(super) commands: Vec<usize>,
}

impl Candidate {
    /// Answers of people that it would have given.
    pub(super) fn answers(&self, history: &History<'_>) -> usize {
        self.commands.iter().map(|at| answers(history, *at, self.action)).sum()
    }
}

/// How often people answered a command so.
pub(super) fn answers(history: &History<'_>, command: usize, action: Action) -> usize {
    let command = &history.commands[command];
    if action == Action::Allow { command.yes } else { command.denied }
}

/// Every candidate, the most useful first. `usable` are the commands that a rule may be drawn from.
pub(super) fn candidates(
    policy: &Policy,
    history: &History<'_>,
    usable: &[(usize, Action)],
    min: usize,
) -> Vec<Candidate> {
    let mut found = Vec::new();
    for &(command, action) in usable {
        found.push(Candidate { action, shape: Shape::Exact, commands: vec![command] });
    }
    found.extend(seen(policy, history, usable));
    found.extend(files(policy, history, usable));
    found.retain(|candidate| candidate.answers(history) >= min);
    found.sort_by(|one, other| {
        let order = other.answers(history).cmp(&one.answers(history));
        order.then_with(|| one.shape.cmp(&other.shape)).then(one.commands.cmp(&other.commands))
    });
    found
}

/// What commands that differ in one word share: the words before it and those behind it.
type Around<'p> = (Action, &'p [String], &'p [String]);

fn seen<'h>(
    policy: &Policy,
    history: &'h History<'_>,
    usable: &[(usize, Action)],
) -> impl Iterator<Item = Candidate> + use<'h> {
    let mut groups: BTreeMap<Around<'h>, Vec<usize>> = BTreeMap::new();
    for &(command, action) in usable {
        let argv = &history.commands[command].argv;
        for at in operands(policy, argv) {
            groups.entry((action, &argv[..at], &argv[at + 1..])).or_default().push(command);
        }
    }
    groups.into_iter().filter_map(|((action, ..), commands)| {
        let fits = (DISTINCT..=MAX_LISTED).contains(&commands.len());
        fits.then_some(Candidate { action, shape: Shape::Seen, commands })
    })
}

/// Where the operands stand behind a subcommand, of a tool that is known.
fn operands(policy: &Policy, argv: &[String]) -> Vec<usize> {
    let Some(name) = tool(argv) else { return Vec::new() };
    let words: Vec<&[u8]> = argv.iter().map(String::as_bytes).collect();
    let reading = reader::read(policy.tools.find(name.as_bytes()), &words, None);
    if reading.tool.is_none() || !reading.certain {
        return Vec::new();
    }
    let from = match reading.sub {
        Subcommand::None if reading.tool.is_some_and(crate::tools::Tool::has_subs) => {
            return Vec::new();
        }
        Subcommand::None => 0,
        Subcommand::Known { at, .. } => at + 1,
        Subcommand::Uncertain => return Vec::new(),
    };
    let own = reading.operands.get(from..).unwrap_or_default();
    // By place, not by text: the same text may stand there as the value of a flag.
    let is_own = |word: &&[u8]| own.iter().any(|operand| std::ptr::eq(operand.word.raw(), *word));
    (1..words.len()).filter(|at| is_own(&words[*at])).collect()
}

/// Commands that differ in files alone.
#[derive(Default)]
struct Alike {
    commands: Vec<usize>,
    values: BTreeSet<String>,
    /// Operands of the one that has most.
    most: usize,
}

fn files(
    policy: &Policy,
    history: &History<'_>,
    usable: &[(usize, Action)],
) -> impl Iterator<Item = Candidate> {
    // By tool, subcommand and flags.
    let mut groups: BTreeMap<(&str, Option<String>, Vec<String>), Alike> = BTreeMap::new();
    for &(at, _) in usable.iter().filter(|(_, action)| *action == Action::Allow) {
        let command = &history.commands[at];
        let Some(past) = command.scenes.first().map(|at| &*history.scenes[*at].plain) else {
            continue;
        };
        let read = tool(&command.argv).zip(plain::files(policy, past));
        let Some((name, found)) = read else { continue };
        let alike = groups.entry((name, found.sub, found.flags)).or_default();
        alike.commands.push(at);
        alike.most = alike.most.max(found.operands.len());
        alike.values.extend(found.operands);
    }
    groups.into_iter().filter_map(|((_, sub, flags), alike)| {
        let Alike { commands, values, most } = alike;
        (values.len() >= DISTINCT && commands.len() > 1).then_some(Candidate {
            action: Action::Allow,
            shape: Shape::Files(Alternatives { sub, flags, most }),
            commands,
        })
    })
}
