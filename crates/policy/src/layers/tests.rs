use std::time::Duration;

use crate::{Action, Decision, Executor, Facts, Layer, Notice, Policy, Source, Timeout};

fn policy(sources: &[(Layer, &str)]) -> Policy {
    let sources: Vec<Source> = sources
        .iter()
        .map(|(layer, text)| Source::new(*layer, format!("{layer:?}"), *text))
        .collect();
    Policy::from_sources(&sources).unwrap_or_else(|error| panic!("{error}"))
}

fn facts<'a>(argv: &'a [&'a [u8]]) -> Facts<'a> {
    Facts {
        jail: "ci",
        name: argv[0],
        tool: Some(argv[0]),
        argv,
        cwd: Some(b"/app"),
        ..Facts::default()
    }
}

fn decide(policy: &Policy, line: &str) -> Decision {
    let argv: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let decision = policy.decide(&facts(&argv));
    assert_eq!(policy.explain(&facts(&argv)).decision, decision);
    decision
}

fn rule(decision: &Decision) -> &str {
    decision.rule.as_ref().map_or("", |rule| &rule.text)
}

const CEILING: (Layer, &str) = (
    Layer::Ceiling,
    "allowed_paths: ['/app/*', '/srv/*']
rules:
  - {command: rm, args: -r, action: deny, reason: not here, suggest: ask ops}
  - {command: npm, action: ask}
  - {command: ls, action: allow}
",
);

#[test]
fn the_strictest_layer_holds_and_the_silent_have_no_voice() {
    let policy = policy(&[
        CEILING,
        (
            Layer::Host,
            "default_action: allow
jails: {ci: {rules: [{command: make, action: ask}]}, other: {rules: [{command: cat, action: deny}]}}
rules: [{command: npm, action: allow}, {command: rm, action: allow}]",
        ),
        (Layer::Repository, "rules: [{command: cargo, action: deny}, {command: rm, action: ask}]"),
    ]);
    let denied = decide(&policy, "rm -rf x");
    assert_eq!((denied.action, rule(&denied)), (Action::Deny, "Ceiling:3"));
    assert_eq!(denied.with_suggestion(&denied.reason), "not here; instead: ask ops");
    for (line, action, by) in [
        ("rm x", Action::Ask, "Repository:1"),
        ("npm i", Action::Ask, "Ceiling:4"),
        ("make", Action::Ask, "Host:2"),
        ("cargo", Action::Deny, "Repository:1"),
        ("cat x", Action::Allow, ""),
        ("ls", Action::Allow, "Ceiling:5"),
    ] {
        let decision = decide(&policy, line);
        assert_eq!((decision.action, rule(&decision)), (action, by), "{line}");
    }
}

#[test]
fn no_lower_allow_widens_what_the_host_leaves_to_its_default() {
    let policy = policy(&[
        (Layer::Ceiling, "rules: [{command: ls, action: allow}]"),
        (Layer::Host, "jails: {ci: {rules: [{command: ls, action: allow}]}}"),
        (Layer::Repository, "default_action: allow\nrules: [{command: ls, action: allow}]"),
    ]);
    assert_eq!(decide(&policy, "ls").action, Action::Deny);
}

#[test]
fn a_layer_that_writes_a_default_speaks_with_it() {
    let host = (Layer::Host, "default_action: allow\nrules: [{command: ls, action: allow}]");
    let over = policy(&[
        (Layer::Ceiling, "default_action: ask\nrules: [{command: ls, action: allow}]"),
        host,
    ]);
    assert_eq!(decide(&over, "ls").action, Action::Allow);
    let asked = decide(&over, "cat");
    assert_eq!(asked.reason, "no rule of the ceiling matches, and default_action is ask");
    assert_eq!(asked.action, Action::Ask);
    let under = policy(&[host, (Layer::Repository, "defaults: {action: deny}")]);
    assert_eq!(decide(&under, "ls").action, Action::Deny);
}

#[test]
fn every_layer_bounds_the_working_directory() {
    let host = (Layer::Host, "default_action: allow\nallowed_paths: /app/*");
    let policy = |paths: &str| {
        policy(&[CEILING, host, (Layer::Repository, &format!("allowed_paths: {paths}\nrules: []"))])
    };
    let at = |policy: &Policy, cwd: &'static [u8]| {
        policy.decide(&Facts { cwd: Some(cwd), ..facts(&[b"cat"]) }).action
    };
    assert_eq!(at(&policy("/app/x/*"), b"/app/x"), Action::Allow);
    assert_eq!(at(&policy("/app/x/*"), b"/app"), Action::Deny);
    assert_eq!(at(&policy("/srv/*"), b"/srv"), Action::Deny);
    assert_eq!(at(&policy("/*"), b"/tmp"), Action::Deny);
}

#[test]
fn only_the_host_says_where_and_as_whom_and_a_ceiling_may_keep_it_in_the_prisoner() {
    let host = (
        Layer::Host,
        "rules: [{command: [docker, ip], action: allow, executor: local, run_as: root}]",
    );
    let policy = policy(&[
        (
            Layer::Ceiling,
            "rules: [{command: docker, action: allow, executor: mirror}, {command: ip, action: allow}]",
        ),
        host,
    ]);
    let docker = decide(&policy, "docker");
    assert_eq!((docker.executor, docker.run_as), (Executor::Mirror, None));
    let ip = decide(&policy, "ip");
    assert_eq!((ip.executor, ip.run_as.as_deref()), (Executor::Local, Some("root")));
}

#[test]
fn the_shortest_times_hold() {
    let seconds = Duration::from_secs;
    let policy = policy(&[
        (Layer::Ceiling, "defaults: {timeout: 10m, approval_timeout: 1h}\nrules: []"),
        (
            Layer::Host,
            "approval_timeout: 2h
rules: [{command: a, action: ask, timeout: 20m, approval_timeout: 1m}, {command: [b, c], action: ask}]",
        ),
        (Layer::Repository, "rules: [{command: b, action: allow, timeout: 1m, approval_timeout: 30m}]"),
    ]);
    let a = decide(&policy, "a");
    assert_eq!((a.timeout, a.approval_timeout), (Timeout::Rule(seconds(600)), seconds(60)));
    let b = decide(&policy, "b");
    assert_eq!((b.timeout, b.approval_timeout), (Timeout::Rule(seconds(60)), seconds(1800)));
    let c = decide(&policy, "c");
    assert_eq!((c.timeout, c.approval_timeout), (Timeout::Default(seconds(600)), seconds(3600)));
}

#[test]
fn a_changed_variable_weighs_in_every_layer_and_is_noticed_once() {
    let rule = "rules: [{command: git, action: allow, dangerous_env: allow}]";
    let decide = |ceiling| {
        let policy = policy(&[(Layer::Ceiling, ceiling), (Layer::Host, rule)]);
        policy.decide(&Facts { changed_env: &[b"GIT_SSH"], ..facts(&[b"git"]) })
    };
    assert_eq!(decide(rule).action, Action::Allow);
    assert_eq!(decide(rule).noticed, [Notice::ChangedVariable(b"GIT_SSH".to_vec())]);
    assert_eq!(decide("rules: [{command: git, action: allow}]").action, Action::Ask);
}

#[test]
fn explain_goes_from_the_highest_layer_down() {
    let policy = policy(&[
        CEILING,
        (Layer::Host, "rules: [{command: rm, action: allow}, {command: ls, action: allow}]"),
        (Layer::Repository, "rules: [{command: rm, action: ask}]"),
    ]);
    let explanation = policy.explain(&facts(&[b"rm", b"x"]));
    let steps: Vec<&str> = explanation.steps.iter().map(|step| &*step.rule.text).collect();
    assert_eq!(steps, ["Ceiling:3", "Host:1", "Repository:1"]);
    assert_eq!(explanation.others, 3);
}

#[test]
fn what_a_command_runs_is_judged_by_every_layer() {
    let policy = policy(&[
        CEILING,
        (Layer::Host, "default_action: allow\non_unparsed: allow"),
        (Layer::Repository, "rules: [{command: cargo, action: deny}]"),
    ]);
    let bash = |line: &'static [u8]| policy.decide(&facts(&[b"bash", b"-c", line]));
    for (line, action, by) in [
        ("env A=1 rm -fr x", Action::Deny, "Ceiling:3"),
        ("sudo nice cargo build", Action::Deny, "Repository:1"),
        ("xargs npm ci", Action::Ask, "Ceiling:4"),
        ("env ls", Action::Allow, "Ceiling:5"),
    ] {
        let decision = decide(&policy, line);
        assert_eq!((decision.action, rule(&decision)), (action, by), "{line}");
    }
    assert_eq!(rule(&bash(b"ls; npm ci && rm -r x")), "Ceiling:3");
    assert_eq!(bash(b"cd /etc && ls").action, Action::Deny, "outside the ceiling's allowed_paths");
    assert_eq!(bash(b"cd \"$x\" && ls").action, Action::Ask, "perhaps outside");
}

#[test]
fn what_is_not_understood_takes_the_strictest_answer_of_a_layer_that_has_one() {
    let unparsed = |layers: &[(Layer, &str)]| {
        let policy = policy(layers);
        let decision = policy.decide(&facts(&[b"bash", b"-c", b"$x"]));
        (decision.action, decision.suggest.as_deref().unwrap_or_default().to_owned())
    };
    let host = (Layer::Host, "default_action: allow\non_unparsed: allow");
    let told = |action, suggest: &str| (action, suggest.to_owned());
    assert_eq!(unparsed(&[host]), told(Action::Allow, ""));
    assert_eq!(unparsed(&[host, (Layer::Ceiling, "rules: []")]), told(Action::Ask, ""));
    assert_eq!(unparsed(&[host, (Layer::Ceiling, "on_unparsed: allow")]), told(Action::Allow, ""));
    assert_eq!(unparsed(&[host, (Layer::Repository, "rules: []")]), told(Action::Allow, ""));
    let strict = (Layer::Repository, "on_unparsed: deny\ndefaults: {suggest: spell it out}");
    assert_eq!(unparsed(&[host, strict]), told(Action::Deny, "spell it out"));
}

#[test]
fn what_one_file_says_of_a_tool_talks_no_other_layer_around() {
    let hides = "tools: {frob: {flags: [-x, --quiet=]}}\n";
    let host = format!("default_action: allow\n{hides}rules: []");
    let ceiling = "rules: [{command: frob, args: '--force', action: deny}]";
    let policy = policy(&[(Layer::Ceiling, ceiling), (Layer::Host, &host)]);
    assert_eq!(decide(&policy, "frob --quiet --force").action, Action::Deny);
    let own = format!("{hides}{ceiling}");
    let policy = self::policy(&[(Layer::Ceiling, &own), (Layer::Host, "default_action: allow")]);
    assert_eq!(decide(&policy, "frob --quiet --force").action, Action::Allow, "it is a value");
}

#[test]
fn what_the_ceilings_let_through_is_told_whatever_the_policy_below_asks() {
    let lets = |layers: &[(Layer, &str)], line: &str| {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let facts = Facts {
            name: words[0],
            tool: Some(words[0]),
            argv: &words,
            cwd: Some(b"/app"),
            ..Facts::default()
        };
        policy(layers).ceilings_let(&facts)
    };
    let host = (Layer::Host, "default_action: ask");
    let ceiling = |text| (Layer::Ceiling, text);
    assert!(lets(&[host], "git push"));
    let asks = "rules: [{command: git, args: 'push **', action: ask}]";
    assert!(!lets(&[ceiling(asks), host], "git push"));
    assert!(!lets(&[ceiling(asks), host], "env git push"), "also behind a wrapper");
    assert!(lets(&[ceiling(asks), host], "git fetch"));
    assert!(!lets(&[ceiling("default_action: ask"), host], "git fetch"));
    assert!(!lets(&[ceiling("rules: [{command: git, action: deny}]"), host], "git fetch"));
    assert!(lets(&[ceiling("rules: [{command: git, action: allow}]"), host], "git fetch"));
}

#[test]
fn every_layer_that_asks_has_its_own_people_and_a_ceiling_has_them_for_everything() {
    let policy = policy(&[
        (
            Layer::Ceiling,
            "defaults: {approvers: {from: [security], count: 2}}
rules: [{command: dd, action: ask, approvers: [owner]}]",
        ),
        (
            Layer::Host,
            "default_action: allow
jails: {ci: {rules: [{command: npm, action: ask, quorum: 3}]}}
rules: [{command: npm, action: ask, approvers: [dev]}, {command: dd, action: allow}, {command: sh, action: allow}]",
        ),
        (Layer::Repository, "rules: [{command: npm, action: ask, approvers: [web]}]"),
    ]);
    let wanted = |line: &str| {
        let decision = decide(&policy, line);
        let show = |of: &std::sync::Arc<crate::Approvers>| {
            format!("{} {}", of.count, of.from.first().map_or("", |name| name))
        };
        let mut all: Vec<String> = decision.approvers.iter().map(show).collect();
        all.sort_unstable();
        (decision.action, all.join(", "))
    };
    assert_eq!(wanted("npm i"), (Action::Ask, "1 dev, 1 web, 2 security, 3 ".to_owned()));
    assert_eq!(wanted("dd"), (Action::Ask, "1 owner, 2 security".to_owned()));
    assert_eq!(wanted("ls"), (Action::Allow, String::new()));
    assert_eq!(wanted("sh -c $X"), (Action::Ask, "2 security".to_owned()), "not understood");
}
