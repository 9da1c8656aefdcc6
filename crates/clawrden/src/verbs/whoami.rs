//! `clawrden whoami`: who the warden takes us for.

use std::path::Path;

use clawrden_api::{Session, display};

use crate::connection::ask;
use crate::failure::{Outcome, done};
use crate::output::print_answer;
use crate::when;

const EXAMPLES: &str = "\
Examples:
  clawrden whoami
  clawrden --host https://warden.example:8080 --token-file token whoami
  clawrden whoami --json | jq -r .role";

/// Show who the warden takes you for, and what you may do there
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(crate) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    let session = ask(control, async |client| client.session().await)?;
    print_answer(&session, args.json, |session| println!("{}", told(session, when::now_ms())))?;
    done()
}

fn told(session: &Session, now_ms: u64) -> String {
    let Session { who, role, scope, expires_ms, speaks_for, .. } = session;
    let mut text = format!("{}, {role}", display::text(who));
    let named = |words: &[String]| display::text(&words.join(" "));
    if !scope.jails.is_empty() {
        text.push_str(&format!(", for jails {} alone", named(&scope.jails)));
    }
    if !scope.rules.is_empty() {
        text.push_str(&format!(", for what is asked by {} alone", named(&scope.rules)));
    }
    if let Some(service) = speaks_for {
        text.push_str(&format!(", for users of {service}"));
    }
    if let Some(expires) = expires_ms {
        text.push_str(&format!(", until {}", when::moment(*expires, now_ms)));
    }
    text
}

#[cfg(test)]
mod tests {
    use clawrden_api::{Role, Scope};

    use super::*;

    #[test]
    fn what_bounds_somebody_is_told() {
        let session = Session {
            who: "al\u{7}ice (token 7f3a21bc)".to_owned(),
            role: Role::Approver,
            scope: Scope { jails: vec!["ci".to_owned()], rules: vec!["p.yaml:*".to_owned()] },
            csrf: None,
            expires_ms: Some(86_400_000),
            speaks_for: None,
        };
        let text = told(&session, 0);
        assert!(text.contains("approver, for jails ci alone"), "{text}");
        assert!(text.contains("p.yaml:*") && text.contains(", until 1970-01-0"), "{text}");
        assert!(text.chars().all(display::is_plain), "{text:?}");
    }
}
