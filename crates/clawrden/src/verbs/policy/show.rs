//! `clawrden policy show`: the text of a policy, a profile or a pack, to read or to start from.

use std::fmt::Write as _;
use std::path::Path;

use clawrden_api::{JailPolicy, PolicyInfo, PolicyLayer, display};
use clawrden_policy::{Policy, Source};
use serde::Serialize;

use super::Choice;
use crate::connection::ask;
use crate::elsewhere::AskWarden;
use crate::failure::{Failure, Outcome, done};
use crate::output::{count, print_answer, print_json};
use crate::when;

const EXAMPLES: &str = "\
Exit codes: those of every verb.

Examples:
  clawrden policy show                                  what a warden started here goes by
  clawrden policy show --profile ci > policy.yaml       a profile, to start from
  clawrden policy show pack:git                         a stock pack
  clawrden policy show --list                           what there is
  clawrden policy show --warden                         what is in force at a warden, jail by jail";

/// Print the text of a policy, a profile or a pack, or of what is in force at a warden
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// A pack, as `pack:git`
    #[arg(value_name = "pack:NAME", conflicts_with_all = ["policy", "profile", "list"])]
    pack: Option<String>,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    ask: AskWarden,
    /// List the profiles and packs
    #[arg(long, conflicts_with_all = ["policy", "profile"])]
    list: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Listed<'p> {
    profiles: Vec<&'p str>,
    packs: Vec<String>,
}

#[derive(Serialize)]
struct File<'s> {
    layer: String,
    name: &'s str,
    text: &'s str,
}

/// Runs the verb.
pub(super) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    if args.ask.is_meant() {
        args.ask.refuse(&[
            (args.pack.is_some(), "a pack"),
            (args.choice.named().is_some(), args.choice.named().unwrap_or_default()),
            (args.list, "--list"),
        ])?;
        return in_force(args.json, control);
    }
    if args.list {
        return list(args.json);
    }
    let files = match &args.pack {
        Some(wanted) => vec![pack(wanted)?],
        None => args.choice.files()?.1,
    };
    if args.json {
        let shown = files.iter().map(|Source { layer, name, text }| File {
            layer: layer.to_string(),
            name,
            text,
        });
        print_json(&shown.collect::<Vec<_>>())?;
        return done();
    }
    let mut text = String::new();
    for file in &files {
        if files.len() > 1 {
            let _ = writeln!(text, "# --- {}: {}", file.layer, file.name);
        }
        text.push_str(&file.text);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    print!("{text}");
    done()
}

/// The policy in force at a warden, and what judges in each of its jails.
fn in_force(json: bool, control: Option<&Path>) -> Outcome {
    let policy = ask(control, async |client| client.policy().await)?;
    print_answer(&policy, json, show_in_force)?;
    done()
}

fn show_in_force(policy: &PolicyInfo) {
    let now = when::now_ms();
    let head = |source: &str, fingerprint: &str, since_ms: u64, rules: usize| {
        let (source, fingerprint) = (display::text(source), display::text(fingerprint));
        let rules = count(rules, "rule", "rules");
        format!("{source}, {rules}, sha256 {fingerprint}, since {}", when::moment(since_ms, now))
    };
    let PolicyInfo { source, fingerprint, since_ms, rules, layers, jails } = policy;
    println!("# in force: {}", head(source, fingerprint, *since_ms, *rules));
    layers.iter().for_each(show_layer);
    for jail in jails {
        let JailPolicy { jail, source, fingerprint, since_ms, rules, held_back, brought } = jail;
        let of = head(source, fingerprint, *since_ms, *rules);
        println!("# jail {}: {of}", display::text(jail));
        if *held_back > 0 {
            let before = count(*held_back, "policy", "policies");
            println!("# {before} before it hold as well, for prisoners that live");
        }
        brought.iter().for_each(show_layer);
    }
}

/// A file of a policy. A repository's is the prisoner's own words.
fn show_layer(layer: &PolicyLayer) {
    println!("# --- {}: {}", display::text(&layer.layer), display::text(&layer.name));
    for line in layer.text.lines() {
        println!("{}", display::text(line));
    }
}

fn pack(wanted: &str) -> Result<Source, Failure> {
    let found = wanted.strip_prefix("pack:").and_then(Policy::pack);
    let text = found.ok_or_else(|| {
        let there_are: Vec<&str> = Policy::packs().collect();
        Failure::Usage(format!(
            "there is no {wanted:?}; write pack:NAME with one of {}",
            there_are.join(", ")
        ))
    })?;
    Ok(Source::new(clawrden_policy::Layer::Pack, wanted, text))
}

fn list(json: bool) -> Outcome {
    let packs = Policy::packs().map(|name| format!("pack:{name}")).collect();
    let listed = Listed { profiles: Policy::profiles().collect(), packs };
    print_answer(&listed, json, |listed| {
        println!("profiles  {}", listed.profiles.join(", "));
        println!("packs     {}", listed.packs.join(", "));
    })?;
    done()
}
