//! Rules that would have answered what people had to answer: told, and written where somebody accepts one. Written is only
//! what is suggested at that moment, at the place for which it was tried, and where it changes nothing else of the history.

use std::time::Duration;

use clawrden_api::{
    ErrorBody, ErrorCode, HistoryEntry, HistoryQuery, PolicySuggestions, RuleAnswer,
    SuggestedExample, SuggestedRule, SuggestionAccepted,
};
use clawrden_policy::{Action, Layer, Past, Policy, Source, Suggestion};

use super::always::rule_file;
use super::control::Control;
use super::refused;
use crate::approvals::Now;
use crate::control::Actor;
use crate::ledger::RuleAdded;
use crate::what_if::{judge, past};

/// Requests of the history that are looked at.
const LIMIT: usize = 5_000;

/// How long they are read.
const PATIENCE: Duration = Duration::from_secs(5);

/// Rules that are listed.
const LISTED: usize = 50;

/// What is suggested, and by what.
struct Found {
    policy: Policy,
    entries: Vec<HistoryEntry>,
    complete: bool,
    answered: usize,
    rules: Vec<Suggestion>,
}

impl Control {
    pub(super) fn suggested(&self, min: usize) -> Result<PolicySuggestions, ErrorBody> {
        let found = self.find(min)?;
        let by_hand = |rule: &Suggestion| self.by_hand(rule).err();
        let told = |rule: Suggestion| SuggestedRule {
            by_hand: by_hand(&rule),
            action: rule.action.as_str().to_owned(),
            rule: rule.yaml,
            before: rule.before.map(|rule| rule.to_string()),
            asks: rule.asks,
            commands: rule.commands,
            by: said(&rule.by),
            examples: rule
                .examples
                .into_iter()
                .map(|(argv, times)| SuggestedExample { argv, times })
                .collect(),
            wider: rule.wider,
        };
        Ok(PolicySuggestions {
            looked_at: found.entries.len(),
            complete: found.complete,
            answered: found.answered,
            omitted: found.rules.len().saturating_sub(LISTED),
            rules: found.rules.into_iter().take(LISTED).map(told).collect(),
        })
    }

    pub(super) fn accept_suggested(
        &self,
        actor: &Actor,
        min: usize,
        request: SuggestionAccepted,
    ) -> Result<RuleAnswer, ErrorBody> {
        let bad = |text: String| refused(ErrorCode::BadRequest, text);
        let found = self.find(min)?;
        let Some(rule) = found.rules.iter().find(|rule| rule.yaml == request.rule) else {
            let text = "this rule is not suggested by now: look at the suggestions anew";
            return Err(refused(ErrorCode::NotFound, text.to_owned()));
        };
        self.by_hand(rule).map_err(bad)?;
        let Some(folder) = self.0.own.rules() else { return Err(bad(alone())) };
        // Later ones stand behind earlier ones.
        let path = folder.join(format!("suggested-{:014}.yaml", Now::read().ms));
        let name = path.display().to_string();
        let text = rule_file(
            "# A suggestion that was accepted: the ledger has who and why (rule_added).",
            &rule.yaml,
        );
        self.changes_nothing_else(actor, &found, rule, &name, &text).map_err(bad)?;
        let added = RuleAdded {
            entry: None,
            file: name.clone(),
            rule: rule.yaml.clone(),
            by: actor.who.clone(),
            channel: actor.channel.to_owned(),
            from: actor.from.clone(),
            reason: request.reason.filter(|reason| !reason.is_empty()),
        };
        self.write_rule(added, &path, &text)?;
        Ok(RuleAnswer {
            rule: rule.yaml.clone(),
            file: name,
            wider: rule.wider.clone(),
            written: true,
            approved: false,
        })
    }

    fn find(&self, min: usize) -> Result<Found, ErrorBody> {
        let sourced = self.0.own.sourced();
        let policy = || {
            Policy::from_sources(sourced.files())
                .map_err(|error| refused(ErrorCode::Internal, error.to_string()))
        };
        let mut entries = Vec::new();
        let complete = self.read_back(HistoryQuery::default(), LIMIT, PATIENCE, |page| {
            entries.extend(page);
        })?;
        let now = policy()?;
        let past: Vec<Past> =
            entries.iter().filter(|entry| is_open(&now, entry)).filter_map(past).collect();
        let suggestions = policy()?.suggest(&past, min, false);
        let (answered, rules) = (suggestions.answered, suggestions.rules);
        Ok(Found { policy: now, entries, complete, answered, rules })
    }

    /// Why a rule is not written from here; nothing where it is.
    fn by_hand(&self, rule: &Suggestion) -> Result<(), String> {
        if self.0.own.rules().is_none() {
            return Err(alone());
        }
        if let Some(before) = &rule.before {
            return Err(format!(
                "it has to stand before {before}, and what is written from here stands behind: put it there by hand"
            ));
        }
        let sourced = self.0.own.sourced();
        let mut rules = sourced.files().iter().filter(|file| file.layer == Layer::Rules);
        match rules.find(|file| is_behind(&file.name)) {
            Some(file) => Err(format!(
                "{} comes behind what is written from here: put the rule there by hand",
                file.name
            )),
            None => Ok(()),
        }
    }

    /// Whether with the rule nothing of the history comes out otherwise but what it is for, and nobody allows themselves
    /// what others are asked for.
    fn changes_nothing_else(
        &self,
        actor: &Actor,
        found: &Found,
        rule: &Suggestion,
        name: &str,
        text: &str,
    ) -> Result<(), String> {
        let sourced = self.0.own.sourced();
        let mut files: Vec<Source> = sourced.files().to_vec();
        let last = files.iter().rposition(|file| file.layer <= Layer::Rules);
        files.insert(last.map_or(0, |at| at + 1), Source::new(Layer::Rules, name, text));
        let with = Policy::from_sources(&files).map_err(|error| error.to_string())?;
        if let Some(lint) = with.lint().into_iter().find(|lint| &*lint.rule.file == name) {
            return Err(format!("the policy's lint is against it: {}", lint.message));
        }
        let mut answered = 0;
        for entry in &found.entries {
            let (was, now) = (judge(&found.policy, entry), judge(&with, entry));
            if was.action == now.action {
                continue;
            }
            let is_ours = now.rule.as_ref().is_some_and(|rule| &*rule.file == name);
            let is_meant = was.action == Action::Ask && was.approvers.is_empty();
            if !is_ours || !is_meant || now.action != rule.action || was.executor != now.executor {
                return Err("it would decide something else of the history as well".to_owned());
            }
            if rule.action == Action::Allow && self.0.is_own(&actor.doors, entry.caller.uid) {
                return Err(
                    "your own user asked for what it would allow: somebody else has to accept it"
                        .to_owned(),
                );
            }
            answered += 1;
        }
        if answered == 0 {
            return Err("it would not be in force".to_owned());
        }
        Ok(())
    }
}

/// Whether one person may answer it: what several, or certain people, are asked for makes no rule.
fn is_open(policy: &Policy, entry: &HistoryEntry) -> bool {
    judge(policy, entry).approvers.is_empty()
}

/// Whether a file of further rules is read behind those that are written from here.
fn is_behind(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name);
    name > "suggested-" && !name.starts_with("suggested-")
}

fn alone() -> String {
    "the warden was given one policy file, which is read alone: add the rule there".to_owned()
}

fn said(by: &[(String, usize)]) -> String {
    let times = |n: usize| if n == 1 { "once".to_owned() } else { format!("{n} times") };
    let all: Vec<String> = by.iter().map(|(who, n)| format!("{who} {}", times(*n))).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_behind_a_suggestion_is_known_by_its_name() {
        for (name, behind) in [
            ("/etc/clawrden/rules.d/approved-1.yaml", false),
            ("/etc/clawrden/rules.d/suggested-00000000000001.yaml", false),
            ("/etc/clawrden/rules.d/zz.yaml", true),
            ("/zz/rules.d/a.yaml", false),
        ] {
            assert_eq!(is_behind(name), behind, "{name}");
        }
    }

    #[test]
    fn who_answered_is_said_with_how_often() {
        assert_eq!(said(&[("ann".into(), 3), ("bob".into(), 1)]), "ann 3 times, bob once");
    }
}
