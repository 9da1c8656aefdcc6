//! The decision step: the only place where a plan becomes one that may run.
//!
//! [`Approved`] cannot be made anywhere else, and executors take nothing else: the compiler refuses a way around.

mod waiting;

use std::sync::{Arc, LazyLock};

use clawrden_policy::{
    Action, Bounds, Decision, Executor, Ghost, Notice, Policy, Recorded, Recording, RuleId, Timeout,
};

use crate::again::Case;
use crate::approvals::Loan;
use crate::caller::Caller;
use crate::ledger::{Id, RequestId};
use crate::plan::{Contents, HostError, Identity, Plan, PlanError, Root, Sight, Workers};

/// What it denies is a disaster, whoever else asks about it or allows it. Made by whoever first needs it, on a thread that
/// may take its time.
static STOCK: LazyLock<Policy> = LazyLock::new(Policy::stock);

/// A plan with what the policy says of it.
#[derive(Debug)]
pub(crate) struct Judged {
    plan: Box<Plan>,
    decision: Decision,
    /// For judging it again, once it waits.
    case: Option<Arc<Case>>,
    /// What its files held when a person was asked.
    contents: Option<Contents>,
    /// In a dry run: it runs whatever was decided.
    let_through: bool,
}

/// What follows from a judgement.
#[derive(Debug)]
#[must_use = "a verdict that nobody acts on leaves the caller waiting"]
pub(crate) enum Verdict {
    /// It may run; in a dry run, also what the policy does not allow.
    Allow(Approved),
    /// A person has to be asked.
    Ask(Judged),
    /// It does not run.
    Deny(Judged),
}

/// A plan that may run: allowed by the policy, by a person whom the policy says to ask, or let through by a dry run.
#[derive(Debug)]
pub(crate) struct Approved {
    plan: Box<Plan>,
    executor: Executor,
    ghost: Option<Arc<Ghost>>,
    supervised: bool,
    record: Option<Recording>,
    rule: Option<RuleId>,
    timeout: Timeout,
    bounds: Option<Arc<Bounds>>,
    /// The person's word, where it took one.
    loan: Option<Loan>,
}

impl Judged {
    fn new(plan: Box<Plan>, decision: Decision) -> Self {
        Self { plan, decision, case: None, contents: None, let_through: false }
    }

    /// The same for a request of any size: one so large that judging it would keep others waiting is judged beside
    /// the event loop. `hardens` is asked about what would run in the prisoner.
    ///
    /// # Errors
    /// When it takes too long there.
    pub(crate) async fn of(
        plan: Box<Plan>,
        sight: Sight<'_>,
        hardens: impl Fn(&Plan) -> bool,
    ) -> Result<Self, PlanError> {
        let judged = Self::beside(plan, sight.workers).await?;
        let (plan, decision) = (&judged.plan, &judged.decision);
        let wanted = decision.run_as.is_some() && decision.action != Action::Deny;
        // What the caller has not, the warden's host may have.
        let unknown = plan.tool.is_none() && plan.judges.runs_as_others();
        let judged =
            if wanted || unknown { Box::pin(judged.on_host(sight)).await? } else { judged };
        let judged = judged.settled(hardens).with_doubt();
        match sight.disasters {
            Some(disasters) => Box::pin(judged.in_dry_run(disasters, sight.workers)).await,
            None => Ok(judged),
        }
    }

    /// Lets through what is no disaster and takes nothing but the prisoner's own authority. Everything else is decided
    /// as ever.
    async fn in_dry_run(
        mut self,
        disasters: &Arc<Policy>,
        workers: &Workers,
    ) -> Result<Self, PlanError> {
        let decision = &self.decision;
        let is_own = decision.executor == Executor::Mirror && decision.run_as.is_none();
        if decision.action == Action::Allow || !is_own {
            return Ok(self);
        }
        if self.plan.is_small()
            && let Some(found) = self.plan.with_facts_at_hand(|facts| disasters.decide(facts))
        {
            self.let_through = found.action != Action::Deny;
            return Ok(self);
        }
        let disasters = Arc::clone(disasters);
        workers
            .run(move || {
                let found = self.plan.with_facts(|facts| disasters.decide(facts));
                self.let_through = found.action != Action::Deny;
                self
            })
            .await
    }

    /// A command that runs as somebody else does so on the warden's host, or not at all; and nothing is handed off where
    /// the prisoner runs nothing itself.
    fn settled(mut self, hardens: impl Fn(&Plan) -> bool) -> Self {
        let host = self.plan.on_host.as_ref();
        if self.decision.run_as.is_some() != host.is_some_and(|host| host.user.is_some())
            && self.decision.action != Action::Deny
        {
            self.decision = refused(self.decision, ELSEWHERE);
        }
        if self.decision.action != Action::Deny
            && let Some(why) = self.unlocked(hardens)
        {
            self.decision = refused(self.decision, &why);
        }
        if let Some(ghost) = &self.decision.ghost {
            // A person approves what a ghost gets along with the command.
            self.plan.identity = self.plan.identity.within(&format!("{ghost:?}"));
        }
        self
    }

    /// Why it does not run, if `hardens` says that the prisoner runs nothing itself and this is what it would do.
    pub(crate) fn unlocked(&self, hardens: impl Fn(&Plan) -> bool) -> Option<String> {
        let tool = self.plan.tool.as_ref().filter(|tool| !tool.locked)?;
        if self.decision.executor != Executor::Mirror
            || self.plan.invocation.only_judged()
            || !hardens(&self.plan)
        {
            return None;
        }
        let path = String::from_utf8_lossy(&tool.path);
        Some(format!(
            "the jail or the container is hardened, where the prisoner runs nothing itself, and {path} is not locked \
             away; make the image with `clawrden harden --lock`, or give the rule `executor: ghost`"
        ))
    }

    /// Says of what is not simply allowed that the caller's container is not known, where a rule may have looked at it;
    /// and of what no rule speaks of that the caller is not seen.
    fn with_doubt(mut self) -> Self {
        if self.decision.action != Action::Allow
            && let Err(why) = self.plan.caller.container.known()
            && self.plan.judges.name_containers()
        {
            let reason = std::mem::take(&mut self.decision.reason);
            self.decision.reason = format!("{reason}; rules look at the container, and {why}");
        } else if self.decision.action == Action::Deny
            && self.decision.rule.is_none()
            && self.plan.caller.is_unseen()
        {
            let reason = std::mem::take(&mut self.decision.reason);
            self.decision.reason = format!("{reason}; {}", PlanError::CallerUnseen);
        }
        self
    }

    /// Judges once more, by what the request means on the warden's host. Both judgements must agree on who runs it
    /// there; the stricter one holds.
    async fn on_host(self, sight: Sight<'_>) -> Result<Self, PlanError> {
        let Self { mut plan, decision: first, .. } = self;
        let judged = Self::new;
        let is_meant = plan.tool.is_some() || first.run_as.is_some();
        let moved = plan.move_to_host(sight.kinds, sight.workers).await;
        if let Err(error) = moved {
            return off_host(judged(plan, first), is_meant, error);
        }
        let Self { mut plan, decision: second, .. } = Self::beside(plan, sight.workers).await?;
        let user =
            second.run_as.clone().filter(|user| !is_meant || first.run_as.as_ref() == Some(user));
        let Some(user) = user else {
            plan.stay_with_caller();
            return Ok(judged(plan, first));
        };
        let (mut decision, other) = if is_meant && first.action > second.action {
            (first, second)
        } else {
            (second, first)
        };
        decision.wants_also(&other);
        if decision.action == Action::Deny {
            return Ok(judged(plan, decision));
        }
        match plan.become_user(user, sight.workers).await {
            Ok(()) => Ok(judged(plan, decision)),
            Err(error) => off_host(judged(plan, decision), true, error),
        }
    }

    /// Judges `plan` by the policies that it was frozen with: at once where that keeps nobody waiting.
    async fn beside(plan: Box<Plan>, workers: &Workers) -> Result<Self, PlanError> {
        if plan.is_small()
            && let Some(decision) = plan.with_facts_at_hand(|facts| plan.judges.decide(facts))
        {
            return Ok(Self::new(plan, decision));
        }
        let judge = move || {
            let decision = plan.with_facts(|facts| plan.judges.decide(facts));
            Self::new(plan, decision)
        };
        workers.run(judge).await
    }

    /// Whether nobody but the host's own policy asks, and it is no disaster: the ceilings over all policies would let it
    /// through, and so would the stock policy.
    ///
    /// # Errors
    /// When it takes too long.
    pub(crate) async fn is_ordinary(
        self: Box<Self>,
        workers: &Workers,
    ) -> Result<(Box<Self>, bool), PlanError> {
        let look = move || {
            let is_ordinary = self.plan.with_facts(|facts| {
                self.plan.judges.ceilings_let(facts) && STOCK.decide(facts).action != Action::Deny
            });
            (self, is_ordinary)
        };
        workers.run(look).await
    }

    /// Which of these patterns take it.
    ///
    /// # Errors
    /// When it takes too long.
    pub(crate) async fn taken_by(
        self: Box<Self>,
        patterns: Vec<(Id, String)>,
        workers: &Workers,
    ) -> Result<(Box<Self>, Vec<Id>), PlanError> {
        if patterns.is_empty() {
            return Ok((self, Vec::new()));
        }
        // Each is read as a policy is.
        let look = move || {
            let is_taken = |text: &str| {
                let Some(all) = self.plan.judges.patterns(text) else { return false };
                self.plan.with_facts(|facts| all.iter().all(|one| one.takes(facts)))
            };
            let taken = patterns.into_iter().filter(|(_, text)| is_taken(text));
            let taken = taken.map(|(entry, _)| entry).collect();
            (self, taken)
        };
        workers.run(look).await
    }

    /// Takes the way that the decision says.
    pub(crate) fn verdict(self) -> Verdict {
        match self.decision.action {
            _ if self.let_through => Verdict::Allow(self.approved()),
            Action::Allow => Verdict::Allow(self.approved()),
            Action::Ask => Verdict::Ask(self),
            Action::Deny => Verdict::Deny(self),
        }
    }

    /// Turns an `ask` that a person has consented to into a plan that may run, and takes the consent with it. A
    /// decision other than `ask`, or a consent to something else, makes none.
    pub(crate) fn consented(self, loan: Loan) -> Result<Approved, Loan> {
        let asked = self.decision.action == Action::Ask && loan.covers(&self.identity());
        if asked { Ok(Approved { loan: Some(loan), ..self.approved() }) } else { Err(loan) }
    }

    fn approved(self) -> Approved {
        let Decision { executor, ghost, supervised, record, rule, timeout, bounds, .. } =
            self.decision;
        let (plan, loan) = (self.plan, None);
        Approved { plan, executor, ghost, supervised, record, rule, timeout, bounds, loan }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Tells identical requests, for a person's answer: with what their files hold, and where and as whom they run.
    pub(crate) fn identity(&self) -> Identity {
        self.in_place(self.plan.identity)
    }

    /// The same but for its words: what an answer to a pattern is for. `None` where what it gets in a ghost would be lost.
    pub(crate) fn frame(&self) -> Option<Identity> {
        self.decision.ghost.is_none().then(|| self.in_place(self.plan.frame()))
    }

    fn in_place(&self, identity: Identity) -> Identity {
        let Decision { executor, run_as, .. } = &self.decision;
        let place = format!("{} {run_as:?}", executor.as_str());
        let identity = identity.within(&place);
        let contents = self.contents.as_ref();
        contents.map_or(identity, |held| identity.within(&held.mark()))
    }

    /// SHA-256 of the file that will run, in hex, where it was read.
    pub(crate) fn sha256(&self) -> Option<String> {
        self.contents.as_ref()?.executable()
    }

    /// It is the request `id` that comes again on another connection.
    pub(crate) fn goes_on_as(&mut self, id: RequestId) {
        self.plan.id = id;
    }

    /// A person was asked about it before, so a person is still to answer, whatever a later policy would allow.
    pub(crate) fn stays_asked(&mut self) {
        if self.decision.action == Action::Allow {
            self.decision.action = Action::Ask;
        }
    }

    pub(crate) fn decision(&self) -> &Decision {
        &self.decision
    }

    /// Whether a dry run lets it run although the policy does not allow it.
    pub(crate) fn is_let_through(&self) -> bool {
        self.let_through
    }

    /// The rule as it is shown, empty where none gave the decision.
    pub(crate) fn rule(&self) -> String {
        self.decision.rule.as_ref().map_or_else(String::new, ToString::to_string)
    }

    /// What weighed on the decision, one phrase each.
    pub(crate) fn noticed(&self) -> Vec<String> {
        let phrase = |notice: &Notice| match notice {
            Notice::ChangedVariable(name) => {
                format!(
                    "{} differs from what the prisoner was started with",
                    String::from_utf8_lossy(name)
                )
            }
            Notice::Overmatched(rule) => {
                format!("{rule} matches only if its pattern is read widely")
            }
        };
        let mut noticed: Vec<String> = self.decision.noticed.iter().map(phrase).collect();
        if let Some(ghost) = &self.decision.ghost {
            noticed.push(format!("its ghost is made from the image {}", ghost.image.image));
            let network = ghost.image.network.as_ref();
            noticed.extend(network.map(|name| format!("its ghost may use the network {name}")));
            noticed.extend(ghost.secrets.iter().map(|secret| {
                format!("it gets the secret {}, and so does any code that it runs", secret.name)
            }));
        }
        noticed.extend(self.decision.record.map(|wanted| match wanted.what {
            Recorded::Output => "what it shows is recorded".to_owned(),
            Recorded::Session => "what it shows and what is typed is recorded".to_owned(),
        }));
        if self.plan.invocation.only_judged() {
            noticed.push(
                "an agent's hook asks: the agent runs it by itself, and its end is not recorded"
                    .to_owned(),
            );
        } else if self.plan.caller.is_unseen()
            && (self.decision.executor != Executor::Ghost || self.decision.record.is_some())
        {
            noticed.push(format!("an approval runs nothing: {}", PlanError::CallerUnseen));
        }
        noticed
    }
}

/// What becomes of a request that cannot run on the warden's host: refused, or left where it is.
fn off_host(mut judged: Judged, wanted: bool, error: HostError) -> Result<Judged, PlanError> {
    judged.plan.stay_with_caller();
    match error {
        HostError::Plan(error) => Err(error),
        error if wanted => {
            Ok(Judged { decision: refused(judged.decision, &error.to_string()), ..judged })
        }
        _ => Ok(judged),
    }
}

/// What a request is told that the two judgements of [`Judged::on_host`] do not agree on.
const ELSEWHERE: &str =
    "by `run_as` it would run on the warden's host, and there it is another command to the policy";

fn refused(mut decision: Decision, why: &str) -> Decision {
    decision.action = Action::Deny;
    why.clone_into(&mut decision.reason);
    decision.suggest = None;
    decision
}

impl Approved {
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn executor(&self) -> Executor {
        self.executor
    }

    /// What its ghost is made of, where it is to run in one.
    pub(crate) fn ghost(&self) -> Option<&Arc<Ghost>> {
        self.ghost.as_ref()
    }

    /// Whether the warden stays with what is mirrored.
    pub(crate) fn is_supervised(&self) -> bool {
        self.supervised
    }

    /// What of it is recorded.
    pub(crate) fn recording(&self) -> Option<Recording> {
        self.record
    }

    /// The rule that decided, as it is shown, to be kept.
    pub(crate) fn rule(&self) -> Option<Arc<str>> {
        self.rule.as_ref().map(|rule| Arc::clone(&rule.text))
    }

    /// The caller's root, where it is still held.
    pub(crate) fn take_root(&mut self) -> Option<Arc<Root>> {
        self.plan.root.take()
    }

    /// Who asked, once nothing else is needed of it.
    pub(crate) fn into_caller(self) -> Caller {
        self.plan.caller
    }

    pub(crate) fn timeout(&self) -> Timeout {
        self.timeout
    }

    /// What it is kept to.
    pub(crate) fn bounds(&self) -> Option<&Arc<Bounds>> {
        self.bounds.as_ref()
    }

    /// Whether a person's word lets it run.
    pub(crate) fn has_loan(&self) -> bool {
        self.loan.is_some()
    }

    /// The person's word that lets it run, where it took one. It goes back unless it is spent on a start.
    pub(crate) fn take_loan(&mut self) -> Option<Loan> {
        self.loan.take()
    }
}
