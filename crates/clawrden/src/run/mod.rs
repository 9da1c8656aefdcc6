//! `clawrden run`: a command whose tools are governed. It starts what is missing, proves what it covers before it says
//! so, and leaves nothing behind. It governs cooperating agents; it is no wall.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::builder::PossibleValuesParser;
use clawrden_api::{PolicySource, PrisonerAnswer, PrisonerRequest, display};
use clawrden_policy::{Layer, Policy, Source};
use clawrden_warden::jails::Places;
use clawrden_warden::layers;

use crate::bounded::read_bounded;
use crate::connection::{Connection, block_on, places};
use crate::failure::{Failure, Outcome, chain, done};
use crate::output::{count, print_answer};
use crate::run::coverage::Coverage;
use crate::run::environment::Environment;
use crate::run::folder::{Folder, FolderError, Part};
use crate::sys;

mod coverage;
mod environment;
mod folder;
mod own_warden;
mod prisoner;
mod probe;
mod quote;
mod shells;
pub(crate) mod tools;

/// A repository's own policy file, in the folder where a run is started. It can only narrow.
const REPOSITORY: &str = ".clawrden.yaml";

/// The stock profiles by name.
pub(crate) fn profiles() -> PossibleValuesParser {
    Policy::profiles().collect::<Vec<_>>().into()
}

const EXAMPLES: &str = "\
Without a command it opens a shell. The exit code is the command's; 3 when no warden can be reached or started, 2 for a
policy that does not load. What it covers and what it does not: docs/running.md.

Examples:
  clawrden run
  clawrden run -- my-agent --task 'fix the tests'
  clawrden run --policy ./agent.yaml --tools git,npm,rm --label ticket=A-17 -- bash -lc 'npm ci'
  clawrden run --profile ci --unattended -- make test";

/// Run a command, or a shell, with its tools governed
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The jail; without one, a jail is found or made for the policy
    #[arg(long, value_name = "NAME")]
    jail: Option<String>,
    /// The policy; without one, the warden's own
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// A stock profile instead of a file
    #[arg(long, value_name = "NAME", conflicts_with = "policy", value_parser = profiles())]
    profile: Option<String>,
    /// The tools to govern, instead of the default list
    #[arg(long, value_name = "TOOL,…", value_delimiter = ',')]
    tools: Vec<String>,
    /// Shown to approvers
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Deny every ask at once, for when nobody is there to answer
    #[arg(long)]
    unattended: bool,
    /// Print the tools that would be governed, and end
    #[arg(long)]
    show_tools: bool,
    /// With --show-tools: in JSON
    #[arg(long, requires = "show_tools")]
    json: bool,
    /// Say only what is wrong
    #[arg(long, short)]
    quiet: bool,
    /// The command and its arguments
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, such as ticket=A-17".to_owned()),
    }
}

/// Runs the verb.
pub(crate) fn run(args: Args, control: Option<&Path>) -> Outcome {
    for tool in &args.tools {
        tools::check_name(tool).map_err(|e| Failure::Usage(e.to_string()))?;
    }
    let places = places()?;
    let (policy, source, repository) = policy(&args, &places)?;
    let inherited = Environment::new(std::env::vars_os());
    let tools = tools::choose(&args.tools, args.jail.as_deref(), &policy, inherited.get("PATH"));
    if args.show_tools {
        return show_tools(&tools, args.json);
    }
    let connection = Connection::new(control)?;
    // The warden first: it must live in the host's mount table, not in the one that comes next.
    let (state, runtime) = match control.and_then(Path::parent) {
        // A warden elsewhere keeps what belongs to it together.
        Some(beside) => (beside.to_owned(), beside.to_owned()),
        None => (places.state(), places.run()),
    };
    let mut start = own_warden::Start { control, state: &state, mounts: None };
    block_on(own_warden::find_or_start(&connection, &start))?.map_err(explain_inside)?;
    let before = sys::mounts().ok();
    let own_mounts = sys::private_mounts().is_ok();
    // For a warden that has to take the place of this one.
    start.mounts = before.filter(|_| own_mounts);

    let folder = Folder::make(&runtime).map_err(|e| Failure::Refused(chain(&e)))?;
    let mut environment = inherited.clone();
    let live = folder.part("live");
    environment.point_shells_to(live.path());
    let command = if args.command.is_empty() { shell(&inherited, &live) } else { args.command };
    let request = PrisonerRequest {
        jail: args.jail,
        policy: source,
        repository,
        tools,
        command: command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        labels: BTreeMap::from_iter(args.labels),
        unattended: args.unattended,
        environment: environment.encode(),
    };
    let answer =
        block_on(own_warden::register(&connection, &start, &request))?.map_err(explain_inside)?;
    let bin = Path::new(&answer.bin);
    if !environment::fits_path(bin) {
        let text = format!(
            "the shims are in {bin:?}, which cannot stand on PATH: it is relative or has a colon"
        );
        return Err(Failure::Refused(text));
    }
    environment.govern(bin, Path::new(&answer.socket));
    let (coverage, problems) = cover(&folder, &live, &inherited, &answer, own_mounts)
        .map_err(|e| Failure::Refused(chain(&e)))?;
    for problem in problems.into_iter().chain(told(&coverage)) {
        eprintln!("clawrden: {problem}");
    }
    if !args.quiet {
        introduce(&answer, &coverage, control, args.unattended);
    }

    let shown = display::command(&request.command);
    let command = prepare(&command, &environment)
        .ok_or_else(|| Failure::Code { code: 127, text: format!("{shown}: no such command") })?;
    let report = prisoner::run(command, &shown)?;
    drop(folder);
    if report.left_behind > 0 {
        let left = count(report.left_behind, "process was", "processes were");
        eprintln!(
            "clawrden: {left} left behind and ended: nobody would have governed what they do"
        );
    }
    Ok(report.ended.imitate())
}

/// Finds out what is governed by trying a twin, then puts the real startup files into place. Gives what was found, and
/// what is wrong besides.
fn cover(
    folder: &Folder,
    live: &Part,
    inherited: &Environment,
    answer: &PrisonerAnswer,
    own_mounts: bool,
) -> Result<(Coverage, Vec<String>), FolderError> {
    let (bin, tools) = (Path::new(&answer.bin), &answer.tools);
    let originals = if own_mounts { shells::originals()? } else { Vec::new() };
    let probe = probe::make(folder, inherited, tools, &originals)?;
    let coverage = coverage::prove(&probe, tools);
    let mut problems = missing(bin, tools);
    problems.extend(probe.take_away());
    let facts = shells::Facts::new(bin, Path::new(&answer.socket), inherited);
    shells::write(live, &facts)?;
    for shells::Shadow { source, target } in shells::write_shadows(live, &facts, &originals)? {
        if let Err(e) = sys::bind(&source, &target) {
            problems.push(format!("{} keeps its own content: {e}", target.display()));
        }
    }
    Ok((coverage, problems))
}

/// The policy that decides, as far as it can be known here, and what is sent of it.
fn policy(
    args: &Args,
    places: &Places,
) -> Result<(Policy, Option<PolicySource>, Option<PolicySource>), Failure> {
    let given = match (&args.policy, args.profile.as_deref().and_then(Policy::profile)) {
        (Some(file), _) => Some(read(Layer::Host, file)?),
        (None, profile) => profile,
    };
    let own = Path::new(REPOSITORY);
    // A link to nothing is there, and cannot be read.
    let is_there = std::fs::symlink_metadata(own).is_ok();
    let repository = is_there.then(|| read(Layer::Repository, own)).transpose()?;
    let sent =
        |source: &Source| PolicySource { name: source.name.clone(), text: source.text.clone() };
    let (given_sent, repository_sent) = (given.as_ref().map(sent), repository.as_ref().map(sent));
    let is_given = given.is_some();
    let mut sources: Vec<Source> = given.into_iter().collect();
    if !is_given {
        // Only for the list of tools: what holds is what the warden has loaded, and it complains about its own files.
        let own = layers::host(None, &places.policy(), &places.rules()).map(|host| host.files).ok();
        let usable = own.filter(|sources| Policy::from_sources(sources).is_ok());
        sources = usable.unwrap_or_else(|| vec![Policy::stock_source()]);
    }
    sources.extend(repository);
    let policy = Policy::from_sources(&sources).map_err(|e| Failure::Usage(chain(&e)))?;
    Ok((policy, given_sent, repository_sent))
}

fn read(layer: Layer, file: &Path) -> Result<Source, Failure> {
    let unreadable = |e: std::io::Error| {
        Failure::Usage(format!("the policy {} cannot be read: {e}", file.display()))
    };
    let path = std::path::absolute(file).map_err(unreadable)?;
    let text = read_bounded(&path, clawrden_policy::MAX_POLICY_BYTES).map_err(unreadable)?;
    Ok(Source::new(layer, path.to_string_lossy(), text))
}

fn show_tools(tools: &[String], json: bool) -> Outcome {
    print_answer(&tools, json, |tools| tools.iter().for_each(|tool| println!("{tool}")))?;
    done()
}

/// The user's shell, interactive, with its startup file where it takes one from the command line.
fn shell(inherited: &Environment, folder: &Part) -> Vec<OsString> {
    let shell = inherited.get("SHELL").filter(|s| !s.is_empty()).unwrap_or(OsStr::new("sh"));
    let mut words = vec![shell.to_owned()];
    if Path::new(shell).file_name() == Some(OsStr::new("bash")) {
        words.extend(["--rcfile".into(), folder.path().join(shells::BASHRC).into_os_string()]);
    }
    words.push("-i".into());
    words
}

/// A prisoner that starts a run of its own is refused by the warden; it is told why.
fn explain_inside(failure: Failure) -> Failure {
    match failure {
        Failure::Refused(text) if std::env::var_os("CLAWRDEN_SOCKET").is_some() => {
            Failure::Refused(format!(
                "{text}; this shell is governed already, and so is what it starts: leave it to start another run"
            ))
        }
        other => other,
    }
}

/// Tools that the warden says have a shim, and have none.
fn missing(bin: &Path, tools: &[String]) -> Vec<String> {
    let without: Vec<String> =
        tools.iter().filter(|tool| !sys::is_executable(&bin.join(tool))).cloned().collect();
    if without.is_empty() {
        return Vec::new();
    }
    vec![format!("not governed at all: {} have no shim in {}", some(&without), bin.display())]
}

fn told(coverage: &Coverage) -> Vec<String> {
    let gap = |gap: &coverage::Gap| {
        if gap.tools.is_empty() {
            return format!("not governed: `{}` gave no answer within 5 s", gap.way);
        }
        format!("not governed in `{}`: {}; {}", gap.way, some(&gap.tools), gap.remedy)
    };
    coverage.gaps.iter().map(gap).collect()
}

/// The first names of a list and how many follow.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let first = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN { format!("{first} and {} more", names.len() - SHOWN) } else { first }
}

fn introduce(
    answer: &PrisonerAnswer,
    coverage: &Coverage,
    control: Option<&Path>,
    unattended: bool,
) {
    let whole = coverage.ways - coverage.gaps.len();
    let tools = count(coverage.tools, "tool", "tools");
    eprintln!("clawrden: governed: {tools} in {whole} of {} ways", coverage.ways);
    let option = control.map(|c| format!(" --control {}", c.display())).unwrap_or_default();
    let asks = if unattended {
        "every ask is denied (unattended)".to_owned()
    } else {
        format!("answer in a second terminal: clawrden{option} queue, clawrden{option} approve ID")
    };
    let (jail, policy) = (display::text(&answer.jail), display::text(&answer.policy));
    let ledger = display::text(&answer.ledger);
    eprintln!("clawrden: jail {jail}, policy {policy}, ledger {ledger}; {asks}");
    eprintln!(
        "clawrden: this governs cooperating agents and does not wall them in: same user, no isolation, so it holds \
         against accident only"
    );
}

fn prepare(words: &[OsString], environment: &Environment) -> Option<Command> {
    let (name, arguments) = words.split_first()?;
    let path = environment.get("PATH").unwrap_or_default();
    let mut command = Command::new(tools::resolve(name, path)?);
    command.arg0(name).args(arguments).env_clear().envs(environment.iter());
    Some(command)
}
