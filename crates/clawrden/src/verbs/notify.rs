//! `clawrden notify`: the channels by which people are told of what waits.

use std::path::Path;

use clawrden_api::{ChannelStatus, ChannelStep, Trouble, display};

use crate::connection::ask;
use crate::failure::{Failure, Outcome, done};
use crate::output::{Tone, cell, paint, print_answer, print_table, table};

const EXAMPLES: &str = "\
Channels stand in the section `notify` of the warden's settings; docs/chat.md says how.

Examples:
  clawrden notify
  clawrden notify test ops
  clawrden notify --json | jq '.channels[] | select(.connected | not)'";

/// List the channels by which people are told of what waits, and try them
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Try the whole way of a channel, step by step; it posts a message there
    #[command(after_help = "\
Examples:
  clawrden notify test ops
  clawrden notify test ops --json | jq '.steps[] | select(.failed)'")]
    Test {
        /// Its name
        channel: String,
    },
}

/// Runs the verb.
pub(crate) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    let Some(Verb::Test { channel }) = &args.verb else {
        let list = ask(control, async |client| client.channels().await)?;
        print_answer(&list, args.json, |list| show(&list.channels))?;
        return done();
    };
    let tested = ask(control, async |client| client.test_channel(channel).await)?;
    print_answer(&tested, args.json, |tested| show_steps(&tested.steps))?;
    if tested.went_well() {
        return done();
    }
    // It has been said.
    Err(Failure::Code { code: crate::failure::REFUSED, text: String::new() })
}

/// What was tried, step by step, and what came of it.
pub(crate) fn show_steps(steps: &[ChannelStep]) {
    for step in steps {
        let what = display::text(&step.what);
        match &step.failed {
            None => println!("{} {what}", paint(Tone::Good, "ok    ")),
            Some(why) => {
                println!("{} {what}\n       {}", paint(Tone::Bad, "FAILED"), display::text(why));
            }
        }
    }
}

fn show(channels: &[ChannelStatus]) {
    if channels.is_empty() {
        println!("no channels: the section `notify` of the warden's settings has them");
        return;
    }
    let mut table = table(&["CHANNEL", "KIND", "STATE", "TO SEND", "SENT", "HEARD", "REFUSED"]);
    for channel in channels {
        let (tone, state) = state(channel);
        table.add_row([
            cell(Tone::Strong, &display::text(&channel.name)),
            cell(Tone::Quiet, &display::text(&channel.kind)),
            cell(tone, &state),
            cell(Tone::Quiet, &channel.outbox.to_string()),
            cell(Tone::Quiet, &channel.sent.to_string()),
            cell(Tone::Quiet, &channel.heard.to_string()),
            cell(Tone::Quiet, &channel.refused.to_string()),
        ]);
    }
    print_table(&table);
}

fn state(channel: &ChannelStatus) -> (Tone, String) {
    let error = channel.error.as_deref().map(display::text);
    match (channel.connected, error, channel.reason) {
        (true, None, _) => (Tone::Good, "connected".to_owned()),
        (true, Some(error), _) => (Tone::Warn, format!("connected; {error}")),
        (false, None, None | Some(Trouble::Starting)) => {
            (Tone::Warn, "not connected yet".to_owned())
        }
        (false, None, Some(reason)) => (Tone::Bad, format!("not connected: {}", reason.said())),
        (false, Some(error), _) => (Tone::Bad, format!("not connected: {error}")),
    }
}

/// Channels in a status.
pub(crate) fn channels<'a>(channels: impl Iterator<Item = &'a ChannelStatus>) {
    for channel in channels {
        let (tone, state) = state(channel);
        let outbox = match channel.outbox {
            0 => String::new(),
            some => format!(", {some} to send"),
        };
        let (name, kind) = (display::text(&channel.name), display::text(&channel.kind));
        println!("channel {name} ({kind}) {}{outbox}", paint(tone, &state));
    }
}
