//! The corpus: command vectors with what each is seen to run, and what the walk is bounded by.

use super::{Seen, Standing, Via, Visit, table, walk};
use crate::Facts;
use crate::case_words::words;
use crate::env::EnvRules;
use crate::matchers::{names, unknown};

/// One case a line: the words of a command (quotes hold words together), ` => `, whether it `passes`
/// on or has an answer of its `own`, and what it runs, ` ;; ` between two, the outermost first.
/// `…` is what only a shell will know, `?` something that is not understood. Before a command: `@DIR`
/// where it runs elsewhere (`@?` unknown), `NAME!` for a dangerous variable that is changed, `maybe`
/// for what may be no command, `own` for a copy that is not the system's tool.
const CASES: &str = include_str!("cases.txt");

const HERE: &[u8] = b"/home/ann/project";

#[derive(Default)]
struct Told(Vec<String>, usize);

impl Visit for Told {
    fn command(&mut self, seen: &Seen<'_>) {
        let facts = &seen.facts;
        if seen.depth == 0 {
            let passes = seen.standing == Standing::Passes;
            self.0.push(if passes { "passes" } else { "own" }.to_owned());
            return;
        }
        let mut text = String::new();
        if facts.cwd != Some(HERE) {
            let place = facts.cwd.map_or("?".into(), String::from_utf8_lossy);
            text = format!("@{place} ");
        }
        for name in facts.changed_env {
            text += &format!("{}! ", String::from_utf8_lossy(name));
        }
        if facts.tool.is_none() {
            text += "own ";
        }
        if seen.standing == Standing::WritesElsewhere {
            text += "? ";
        }
        let shown = facts.argv.iter().map(|word| {
            let known = names::of(word).map(|(kind, texts)| {
                let texts = String::from_utf8_lossy(texts).into_owned();
                let texts = texts
                    .replace("\0;", "|")
                    .replace("\0d", "…")
                    .replace("\0f", "…")
                    .replace('\x01', "?");
                format!("<{texts}>{}", if kind == b'1' { "" } else { "s" })
            });
            let word = String::from_utf8_lossy(word).replace("\0\0", "…s").replace('\0', "…");
            let word = known.unwrap_or(word);
            if word.is_empty() { "''".to_owned() } else { word }
        });
        text += &shown.collect::<Vec<_>>().join(" ");
        self.0.push(text);
        self.1 = self.1.max(seen.depth);
    }

    fn doubt(&mut self, _: &str, _: Via<'_>, _: usize) {
        self.0.push("?".to_owned());
    }
}

fn seen(words: &[Vec<u8>]) -> Told {
    let argv: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let slash = argv[0].contains(&b'/');
    let bare = argv[0].rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let path = if slash { argv[0].to_vec() } else { [b"/usr/bin/", bare].concat() };
    let system = !slash || argv[0].starts_with(b"/usr/") || argv[0].starts_with(b"/bin/");
    let facts = Facts {
        name: argv[0],
        path: Some(&path),
        tool: system.then_some(bare),
        argv: &argv,
        cwd: Some(HERE),
        ..Facts::default()
    };
    let mut told = Told::default();
    walk(&facts, &EnvRules::default(), &mut told);
    told
}

#[test]
fn the_tables_have_no_errors() {
    let (table, errors) = table::read(table::DATA);
    assert_eq!(errors, Vec::<String>::new());
    assert!(table.len() > 150, "{}", table.len());
}

#[test]
fn every_case_is_seen_to_run_what_it_runs() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in CASES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (command, expected) = line.split_once(" => ").expect("a command and what it runs");
        let found = seen(&words(command)).0.join(" ;; ");
        count += 1;
        if found != expected {
            wrong.push(format!("{command}\n  is       {found}\n  expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {count} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 300, "only {count} cases");
}

/// What `name` is seen to run when it is a link to `/bin/busybox`.
fn linked(name: &[u8], argv: &[&[u8]]) -> String {
    let facts = Facts {
        name,
        path: Some(b"/bin/busybox"),
        tool: Some(name),
        argv,
        cwd: Some(HERE),
        ..Facts::default()
    };
    let mut told = Told::default();
    walk(&facts, &EnvRules::default(), &mut told);
    told.0.join(" ;; ")
}

#[test]
fn a_link_to_busybox_is_the_command_of_its_name_and_the_one_that_argv_0_says() {
    assert_eq!(linked(b"cat", &[b"cat", b"rm"]), "own");
    assert_eq!(linked(b"cat", &[b"/bin/cat", b"rm", b"-rf", b"/"]), "own");
    assert_eq!(linked(b"sh", &[b"-sh", b"-c", b"rm x"]), "passes ;; rm x");
    assert_eq!(linked(b"sh", &[b"sh", b"-c", b"rm x"]), "passes ;; rm x");
    assert_eq!(linked(b"env", &[b"env", b"rm", b"x"]), "passes ;; rm x");
    assert_eq!(linked(b"cat", &[b"rm", b"-rf", b"/"]), "own ;; rm -rf /");
    assert_eq!(linked(b"cat", &[b"x/sh", b"-c", b"rm x"]), "own ;; sh -c rm x ;; rm x");
    assert_eq!(linked(b"cat", &[b"busybox", b"rm", b"x"]), "passes ;; rm x");
    assert_eq!(linked(b"cat", &[]), "own ;; ?");
}

#[test]
fn the_walk_ends_at_its_bounds() {
    let deep = seen(&vec![b"nice".to_vec(); 40]);
    assert_eq!(deep.0.last().map(String::as_str), Some("?"));
    assert_eq!(deep.1, super::MAX_DEPTH);
    let line = "ls;".repeat(1000);
    let wide = seen(&[b"sh".to_vec(), b"-c".to_vec(), line.into_bytes()]);
    assert!(wide.0.len() <= super::MAX_COMMANDS + 2, "{}", wide.0.len());
    assert_eq!(wide.0.last().map(String::as_str), Some("?"));
}

#[test]
fn a_script_for_sed_that_is_long_is_in_doubt() {
    let shown = |lines: usize| seen(&[b"sed".to_vec(), b"1c x\n".repeat(lines)]).0;
    assert_eq!(shown(800), ["own"]);
    assert_eq!(shown(900), ["own", "?"]);
}

#[test]
fn an_unknown_word_is_what_no_argument_can_be() {
    assert!(unknown::is_in(unknown::ONE) && unknown::is_many(unknown::MANY));
    assert!(!unknown::is_many(unknown::ONE));
}
