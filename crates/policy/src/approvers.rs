//! Approvers: whose word lets run what is asked, how many of them, and what else they owe.
//! It only ever asks for more: where several say something, all of them hold.

use std::sync::Arc;
use std::time::Duration;

/// What one rule wants before its `ask` may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approvers {
    /// People and groups, by the names that the warden's settings give them; empty is whoever may answer.
    pub from: Arc<[Arc<str>]>,
    /// How many different people have to say yes; at least 1.
    pub count: u32,
    /// A yes needs a reason.
    pub require_reason: bool,
    /// A yes by a chat is a wish: the person gives it on the web page or the command line.
    pub confirm_on_page: bool,
    /// What happens when too few of them can answer at all.
    pub on_none: OnNone,
    /// Who may answer as well when nobody has, the earliest first.
    pub escalate: Arc<[Escalation]>,
}

/// What happens to a request that nobody can answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnNone {
    /// It is denied at once.
    #[default]
    Deny,
    /// It waits for as long as a person has.
    Wait,
}

/// Others who may answer after a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// How long after the question.
    pub after: Duration,
    /// People and groups.
    pub to: Arc<[Arc<str>]>,
}

/// What a rule or `defaults` says of it; what is `None` is left unsaid.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) from: Option<Arc<[Arc<str>]>>,
    pub(crate) count: Option<u32>,
    pub(crate) require_reason: Option<bool>,
    pub(crate) confirm_on_page: Option<bool>,
    pub(crate) on_none: Option<OnNone>,
    pub(crate) escalate: Option<Arc<[Escalation]>>,
}

impl Said {
    /// Whether it asks for anything beside an answer.
    pub(crate) fn is_empty(&self) -> bool {
        self.from.is_none()
            && self.count.is_none()
            && !self.require_reason.unwrap_or_default()
            && !self.confirm_on_page.unwrap_or_default()
            && self.escalate.is_none()
    }

    /// Whether it says anything.
    pub(crate) fn is_said(&self) -> bool {
        !self.is_empty()
            || self.require_reason.is_some()
            || self.confirm_on_page.is_some()
            || self.on_none.is_some()
    }

    /// What holds for a rule that says this, with what `usual` says for what it leaves unsaid; `None` where anybody's yes
    /// will do.
    pub(crate) fn over(&self, usual: &Self) -> Option<Arc<Approvers>> {
        if self.is_empty() && usual.is_empty() {
            return None;
        }
        // Who and how many of them are one: a list without a number is one of these.
        let usual_count = usual.count.filter(|_| self.from.is_none());
        let from = self.from.as_ref().or(usual.from.as_ref());
        let wanted = Approvers {
            from: from.cloned().unwrap_or_default(),
            count: self.count.or(usual_count).unwrap_or(1),
            require_reason: self.require_reason.or(usual.require_reason).unwrap_or_default(),
            confirm_on_page: self.confirm_on_page.or(usual.confirm_on_page).unwrap_or_default(),
            on_none: self.on_none.or(usual.on_none).unwrap_or_default(),
            escalate: self
                .escalate
                .as_ref()
                .or(usual.escalate.as_ref())
                .cloned()
                .unwrap_or_default(),
        };
        (!wanted.is_nothing()).then(|| Arc::new(wanted))
    }
}

impl Approvers {
    fn is_nothing(&self) -> bool {
        self.from.is_empty()
            && self.count <= 1
            && !self.require_reason
            && !self.confirm_on_page
            && self.escalate.is_empty()
    }

    /// Every name that it says, of those who may answer and of those who may later.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.from.iter().chain(self.escalate.iter().flat_map(|step| step.to.iter()))
    }
}

/// Adds what is not wanted already.
pub(crate) fn add(
    wanted: &mut Vec<Arc<Approvers>>,
    more: impl IntoIterator<Item = Arc<Approvers>>,
) {
    for one in more {
        if !wanted.contains(&one) {
            wanted.push(one);
        }
    }
}
