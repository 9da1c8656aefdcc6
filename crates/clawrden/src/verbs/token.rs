//! `clawrden token`: who may use the control API over TCP.

use std::path::Path;
use std::time::Duration;

use clawrden_api::{ChatService, Role, Scope, TokenList, TokenRequest, display};

use crate::connection::ask;
use crate::failure::{Outcome, done};
use crate::output::{Tone, cell, print_answer, print_table, table};
use crate::when;

const EXAMPLES: &str = "\
A token is shown once; the warden keeps a hash of it.

Examples:
  clawrden token create --role viewer --name grafana > token && chmod 600 token
  clawrden token create --role approver --jail agents --expires 30d --name alice
  clawrden token create --role approver --speaks-for slack > token && chmod 600 token
  clawrden token list
  clawrden token revoke 7f3a21bc";

/// Make, list and revoke tokens for the control API over TCP
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a token, and print it this once
    #[command(after_help = "\
Examples:
  clawrden token create --role viewer --name grafana > token && chmod 600 token
  clawrden token create --role approver --jail agents --expires 30d --name alice")]
    Create {
        /// What its owner may do: viewer, approver or admin
        #[arg(long, value_name = "ROLE")]
        role: Role,
        /// Whose it is, for people and the ledger
        #[arg(long)]
        name: Option<String>,
        /// For this jail alone; may be given again
        #[arg(long = "jail", value_name = "NAME")]
        jails: Vec<String>,
        /// Answers to what this rule asks alone, such as policy.yaml:12 or rules.d/git.yaml:*; may be given again
        #[arg(long = "rule", value_name = "RULE")]
        rules: Vec<String>,
        /// For a bridge to slack, telegram or webhook: it says for which user it asks, and the warden knows whose that is
        #[arg(long, value_name = "SERVICE")]
        speaks_for: Option<ChatService>,
        /// How long it holds, such as 12h or 30d
        #[arg(long, value_name = "TIME", default_value = "90d", value_parser = clawrden_policy::parse_duration)]
        expires: Duration,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// List tokens, and sessions of the web page
    #[command(after_help = "\
Examples:
  clawrden token list
  clawrden token list --json | jq '.tokens[] | select(.last_used_ms == null)'")]
    List {
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token with its sessions, or one session
    #[command(after_help = "\
Examples:
  clawrden token revoke 7f3a21bc")]
    Revoke {
        /// Its id, as `clawrden token list` shows it
        id: String,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the verb.
pub(crate) fn run(args: Args, control: Option<&Path>) -> Outcome {
    match args.verb {
        Verb::Create { role, name, jails, rules, speaks_for, expires, json } => {
            let life = u64::try_from(expires.as_millis()).unwrap_or(u64::MAX);
            let expires_in_ms = Some(life);
            let request = TokenRequest { role, name, jails, rules, expires_in_ms, speaks_for };
            let made = ask(control, async |client| client.create_token(&request).await)?;
            print_answer(&made, json, |made| {
                let until = when::moment(made.info.expires_ms, when::now_ms());
                eprintln!(
                    "token {} for {} ({}), until {until}; it is shown this once:",
                    made.info.id, made.info.name, made.info.role
                );
                println!("{}", made.token);
            })?;
        }
        Verb::List { json } => {
            let list = ask(control, async |client| client.tokens().await)?;
            print_answer(&list, json, show)?;
        }
        Verb::Revoke { id, json } => {
            let revoked = ask(control, async |client| client.revoke_access(&id).await)?;
            print_answer(&revoked, json, |revoked| {
                println!("revoked {}; sessions that ended: {}", revoked.id, revoked.sessions);
            })?;
        }
    }
    done()
}

fn show(list: &TokenList) {
    let now = when::now_ms();
    if list.tokens.is_empty() && list.sessions.is_empty() {
        println!("there are no tokens and no sessions");
        return;
    }
    let mut table = table(&["ID", "KIND", "WHOSE", "ROLE", "FOR", "UNTIL", "LAST USED"]);
    let mut add = |words: [&str; 7]| {
        table.add_row(words.map(|word| cell(Tone::Quiet, &display::text(word))));
    };
    for token in &list.tokens {
        let used = token.last_used_ms.map_or("never".to_owned(), |ms| when::moment(ms, now));
        let (scope, until) = (bounds(&token.scope), when::moment(token.expires_ms, now));
        let kind =
            token.speaks_for.map_or_else(|| "token".to_owned(), |to| format!("bridge to {to}"));
        add([&token.id, &kind, &token.name, token.role.as_str(), &scope, &until, &used]);
    }
    for one in &list.sessions {
        let (scope, until) = (bounds(&one.scope), when::moment(one.expires_ms, now));
        let from = format!("from {}", one.address);
        add([&one.id, "session", &one.who, one.role.as_str(), &scope, &until, &from]);
    }
    print_table(&table);
}

fn bounds(scope: &Scope) -> String {
    let all: Vec<&str> = scope.jails.iter().chain(&scope.rules).map(String::as_str).collect();
    if all.is_empty() { "everything".to_owned() } else { all.join(" ") }
}
