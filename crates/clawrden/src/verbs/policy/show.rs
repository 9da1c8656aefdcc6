//! `clawrden policy show`: the text of a policy, a profile or a pack, to read or to start from.

use std::fmt::Write as _;

use clawrden_policy::{Policy, Source};
use serde::Serialize;

use super::Choice;
use crate::failure::{Failure, Outcome};
use crate::output::print_json;
use crate::verbs::done;

const EXAMPLES: &str = "\
Exit codes: those of every verb.

Examples:
  clawrden policy show                                  what a warden started here goes by
  clawrden policy show --profile ci > policy.yaml       a profile, to start from
  clawrden policy show pack:git                         a stock pack
  clawrden policy show --list                           what there is";

/// Print the text of a policy, a profile or a pack
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// A pack, as `pack:git`
    #[arg(value_name = "pack:NAME", conflicts_with_all = ["policy", "profile", "list"])]
    pack: Option<String>,
    #[command(flatten)]
    choice: Choice,
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
pub(super) fn run(args: &Args) -> Outcome {
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
    if json {
        print_json(&listed)?;
        return done();
    }
    println!("profiles  {}", listed.profiles.join(", "));
    println!("packs     {}", listed.packs.join(", "));
    done()
}
