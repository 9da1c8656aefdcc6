//! What a person is asked about a command, and what helps to judge it.

use std::sync::Arc;

use clawrden_api::{QueueContext, display};

use super::caller_key;
use super::records::lossy;
use crate::approvals::{self, Ask, Details, Life};
use crate::context;
use crate::decision::Judged;
use crate::ledger::Id;
use crate::plan::Plan;
use crate::redaction;
use crate::shown::cut;
use crate::warden::Warden;

/// Arguments that an entry of the queue shows at most; the ledger has more.
pub(super) const SHOWN_BYTES: usize = 16 * 1024;

/// What helps a person to judge it.
#[derive(Default)]
pub(super) struct About {
    context: QueueContext,
    warnings: Vec<String>,
}

/// Looks at it. What surrounds it is looked up only if a person is going to see it: what has its answer, or waits already,
/// is not kept waiting for that.
pub(super) async fn about(
    warden: &Arc<Warden>,
    judged: &Judged,
    life: Option<&Life>,
    shown: &Shown,
) -> About {
    let jail = judged.plan().jail.name.as_str();
    let context = async {
        let wants = approvals::wants(&judged.decision().approvers);
        if !warden.approvals.opens(&judged.identity(), life, (jail, &wants)) {
            return QueueContext::default();
        }
        context::of(warden, judged, shown.is_exact.then(|| shown.argv.clone())).await
    };
    let warnings = async {
        if shown.argv.iter().all(|argument| argument.is_ascii()) {
            return Vec::new();
        }
        let argv = shown.argv.clone();
        let warnings = tokio::task::spawn_blocking(move || display::warnings(&argv));
        let unknown = |_| vec!["the command's letters could not be looked at".to_owned()];
        warnings.await.unwrap_or_else(unknown)
    };
    let (context, warnings) = tokio::join!(context, warnings);
    About { context, warnings }
}

pub(super) fn question(judged: &mut Judged, shown: Shown, about: About, life: Option<Life>) -> Ask {
    let case = Some(judged.keep_case());
    let exact = shown.is_exact.then(|| display::exact(&shown.argv));
    let plan = judged.plan();
    let decision = judged.decision();
    let mut caller: clawrden_api::Caller = (&plan.caller).into();
    caller.prisoner = plan.prisoner.as_ref().map(|prisoner| prisoner.id.clone());
    Ask {
        identity: judged.identity(),
        id: Id(plan.id),
        client: plan.invocation.client().map(Id),
        key: caller_key(&plan.caller),
        life,
        frame: None,
        by_pattern: Vec::new(),
        inherits: None,
        details: Details {
            jail: plan.jail.name.to_string(),
            caller,
            argv: shown.argv,
            exact,
            context: about.context,
            warnings: about.warnings,
            cwd: plan.meant_cwd().map(|cwd| clean(lossy(&cwd.path))),
            executable: plan.meant_tool().map(|tool| clean(lossy(&tool.resolved))),
            sha256: judged.sha256(),
            executor: decision.executor.as_str().to_owned(),
            only_judged: plan.invocation.only_judged(),
            run_as: decision.run_as.as_ref().map(ToString::to_string),
            rule: decision.rule.as_ref().map(ToString::to_string),
            reason: clean(decision.reason.clone()),
            suggest: decision.suggest.as_ref().map(ToString::to_string),
            noticed: judged.noticed().into_iter().map(clean).chain(shown.noticed).collect(),
            labels: plan.prisoner.as_ref().map(|p| p.labels.clone()).unwrap_or_default(),
        },
        case,
        wants: approvals::wants(&decision.approvers),
        nobody: None,
        timeout: decision.approval_timeout,
    }
}

/// An argument vector for a person.
pub(crate) struct Shown {
    pub(crate) argv: Vec<String>,
    /// It is all of it, as it was sent.
    is_exact: bool,
    /// What a person must know of what is hidden.
    noticed: Vec<String>,
}

/// Arguments that are named to a person, at most.
const MOST_NAMED: usize = 8;

/// The argument vector for a person: all of it, unless it is longer than `room` bytes or has secrets.
pub(super) fn shown(plan: &Plan, room: usize) -> Shown {
    let argv: Vec<&[u8]> = plan.invocation.argv().collect();
    let redacted = redaction::ours().argv(&argv);
    let is_exact = redacted.is_none() && argv.iter().all(|arg| std::str::from_utf8(arg).is_ok());
    let acting = redacted.iter().flat_map(|redacted| redacted.acting.iter().take(MOST_NAMED));
    let noticed = acting
        .map(|at| format!("argument {at}: what is hidden has characters that a shell acts on"));
    let noticed = noticed.collect();
    let argv = match &redacted {
        Some(redacted) => redacted.argv.iter().map(|arg| &**arg).collect(),
        None => argv,
    };
    let (argv, is_whole) = cut(argv.iter().map(|arg| (*arg, arg.len())), 0, room);
    Shown { argv, is_exact: is_exact && is_whole, noticed }
}

fn clean(text: String) -> String {
    redaction::ours().clean(text)
}
