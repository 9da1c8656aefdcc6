//! `clawrden policy check`: whether files load, with every error of all of them at once.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clawrden_api::{PolicyCheckRequest, PolicyChecked, PolicyProblem, display};
use clawrden_policy::{Diagnostic, Layer, LoadError, MAX_POLICY_BYTES, Policy, Source};
use clawrden_warden::layers::{self, LayersError};
pub(super) use clawrden_warden::what_if::problems;
use serde::Serialize;

use super::{Files, STOCK};
use crate::bounded::read_bounded;
use crate::connection::{Connection, block_on, places};
use crate::elsewhere::AskWarden;
use crate::failure::{Failure, Outcome, REFUSED, chain};
use crate::output::{Tone, count, paint, print_json};

const EXAMPLES: &str = "\
Exit codes, besides those of every verb:
  0  every file loads
  1  at least one does not

Examples:
  clawrden policy check
  clawrden policy check policy.yaml rules.d/*.yaml
  clawrden policy check --warden candidate.yaml       in the place of a warden's own, under its ceiling
  clawrden policy check --json policy.yaml | jq '.files[].errors[].message'";

/// Check policy files: every error at once, with its line and what would be right
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    of: Files,
    #[command(flatten)]
    ask: AskWarden,
}

/// A file, and what came of loading it.
type Checked = (String, Result<Policy, LoadError>);

/// What a check found, for programs.
#[derive(Serialize)]
struct Report {
    ok: bool,
    files: Vec<File>,
}

#[derive(Serialize)]
struct File {
    file: String,
    ok: bool,
    rules: usize,
    errors: Vec<PolicyProblem>,
    /// Further errors, which are not listed.
    omitted: usize,
}

/// Runs the verb.
pub(super) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    let named = &args.of.files;
    if args.ask.is_meant() {
        return by_warden(named, args.of.json, control);
    }
    let checked: Vec<Checked> = match named.as_slice() {
        [] => own()?,
        files => {
            files.iter().map(|file| (file.display().to_string(), Policy::load(file))).collect()
        }
    };
    if named.is_empty() && !args.of.json {
        let names: Vec<&str> = checked.iter().map(|(name, _)| name.as_str()).collect();
        let line = format!("a warden that is started here would use {}", names.join(", "));
        println!("{}", paint(Tone::Quiet, &display::text(&line)));
    }
    let ok = checked.iter().all(|(_, found)| found.is_ok());
    if args.of.json {
        let files = checked.iter().map(|(name, found)| file(name, found)).collect();
        print_json(&Report { ok, files })?;
    } else {
        checked.iter().for_each(|(name, found)| show(name, found));
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

/// Has the warden load each of these files in the place of its own, in force nowhere.
fn by_warden(named: &[PathBuf], json: bool, control: Option<&Path>) -> Outcome {
    if named.is_empty() {
        let text =
            "name the files that the warden is to load; `clawrden status` tells whether its own do";
        return Err(Failure::Usage(text.to_owned()));
    }
    let connection = Connection::new(control)?;
    let mut files = Vec::new();
    for path in named {
        let name = path.display().to_string();
        let text = read_bounded(path, MAX_POLICY_BYTES)
            .map_err(|e| Failure::Usage(format!("the policy {name:?} cannot be read: {e}")))?;
        let request = PolicyCheckRequest { text };
        let checked = block_on(connection.client.check_policy(&request))?;
        let PolicyChecked { ok, rules, errors, omitted } = checked.map_err(Connection::failure)?;
        files.push(File { file: name, ok, rules, errors, omitted });
    }
    let ok = files.iter().all(|file| file.ok);
    if json {
        print_json(&Report { ok, files })?;
    } else {
        files.iter().for_each(show_by_warden);
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

fn show_by_warden(file: &File) {
    let name = display::text(&file.file);
    for PolicyProblem { file, line, column, message, help, .. } in &file.errors {
        let file = display::text(file.as_deref().unwrap_or_default());
        let at = match (line, column) {
            (Some(line), Some(column)) => format!("{file}:{line}:{column}: "),
            _ => String::new(),
        };
        println!("{} {at}{}", paint(Tone::Bad, "error:"), display::text(message));
        if !help.is_empty() {
            println!("  {}", display::text(help));
        }
    }
    if file.ok {
        let rules = count(file.rules, "rule", "rules");
        println!("{} {name}: {rules}, the warden's others included", paint(Tone::Good, "ok"));
        return;
    }
    let more = match file.omitted {
        0 => String::new(),
        omitted => format!(", {omitted} of them not shown"),
    };
    let errors = count(file.errors.len() + file.omitted, "error", "errors");
    println!("{} {name}: {errors}{more}", paint(Tone::Bad, "refused"));
}

/// What a warden that is started here and given no policy would read, each file by itself.
fn own() -> Result<Vec<Checked>, Failure> {
    let places = places()?;
    let unreadable = |e: LayersError| Failure::Refused(chain(&e));
    let host = layers::host(None, &places.policy(), &places.rules()).map_err(unreadable)?;
    let ceiling = layers::ceiling().map_err(unreadable)?;
    let checked = host.files.into_iter().chain(ceiling).map(|source| {
        let is_host = source.layer == Layer::Host;
        let name = if is_host && host.is_stock { STOCK.to_owned() } else { source.name.clone() };
        // What stands beside a policy is read beside one that says nothing.
        let beside = (!is_host).then(|| Source::new(Layer::Host, "", "rules: []"));
        let sources: Vec<Source> = beside.into_iter().chain([source]).collect();
        (name, Policy::from_sources(&sources))
    });
    Ok(checked.collect())
}

fn file(name: &str, found: &Result<Policy, LoadError>) -> File {
    File {
        file: name.to_owned(),
        ok: found.is_ok(),
        rules: found.as_ref().map_or(0, Policy::rule_count),
        errors: found.as_ref().err().map(problems).unwrap_or_default(),
        omitted: found.as_ref().err().map_or(0, LoadError::omitted),
    }
}

fn show(name: &str, found: &Result<Policy, LoadError>) {
    match found {
        Ok(policy) => {
            let rules = count(policy.rule_count(), "rule", "rules");
            println!("{} {}: {rules}", paint(Tone::Good, "ok"), display::text(name));
        }
        Err(error) => show_error(name, error),
    }
}

/// The errors of a file that does not load, for people.
pub(super) fn show_error(name: &str, error: &LoadError) {
    let shown = display::text(name);
    for found in error.diagnostics() {
        println!("{}\n", diagnostic(found));
    }
    let errors = error.diagnostics().len() + error.omitted();
    match errors {
        0 => println!("{} {}", paint(Tone::Bad, "error:"), display::text(&error.to_string())),
        _ => {
            let errors = count(errors, "error", "errors");
            let more = match error.omitted() {
                0 => String::new(),
                omitted => format!(", {omitted} of them not shown"),
            };
            println!("{} {shown}: {errors}{more}", paint(Tone::Bad, "refused"));
        }
    }
}

/// A diagnostic with its head and its caret in colour.
fn diagnostic(found: &Diagnostic) -> String {
    coloured(&found.to_string(), Tone::Bad)
}

/// The text of a diagnostic in colour: its first word and its caret in `shade`.
pub(super) fn coloured(text: &str, shade: Tone) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let shown = match number {
            0 => match line.split_once(' ') {
                Some((head, rest)) => {
                    format!("{} {}", paint(shade, head), paint(Tone::Strong, rest))
                }
                None => line.to_owned(),
            },
            1 | 2 => paint(Tone::Quiet, line),
            3 => line.to_owned(),
            _ => match line.find('^') {
                Some(at) => {
                    let (gutter, caret) = line.split_at(at);
                    format!("{}{}", paint(Tone::Quiet, gutter), paint(shade, caret))
                }
                None => line.to_owned(),
            },
        };
        lines.push(shown);
    }
    lines.join("\n")
}
