//! Measures Clawrden beside native and beside its peers, in one run, and prints ratios. Nothing here judges by time:
//! a budget that is missed is printed, and the run still ends with 0.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)] // What is measured is printed; that is all it does.

mod api;
mod breakdown;
mod chats;
mod client;
mod containers;
mod crowd;
mod decide;
mod engine;
mod frames;
mod history;
mod house;
mod ledger;
mod load;
mod machine;
mod memory;
mod pairs;
mod plain;
mod queries;
mod records;
mod released;
mod report;
mod spawn;
mod streams;
mod worst;

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;

use crate::house::Bench;
use crate::report::Report;

/// What any step gives: whatever goes wrong ends the run with its sentence.
type Failure = Box<dyn Error>;

/// See [`Failure`].
type Outcome<T> = Result<T, Failure>;

/// Measures Clawrden against native and against peers, and prints ratios.
#[derive(Debug, Parser)]
struct Args {
    /// A short run: the same rows, less sure of themselves
    #[arg(long)]
    quick: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART,…")]
    only: Vec<Part>,
    /// The binary to measure; without it, the one beside this program
    #[arg(long, value_name = "FILE")]
    clawrden: Option<PathBuf>,
    /// One request from a process of its own, as `breakdown` needs it
    #[arg(long, value_name = "SOCKET", hide = true)]
    one_request: Option<PathBuf>,
    /// One that waits as a shim does, as `api` needs it
    #[arg(long, value_name = "SOCKET", hide = true)]
    one_waiter: Option<PathBuf>,
    /// One that is answered without a warden, beside it
    #[arg(long, value_name = "SOCKET", hide = true)]
    one_echo: Option<PathBuf>,
    /// Starts programs inside a container, as `containers` needs it
    #[arg(long, hide = true)]
    spawner: bool,
}

/// What measures a part.
type Measure = fn(&Bench, &mut Report) -> Outcome<()>;

/// A part of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// One command, from its start to its end.
    Spawn,
    /// Bytes through standard input and output.
    Streams,
    /// Many commands at once.
    Crowd,
    /// The warden's memory.
    Memory,
    /// The policy's decision.
    Policy,
    /// The shim by itself.
    Shim,
    /// Where one request's time goes.
    Breakdown,
    /// One command inside a container.
    Containers,
    /// What the ledger costs, and how fast it is proved.
    Ledger,
    /// History over a million requests.
    History,
    /// A long queue, events to many listeners, and from a yes to what goes on.
    Api,
    /// A yes in Slack and in Telegram.
    Chats,
}

fn main() -> Outcome<()> {
    let args = Args::parse();
    if let Some(socket) = &args.one_request {
        return breakdown::one_request(socket);
    }
    if let Some(socket) = &args.one_waiter {
        return released::one_waiter(socket);
    }
    if let Some(socket) = &args.one_echo {
        return released::one_echo(socket);
    }
    if args.spawner {
        return engine::serve_spawner();
    }
    let bench = Bench::new(args.clawrden, args.quick)?;
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    let mut report = Report::new(machine::describe(bench.dir()));
    let parts: [(Part, Measure); 13] = [
        (Part::Spawn, spawn::measure),
        (Part::Streams, streams::measure),
        (Part::Crowd, crowd::measure),
        (Part::Memory, memory::measure),
        (Part::Policy, decide::measure),
        (Part::Policy, load::measure),
        (Part::Shim, plain::measure),
        (Part::Breakdown, breakdown::measure),
        (Part::Containers, containers::measure),
        (Part::Ledger, ledger::measure),
        (Part::History, history::measure),
        (Part::Api, api::measure),
        (Part::Chats, chats::measure),
    ];
    let start = Instant::now();
    for (part, measure) in parts.into_iter().filter(|&(part, _)| wanted(part)) {
        eprintln!("{:5.0} s  {part:?}", start.elapsed().as_secs_f64());
        measure(&bench, &mut report)?;
    }
    eprintln!("{:5.0} s  done", start.elapsed().as_secs_f64());
    if args.json {
        println!("{:#}", report.to_json());
    } else {
        print!("{}", report.to_text());
    }
    Ok(())
}
