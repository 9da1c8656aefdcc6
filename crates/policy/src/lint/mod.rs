//! Lint: what is allowed to stand in a policy and is most likely not meant.
//! It is advice: nothing here changes a decision, and what it cannot tell for certain it does not claim.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::action::{Action, RuleId};
use crate::facts::Facts;
use crate::matchers::args::ArgsPattern;
use crate::matchers::glob::Glob;
use crate::matchers::name::NamePattern;
use crate::matchers::words;
use crate::policy::Policy;
use crate::rule::Rule;

const PROBES: &str = include_str!("probes.txt");
/// Most probes that one lint names.
const SHOWN: usize = 3;
/// Most pairs of rules that are compared in all; a policy with more is looked at in its first rules only.
const MAX_PAIRS: usize = 4_000_000;

/// One piece of advice about a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    /// The rule.
    pub rule: RuleId,
    /// What kind it is.
    pub kind: LintKind,
    /// What is the matter, as a lower-case fact.
    pub message: String,
    /// What would be right.
    pub help: String,
}

/// The kinds of advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LintKind {
    /// An earlier rule takes everything that this one could.
    Unreachable,
    /// An earlier rule says something else of the very same commands.
    Contradiction,
    /// An `allow` lets a command through that can be made to run another one.
    RunsCommands,
    /// An `allow` lets a command through that can be made to write any file.
    WritesFiles,
    /// A person is asked and not told why.
    NoReason,
    /// A person is asked and not told which, although other rules say who answers.
    NoApprovers,
}

impl LintKind {
    /// A word for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Contradiction => "contradiction",
            Self::RunsCommands => "runs-commands",
            Self::WritesFiles => "writes-files",
            Self::NoReason => "no-reason",
            Self::NoApprovers => "no-approvers",
        }
    }
}

impl Policy {
    /// What is allowed to stand in a policy and is most likely not meant: rules that are never reached, that
    /// contradict each other, that let more through than they say. Advice, in the order of the rules.
    #[must_use]
    pub fn lint(&self) -> Vec<Lint> {
        lint(self)
    }
}

/// Everything worth saying about a policy, in the order of its rules.
fn lint(policy: &Policy) -> Vec<Lint> {
    let mut found = Vec::new();
    let scopes: Vec<(&Rule, Scope<'_>)> =
        policy.rules.iter().map(|rule| (rule, Scope::of(rule))).collect();
    let mut pairs = 0;
    let names_people = policy.approvers().next().is_some();
    for (at, later) in scopes.iter().enumerate() {
        let rule = later.0;
        pairs += at;
        if pairs <= MAX_PAIRS {
            // To stand before the rules of a pack, and say something else, is what rules of one's own are for.
            let is_pack = at >= policy.own_rules;
            let mut earlier =
                scopes.iter().take(at).filter(|(one, _)| !is_pack || one.id.file == rule.id.file);
            found.extend(earlier.find_map(|earlier| shadow(earlier, later)));
        }
        if rule.action == Action::Ask && rule.reason.is_none() {
            found.push(Lint {
                rule: rule.id.clone(),
                kind: LintKind::NoReason,
                message: "a person is asked and not told why".into(),
                help: "say in `reason` what the approver has to look at".into(),
            });
        }
        if names_people && rule.action == Action::Ask && unanswered(policy, rule) {
            found.push(Lint {
                rule: rule.id.clone(),
                kind: LintKind::NoApprovers,
                message: "it asks without approvers: anybody who may answer can let it run".into(),
                help: "name them in `approvers`, here or in `defaults`".into(),
            });
        }
    }
    found.extend(probes(policy));
    let mut files: Vec<&Arc<str>> = Vec::new();
    for rule in &policy.rules {
        if files.last().is_none_or(|last| **last != rule.id.file) && !files.contains(&&rule.id.file)
        {
            files.push(&rule.id.file);
        }
    }
    let file = |rule: &RuleId| files.iter().position(|file| **file == rule.file);
    found.sort_by_key(|lint| (file(&lint.rule), lint.rule.line, lint.rule.column, lint.kind));
    found
}

/// Whether nothing says who answers what it asks.
fn unanswered(policy: &Policy, rule: &Rule) -> bool {
    let said = rule.approvers.as_deref().cloned().unwrap_or_default();
    said.over(&policy.approvers).is_none_or(|wanted| wanted.from.is_empty() && wanted.count <= 1)
}

/// What an earlier rule makes of a later one.
fn shadow(
    (earlier, first): &(&Rule, Scope<'_>),
    (rule, second): &(&Rule, Scope<'_>),
) -> Option<Lint> {
    let say = |kind, message: String, help: &str| {
        Some(Lint { rule: rule.id.clone(), kind, message, help: help.to_owned() })
    };
    if first.is_plain
        && second.is_plain
        && first.covers_commands(second)
        && second.covers_commands(first)
        && first.args == second.args
        && first.jail == second.jail
        && second.args.is_some()
    {
        let by = &earlier.id;
        return if earlier.action == rule.action {
            say(
                LintKind::Unreachable,
                format!("{by} says the same before it"),
                "remove one of them",
            )
        } else {
            let message = format!("{by} says {} of the same commands before it", earlier.action);
            say(LintKind::Contradiction, message, "keep the one that is meant")
        };
    }
    // An `allow` takes the tool alone, a `deny` or an `ask` everything of that name.
    let takes_all = earlier.action != Action::Allow || rule.action == Action::Allow;
    let is_wide = first.is_plain
        && first.args.is_none()
        && (first.jail.is_none() || first.jail == second.jail);
    if takes_all && is_wide && first.covers_commands(second) {
        let message = format!("{} takes everything that it could match", earlier.id);
        return say(LintKind::Unreachable, message, "put it before that rule, or remove it");
    }
    None
}

/// Which requests a rule speaks of.
struct Scope<'r> {
    commands: Vec<&'r str>,
    any: bool,
    args: Option<Vec<&'r str>>,
    jail: Option<&'r str>,
    /// The rest says all that narrows it: no condition, nothing in the structured form of `args`.
    is_plain: bool,
}

impl<'r> Scope<'r> {
    fn of(rule: &'r Rule) -> Self {
        // Every field by its name: one that narrows what a rule speaks of has to be looked at here.
        let Rule {
            id: _,
            commands,
            args,
            jail,
            conditions,
            action: _,
            reason: _,
            executor: _,
            run_as: _,
            timeout: _,
            approval_timeout: _,
            suggest: _,
            dangerous_env: _,
            bounds: _,
            ghost: _,
            supervised: _,
            record: _,
            approvers: _,
        } = rule;
        let mut sources: Vec<&str> = commands.iter().map(NamePattern::source).collect();
        sources.sort_unstable();
        sources.dedup();
        let text = |pattern: &'r ArgsPattern| match pattern {
            ArgsPattern::Text(pattern) => Some(pattern.source()),
            ArgsPattern::Structured(_) => None,
        };
        let patterns = args.as_deref().unwrap_or_default();
        let is_plain =
            conditions.is_none() && patterns.iter().all(|pattern| text(pattern).is_some());
        let args = args.as_deref().map(|patterns| {
            let mut sources: Vec<&str> = patterns.iter().filter_map(text).collect();
            sources.sort_unstable();
            sources.dedup();
            sources
        });
        let any = sources.contains(&"*");
        Self { commands: sources, any, args, jail: jail.as_ref().map(Glob::source), is_plain }
    }

    /// Whether every command of `other` is one of these, as far as their texts tell.
    fn covers_commands(&self, other: &Self) -> bool {
        let bare = |name: &str| !name.contains('/');
        other.commands.iter().all(|name| {
            (self.any && bare(name)) || self.commands.binary_search(name).is_ok_and(|_| bare(name))
        })
    }
}

/// What the policy allows of the commands that it had better not.
fn probes(policy: &Policy) -> Vec<Lint> {
    let cwd = workplace(policy);
    let mut jails = vec!["default"];
    jails.extend(policy.rules.iter().filter_map(|rule| rule.jail.as_ref()).map(Glob::source));
    jails.sort_unstable();
    jails.dedup();
    // By the place of the rule.
    let mut allowed: BTreeMap<_, (RuleId, Vec<&str>)> = BTreeMap::new();
    for (kind, command) in PROBES.lines().filter_map(probe) {
        let Ok(argv) = words::split(command) else { continue };
        let Some(name) = argv.first() else { continue };
        let words: Vec<&[u8]> = argv.iter().map(String::as_bytes).collect();
        let path = format!("/usr/bin/{name}");
        for jail in &jails {
            let decision = policy.decide(&Facts {
                jail,
                name: name.as_bytes(),
                path: Some(path.as_bytes()),
                tool: Some(name.as_bytes()),
                argv: &words,
                cwd: Some(cwd.as_bytes()),
                ..Facts::default()
            });
            let Some(rule) = decision.rule.filter(|_| decision.action == Action::Allow) else {
                continue;
            };
            let key = (Arc::clone(&rule.file), rule.index, kind);
            let (_, commands) = allowed.entry(key).or_insert_with(|| (rule, Vec::new()));
            if commands.last() != Some(&command) {
                commands.push(command);
            }
        }
    }
    allowed
        .into_iter()
        .map(|((.., kind), (rule, commands))| admitted(rule, kind, &commands))
        .collect()
}

/// Whether the policy allows one of the commands that an `allow` had better not, from this jail and directory.
pub(crate) fn allows_a_probe(policy: &Policy, jail: &str, cwd: &str) -> bool {
    PROBES.lines().filter_map(probe).any(|(_, command)| {
        let Ok(argv) = words::split(command) else { return false };
        let Some(name) = argv.first().map(String::as_bytes) else { return false };
        let argv: Vec<&[u8]> = argv.iter().map(String::as_bytes).collect();
        let cwd = Some(cwd.as_bytes());
        let facts = Facts { jail, name, tool: Some(name), argv: &argv, cwd, ..Facts::default() };
        policy.decide(&facts).action == Action::Allow
    })
}

fn probe(line: &str) -> Option<(LintKind, &str)> {
    let (kind, command) = line.split_once("  ")?;
    match kind {
        "runs" => Some((LintKind::RunsCommands, command)),
        "writes" => Some((LintKind::WritesFiles, command)),
        _ => None,
    }
}

fn admitted(rule: RuleId, kind: LintKind, commands: &[&str]) -> Lint {
    let mut named: Vec<String> = commands.iter().take(SHOWN).map(|c| format!("`{c}`")).collect();
    if commands.len() > SHOWN {
        named.push(format!("{} more", commands.len() - SHOWN));
    }
    let can = match kind {
        LintKind::WritesFiles => "can write any file",
        _ => "can run any command",
    };
    Lint {
        rule,
        kind,
        message: format!("it allows {}, which {can}", named.join(", ")),
        help: "name the flags and operands that are meant, or ask".to_owned(),
    }
}

/// A working directory that `allowed_paths` does not keep out.
fn workplace(policy: &Policy) -> String {
    let first = policy.allowed_paths.as_ref().and_then(|globs| globs.first());
    let text = first.map_or("/work", Glob::source);
    let plain = text.split(['*', '?', '[', '{', '\\']).next().unwrap_or_default();
    let plain = plain.trim_end_matches('/');
    if plain.is_empty() { "/".to_owned() } else { plain.to_owned() }
}

#[cfg(test)]
mod tests;
