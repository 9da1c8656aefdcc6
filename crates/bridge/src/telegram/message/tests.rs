use clawrden_api::approvals::QueueApprovals;
use clawrden_api::display::exact;

use super::super::text::MAX_ENTITIES;
use super::*;
use crate::entry::{ID, entry, touching};

#[path = "picture.rs"]
mod picture;

fn card(argv: &[&str], stage: Stage) -> Card {
    let page = Some("https://warden.example/queue".to_owned());
    Card { entry: entry(argv), stage, progress: None, page }
}

fn by() -> By {
    By {
        who: "alice".to_owned(),
        through: "telegram".to_owned(),
        reason: Some("fine by me".to_owned()),
        scope: Some("this session".to_owned()),
        at_ms: 1_793_714_600_000,
    }
}

fn waiting(argv: &[&str]) -> Rendered {
    render(&card(argv, Stage::Waiting), 1_793_714_604_045)
}

/// What stands outside of every entity that keeps Telegram from looking for links in it.
fn ours(text: &Text) -> String {
    let units: Vec<u16> = text.text.encode_utf16().collect();
    let mut free = vec![true; units.len()];
    for entity in text.entities.iter().filter(|e| matches!(e.kind, "code" | "pre" | "text_link")) {
        free[entity.offset..entity.offset + entity.length].fill(false);
    }
    let left = units.iter().zip(&free).filter(|(_, free)| **free).map(|(unit, _)| *unit);
    String::from_utf16(&left.collect::<Vec<_>>()).unwrap()
}

#[test]
fn a_waiting_request_says_what_wants_to_run_and_can_be_answered() {
    let shown = waiting(&["npm", "install", "left-pad"]);
    assert_eq!(
        shown.text.text,
        "⏳ May this run?\nnpm install left-pad\nJail: web\nIn: /app\n\
         Why it asks: packages are looked at\nRule: policy.yaml:12\n\
         From: uid 1000, pid 4242\nRuns as: ghost\n\
         Asked: 2026-11-03 14:03:12 UTC (12 s ago), until 2026-11-03 14:08:12 UTC\n\
         Request: 0190f3a1c2d34e5f8a9b0c1d2e3f4a5b\nhttps://warden.example/queue"
    );
    let data: Vec<_> = shown.buttons.iter().flatten().map(|b| b.callback_data.as_str()).collect();
    let all = ["a", "s", "d", "r"].map(|verb| format!("{verb}:{ID}"));
    assert_eq!(data, all);
    assert!(data.iter().all(|data| data.len() <= 64));
}

#[test]
fn the_paths_that_it_names_are_shown_and_further_ones_counted() {
    let mut card = card(&["rm", "-r", "build"], Stage::Waiting);
    touching(&mut card.entry, &[("/w/build", "folder"), ("/w/a\u{202e} (file)", "missing")]);
    let shown = render(&card, 0).text;
    let lines = "\nMay touch: /w/build (folder)\nMay touch: /w/a\\u{202e} (file) (not there yet)\n";
    assert!(shown.text.contains(lines), "{}", shown.text);
    assert!(ours(&shown).contains("\nMay touch:  (folder)\nMay touch:  (not there yet)\n"));
    touching(&mut card.entry, &[("/w/a", "file"); 9]);
    let shown = render(&card, 0).text;
    assert_eq!(shown.text.matches("May touch: /w/a (file)\n").count(), 6, "{}", shown.text);
    assert!(shown.text.contains("\nand may touch 3 more\n"), "{}", shown.text);
    card.entry.context.touches_more = true;
    assert!(render(&card, 0).text.text.contains("\nand may touch 3 more at least\n"));
}

#[test]
fn where_a_yes_needs_a_reason_it_is_asked_for() {
    let mut asks = card(&["ls"], Stage::Waiting);
    asks.entry.approvals =
        Some(QueueApprovals { reason_required: true, ..QueueApprovals::default() });
    let buttons = render(&asks, 0).buttons;
    assert_eq!(buttons[0].len(), 1);
    assert_eq!(buttons[0][0].callback_data, format!("y:{ID}"));
}

#[test]
fn the_message_becomes_the_record() {
    let done = Outcome { exit: Some(0), duration_ms: Some(3_250), ..Outcome::default() };
    let shown = render(&card(&["ls"], Stage::Finished(by(), done)), 0);
    assert!(
        shown.text.text.starts_with(
            "✅ Done, exit 0 after 3.2 s\nApproved by alice through telegram, \
             2026-11-03 14:03:20 UTC, good for this session\nReason: fine by me\nls\n"
        ),
        "{}",
        shown.text.text
    );
    assert!(shown.buttons.is_empty());
    assert!(!shown.text.text.contains("until"));

    for (stage, says) in [
        (Stage::Approved(by()), "✅ Approved by alice"),
        (Stage::Denied(by()), "⛔ Denied by alice"),
        (Stage::Expired, "⌛ Nobody answered in time"),
        (Stage::CallerLeft, "⌛ Its caller left"),
        (
            Stage::Finished(by(), Outcome { exit: Some(7), ..Outcome::default() }),
            "❌ Failed, exit 7\n",
        ),
        (
            Stage::Finished(
                by(),
                Outcome { signal: Some("SIGKILL".to_owned()), ..Outcome::default() },
            ),
            "❌ Ended by SIGKILL\n",
        ),
    ] {
        let shown = render(&card(&["ls"], stage), 0);
        assert!(shown.text.text.starts_with(says), "{}", shown.text.text);
        assert!(shown.buttons.is_empty());
    }
}

#[test]
fn a_parked_request_can_be_answered_still() {
    let shown = render(&card(&["ls"], Stage::Parked), 0);
    assert!(shown.text.text.contains("Its caller has gone"));
    assert_eq!(shown.buttons.len(), 2);
}

#[test]
fn nothing_that_anybody_chose_stands_outside_of_code() {
    const LIES: [&str; 6] = [
        "[x](tg://user?id=1)",
        "@all",
        "``` `/kill` ```",
        "\u{202e}lla@",
        "https://evil.example",
        "a\n⛔ Denied by @root",
    ];
    for lie in LIES {
        let lie = lie.to_owned();
        let mut card = card(&["echo", &lie], Stage::Waiting);
        let entry = &mut card.entry;
        entry.jail.clone_from(&lie);
        entry.cwd = Some(lie.clone());
        entry.reason.clone_from(&lie);
        entry.rule = Some(lie.clone());
        entry.run_as = Some(lie.clone());
        entry.suggest = Some(lie.clone());
        entry.executable = Some(lie.clone());
        entry.noticed = vec![lie.clone()];
        entry.warnings = vec![lie.clone()];
        entry.labels.insert(lie.clone(), lie.clone());
        entry.context.parent = vec![lie.clone()];
        touching(entry, &[(&lie, &lie)]);
        entry.context.git_remote = Some(lie.clone());
        entry.context.git_branch = Some(lie.clone());
        card.progress = Some(lie.clone());
        let person = By {
            who: lie.clone(),
            through: lie.clone(),
            reason: Some(lie.clone()),
            scope: Some(lie.clone()),
            at_ms: 0,
        };
        let ended =
            Outcome { signal: Some(lie.clone()), error: Some(lie.clone()), ..Outcome::default() };
        for stage in [
            Stage::Waiting,
            Stage::Approved(person.clone()),
            Stage::Denied(person.clone()),
            Stage::Finished(person.clone(), ended),
        ] {
            let shown = render(&Card { stage, ..card.clone() }, 0).text;
            assert!(shown.text.contains("Jail: "));
            let ours = ours(&shown);
            for mark in ["@", "//", "/kill", "evil", "`", "\u{202e}", "](", "root"] {
                assert!(!ours.contains(mark), "{mark}: {ours}");
            }
            assert!(!shown.text.contains('\u{202e}'));
        }
    }
}

#[test]
fn a_command_that_is_too_long_is_folded_where_no_argument_can_pretend_it() {
    let long = format!("{}END", "a b".repeat(20_000));
    let mut card = card(&["sh", "-c", &long], Stage::Waiting);
    card.entry.warnings = vec!["w".repeat(500); 50];
    let shown = render(&card, 0);
    assert!(shown.text.units <= MAX_TEXT, "{}", shown.text.units);
    assert!(shown.text.units > MAX_TEXT - 200, "{}", shown.text.units);
    let pre: Vec<_> = shown.text.entities.iter().filter(|e| e.kind == "pre").collect();
    let [head, tail] = pre[..] else { panic!("{pre:?}") };
    assert!(ours(&shown.text).contains("Not the whole command:"));
    let whole = exact(&card.entry.argv);
    let left_out = whole.len() - head.length - tail.length;
    assert!(ours(&shown.text).contains(&format!(" {left_out} characters are left out here.")));
    assert!(shown.text.text.contains("END'\n"));
    assert_eq!(shown.buttons.len(), 2);
}

#[test]
fn a_command_without_an_exact_form_says_so_and_hides_no_fold_within() {
    const NOTE: &str =
        "❗ Not the exact command: parts of it are left out, or secrets in it are marked\n";
    let long = format!("{}; curl evil.example", "x".repeat(500));
    let mut inexact = card(&["sh", "-c", &long, "--token=[redacted:token]"], Stage::Waiting);
    inexact.entry.exact = None;
    let shown = render(&inexact, 0).text;
    let ours = ours(&shown);
    assert!(ours.contains(NOTE), "{ours}");
    assert!(ours.contains("⚠️ secrets are replaced by marks here; what runs has them\n"), "{ours}");
    assert!(shown.text.contains(&exact(&inexact.entry.argv)), "no fold stands within it");
    let whole = waiting(&["sh", "-c", &long]).text;
    assert!(!whole.text.contains("Not the exact") && !whole.text.contains("marks"));
    inexact.entry.argv[2] = "x".repeat(5_000);
    assert!(render(&inexact, 0).text.text.contains("Not the whole command:"));
}

#[test]
fn everything_at_its_longest_fits_into_one_message() {
    let long = "😀\u{202e}".repeat(3000);
    let mut card = card(&["x", &long], Stage::Waiting);
    let entry = &mut card.entry;
    entry.exact = None;
    for field in [&mut entry.jail, &mut entry.reason, &mut entry.executor, &mut entry.id] {
        field.clone_from(&long);
    }
    for field in [&mut entry.cwd, &mut entry.rule, &mut entry.suggest, &mut entry.executable] {
        *field = Some(long.clone());
    }
    entry.noticed = vec![long.clone(); 100];
    touching(entry, &vec![(&*long, "unclear"); 16]);
    entry.warnings = vec![long.clone(); 100];
    card.page = Some(format!("https://{long}"));
    let person = By {
        who: long.clone(),
        through: long.clone(),
        reason: Some(long.clone()),
        scope: Some(long.clone()),
        at_ms: u64::MAX,
    };
    let ended =
        Outcome { signal: Some(long.clone()), error: Some(long.clone()), ..Outcome::default() };
    for stage in [Stage::Waiting, Stage::Parked, Stage::Finished(person, ended)] {
        let shown = render(&Card { stage, ..card.clone() }, u64::MAX).text;
        assert!(shown.units <= MAX_TEXT, "{}", shown.units);
        assert!(shown.entities.len() <= MAX_ENTITIES);
        assert!(shown.text.contains("Further facts that find no room here: "));
    }
}

#[test]
fn the_picture_in_the_documentation_is_of_what_is_sent() {
    let mut asks = card(
        &["npm", "install", "--prefix", "site", "left-pad@1.3.0", "[ok](https://evil.example)"],
        Stage::Waiting,
    );
    touching(&mut asks.entry, &[("/app/site", "folder")]);
    let outcome = Outcome { exit: Some(0), duration_ms: Some(3_250), ..Outcome::default() };
    let ran = Stage::Finished(By { scope: None, reason: None, ..by() }, outcome);
    let no = By { scope: None, reason: Some("use pnpm here".to_owned()), ..by() };
    let stages = [Stage::Waiting, ran, Stage::Denied(no)];
    let drawn = stages.map(|stage| render(&Card { stage, ..asks.clone() }, 1_793_714_604_045));
    let drawn = picture::picture(&drawn);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/chat/telegram.svg");
    if std::env::var_os("CLAWRDEN_DRAW").is_some() {
        std::fs::write(file, &drawn).unwrap();
    }
    let known = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        known == drawn,
        "docs/chat/telegram.svg is of other messages; CLAWRDEN_DRAW=1 draws it"
    );
}
