//! `clawrden people`: who answers, and whose users of chats are whose.

use std::path::Path;

use clawrden_api::{
    ChatService, ChatUser, PairRequest, PairedUser, PeopleList, UnpairRequest, display,
};

use crate::connection::ask;
use crate::failure::{Outcome, done};
use crate::output::{Tone, cell, print_answer, print_table, table};
use crate::when;

const EXAMPLES: &str = "\
People are those of `people` and `groups` in the warden's settings (docs/policy.md). A user of a chat is bound to one of them
there, or by a code that the person says in the chat.

Examples:
  clawrden people
  clawrden people pair alice --service slack
  clawrden people unpair alice slack:T012ABC/U345DEF";

/// Show who answers, and pair users of chats with them
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
    /// Make a code that binds the user of a chat who says it to a person, once, within ten minutes
    #[command(after_help = "\
Examples:
  clawrden people pair alice --service slack")]
    Pair {
        /// The person, by the name of the warden's settings
        name: String,
        /// For users of slack, telegram or webhook alone
        #[arg(long, value_name = "SERVICE")]
        service: Option<ChatService>,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Take back what a code has bound
    #[command(after_help = "\
Examples:
  clawrden people unpair alice slack:T012ABC/U345DEF")]
    Unpair {
        /// The person
        name: String,
        /// The user, as `clawrden people` shows them
        user: ChatUser,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the verb.
pub(crate) fn run(args: Args, control: Option<&Path>) -> Outcome {
    match args.verb {
        None => {
            let list = ask(control, async |client| client.people().await)?;
            print_answer(&list, args.json, show)?;
        }
        Some(Verb::Pair { name, service, json }) => {
            let request = PairRequest { person: name, service };
            let made = ask(control, async |client| client.pair(&request).await)?;
            print_answer(&made, json, |made| {
                let until = when::moment(made.expires_ms, when::now_ms());
                let place = made.service.map_or("the chat", ChatService::as_str);
                eprintln!(
                    "whoever says `pair {}` to the bridge in {place} is {} from then on; once, until {until}:",
                    made.code,
                    display::text(&made.person)
                );
                println!("{}", made.code);
            })?;
        }
        Some(Verb::Unpair { name, user, json }) => {
            let request = UnpairRequest { person: name, user };
            let gone = ask(control, async |client| client.unpair(&request).await)?;
            print_answer(&gone, json, |gone| {
                println!("{} is {} no more", gone.user, display::text(&gone.person));
            })?;
        }
    }
    done()
}

fn show(list: &PeopleList) {
    let PeopleList { people, groups, idle } = list;
    if people.is_empty() && groups.is_empty() && idle.is_empty() {
        println!(
            "the warden's settings name nobody: docs/policy.md says how people are written there"
        );
        return;
    }
    let mut table = table(&["WHO", "COMES BY", "PAIRED"]);
    let mut add = |words: [&str; 3]| {
        table.add_row(words.map(|word| cell(Tone::Quiet, &display::text(word))));
    };
    for person in people {
        let paired: Vec<String> = person.paired.iter().map(paired).collect();
        add([&person.name, &person.doors.join(" "), &paired.join(", ")]);
    }
    for group in groups {
        add([&format!("{} (group)", group.name), &group.members.join(" "), ""]);
    }
    for user in idle {
        add([&format!("{} (not in force)", user.person), "", &paired(user)]);
    }
    print_table(&table);
}

fn paired(user: &PairedUser) -> String {
    format!("{} since {}, by {}", user.user, when::moment(user.since_ms, when::now_ms()), user.by)
}
