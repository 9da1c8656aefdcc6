//! `clawrden status`: for a person on call, the most urgent first.

use std::path::Path;

use clawrden_api::{
    BridgeStatus, EngineStatus, Held, IndexStatus, JailStatus, NoApprover, PolicyStatus,
    PrisonerStatus, Queue, Status, Stopped, display,
};

use crate::connection::ask;
use crate::failure::{Outcome, done};
use crate::output::{Tone, cell, count, paint, print_json, print_table, table};
use crate::when;

/// A prisoner that has asked nothing for so long may not be governed at all.
const SILENT_MS: u64 = 2 * 60 * 1000;
/// Waiting requests that are shown here; `clawrden queue` shows all.
const SHOWN: usize = 5;
/// Digits of a policy's fingerprint that are shown.
const SHOWN_DIGITS: usize = 16;

const EXAMPLES: &str = "\
Examples:
  clawrden status
  clawrden status -v
  clawrden status --json | jq .pending";

/// Show whether the warden runs, what waits, and who is governed
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Also what the kernel offers and what was chosen, and where everything lies
    #[arg(long, short)]
    verbose: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(crate) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    let (status, queue) = ask(control, async |client| {
        let status = client.status().await?;
        let queue = match status.pending {
            0 => Queue { entries: Vec::new(), next: None },
            _ if args.json => Queue { entries: Vec::new(), next: None },
            _ => client.queue().await?,
        };
        Ok((status, queue))
    })?;
    if args.json {
        print_json(&status)?;
        return done();
    }
    let now = when::now_ms();
    for (tone, line) in state(&status, now).into_iter().chain(troubles(&status, now)) {
        println!("{}", paint(tone, &line));
    }
    super::notify::channels(status.channels.iter().filter(|channel| !channel.connected));
    bridges(status.bridges.iter().filter(|bridge| bridge.reason.is_some()), now);
    warden(&status, now);
    pending(&queue, now);
    bridges(status.bridges.iter().filter(|bridge| bridge.reason.is_none()), now);
    super::notify::channels(status.channels.iter().filter(|channel| channel.connected));
    jails(&status, args.verbose);
    policy(&status.policy, now);
    prisoners(&status, now);
    ledger(&status);
    index(&status.index, args.verbose);
    engine(&status.engine);
    if args.verbose {
        println!("\nmethods");
        for (name, value) in &status.methods {
            println!("  {}: {}", display::text(name), display::text(value));
        }
    }
    for caution in &status.cautions {
        println!("\n{}", paint(Tone::Warn, &format!("caution: {}", display::text(caution))));
    }
    done()
}

/// Whether anything runs at all: the first thing that is said.
fn state(status: &Status, now: u64) -> Vec<(Tone, String)> {
    let mut lines = Vec::new();
    if let Some(Stopped { since_ms, by, paused }) = &status.stopped {
        let (since, by) = (when::moment(*since_ms, now), display::text(by));
        lines.push(match paused {
            false => format!("STOPPED since {since} by {by}: everything new is denied"),
            true => format!(
                "PAUSED since {since} by {by}: what ran is frozen, and everything new is denied"
            ),
        });
        let resume = if *paused { "lets it all go on" } else { "ends it" };
        lines.push(format!("`clawrden resume` {resume}"));
    }
    if let Some(error) = &status.ledger.error {
        let error = display::text(error);
        lines.push(format!("NOTHING RUNS: the ledger cannot be written: {error}"));
        let path = display::text(&status.ledger.path);
        let path = if path.is_empty() { "it".to_owned() } else { path };
        lines.push(format!("it goes on by itself as soon as {path} can be written again"));
    }
    if lines.is_empty() {
        return vec![(Tone::Good, "running".to_owned())];
    }
    lines.into_iter().map(|line| (Tone::Bad, line)).collect()
}

/// What is not as it should be, the most urgent first.
fn troubles(status: &Status, now: u64) -> Vec<(Tone, String)> {
    let mut lines = Vec::new();
    if status.dry_run {
        let text = "DRY RUN: what the policy asks or denies is recorded and let through, disasters excepted";
        lines.push(text.to_owned());
    }
    lines.extend(status.held.iter().map(|held| on_hold(held, now)));
    lines.extend(status.no_approver.as_ref().map(|last| nobody(last, now)));
    if let Some(error) = &status.policy.error {
        let since = when::moment(error.since_ms, now);
        lines.push(format!(
            "the policy's files do not load since {since}: the policy before stays in force (see below)"
        ));
    }
    if let Some(error) = &status.people.error {
        let since = when::moment(status.people.since_ms, now);
        lines.push(format!(
            "the settings do not load, and the people of {since} go on answering: {}",
            display::text(error)
        ));
    }
    lines.into_iter().map(|line| (Tone::Bad, line)).collect()
}

/// A jail or a container that is stopped alone.
fn on_hold(held: &Held, now: u64) -> String {
    let container = held.container.as_ref().map(|container| &container.name[..]);
    let what = match (&held.jail, container) {
        (Some(jail), _) => format!("jail {}", display::text(jail)),
        (None, container) => format!("container {}", display::text(container.unwrap_or("?"))),
    };
    let how = if held.stopped.paused { "PAUSED" } else { "STOPPED" };
    format!(
        "{what} is {how} since {} by {}; `{}` ends it",
        when::moment(held.stopped.since_ms, now),
        display::text(&held.stopped.by),
        super::kill::resume(held.jail.as_deref(), container),
    )
}

/// Requests that nobody could have answered: somebody has to be let in, or the policy put right.
fn nobody(last: &NoApprover, now: u64) -> String {
    let times = count(usize::try_from(last.count).unwrap_or(usize::MAX), "request", "requests");
    format!(
        "NOBODY COULD ANSWER: {times} denied for that since the start; the last {} in jail {} ({}): {}; `clawrden people` \
         lists who may",
        when::moment(last.last_ms, now),
        display::text(&last.jail),
        display::text(last.rule.as_deref().unwrap_or("the default action")),
        display::text(&last.why),
    )
}

fn warden(status: &Status, now: u64) {
    println!(
        "warden {}, pid {}, uid {}, up {}; {} running",
        display::text(&status.version),
        status.pid,
        status.uid,
        display::duration(now.saturating_sub(status.started_ms)),
        count(status.running, "command", "commands"),
    );
}

fn pending(queue: &Queue, now: u64) {
    let waiting = queue.entries.len();
    if waiting == 0 {
        println!("nothing waits for an answer");
        return;
    }
    let text = count(waiting, "request waits", "requests wait");
    println!("\n{}", paint(Tone::Warn, &format!("{text} for an answer")));
    let mut table = table(&["  ID", "AGE", "JAIL", "COMMAND"]);
    for entry in queue.entries.iter().take(SHOWN) {
        table.add_row([
            cell(Tone::Strong, &format!("  {}", entry.short)),
            cell(Tone::Warn, &display::age(entry.since_ms, now)),
            cell(Tone::Quiet, &display::text(&entry.jail)),
            cell(Tone::Strong, &display::command(&entry.argv)),
        ]);
    }
    print_table(&table);
    if waiting > SHOWN {
        println!("  and {} more: `clawrden queue`", waiting - SHOWN);
    }
}

/// The chats by which people can answer, and those by which they cannot.
fn bridges<'a>(bridges: impl Iterator<Item = &'a BridgeStatus>, now: u64) {
    for bridge in bridges {
        let by = bridge
            .token
            .as_ref()
            .map_or_else(String::new, |id| format!(", token {}", display::text(id)));
        let (service, since) = (bridge.service, when::moment(bridge.since_ms, now));
        match bridge.reason {
            None => println!("bridge to {service} hears it since {since}{by}"),
            Some(reason) => {
                let why = format!("does not hear it since {since}: {}", reason.said());
                println!("bridge to {service} {}{by}", paint(Tone::Bad, &why));
            }
        }
    }
}

fn jails(status: &Status, verbose: bool) {
    if status.jails.is_empty() {
        println!("\nno jails: `clawrden run` makes one");
        return;
    }
    println!();
    let mut table = table(&["JAIL", "REQUESTS", "PRISONERS", "POLICY"]);
    for jail in &status.jails {
        let mut policy = vec![display::text(&jail.policy)];
        if verbose {
            policy.push(format!("sha256 {}", display::text(&jail.policy_fingerprint)));
            policy.push(format!("intercom {}", display::text(&jail.socket)));
            policy.extend(jail.bin.as_ref().map(|bin| format!("shims {}", display::text(bin))));
        }
        table.add_row([
            cell(Tone::Strong, &display::text(&jail.name)),
            cell(Tone::Quiet, &jail.requests.to_string()),
            cell(Tone::Quiet, &jail.prisoners.len().to_string()),
            cell(Tone::Quiet, &policy.join("\n")),
        ]);
    }
    print_table(&table);
    for JailStatus { name, policies_held_back, .. } in &status.jails {
        if *policies_held_back > 0 {
            let text = format!(
                "jail {}: what the policy widened while its prisoners lived holds from the next run on",
                display::text(name)
            );
            println!("{}", paint(Tone::Warn, &text));
        }
    }
}

/// The policy that the warden serves with, and what is wrong with its files.
fn policy(policy: &PolicyStatus, now: u64) {
    // A warden of another version does not tell.
    if policy.source.is_empty() {
        return;
    }
    let fingerprint: String = policy.fingerprint.chars().take(SHOWN_DIGITS).collect();
    println!(
        "\npolicy {}, sha256 {}…, since {}{}",
        display::text(&policy.source),
        display::text(&fingerprint),
        when::moment(policy.since_ms, now),
        if policy.watched { "" } else { "; its files are not watched" },
    );
    if let Some(error) = &policy.error {
        let text = format!(
            "its files do not load since {}; the policy above stays in force",
            when::moment(error.since_ms, now)
        );
        println!("{}", paint(Tone::Bad, &text));
        for line in error.message.lines() {
            println!("  {}", display::text(line));
        }
    }
}

fn prisoners(status: &Status, now: u64) {
    if status.jails.iter().all(|jail| jail.prisoners.is_empty()) {
        return;
    }
    println!();
    let mut table = table(&["PRISONER", "JAIL", "UP", "REQUESTS", "COMMAND"]);
    for (jail, prisoner) in
        status.jails.iter().flat_map(|j| j.prisoners.iter().map(move |p| (j, p)))
    {
        let up = now.saturating_sub(prisoner.since_ms);
        let (tone, requests) = requests(prisoner, up);
        table.add_row([
            cell(Tone::Strong, &display::text(&prisoner.id)),
            cell(Tone::Quiet, &display::text(&jail.name)),
            cell(Tone::Quiet, &display::duration(up)),
            cell(tone, &requests),
            cell(Tone::Strong, &command(prisoner)),
        ]);
    }
    print_table(&table);
}

fn requests(prisoner: &PrisonerStatus, up_ms: u64) -> (Tone, String) {
    if prisoner.requests == 0 && up_ms >= SILENT_MS {
        return (Tone::Bad, "0: idle, or not governed".to_owned());
    }
    (Tone::Quiet, prisoner.requests.to_string())
}

fn command(prisoner: &PrisonerStatus) -> String {
    let mut text = display::command(&prisoner.command);
    for (name, value) in &prisoner.labels {
        text = format!("{text}\n{}={}", display::text(name), display::text(value));
    }
    if prisoner.unattended {
        text.push_str("\nunattended: every ask is denied");
    }
    text
}

fn ledger(status: &Status) {
    let ledger = &status.ledger;
    println!("\nledger {}, {} records", display::text(&ledger.path), ledger.sequence);
    if let Some(error) = &ledger.anchor_error {
        let text = format!("the newest head did not reach every anchor: {}", display::text(error));
        println!("{}", paint(Tone::Warn, &text));
    }
}

/// The ledger's index, where there is more to say than that it is as it should be.
fn index(index: &IndexStatus, verbose: bool) {
    let path = display::text(&index.path);
    let error = index.error.as_deref().map(display::text).unwrap_or_default();
    match &index.state[..] {
        "building" => {
            let why = if error.is_empty() { error } else { format!(" ({error})") };
            let percent = index.percent.unwrap_or(0);
            println!("index {percent} % built; history is slow until it is done{why}");
        }
        "off" => {
            let text = format!("no index, so history is slow: {error}");
            println!("{}", paint(Tone::Warn, text.trim_end_matches([':', ' '])));
        }
        "ready" if verbose => println!("index {path}, up to record {}", index.sequence),
        _ => {}
    }
}

/// The container engine. A warden of another version does not tell.
fn engine(engine: &EngineStatus) {
    if let Some(version) = &engine.version {
        let api = engine.api.as_deref().unwrap_or_default();
        println!(
            "engine {}, API {}, at {}",
            display::text(version),
            display::text(api),
            display::text(&engine.address)
        );
    } else if let Some(error) = &engine.error {
        println!("engine absent: {}", display::text(error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prisoner(requests: u64) -> PrisonerStatus {
        PrisonerStatus {
            id: "a".into(),
            pid: 1,
            command: vec!["agent".into()],
            labels: [("ticket".to_owned(), "A-1".to_owned())].into(),
            requests,
            since_ms: 0,
            unattended: true,
        }
    }

    #[test]
    fn a_silent_zero_is_pointed_out_once_it_has_lasted() {
        assert_eq!(requests(&prisoner(0), SILENT_MS - 1), (Tone::Quiet, "0".into()));
        assert_eq!(requests(&prisoner(0), SILENT_MS).0, Tone::Bad);
        assert_eq!(requests(&prisoner(3), SILENT_MS), (Tone::Quiet, "3".into()));
    }

    #[test]
    fn labels_and_being_unattended_stand_with_the_command() {
        let text = command(&prisoner(0));
        assert!(text.contains("ticket=A-1") && text.contains("unattended"), "{text}");
    }
}
