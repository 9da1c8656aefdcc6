//! A yes for always: the smallest rule for a request that waits, written beside the policy and put in force. Written is only
//! what was tried: with it the policy allows that request, where it asked, and its lint has nothing to say.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use clawrden_api::{
    AnswerRequest, ErrorBody, ErrorCode, HistoryEntry, QueueEntry, RuleAnswer, RuleRequest,
};
use clawrden_policy::{Action, Answer, Layer, Past, Policy, Source};

use super::control::{Control, answer_error};
use super::refused;
use super::scopes;
use crate::control::{Actor, Backend, Verdict};
use crate::jails::{JailName, Origin};
use crate::ledger::{Record, RuleAdded};
use crate::policies::check_writers;
use crate::what_if;

impl Control {
    /// Approves a request for always.
    pub(super) fn always(
        &self,
        actor: &Actor,
        request: RuleRequest,
    ) -> Result<RuleAnswer, ErrorBody> {
        let bad = |text: String| refused(ErrorCode::BadRequest, text);
        let entry = self.within(actor, &request.id)?;
        // One person's rule would take the place of the others' word, for ever; by the policy of the moment as well.
        let case = self.0.approvals.case(&entry.id).map_err(answer_error)?;
        let by_now = case.and_then(|case| case.approvers(&self.0.jails));
        let is_laid_down =
            entry.approvals.is_some() || by_now.is_some_and(|approvers| !approvers.is_empty());
        if is_laid_down || self.0.is_own_request(actor, &entry) {
            let text = "who answers this is laid down in the policy, or its user is the one who asks: no rule is made of \
                        one person's yes";
            return Err(self.not_taken(
                actor,
                &entry.id,
                refused(ErrorCode::NotApprover, text.to_owned()),
            ));
        }
        scopes::may_repeat(&entry)?;
        let Some(folder) = self.0.own.rules() else {
            let text = "the warden was given one policy file, which is read alone: add the rule there \
                        (`clawrden policy suggest` tells which)";
            return Err(bad(text.to_owned()));
        };
        let path =
            folder.join(format!("approved-{}.yaml", entry.id.get(..16).unwrap_or(&entry.id)));
        let name = path.display().to_string();
        let (rule, wider) = self.smallest(&entry, &actor.who).map_err(bad)?;
        if request.rule.as_ref().is_some_and(|shown| *shown != rule) {
            let text = format!(
                "the policy has changed, and the rule would be another by now; look again:\n{rule}"
            );
            return Err(refused(ErrorCode::Conflict, text));
        }
        let text = rule_file(
            &format!(
                "# Approved for always, for request {}: the ledger has who and why (rule_added).",
                entry.id
            ),
            &rule,
        );
        self.would_hold(&entry, &name, &text)
            .map_err(|why| bad(format!("{why}; the rule would be\n{rule}")))?;
        let answer = RuleAnswer { rule, file: name, wider, written: false, approved: false };
        if request.dry_run {
            return Ok(answer);
        }
        let id = entry.id.parse().map_err(|_| bad(format!("{:?} is no id", entry.id)))?;
        let added = RuleAdded {
            entry: Some(id),
            file: answer.file.clone(),
            rule: answer.rule.clone(),
            by: actor.who.clone(),
            channel: actor.channel.to_owned(),
            from: actor.from.clone(),
            reason: request.reason.clone().filter(|reason| !reason.is_empty()),
        };
        self.write_rule(added, &path, &text)?;
        let body = AnswerRequest { reason: request.reason, ..AnswerRequest::default() };
        let approved = self.answer(actor, &entry.id, Verdict::Approve, body).is_ok();
        Ok(RuleAnswer { written: true, approved, ..answer })
    }

    /// The smallest rule that allows it, and what else that takes.
    fn smallest(&self, entry: &QueueEntry, who: &str) -> Result<(String, String), String> {
        let answer = Answer { approved: true, by: who.to_owned(), reason: None, kept: false };
        let past = Past {
            argv: entry.argv.clone(),
            cwd: entry.cwd.clone(),
            jail: entry.jail.clone(),
            uid: entry.caller.uid,
            gid: entry.caller.gid,
            was: Action::Ask,
            answer: Some(answer),
        };
        let sourced = self.0.own.sourced();
        let policy = Policy::from_sources(sourced.files()).map_err(|error| error.to_string())?;
        let mut found = policy.suggest(&[past], 1, false);
        let rules = found.rules.drain(..).find(|rule| rule.action == Action::Allow);
        if let Some(rule) = rules {
            return Ok((rule.yaml, rule.wider));
        }
        let why = found.left.into_iter().next().map(|left| left.why);
        let why = why.unwrap_or_else(|| "the policy does not ask about it by now".to_owned());
        Err(format!("there is no rule for it: {why}"))
    }

    /// Whether the rule would be in force for this request.
    fn would_hold(&self, entry: &QueueEntry, name: &str, text: &str) -> Result<(), String> {
        let jail = JailName::new(&entry.jail).map_err(|error| error.to_string())?;
        let jail = self.0.jails.get(&jail).ok_or("its jail is gone")?;
        let brought = match &jail.origin {
            Origin::Own => None,
            Origin::Brought(brought) if brought.policy.is_some() => {
                return Err(
                    "its jail was brought a policy of its own, which no rule of the host widens"
                        .to_owned(),
                );
            }
            Origin::Brought(brought) => brought.repository.clone(),
        };
        let sourced = self.0.own.sourced();
        let added = Source::new(Layer::Rules, name, text);
        let mut files: Vec<Source> = sourced.files().to_vec();
        // In the order of their names, as they are read.
        let at = files
            .iter()
            .position(|file| file.layer == Layer::Rules && *file.name > *name)
            .unwrap_or(files.len());
        files.insert(at, added);
        files.extend(brought);
        let policy = Policy::from_sources(&files).map_err(|error| error.to_string())?;
        let request = HistoryEntry {
            argv: entry.argv.clone(),
            cwd: entry.cwd.clone(),
            jail: entry.jail.clone(),
            caller: entry.caller.clone(),
            ..HistoryEntry::default()
        };
        let decision = what_if::judge(&policy, &request);
        let by = decision.rule.as_ref();
        if decision.action != Action::Allow || by.is_none_or(|rule| &*rule.file != name) {
            let by = by.map_or_else(|| "the policy".to_owned(), ToString::to_string);
            return Err(format!(
                "it would not be in force: {by} comes before it and says {}; put it there by hand",
                decision.action
            ));
        }
        if decision.executor.as_str() != entry.executor || decision.run_as.is_some() {
            return Err("it would run somewhere else by it".to_owned());
        }
        if let Some(lint) = policy.lint().into_iter().find(|lint| &*lint.rule.file == name) {
            return Err(format!("the policy's lint is against it: {}", lint.message));
        }
        Ok(())
    }

    /// Writes a rule into a file of its own, recorded before it is there, and puts it in force; what cannot be is taken away
    /// again.
    pub(super) fn write_rule(
        &self,
        added: RuleAdded,
        path: &Path,
        text: &str,
    ) -> Result<(), ErrorBody> {
        let by = added.by.clone();
        let failed = |error: io::Error| {
            let text = format!("{}: the rule cannot be written: {error}", path.display());
            refused(ErrorCode::Internal, text)
        };
        let folder = path.parent().unwrap_or(Path::new("/"));
        if let Err(error) = fs::DirBuilder::new().mode(0o755).create(folder)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(failed(error));
        }
        check_writers(folder).map_err(|error| refused(ErrorCode::BadPolicy, error.to_string()))?;
        // Nobody reads what begins with a dot.
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let fresh = folder.join(format!(".{name}.fresh"));
        let _ = fs::remove_file(&fresh);
        let written = || -> io::Result<()> {
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o644).open(&fresh)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        let recorded = written().map_err(failed).and_then(|()| {
            self.0.ledger.append(&[Record::RuleAdded(added)]).map(|_| ()).map_err(|error| {
                refused(ErrorCode::LedgerUnavailable, format!("nothing is written: {error}"))
            })
        });
        // One that is there already stays what it is.
        let linked = recorded.and_then(|()| fs::hard_link(&fresh, path).map_err(failed));
        let _ = fs::remove_file(&fresh);
        linked?;
        let kept = fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed);
        let in_force = kept.and_then(|()| self.0.reload_asked(&by));
        if let Err(error) = in_force {
            let _ = fs::remove_file(path);
            let _ = self.0.reload_asked(&by);
            return Err(error);
        }
        Ok(())
    }
}

/// The text of a file that has this rule alone, behind a comment of a line.
pub(super) fn rule_file(comment: &str, rule: &str) -> String {
    let lines: String = rule.lines().map(|line| format!("  {line}\n")).collect();
    format!("{comment}\n# Remove this file to be asked again.\nrules:\n{lines}")
}
