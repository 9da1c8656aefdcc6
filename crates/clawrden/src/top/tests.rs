use clawrden_api::{GrantScope, HistoryEntry, QueueApprovals, QueueEntry, RunningEntry};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::draw;
use super::keys::{Ask, Order, READ_FIRST, press};
use super::model::{Known, Model, Over, Reach};
use super::output::{Piece, State};
use super::page::{Body, Page};

const NOW: u64 = 1_777_900_000_000;

fn queued(id: &str, argv: &[&str]) -> QueueEntry {
    let json = serde_json::json!({
        "id": id, "short": &id[..4], "jail": "web", "caller": {"uid": 1000, "pid": 7}, "argv": argv,
        "cwd": "/work", "executable": "/usr/bin/tool", "executor": "mirror", "rule": "policy.yaml:3",
        "reason": "it asks", "noticed": [], "labels": {}, "since_ms": NOW - 5000, "expires_ms": NOW + 60_000,
        "callers": 1,
    });
    serde_json::from_value(json).unwrap()
}

fn model(queue: Vec<QueueEntry>) -> Model {
    let status = serde_json::json!({
        "version": "0", "pid": 1, "uid": 0, "started_ms": NOW, "stopped": null, "jails": [], "pending": 0, "running": 0,
        "ledger": {"path": "/l", "sequence": 1, "error": null}, "methods": {}, "cautions": [],
    });
    let known = Known {
        status: serde_json::from_value(status).unwrap(),
        queue,
        running: vec![RunningEntry {
            id: "c".repeat(32),
            short: "cccc".into(),
            jail: "web".into(),
            argv: vec!["sleep".into(), "9".into()],
            started_ms: NOW - 1000,
            cpu_ms: Some(1500),
            memory: Some(3_000_000),
            ..RunningEntry::default()
        }],
        history: vec![HistoryEntry {
            id: "d".repeat(32),
            time_ms: NOW - 9000,
            argv: vec!["ls".into()],
            decision: Some("allow".into()),
            exit_code: Some(2),
            started: true,
            ..HistoryEntry::default()
        }],
    };
    Model::new(known, NOW)
}

fn two() -> Model {
    model(vec![
        queued(&"a".repeat(32), &["npm", "install"]),
        queued(&"b".repeat(32), &["git", "push"]),
    ])
}

fn key(code: KeyCode) -> KeyEvent {
    KeyEvent::new(code, KeyModifiers::NONE)
}

fn types(model: &mut Model, text: &str) -> Vec<Order> {
    text.chars().filter_map(|c| press(model, key(KeyCode::Char(c)))).collect()
}

/// The picture on a terminal of 80 columns and 24 lines.
fn picture(model: &Model) -> String {
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| draw::all(frame, model, NOW)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn the_queue_shows_what_waits_and_which_keys_answer() {
    let shown = picture(&two());
    for part in ["1 Queue 2", "2 Running 1", "aaaa", "npm install", "git push", "a approve", "web"]
    {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
}

#[test]
fn running_and_history_have_pages_of_their_own() {
    let mut model = two();
    assert_eq!(types(&mut model, "2"), []);
    assert!(picture(&model).contains("sleep 9") && picture(&model).contains("1.5 s"));
    press(&mut model, key(KeyCode::Tab));
    assert!(picture(&model).contains("exit 2") && picture(&model).contains("ls"));
}

/// A yes to one run.
fn once(id: String) -> Order {
    Order::Ask(Ask::Approve { id, reach: Reach::default(), reason: None })
}

#[test]
fn what_was_not_chosen_is_not_answered() {
    let mut model = two();
    assert_eq!(types(&mut model, "a"), [], "the first press chooses");
    assert!(picture(&model).contains("press again to answer it"), "{}", picture(&model));
    read(&mut model);
    assert_eq!(types(&mut model, "a"), [once("a".repeat(32))]);
    model.known.queue.remove(0);
    assert_eq!(types(&mut model, "a"), [], "another one has slipped under the cursor");
    read(&mut model);
    assert_eq!(types(&mut model, "a"), [once("b".repeat(32))]);
}

#[test]
fn a_key_that_is_held_down_answers_nothing_that_slips_under_the_cursor() {
    let mut model = two();
    types(&mut model, "j");
    assert_eq!(types(&mut model, "a"), [once("a".repeat(32))], "it was chosen");
    model.known.queue.remove(0);
    assert_eq!(types(&mut model, &"a".repeat(100)), []);
    assert_eq!(types(&mut model, &"d".repeat(3)), []);
    assert_eq!(model.over, None);
}

/// Time goes by in which the chosen row is looked at.
fn read(model: &mut Model) {
    let slipped = model.slipped.expect("a row that has slipped under the cursor");
    model.slipped = slipped.checked_sub(READ_FIRST);
}

#[test]
fn a_request_can_be_approved_for_a_session_for_two_hours_and_with_what_it_starts() {
    let mut model = two();
    types(&mut model, "j");
    let id = model.id().unwrap();
    assert_eq!(types(&mut model, "A"), []);
    let shown = picture(&model);
    for part in ["Approve for", "this prisoner lives", "2 hours", "[ ] w", "stays denied"] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    assert_eq!(types(&mut model, "w"), []);
    assert!(picture(&model).contains("[x] w"));
    let reach = Reach { scope: GrantScope::Session, and_what_it_starts: true };
    assert_eq!(
        types(&mut model, "s"),
        [Order::Ask(Ask::Approve { id: id.clone(), reach, reason: None })]
    );
    let reach = Reach { scope: GrantScope::Time, and_what_it_starts: false };
    assert_eq!(
        types(&mut model, "A2"),
        [Order::Ask(Ask::Approve { id: id.clone(), reach, reason: None })]
    );
    assert_eq!(types(&mut model, "Aq"), [], "it is given up");
    assert_eq!((model.body, &model.over), (Body::List, &None));
}

#[test]
fn a_denial_takes_its_reason_and_can_be_given_up() {
    let mut model = two();
    types(&mut model, "jj");
    assert_eq!(types(&mut model, "duse npm ci"), []);
    assert!(picture(&model).contains("deny bbbb, because: use npm ci_"));
    let denied = Order::Ask(Ask::Deny { id: "b".repeat(32), reason: Some("use npm ci".into()) });
    assert_eq!(press(&mut model, key(KeyCode::Enter)), Some(denied));
    types(&mut model, "dq");
    assert_eq!(press(&mut model, key(KeyCode::Esc)), None);
    assert_eq!((model.body, &model.over), (Body::List, &None));
    types(&mut model, &format!("d{}end", "x".repeat(2000)));
    assert!(matches!(&model.over, Some(Over::Typing { text, .. }) if text.len() == 1000));
    press(&mut model, KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL));
    types(&mut model, &format!("{}end", "x".repeat(200)));
    assert!(picture(&model).contains("xxend_"), "its end is seen: {}", picture(&model));
}

#[test]
fn stopping_everything_takes_two_keys_and_says_what_it_reaches() {
    let mut model = two();
    assert_eq!(types(&mut model, "K"), []);
    assert!(
        picture(&model).contains("1 running command, 0 prisoners and 0 jails"),
        "{}",
        picture(&model)
    );
    assert_eq!(types(&mut model, "x"), []);
    assert_eq!(types(&mut model, "Kp"), [Order::Ask(Ask::Kill { pause: true })]);
    assert_eq!(types(&mut model, "Ke"), [Order::Ask(Ask::Kill { pause: false })]);
}

#[test]
fn resuming_is_asked_about_first() {
    let mut model = two();
    assert_eq!(types(&mut model, "R"), []);
    assert!(picture(&model).contains("goes on"), "{}", picture(&model));
    assert_eq!(types(&mut model, "x"), []);
    assert_eq!(types(&mut model, "Rr"), [Order::Ask(Ask::Resume)]);
}

#[test]
fn whatever_helps_to_judge_a_request_is_in_its_whole_picture() {
    let mut model = two();
    let entry = &mut model.known.queue[0];
    entry.sha256 = Some("5a".repeat(32));
    entry.warnings = vec!["`g` looks like another".into()];
    entry.context.parent = vec!["make".into(), "all\u{1b}[2J".into()];
    entry.context.approved_before = Some(1);
    press(&mut model, key(KeyCode::Enter));
    let shown = picture(&model);
    for part in ["5a5a", "looks like another", "started by make", "approved once", "not all of it"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    model.known.queue[0].exact = Some("npm install".into());
    assert!(!picture(&model).contains("not all of it"));
}

#[test]
fn a_filter_narrows_every_page() {
    let mut model = two();
    types(&mut model, "/GIT");
    press(&mut model, key(KeyCode::Enter));
    let shown = picture(&model);
    assert!(shown.contains("git push") && !shown.contains("npm install"), "{shown}");
    model.page = Page::History;
    assert!(picture(&model).contains("nothing matches"));
}

#[test]
fn the_whole_request_is_shown_and_scrolled() {
    let mut model = model(vec![queued(&"e".repeat(32), &["echo", &"x".repeat(4000)])]);
    press(&mut model, key(KeyCode::Enter));
    assert_eq!(model.body, Body::Detail(0));
    picture(&model);
    assert!(!picture(&model).contains("policy.yaml:3"), "below the fold");
    for _ in 0..50 {
        press(&mut model, key(KeyCode::PageDown));
    }
    assert!(picture(&model).contains("policy.yaml:3"), "{}", picture(&model));
    types(&mut model, "g");
    assert!(!picture(&model).contains("policy.yaml:3"), "{}", picture(&model));
    assert_eq!(types(&mut model, "q"), []);
    assert_eq!(model.body, Body::List);
}

#[test]
fn what_a_prisoner_wrote_reaches_no_terminal() {
    let model = model(vec![queued(&"e".repeat(32), &["echo", "\u{1b}[2J\u{202e}evil\r\n"])]);
    let shown = picture(&model);
    assert!(
        !shown.contains('\u{1b}') && !shown.contains('\u{202e}') && shown.contains("evil"),
        "{shown}"
    );
}

#[test]
fn a_warden_that_is_stopped_or_gone_is_said_on_every_page() {
    let mut model = two();
    model.known.status.stopped =
        Some(clawrden_api::Stopped { since_ms: NOW, by: "root (uid 0)".into(), paused: false });
    for page in Page::ALL {
        model.page = page;
        assert!(picture(&model).contains("Everything is stopped by root (uid 0)"));
    }
    model.stale = Some("nobody is there".into());
    model.heard_ms = NOW - 12_000;
    let shown = picture(&model);
    assert!(
        shown.contains("No answer for 12 s, what is shown is from before: nobody is there"),
        "{shown}"
    );
}

#[test]
fn whoever_approves_for_longer_says_why_where_that_is_wanted() {
    let mut model = two();
    let wants = QueueApprovals { reason_required: true, ..QueueApprovals::default() };
    model.known.queue[0].approvals = Some(wants);
    types(&mut model, "k");
    let id = model.id().unwrap();
    assert_eq!(types(&mut model, "As"), []);
    assert!(picture(&model).contains("approve aaaa, because"), "{}", picture(&model));
    types(&mut model, "reviewed");
    let reach = Reach { scope: GrantScope::Session, and_what_it_starts: false };
    let order = Order::Ask(Ask::Approve { id, reach, reason: Some("reviewed".to_owned()) });
    assert_eq!(press(&mut model, key(KeyCode::Enter)), Some(order));
}

#[test]
fn what_was_looked_at_whole_and_waits_no_longer_is_not_followed_by_another() {
    let mut model = two();
    press(&mut model, key(KeyCode::Enter));
    model.known.queue.remove(0);
    let shown = picture(&model);
    assert!(shown.contains("it waits no longer") && !shown.contains("git push"), "{shown}");
    assert_eq!(types(&mut model, "aad"), []);
    assert_eq!(model.over, None);
    assert!(picture(&model).contains("it is not there any more"), "{}", picture(&model));
    types(&mut model, "q2");
    press(&mut model, key(KeyCode::Enter));
    model.known.history[0].id = model.known.running.remove(0).id;
    let shown = picture(&model);
    assert!(shown.contains("it has ended") && shown.contains("exit 2"), "{shown}");
}

/// Events of a recording, with its header.
fn cast(text: &str) -> Piece {
    let line = serde_json::json!([0.5, "o", text]);
    Piece::Bytes(format!("{{\"version\": 2}}\n{line}\n").into_bytes())
}

fn watched() -> Model {
    let mut model = two();
    model.known.running[0].recording = Some("output".to_owned());
    let order = Order::Follow { id: "c".repeat(32) };
    assert_eq!(types(&mut model, "2o"), [order]);
    model
}

#[test]
fn what_a_command_shows_is_followed_to_its_end() {
    let mut model = watched();
    let take = |model: &mut Model, piece| model.view.as_mut().unwrap().take(piece);
    assert!(picture(&model).contains("the warden is asked"));
    take(&mut model, Piece::Begun { live: true });
    assert!(picture(&model).contains("it has shown nothing yet"), "{}", picture(&model));
    let many: String = (0..100).map(|n| format!("line {n}\n")).collect();
    take(&mut model, cast(&many));
    let shown = picture(&model);
    assert!(
        shown.contains(" live ") && shown.contains("line 99") && shown.contains("line 79"),
        "{shown}"
    );
    assert!(!shown.contains("line 78"), "it is as high as the screen is: {shown}");
    types(&mut model, "kk");
    let shown = picture(&model);
    assert!(
        shown.contains("line 97") && !shown.contains("line 98") && shown.contains("2 lines below"),
        "{shown}"
    );
    // What comes does not move what is read.
    take(&mut model, Piece::Bytes(b"[0.6, \"o\", \"more\\n\"]\n".to_vec()));
    assert!(picture(&model).contains("3 lines below"), "{}", picture(&model));
    types(&mut model, "g");
    let shown = picture(&model);
    assert!(shown.contains("line 0 ") && shown.contains("line 20"), "{shown}");
    types(&mut model, "G");
    assert!(picture(&model).contains("more"), "{}", picture(&model));
    take(&mut model, Piece::End(None));
    model.known.history[0].id = model.known.running.remove(0).id;
    assert!(picture(&model).contains(" ended: exit 2 "), "{}", picture(&model));
    assert_eq!(
        types(&mut model, "sq"),
        [],
        "it has ended, and nothing else is stopped in its place"
    );
    assert!(model.body == Body::List && model.view.is_none());
}

#[test]
fn what_breaks_off_is_said_and_begun_again() {
    let mut model = watched();
    model.view.as_mut().unwrap().take(Piece::Begun { live: true });
    model.view.as_mut().unwrap().take(cast("half\u{1b}[31"));
    assert_eq!(types(&mut model, "o"), [], "there is nothing to begin again");
    let gone = clawrden_api::ClientError::BrokenOff { path: "/run/x".into() };
    model.view.as_mut().unwrap().take(Piece::Failed(gone));
    let shown = picture(&model);
    assert!(
        shown.contains("broken off")
            && shown.contains("half")
            && shown.contains("it is going down"),
        "{shown}"
    );
    assert_eq!(types(&mut model, "o"), [Order::Follow { id: "c".repeat(32) }]);
    let dropped = clawrden_api::dropped_line().into_bytes();
    model.view.as_mut().unwrap().take(cast("again"));
    model.view.as_mut().unwrap().take(Piece::Bytes(dropped));
    model.view.as_mut().unwrap().take(Piece::End(None));
    let shown = picture(&model);
    assert!(shown.contains("broken off") && shown.contains("you read too slowly"), "{shown}");
}

/// Why there is nothing to show.
fn why(model: &Model) -> String {
    let state = &model.view.as_ref().unwrap().state;
    let State::Nothing(why) = state else { panic!("{state:?}") };
    why.clone()
}

#[test]
fn why_there_is_no_output_is_said_and_what_would_make_it_so() {
    let mut model = two();
    assert_eq!(types(&mut model, "2o"), []);
    let shown = why(&model);
    assert!(shown.contains("not recorded") && shown.contains("`record: output`"), "{shown}");
    assert!(picture(&model).contains("Its output cannot be followed"), "{}", picture(&model));
    let entry = &mut model.known.running[0];
    (entry.cooperative, entry.executor) = (true, "mirror".to_owned());
    entry.rule = Some("policy.yaml:7".to_owned());
    assert_eq!(types(&mut model, "qo"), []);
    let shown = why(&model);
    for part in ["prisoner's own process", "by handoff", "policy.yaml:7", "executor: local"] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
    assert_eq!(types(&mut model, "q3o"), [Order::Follow { id: "d".repeat(32) }]);
    let code = clawrden_api::ErrorCode::NotFound;
    let none = clawrden_api::ErrorBody { code, message: "there is none".to_owned() };
    model.view.as_mut().unwrap().take(Piece::Failed(clawrden_api::ClientError::Api(none)));
    assert!(why(&model).contains("There is no recording of it"), "{}", picture(&model));
    model.known.history[0].started = false;
    assert_eq!(types(&mut model, "qo"), []);
    assert!(picture(&model).contains("It was not started"), "{}", picture(&model));
    assert_eq!(types(&mut model, "q1o"), []);
    assert!(picture(&model).contains("nothing yet"), "{}", picture(&model));
}

#[test]
fn a_wide_screen_has_room_for_why_and_where() {
    let mut terminal = Terminal::new(TestBackend::new(200, 50)).unwrap();
    let mut model = two();
    let mut wide = |model: &Model| {
        terminal.draw(|frame| draw::all(frame, model, NOW)).unwrap();
        terminal.backend().to_string()
    };
    let shown = wide(&model);
    for part in ["TIME LEFT", "WHY IT ASKS", "it asks", "mirror"] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
    model.known.running[0].state = "paused".to_owned();
    types(&mut model, "2");
    assert!(wide(&model).contains("STATE") && picture(&model).contains("(paused) sleep 9"));
}

#[test]
fn only_terminals_whose_cursor_moves_are_drawn_on() {
    use std::ffi::OsStr;
    for term in ["xterm-256color", "vt100", "screen", "linux"] {
        assert!(super::draws(Some(OsStr::new(term))).is_ok(), "{term}");
    }
    for term in [None, Some(OsStr::new("")), Some(OsStr::new("dumb"))] {
        let refused = super::draws(term).unwrap_err();
        assert!(refused.to_string().contains("`clawrden watch`"), "{refused}");
    }
}
