//! What `GET /metrics` and `GET /readyz` say of the warden. Every metric has its line in docs/operations.md.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clawrden_api::{ChannelStatus, ChatService, Trouble};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;

use super::Warden;
use crate::control::Readiness;
use crate::jails::{Jail, JailName};
use crate::metrics::{ANSWERS, DECISIONS, EXECUTORS, Family, Format, OUTCOMES, Page};

/// What every name begins with.
const PREFIX: &str = "clawrden";

/// The warden as it is looked at once.
struct Look(Arc<Warden>);

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Look").finish_non_exhaustive()
    }
}

impl Collector for Look {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(warden) = self;
        let page = &mut Page(encoder);
        let jails = warden.jails.all();
        warden.tell_itself(page)?;
        warden.tell_policy(page)?;
        tell_requests(page, &jails)?;
        warden.tell_rules(page)?;
        warden.tell_queue(page)?;
        warden.tell_channels(page)?;
        tell_runs(page, &jails)?;
        warden.tell_ledger(page)
    }
}

impl Warden {
    /// All metrics, written so. Looks at the queue and the registry, so it may wait for their locks.
    pub(super) fn metrics_page(self: &Arc<Self>, format: Format) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(Look(Arc::clone(self))));
        format.write(&registry)
    }

    /// Whether requests can be served. Looks at files, so it may block.
    pub(super) fn readiness(&self) -> Readiness {
        let mut readiness = Readiness::default();
        if *self.closing().borrow() {
            readiness.missing.push("the warden goes down".to_owned());
        }
        for (name, door) in self.doors().iter().filter(|(_, door)| !door.socket.is_in_place()) {
            let path = door.socket.path().display();
            readiness
                .missing
                .push(format!("the socket of jail {name} is not in its place, {path}"));
        }
        if self.jails.get(&JailName::default_jail()).is_none() {
            readiness.missing.push("no policy is in force".to_owned());
        }
        if let Some(fault) = self.ledger.fault() {
            readiness.missing.push(format!("the ledger cannot be written: {fault}"));
        }
        if let Some(fault) = self.own.status().error {
            let text = format!(
                "the policy's files do not load, and the policy before stays in force: {}",
                fault.message
            );
            readiness.notes.push(text);
        }
        if let Some(stopped) = self.switch.stopped() {
            readiness.notes.push(super::stopped_text(&stopped));
        }
        readiness
    }

    fn tell_itself(&self, page: &mut Page<'_>) -> fmt::Result {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        page.info("build", "The program", &version)?;
        let help = "When the warden started, in seconds since the epoch";
        page.gauge("start_time_seconds", help, seconds(self.started_ms))?;
        let help = "1 while what the policy asks or denies is recorded and let through";
        page.gauge("dry_run", help, u64::from(self.config.dry_run))?;
        let help = "1 while the kill switch is thrown for everything";
        page.gauge("stopped", help, u64::from(self.switch.stopped().is_some()))?;
        let help = "Jails and containers that the kill switch is thrown for alone";
        page.gauge("held", help, count(self.holds.all().len()))?;
        page.gauge("jails", "Jails", count(self.jails.all().len()))?;
        page.gauge("prisoners", "Prisoners of `clawrden run`", count(self.jails.prisoners().len()))
    }

    fn tell_policy(&self, page: &mut Page<'_>) -> fmt::Result {
        let status = self.own.status();
        let help = "1 while the policy's files do not load and the policy before stays in force";
        page.gauge("policy_refused", help, u64::from(status.error.is_some()))?;
        let help = "1 while the policy's files are read when they change";
        page.gauge("policy_watched", help, u64::from(status.watched))?;
        let help = "When the policy in force came into force, in seconds since the epoch";
        page.gauge("policy_loaded_time_seconds", help, seconds(status.since_ms))?;
        let help = "1 while the settings do not load and the people before go on answering";
        let is_refused = self.people.status().error.is_some();
        page.gauge("people_refused", help, u64::from(is_refused))?;
        let rules = self.own.sourced().policy.rule_count();
        page.gauge("policy_rules", "Rules of the policy in force", count(rules))?;
        let help =
            "Policies that were read, by what came of it; a refusal counts once for each cause";
        let mut loads = page.counters("policy_loads", help)?;
        loads.count([("result", "accepted")], self.metrics.accepted.get())?;
        loads.count([("result", "refused")], self.metrics.refused.get())
    }

    fn tell_rules(&self, page: &mut Page<'_>) -> fmt::Result {
        let help =
            "Decisions by the rule that gave them, since the policy in force came into force";
        let mut family = page.counters("rule_decisions", help)?;
        self.metrics.rules.each(|rule, action, times| {
            family.count([("rule", rule), ("decision", action.as_str())], times)
        })?;
        let help = "From a request that was read to the decision that a rule gave, what needs a person not included";
        let mut family = page.histograms("rule_decision_seconds", help)?;
        self.metrics.rules.each_time(|rule, took| family.took([("rule", rule)], took))
    }

    fn tell_queue(&self, page: &mut Page<'_>) -> fmt::Result {
        let waiting = self.approvals.waiting();
        let mut family = page.gauges("pending", "Requests that wait for a person")?;
        for (jail, waiting) in &waiting {
            family.value([("jail", jail)], waiting.entries)?;
        }
        let help = "How long the request has waited that waits for longest; 0 when none waits";
        let now = now_ms();
        let oldest = waiting.values().map(|waiting| now.saturating_sub(waiting.since_ms)).max();
        page.gauge("pending_oldest_seconds", help, seconds(oldest.unwrap_or(0)))?;
        let help = "Requests that were denied because nobody who may answer could";
        page.counter("no_approver", help, self.metrics.unanswerable.get())?;
        let mut family = page.gauges("bridges", "Bridges to chats by which people can answer")?;
        let mut bridges = self.bridges();
        bridges.retain(|bridge| bridge.reason.is_none());
        for service in ChatService::ALL {
            let there = bridges.iter().filter(|bridge| bridge.service == service).count();
            family.value([("service", service.as_str())], count(there))?;
        }
        let help = "How long callers waited for a person, by what came of it";
        let mut family = page.histograms("approval_wait_seconds", help)?;
        for (answer, times) in ANSWERS.iter().zip(&self.metrics.waits) {
            family.numbers([("answer", answer)], times)?;
        }
        Ok(())
    }

    fn tell_channels(&self, page: &mut Page<'_>) -> fmt::Result {
        let channels = self.channel_list().channels;
        if channels.is_empty() {
            return Ok(());
        }
        let connected = |it: &ChannelStatus| u64::from(it.connected);
        let help = "1 while a channel follows the warden, hears its service, and is taken there";
        tell_each(page.gauges("channel_connected", help)?, &channels, connected)?;
        let help = "1 for the reason for which a channel is not connected";
        let mut family = page.gauges("channel_trouble", help)?;
        for channel in &channels {
            for reason in Trouble::ALL {
                let (name, kind) = (&channel.name[..], &channel.kind[..]);
                let labels = [("channel", name), ("kind", kind), ("reason", reason.as_str())];
                family.value(labels, u64::from(channel.reason == Some(reason)))?;
            }
        }
        let help = "Messages of a channel that are to be posted, edited or replied to";
        tell_each(page.gauges("channel_outbox", help)?, &channels, |it| count(it.outbox))?;
        let help = "Messages that a channel's service took";
        count_each(page.counters("channel_sent", help)?, &channels, |it| it.sent)?;
        let help = "Times that a channel's service did not take a message";
        count_each(page.counters("channel_failures", help)?, &channels, |it| it.failed)?;
        let help = "Taps and commands of people that a channel heard";
        count_each(page.counters("channel_heard", help)?, &channels, |it| it.heard)?;
        let help = "Taps and commands that were not taken from them";
        count_each(page.counters("channel_refused", help)?, &channels, |it| it.refused)?;
        let help = "Times that a channel was started again because it had died";
        count_each(page.counters("channel_restarts", help)?, &channels, |it| it.restarts)
    }

    fn tell_ledger(&self, page: &mut Page<'_>) -> fmt::Result {
        let books = self.ledger.books();
        let status = self.ledger.status();
        let sequence = status.sequence;
        page.gauge("ledger_sequence", "The number of the ledger's newest line", sequence)?;
        let mut family = page.counters("ledger_records", "Records that were written")?;
        for (event, times) in books.written() {
            family.count([("event", event)], times)?;
        }
        let help = "How long writing to the ledger took";
        page.histogram("ledger_write_seconds", help, &books.time)?;
        let help = "Writes to the ledger that failed";
        page.counter("ledger_errors", help, books.errors.get())?;
        page.counter("ledger_bytes", "Bytes that were written to the ledger", books.bytes.get())?;
        let help = "How long it took to put on the disk what was written";
        page.histogram("ledger_sync_seconds", help, &books.syncs)?;
        let help = "Times that the disk did not take what was written";
        page.counter("ledger_sync_errors", help, books.sync_errors.get())?;
        let help = "Records that a command waited for to be on the disk";
        page.counter("ledger_awaited", help, books.awaited.get())?;
        let help = "Lines that are not on the disk yet";
        page.gauge("ledger_unsynced_records", help, sequence.saturating_sub(status.on_disk))?;
        page.counter("ledger_segments", "Segments that were closed", books.segments.get())?;
        page.counter("ledger_heads", "Heads that were signed", books.heads.get())?;
        let help = "Times that an anchor did not take a signed head";
        page.counter("ledger_anchor_errors", help, self.ledger.anchor_errors())?;
        let help = "How long nothing could be written to the ledger; 0 while it can";
        page.gauge("ledger_lag_seconds", help, books.lag().as_secs_f64())?;
        let help = "Records of the ledger that its index has not yet; history is slow while there are many";
        let behind = sequence.saturating_sub(self.index.status().sequence);
        page.gauge("index_lag_records", help, behind)
    }
}

fn tell_each(
    mut family: Family<'_>,
    channels: &[ChannelStatus],
    of: impl Fn(&ChannelStatus) -> u64,
) -> fmt::Result {
    channels.iter().try_for_each(|it| {
        family.value([("channel", &it.name[..]), ("kind", &it.kind[..])], of(it))
    })
}

fn count_each(
    mut family: Family<'_>,
    channels: &[ChannelStatus],
    of: impl Fn(&ChannelStatus) -> u64,
) -> fmt::Result {
    channels.iter().try_for_each(|it| {
        family.count([("channel", &it.name[..]), ("kind", &it.kind[..])], of(it))
    })
}

fn tell_requests(page: &mut Page<'_>, jails: &[Arc<Jail>]) -> fmt::Result {
    let mut family = page.counters("requests", "Commands that were asked for")?;
    for jail in jails {
        family.count([("jail", jail.name.as_str())], jail.requests())?;
    }
    let mut family = page.counters("decisions", "Decisions")?;
    for jail in jails {
        for action in DECISIONS {
            let times = jail.counts().decision(action).count();
            family.count([("jail", jail.name.as_str()), ("decision", action.as_str())], times)?;
        }
    }
    let help = "From a request that was read to its decision, what needs a person not included";
    let mut family = page.histograms("decision_seconds", help)?;
    for jail in jails {
        for action in DECISIONS {
            let times = jail.counts().decision(action);
            if times.count() > 0 {
                let labels = [("jail", jail.name.as_str()), ("decision", action.as_str())];
                family.numbers(labels, times)?;
            }
        }
    }
    Ok(())
}

fn tell_runs(page: &mut Page<'_>, jails: &[Arc<Jail>]) -> fmt::Result {
    let all = || {
        jails.iter().flat_map(|jail| {
            EXECUTORS.map(|executor| {
                (
                    ("jail", jail.name.as_str()),
                    ("executor", executor.as_str()),
                    jail.counts().runs(executor),
                )
            })
        })
    };
    let mut family = page.counters("commands_started", "Commands that were started")?;
    for (jail, executor, runs) in all() {
        family.count([jail, executor], runs.started.get())?;
    }
    let mut family = page.gauges("running", "Commands that run")?;
    for (jail, executor, runs) in all() {
        family.value([jail, executor], runs.running())?;
    }
    let mut family = page.counters("commands_finished", "Commands that ended, by how")?;
    for (jail, executor, runs) in all().filter(|(.., runs)| runs.started.get() > 0) {
        for (outcome, times) in OUTCOMES.iter().zip(&runs.outcomes) {
            family.count([jail, executor, ("outcome", outcome)], times.get())?;
        }
    }
    let mut family = page.histograms("command_seconds", "From start to end of a command")?;
    for (jail, executor, runs) in all().filter(|(.., runs)| runs.started.get() > 0) {
        family.numbers([jail, executor], &runs.time)?;
    }
    Ok(())
}

fn count(of: usize) -> u64 {
    u64::try_from(of).unwrap_or(u64::MAX)
}

/// Milliseconds in seconds. What is shown of them is exact to the millisecond for as long as it matters.
#[allow(clippy::cast_precision_loss)]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
