//! What is recorded of a request.

use crate::approvals::Approval;
use crate::caller::Caller;
use crate::decision::Judged;
use crate::jails::Prisoner;
use crate::ledger::{self, Argv, Id, Record, RequestId};
use crate::plan::{Plan, Unplanned};

fn ledger_caller(caller: &Caller, prisoner: Option<&Prisoner>) -> ledger::Caller {
    ledger::Caller {
        uid: caller.uid,
        gid: caller.gid,
        pid: caller.pid,
        container: caller.container.container().map(|found| ledger::Container {
            id: found.id.clone(),
            name: found.name.clone(),
            image: found.image.clone(),
        }),
        prisoner: prisoner.map(|prisoner| prisoner.id.clone()),
    }
}

pub(super) fn requested(plan: &Plan) -> Record {
    let argv: Vec<&[u8]> = plan.invocation.argv().collect();
    Record::Requested(ledger::Requested {
        id: Id(plan.id),
        jail: plan.jail.name.to_string(),
        caller: ledger_caller(&plan.caller, plan.prisoner.as_deref()),
        argv: Argv::new(&argv),
        cwd: plan.cwd.as_ref().map(|cwd| lossy(&cwd.path)),
        executable: plan.tool.as_ref().map(|tool| lossy(&tool.resolved)),
        version: if plan.invocation.version_2() { 2 } else { 1 },
    })
}

/// A request that could not even be planned: what the client said is all there is.
pub(super) fn unplanned_record(id: RequestId, unplanned: &Unplanned) -> Record {
    let Unplanned { jail, prisoner, caller, invocation, .. } = unplanned;
    let argv: Vec<&[u8]> = invocation.argv().collect();
    Record::Requested(ledger::Requested {
        id: Id(id),
        jail: jail.name.to_string(),
        caller: ledger_caller(caller, prisoner.as_deref()),
        argv: Argv::new(&argv),
        cwd: None,
        executable: None,
        version: if invocation.version_2() { 2 } else { 1 },
    })
}

pub(super) fn failed(id: Id, error: String) -> Record {
    Record::Failed(ledger::Failed { id, error })
}

/// A denial by other means than the policy's decision.
pub(crate) fn denied(id: Id, rule: Option<String>, reason: String) -> Record {
    Record::Decided(ledger::Decided {
        id,
        decision: "deny".to_owned(),
        rule,
        reason,
        suggest: None,
        noticed: Vec::new(),
        let_through: false,
        executor: String::new(),
        run_as: None,
    })
}

pub(super) fn grant_used(id: Id, approval: &Approval) -> Record {
    Record::GrantUsed(ledger::Answered {
        from: approval.answered_from().map(str::to_owned),
        reason: approval.reason.clone(),
        scope: approval.scope.repeats().then(|| approval.scope.word().to_owned()),
        holds_until_ms: approval.scope.repeats().then(|| approval.kept_until_ms()),
        and_what_it_starts: approval.and_what_it_starts,
        inherited_from: approval.inherited.as_ref().map(|bequest| bequest.from),
        pattern: approval.pattern.clone(),
        ..ledger::Answered::new(id, approval.entry, &approval.who, &approval.channel)
    })
}

pub(super) fn decided(judged: &Judged) -> Record {
    let decision = judged.decision();
    Record::Decided(ledger::Decided {
        id: Id(judged.plan().id),
        decision: decision.action.as_str().to_owned(),
        rule: decision.rule.as_ref().map(ToString::to_string),
        reason: decision.reason.clone(),
        suggest: decision.suggest.as_ref().map(ToString::to_string),
        noticed: ledger::names(judged.noticed()),
        let_through: judged.is_let_through(),
        executor: match judged.plan().invocation.only_judged() {
            true => String::new(),
            false => decision.executor.as_str().to_owned(),
        },
        run_as: decision.run_as.as_ref().map(ToString::to_string),
    })
}

pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
