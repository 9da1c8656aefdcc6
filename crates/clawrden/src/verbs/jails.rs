//! `clawrden jails`: which jails there are, who is in them, and making and deleting them.

use std::path::Path;

use clawrden_api::{JailContainer, JailInfo, JailList, JailRequest, display};

use crate::connection::ask;
use crate::failure::{Outcome, done};
use crate::output::{Tone, cell, paint, print_answer, print_table, table};
use crate::when;

/// Digits of a container's id that are shown.
const SHOWN_DIGITS: usize = 12;

const EXAMPLES: &str = "\
A jail's folder is mounted into its containers at /run/clawrden, its shims at /clawrden/bin, both read-only. Containers
with the labels clawrden.enabled=true and clawrden.jail=NAME are found by themselves.

Examples:
  clawrden jails
  clawrden jails create agents --command npm,git,docker
  clawrden jails show agents
  clawrden jails delete agents";

/// List, make, show and delete jails
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a jail that stays until it is deleted
    #[command(after_help = "\
Examples:
  clawrden jails create agents --command npm,git,docker")]
    Create {
        /// Its name: a-z, 0-9, `_`, `.` and `-`, a letter or digit first
        name: String,
        /// A tool that gets a shim there; without one, those that the policy speaks of
        #[arg(long = "command", value_name = "TOOL", value_delimiter = ',')]
        commands: Vec<String>,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete a jail that nobody is in and that is not in the policy
    #[command(after_help = "\
Examples:
  clawrden jails delete agents")]
    Delete {
        /// Its name
        name: String,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one jail: its folders, tools and containers
    #[command(after_help = "\
Examples:
  clawrden jails show agents
  clawrden jails show agents --json | jq -r .folder")]
    Show {
        /// Its name
        name: String,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the verb.
pub(crate) fn run(args: Args, control: Option<&Path>) -> Outcome {
    match args.verb {
        None => {
            let list = ask(control, async |client| client.jails().await)?;
            print_answer(&list, args.json, show_all)?;
        }
        Some(Verb::Create { name, commands, json }) => {
            let request = JailRequest { name, commands };
            let made = ask(control, async |client| client.create_jail(&request).await)?;
            print_answer(&made, json, show)?;
        }
        Some(Verb::Show { name, json }) => {
            let jail = ask(control, async |client| client.jail(&name).await)?;
            print_answer(&jail, json, show)?;
        }
        Some(Verb::Delete { name, json }) => {
            let gone = ask(control, async |client| client.delete_jail(&name).await)?;
            print_answer(&gone, json, |gone| {
                println!("deleted jail {}", display::text(&gone.name));
            })?;
        }
    }
    done()
}

fn show_all(list: &JailList) {
    let mut table = table(&["JAIL", "FROM", "STATE", "CONTAINERS", "RUNS", "REQUESTS", "SHIMS"]);
    for jail in &list.jails {
        let (tone, state) = state(jail);
        let containers: Vec<String> = jail.containers.iter().map(container).collect();
        let shims = match &jail.bin {
            Some(bin) => format!("{}\n{}", jail.tools.len(), display::text(bin)),
            None => "none".to_owned(),
        };
        table.add_row([
            cell(Tone::Strong, &display::text(&jail.name)),
            cell(Tone::Quiet, &display::text(&jail.origin)),
            cell(tone, &state),
            cell(Tone::Strong, &containers.join("\n")),
            cell(Tone::Quiet, &jail.prisoners.to_string()),
            cell(Tone::Quiet, &jail.requests.to_string()),
            cell(Tone::Quiet, &shims),
        ]);
    }
    print_table(&table);
    for problem in &list.problems {
        println!("{}", paint(Tone::Bad, &display::text(problem)));
    }
}

fn show(jail: &JailInfo) {
    let (tone, state) = state(jail);
    println!(
        "jail {} ({}): {}",
        display::text(&jail.name),
        display::text(&jail.origin),
        paint(tone, &state)
    );
    println!("folder   {}", display::text(&jail.folder));
    match &jail.bin {
        Some(bin) => println!("shims    {}", display::text(bin)),
        None => println!("shims    none"),
    }
    println!("tools    {}", display::text(&jail.tools.join(" ")));
    println!("policy   {}", display::text(&jail.policy));
    println!("requests {}", jail.requests);
    println!("runs     {}", jail.prisoners);
    for one in &jail.containers {
        println!("container {}", container(one));
    }
}

fn state(jail: &JailInfo) -> (Tone, String) {
    match &jail.stopped {
        None => {
            (Tone::Good, if jail.hardened { "running, hardened" } else { "running" }.to_owned())
        }
        Some(stopped) => {
            let how = if stopped.paused { "PAUSED" } else { "STOPPED" };
            let since = when::moment(stopped.since_ms, when::now_ms());
            (Tone::Bad, format!("{how} since {since} by {}", display::text(&stopped.by)))
        }
    }
}

fn container(one: &JailContainer) -> String {
    let id: String = one.id.chars().take(SHOWN_DIGITS).collect();
    let mut text = format!("{} ({}) {}", display::text(&one.name), display::text(&id), one.state);
    if one.hardened {
        text.push_str(", hardened");
    }
    if !one.labelled {
        text.push_str(", without the label");
    }
    if let Some(stopped) = &one.stopped {
        text.push_str(if stopped.paused { ", PAUSED by kill" } else { ", STOPPED by kill" });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_told_on_one_harmless_line() {
        let text = container(&JailContainer {
            id: "ab".repeat(32),
            name: "agent\u{1b}[2J\n".to_owned(),
            state: "running".to_owned(),
            hardened: true,
            labelled: false,
            ..JailContainer::default()
        });
        assert!(text.contains("(abababababab) running, hardened, without the label"), "{text}");
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
}
