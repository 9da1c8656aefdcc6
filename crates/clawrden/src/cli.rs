//! The command line: what can be typed, and which verb answers. No verb's work is done here.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::failure::{Failure, Outcome};
use crate::{elsewhere, run, sys, top, verbs};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused, not found, or answered before
  2  the command line, or a file that it names, is wrong
  3  the warden cannot be reached
`clawrden run` returns its command's exit code; `clawrden wait` has 75 and 126 as well, `clawrden audit verify` 4, 5 and 6.
docs/cli.md has all of them in one table.";

/// Governs the commands that autonomous agents run: by policy, by asking a person, on the record.
#[derive(Debug, Parser)]
#[command(name = "clawrden", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    /// The warden's control socket, where it is not in its usual place
    #[arg(long, global = true, value_name = "PATH")]
    control: Option<PathBuf>,
    #[command(flatten)]
    elsewhere: elsewhere::Args,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Args),
    Warden(verbs::warden::Args),
    Status(verbs::status::Args),
    Health(verbs::health::Args),
    Overview(verbs::overview::Args),
    Top(top::Args),
    Metrics(verbs::metrics::Args),
    Queue(verbs::queue::Args),
    Watch(verbs::watch::Args),
    Approve(verbs::approve::Args),
    Deny(verbs::deny::Args),
    History(verbs::history::Args),
    Grants(verbs::grants::Args),
    Ps(verbs::ps::Args),
    Stop(verbs::stop::Args),
    Attach(verbs::attach::Args),
    Replay(verbs::replay::Args),
    Audit(verbs::audit::Args),
    Jails(verbs::jails::Args),
    Config(verbs::config::Args),
    Whoami(verbs::whoami::Args),
    Token(verbs::token::Args),
    People(verbs::people::Args),
    Notify(verbs::notify::Args),
    Bridge(verbs::bridge::Args),
    Dashboard(verbs::dashboard::Args),
    Kill(verbs::kill::Args),
    Resume(verbs::resume::Args),
    Wait(verbs::wait::Args),
    Policy(verbs::policy::Args),
    Hook(verbs::hook::Args),
    Shims(verbs::shims::Args),
    Install(verbs::install::Args),
    Uninstall(verbs::uninstall::Args),
    Harden(verbs::harden::Args),
    Completions(verbs::completions::Args),
    Openapi(verbs::openapi::Args),
}

impl Verb {
    /// Whether it asks a warden, which may be elsewhere. The others are about this machine and its files: an answer of theirs
    /// is never to be taken for one about another.
    fn asks_a_warden(&self) -> bool {
        match self {
            Self::Run(_)
            | Self::Warden(_)
            | Self::Hook(_)
            | Self::Wait(_)
            | Self::Shims(_)
            | Self::Install(_)
            | Self::Uninstall(_)
            | Self::Harden(_)
            | Self::Completions(_) => false,
            Self::Policy(args) => args.asks_a_warden(),
            Self::Audit(args) => args.asks_a_warden(),
            _ => true,
        }
    }
}

/// Reads the command line and runs its verb.
pub(crate) fn main(mut argv: Vec<OsString>) -> ExitCode {
    apply_name(&mut argv);
    let cli = match Cli::try_parse_from(argv) {
        Ok(cli) => cli,
        Err(answer) => {
            // Help and version come this way too, with code 0. If they cannot be printed, nobody reads them.
            let _ = answer.print();
            return ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(2));
        }
    };
    dispatch(cli).unwrap_or_else(|failure| failure.report())
}

fn dispatch(cli: Cli) -> Outcome {
    // Absolute: it is shown in hints, and a warden that is started for it works elsewhere.
    let control = cli.control.map(std::path::absolute).transpose();
    let control = control.map_err(|e| Failure::Usage(format!("--control is no path: {e}")))?;
    let control = control.as_deref();
    elsewhere::settle(cli.elsewhere, cli.verb.asks_a_warden())?;
    // The warden and `run` live on when a reader goes away, and a hook that a signal ends would let its command run;
    // everything else ends with it, as other tools do.
    if !matches!(cli.verb, Verb::Warden(_) | Verb::Run(_) | Verb::Hook(_)) {
        sys::end_on_closed_pipe();
    }
    match cli.verb {
        Verb::Run(args) => run::run(args, control),
        Verb::Warden(args) => verbs::warden::run(args, control),
        Verb::Status(args) => verbs::status::run(&args, control),
        Verb::Health(args) => verbs::health::run(&args, control),
        Verb::Overview(args) => verbs::overview::run(args, control),
        Verb::Top(args) => top::run(&args, control),
        Verb::Metrics(args) => verbs::metrics::run(&args, control),
        Verb::Queue(args) => verbs::queue::run(&args, control),
        Verb::Watch(args) => verbs::watch::run(&args, control),
        Verb::Approve(args) => verbs::approve::run(args, control),
        Verb::Deny(args) => verbs::deny::run(args, control),
        Verb::History(args) => verbs::history::run(args, control),
        Verb::Grants(args) => verbs::grants::run(args, control),
        Verb::Ps(args) => verbs::ps::run(&args, control),
        Verb::Stop(args) => verbs::stop::run(args, control),
        Verb::Attach(args) => verbs::attach::run(&args, control),
        Verb::Replay(args) => verbs::replay::run(&args, control),
        Verb::Audit(args) => verbs::audit::run(args, control),
        Verb::Jails(args) => verbs::jails::run(args, control),
        Verb::Config(args) => verbs::config::run(&args, control),
        Verb::Whoami(args) => verbs::whoami::run(&args, control),
        Verb::Token(args) => verbs::token::run(args, control),
        Verb::People(args) => verbs::people::run(args, control),
        Verb::Notify(args) => verbs::notify::run(&args, control),
        Verb::Bridge(args) => verbs::bridge::run(&args, control),
        Verb::Dashboard(args) => verbs::dashboard::run(&args, control),
        Verb::Kill(args) => verbs::kill::run(args, control),
        Verb::Resume(args) => verbs::resume::run(args, control),
        Verb::Wait(args) => verbs::wait::run(&args),
        Verb::Hook(args) => Ok(verbs::hook::run(&args)),
        Verb::Policy(args) => verbs::policy::run(args, control),
        Verb::Shims(args) => verbs::shims::run(&args),
        Verb::Install(args) => verbs::install::run(args),
        Verb::Uninstall(args) => verbs::uninstall::run(&args),
        Verb::Harden(args) => verbs::harden::run(args),
        Verb::Openapi(args) => verbs::openapi::run(&args, control),
        Verb::Completions(args) => verbs::completions::run(&args, &mut Cli::command()),
    }
}

/// `clawrden-warden …` is `clawrden warden …`; any other name is `clawrden`.
fn apply_name(argv: &mut Vec<OsString>) {
    let called = argv.first().map(Path::new).and_then(Path::file_name);
    let is_warden = called.is_some_and(|name| name == "clawrden-warden");
    match argv.first_mut() {
        Some(first) => *first = "clawrden".into(),
        None => argv.push("clawrden".into()),
    }
    if is_warden {
        argv.insert(1, "warden".into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(argv: &[&str]) -> Vec<OsString> {
        let mut argv = argv.iter().map(OsString::from).collect();
        apply_name(&mut argv);
        argv
    }

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    /// Verbs that answer nothing in JSON, and why.
    const WITHOUT_JSON: &[(&str, &str)] = &[
        ("run", "what is printed is the command's; --show-tools, which lists, has it"),
        ("warden", "a service: it logs, and `status` tells how it is"),
        ("top", "a screen; `queue`, `ps` and `history` have it"),
        ("watch", "answers are typed; `queue --watch --json` tells what waits"),
        ("hook", "it speaks the agent's own JSON, and nothing else"),
        ("audit export", "--format says the form, and JSON is the usual one"),
        ("audit schema", "it is JSON"),
        ("policy schema", "it is JSON"),
        ("openapi", "it is JSON"),
        ("completions", "a script for a shell"),
    ];

    /// Every verb that does something, with all the words that name it.
    fn verbs() -> Vec<(String, clap::Command)> {
        fn collect(before: &str, command: &clap::Command, all: &mut Vec<(String, clap::Command)>) {
            for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
                let name = format!("{before} {}", verb.get_name()).trim().to_owned();
                if !verb.is_subcommand_required_set() {
                    all.push((name.clone(), verb.clone()));
                }
                collect(&name, verb, all);
            }
        }
        let mut whole = Cli::command();
        whole.build();
        let mut all = Vec::new();
        collect("", &whole, &mut all);
        assert!(all.len() > 50, "{}", all.len());
        all
    }

    #[test]
    fn every_verb_has_help_with_examples_that_name_it() {
        for (name, mut verb) in verbs() {
            let help = verb.render_long_help().to_string();
            let examples = help.split("Examples:").nth(1).unwrap_or_default();
            assert!(examples.contains(&name), "{name}: {help}");
            assert!(help.contains("--control") && help.contains("--host"), "{name}: {help}");
            assert!(verb.get_about().is_some(), "{name}");
        }
    }

    #[test]
    fn whatever_a_verb_tells_it_tells_in_json_or_there_is_a_reason() {
        let all = verbs();
        for (name, verb) in &all {
            let has_json = verb.get_arguments().any(|arg| arg.get_long() == Some("json"));
            let is_excused = WITHOUT_JSON.iter().any(|(excused, _)| excused == name);
            // `run` has it where it lists.
            assert!(has_json != is_excused || name == "run", "{name}: {has_json}");
        }
        for (name, why) in WITHOUT_JSON {
            assert!(all.iter().any(|(verb, _)| verb == name) && !why.is_empty(), "{name}");
        }
    }

    #[test]
    fn the_warden_answers_to_its_own_name() {
        assert_eq!(
            named(&["/opt/clawrden-warden", "--socket", "x"])[1..],
            ["warden", "--socket", "x"]
        );
        assert_eq!(named(&["clawrden-warden"]), ["clawrden", "warden"]);
    }

    #[test]
    fn any_other_name_is_clawrden() {
        assert_eq!(named(&["/opt/clawrden-cli", "status"]), ["clawrden", "status"]);
        assert_eq!(named(&["clawrden.old", "status"]), ["clawrden", "status"]);
        assert_eq!(named(&[]), ["clawrden"]);
    }
}
