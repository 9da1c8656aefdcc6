//! `clawrden policy …` as people and programs meet it: what is printed, and by which exit code it is told.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

mod common;

use std::os::unix::fs::symlink;

use common::Sandbox;
use serde_json::Value;

const POLICY: &str = "\
default_action: deny
rules:
  - {command: git, args: push --force, action: deny, reason: use a branch}
  - {command: git, args: push, action: ask, name: shared, timeout: 5m}
  - {command: git, args: status **, action: allow}
";

/// What a verb did: its exit code, standard output and standard error.
fn ran(sandbox: &Sandbox, args: &[&str]) -> (i32, String, String) {
    let output = sandbox.clawrden().arg("policy").args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn json(sandbox: &Sandbox, args: &[&str]) -> Value {
    let (_, out, err) = ran(sandbox, args);
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"))
}

fn file(sandbox: &Sandbox, name: &str, text: &str) -> String {
    let path = sandbox.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_sub_verb_has_help_with_examples() {
    let sandbox = Sandbox::new();
    let verbs =
        ["check", "explain", "lint", "reload", "schema", "show", "simulate", "suggest", "test"];
    for verb in verbs {
        let (code, text, _) = ran(&sandbox, &[verb, "--help"]);
        assert!(code == 0 && text.contains("Examples:") && text.contains("Exit codes"), "{verb}");
    }
}

#[test]
fn every_example_of_the_help_runs() {
    let sandbox = Sandbox::for_examples(POLICY);
    let mut count = 0;
    for verb in
        ["", "check", "explain", "lint", "reload", "schema", "show", "simulate", "suggest", "test"]
    {
        let args: &[&str] = if verb.is_empty() { &["--help"] } else { &[verb, "--help"] };
        let (_, help, _) = ran(&sandbox, args);
        let examples: Vec<&str> =
            help.lines().filter(|line| line.starts_with("  clawrden policy ")).collect();
        assert!(!examples.is_empty(), "{help}");
        for example in examples {
            // What it does may stand beside it.
            let example = example.trim().split("   ").next().unwrap();
            let (code, said) = sandbox.example(example);
            // A rule that is accepted is shown first.
            let is_quiet = said.is_empty() || example.contains("--accept");
            assert!(matches!(&*code, "0" | "1") && is_quiet, "{example}: {code} {said}");
            count += 1;
        }
    }
    assert!(count > 20, "only {count} examples");
}

#[test]
fn check_tells_every_error_of_every_file_at_once() {
    let sandbox = Sandbox::new();
    let one = file(&sandbox, "one.yaml", "default_action: maybe\nrules: [{comand: ls}]\n");
    let two = file(&sandbox, "two.yaml", "default_action: deny\nrule: []\n");
    let good = file(&sandbox, "good.yaml", POLICY);
    let (code, out, err) = ran(&sandbox, &["check", &one, &good, &two, "/nonexistent.yaml"]);
    assert_eq!((code, err.as_str()), (1, ""));
    for part in [
        "error: unknown action `maybe`",
        "one.yaml:1:17",
        "unknown key `comand`",
        "did you mean `command`?",
        "the rule has no `action`",
        "unknown key `rule`",
        "good.yaml: 3 rules",
        "cannot read the policy",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
    assert!(!out.contains('\u{1b}'), "no colours into a pipe: {out:?}");
    let found = json(&sandbox, &["check", "--json", &one, &good]);
    assert_eq!((&found["ok"], &found["files"][1]["rules"]), (&false.into(), &3.into()));
    assert_eq!(found["files"][0]["errors"][0]["line"], 1);
    assert_eq!(found["files"][0]["errors"][0]["help"], "valid are `allow`, `ask` or `deny`");
    assert_eq!(ran(&sandbox, &["check", &good]).0, 0);
}

#[test]
fn errors_beyond_the_bound_are_counted() {
    let sandbox = Sandbox::new();
    let many: String = (0..150).map(|n| format!("key{n}: 1\n")).collect();
    let many = file(&sandbox, "many.yaml", &many);
    let (_, out, _) = ran(&sandbox, &["check", &many]);
    assert!(out.contains("150 errors, 50 of them not shown"), "{out}");
    assert_eq!(json(&sandbox, &["check", "--json", &many])["files"][0]["omitted"], 50);
}

#[test]
fn check_without_a_file_says_which_policy_it_looked_at() {
    let sandbox = Sandbox::new();
    let is_root = rustix::process::geteuid().is_root();
    // Root's place is one for the whole machine; a test leaves it alone.
    if !is_root {
        let (code, out, _) = ran(&sandbox, &["check"]);
        assert!(code == 0 && out.contains("the stock policy `developer`"), "{out}");
        let usual = file(&sandbox, "config/clawrden/policy.yaml", "nonsense: 1\n");
        let (code, out, _) = ran(&sandbox, &["check"]);
        assert!(code == 1 && out.contains(&usual) && out.contains("unknown key"), "{out}");
        assert_eq!(ran(&sandbox, &["explain", "--", "ls"]).0, 2);
        // What lies beside it counts as it does for a warden.
        file(&sandbox, "config/clawrden/policy.yaml", POLICY);
        let deny = "rules: [{command: ls, action: allow}]\n";
        let more = file(&sandbox, "config/clawrden/rules.d/10-more.yaml", deny);
        let (code, out, _) = ran(&sandbox, &["check"]);
        assert!(code == 0 && out.contains(&more) && out.contains("1 rule"), "{out}");
        assert_eq!(json(&sandbox, &["explain", "--json", "--", "ls"])["rule"], "10-more.yaml:1");
    } else {
        let (_, out, _) = ran(&sandbox, &["check"]);
        assert!(out.contains("a warden that is started here"), "{out}");
    }
}

#[test]
fn explain_names_the_rule_its_line_and_what_was_passed_over() {
    let sandbox = Sandbox::new();
    let policy = file(&sandbox, "p.yaml", POLICY);
    let found = json(&sandbox, &["explain", "--policy", &policy, "--json", "--", "git", "push"]);
    assert_eq!(found["action"], "ask");
    assert_eq!((&found["rule"], &found["line"]), (&"p.yaml:4 (shared)".into(), &4.into()));
    assert_eq!((&found["file"], &found["timeout_ms"]), (&policy.as_str().into(), &300_000.into()));
    assert_eq!(found["steps"][0]["verdict"], "passed");
    assert!(found["steps"][0]["why"].as_str().unwrap().contains("no flag"), "{found}");
    let (code, out, _) =
        ran(&sandbox, &["explain", "--policy", &policy, "--", "git", "push", "-f"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("deny  git push -f\n"), "{out}");
    assert!(out.contains("p.yaml:3:5") && out.contains("use a branch"), "{out}");
}

#[test]
fn the_exit_code_tells_the_action_when_it_is_asked_to() {
    let sandbox = Sandbox::new();
    let policy = file(&sandbox, "p.yaml", POLICY);
    for (command, code) in [("status", 0), ("push", 75), ("commit", 126)] {
        let args = ["explain", "--policy", &policy, "--exit-code", "--", "git", command];
        assert_eq!(ran(&sandbox, &args).0, code, "{command}");
    }
}

#[test]
fn a_tool_is_found_past_the_shims_and_a_copy_of_it_is_not_the_tool() {
    let sandbox = Sandbox::new();
    let yaml = "default_action: deny\nrules: [{command: mytool, action: allow}]\n";
    let policy = file(&sandbox, "p.yaml", yaml);
    let (shims, real) = (sandbox.path("shims"), sandbox.path("real"));
    sandbox.clawrden().arg("shims").arg(&shims).arg("mytool").output().unwrap();
    sandbox.script(&real.join("mytool"), "exit 0");
    sandbox.script(&sandbox.path("own/mytool"), "exit 1");
    symlink(real.join("mytool"), sandbox.path("link")).unwrap();
    let path = format!("{}:{}:/usr/bin:/bin", shims.display(), real.display());
    let explain = |name: &str| -> Value {
        let mut command = sandbox.clawrden();
        command.args(["policy", "explain", "--policy", &policy, "--json", "--", name]);
        let output = command.env("PATH", &path).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let found = explain("mytool");
    assert_eq!((&found["action"], &found["tool"]), (&"allow".into(), &"mytool".into()));
    assert!(found["path"].as_str().unwrap().ends_with("/real/mytool"), "{found}");
    assert_eq!(explain(shims.join("mytool").to_str().unwrap())["action"], "allow");
    let copy = explain(sandbox.path("own/mytool").to_str().unwrap());
    assert_eq!((&copy["action"], &copy["tool"]), (&"deny".into(), &Value::Null));
}

#[test]
fn what_is_not_installed_is_judged_by_its_name() {
    let sandbox = Sandbox::new();
    let yaml = "rules: [{command: no-such-tool, args: x, action: allow}]\n";
    let policy = file(&sandbox, "p.yaml", yaml);
    let args = ["explain", "--policy", &policy, "--", "no-such-tool", "x"];
    let (_, out, _) = ran(&sandbox, &args);
    assert!(out.starts_with("allow") && out.contains("not installed here"), "{out}");
}

#[test]
fn a_shell_line_is_judged_as_bash_runs_it() {
    let sandbox = Sandbox::new();
    let yaml = "default_action: deny\nrules: [{command: bash, args: \"-c *\", action: ask}]\n";
    let policy = file(&sandbox, "p.yaml", yaml);
    let args = ["explain", "--policy", &policy, "--json", "--shell", "make it"];
    let found = json(&sandbox, &args);
    assert_eq!(found["argv"], serde_json::json!(["bash", "-c", "make it"]));
    assert_ne!(found["action"], "allow");
}

#[test]
fn where_and_who_are_facts_that_can_be_given() {
    let sandbox = Sandbox::new();
    let yaml = "default_action: allow\nallowed_paths: [/app/*]\nrules: [{command: rm, jail: ci, action: deny}]\n";
    let policy = file(&sandbox, "p.yaml", yaml);
    let explain = |more: &[&str]| {
        let args = [&["explain", "--policy", &policy, "--json"], more, &["--", "rm", "x"]].concat();
        json(&sandbox, &args)
    };
    assert_eq!(explain(&["--cwd", "/app/x"])["action"], "allow");
    assert_eq!(explain(&["--cwd", "/etc"])["action"], "deny");
    assert_eq!(explain(&["--cwd", "/app/x", "--jail", "ci"])["line"], 3);
    assert_eq!(explain(&["--cwd", "/app", "--uid", "7"])["uid"], 7);
    let changed = explain(&["--cwd", "/app", "--changed-env", "LD_PRELOAD"]);
    assert_eq!(changed["action"], "ask");
    assert!(changed["noticed"][0].as_str().unwrap().starts_with("LD_PRELOAD"), "{changed}");
}

#[test]
fn a_profile_is_taken_by_its_name_and_a_wrong_command_line_gives_2() {
    let sandbox = Sandbox::new();
    let args = ["explain", "--profile", "developer", "--json", "--", "ls", "-la"];
    assert_eq!(json(&sandbox, &args)["action"], "allow");
    let bad = file(&sandbox, "bad.yaml", "nonsense: 1\n");
    for args in [
        &["explain"][..],
        &["explain", "--profile", "nobody", "--", "ls"],
        &["explain", "--shell", "ls", "--", "ls"],
        &["explain", "--policy", &bad, "--", "ls"],
        &["explain", "--policy", "/nonexistent.yaml", "--", "ls"],
        &["explain", "--", ""],
    ] {
        let (code, _, err) = ran(&sandbox, args);
        assert!(code == 2 && !err.is_empty(), "{args:?}: {code} {err}");
    }
}

#[test]
fn every_profile_and_pack_can_be_shown_and_what_is_shown_is_a_policy() {
    let sandbox = Sandbox::new();
    let list = json(&sandbox, &["show", "--list", "--json"]);
    let profiles: Vec<&str> =
        list["profiles"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(profiles, ["developer", "ci", "locked-down"]);
    for profile in profiles {
        let (code, text, err) = ran(&sandbox, &["show", "--profile", profile]);
        assert_eq!((code, err.as_str()), (0, ""));
        let shown = file(&sandbox, "shown.yaml", &text);
        let (code, out, _) = ran(&sandbox, &["check", &shown]);
        assert_eq!(code, 0, "{out}");
    }
    for pack in list["packs"].as_array().unwrap() {
        let (code, text, _) = ran(&sandbox, &["show", pack.as_str().unwrap()]);
        assert!(code == 0 && text.starts_with("# Clawrden's stock pack"), "{pack}");
    }
    let (code, _, err) = ran(&sandbox, &["show", "pack:nothing"]);
    assert!(code == 2 && err.contains("pack:NAME with one of base, "), "{err}");
}

#[test]
fn a_policy_is_shown_as_the_files_that_it_is_made_of() {
    let sandbox = Sandbox::new();
    let (_, text, _) = ran(&sandbox, &["show"]);
    assert_eq!(text, ran(&sandbox, &["show", "--profile", "developer"]).1);
    let policy = file(&sandbox, "p.yaml", "default_action: ask\n");
    let shown = json(&sandbox, &["show", "--policy", &policy, "--json"]);
    assert_eq!(
        (&shown[0]["name"], &shown[0]["text"]),
        (&policy.into(), &"default_action: ask\n".into())
    );
}

#[test]
fn tests_of_a_policy_are_counted_and_those_that_fail_are_pointed_at() {
    let sandbox = Sandbox::new();
    let policy = file(
        &sandbox,
        "p.yaml",
        "rules: [{command: ls, action: allow, match: [ls, ls -la]}]\ntests: [{command: rm, expect: deny}]\n",
    );
    let good = file(&sandbox, "good.yaml", "tests: [{command: [env, ls], expect: allow}]\n");
    let (code, out, _) = ran(&sandbox, &["test", "--policy", &policy, &good]);
    assert_eq!((code, out), (0, format!("ok {policy}: 3 tests\nok {good}: 1 test\n")));
    let bad = file(&sandbox, "bad.yaml", "tests:\n  - {command: ls, expect: deny}\n");
    let (code, out, _) = ran(&sandbox, &["test", "--policy", &policy, &bad, &good]);
    assert!(code == 1 && out.contains("expected deny, and `ls` comes out as allow"), "{out}");
    assert!(
        out.contains("bad.yaml:2:27") && out.ends_with(&format!("ok {good}: 1 test\n")),
        "{out}"
    );
    let (code, out, _) = ran(&sandbox, &["test", "--json", "--policy", &policy, &bad]);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &found["ok"], &found["files"][1]["errors"][0]["line"]),
        (1, &false.into(), &2.into())
    );
    // One that fails in the policy itself is told as by check.
    let failing = file(&sandbox, "f.yaml", "tests: [{command: rm, expect: allow}]\n");
    assert_eq!(ran(&sandbox, &["test", "--policy", &failing]).0, 1);
    // A file with more than tests is no file of tests.
    let (code, out, _) = ran(&sandbox, &["test", "--policy", &policy, &policy]);
    assert!(code == 1 && out.contains("`rules`"), "{out}");
}

#[test]
fn nothing_that_was_given_acts_on_the_terminal() {
    let sandbox = Sandbox::new();
    let policy = file(&sandbox, "p.yaml", POLICY);
    let args = ["explain", "--policy", &policy, "--", "git", "\u{1b}[2J\u{202e}"];
    let (_, out, _) = ran(&sandbox, &args);
    assert!(out.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{out:?}");
}

#[test]
fn lint_points_at_what_is_most_likely_not_meant() {
    let sandbox = Sandbox::new();
    let yaml = "rules:\n  - {command: rm, action: deny}\n  - {command: rm, args: x, action: ask}\n";
    let policy = file(&sandbox, "p.yaml", yaml);
    let (code, out, _) = ran(&sandbox, &["lint", &policy]);
    assert_eq!(code, 1);
    assert!(out.contains("warning: p.yaml:2 takes everything that it could match"), "{out}");
    assert!(out.contains("p.yaml:3:5") && out.contains("3 |   - {command: rm, args: x"), "{out}");
    let found = json(&sandbox, &["lint", "--json", &policy]);
    let kinds: Vec<_> = found.as_array().unwrap().iter().map(|l| l["kind"].clone()).collect();
    assert_eq!(kinds, ["unreachable", "no-reason"]);
    let clean = file(&sandbox, "clean.yaml", "rules: [{command: ls, action: allow}]\n");
    assert_eq!(ran(&sandbox, &["lint", &clean]).0, 0);
    let bad = file(&sandbox, "bad.yaml", "nonsense: 1\n");
    assert_eq!(ran(&sandbox, &["lint", &bad]).0, 2);
}

#[test]
fn lint_points_into_the_pack_where_a_rule_of_one_is_meant() {
    let sandbox = Sandbox::new();
    let yaml =
        "use: [pack:git]\nrules:\n  - {command: rm, action: ask, reason: x, approvers: [ann]}\n";
    let policy = file(&sandbox, "p.yaml", yaml);
    let found = json(&sandbox, &["lint", "--json", &policy]);
    let first = &found.as_array().unwrap()[0];
    assert_eq!((&first["file"], &first["kind"]), (&"pack:git".into(), &"no-approvers".into()));
    let (_, out, _) = ran(&sandbox, &["lint", &policy]);
    let pack = clawrden_policy::Policy::pack("git").unwrap();
    let line = usize::try_from(first["line"].as_u64().unwrap()).unwrap();
    let shown = pack.lines().nth(line - 1).unwrap().trim_end();
    let start: String = shown.chars().take(60).collect();
    assert!(out.contains(&format!("--> pack:git:{line}:")) && out.contains(start.trim()), "{out}");
}

#[test]
fn simulate_tells_what_another_policy_would_have_said() {
    let sandbox = Sandbox::new();
    let entry = |sequence: u32, argv: &str, decision: &str| {
        format!(
            r#"{{"sequence":{sequence},"id":"a{sequence}","time_ms":0,"jail":"default","caller":{{"uid":1,"gid":1,
            "pid":2,"prisoner":null}},"argv":{argv},"cwd":"/app","decision":"{decision}","rule":"old.yaml:1",
            "reason":null,"outcome":null,"approver":null,"executor":"mirror","started":false,"exit_code":null,
            "signal":null,"exit_source":null,"duration_ms":null,"timed_out":false,"error":null}}"#
        )
    };
    let entries = [
        entry(3, r#"["git","push","\u001b[2J"]"#, "allow"),
        entry(2, r#"["git","status"]"#, "allow"),
        entry(1, r#"["git","status"]"#, "deny"),
    ];
    let page = format!(r#"{{"entries":[{}],"next":null}}"#, entries.join(","));
    sandbox.answer(&[("GET /api/history", 200, page)]);
    let policy = file(&sandbox, "p.yaml", POLICY);
    let (code, out, err) = ran(&sandbox, &["simulate", "--policy", &policy]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(
        out.contains("3 requests judged again") && out.contains("1 milder, 1 stricter"),
        "{out}"
    );
    assert!(out.chars().all(|c| c == '\n' || !c.is_control()), "{out:?}");
    let args = ["simulate", "--policy", &policy, "--history", "--json", "--jail", "default"];
    let found = json(&sandbox, &args);
    assert_eq!((&found["judged"], &found["unchanged"]), (&3.into(), &1.into()));
    let now: Vec<_> = found["changes"].as_array().unwrap().iter().map(|c| &c["now"]).collect();
    assert!(now.contains(&&"ask".into()) && now.contains(&&"allow".into()), "{found}");
    assert!(sandbox.seen.lock().unwrap().iter().any(|(asked, _)| asked.contains("jail=default")));
}

#[test]
fn suggest_shows_who_answered_what_and_the_rule_to_paste() {
    let sandbox = Sandbox::new();
    let entry = |sequence: u32, argv: &str, outcome: &str| {
        format!(
            r#"{{"sequence":{sequence},"id":"a{sequence}","time_ms":0,"jail":"default","caller":{{"uid":1,"gid":1,
            "pid":2,"prisoner":null}},"argv":{argv},"cwd":"/app","decision":"ask","rule":"p.yaml:4","reason":null,
            "outcome":"{outcome}","approver":"ann\u001b[2J","executor":"mirror","started":false,"exit_code":null,
            "signal":null,"exit_source":null,"duration_ms":null,"timed_out":false,"error":null}}"#
        )
    };
    let push = r#"["git","push","origin","main"]"#;
    let mut entries: Vec<String> = (0..4).map(|n| entry(n, push, "approved")).collect();
    entries.push(entry(5, r#"["git","push"]"#, "approved"));
    entries.push(entry(6, r#"["git","push"]"#, "denied"));
    let page = format!(r#"{{"entries":[{}],"next":null}}"#, entries.join(","));
    sandbox.answer(&[("GET /api/history", 200, page)]);
    let policy = file(&sandbox, "p.yaml", POLICY);
    let args = ["suggest", "--policy", &policy, "--since", "7d"];
    let (code, out, err) = ran(&sandbox, &args);
    assert_eq!(code, 0, "{out}{err}");
    for part in [
        "6 requests looked at; 6 were answered by people",
        "1. allow  would have answered 4 asks, approved by ann",
        "(4 times)",
        "    4  git push origin main",
        "it takes nothing but this command",
        "it stands before p.yaml:4 (shared)",
        "  - {command: git, args: push origin main, cwd: /app, action: allow, timeout: 5m}",
        "Answered both ways",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
    assert!(out.chars().all(|c| c == '\n' || !c.is_control()), "{out:?}");
    let found = json(&sandbox, &[&args[..], &["--json"]].concat());
    assert_eq!(found["both_ways"][0]["approved"], 1);
    assert_eq!(found["rules"][0]["before"], "p.yaml:4 (shared)");
    let many = json(&sandbox, &[&args[..], &["--json", "--min", "5"]].concat());
    assert_eq!(many["rules"].as_array().unwrap().len(), 0);
    assert_eq!(ran(&sandbox, &["suggest", "--min", "0"]).0, 2);
    assert!(sandbox.seen.lock().unwrap().iter().any(|(asked, _)| asked.contains("since_ms=")));
}

#[test]
fn suggest_shows_people_the_most_useful_rules_and_programs_all() {
    let sandbox = Sandbox::new();
    let entries = (0..100).map(|n| {
        format!(
            r#"{{"sequence":{n},"id":"a{n}","time_ms":0,"jail":"default","caller":{{"uid":1,"gid":1,"pid":2,
            "prisoner":null}},"argv":["tool","{}"],"cwd":"/app","decision":"ask","rule":null,"reason":null,
            "outcome":"approved","approver":"ann","executor":"mirror","started":false,"exit_code":null,
            "signal":null,"exit_source":null,"duration_ms":null,"timed_out":false,"error":null}}"#,
            n % 25
        )
    });
    let page = format!(r#"{{"entries":[{}],"next":null}}"#, entries.collect::<Vec<_>>().join(","));
    sandbox.answer(&[("GET /api/history", 200, page)]);
    let policy = file(&sandbox, "ask.yaml", "default_action: ask\n");
    let (_, out, _) = ran(&sandbox, &["suggest", "--policy", &policy]);
    assert_eq!(out.matches("would have answered 4 asks").count(), 20, "{out}");
    assert!(out.contains("5 more rules"), "{out}");
    let found = json(&sandbox, &["suggest", "--policy", &policy, "--json"]);
    assert_eq!(found["rules"].as_array().unwrap().len(), 25);
}

#[test]
fn suggest_without_a_warden_says_so() {
    let sandbox = Sandbox::new();
    let (code, _, err) = ran(&sandbox, &["suggest"]);
    assert!(code == 3 && !err.is_empty(), "{code} {err}");
}

#[test]
fn the_schema_is_json_that_names_the_keys() {
    let sandbox = Sandbox::new();
    let schema = json(&sandbox, &["schema"]);
    assert!(schema["properties"]["rules"].is_object() && schema["$defs"]["rule"].is_object());
}
