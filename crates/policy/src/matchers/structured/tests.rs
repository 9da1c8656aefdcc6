//! The structured form against vectors: what `deny` and `ask` must catch, what `allow` must not let in.

use crate::{Action, Facts, Policy, Verdict};

/// The decision with one rule of this action, and `default_action` as its opposite.
fn judge(action: &str, args: &str, line: &str) -> (String, Verdict) {
    let name = line.split(' ').next().unwrap();
    let other = if action == "allow" { "deny" } else { "allow" };
    let text = format!(
        "default_action: {other}\nrules: [{{command: {name}, args: {args}, action: {action}}}]"
    );
    let policy = Policy::from_yaml("p.yaml", &text).unwrap_or_else(|error| panic!("{error}"));
    let argv: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let path = format!("/usr/bin/{name}");
    let facts = Facts {
        name: argv[0],
        path: Some(path.as_bytes()),
        tool: Some(argv[0]),
        argv: &argv,
        cwd: Some(b"/app"),
        ..Facts::default()
    };
    let explained = policy.explain(&facts);
    assert_eq!(policy.decide(&facts), explained.decision, "{line}");
    (explained.steps[0].why.clone(), explained.steps[0].verdict)
}

fn verdict(action: &str, args: &str, line: &str) -> Verdict {
    judge(action, args, line).1
}

#[track_caller]
fn denies(args: &str, lines: &[&str]) {
    for line in lines {
        assert_ne!(verdict("deny", args, line), Verdict::Passed, "{args}: {line}");
    }
}

#[track_caller]
fn lets_by(args: &str, lines: &[&str]) {
    for line in lines {
        assert_eq!(verdict("deny", args, line), Verdict::Passed, "{args}: {line}");
    }
}

#[track_caller]
fn allows(args: &str, lines: &[&str]) {
    for line in lines {
        let (why, verdict) = judge("allow", args, line);
        assert_eq!(verdict, Verdict::Matched, "{args}: {line}: {why}");
    }
}

#[track_caller]
fn keeps_out(args: &str, lines: &[&str]) {
    for line in lines {
        assert_eq!(verdict("allow", args, line), Verdict::Passed, "{args}: {line}");
    }
}

#[test]
fn a_subcommand_is_found_past_global_options() {
    denies(
        "{subcommand: push}",
        &[
            "git push",
            "git -C dir -c k=v push x",
            "git --git-dir=x push",
            "git --new-option push",
            "mytool push",
        ],
    );
    lets_by(
        "{subcommand: push}",
        &["git", "git status", "git stash push", "git commit -m push", "mytool x push"],
    );
    denies("{subcommand: delete}", &["kubectl -n x delete pod y", "kubectl --odd x delete pod y"]);
    denies("{subcommand: [install, ci]}", &["npm i x", "npm ci", "npm instal", "npm insta"]);
    denies(
        "{subcommand: remote add}",
        &["git remote add x y", "git remote -v add x y", "git -C d remote add x"],
    );
    lets_by("{subcommand: remote add}", &["git remote", "git remote remove add", "git add"]);
    denies(
        "{subcommand: rm}",
        &["docker rm x", "docker container rm x", "docker --context y container rm x"],
    );
    denies("{subcommand: container rm}", &["docker rm x", "docker container rm x"]);
    denies(
        "{subcommand: image remove}",
        &["docker rmi x", "docker image rm x", "docker image remove x"],
    );
    denies("{subcommand: container}", &["docker container prune", "docker container rm x"]);
    denies("{subcommand: container prune}", &["docker container prune"]);
    lets_by("{subcommand: container prune}", &["docker image prune", "docker container rm prune"]);
}

#[test]
fn an_allow_takes_a_subcommand_that_is_certain_with_the_globals_that_are_named() {
    allows("{subcommand: [status, stash list]}", &["git status", "git stash list"]);
    keeps_out(
        "{subcommand: status}",
        &[
            "git",
            "git -C dir status",
            "git -c core.pager=x status",
            "git --odd status",
            "git push status",
        ],
    );
    allows("{subcommand: status, globals: [-C]}", &["git -C dir status", "git status"]);
    keeps_out("{subcommand: status, globals: [-C]}", &["git -c x=y status", "git status -C"]);
    keeps_out("{subcommand: build}", &["cargo +nightly build"]);
    keeps_out("{flags: {only: [--version]}}", &["git push", "git --version push"]);
    allows("{flags: {only: [--version]}}", &["git --version"]);
    keeps_out("{subcommand: publish}", &["npm publi", "npm --odd publish"]);
    allows("{subcommand: install}", &["npm i x", "npm install"]);
    allows("{subcommand: get, flags: {only: [-n, -o]}}", &["kubectl -n x get pods -o yaml"]);
}

#[test]
fn any_and_all_flags_are_found_in_every_spelling() {
    let any = "{subcommand: push, flags: {any: [--force, --mirror]}}";
    denies(
        any,
        &[
            "git push -f",
            "git push -uf x",
            "git push --forc",
            "git push --force=true x",
            "git push x +main",
            "git -C d push --mirror",
            "git push --odd -f",
        ],
    );
    lets_by(any, &["git push -u x", "git push -- --force-x"]);
    let all = "{flags: {all: [-r, --force]}}";
    denies(all, &["rm -rf x", "rm -fr x", "rm -r -f x", "rm --recursive -f x", "rm x --force -R"]);
    lets_by(all, &["rm -r x", "rm -f x", "rm -- -rf"]);
    denies("{flags: {all: [-rf]}}", &["rm -fr x", "rm -r -f x"]);
    denies(
        "{flags: {any: [--output=/etc/*]}}",
        &["sort --output=/etc/x", "sort -o //etc/x", "sort -o/etc/x", "sort --output /etc/x"],
    );
    lets_by("{flags: {any: [--output=/etc/*]}}", &["sort -o x", "sort /etc/x"]);
}

#[test]
fn a_flag_that_keeps_a_deny_away_must_surely_be_there() {
    let none = "{subcommand: push, flags: {none: [--dry-run]}}";
    lets_by(none, &["git push -n x", "git push --dry-run", "git push x -qn"]);
    denies(
        none,
        &[
            "git push x",
            "git push -- --dry-run",
            "git push -o -n x",
            "git push --odd -n",
            "git push --dry",
            "git push --dry-run --no-dry-run",
            "git push --dry-run --no-dry",
        ],
    );
    let none = "{subcommand: delete, flags: {none: [--dry-run]}}";
    denies(none, &["kubectl delete x --dry-run=none"]);
    let only = "{flags: {only: [-r, --verbose]}}";
    denies(only, &["rm x", "rm -r x", "rm -rv x", "rm --recurs x"]);
    lets_by(only, &["rm -f x", "rm -rf x", "mytool --odd"]);
}

#[test]
fn an_allow_takes_only_flags_that_are_named() {
    let only = "{flags: {only: [-l, -a, --sort=size]}}";
    allows(
        only,
        &["ls", "ls -la", "ls -l -a src", "ls --all x -l", "ls --sort=size", "ls --sort size x"],
    );
    keeps_out(only, &["ls -lR", "ls -R", "ls --odd", "ls --al", "ls --sort=time", "ls -l --sort"]);
    keeps_out("{operands: {max: 3}}", &["ls -l"]);
    allows("{flags: {none: [-R]}}", &["ls -la --sort=time", "ls"]);
    keeps_out(
        "{flags: {none: [-R]}}",
        &["ls -R", "ls -laR", "ls --recursive", "ls --odd", "ls --recur"],
    );
    allows(
        "{flags: {all: [--dry-run]}, subcommand: push}",
        &["git push -n", "git push --dry-run x"],
    );
    keeps_out(
        "{flags: {all: [--dry-run], only: ['--*']}, subcommand: push}",
        &["git push", "git push --dry-run --no-dry-run", "git push -- --dry-run"],
    );
    allows(
        "{flags: {any: [--list, -a]}, subcommand: branch}",
        &["git branch --list", "git branch -a x"],
    );
    keeps_out(
        "{flags: {any: [--list, -a]}, subcommand: branch}",
        &["git branch", "git branch -D x"],
    );
}

#[test]
fn an_allow_reads_an_unknown_tool_word_by_word() {
    let only = "{subcommand: build, flags: {only: [--fast, -v, '--level=?']}, operands: {max: 1}}";
    allows(
        only,
        &[
            "mytool build",
            "mytool build --fast",
            "mytool build -v x",
            "mytool build --level=3 x",
            "mytool build -- x",
        ],
    );
    keeps_out(
        only,
        &[
            "mytool",
            "mytool --fast build",
            "mytool build --odd",
            "mytool build -vv",
            "mytool build --level 3",
            "mytool build x y",
            "mytool build -v x y",
            "mytool build -- --odd",
            "mytool build --fast --odd",
            "mytool build -v -- x",
        ],
    );
    keeps_out("{flags: {only: ['-*']}}", &["mytool --odd"]);
    keeps_out("{flags: {none: [-x]}}", &["mytool -y"]);
    allows("{flags: {none: [-x]}}", &["mytool y"]);
    keeps_out("{operands: {min: 1}}", &["mytool"]);
    keeps_out("{flags: {only: [-v]}, operands: {min: 1}}", &["mytool -v x"]);
    keeps_out("{operands: {max: 3}}", &["tar xf x"]);
    keeps_out("{subcommand: push}", &["git push origin +main", "git push origin :main"]);
}

#[test]
fn operands_are_compared_and_counted() {
    denies(
        "{operands: {any: [/etc/*, '*.pem']}}",
        &["cat x //etc/a", "cat ../etc/x", "cat a.pem", "cat -- /etc/x", "cat -n /etc/x"],
    );
    lets_by("{operands: {any: [/etc/*]}}", &["cat x", "cat"]);
    denies("{operands: {all: [src/*]}}", &["rm src/a", "rm ./src/a src//b"]);
    lets_by("{operands: {all: [src/*]}}", &["rm src/a b"]);
    denies("{operands: {none: [build/*]}}", &["rm x", "rm build/../x", "rm"]);
    lets_by("{operands: {none: [build/*]}}", &["rm build/x"]);
    denies("{operands: {min: 2}}", &["rm a b", "rm -- a -b"]);
    lets_by("{operands: {min: 2}}", &["rm a", "rm -r a"]);
    lets_by("{subcommand: push, operands: {max: 1}}", &["git push a b"]);
    denies("{subcommand: push, operands: {max: 1}}", &["git push a", "git -C d push"]);

    allows("{operands: {all: [src/*], min: 1}}", &["cat src/a src/b"]);
    keeps_out("{operands: {all: [src/*], min: 1}}", &["cat", "cat src/a b", "cat src/../b"]);
    allows("{operands: {none: ['*.pem', /etc/*]}}", &["cat a", "cat /app/x"]);
    keeps_out(
        "{operands: {none: ['*.pem', /etc/*]}}",
        &["cat a.pem", "cat ../etc/x", "cat a x/../b.pem"],
    );
    allows("{operands: {any: [x]}}", &["cat a x"]);
    keeps_out("{operands: {any: [x]}}", &["cat a"]);
}

#[test]
fn an_allow_inside_a_place_takes_nothing_that_leads_out() {
    let inside = "{flags: {only: [-r, -f]}, inside: [., /tmp]}";
    allows(inside, &["rm -rf build", "rm ./a /tmp/x", "rm -- -x", "rm *.o"]);
    keeps_out(
        inside,
        &[
            "rm ../x",
            "rm /",
            "rm /tmp/../etc",
            "rm -rf ~",
            "rm build /etc/x",
            "rm -- /etc/x",
            "rm x/../../y",
            "rm .*",
        ],
    );
    keeps_out("{inside: [/tmp]}", &["ls", "ls x"]);
    allows("{inside: [/tmp]}", &["ls /tmp"]);
    keeps_out(
        "{flags: {only: [-o]}, inside: [.]}",
        &["sort -o /etc/x y", "sort -o/etc/x y", "sort --output=../x y"],
    );
    allows("{flags: {only: [-o]}, inside: [.]}", &["sort -o x y", "sort -ox y"]);
    keeps_out("{flags: {only: [-o]}, inside: [.]}", &["mytool -o /etc/x", "mytool -o=/etc/x"]);
    allows("{subcommand: commit, flags: {only: ['-m=*']}, inside: [.]}", &["git commit -m /x: y"]);
    denies("{inside: [/etc]}", &["rm /etc/x", "rm ../etc", "rm //etc/./a /etc"]);
    lets_by("{inside: [/etc]}", &["rm x", "rm /etc/x y"]);
}

#[test]
fn a_regular_expression_is_for_one_operand() {
    let first = "{subcommand: push, matches: {1: '^origin$'}}";
    denies(first, &["git push origin x", "git -C d push -u origin", "git push --odd x origin"]);
    lets_by(first, &["git push fork origin", "git push"]);
    denies(
        "{matches: {any: 'secret'}}",
        &["cat x my-secret", "curl -d my-secret x", "mytool --data=secret"],
    );
    denies("{matches: {1: '^/etc/'}}", &["cat //etc/x", "cat ../etc/x", "cat /app/../etc/x"]);
    let version = "{subcommand: checkout, matches: {1: 'v[0-9.]+'}, operands: {max: 1}}";
    allows(version, &["git checkout v1.2"]);
    keeps_out(
        version,
        &["git checkout v1.2-x", "git checkout xv1", "git checkout", "git checkout v1 v2"],
    );
}

#[test]
fn it_is_told_which_key_kept_a_rule_away() {
    let why = |action: &str, args: &str, line: &str| judge(action, args, line).0;
    assert_eq!(
        why("deny", "{subcommand: [push, fetch]}", "git pull"),
        "the subcommand is not `push`, `fetch`"
    );
    assert!(why("deny", "{flags: {any: [-f]}}", "rm x").contains("none of the flags `-f` is used"));
    assert!(why("allow", "{flags: {only: [-l]}}", "ls -R").contains("not known or not among `-l`"));
    assert!(why("allow", "{inside: [.]}", "ls /").contains("lies outside `.`"));
    assert!(why("allow", "{operands: {max: 1}}", "ls a b").contains("more than `1` operands"));
}

/// What the policy says to a line that `sh -c` gets.
fn of_line(policy: &str, line: &str) -> Action {
    let argv: [&[u8]; 3] = [b"sh", b"-c", line.as_bytes()];
    let policy = Policy::from_yaml("p.yaml", policy).unwrap();
    let facts = Facts {
        name: b"sh",
        path: Some(b"/bin/sh"),
        tool: Some(b"sh"),
        argv: &argv,
        cwd: Some(b"/home/ann/project"),
        ..Facts::default()
    };
    policy.decide(&facts).action
}

#[test]
fn a_word_that_only_the_shell_will_know_fits_no_allow_and_any_deny_as_a_doubt() {
    let deny = |args: &str| {
        format!(
            "default_action: allow\nrules:\n  - {{command: [git, cat], args: {args}, action: deny}}\n"
        )
    };
    let push = deny("{subcommand: push, flags: {any: [--force]}}");
    assert_eq!(of_line(&push, "git push --force"), Action::Deny);
    for line in [
        "git push $how",
        "git pu$x --force",
        "git \"$what\" --force",
        "git $all",
        "git push dir/$b",
    ] {
        assert_eq!(of_line(&push, line), Action::Ask, "{line}");
    }
    for line in ["git commit -m \"$text\"", "git status", "git push origin \"dir/$branch\""] {
        assert_eq!(of_line(&push, line), Action::Allow, "{line}");
    }
    for args in ["{operands: {any: [/etc/*]}}", "{matches: {any: ^/etc}}", "{inside: [/etc]}"] {
        assert_eq!(of_line(&deny(args), "cat /etc/passwd"), Action::Deny, "{args}");
        assert_eq!(of_line(&deny(args), "cat /e$x"), Action::Ask, "{args}");
    }
    let allow = |args: &str| {
        format!("default_action: ask\nrules:\n  - {{command: cat, args: {args}, action: allow}}\n")
    };
    for args in ["{operands: {all: [\"src/*\"]}}", "{inside: [.]}", "{matches: {any: src/.*}}"] {
        assert_eq!(of_line(&allow(args), "cat src/a"), Action::Allow, "{args}");
        for line in ["cat src/$x", "cat $x", "cat \"$x\"", "cat src/a $x"] {
            assert_eq!(of_line(&allow(args), line), Action::Ask, "{args} {line}");
        }
    }
}
