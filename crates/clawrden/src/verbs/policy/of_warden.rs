//! What the warden itself suggests, and accepting one of it. A rule is named by what it says: by an id of another text nothing
//! is written.

use std::io::IsTerminal as _;
use std::path::Path;

use clawrden_api::{
    PolicySuggestions, RuleAnswer, SuggestedRule, SuggestionAccepted, SuggestionsQuery, display,
};
use serde::Serialize;

use super::painted;
use crate::connection::ask;
use crate::failure::{Failure, Outcome, done};
use crate::output::{Tone, count, paint, print_answer, print_json};
use crate::verbs::answer::agree;

/// Digits of a rule's id.
const DIGITS: usize = 8;

/// What is asked for.
pub(super) struct Request<'a> {
    pub(super) min: usize,
    /// The id of the one that is accepted.
    pub(super) accept: Option<&'a str>,
    pub(super) yes: bool,
    pub(super) reason: Option<String>,
    pub(super) json: bool,
}

/// The answer for programs: what the warden said, with an id for each rule.
#[derive(Serialize)]
struct Told<'a> {
    looked_at: usize,
    complete: bool,
    answered: usize,
    omitted: usize,
    rules: Vec<Named<'a>>,
}

#[derive(Serialize)]
struct Named<'a> {
    id: String,
    #[serde(flatten)]
    rule: &'a SuggestedRule,
}

/// Lists what is suggested, or accepts one of it.
pub(super) fn run(request: Request<'_>, control: Option<&Path>) -> Outcome {
    let query = SuggestionsQuery { min: Some(request.min) };
    let found = ask(control, async |client| client.suggestions(&query).await)?;
    let Some(id) = request.accept else {
        if request.json {
            let rules = found.rules.iter().map(|rule| Named { id: id(rule), rule }).collect();
            let PolicySuggestions { looked_at, complete, answered, omitted, .. } = found;
            print_json(&Told { looked_at, complete, answered, omitted, rules })?;
        } else {
            show(&found);
        }
        return done();
    };
    let Some(rule) = found.rules.iter().find(|rule| self::id(rule) == id) else {
        let text =
            format!("no rule {id:?} is suggested; `clawrden policy suggest --warden` lists them");
        return Err(Failure::Refused(text));
    };
    let json = request.json;
    let answer = accept(control, rule, request)?;
    print_answer(&answer, json, |answer| {
        let file = display::text(&answer.file);
        println!("written: {file} is in force; remove it to be asked again");
    })?;
    done()
}

/// Accepts a rule, once it was shown and agreed to.
fn accept(
    control: Option<&Path>,
    rule: &SuggestedRule,
    request: Request<'_>,
) -> Result<RuleAnswer, Failure> {
    if let Some(why) = &rule.by_hand {
        let text = format!("it is not written from here: {}", display::text(why));
        return Err(Failure::Refused(text));
    }
    let shown = format!("{}\nwhich takes {}", yaml(rule), display::text(&rule.wider));
    let may_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !request.yes && !may_ask {
        return Err(Failure::Usage(format!("{shown}\nsay --yes to have it written")));
    }
    eprintln!("{shown}");
    if !request.yes {
        agree("write it?", "nothing is written")?;
    }
    let (min, reason) = (Some(request.min), request.reason);
    let accepted = SuggestionAccepted { rule: rule.rule.clone(), min, reason };
    ask(control, async |client| client.accept_suggestion(&accepted).await)
}

/// The beginning of the SHA-256 of what it says.
fn id(rule: &SuggestedRule) -> String {
    clawrden_api::sha256(rule.rule.as_bytes()).chars().take(DIGITS).collect()
}

fn yaml(rule: &SuggestedRule) -> String {
    let lines = rule.rule.lines().map(|line| format!("  {}", display::text(line)));
    lines.collect::<Vec<_>>().join("\n")
}

fn show(found: &PolicySuggestions) {
    let looked_at = count(found.looked_at, "request", "requests");
    let answered = count(found.answered, "was answered by a person", "were answered by people");
    println!("{looked_at} looked at; {answered}");
    if !found.complete {
        let text = "time ran out: older requests were not looked at";
        println!("{}", paint(Tone::Warn, text));
    }
    if found.rules.is_empty() {
        println!("{}", paint(Tone::Good, "nothing to suggest"));
        return;
    }
    for rule in &found.rules {
        let asks = count(rule.asks, "ask", "asks");
        let (id, action) = (paint(Tone::Strong, &id(rule)), painted(&rule.action));
        println!("\n{id}  {action}  would have answered {asks}: {}", display::text(&rule.by));
        for example in &rule.examples {
            let times = paint(Tone::Quiet, &format!("{:>5}", example.times));
            println!("   {times}  {}", display::command(&example.argv));
        }
        println!("   {} {}", paint(Tone::Quiet, "it takes"), display::text(&rule.wider));
        if let Some(why) = &rule.by_hand {
            println!("   {} {}", paint(Tone::Quiet, "by hand"), display::text(why));
        }
        println!("{}", paint(Tone::Strong, &yaml(rule)));
    }
    if found.omitted > 0 {
        println!("\nand {} more", count(found.omitted, "rule", "rules"));
    }
    println!(
        "\nNothing was changed. `clawrden policy suggest --accept ID` has the warden write one."
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_named_by_what_it_says() {
        let rule = |text: &str| SuggestedRule { rule: text.to_owned(), ..Default::default() };
        let (one, other) = (id(&rule("- {command: ls}")), id(&rule("- {command: rm}")));
        assert!(one.len() == DIGITS && one != other, "{one} {other}");
    }
}
