//! `clawrden harden`: a governed image from any other.

use std::path::PathBuf;

use clawrden_warden::jails::JailName;
use serde::Serialize;

use crate::failure::{Failure, Outcome, chain, done};
use crate::harden::{self, Client, Facts, Order};
use crate::install::User;
use crate::output::print_json;
use crate::run::tools;

const EXAMPLES: &str = "\
The Dockerfile is shown, then built with docker or podman, whichever is there. Tools and labels are as for `clawrden
install`; an image without a shell is understood.

Examples:
  clawrden harden my-agent:1 --tools npm,git,docker --user 1000 --lock
  clawrden harden my-agent:1 --tools git --print              only show the Dockerfile
  clawrden harden my-agent:1 --tools git --context ./governed only write what `docker build` needs";

/// Make a governed image of another one
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The image to start from
    #[arg(value_name = "IMAGE")]
    image: String,
    /// The tools to stand in for, by bare name
    #[arg(long, value_name = "TOOL,…", value_delimiter = ',', required = true)]
    tools: Vec<String>,
    /// Who the prisoner will be, in numbers; the image's own user otherwise
    #[arg(long, value_name = "UID[:GID]")]
    user: Option<User>,
    /// Put the originals out of the prisoner's reach
    #[arg(long)]
    lock: bool,
    /// The jail that its containers are in
    #[arg(long, value_name = "NAME")]
    jail: Option<String>,
    /// The name of the governed image; NAME-governed:TAG otherwise
    #[arg(long, value_name = "NAME")]
    tag: Option<String>,
    /// Show the Dockerfile and build nothing
    #[arg(long)]
    print: bool,
    /// Write Dockerfile and parts into this folder and build nothing
    #[arg(long, value_name = "DIR", conflicts_with = "print")]
    context: Option<PathBuf>,
    /// The client that builds, where it is not docker or podman
    #[arg(long, value_name = "PROGRAM")]
    client: Option<String>,
    /// The image has no shell; without it, the image is looked into where a client is there
    #[arg(long)]
    no_shell: bool,
    /// Answer in JSON; what the client says while it builds goes to standard error
    #[arg(long)]
    json: bool,
}

/// The answer for programs.
#[derive(Serialize)]
struct Hardened<'a> {
    image: &'a str,
    /// The governed image; null where none was built.
    governed: Option<&'a str>,
    tools: &'a [String],
    dockerfile: &'a str,
}

/// Runs the verb.
pub(crate) fn run(args: Args) -> Outcome {
    let usage = |e: &dyn std::error::Error| Failure::Usage(chain(e));
    for tool in &args.tools {
        tools::check_name(tool).map_err(|e| usage(&e))?;
    }
    if let Some(jail) = &args.jail {
        JailName::new(jail).map_err(|e| usage(&e))?;
    }
    harden::check_reference(&args.image).map_err(|e| usage(&e))?;
    let is_built = !args.print && args.context.is_none();
    let tag = match &args.tag {
        Some(tag) => tag.clone(),
        None if is_built => harden::governed_name(&args.image).map_err(|e| usage(&e))?,
        None => String::new(),
    };
    if is_built {
        harden::check_reference(&tag).map_err(|e| usage(&e))?;
    }

    let client = Client::find(args.client.as_deref());
    let mut facts = match &client {
        Some(client) => match client.facts(&args.image) {
            Ok(facts) => facts,
            // To write a Dockerfile needs no engine.
            Err(error) if !is_built => {
                eprintln!("clawrden: the image is not looked into: {}", chain(&error));
                Facts::default()
            }
            Err(error) => return Err(Failure::Refused(chain(&error))),
        },
        None => Facts::default(),
    };
    facts.has_shell &= !args.no_shell;
    let mut order = Order {
        image: args.image,
        tools: args.tools,
        user: args.user,
        lock: args.lock,
        jail: args.jail,
        stage: "harden".into(),
    };
    if order.user.map_or(facts.user.is_empty(), |user| user.uid == 0) {
        eprintln!(
            "clawrden: the image runs as root, who can undo all of this; --user names another"
        );
    }
    let refused = |e: harden::ContextError| Failure::Refused(chain(&e));
    if !is_built {
        let text = harden::write(args.context.as_deref(), &order, &facts).map_err(refused)?;
        return tell(&order, None, &text, args.json);
    }
    let Some(client) = client else {
        return Err(Failure::Refused(
            "there is neither docker nor podman here; with --context DIR the folder is written for a machine that has \
             one: docker build --tag NAME DIR"
                .into(),
        ));
    };
    let folder = tempfile::Builder::new()
        .prefix("clawrden-harden-")
        .tempdir()
        .map_err(|e| Failure::Refused(format!("no folder to build in can be made: {e}")))?;
    if let Some(name) = folder.path().file_name().and_then(|name| name.to_str()) {
        name.clone_into(&mut order.stage);
    }
    let text = harden::write(Some(folder.path()), &order, &facts).map_err(refused)?;
    if !args.json {
        println!("{text}");
    }
    let built = client.build(folder.path(), &tag, &order.stage, args.json);
    built.map_err(|e| Failure::Refused(chain(&e)))?;
    tell(&order, Some(&tag), &text, args.json)
}

/// Tells what was made; the Dockerfile only where nothing was.
fn tell(order: &Order, governed: Option<&str>, dockerfile: &str, json: bool) -> Outcome {
    let Order { image, tools, .. } = order;
    match governed {
        _ if json => print_json(&Hardened { image, governed, tools, dockerfile })?,
        Some(tag) => println!("governed: {tag}"),
        None => print!("{dockerfile}"),
    }
    done()
}
