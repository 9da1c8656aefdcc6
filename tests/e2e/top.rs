//! The screens of `clawrden top`, on a real terminal.

mod terminal;

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::screen::Screen;
use crate::support::{House, clawrden, text, until};

const POLICY: &str = "default_action: allow
on_unparsed: allow
rules:
  - {command: touch, action: ask, reason: it makes files, name: making}
  - {command: rm, action: ask, reason: it removes files, require_reason: true, name: removing}
  - {command: sh, action: allow, executor: local, record: output, name: kept}
  - {command: cat, action: allow, executor: local, name: unkept}
";

/// `clawrden top` on a terminal of this kind, with these colours.
fn command(house: &House, term: &str, no_color: &str) -> Command {
    let mut command = clawrden();
    command.arg("--control").arg(house.control()).arg("top");
    command.env("TERM", term).env("NO_COLOR", no_color).env("LC_ALL", "C.UTF-8");
    command
}

fn top(house: &House) -> Screen {
    Screen::of(&mut command(house, "xterm-256color", ""), 24, 80)
}

/// A shell that runs this line, governed. Its caller is the same on every machine.
fn agent(house: &House, line: &str) -> Child {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("{line}; exit $?")]).stdin(Stdio::null());
    house.governed(&mut shell).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// A command that waits for this to be written.
fn spawn(house: &House, tool: &str, args: &[&str]) -> Child {
    let mut command = house.shimmed(tool);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn waiting(house: &House, count: usize) {
    until("what waits", || {
        let all = house.json(&["queue", "--json"]);
        (all["entries"].as_array()?.len() == count).then_some(())
    });
}

/// Waits for so many running commands of which all is known.
fn running(house: &House, count: usize) -> Vec<Value> {
    until("what runs", || {
        let all = house.json(&["ps", "--json"])["entries"].as_array()?.clone();
        let known = |one: &Value| one["state"] == "running" && one["memory"].as_u64() > Some(0);
        (all.len() == count && all.iter().all(known)).then_some(all)
    })
}

fn end(child: Child) -> Output {
    child.wait_with_output().unwrap()
}

/// Quits, and waits for it.
fn quit(mut screen: Screen) -> Screen {
    screen.press("q");
    screen.until("it to give the terminal back", |picture| !picture.alternate_screen());
    assert!(screen.pty.child.wait().unwrap().success());
    screen
}

/// Everything that is asked, answered and looked up: the same on every terminal, and said in words.
fn answering(house: &House, mut screen: Screen) -> Screen {
    // It tells how often the same was approved before.
    until("the index", || {
        (house.json(&["status", "--json"])["index"]["state"] == "ready").then_some(())
    });
    let first = agent(house, "touch mark");
    waiting(house, 1);
    let second = agent(house, "rm -f mark");
    waiting(house, 2);
    screen.shows("rm -f mark");
    screen.looks(house, "queue");
    screen.press("j\r");
    screen.shows("started by");
    screen.looks(house, "request");
    screen.press("?");
    screen.shows("Any key goes back");
    screen.looks(house, "keys");
    screen.press(" qA");
    screen.shows("Approve for");
    screen.looks(house, "approve-for");
    screen.press("xd");
    screen.shows("because: _");
    screen.press("make it elsewhere");
    screen.shows("elsewhere_");
    screen.looks(house, "deny");
    screen.press("\r");
    let denied = end(first);
    assert_eq!(denied.status.code(), Some(126));
    assert!(text(&denied.stderr).contains("make it elsewhere"), "{denied:?}");
    screen.shows("its caller has been told");
    screen.until("one to wait", |picture| picture.contents().contains("Queue 1"));
    // The one that waits by now was not chosen by anybody.
    screen.press("a");
    screen.shows("press again to answer it");
    assert_eq!(house.pending()["argv"][0], "rm");
    screen.press("ja");
    screen.shows("because: _");
    screen.press("it is a test\r");
    assert!(end(second).status.success());
    screen.shows("nothing waits");
    screen.press("3");
    screen.shows("exit 0");
    screen.looks(house, "history");
    screen.press("j\r");
    screen.shows("it is a test");
    screen.looks(house, "past");
    screen.press("q/mark\r");
    screen.shows("/mark");
    screen.press("/\u{15}nothing like it\r");
    screen.shows("nothing matches the filter");
    quit(screen)
}

#[test]
fn requests_are_answered_and_looked_up_in_colours() {
    let house = House::new(POLICY);
    let screen = answering(&house, top(&house));
    assert!(screen.is_coloured(), "{:?}", screen.looks_set());
}

#[test]
fn without_colours_everything_is_said_in_the_same_words() {
    let house = House::new(POLICY);
    let screen = Screen::of(&mut command(&house, "xterm-256color", "1"), 24, 80);
    let screen = answering(&house, screen);
    assert!(!screen.is_coloured(), "{:?}", screen.looks_set());
    let house = House::new(POLICY);
    let screen = Screen::of(&mut command(&house, "vt100", ""), 24, 80);
    let screen = answering(&house, screen);
    assert!(!screen.is_coloured(), "it has none: {:?}", screen.looks_set());
}

#[test]
fn a_terminal_that_cannot_be_drawn_on_is_told_what_to_use_instead() {
    let house = House::new(POLICY);
    for (term, said) in [("dumb", "TERM is `dumb`"), ("", "TERM is not set")] {
        let mut screen = Screen::of(&mut command(&house, term, ""), 24, 80);
        screen.shows("print what there is");
        assert_eq!(screen.pty.child.wait().unwrap().code(), Some(2));
        let shown = text(&screen.pty.shown);
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
        assert!(shown.contains(said) && shown.contains("`clawrden watch`"), "{shown}");
    }
    let output = command(&house, "xterm", "").stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("needs a terminal"), "{output:?}");
}

#[test]
fn what_runs_is_followed_live_and_read_afterwards_and_acts_on_no_terminal() {
    let house = House::new(POLICY);
    let script = "echo first-$((1+1)); read -r go; printf 'working 10%%\\rworking 99%%\\n'; \
                  printf '\\033]52;c;ZXZpbA==\\007\\033[2J\\033[31mevil\\033[m\\342\\200\\256end\\n'; read -r go; exit 3";
    let mut kept = spawn(&house, "sh", &["-c", script]);
    running(&house, 1);
    let mut screen = top(&house);
    screen.press("2");
    screen.shows("echo first");
    screen.press("o");
    screen.shows("live");
    screen.shows("first-2");
    let mut stdin = kept.stdin.take().unwrap();
    stdin.write_all(b"go\n").unwrap();
    screen.shows("evil\\u202eend");
    screen.looks(&house, "live");
    let rows = screen.rows();
    assert!(!rows.lines().any(|row| row.starts_with("working 10%")), "{rows}");
    assert!(!text(&screen.pty.shown).contains("\u{1b}]52"), "it reaches the clipboard");
    // Nothing that is typed here reaches it.
    screen.press("G go\u{8}");
    stdin.write_all(b"go\n").unwrap();
    assert_eq!(kept.wait().unwrap().code(), Some(3));
    screen.shows("ended: exit 3");
    screen.looks(&house, "ended");
    screen.press("q");
    screen.shows("nothing runs");
    screen.press("3");
    screen.shows("exit 3");
    screen.press("o");
    screen.shows("evil\\u202eend");
    screen.looks(&house, "ended");
    screen.press("q");
    quit(screen);
}

#[test]
fn what_is_not_recorded_says_why_it_is_not_followed_and_what_would_help() {
    let house = House::new(POLICY);
    let handed = spawn(&house, "sleep", &["1000"]);
    running(&house, 1);
    let mut unkept = spawn(&house, "cat", &[]);
    // Kept, so that it does not end by itself.
    let stdin = unkept.stdin.take();
    running(&house, 2);
    let mut screen = top(&house);
    screen.press("2");
    screen.shows("sleep 1000");
    screen.looks(&house, "running");
    screen.press("/sleep\rjo");
    screen.shows("prisoner's own process");
    screen.looks(&house, "handed-off");
    screen.press("q/\u{15}cat\rjo");
    screen.shows("because it is not recorded");
    screen.looks(&house, "unrecorded");
    screen.press("q\r");
    screen.shows("not recorded: o says why");
    screen.press("s");
    screen.shows("because: _");
    screen.press("it is not needed\r");
    let stopped = end(unkept);
    drop(stdin);
    assert_eq!(stopped.status.code(), Some(125));
    assert!(text(&stopped.stderr).contains("it is not needed"), "{stopped:?}");
    screen.shows("stopped ");
    screen.shows("it has ended");
    screen.press("q");
    screen.shows("nothing matches the filter");
    screen.press("/\u{15}\r");
    screen.shows("sleep 1000");
    // Stopping it takes two steps, and can be given up after the first.
    screen.press("js");
    screen.shows("because: _");
    screen.press("\u{1b}");
    screen.hides("because: _");
    assert_eq!(running(&house, 1)[0]["argv"][0], "sleep");
    screen.press("s\r");
    assert_eq!(end(handed).status.signal(), Some(15));
    screen.shows("nothing runs");
    quit(screen);
}

#[test]
fn everything_is_stopped_in_two_steps_and_goes_on_in_two() {
    let house = House::with(POLICY, &["--grace", "1s"]);
    let child = spawn(&house, "sleep", &["1000"]);
    running(&house, 1);
    let mut screen = top(&house);
    screen.shows("Running 1");
    screen.press("K");
    screen.shows("denies every new command");
    screen.looks(&house, "kill");
    screen.press("x");
    screen.hides("denies every new command");
    assert_eq!(house.json(&["status", "--json"])["stopped"], Value::Null);
    screen.press("Ke");
    assert!(!end(child).status.success());
    screen.shows("Everything is stopped by");
    screen.shows("everything is stopped: ");
    screen.press("2");
    screen.shows("nothing runs");
    screen.looks(&house, "stopped");
    let refused = house.shimmed("echo").output().unwrap();
    assert_eq!(refused.status.code(), Some(126), "{refused:?}");
    screen.press("R");
    screen.shows("decided by the policy again");
    screen.press("r");
    screen.hides("Everything is stopped by");
    assert!(house.shimmed("echo").output().unwrap().status.success());
    quit(screen);
}

#[test]
fn a_warden_that_goes_is_missed_and_found_again() {
    let mut house = House::new(POLICY);
    let asked = agent(&house, "touch mark");
    waiting(&house, 1);
    let mut screen = top(&house);
    screen.shows("touch mark");
    screen.press("j");
    house.crash();
    screen.shows("No answer for ");
    screen.shows("touch mark");
    screen.press("a");
    screen.shows("no warden can be reached");
    house.restart();
    waiting(&house, 1);
    screen.hides("No answer for ");
    screen.shows("touch mark");
    screen.press("ja");
    assert!(end(asked).status.success());
    assert!(house.path("mark").exists());
    screen.shows("nothing waits");
    quit(screen);
}

#[test]
fn an_output_whose_warden_is_killed_breaks_off_and_is_read_again_from_the_next_one() {
    let mut house = House::new(POLICY);
    let mut kept = spawn(&house, "sh", &["-c", "echo first-$((1+1)); read -r go"]);
    running(&house, 1);
    // Wide enough for the socket's path and the reason behind it.
    let mut screen = Screen::of(&mut command(&house, "xterm-256color", ""), 24, 240);
    screen.press("2");
    screen.shows("echo first");
    screen.press("o");
    screen.shows("live");
    screen.shows("first-2");
    house.crash();
    screen.shows("broken off");
    screen.shows("broke off: it is going down, has ended");
    screen.hides("not understood");
    kept.wait().unwrap();
    house.restart();
    screen.hides("No answer for ");
    screen.press("o");
    screen.hides("broken off");
    screen.shows("first-2");
    screen.press("q");
    quit(screen);
}

#[test]
fn a_warden_that_hangs_holds_no_key_up() {
    let house = House::new(POLICY);
    let mut screen = top(&house);
    screen.shows("nothing waits");
    let warden = Pid::from_child(&house.warden);
    kill_process(warden, Signal::STOP).unwrap();
    screen.press("3");
    screen.shows("nothing was asked yet");
    screen.shows("No answer for ");
    screen.press("?");
    screen.shows("Any key goes back");
    screen.press("x");
    // One who has answered waits for what came of it, or says that this is not wanted.
    screen.press("Kp");
    screen.shows("the warden is asked");
    screen.press("q\u{3}");
    screen.until("it to give the terminal back", |picture| !picture.alternate_screen());
    assert!(screen.pty.child.wait().unwrap().success());
    kill_process(warden, Signal::CONT).unwrap();
}

#[test]
fn whoever_answers_and_quits_at_once_hears_what_came_of_it() {
    let house = House::new(POLICY);
    let asked = agent(&house, "touch mark");
    waiting(&house, 1);
    let mut screen = top(&house);
    screen.shows("touch mark");
    screen.press("jdnot here\rq");
    screen.until("what came of it", |picture| {
        !picture.alternate_screen() && picture.contents().contains("its caller has been told")
    });
    assert!(screen.pty.child.wait().unwrap().success());
    assert_eq!(end(asked).status.code(), Some(126));
}
