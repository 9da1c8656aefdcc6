//! Looking through: what stands around a command never makes its decision milder, and what only
//! passes it on changes nothing.

use clawrden_policy::{Action, Decision, Facts, Policy};
use proptest::prelude::*;
use proptest::sample::select;

/// Wrappers that only pass on, with their options, as `NAME… -- ` in front of a command.
const PASSING: &[&str] = &[
    "env",
    "env -i",
    "env -",
    "env A=1 -- ",
    "env -u HOME B=2",
    "env -iu X",
    "env --unset=A",
    "env --chdir=.",
    "env -v",
    "nice",
    "nice -n 5",
    "nice -n5",
    "nice -19",
    "nice --adjustment 3 --",
    "nohup",
    "timeout 5",
    "timeout -k 1 5",
    "timeout -s KILL --foreground 5m",
    "timeout --kill-after=3 -v 1h",
    "stdbuf -oL",
    "stdbuf -i0 --output=L -e 0",
    "setsid",
    "setsid -fw",
    "ionice -c 3",
    "ionice -c2 -n 7",
    "chrt -f 10",
    "chrt --batch 0",
    "taskset 3",
    "taskset -c 0-3",
    "time",
    "time -p",
    "time -f %e",
    "watch -x",
    "watch -n 5 --exec",
    "flock /tmp/l",
    "flock -n -w 3 /tmp/l",
    "strace -f -e trace=open",
    "busybox",
    "chronic",
    "fakeroot",
    "/usr/bin/env",
    "/bin/../bin/env X=y",
    "prlimit --nofile=10",
    "faketime yesterday",
    "entr -r",
];

/// Wrappers that have an answer of their own.
const JUDGED: &[&str] = &[
    "sudo",
    "sudo -n",
    "sudo -u ann --",
    "sudo -nu ann A=1",
    "doas -u ann",
    "gosu ann",
    "unshare -r",
    "setpriv --reuid 3",
    "systemd-inhibit --what=idle",
    "./env",
    "/opt/env A=1",
    "torsocks",
    "find . -exec",
];

/// Options that no wrapper has, and words that are none.
const JUNK: &[&str] =
    &["env --what", "timeout -z 5", "nice --", "xargs --odd", "sudo --weird=x", "stdbuf -q"];

type Rule = (&'static str, String, &'static str);

fn rules(commands: &'static [&'static str]) -> impl Strategy<Value = Vec<Rule>> {
    let word = select(vec![
        "push",
        "-f",
        "-rf",
        "-x",
        "--name",
        "--name=x",
        "/",
        "/etc",
        "/etc/*",
        "x",
        "*",
        "app",
        "~/.ssh/*",
        "of=/dev/*",
        "--",
        "*/x",
        "-o",
        "--force",
        "-*",
        "run",
        "rm",
        "commit",
        "-m",
        "status",
        "build",
    ]);
    let args = (prop::collection::vec(word, 0..4), select(vec!["", "**", "..."]));
    let args =
        args.prop_map(|(words, rest)| [words.join(" ").as_str(), rest].join(" ").trim().to_owned());
    let action = select(vec!["allow", "ask", "deny"]);
    // More than the index looks at one by one, now and then.
    let count = prop_oneof![3 => 0..8usize, 1 => 40..80usize];
    let rule = (select(commands), args, action);
    count.prop_flat_map(move |count| prop::collection::vec(rule.clone(), count))
}

fn policy(default: &str, on_unparsed: &str, rules: &[Rule]) -> Policy {
    let mut text = format!("default_action: {default}\non_unparsed: {on_unparsed}\nrules:\n");
    let mut any = false;
    for (command, args, action) in rules {
        if *action == "allow" && args.contains('~') {
            continue;
        }
        let args = if args.is_empty() { String::new() } else { format!("args: {args:?}, ") };
        text += &format!("  - {{command: {command:?}, {args}action: {action}}}\n");
        any = true;
    }
    if !any {
        text = text.replace("rules:\n", "");
    }
    Policy::from_yaml("some.yaml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

const TOOLS: &[&str] = &["rm", "git", "tool", "docker", "dd", "cat", "find", "sh", "npm"];
const TOOLS_AND_WRAPPERS: &[&str] = &[
    "rm", "git", "tool", "docker", "dd", "cat", "env", "nice", "timeout", "sudo", "*", "t*",
    "find", "sh",
];
const WORDS: &[&str] = &[
    "push",
    "-f",
    "-rf",
    "-x",
    "-xf",
    "--name",
    "--name=x",
    "/",
    "//",
    "..",
    "/etc",
    "etc/x",
    "../etc",
    "x",
    "./x",
    "app",
    "of=/dev/sda",
    "if=x",
    "-C",
    "--",
    "",
    "-o",
    "--force",
    "run",
    "exec",
    "rm",
    "commit",
    "-m",
    "a b",
    "status",
    "build",
    "-exec",
    ";",
    "-c",
    "core.pager=rm",
    "install",
    "--new",
];

fn command() -> impl Strategy<Value = Vec<String>> {
    (select(TOOLS), prop::collection::vec(select(WORDS), 0..6))
        .prop_map(|(name, words)| std::iter::once(name).chain(words).map(str::to_owned).collect())
}

fn split(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn decide(policy: &Policy, words: &[String]) -> Decision {
    let argv: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
    let bare = words[0].rsplit('/').next().unwrap_or_default();
    let own = words[0].starts_with("./") || words[0].starts_with("/opt");
    let path = if own { format!("/opt/{bare}") } else { format!("/usr/bin/{bare}") };
    let facts = Facts {
        jail: "default",
        name: argv[0],
        path: Some(path.as_bytes()),
        tool: (!own).then_some(bare.as_bytes()),
        argv: &argv,
        cwd: Some(b"/app"),
        ..Facts::default()
    };
    let decision = policy.decide(&facts);
    assert_eq!(decision, policy.explain(&facts).decision, "explain disagrees about {words:?}");
    decision
}

fn wrapped(stack: &[&str], command: &[String]) -> Vec<String> {
    stack.iter().flat_map(|wrapper| split(wrapper)).chain(command.iter().cloned()).collect()
}

/// Whether a shell with these arguments has options alone, and reads what it runs from its input.
fn has_no_script(arguments: &[String]) -> bool {
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word == "-o" {
            // Its value, which may look like a script.
            words.next();
        } else if !word.starts_with('-') {
            return false;
        }
    }
    true
}

fn quoted(command: &[String]) -> String {
    command.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 512,
        ..ProptestConfig::default()
    })]

    /// Where no rule names the wrapper, the answer is that of the command inside, by the same rule.
    #[test]
    fn passing_on_changes_nothing(
        rules in rules(TOOLS),
        default in select(vec!["allow", "ask", "deny"]),
        stack in prop::collection::vec(select(PASSING), 1..5),
        in_shell in any::<bool>(),
        command in command(),
    ) {
        let policy = policy(default, "ask", &rules);
        let alone = decide(&policy, &command);
        let mut outer = wrapped(&stack, &command);
        // A shell that a person types at is another thing than one that a line feeds.
        let is_fed = command[0] == "sh" && has_no_script(&command[1..]);
        if in_shell && !is_fed && !rules.iter().any(|(tool, ..)| *tool == "sh") {
            outer = wrapped(&stack, &[String::from("sh"), "-c".into(), quoted(&command)]);
        }
        let around = decide(&policy, &outer);
        prop_assert_eq!(around.action, alone.action, "{:?}\n{:?}\n{:#?}", outer, around, rules);
        prop_assert_eq!(around.rule, alone.rule, "{:?}\n{:#?}", outer, rules);
    }

    /// Whatever rules there are about wrappers too, no wrapper makes an answer milder.
    #[test]
    fn no_wrapper_makes_an_answer_milder(
        rules in rules(TOOLS_AND_WRAPPERS),
        default in select(vec!["allow", "ask", "deny"]),
        stack in prop::collection::vec(prop_oneof![select(PASSING), select(JUDGED)], 1..5),
        command in command(),
    ) {
        let policy = policy(default, "ask", &rules);
        // `find` replaces words and ends at a `;`; elsewhere they are what they are.
        let finds = stack.iter().any(|wrapper| wrapper.starts_with("find"));
        prop_assume!(!finds || !command.iter().any(|word| word == ";"));
        let mut outer = wrapped(&stack, &command);
        outer.extend(finds.then(|| ";".to_owned()));
        prop_assume!(stack.iter().filter(|wrapper| wrapper.starts_with("find")).count() < 2);
        let alone = decide(&policy, &command).action;
        let around = decide(&policy, &outer);
        prop_assert!(around.action >= alone, "{outer:?}: {around:?}, alone {alone:?}\n{rules:#?}");
    }

    /// An option that is not known hides nothing.
    #[test]
    fn an_unknown_option_never_lets_through_what_is_not_allowed(
        rules in rules(TOOLS_AND_WRAPPERS),
        default in select(vec!["allow", "ask", "deny"]),
        junk in select(JUNK),
        stack in prop::collection::vec(select(PASSING), 0..3),
        command in command(),
    ) {
        let policy = policy(default, "ask", &rules);
        let alone = decide(&policy, &command).action;
        let around = decide(&policy, &wrapped(&stack, &wrapped(&[junk], &command)));
        prop_assert!(around.action >= alone.min(Action::Ask), "{around:?}\n{rules:#?}");
    }

    /// A word that only a shell will know is judged at least as any word in its place would be, as far
    /// as `on_unparsed` goes.
    #[test]
    fn an_unknown_word_may_be_any(
        // None speaks of xargs itself, whose words are known.
        rules in rules(TOOLS),
        default in select(vec!["allow", "ask", "deny"]),
        on_unparsed in select(vec!["allow", "ask", "deny"]),
        command in command(),
        at in any::<prop::sample::Index>(),
        literal in select(WORDS),
        head in select(vec!["", "", "", "x", "-", "--name=", "/etc/", "--"]),
    ) {
        let policy = policy(default, on_unparsed, &rules);
        let bound = policy.on_unparsed();
        let at = 1 + at.index(command.len());
        let with = |word: String| {
            let mut words = command.clone();
            words.insert(at, word);
            words
        };
        let known = with(format!("{head}{literal}"));
        prop_assume!(!known.iter().any(|word| word.contains('@')));
        let mut unknown = split("xargs -I@");
        unknown.extend(with(format!("{head}@")));
        let mut around = split("xargs -I@");
        around.extend(known);
        let (known, unknown) = (decide(&policy, &around), decide(&policy, &unknown));
        prop_assert!(
            unknown.action >= known.action.min(bound),
            "{around:?}: {known:?}\nunknown {unknown:?}\n{rules:#?}"
        );
    }

    /// So are words that are added at the end, however many.
    #[test]
    fn added_words_may_be_any(
        rules in rules(TOOLS),
        default in select(vec!["allow", "ask", "deny"]),
        command in command(),
        added in prop::collection::vec(select(WORDS), 0..4),
    ) {
        let policy = policy(default, "ask", &rules);
        let mut unknown = vec!["xargs".to_owned()];
        unknown.extend(command.iter().cloned());
        let mut known = command;
        known.extend(added.iter().map(|word| (*word).to_owned()));
        let (known, unknown) = (decide(&policy, &known), decide(&policy, &unknown));
        prop_assert!(
            unknown.action >= known.action.min(Action::Ask),
            "{known:?}\nunknown {unknown:?}\n{rules:#?}"
        );
    }

    /// No vector makes the walk panic, or decide otherwise than it explains.
    #[test]
    fn no_words_make_the_walk_panic(
        words in prop::collection::vec(
            prop_oneof![
                select(WORDS).prop_map(str::to_owned),
                select(PASSING).prop_map(|text| split(text)[0].clone()),
                "[-a-z{};$'\"+= ]{0,12}",
                select(vec!["-S", "-c", "-exec", "{}", "+", ";", "-I", "--", "-e"]).prop_map(str::to_owned),
            ],
            1..12,
        ),
    ) {
        prop_assume!(!words[0].is_empty());
        let _ = decide(&Policy::stock(), &words);
    }
}

#[test]
fn the_decision_says_which_command_inside_gave_it() {
    let rules = "rules:
  - {command: rm, args: \"-r /\", action: deny, reason: destructive}
  - {command: ls, action: allow}";
    let policy = Policy::from_yaml("policy.yaml", rules).expect("it loads");
    let words = ["env", "A=1", "sh", "-c", "ls; rm -r /"].map(str::to_owned);
    let decision = decide(&policy, &words);
    assert_eq!(decision.action, Action::Deny);
    assert_eq!(decision.reason, "`rm -r /` inside `sh -c`: destructive");
    assert_eq!(decision.inside.as_deref(), Some("`rm -r /` inside `sh -c`"));
    let argv: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
    let facts = Facts {
        name: b"env",
        path: Some(b"/usr/bin/env"),
        tool: Some(b"env"),
        argv: &argv,
        cwd: Some(b"/app"),
        ..Facts::default()
    };
    let inside = policy.explain(&facts).inside;
    let told: Vec<_> = inside.iter().map(|it| (it.command.as_str(), it.depth, it.action)).collect();
    assert_eq!(
        told,
        [
            ("sh -c ls; rm -r /", 1, None),
            ("ls", 2, Some(Action::Allow)),
            ("rm -r /", 2, Some(Action::Deny)),
        ]
    );
    assert!(inside[2].rule.is_some() && inside[2].why == "destructive");
}

#[test]
fn on_unparsed_is_the_answer_for_what_is_not_understood() {
    let rules = "rules: [{command: [python3, ls], action: allow}]";
    let decide = |on_unparsed: &str, line: &str| {
        let text = format!("default_action: deny\n{on_unparsed}\n{rules}");
        let policy = Policy::from_yaml("policy.yaml", &text).expect("it loads");
        decide(&policy, &split(line)).action
    };
    assert_eq!(decide("", "python3 -c x"), Action::Ask);
    assert_eq!(decide("on_unparsed: deny", "python3 -c x"), Action::Deny);
    assert_eq!(decide("on_unparsed: allow", "python3 -c x"), Action::Allow);
    assert_eq!(decide("on_unparsed: deny", "python3 x.py"), Action::Allow);
    assert_eq!(decide("", "env PATH=/x ls"), Action::Ask);
    assert_eq!(decide("", "env X=/x ls"), Action::Allow);
}

#[test]
fn what_is_inside_gives_no_authority() {
    let text = "default_executor: mirror
rules:
  - {command: docker, args: \"ps **\", action: allow, executor: local, run_as: root}
  - {command: nice, args: \"**\", action: allow, executor: local, run_as: ann}";
    let policy = Policy::from_yaml("policy.yaml", text).expect("it loads");
    let run = |line: &str| {
        let decision = decide(&policy, &split(line));
        (
            decision.action.as_str(),
            decision.executor.as_str(),
            decision.run_as.map(|it| it.to_string()),
        )
    };
    assert_eq!(run("docker ps"), ("allow", "local", Some("root".into())));
    assert_eq!(run("env docker ps"), ("allow", "mirror", None));
    assert_eq!(run("nice docker ps"), ("allow", "local", Some("ann".into())));
}

#[test]
fn a_changed_variable_is_nothing_to_a_file_that_is_written() {
    let text = "{default_action: allow, on_unparsed: allow, \
                rules: [{command: '*', action: allow, dangerous_env: allow}]}";
    let facts = Facts {
        name: b"gcc",
        path: Some(b"/usr/bin/gcc"),
        tool: Some(b"gcc"),
        argv: &[b"gcc", b"-o", b"/opt/x", b"x.c"],
        cwd: Some(b"/home/ann/project"),
        changed_env: &[b"SHELL"],
        ..Facts::default()
    };
    let policy = Policy::from_yaml("p.yaml", text).unwrap();
    assert_eq!(policy.decide(&facts).action, Action::Allow);
}
