//! Patterns against vectors: what `deny` and `ask` must catch, and what `allow` must not let in.

use super::Overmatch;
use super::args::ArgsPattern;
use super::reader;
use super::structured::Here;
use crate::action::Action;
use crate::tools;

fn vector(line: &str) -> Vec<&[u8]> {
    line.split(' ').filter(|word| !word.is_empty()).map(str::as_bytes).collect()
}

fn over(pattern: &str, argv: &[&[u8]]) -> Option<Overmatch> {
    let reading = reader::read(tools::find(argv[0]), argv, Some(b"/app"));
    let patterns = ArgsPattern::compile(pattern, Action::Deny).unwrap();
    patterns.iter().filter_map(|pattern| pattern.overmatches(&reading, None).ok()).max()
}

fn denies(pattern: &str, line: &str) -> bool {
    over(pattern, &vector(line)).is_some()
}

fn allows(pattern: &str, line: &str) -> bool {
    let argv = vector(line);
    let reading = reader::read(tools::find(argv[0]), &argv, Some(b"/app"));
    let here = Here { cwd: Some(b"/app"), links: None };
    let patterns = ArgsPattern::compile(pattern, Action::Allow).unwrap();
    patterns.iter().any(|pattern| pattern.fits(&argv, Some(&reading), here))
}

fn surely(pattern: &str, line: &str) -> bool {
    over(pattern, &vector(line)) == Some(Overmatch::Surely)
}

#[test]
fn letters_without_a_dash_count_once() {
    let long = [b"xf".as_slice(), &b"v".repeat(100_000)].concat();
    let argv: [&[u8]; 2] = [b"tar", &long];
    assert_eq!(reader::read(tools::find(b"tar"), &argv, None).flags.len(), 3);
}

#[test]
fn a_flag_cluster_is_split() {
    for line in ["rm -rf /", "rm -fr /", "rm -r -f /", "rm -vrif /", "rm -f / -r"] {
        assert!(surely("-rf /", line), "{line}");
        assert!(surely("-r -f /", line), "{line}");
        assert!(surely("--force --recursive /", line), "{line}");
    }
    assert!(!denies("-rf /", "rm -r /") && !denies("-rf /", "rm -f /"));
}

#[test]
fn long_and_short_names_are_the_same_flag() {
    for line in ["rm --recursive --force /", "rm -R -f /", "rm -R --force /", "rm --recurs --fo /"]
    {
        assert!(denies("-rf /", line), "{line}");
    }
}

#[test]
fn a_value_is_no_flag_and_no_operand() {
    let argv: &[&[u8]] = &[b"git", b"commit", b"-m", b"push --force"];
    assert_eq!(over("push --force", argv), None);
    assert!(!denies("push --force", "git commit -m push --amend"));
    assert!(!denies("push", "git commit -m push"));
    assert!(!denies("--force", "git commit -m --force"));
    assert!(!denies("--amend", "git commit --message --amend"));
    assert!(denies("--amend", "git commit --message x --amend"));
}

#[test]
fn a_value_is_found_however_it_is_attached() {
    for line in [
        "docker run -v /:/x a",
        "docker run -v/:/x a",
        "docker run --volume /:/x a",
        "docker run --volume=/:/x a",
        "docker run -itv /:/x a",
    ] {
        assert!(surely("run -v /:*", line), "{line}");
        assert!(surely("run --volume=/:*", line), "{line}");
    }
    assert!(!denies("run -v /:*", "docker run -v /data:/x a"));
    assert!(!denies("run -v /:*", "docker run -e /:/x a"));
}

#[test]
fn any_use_of_a_repeated_flag_counts() {
    assert!(denies("run -v /:*", "docker run -v /data:/x -v /:/y a"));
    assert!(!allows("run -e * *", "docker run -e a -v /:/y b"));
}

#[test]
fn a_double_dash_ends_the_flags() {
    assert!(!denies("-rf /", "rm -- -rf /"));
    assert!(denies("-rf /", "rm -rf -- /"));
    assert!(denies("-r -- -f", "rm -r -- -f"));
    assert!(!denies("-r -- -f", "rm -r -f"));
}

#[test]
fn the_subcommand_is_found_behind_global_options() {
    for line in [
        "git push --force",
        "git -C dir push --force",
        "git -c k=v push -f",
        "git --git-dir x --no-pager push -f",
        "git --git-dir=x push -f",
        "git -Cdir push -f",
    ] {
        assert!(surely("push --force", line), "{line}");
    }
    assert!(!denies("push", "git stash push"));
    assert!(!denies("push", "git -C push status"));
    assert!(!denies("status", "git -c status push"));
}

#[test]
fn an_unknown_global_option_makes_the_match_a_guess() {
    assert_eq!(over("push -f", &vector("git --odd x push -f")), Some(Overmatch::Perhaps));
    assert_eq!(over("push -f", &vector("git --odd push -f")), Some(Overmatch::Perhaps));
}

#[test]
fn a_subcommand_is_known_by_all_its_names() {
    for line in ["npm i x", "npm install x", "npm add x", "npm isntall x", "npm --prefix d i x"] {
        assert!(denies("install", line), "{line}");
    }
    assert!(denies("publish", "npm publ"));
    assert!(denies("run --privileged", "docker container run --privileged x"));
    assert!(denies("container run --privileged", "docker container run --privileged x"));
    assert!(denies("publish", "cargo +nightly publish"));
    assert!(allows("i *", "npm install x") && allows("install *", "npm add x"));
}

#[test]
fn a_refspec_with_a_plus_is_a_forced_push() {
    assert!(surely("push --force", "git push origin +main"));
    assert!(surely("push -f", "git push origin +a:b"));
    assert!(surely("push --delete", "git push origin :main"));
    assert!(
        !allows("push * *", "git push origin +main")
            || allows("push * +main", "git push origin +main")
    );
}

#[test]
fn a_flag_with_a_value_it_does_not_take_still_counts_against() {
    assert!(denies("push --force", "git push --force=true"));
    assert!(!allows("push --force", "git push --force=true"));
}

#[test]
fn a_guess_about_an_unknown_tool_is_marked() {
    assert!(surely("build", "mytool build"));
    assert!(surely("--force", "mytool --force"));
    assert_eq!(over("build", &vector("mytool -v build")), Some(Overmatch::Perhaps));
    assert_eq!(over("--force", &vector("mytool -m --force")), Some(Overmatch::Perhaps));
    assert_eq!(over("-rf", &vector("mytool -fr")), Some(Overmatch::Perhaps));
    assert!(surely("-rf", "mytool -rf") && surely("-delete", "mytool -delete"));
    assert_eq!(over("--force", &vector("mytool --fo")), Some(Overmatch::Perhaps));
    assert!(denies("--ns prod", "mytool --ns=prod") && denies("--ns=prod", "mytool --ns prod"));
}

#[test]
fn operands_elsewhere_are_a_guess_too() {
    assert!(surely("install x", "mytool install x y"));
    assert_eq!(over("x", &vector("mytool install x")), Some(Overmatch::Perhaps));
    assert_eq!(over("x install", &vector("mytool install x")), None);
}

#[test]
fn what_follows_another_command_is_still_caught() {
    assert!(denies("rm -rf /", "sudo -u x rm -rf /"));
    assert!(denies("rm -rf /", "sudo -- rm -rf /"));
    assert!(denies("exec rm -rf /", "docker exec c rm -rf /"));
    assert!(denies("exec rm -rf /", "kubectl exec p -- rm -rf /"));
}

#[test]
fn single_dash_tools_have_no_clusters() {
    assert!(surely("-delete", "find . -delete"));
    assert!(!denies("-delete", "find . -name -delete"));
    assert!(!denies("-d -e", "find . -delete"));
    assert!(denies("-auto-approve", "terraform apply --auto-approve"));
    assert!(denies("test -exec", "go test -exec=x ./..."));
}

#[test]
fn an_old_style_cluster_without_a_dash_counts_against() {
    assert!(denies("-x", "tar xzf a.tgz") && denies("-xz", "tar xzf a.tgz"));
    assert!(!allows("-t ...", "tar xzf a.tgz"));
}

#[test]
fn an_allow_takes_exactly_what_it_names() {
    assert!(allows("status", "git status"));
    assert!(!allows("status", "git status -s") && !allows("status", "git status x"));
    assert!(allows("status -s", "git status --short") && allows("status -sb", "git status -b -s"));
    assert!(!allows("status -sb", "git status -s"));
    assert!(allows("status **", "git status -s x") && allows("status -* ...", "git status -sb x"));
    assert!(allows("status --*", "git status --short") && !allows("status --*", "git status -s"));
    assert!(!allows("status -*", "git status -s x") && !allows("status ...", "git status -s x"));
}

#[test]
fn an_allow_takes_one_operand_for_a_star_and_any_for_three_dots() {
    assert!(allows("install *", "npm install x"));
    assert!(!allows("install *", "npm install") && !allows("install *", "npm install x y"));
    assert!(allows("install ...", "npm install") && allows("install ...", "npm install x y"));
    assert!(!allows("install ...", "npm install -g x"));
}

#[test]
fn an_allow_is_not_talked_into_global_options() {
    for line in ["git -c core.pager=x status", "git --exec-path=x status", "git -C x status"] {
        assert!(!allows("status **", line), "{line}");
    }
    assert!(allows("-C * status **", "git -C x status -s"));
    assert!(!allows("-C * status **", "git -C x -c core.pager=y status"));
    assert!(allows("-* status", "git --no-pager status"));
}

#[test]
fn an_allow_does_not_guess() {
    assert!(!allows("--fast build", "mytool build --fast"), "--fast may take a value");
    assert!(allows("--fast build", "mytool --fast build"));
    assert!(!allows("-ab", "mytool -ba") && allows("-ab", "mytool -ab"));
    assert!(!allows("--recursive *", "rm --recurs x") && allows("--recursive *", "rm -r x"));
    assert!(!allows("run", "npm ru"));
    assert!(!allows("*", "mytool -x") && !allows("*", "rm -x"));
    assert!(allows("*", "rm -- -x") && !allows("*", "mytool -- -x"));
}

#[test]
fn a_look_alike_dash_is_no_flag() {
    assert!(!allows("-rf x", "rm −rf x") && !allows("--force", "mytool —force"));
    assert!(!allows("--force", "mytool --fоrce"), "a cyrillic o");
}

#[test]
fn braces_around_flags_are_flags() {
    assert!(
        denies("{-f,--force}", "mytool --force")
            && denies("push {--force,--mirror}", "git push --mirror")
    );
    assert!(!denies("{-f,--force}", "mytool x"));
    assert!(
        allows("branch {-a,-r}", "git branch --all") && !allows("branch {-a,-r}", "git branch -d")
    );
    assert!(denies("run --{pid,ipc}=host", "docker run --ipc host x"));
}

#[test]
fn bytes_that_are_not_text_go_through() {
    let argv: &[&[u8]] = &[b"rm", b"-rf", b"\xff\xfe", b"/"];
    assert!(over("-rf /", argv).is_some());
    let argv: &[&[u8]] = &[b"mytool", b"-\xff", b"--\xff=\xfe", b"=", b"-", b""];
    assert!(over("-rf /", argv).is_none());
}

#[test]
fn a_pattern_without_sense_is_refused() {
    for text in ["", "  ", "'a", "a\\", "** x", "... x", "[a", "{a", "--x=", "''"] {
        assert!(ArgsPattern::compile(text, Action::Deny).is_err(), "{text:?}");
    }
    assert!(ArgsPattern::compile("~/x", Action::Allow).is_err());
    assert!(ArgsPattern::compile(&"x ".repeat(65), Action::Deny).is_err());
}
