//! Check: a suggested rule is loaded into the policy, and the whole history is judged once more.
//! A rule that changes anything but what people answered, or that could reach over a denial, is refused.

use std::sync::Arc;

use super::past::{History, Now, judge};
use super::request::{Past, tool};
use super::shapes::{Candidate, Shape};
use crate::action::{Action, RuleId};
use crate::facts::Facts;
use crate::index::Index;
use crate::judge::{Case, Outcome};
use crate::lint;
use crate::matchers::unknown;
use crate::policy::Policy;
use crate::rule::Rule;

/// What a rule does to a history.
pub(super) struct Effect {
    /// The scenes that it answers.
    pub(super) scenes: Vec<usize>,
    /// The rule that it has to stand before; `None` is behind all others.
    pub(super) before: Option<RuleId>,
}

/// Puts the rule into the policy if it is a good one, and brings the history up to date.
///
/// # Errors
/// Why it is none, as a lower-case fact; the policy is as it was.
pub(super) fn accept(
    policy: &mut Policy,
    history: &mut History<'_>,
    candidate: &Candidate,
    yaml: &str,
) -> Result<Effect, String> {
    let mut lone = lone(policy, yaml)?;
    overreach(&lone, history, candidate)?;
    let rule = lone.rules.pop().ok_or("it loads as no rule")?;
    let at = place(policy, history, candidate);
    let before = policy.rules[..policy.own_rules].get(at).map(|rule| rule.id.clone());
    if candidate.action == Action::Allow {
        no_denial_behind(policy, at, history, candidate)?;
    }
    policy.rules.insert(at, rule);
    policy.own_rules += 1;
    policy.index = Index::new(&policy.rules);
    match effect(policy, history, candidate) {
        Ok(changes) => {
            let scenes = changes.iter().map(|(scene, _)| *scene).collect();
            changes.into_iter().for_each(|(scene, now)| history.scenes[scene].now = now);
            Ok(Effect { scenes, before })
        }
        Err(why) => {
            policy.rules.remove(at);
            policy.own_rules -= 1;
            policy.index = Index::new(&policy.rules);
            Err(why)
        }
    }
}

/// The rule alone, in a policy that denies the rest, knows the same of tools and runs them in the same place.
pub(super) fn lone(policy: &Policy, yaml: &str) -> Result<Policy, String> {
    let place = policy.default_executor;
    let text = format!("default_action: deny\ndefault_executor: {place}\nrules:\n{yaml}\n");
    let mut lone = Policy::from_yaml("suggested", &text).map_err(|_| "it cannot be spelled")?;
    lone.tools = Arc::clone(&policy.tools);
    lone.ghost_images = policy.ghost_images.clone();
    Ok(lone)
}

/// What a rule takes beyond that which it is to take.
fn overreach(lone: &Policy, history: &History<'_>, candidate: &Candidate) -> Result<(), String> {
    if candidate.action != Action::Allow {
        return Ok(());
    }
    let scenes = candidate.commands.iter().flat_map(|at| &history.commands[*at].scenes);
    for past in scenes.map(|at| &*history.scenes[*at].plain) {
        let place = (past.jail.as_str(), past.cwd.as_deref().unwrap_or_default());
        if lint::allows_a_probe(lone, place.0, place.1) {
            return Err("it would allow a command that can run or write anything".into());
        }
        let mut more: Vec<&[&str]> =
            vec![&["--clawrden-probe"], &["/clawrden-probe"], &["../../probe"]];
        if matches!(candidate.shape, Shape::Exact | Shape::Seen) {
            more.push(&["clawrden-probe"]);
        }
        for more in more {
            let mut past = past.clone();
            // There one more may be too many, and say nothing about this one.
            if matches!(candidate.shape, Shape::Files(_)) {
                past.argv.pop();
            }
            past.argv.extend(more.iter().map(|word| (*word).to_owned()));
            if judge(lone, &past).action == Action::Allow {
                return Err(format!("it would take `{}` as well", more.join(" ")));
            }
        }
    }
    Ok(())
}

/// Where the rule has to stand: before whatever asks today.
pub(super) fn place(policy: &Policy, history: &History<'_>, candidate: &Candidate) -> usize {
    let scenes = candidate.commands.iter().flat_map(|at| &history.commands[*at].scenes);
    let asking =
        scenes.map(|at| &history.scenes[*at]).filter(|scene| scene.now.action == Action::Ask);
    let places = asking.filter_map(|scene| {
        let id = scene.now.rule.as_ref()?;
        policy.rules.iter().position(|rule| rule.id == *id)
    });
    // The rules of packs stand behind whatever is written.
    places.min().map_or(policy.own_rules, |at| at.min(policy.own_rules))
}

/// Rules that deny, and stand behind the place where an `allow` would end the search.
fn no_denial_behind(
    policy: &Policy,
    at: usize,
    history: &History<'_>,
    candidate: &Candidate,
) -> Result<(), String> {
    let denials: Vec<&Rule> =
        policy.rules[at..].iter().filter(|rule| rule.action == Action::Deny).collect();
    let scenes = candidate.commands.iter().flat_map(|at| &history.commands[*at].scenes);
    for past in scenes.map(|at| &*history.scenes[*at].plain) {
        let name = tool(&past.argv).unwrap_or_default().as_bytes();
        let known = past.cwd.as_deref().map(str::as_bytes);
        for argv in all_of(past, &candidate.shape) {
            let argv: Vec<&[u8]> = argv.iter().map(Vec::as_slice).collect();
            // Where it is called from may be another place next time.
            for cwd in [known, None] {
                let facts = Facts {
                    jail: &past.jail,
                    name,
                    tool: Some(name),
                    argv: &argv,
                    cwd,
                    ..Facts::default()
                };
                let case = Case::new(&facts, &policy.tools);
                let speaks = |rule: &&&Rule| !matches!(case.judge(rule), Outcome::Passed(_));
                if let Some(rule) = denials.iter().find(speaks) {
                    return Err(format!("{} may deny it, and stands behind what asks", rule.id));
                }
            }
        }
    }
    Ok(())
}

/// The commands that a shape takes besides this one: a file may be any of the folder.
fn all_of(past: &Past, shape: &Shape) -> Vec<Vec<Vec<u8>>> {
    let words = |argv: &[String]| -> Vec<Vec<u8>> {
        argv.iter().map(|word| word.clone().into_bytes()).collect()
    };
    let mut all = vec![words(&past.argv)];
    if let Shape::Files(files) = shape {
        let own = past.argv.iter().take(1).chain(&files.sub).chain(&files.flags);
        let own: Vec<String> = own.cloned().collect();
        for folder in [".", past.cwd.as_deref().unwrap_or_default()] {
            let mut argv = words(&own);
            argv.push([folder.as_bytes(), b"/", unknown::ONE].concat());
            all.push(argv);
        }
    }
    all
}

/// The scenes that are judged otherwise with the rule, if all of them may be.
fn effect(
    policy: &Policy,
    history: &History<'_>,
    candidate: &Candidate,
) -> Result<Vec<(usize, Now)>, String> {
    let name = candidate.commands.first().and_then(|at| tool(&history.commands[*at].argv));
    let name = name.unwrap_or_default();
    let mut changes = Vec::new();
    for (at, scene) in history.scenes.iter().enumerate() {
        // A rule speaks of a command by its name, which then stands in one of the words.
        if !scene.past.argv.iter().any(|word| word.contains(name)) {
            continue;
        }
        let now = judge(policy, scene.past);
        let is_own = candidate.commands.contains(&scene.command);
        let answered = match candidate.action {
            Action::Allow => scene.approved,
            _ => scene.denied,
        };
        if now.action == scene.now.action {
            if (&now.executor, now.is_as_other) != (&scene.now.executor, scene.now.is_as_other) {
                return Err("it would change where a command runs".into());
            }
            let is_wanted = is_own && answered > 0 && now.action == Action::Ask;
            if is_wanted && !matches!(candidate.shape, Shape::Files(_)) {
                let by = now.rule.map_or_else(|| "the policy".to_owned(), |rule| rule.to_string());
                return Err(format!("{by} would ask all the same"));
            }
            continue;
        }
        let command = &history.commands[scene.command];
        let may = scene.now.action == Action::Ask
            && now.action == candidate.action
            && match candidate.action {
                Action::Allow => {
                    !scene.refused
                        && command.approved > 0
                        && command.denied == 0
                        && now.executor == scene.now.executor
                        && now.is_as_other == scene.now.is_as_other
                }
                _ => !scene.was_allowed && command.denied > 0 && command.approved == 0,
            };
        if !may {
            let shown: Vec<&str> = scene.past.argv.iter().take(8).map(String::as_str).collect();
            return Err(format!(
                "it would {} `{}` as well, which nobody answered so",
                now.action,
                shown.join(" ")
            ));
        }
        changes.push((at, now));
    }
    Ok(changes)
}
