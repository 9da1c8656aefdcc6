//! The corpus: each line of shell with the commands that must be found, and whether there is a doubt.

use super::{Dialect, commands, parse};

const CORPUS: &str = include_str!("corpus.txt");

/// One case: a line that starts with `$ ` (or `sh$ `, `zsh$ `), the commands that it runs, each behind two blanks, and
/// `? words of a doubt` or `! words of an error`.
#[derive(Default)]
struct Case {
    line_number: usize,
    prompt: &'static str,
    line: String,
    commands: Vec<&'static str>,
    doubts: Vec<&'static str>,
    error: Option<&'static str>,
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (index, text) in CORPUS.lines().enumerate() {
        if let Some((prompt, line)) =
            text.split_once("$ ").filter(|(prompt, _)| ["", "sh", "zsh"].contains(prompt))
        {
            let line = line.replace('␤', "\n").replace('␉', "\t");
            cases.push(Case { line_number: index + 1, prompt, line, ..Case::default() });
        } else if text.is_empty() || text.starts_with('#') {
        } else if let Some(case) = cases.last_mut() {
            match text.split_at(2) {
                ("  ", command) => case.commands.push(command),
                ("? ", doubt) => case.doubts.push(doubt),
                ("! ", error) => case.error = Some(error),
                _ => panic!("corpus.txt:{}: {text:?}", index + 1),
            }
        }
    }
    cases
}

#[test]
fn every_line_of_the_corpus_is_read_as_it_says() {
    let cases = cases();
    let mut wrong = Vec::new();
    for case in &cases {
        let dialect = match case.prompt {
            "sh" => Dialect::Posix,
            "zsh" => Dialect::Zsh,
            _ => Dialect::Bash,
        };
        let place = format!("corpus.txt:{}: {:?}", case.line_number, case.line);
        match parse(case.line.as_bytes(), dialect) {
            Ok(script) => {
                let doubts: Vec<&str> = script.doubts.iter().map(|doubt| doubt.why).collect();
                let found = commands(&script);
                if case.error.is_some() || found != case.commands || doubts != case.doubts {
                    wrong.push(format!(
                        "{place}\n    {}\n    doubts {doubts:?}",
                        found.join("\n    ")
                    ));
                }
            }
            Err(error) if case.error == Some(error.why) => {}
            Err(error) => wrong.push(format!("{place}\n    {} at {}", error.why, error.at)),
        }
    }
    assert!(wrong.is_empty(), "{} of {} lines:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(cases.len() >= 400, "{} lines", cases.len());
}
