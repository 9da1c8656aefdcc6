//! Suggest: the smallest rules that would have answered what people had to answer, from a history.
//! It suggests and changes nothing; what it cannot show to be harmless on that history it leaves out.

mod check;
mod kept;
pub(crate) mod known;
mod past;
mod pattern;
mod plain;
mod reads;
mod request;
mod shapes;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};

use self::past::History;
pub use self::pattern::Pattern;
pub use self::reads::runs_what_it_reads;
pub use self::request::{Answer, Past};
use self::shapes::{Candidate, Shape, answers};
use self::yaml::Bounds;
use crate::action::{Action, RuleId};
use crate::policy::Policy;

/// Most candidates that are tried.
const MAX_TRIED: usize = 500;
/// Most examples of what a rule covers.
const EXAMPLES: usize = 5;
/// Most folders that a rule lists.
const MAX_FOLDERS: usize = 8;
/// Longest reason that is taken over, in characters.
const MAX_REASON: usize = 300;

/// What a history suggests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suggestions {
    /// Rules, those that would have answered most first.
    pub rules: Vec<Suggestion>,
    /// Commands that people approved at one time and denied at another.
    pub both_ways: Vec<BothWays>,
    /// Commands that people answered often enough, and for which there is no rule.
    pub left: Vec<Left>,
    /// Requests that people answered.
    pub answered: usize,
    /// Those of them that the policy answers by itself today.
    pub settled: usize,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// What it does: `allow` or `deny`.
    pub action: Action,
    /// The rule as an item of the list `rules`, to be indented at will.
    pub yaml: String,
    /// The rule that it has to stand before; `None` is behind all others.
    pub before: Option<RuleId>,
    /// Requests of the history that it would have answered.
    pub asks: usize,
    /// Different commands among them.
    pub commands: usize,
    /// Who answered them, and how often, the most frequent first.
    pub by: Vec<(String, usize)>,
    /// Some of the commands, with how often each was asked.
    pub examples: Vec<(Vec<String>, usize)>,
    /// What else it takes, as a sentence.
    pub wider: String,
}

/// A command that was answered both ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BothWays {
    /// The words.
    pub argv: Vec<String>,
    /// How often it was approved.
    pub approved: usize,
    /// How often it was denied.
    pub denied: usize,
}

/// A command for which there is no rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The words.
    pub argv: Vec<String>,
    /// How often people answered it.
    pub answers: usize,
    /// Why there is none, as a lower-case sentence.
    pub why: String,
}

impl Policy {
    /// The rules that would have answered what people had to answer in `past`, each at least `min` asks. The policy
    /// is that by which the rules are checked; nothing is changed but what is given here. With `shell_lines` a
    /// command that stands alone in a shell line counts as that command.
    #[must_use]
    pub fn suggest(self, past: &[Past], min: usize, shell_lines: bool) -> Suggestions {
        suggest(self, past, min, shell_lines)
    }
}

/// Works out what `past` suggests; a rule answers at least `min` asks that people answered.
fn suggest(mut policy: Policy, past: &[Past], min: usize, shell_lines: bool) -> Suggestions {
    let mut history = History::of(&policy, past, shell_lines);
    let mut found = Suggestions { both_ways: both_ways(&history), ..Suggestions::default() };
    let mut why: BTreeMap<usize, String> = BTreeMap::new();
    let mut usable: Vec<(usize, Action)> = Vec::new();
    for (at, command) in history.commands.iter().enumerate() {
        found.answered += command.approved + command.denied;
        let action = match (command.approved, command.denied) {
            (0, 0) => continue,
            (_, 0) => Action::Allow,
            (0, _) => Action::Deny,
            _ => continue,
        };
        let asked = || command.scenes.iter().map(|at| &history.scenes[*at]);
        let answered = || asked().filter(|scene| scene.approved + scene.denied > 0);
        let open = answered().filter(|scene| scene.now.action == Action::Ask);
        let objection = answered().find_map(|scene| plain::objection(&policy, &scene.plain));
        match objection {
            _ if open.count() == 0 => {}
            Some(objection) => drop(why.insert(at, objection)),
            None if answered().any(|scene| scene.now.is_as_other) => {
                why.insert(at, "it runs as another user of the warden's host".into());
            }
            None => usable.push((at, action)),
        }
    }
    let settled = history.scenes.iter().filter(|scene| scene.now.action != Action::Ask);
    found.settled = settled.map(|scene| scene.approved + scene.denied).sum();

    for candidate in shapes::candidates(&policy, &history, &usable, min).into_iter().take(MAX_TRIED)
    {
        if open(&history, &candidate) < min {
            continue;
        }
        let words: Vec<&[String]> =
            candidate.commands.iter().map(|at| &*history.commands[*at].argv).collect();
        let text = bounds(&policy, &history, &candidate).and_then(|bounds| {
            let text = yaml::rule(candidate.action, &candidate.shape, &words, &bounds);
            text.ok_or_else(|| "a pattern cannot spell it".to_owned())
        });
        let tried = text.and_then(|text| {
            let effect = check::accept(&mut policy, &mut history, &candidate, &text)?;
            Ok(suggestion(&history, &candidate, text, effect))
        });
        match tried {
            Ok(suggestion) => found.rules.push(suggestion),
            Err(error) => {
                for command in candidate.commands {
                    why.insert(command, error.clone());
                }
            }
        }
    }
    found.rules.sort_by_key(|rule| std::cmp::Reverse(rule.asks));
    found.left = left(&history, why, min);
    found
}

fn both_ways(history: &History<'_>) -> Vec<BothWays> {
    let mixed =
        history.commands.iter().filter(|command| command.approved > 0 && command.denied > 0);
    let mut mixed: Vec<BothWays> = mixed
        .map(|command| BothWays {
            argv: command.argv.to_vec(),
            approved: command.approved,
            denied: command.denied,
        })
        .collect();
    mixed.sort_by_key(|both| std::cmp::Reverse(both.approved + both.denied));
    mixed
}

/// Answers of people that a candidate would give and no rule before it does.
fn open(history: &History<'_>, candidate: &Candidate) -> usize {
    let is_open = |at: &&usize| {
        let scenes = &history.commands[**at].scenes;
        scenes.iter().any(|at| history.scenes[*at].now.action == Action::Ask)
    };
    let of = candidate.commands.iter().filter(is_open);
    of.map(|at| answers(history, *at, candidate.action)).sum()
}

/// Where and for whom the rule holds: no farther than it was answered.
fn bounds(policy: &Policy, history: &History<'_>, candidate: &Candidate) -> Result<Bounds, String> {
    let allows = candidate.action == Action::Allow;
    let own = || candidate.commands.iter().flat_map(|at| &history.commands[*at].scenes);
    let answered = || {
        let scenes = own().map(|at| &history.scenes[*at]);
        scenes.filter(|scene| if allows { scene.approved > 0 } else { scene.denied > 0 })
    };
    let mut bounds = Bounds::default();
    if allows {
        let folders: BTreeSet<&str> =
            answered().filter_map(|scene| scene.past.cwd.as_deref()).collect();
        bounds.cwd = match common(&folders).filter(|_| candidate.shape == Shape::Exact) {
            Some(folder) => vec![format!("{}/*", yaml::folder(folder))],
            None => folders.iter().map(|path| yaml::folder(path)).collect(),
        };
        if bounds.cwd.len() > MAX_FOLDERS {
            return Err(format!("it was asked from more than {MAX_FOLDERS} folders"));
        }
    }
    let jails: BTreeSet<&str> = answered().map(|scene| scene.past.jail.as_str()).collect();
    if let [jail] = Vec::from_iter(jails)[..]
        && policy.jails.keys().any(|other| other != jail)
    {
        bounds.jail = Some(yaml::folder(jail));
    }
    let everybody: BTreeSet<u32> = history.scenes.iter().filter_map(|s| s.past.uid).collect();
    let uids: BTreeSet<u32> = answered().filter_map(|scene| scene.past.uid).collect();
    if let [uid] = Vec::from_iter(uids)[..]
        && everybody.len() > 1
        && allows
    {
        bounds.uid = Some(uid);
    }
    if allows {
        bounds.kept = kept::of_all(policy, answered().map(|scene| &scene.now))?;
    } else {
        let mut said: BTreeMap<&str, usize> = BTreeMap::new();
        for (reason, times) in
            candidate.commands.iter().flat_map(|at| &history.commands[*at].reasons)
        {
            *said.entry(reason).or_default() += times;
        }
        let most = said.into_iter().max_by_key(|(_, times)| *times).map(|(reason, _)| reason);
        bounds.reason = most.map(|reason| {
            let plain = reason.split(|c: char| c.is_control() || c.is_whitespace());
            let plain: Vec<&str> = plain.filter(|word| !word.is_empty()).collect();
            plain.join(" ").chars().take(MAX_REASON).collect()
        });
    }
    Ok(bounds)
}

/// The folder in which three or more lie, if it is no folder of everybody's.
fn common<'p>(folders: &BTreeSet<&'p str>) -> Option<&'p str> {
    let (first, last) = (folders.first()?, folders.last()?);
    if folders.len() < 3 {
        return None;
    }
    // Of a sorted set, what the first and the last share is shared by all.
    let same = first.bytes().zip(last.bytes()).take_while(|(one, other)| one == other).count();
    let ends = |at: usize| first.as_bytes().get(at).is_none_or(|byte| *byte == b'/');
    let whole = same == first.len() && last.as_bytes().get(same) == Some(&b'/');
    let end = if whole { same } else { first.get(..same)?.rfind('/')? };
    let folder = first.get(..end).filter(|_| ends(end))?;
    (folder.matches('/').count() >= 2).then_some(folder)
}

fn suggestion(
    history: &History<'_>,
    candidate: &Candidate,
    yaml: String,
    effect: check::Effect,
) -> Suggestion {
    let mut by: BTreeMap<&str, usize> = BTreeMap::new();
    let mut times: BTreeMap<usize, usize> = BTreeMap::new();
    for scene in effect.scenes.iter().map(|at| &history.scenes[*at]) {
        let asks = scene.approved + scene.denied + scene.unanswered;
        *times.entry(scene.command).or_default() += asks;
    }
    for (name, count) in times.keys().flat_map(|at| &history.commands[*at].by) {
        *by.entry(name).or_default() += count;
    }
    let mut by: Vec<(String, usize)> =
        by.into_iter().map(|(name, n)| (name.to_owned(), n)).collect();
    by.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    let (asks, commands) = (times.values().sum(), times.len());
    let mut examples: Vec<(Vec<String>, usize)> =
        times.into_iter().map(|(at, n)| (history.commands[at].argv.to_vec(), n)).collect();
    examples.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    examples.truncate(EXAMPLES);
    Suggestion {
        action: candidate.action,
        yaml,
        before: effect.before,
        asks,
        commands,
        by,
        examples,
        wider: wider(candidate),
    }
}

fn wider(candidate: &Candidate) -> String {
    match (&candidate.shape, candidate.action) {
        (Shape::Files(files), _) => {
            let most = match files.most {
                1 => "any one file in the working directory".to_owned(),
                most => format!("any files in the working directory, {most} at once"),
            };
            if files.flags.is_empty() { most } else { format!("{most}, with these flags") }
        }
        (_, Action::Deny) => "the same with more flags or operands".into(),
        (Shape::Exact, _) => "nothing but this command".into(),
        (Shape::Seen, _) => format!("nothing but these {} commands", candidate.commands.len()),
    }
}

/// What was answered often enough and is still open.
fn left(history: &History<'_>, why: BTreeMap<usize, String>, min: usize) -> Vec<Left> {
    let mut left: Vec<Left> = Vec::new();
    for (at, why) in why {
        let command = &history.commands[at];
        let answers = command.yes + command.denied;
        let is_open = || {
            let mut scenes = command.scenes.iter().map(|at| &history.scenes[*at]);
            scenes.any(|s| s.now.action == Action::Ask && s.approved + s.denied > 0)
        };
        if answers >= min && is_open() {
            left.push(Left { argv: command.argv.to_vec(), answers, why });
        }
    }
    left.sort_by_key(|left| std::cmp::Reverse(left.answers));
    left
}

#[cfg(test)]
mod tests;
