//! Structured rules: no spelling of a command is judged milder than its plain one, and nothing that is
//! not known makes a decision milder.

use clawrden_policy::{Action, Facts, Policy};
use proptest::prelude::*;
use proptest::sample::select;

const PLACES: &[&str] = &["/app", "/etc", "/", "/app/src", "/tmp"];

/// A list of some of the words, as YAML.
fn list(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::collection::vec(select(words), 1..3).prop_map(|words| format!("{words:?}"))
}

/// A mapping of some of these entries, each at most once.
fn mapping(
    keys: &'static [&'static str],
    values: BoxedStrategy<String>,
) -> impl Strategy<Value = String> {
    prop::sample::subsequence(keys, 1..=keys.len()).prop_flat_map(move |keys| {
        let values = prop::collection::vec(values.clone(), keys.len());
        values.prop_map(move |values| {
            let pairs: Vec<String> =
                keys.iter().zip(values).map(|(key, value)| format!("{key}: {value}")).collect();
            format!("{{{}}}", pairs.join(", "))
        })
    })
}

fn args() -> impl Strategy<Value = String> {
    let subs = list(&["push", "fetch", "remote add", "x"]);
    let flag = list(&[
        "-r",
        "-f",
        "-rf",
        "--force",
        "--recursive",
        "-n",
        "--dry-run",
        "-o",
        "--output",
        "--output=/etc/*",
        "--output=src/*",
        "-k",
        "-u",
        "--quiet",
        "--no-verify",
        "--*",
        "-v",
        "--odd",
    ]);
    let flags = mapping(&["any", "all", "none", "only"], flag.boxed());
    let globs = list(&["/etc/*", "src/*", "*.pem", "a", "origin", "/app/**", "x", "*", "/", "+*"]);
    let operands = mapping(&["any", "all", "none"], globs.boxed());
    let counts = (0usize..3, 0usize..3)
        .prop_map(|(min, more)| format!("{{min: {min}, max: {}}}", min + more));
    let places = list(&[".", "/tmp", "/etc", "./src", "/"]);
    let regexes = select(vec![
        "{1: '^/etc'}",
        "{2: x}",
        "{any: 'src/a'}",
        "{1: '[a-z]+'}",
        "{1: a, any: '/'}",
    ]);
    let operands = prop_oneof![operands, counts].boxed();
    let some = |value: BoxedStrategy<String>| prop::option::weighted(0.4, value);
    (
        some(subs.boxed()),
        some(flags.boxed()),
        some(operands),
        some(places.boxed()),
        some(regexes.prop_map(str::to_owned).boxed()),
    )
        .prop_filter_map("no key at all", |(subs, flags, operands, places, regex)| {
            let keys = [
                ("subcommand", subs),
                ("flags", flags),
                ("operands", operands),
                ("inside", places),
                ("matches", regex),
            ];
            let pairs: Vec<String> = keys
                .into_iter()
                .filter_map(|(key, value)| Some(format!("{key}: {}", value?)))
                .collect();
            (!pairs.is_empty()).then(|| format!("{{{}}}", pairs.join(", ")))
        })
}

fn rule() -> impl Strategy<Value = String> {
    let command = select(vec!["rm", "sort", "git", "*", "{rm,git}", "mytool"]);
    (command, args(), select(vec!["deny", "ask", "allow", "deny"])).prop_map(
        |(command, args, action)| {
            format!("  - {{command: {command:?}, args: {args}, action: {action}}}\n")
        },
    )
}

fn rules() -> impl Strategy<Value = Vec<String>> {
    // More than the index looks at one by one, now and then.
    prop_oneof![4 => prop::collection::vec(rule(), 1..5), 1 => prop::collection::vec(rule(), 20..40)]
}

fn policy(default: &str, rules: &[String]) -> Policy {
    let text = format!("default_action: {default}\nrules:\n{}", rules.concat());
    Policy::from_yaml("some.yaml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Judges by the index and without it, which must agree.
fn judge(policy: &Policy, words: &[String], cwd: Option<&str>) -> Action {
    let argv: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
    let path = format!("/usr/bin/{}", words[0]);
    let facts = Facts {
        name: argv[0],
        path: Some(path.as_bytes()),
        tool: Some(argv[0]),
        argv: &argv,
        cwd: cwd.map(str::as_bytes),
        ..Facts::default()
    };
    let decision = policy.decide(&facts);
    assert_eq!(decision, policy.explain(&facts).decision, "explain disagrees about {words:?}");
    decision.action
}

/// What a command means, apart from its spelling.
#[derive(Clone, Debug)]
struct Meaning {
    head: &'static [&'static str],
    /// Short and long names, the long one empty where there is none.
    switches: Vec<(&'static str, &'static str)>,
    valued: Vec<((&'static str, &'static str), &'static str)>,
    operands: Vec<&'static str>,
}

fn meaning() -> impl Strategy<Value = Meaning> {
    type Names = &'static [(&'static str, &'static str)];
    let of = |head: &'static [&'static str], switches: Names, valued: Names| {
        let words =
            select(vec!["a", "src/a", "/etc/x", "x.pem", "/", "/tmp/y", "origin", "../x", "b/c"]);
        let most = if head[0] == "rm" { 0 } else { 2 };
        let values = prop::collection::vec((select(valued), words.clone()), 0..=most);
        let switches = prop::sample::subsequence(switches, 0..=switches.len());
        let operands = prop::collection::vec(words, 0..3);
        (switches, values, operands).prop_map(move |(switches, valued, operands)| Meaning {
            head,
            switches,
            valued,
            operands,
        })
    };
    prop_oneof![
        of(
            &["rm"],
            &[("-r", "--recursive"), ("-f", "--force"), ("-v", "--verbose"), ("-i", "")],
            &[("", "")]
        ),
        of(
            &["sort"],
            &[("-n", "--numeric-sort"), ("-r", "--reverse"), ("-u", "--unique")],
            &[("-o", "--output"), ("-k", "--key")],
        ),
        of(
            &["git", "push"],
            &[("-f", "--force"), ("-n", "--dry-run"), ("-q", "--quiet"), ("-u", "--set-upstream")],
            &[("-o", "--push-option")],
        ),
    ]
}

/// How a command is spelled, in choices that do not change what it means.
#[derive(Clone, Debug)]
struct Spelling {
    cluster: bool,
    long: Vec<bool>,
    valued: Vec<u8>,
    flags_last: bool,
    reversed: bool,
    ended: bool,
    slashes: bool,
}

fn spelling() -> impl Strategy<Value = Spelling> {
    let bools = prop::collection::vec(any::<bool>(), 4);
    (any::<bool>(), bools, prop::collection::vec(0u8..4, 2), any::<[bool; 4]>()).prop_map(
        |(cluster, long, valued, [flags_last, reversed, ended, slashes])| Spelling {
            cluster,
            long,
            valued,
            flags_last,
            reversed,
            ended,
            slashes,
        },
    )
}

const PLAIN: fn() -> Spelling = || Spelling {
    cluster: false,
    long: vec![false; 4],
    valued: vec![3; 2],
    flags_last: false,
    reversed: false,
    ended: false,
    slashes: false,
};

impl Meaning {
    fn spell(&self, how: &Spelling) -> Vec<String> {
        let place =
            |word: &str| if how.slashes { word.replace('/', "//") } else { word.to_owned() };
        let mut flags: Vec<Vec<String>> = Vec::new();
        let mut cluster = String::from("-");
        for ((short, long), as_long) in self.switches.iter().zip(&how.long) {
            if *as_long && !long.is_empty() {
                flags.push(vec![(*long).to_owned()]);
            } else if how.cluster {
                cluster.push_str(&short[1..]);
            } else {
                flags.push(vec![(*short).to_owned()]);
            }
        }
        if cluster.len() > 1 {
            flags.push(vec![cluster]);
        }
        for (((short, long), value), form) in self.valued.iter().zip(&how.valued) {
            let value = place(value);
            flags.push(match form {
                0 => vec![(*short).to_owned(), value],
                1 => vec![format!("{short}{value}")],
                2 => vec![(*long).to_owned(), value],
                _ => vec![format!("{long}={value}")],
            });
        }
        if how.reversed {
            flags.reverse();
        }
        let mut words: Vec<String> = self.head.iter().map(|word| (*word).to_owned()).collect();
        let flags: Vec<String> = flags.concat();
        let operands: Vec<String> = self.operands.iter().map(|word| place(word)).collect();
        if how.flags_last {
            words.extend(operands);
            words.extend(flags);
        } else {
            words.extend(flags);
            words.extend(how.ended.then(|| "--".to_owned()));
            words.extend(operands);
        }
        words
    }
}

fn any_command() -> impl Strategy<Value = Vec<String>> {
    let name = select(vec!["rm", "sort", "git", "mytool"]);
    let word = select(vec![
        "push",
        "fetch",
        "remote",
        "add",
        "x",
        "-r",
        "-rf",
        "--force",
        "--forc",
        "-o",
        "-o/etc/x",
        "--output",
        "--output=src/a",
        "--odd",
        "--odd=x",
        "--",
        "a",
        "src/a",
        "./src//a",
        "/etc",
        "../etc/x",
        "x.pem",
        "+a",
        "-C",
        "-n",
        "--no-dry-run",
        "--dry-run",
        "",
        "-",
        "*",
        "~",
    ]);
    (name, prop::collection::vec(word, 0..6))
        .prop_map(|(name, words)| [name].into_iter().chain(words).map(str::to_owned).collect())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        max_global_rejects: 100_000,
        max_local_rejects: 1_000_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Clusters, long names, attached values, the order of flags, `--` and doubled slashes.
    #[test]
    fn no_spelling_is_judged_milder(
        rules in rules(),
        default in select(vec!["allow", "ask", "deny"]),
        meaning in meaning(),
        how in spelling(),
    ) {
        let policy = policy(default, &rules);
        let plain = meaning.spell(&PLAIN());
        let spelled = meaning.spell(&how);
        let (before, after) = (judge(&policy, &plain, Some("/app")), judge(&policy, &spelled, Some("/app")));
        prop_assert!(after >= before, "{plain:?}: {before}, {spelled:?}: {after}\n{}", rules.concat());
    }

    #[test]
    fn an_unknown_working_directory_is_never_judged_milder(
        rules in rules(),
        default in select(vec!["allow", "ask", "deny"]),
        command in any_command(),
    ) {
        let policy = policy(default, &rules);
        let unknown = judge(&policy, &command, None);
        for cwd in PLACES {
            let known = judge(&policy, &command, Some(cwd));
            prop_assert!(unknown >= known, "{command:?} in {cwd}: {known}, unknown: {unknown}\n{}", rules.concat());
        }
    }

    /// A global option before the subcommand, known or not, talks nobody around.
    #[test]
    fn an_option_before_the_subcommand_is_no_way_around(
        rules in rules(),
        meaning in meaning(),
        global in select(vec![&["-C", "dir"][..], &["-c", "a=b"], &["--another"], &["--git-dir=x"]]),
    ) {
        prop_assume!(meaning.head.len() > 1);
        let rules: Vec<String> = rules.into_iter().filter(|rule| !rule.contains("action: allow")).collect();
        prop_assume!(!rules.is_empty());
        let policy = policy("allow", &rules);
        let plain = meaning.spell(&PLAIN());
        let mut words = plain.clone();
        words.splice(1..1, global.iter().map(|word| (*word).to_owned()));
        // Rules that name few operands or few flags do not speak of one that has more.
        let of_few = |rule: &&String| ["max:", "only:", "--*"].iter().any(|key| rule.contains(key));
        prop_assume!(!rules.iter().any(|rule| of_few(&rule)));
        let (before, after) = (judge(&policy, &plain, Some("/app")), judge(&policy, &words, Some("/app")));
        prop_assert!(before == Action::Allow || after > Action::Allow, "{words:?}\n{}", rules.concat());
    }
}
