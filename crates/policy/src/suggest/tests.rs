//! What a history suggests, and what it never does.

use super::*;
use crate::case_words::words;

mod whole;

const ASK: &str = "default_action: ask\n";

/// A request from `/app`: the words between blanks, `'` holding some together; and how it was answered.
fn past(line: &str, answer: Option<bool>) -> Past {
    let argv = words(line).into_iter().map(|word| String::from_utf8(word).unwrap()).collect();
    let answer = answer.map(|approved| Answer {
        approved,
        by: "ann".into(),
        reason: (!approved).then(|| "use the script".into()),
        kept: false,
    });
    Past {
        argv,
        cwd: Some("/app".into()),
        jail: "default".into(),
        uid: Some(1000),
        gid: Some(1000),
        was: Action::Ask,
        answer,
    }
}

fn yes(line: &str) -> Past {
    past(line, Some(true))
}

fn no(line: &str) -> Past {
    past(line, Some(false))
}

fn times(count: usize, one: &Past) -> Vec<Past> {
    vec![one.clone(); count]
}

fn found(policy: &str, past: &[Past]) -> Suggestions {
    Policy::from_yaml("p.yaml", policy).unwrap().suggest(past, 3, false)
}

fn rules(policy: &str, past: &[Past]) -> Vec<String> {
    found(policy, past).rules.into_iter().map(|rule| rule.yaml).collect()
}

/// What the policy says of a line once the rules stand in it.
fn after(yaml: &[String], line: &str) -> Action {
    let none = if yaml.is_empty() { " []" } else { "" };
    let text = format!("{ASK}rules:{none}\n{}\n", yaml.join("\n"));
    past::judge(&Policy::from_yaml("p.yaml", &text).unwrap(), &yes(line)).action
}

#[test]
fn what_was_approved_three_times_becomes_a_rule_for_just_that() {
    let found = found(ASK, &times(3, &yes("git push -u origin main")));
    let [rule] = &found.rules[..] else { panic!("{found:?}") };
    assert_eq!(rule.yaml, "- {command: git, args: push -u origin main, cwd: /app, action: allow}");
    assert_eq!((rule.asks, rule.commands, rule.by.clone()), (3, 1, vec![("ann".into(), 3)]));
    assert_eq!((rule.before.clone(), &*rule.wider), (None, "nothing but this command"));
    let yaml = [rule.yaml.clone()];
    assert_eq!(after(&yaml, "git push -u origin main"), Action::Allow);
    for other in
        ["git push origin main", "git push -u origin main -f", "git push -u origin dev", "git push"]
    {
        assert_eq!(after(&yaml, other), Action::Ask, "{other}");
    }
}

#[test]
fn two_answers_are_too_few_and_a_kept_one_is_none() {
    assert_eq!(rules(ASK, &times(2, &yes("git fetch"))), [""; 0]);
    let mut all = times(2, &yes("git fetch"));
    let mut kept = yes("git fetch");
    kept.answer.as_mut().unwrap().kept = true;
    all.push(kept);
    assert_eq!(rules(ASK, &all), [""; 0]);
    all.push(yes("git fetch"));
    assert_eq!(found(ASK, &all).rules[0].asks, 4, "it is an ask that the rule would have answered");
}

#[test]
fn the_rule_holds_where_it_was_asked_for_and_no_farther() {
    let at = |cwd: &str| Past { cwd: Some(cwd.into()), ..yes("terraform plan") };
    let two = [at("/w/a"), at("/w/b"), at("/w/a")];
    let cwd = |past: &[Past]| rules(ASK, past).pop().unwrap_or_default();
    assert!(cwd(&two).contains("cwd: [/w/a, /w/b]"), "{}", cwd(&two));
    let many = [at("/home/ann/a"), at("/home/ann/b/c"), at("/home/ann/d")];
    assert!(cwd(&many).contains("cwd: \"/home/ann/*\""), "{}", cwd(&many));
    let everywhere = [at("/a"), at("/b"), at("/c")];
    assert!(cwd(&everywhere).contains("cwd: [/a, /b, /c]"), "{}", cwd(&everywhere));
    let glob = times(3, &at("/w/[x]"));
    assert!(cwd(&glob).contains(r#"cwd: "/w/\\[x\\]""#), "{}", cwd(&glob));
    let unknown = Past { cwd: None, ..yes("terraform plan") };
    assert_eq!(cwd(&times(3, &unknown)), "");
}

#[test]
fn a_jail_and_a_user_of_their_own_are_named() {
    let policy = format!("{ASK}jails: {{ci: {{commands: [git]}}, dev: {{commands: [git]}}}}\n");
    let ci = Past { jail: "ci".into(), ..yes("git fetch") };
    let mut all = times(3, &ci);
    all.push(Past { uid: Some(7), ..past("git status", None) });
    let rule = rules(&policy, &all).pop().unwrap();
    assert!(rule.contains("jail: ci") && rule.contains("caller: {uid: 1000}"), "{rule}");
}

#[test]
fn values_that_were_seen_are_listed_and_none_is_added() {
    let all: Vec<Past> =
        ["one", "two", "three"].map(|name| yes(&format!("git push origin {name}"))).into();
    let yaml = rules(ASK, &all);
    assert_eq!(yaml.len(), 1, "{yaml:?}");
    assert_eq!(after(&yaml, "git push origin two"), Action::Allow);
    assert_eq!(after(&yaml, "git push origin four"), Action::Ask);
    // Two values are no place, nor is a place of a tool that is not known, nor another subcommand.
    assert_eq!(rules(ASK, &[&all[..2], &all[..2]].concat()), [""; 0]);
    assert_eq!(rules(ASK, &["tool a", "tool b", "tool c"].map(yes)), [""; 0]);
    assert_eq!(rules(ASK, &["npm ci", "npm test", "npm publish"].map(yes)), [""; 0]);
}

#[test]
fn files_stand_for_files_of_the_working_directory_where_that_harms_nothing() {
    let all = ["git add src/a.rs", "git add src/b.rs", "git add docs/c.md d.md"].map(yes);
    let yaml = rules(ASK, &all);
    let expected = "- {command: git, args: {subcommand: add, operands: {min: 1, max: 2}, inside: .}, cwd: /app, action: allow}";
    assert_eq!(
        yaml.join("\n").replace("\n  ", ", ").replace("- command", "- {command"),
        expected.trim_end_matches('}')
    );
    assert_eq!(after(&yaml, "git add other/e.rs"), Action::Allow);
    for outside in [
        "git add ../x",
        "git add /etc/passwd",
        "git add -A",
        "git add a b c",
        "git add",
        "git -C /x add a",
    ] {
        assert_eq!(after(&yaml, outside), Action::Ask, "{outside}");
    }
    // What removes or overwrites is only ever what was seen.
    let rm = rules(ASK, &["rm -r a", "rm -r b", "rm -r c"].map(yes));
    assert_eq!((after(&rm, "rm -r b"), after(&rm, "rm -r d")), (Action::Allow, Action::Ask));
    // Refs and hosts are no files, however they look.
    let refs = rules(ASK, &["git checkout a", "git checkout b", "git checkout c"].map(yes));
    assert_eq!(after(&refs, "git checkout d"), Action::Ask);
    let hosts = rules(ASK, &["curl http://a/", "curl http://b/", "curl http://c/"].map(yes));
    assert_eq!(after(&hosts, "curl http://b/"), Action::Allow);
    assert_eq!(after(&hosts, "curl http://d/"), Action::Ask);
}

#[test]
fn flags_that_were_used_are_wanted_and_no_others_are_taken() {
    let yaml = rules(ASK, &["git add -n a", "git add -n b", "git add -n c"].map(yes));
    assert_eq!(after(&yaml, "git add -n x"), Action::Allow);
    assert_eq!(after(&yaml, "git add --dry-run x"), Action::Allow);
    assert_eq!(after(&yaml, "git add x"), Action::Ask, "a dry run was approved, and no other");
    let yaml = rules(ASK, &["head -n 5 a", "head -n 5 b", "head -n 5 c"].map(yes));
    assert_eq!(
        (after(&yaml, "head -n5 d"), after(&yaml, "head -n 6 d")),
        (Action::Allow, Action::Ask)
    );
}

#[test]
fn what_runs_something_else_gets_no_rule_and_is_named() {
    for line in [
        "bash -c ls",
        "sh x.sh",
        "python3 -c 'print(1)'",
        "python3.12 x.py",
        "node x.js",
        "perl x.pl",
        "env ls",
        "env FOO=1 git fetch",
        "xargs rm",
        "nice git fetch",
        "timeout 5 git fetch",
        "nohup x",
        "sudo ls",
        "doas ls",
        "su -c ls",
        "npx eslint",
        "ssh host ls",
        "ssh host",
        "make",
        "make test",
        "docker run alpine",
        "docker exec x ls",
        "docker compose up",
        "kubectl exec p -- ls",
        "npm exec x",
        "npm x y",
        "find . -exec rm {} ;",
        "git -c core.pager=x log",
        "git -c alias.x=!y x",
        "tar --to-command=x -xf y",
        "rsync -e x a b:",
        "awk 'BEGIN{}'",
        "vim x",
        "gdb x",
        "go run x.go",
        "cargo run",
        "git submodule foreach ls",
        "sort --compress-program=x y",
        "curl -o /etc/x http://a/",
        "tmux new x",
        "watch ls",
        "busybox ls",
        "parallel ls",
        "strace ls",
        "uv run x",
        "poetry run x",
        "./git push",
        "/opt/git push",
        "node18 x",
        "eval x",
        "command git push",
    ] {
        let found = found(ASK, &times(5, &yes(line)));
        assert_eq!(found.rules, [], "{line}");
        assert_eq!((found.left.len(), found.left[0].answers), (1, 5), "{line}");
    }
}

#[test]
fn a_wrapped_command_is_no_reason_for_a_rule_but_counts_where_there_is_one() {
    let mut all = times(3, &yes("git fetch"));
    all.extend(times(2, &yes("timeout 5 git fetch")));
    all.extend(times(4, &yes("bash -c 'git fetch'")));
    let found = found(ASK, &all);
    assert_eq!(found.rules.len(), 1);
    assert_eq!((found.rules[0].asks, found.rules[0].commands), (9, 3), "{found:?}");
    assert_eq!(found.left, [], "the rule answers them");
}

#[test]
fn a_command_that_stands_alone_in_a_shell_line_counts_where_that_is_wanted() {
    let rules = |past: &[Past]| {
        let found = Policy::from_yaml("p.yaml", ASK).unwrap().suggest(past, 3, true);
        found.rules.into_iter().map(|rule| (rule.yaml, rule.asks)).collect::<Vec<_>>()
    };
    let mut all = times(2, &yes("bash -c 'git push \"origin\" main'"));
    all.push(yes("git push origin main"));
    let expected = "- {command: git, args: push origin main, cwd: /app, action: allow}".to_owned();
    assert_eq!(rules(&all), [(expected, 3)]);
    for line in [
        "git push; ls",
        "git push && ls",
        "FOO=1 git push",
        "git push > x",
        "git push $x",
        "cd /x && git push",
        "git push | cat",
        "git push &",
        "(git push)",
        "git $(x)",
        "LD_PRELOAD=x git push",
        "make",
        "python3 x.py",
        "env git push",
        "sudo git push",
        "echo a",
        "git push # x",
        "! git push",
        "eval git push",
        "a*",
        "~/x",
    ] {
        let argv = vec!["bash".to_owned(), "-c".to_owned(), line.to_owned()];
        assert_eq!(rules(&times(3, &Past { argv, ..yes("x") })), [], "{line}");
    }
    // Not by the check of the rule alone: the words are those that are run.
    let policy = Policy::from_yaml("p.yaml", ASK).unwrap();
    let alone = |line: &str| {
        let argv = vec!["bash".to_owned(), "-c".to_owned(), line.to_owned()];
        plain::alone(&policy, &Past { argv, ..yes("x") })
    };
    assert_eq!(alone(" git 'push' "), Some(vec!["git".to_owned(), "push".to_owned()]));
    for line in ["FOO=1 git push", "git push 2>&1", "git push;", "a*"] {
        assert_eq!(alone(line), None, "{line}");
    }
    for other in [
        "bash -c 'git push' x",
        "bash -x -c 'git push'",
        "bash x.sh",
        "fish -c 'git push'",
        "./bash -c 'git push'",
    ] {
        assert_eq!(rules(&times(3, &yes(other))), [], "{other}");
    }
}

#[test]
fn what_was_answered_both_ways_gives_nothing_and_is_told() {
    let mut all = times(4, &yes("git push"));
    all.push(Past { cwd: Some("/other".into()), ..no("git push") });
    let found = found(ASK, &all);
    assert_eq!(found.rules, []);
    assert_eq!(
        found.both_ways,
        [BothWays { argv: vec!["git".into(), "push".into()], approved: 4, denied: 1 }]
    );
}

#[test]
fn nothing_that_was_denied_becomes_allowed_by_a_file_more() {
    let mut all: Vec<Past> = ["git add a", "git add b", "git add c"].map(yes).into();
    all.push(no("git add secret.pem"));
    let yaml = rules(ASK, &all);
    assert_eq!(
        (after(&yaml, "git add a"), after(&yaml, "git add secret.pem")),
        (Action::Allow, Action::Ask)
    );
    // The policy's own denial, of another day, counts as well; so does a question that nobody answered.
    for was in [Action::Deny, Action::Ask] {
        all[3] = Past { was, ..past("git add other", None) };
        let yaml = rules(ASK, &all);
        assert_eq!(after(&yaml, "git add other"), Action::Ask, "{was}");
    }
}

#[test]
fn a_denial_of_the_policy_is_never_reached_over() {
    // It stands behind the question, where an `allow` in front would end the search.
    let behind = "rules:\n- {command: git, args: add, action: ask}\n- {command: git, args: 'add *.pem', action: deny}\n";
    let all = ["git add a", "git add b", "git add c"].map(yes);
    let yaml = rules(behind, &all);
    assert_eq!(after(&yaml, "git add x.pem"), Action::Ask, "{yaml:?}");
    assert_eq!(after(&yaml, "git add b"), Action::Allow);
    let before = "rules:\n- {command: git, args: 'add *.pem', action: deny}\n- {command: git, args: add, action: ask}\n";
    let found = found(before, &all);
    assert_eq!(found.rules[0].before.as_ref().unwrap().text.as_ref(), "p.yaml:3");
    assert!(found.rules[0].yaml.contains("inside"), "{found:?}");
    // What the denial cannot mean is no hindrance.
    let other = "rules:\n- {command: git, args: add, action: ask}\n- {command: git, args: push -f, action: deny}\n";
    assert!(rules(other, &all)[0].contains("inside"));
}

#[test]
fn a_rule_stands_behind_what_is_written_and_before_the_rules_of_packs() {
    let text = "use: [pack:git, pack:node]\nrules: [{command: ls, action: allow}]\n";
    let policy = Policy::from_yaml("p.yaml", text).unwrap();
    let past = times(3, &yes("npm install"));
    let history = History::of(&policy, &past, false);
    let asks = history.scenes[0].now.rule.as_ref().unwrap();
    assert!(asks.text.starts_with("pack:node:"), "{asks}");
    let candidate = Candidate { action: Action::Allow, shape: Shape::Exact, commands: vec![0] };
    assert_eq!(check::place(&policy, &history, &candidate), 1);
    let found = found(text, &past);
    assert_eq!((found.rules.len(), found.rules[0].before.clone()), (1, None), "{found:?}");
}

#[test]
fn no_rule_is_suggested_that_another_layer_makes_useless() {
    let source = |layer, text: &str| crate::Source::new(layer, "x.yaml", text);
    let ceiling = "rules: [{command: npm, args: publish, action: ask}]";
    let all = [
        times(3, &yes("npm publish")),
        times(3, &yes("npm ci")),
        times(3, &Past { jail: "ci".into(), ..yes("npm test") }),
    ];
    let host = "default_action: ask\njails: {ci: {commands: [npm], rules: [{command: npm, action: ask}]}}\n";
    let policy = Policy::from_sources(&[
        source(crate::Layer::Ceiling, ceiling),
        source(crate::Layer::Host, host),
    ]);
    let found = policy.unwrap().suggest(&all.concat(), 3, false);
    let yaml: Vec<&str> = found.rules.iter().map(|rule| rule.yaml.as_str()).collect();
    assert_eq!(yaml.len(), 1, "{found:?}");
    assert!(yaml[0].contains("args: ci"), "{yaml:?}");
    assert!(found.left.iter().all(|left| left.why.contains("would ask all the same")), "{found:?}");
}

#[test]
fn what_another_question_would_still_ask_is_not_suggested() {
    let policy = "rules:\n- {command: git, args: push, dangerous_env: deny, action: ask}\n- {command: git, action: deny}\n";
    let found = found(policy, &times(3, &yes("git push")));
    assert_eq!(found.rules, [], "the denial behind may be meant for it");
    assert!(found.left[0].why.contains("p.yaml:3"), "{found:?}");
}

#[test]
fn what_the_policy_answers_by_itself_today_is_settled() {
    let policy = "default_action: ask\nrules: [{command: git, args: fetch, action: allow}]\n";
    let found = found(policy, &times(5, &yes("git fetch")));
    assert_eq!((found.rules.len(), found.answered, found.settled), (0, 5, 5));
}

#[test]
fn what_was_denied_every_time_becomes_a_denial_with_the_reason() {
    let found = found(ASK, &times(3, &no("npm publish")));
    let [rule] = &found.rules[..] else { panic!("{found:?}") };
    assert_eq!(rule.yaml, "- {command: npm, args: publish, action: deny, reason: use the script}");
    assert_eq!(rule.action, Action::Deny);
    // It must not take in what was approved.
    let mut all = times(3, &no("npm publish"));
    all.extend(times(3, &yes("npm publish --dry-run")));
    let yaml = rules(ASK, &all);
    assert_eq!(yaml.len(), 1, "{yaml:?}");
    assert!(yaml[0].contains("--dry-run") && yaml[0].contains("allow"), "{yaml:?}");
}

#[test]
fn a_reason_is_taken_over_harmlessly() {
    let mut denied = no("npm publish");
    denied.answer.as_mut().unwrap().reason = Some("no: \"never\"\n\u{1b}[2J # {x}".into());
    let yaml = rules(ASK, &times(3, &denied));
    let loaded = Policy::from_yaml("p.yaml", &format!("rules:\n{}\n", yaml[0])).unwrap();
    assert_eq!(past::judge(&loaded, &denied).action, Action::Deny);
    assert!(!yaml[0].contains(char::is_control), "{yaml:?}");
}

#[test]
fn words_that_a_pattern_would_take_for_more_are_spelled_or_left() {
    for line in
        ["git commit -m 'a * {b} [c]'", "git commit -m \"it's\"", "grep 'a b' x", "tool 'a,b'"]
    {
        let one = yes(line);
        let yaml = rules(ASK, &times(3, &one));
        assert_eq!(yaml.len(), 1, "{line}");
        let policy = Policy::from_yaml("p.yaml", &format!("{ASK}rules:\n{}\n", yaml[0])).unwrap();
        assert_eq!(past::judge(&policy, &one).action, Action::Allow, "{yaml:?}");
        let mut other = one.clone();
        other.argv.last_mut().unwrap().push('x');
        assert_eq!(past::judge(&policy, &other).action, Action::Ask, "{yaml:?}");
    }
    for line in ["tool ...", "tool a **", "tool -*", "tool  y"] {
        let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let found = found(ASK, &times(3, &Past { argv, ..yes("x") }));
        assert_eq!((found.rules.len(), found.left.len()), (0, 1), "{line}");
    }
}

#[test]
fn a_command_without_arguments_stays_without() {
    let yaml = rules(ASK, &times(3, &yes("deploy")));
    assert_eq!((after(&yaml, "deploy"), after(&yaml, "deploy now")), (Action::Allow, Action::Ask));
    assert_eq!(after(&yaml, "deploy --force"), Action::Ask);
}

#[test]
fn it_runs_where_it_ran() {
    let policy = "rules:\n- {command: git, executor: local, timeout: 90s, action: ask}\n";
    let rule = rules(policy, &times(3, &yes("git fetch"))).pop().unwrap();
    assert!(rule.contains("executor: local") && rule.contains("timeout: 90s"), "{rule}");
    let other = "rules:\n- {command: git, executor: local, run_as: root, action: ask}\n";
    let found = found(other, &times(3, &yes("git fetch")));
    assert!(found.rules.is_empty() && found.left[0].why.contains("another user"), "{found:?}");
}

#[test]
fn what_rules_ask_for_that_run_it_in_different_ways_gets_no_rule() {
    let policy = |other: &str| {
        format!(
            "rules:
- {{command: git, cwd: /app, action: ask, limits: {{pids: 50}}}}
- {{command: git, action: ask, limits: {{pids: {other}}}}}
"
        )
    };
    let elsewhere = Past { cwd: Some("/w".into()), ..yes("git fetch") };
    let all = [times(3, &yes("git fetch")), times(3, &elsewhere)].concat();
    let found = found(&policy("9"), &all);
    assert!(found.rules.is_empty(), "{found:?}");
    assert_eq!(found.left[0].why, "the rules that asked for it do not agree on how it runs");
    let same = rules(&policy("50"), &all).pop().unwrap();
    assert!(same.contains("limits: {pids: 50}"), "{same}");
}

#[test]
fn a_rule_in_the_place_of_one_that_asks_keeps_to_what_that_keeps_to() {
    let asking = |keys: &str| format!("rules: [{{command: git, action: ask, {keys}}}]");
    let all = times(3, &yes("git fetch"));
    let [rule] = &rules(&asking("limits: {pids: 50, rate: 9/1m}, record: output"), &all)[..] else {
        panic!("no rule")
    };
    assert!(rule.contains("limits: {pids: 50, rate: 9/1m}"), "{rule}");
    assert!(rule.contains("record: output"), "{rule}");
    let text = format!(
        "secrets: {{token: {{from_file: /etc/token}}}}\nghost_images: {{git: b}}\n{}",
        asking("executor: ghost, secrets: token")
    );
    let found = found(&text, &all);
    assert!(found.rules.is_empty());
    assert!(found.left[0].why.contains("secrets"), "{:?}", found.left);
}
