//! Past: the requests of a history, counted by command, and what the policy says of each of them today.
//! It judges by what a history has: a tool is taken by its name, and changed variables are not known.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::plain;
use super::request::{Past, tool};
use crate::action::{Action, Executor, RuleId};
use crate::facts::Facts;
use crate::policy::Policy;

/// A request as often as it was made, and what becomes of it.
pub(super) struct Scene<'p> {
    /// As it was asked.
    pub(super) past: &'p Past,
    /// The same, or the command that stands alone in it.
    pub(super) plain: Cow<'p, Past>,
    pub(super) now: Now,
    /// The policy denied it, or a person did.
    pub(super) refused: bool,
    /// The policy let it through then.
    pub(super) was_allowed: bool,
    pub(super) approved: usize,
    pub(super) denied: usize,
    pub(super) unanswered: usize,
    /// Which of the commands it is.
    pub(super) command: usize,
}

/// What a policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Now {
    pub(super) action: Action,
    pub(super) rule: Option<RuleId>,
    pub(super) executor: Executor,
    pub(super) is_as_other: bool,
}

/// One argument vector, wherever it was asked for.
#[derive(Default)]
pub(super) struct Command<'p> {
    pub(super) argv: Vec<String>,
    pub(super) scenes: Vec<usize>,
    /// Requests that were approved, and of these the answers that were given to them.
    pub(super) approved: usize,
    pub(super) yes: usize,
    pub(super) denied: usize,
    pub(super) by: BTreeMap<&'p str, usize>,
    pub(super) reasons: BTreeMap<&'p str, usize>,
}

/// A whole history.
pub(super) struct History<'p> {
    pub(super) scenes: Vec<Scene<'p>>,
    pub(super) commands: Vec<Command<'p>>,
}

/// What makes two requests one scene.
type Same<'p> = (&'p [String], Option<&'p str>, &'p str, Option<u32>, Option<u32>);

impl<'p> History<'p> {
    /// With `shell_lines` a command that stands alone in a shell line is that command.
    pub(super) fn of(policy: &Policy, past: &'p [Past], shell_lines: bool) -> Self {
        let mut scenes: Vec<Scene<'p>> = Vec::new();
        let mut commands: Vec<Command<'p>> = Vec::new();
        let mut seen: BTreeMap<Same<'p>, usize> = BTreeMap::new();
        let mut by_argv: BTreeMap<Vec<String>, usize> = BTreeMap::new();
        for one in past.iter().filter(|one| !one.argv.is_empty()) {
            let key = (&*one.argv, one.cwd.as_deref(), one.jail.as_str(), one.uid, one.gid);
            let at = *seen.entry(key).or_insert_with(|| {
                let inner = shell_lines.then(|| plain::alone(policy, one)).flatten();
                let plain = match inner {
                    Some(argv) => Cow::Owned(Past { argv, ..one.clone() }),
                    None => Cow::Borrowed(one),
                };
                let command = *by_argv.entry(plain.argv.clone()).or_insert_with(|| {
                    commands.push(Command { argv: plain.argv.clone(), ..Command::default() });
                    commands.len() - 1
                });
                commands[command].scenes.push(scenes.len());
                scenes.push(Scene {
                    past: one,
                    plain,
                    now: judge(policy, one),
                    refused: false,
                    was_allowed: false,
                    approved: 0,
                    denied: 0,
                    unanswered: 0,
                    command,
                });
                scenes.len() - 1
            });
            let scene = &mut scenes[at];
            let command = &mut commands[scene.command];
            scene.refused |= one.was == Action::Deny;
            scene.was_allowed |= one.was == Action::Allow;
            let Some(answer) = one.answer.as_ref().filter(|_| one.was == Action::Ask) else {
                scene.unanswered += usize::from(one.was == Action::Ask);
                continue;
            };
            if answer.approved {
                scene.approved += 1;
                command.approved += 1;
                command.yes += usize::from(!answer.kept);
            } else {
                scene.denied += 1;
                scene.refused = true;
                command.denied += 1;
                let reason = answer.reason.as_deref().filter(|reason| !reason.trim().is_empty());
                reason
                    .into_iter()
                    .for_each(|reason| *command.reasons.entry(reason).or_default() += 1);
            }
            if !answer.kept {
                *command.by.entry(&answer.by).or_default() += 1;
            }
        }
        Self { scenes, commands }
    }
}

/// Judges a request as a history tells of it.
pub(super) fn judge(policy: &Policy, past: &Past) -> Now {
    let argv: Vec<&[u8]> = past.argv.iter().map(String::as_bytes).collect();
    let name = argv.first().copied().unwrap_or_default();
    let tool = tool(&past.argv).map(str::as_bytes);
    let decision = policy.decide(&Facts {
        jail: &past.jail,
        name,
        path: tool.is_none().then_some(name),
        tool,
        argv: &argv,
        cwd: past.cwd.as_deref().map(str::as_bytes),
        uid: past.uid,
        gid: past.gid,
        ..Facts::default()
    });
    Now {
        action: decision.action,
        rule: decision.rule,
        executor: decision.executor,
        is_as_other: decision.run_as.is_some(),
    }
}
