//! Properties: no input makes the crate panic, and no spelling talks a rule around.

use std::sync::LazyLock;

use clawrden_policy::{Action, Facts, Policy};
use proptest::prelude::*;

static STOCK: LazyLock<Policy> = LazyLock::new(Policy::stock);

fn decide(policy: &Policy, words: &[Vec<u8>]) -> Action {
    let argv: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let name = argv.first().copied().unwrap_or_default();
    let path = [b"/usr/bin/", name].concat();
    let facts = Facts {
        jail: "default",
        name,
        path: Some(&path),
        tool: Some(name),
        argv: &argv,
        cwd: Some(b"/home/ann/project"),
        ..Facts::default()
    };
    let decision = policy.decide(&facts);
    let explained = policy.explain(&facts);
    assert_eq!(decision, explained.decision, "explain and decide disagree about {words:?}");
    decision.action
}

fn owned(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// One of the spellings of `rm -rf /` and friends.
fn forced_removal() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let recursive = prop::sample::select(vec!["-r", "-R", "--recursive", "--recurs", "--rec"]);
    let force = prop::sample::select(vec!["-f", "--force", "--fo"]);
    let both = prop::sample::select(vec!["-rf", "-fr", "-Rf", "-vrf", "-rvf", "-rif"]);
    let flags = prop_oneof![
        (recursive, force).prop_map(|(r, f)| vec![r, f]),
        both.prop_map(|both| vec![both]),
    ];
    let target = prop::sample::select(vec![
        "/",
        "//",
        "/.",
        "/./",
        "//../",
        "/..",
        "../../..",
        "../../../",
        "/etc/..",
        "/home/../",
        "~",
        "/home/ann",
        "/home/ann/",
        "..",
        "./..",
        "/etc",
        "/etc/",
        "//etc",
        "/usr",
        "/bin/../",
    ]);
    let extra = prop::collection::vec(
        prop::sample::select(vec!["-v", "x", "./y", "-I", "--verbose"]),
        0..3,
    );
    (flags, target, extra, any::<bool>()).prop_flat_map(|(flags, target, extra, dashes)| {
        let mut words: Vec<&str> = flags;
        words.extend(extra);
        if dashes {
            Just([vec!["rm"], words, vec!["--", target]].concat()).boxed()
        } else {
            words.push(target);
            Just(words).prop_shuffle().prop_map(|words| [vec!["rm"], words].concat()).boxed()
        }
        .prop_map(|words| owned(&words))
    })
}

/// One of the spellings of a forced push to main.
fn forced_push() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let globals = prop::sample::select(vec![
        vec![],
        vec!["-C", "dir"],
        vec!["-c", "a=b"],
        vec!["--no-pager"],
        vec!["--git-dir", "x"],
        vec!["--git-dir=x", "-p"],
        vec!["--new-option"],
    ]);
    let tail = prop::sample::select(vec![
        vec!["-f", "origin", "main"],
        vec!["--force", "origin", "main"],
        vec!["--forc", "origin", "main"],
        vec!["--force=true", "origin", "main"],
        vec!["-uf", "origin", "main"],
        vec!["-qfu", "origin", "HEAD:main"],
        vec!["origin", "+main"],
        vec!["origin", "x", "+HEAD:refs/heads/main"],
        vec!["origin", "main", "-f"],
        vec!["origin", "--force", "refs/heads/master"],
        vec!["-o", "ci.skip", "-f", "origin", "main"],
        vec!["--push-option", "x", "--force", "origin", "main"],
    ]);
    (globals, tail).prop_map(|(globals, tail)| {
        let words: Vec<&str> =
            ["git"].into_iter().chain(globals).chain(["push"]).chain(tail).collect();
        owned(&words)
    })
}

/// Rules over a handful of words, many for one command, so that the index has something to do.
fn crowded_policy() -> impl Strategy<Value = Policy> {
    let command =
        prop::sample::select(vec!["rm", "git", "tool", "*", "g*", "*l", "{rm,tool}", "npm"]);
    let pattern = prop::collection::vec(
        prop::sample::select(vec![
            "push",
            "install",
            "-f",
            "--force",
            "-rf",
            "-r",
            "/",
            "/etc",
            "x",
            "*",
            "--",
            "./x",
            "/app/*",
            "--name=x",
            "-C",
            "commit",
            "{a,b}",
            "-*",
            "--recursive",
            "~",
        ]),
        1..4,
    );
    let action = prop::sample::select(vec!["ask", "deny", "allow"]);
    let rule = (command, prop::collection::vec(pattern, 0..3), action);
    prop::collection::vec(rule, 20..60).prop_map(|rules| {
        let mut text = String::from("default_action: ask\nrules:\n");
        for (command, patterns, action) in rules {
            let patterns: Vec<String> = patterns
                .iter()
                .map(|words| words.join(" "))
                .filter(|pattern| action != "allow" || !pattern.contains('~'))
                .map(|pattern| format!("{pattern:?}"))
                .collect();
            let args = if patterns.is_empty() {
                String::new()
            } else {
                format!("args: [{}], ", patterns.join(", "))
            };
            text.push_str(&format!("  - {{command: {command:?}, {args}action: {action}}}\n"));
        }
        Policy::from_yaml("crowded.yaml", &text).unwrap_or_else(|error| panic!("{error}"))
    })
}

fn some_command() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let name = prop::sample::select(vec!["rm", "git", "tool", "npm", "gl"]);
    let word = prop_oneof![
        8 => prop::sample::select(vec![
            "push", "install", "i", "-f", "--force", "--fo", "-rf", "-fr", "-R", "/", "//", "/etc/",
            "../../../etc", "x", "./x", "--", "-C", "dir", "commit", "-m", "a", "--name=x", "--name",
            "+main", "pu", "-", "", "/app/y", "--recurs", "-force", "..", "/home/ann",
        ]).prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    (name, prop::collection::vec(word, 0..7))
        .prop_map(|(name, words)| [vec![name.as_bytes().to_vec()], words].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_spelling_of_a_disaster_is_denied(words in forced_removal()) {
        prop_assert_eq!(decide(&STOCK, &words), Action::Deny, "{:?}", words);
    }

    #[test]
    fn every_spelling_of_a_forced_push_is_denied(words in forced_push()) {
        prop_assert_eq!(decide(&STOCK, &words), Action::Deny, "{:?}", words);
    }

    /// `decide` goes by the index of arguments and `explain` does not: they must agree.
    #[test]
    fn the_index_leaves_nothing_out(policy in crowded_policy(), commands in prop::collection::vec(some_command(), 1..20)) {
        for words in commands {
            decide(&policy, &words);
        }
    }

    /// Splitting a cluster into letters never makes a decision milder, with flags that take no value.
    #[test]
    fn splitting_a_cluster_is_no_way_around(
        letters in prop::sample::subsequence(vec!['r', 'f', 'v', 'i', 'd'], 1..5).prop_shuffle(),
        target in prop::sample::select(vec!["/", "build", "/etc", "~", "."]),
    ) {
        let policy = &*STOCK;
        let cluster: String = letters.iter().collect();
        let together = owned(&["rm", &format!("-{cluster}"), target]);
        let split: Vec<String> = letters.iter().map(|letter| format!("-{letter}")).collect();
        let apart: Vec<&str> =
            ["rm"].into_iter().chain(split.iter().map(String::as_str)).chain([target]).collect();
        prop_assert_eq!(decide(policy, &together), decide(policy, &owned(&apart)));
    }

    #[test]
    fn no_text_makes_the_loader_panic(text in any::<String>()) {
        let _ = Policy::from_yaml("any.yaml", &text);
    }

    #[test]
    fn no_yaml_like_text_makes_the_loader_panic(
        text in "(default_action|rules|jails|env|args|command|action|: |, |\\[|\\]|\\{|\\}|- |\n|  |\"|'|&a|\\*a|!x|\\||>|#|ask|deny|rm|-rf|/|\\*|~|0|5m|é){0,60}"
    ) {
        if let Err(error) = Policy::from_yaml("like.yaml", &text) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    /// A stock pack with a few bytes changed loads or is refused with a place, and never panics.
    #[test]
    fn no_mutation_of_a_policy_makes_the_loader_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), "[ -~\n\té]{0,3}", 0usize..6), 1..4)
    ) {
        let mut chars: Vec<char> = Policy::pack("git").unwrap().chars().collect();
        for (place, text, removed) in edits {
            let at = place.index(chars.len());
            let end = (at + removed).min(chars.len());
            chars.splice(at..end, text.chars());
        }
        let text: String = chars.into_iter().collect();
        if let Err(error) = Policy::from_yaml("mutated.yaml", &text) {
            prop_assert!(!error.diagnostics().is_empty());
            prop_assert!(error.to_string().contains("mutated.yaml:"));
        }
    }

    #[test]
    fn no_request_makes_the_judge_panic(
        words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 0..8),
        name in prop::collection::vec(any::<u8>(), 0..12),
        cwd in prop::option::of(prop::collection::vec(any::<u8>(), 0..12)),
    ) {
        let argv: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let facts = Facts {
            name: &name,
            tool: Some(&name),
            argv: &argv,
            cwd: cwd.as_deref(),
            changed_env: &argv,
            ..Facts::default()
        };
        let policy = &*STOCK;
        prop_assert_eq!(policy.decide(&facts), policy.explain(&facts).decision);
    }
}
