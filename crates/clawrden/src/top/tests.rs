use clawrden_api::{GrantScope, HistoryEntry, QueueApprovals, QueueEntry, RunningEntry};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::draw;
use super::keys::{Order, press};
use super::model::{Known, Mode, Model, Page, Reach};

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
    Model::new(Known {
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
            ..HistoryEntry::default()
        }],
    })
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
    Order::Approve { id, reach: Reach::default(), reason: None }
}

#[test]
fn what_was_not_chosen_is_not_answered() {
    let mut model = two();
    assert_eq!(types(&mut model, "a"), [], "the first press chooses");
    assert_eq!(types(&mut model, "a"), [once("a".repeat(32))]);
    model.known.queue.remove(0);
    assert_eq!(types(&mut model, "a"), [], "another one has slipped under the cursor");
    assert_eq!(types(&mut model, "a"), [once("b".repeat(32))]);
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
    assert_eq!(types(&mut model, "s"), [Order::Approve { id: id.clone(), reach, reason: None }]);
    let reach = Reach { scope: GrantScope::Time, and_what_it_starts: false };
    assert_eq!(types(&mut model, "A2"), [Order::Approve { id: id.clone(), reach, reason: None }]);
    assert_eq!(types(&mut model, "Aq"), [], "it is given up");
    assert_eq!(model.mode, Mode::List);
}

#[test]
fn a_denial_takes_its_reason_and_can_be_given_up() {
    let mut model = two();
    types(&mut model, "jj");
    assert_eq!(types(&mut model, "duse npm ci"), []);
    assert!(picture(&model).contains("deny, because: use npm ci_"));
    let denied = Order::Deny { id: "b".repeat(32), reason: Some("use npm ci".into()) };
    assert_eq!(press(&mut model, key(KeyCode::Enter)), Some(denied));
    types(&mut model, "dq");
    assert_eq!(press(&mut model, key(KeyCode::Esc)), None);
    assert_eq!(model.mode, Mode::List);
}

#[test]
fn stopping_everything_takes_two_keys_and_says_what_it_reaches() {
    let mut model = two();
    assert_eq!(types(&mut model, "K"), []);
    assert!(picture(&model).contains("1 running commands"), "{}", picture(&model));
    assert_eq!(types(&mut model, "x"), []);
    assert_eq!(types(&mut model, "Kp"), [Order::Kill { pause: true }]);
    assert_eq!(types(&mut model, "Ke"), [Order::Kill { pause: false }]);
}

#[test]
fn resuming_is_asked_about_first() {
    let mut model = two();
    assert_eq!(types(&mut model, "R"), []);
    assert!(picture(&model).contains("goes on"), "{}", picture(&model));
    assert_eq!(types(&mut model, "x"), []);
    assert_eq!(types(&mut model, "Rr"), [Order::Resume]);
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
    assert!(matches!(model.mode, Mode::Detail(0)));
    assert!(!picture(&model).contains("policy.yaml:3"), "below the fold");
    for _ in 0..5 {
        press(&mut model, key(KeyCode::PageDown));
    }
    assert!(picture(&model).contains("policy.yaml:3"), "{}", picture(&model));
    assert_eq!(types(&mut model, "q"), []);
    assert_eq!(model.mode, Mode::List);
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
    assert!(picture(&model).contains("No answer: nobody is there"));
}

#[test]
fn whoever_approves_for_longer_says_why_where_that_is_wanted() {
    let mut model = two();
    let wants = QueueApprovals { reason_required: true, ..QueueApprovals::default() };
    model.known.queue[0].approvals = Some(wants);
    types(&mut model, "k");
    let id = model.id().unwrap();
    assert_eq!(types(&mut model, "As"), []);
    assert!(picture(&model).contains("approve, because"), "{}", picture(&model));
    types(&mut model, "reviewed");
    let reach = Reach { scope: GrantScope::Session, and_what_it_starts: false };
    let order = Order::Approve { id, reach, reason: Some("reviewed".to_owned()) };
    assert_eq!(press(&mut model, key(KeyCode::Enter)), Some(order));
}
