//! Messages: what they say, what of them is refused, what is tried again.

use std::time::Duration;

use clawrden_api::{CallerContainer, QueueApprovals};
use clawrden_bridge::card::{By, Card, Digest, Outcome, Stage};
use clawrden_bridge::heard::{Failure, ReplyTo};
use clawrden_bridge::service::{Posted, Service as _};

use crate::entry::touching;
use crate::fake::{self, Fault, tokens};
use crate::{card, slack};

fn by(who: &str) -> By {
    By {
        who: who.to_owned(),
        through: "slack".to_owned(),
        reason: Some("it is <b>fine</b> & *good*".to_owned()),
        scope: Some("for this session".to_owned()),
        at_ms: 1_793_714_602_045,
    }
}

fn stages() -> Vec<Stage> {
    let outcome = |exit, signal: Option<&str>, error: Option<&str>| Outcome {
        exit,
        signal: signal.map(str::to_owned),
        duration_ms: Some(3_200),
        error: error.map(str::to_owned),
    };
    vec![
        Stage::Waiting,
        Stage::Parked,
        Stage::Approved(by("alice")),
        Stage::Denied(by("<!channel>")),
        Stage::Expired,
        Stage::CallerLeft,
        Stage::Finished(by("alice"), outcome(Some(0), None, None)),
        Stage::Finished(by("alice"), outcome(Some(3), None, None)),
        Stage::Finished(by("alice"), outcome(None, Some("SIGKILL"), None)),
        Stage::Finished(by("alice"), outcome(None, None, Some("no <such> tool"))),
        Stage::Finished(by("alice"), Outcome::default()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_says_what_wants_to_run_and_becomes_the_record() {
    let fake = fake::Slack::start();
    let slack = slack(&fake);
    let mut card = card(&["npm", "install", "left-pad"]);
    card.page = Some("https://warden.example/queue".to_owned());
    card.entry.warnings = vec!["argument 1: odd".to_owned()];
    card.entry.noticed = vec!["LD_PRELOAD is set".to_owned()];
    let posted = slack.post(fake::CHANNEL, &card).await.unwrap();
    let message = fake.message();
    assert_eq!((&posted.place, &posted.message), (&message.channel, &message.ts));
    let text = message.payload.to_string();
    for says in [
        "npm install left-pad",
        "/app",
        "uid 1000, pid 4242",
        "policy.yaml:12",
        "packages are looked at",
        "argument 1: odd",
        "LD_PRELOAD is set",
        "<!date^1793714592^{ago}|",
        "\"approve\"",
        "\"session\"",
        "\"deny\"",
        "\"more\"",
        "https://warden.example/queue",
    ] {
        assert!(text.contains(says), "{says} is not in {text}");
    }
    assert!(message.payload["text"].as_str().unwrap().contains("npm install left-pad"));
    assert_eq!(message.payload["unfurl_links"], false);
    card.stage = stages().remove(6);
    slack.edit(&posted, &card).await.unwrap();
    let text = fake.message().payload.to_string();
    for says in [
        "Approved by ",
        "alice",
        "through slack",
        "for this session",
        "exit code 0",
        "3.2 s",
        "npm install",
    ] {
        assert!(text.contains(says), "{says} is not in {text}");
    }
    assert!(!text.contains("\"actions\"") && !text.contains("\"button\""), "{text}");
    assert_eq!(fake.message().edits, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_prisoner_writes_is_markup() {
    let fake = fake::Slack::start();
    let slack = slack(&fake);
    let attack = "<!channel> <@U0000000001> <https://evil.example|ok> *b* _i_ ~s~ `c` ```\n:skull: &lt; @here #general http://evil.example";
    let mut card = card(&["echo", attack]);
    let entry = &mut card.entry;
    for field in [&mut entry.jail, &mut entry.reason, &mut entry.executor, &mut entry.short] {
        attack.clone_into(field);
    }
    let some = Some(attack.to_owned());
    (entry.cwd, entry.executable, entry.run_as) = (some.clone(), some.clone(), some.clone());
    (entry.rule, entry.suggest) = (some.clone(), some.clone());
    entry.noticed = vec![attack.to_owned()];
    entry.warnings = vec![attack.to_owned()];
    entry.labels.insert(attack.to_owned(), attack.to_owned());
    entry.context.parent = vec![attack.to_owned()];
    touching(entry, &[(attack, attack)]);
    (entry.context.git_remote, entry.context.git_branch) = (some.clone(), some.clone());
    entry.caller.prisoner = some.clone();
    let name = || attack.to_owned();
    entry.caller.container = Some(CallerContainer { id: name(), name: name(), image: name() });
    card.progress = some;
    let is_ours = |token: &String| token.starts_with("<!date^");
    for stage in stages() {
        card.stage = stage;
        let posted = slack.post(fake::CHANNEL, &card).await.unwrap();
        if !card.stage.is_open() {
            slack.edit(&posted, &card).await.unwrap();
        }
        let message = fake.message();
        let others: Vec<String> =
            tokens(&message.payload).into_iter().filter(|t| !is_ours(t)).collect();
        assert_eq!(others, Vec::<String>::new(), "{:?}", card.stage);
        assert!(!message.payload.to_string().contains("```\\n"), "a line break is shown as such");
    }
    let digest = Digest { some: vec![card.entry.clone(); 3], waiting: 3, answered: 0, page: None };
    slack.digest(fake::CHANNEL, None, &digest).await.unwrap();
    let mut told = tokens(&fake.message().payload);
    let posted = Posted { place: fake::CHANNEL.to_owned(), message: fake.message().ts };
    slack.reply(&posted, attack).await.unwrap();
    told.extend(tokens(&fake.message().payload));
    let to =
        ReplyTo { place: fake::CHANNEL.to_owned(), address: None, user: fake::ALICE.to_owned() };
    slack.tell(&to, attack).await.unwrap();
    told.extend(tokens(&fake.message().payload));
    assert_eq!(told, Vec::<String>::new());
    assert_eq!(fake.faults_found(), Vec::<String>::new());
}

#[test]
fn the_fake_notices_what_slack_would_act_on() {
    for live in ["@here", "a @bob", "#general", ":skull:", "x:+1:", "<!channel>"] {
        let found = |body: serde_json::Value| tokens(&body).len();
        let text = |kind: &str| serde_json::json!({ "type": kind, "text": live });
        assert_eq!(found(serde_json::json!({ "text": live, "mrkdwn": false })), 1, "{live}");
        assert_eq!(found(serde_json::json!({ "blocks": [text("mrkdwn")] })), 1, "{live}");
        assert_eq!(found(serde_json::json!({ "blocks": [{ "elements": [text("text")] }] })), 0);
        let is_picture = live.contains(':') || live.contains('<');
        let plain = found(serde_json::json!({ "blocks": [text("plain_text")] }));
        assert_eq!(plain, usize::from(is_picture), "{live}");
    }
    let ours = "at 14:03, 2 < 3: a@\u{200b}b #\u{200b}c :\u{200b}d:";
    let ours = serde_json::json!({ "text": ours.replace('<', "&lt;"), "mrkdwn": false });
    assert_eq!(tokens(&ours), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_of_any_length_keeps_to_the_limits() {
    let fake = fake::Slack::start();
    let slack = slack(&fake);
    for unit in ["x", "😀", "\u{202e}", "<"] {
        for length in [1, 401, 2_901, 9_000] {
            let long = unit.repeat(length);
            let mut card = card(&["echo", &long]);
            let entry = &mut card.entry;
            for field in [&mut entry.jail, &mut entry.reason, &mut entry.executor, &mut entry.short]
            {
                long.clone_into(field);
            }
            let some = Some(long.clone());
            (entry.cwd, entry.executable, entry.run_as) =
                (some.clone(), some.clone(), some.clone());
            (entry.rule, entry.suggest, entry.exact) = (some.clone(), some.clone(), some.clone());
            entry.noticed = vec![long.clone(); 9];
            entry.warnings = vec![long.clone(); 9];
            entry.labels = (0..20).map(|n| (format!("{n}{long}"), long.clone())).collect();
            entry.context.parent = vec![long.clone(); 9];
            touching(entry, &vec![(&*long, "missing"); 16]);
            entry.caller.prisoner = some.clone();
            let summary = long.clone();
            entry.approvals = Some(QueueApprovals { summary, ..QueueApprovals::default() });
            card.page = some.clone();
            for mut stage in stages() {
                if let Stage::Approved(by) | Stage::Denied(by) | Stage::Finished(by, _) = &mut stage
                {
                    (by.reason, by.scope) = (some.clone(), some.clone());
                    long.clone_into(&mut by.who);
                    long.clone_into(&mut by.through);
                }
                if let Stage::Finished(_, outcome) = &mut stage {
                    outcome.error = some.clone();
                }
                card.stage = stage;
                let posted = slack.post(fake::CHANNEL, &card).await;
                assert!(posted.is_ok(), "{unit} {length} {posted:?} {:?}", fake.faults_found());
            }
            let some = vec![card.entry.clone(); 10];
            let digest = Digest { some, waiting: 1_000, answered: 7, page: None };
            let posted = slack.digest(fake::CHANNEL, None, &digest).await;
            let posted =
                posted.unwrap_or_else(|_| panic!("{unit} {length} {:?}", fake.faults_found()));
            slack.reply(&posted, &long).await.unwrap();
            let to = ReplyTo {
                place: fake::CHANNEL.to_owned(),
                address: None,
                user: fake::ALICE.to_owned(),
            };
            slack.tell(&to, &long).await.unwrap();
        }
    }
    assert_eq!(fake.faults_found(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_paths_that_a_command_names_are_shown_and_further_ones_counted() {
    let fake = fake::Slack::start();
    let slack = slack(&fake);
    let mut card = card(&["rm", "-r", "build"]);
    let facts = || {
        let blocks = fake.message().payload["blocks"].clone();
        let facts = blocks.as_array().unwrap().iter().find(|block| block["block_id"] == "facts");
        let pieces = facts.unwrap()["elements"][0]["elements"].clone();
        let pieces: Vec<_> = pieces.as_array().unwrap().clone();
        let text = |piece: &serde_json::Value| piece["text"].as_str().unwrap().to_owned();
        let is_code = |piece: &&serde_json::Value| piece["style"]["code"] == true;
        let codes: Vec<String> = pieces.iter().filter(is_code).map(text).collect();
        (pieces.iter().map(text).collect::<String>(), codes)
    };
    touching(&mut card.entry, &[("/w/build", "folder"), ("/w/a\u{202e} (file)", "missing")]);
    slack.post(fake::CHANNEL, &card).await.unwrap();
    let (text, codes) = facts();
    let lines = "\nmay touch /w/build (folder)\nmay touch /w/a\\u202e (file) (not there yet)";
    assert!(text.ends_with(lines), "{text}");
    assert!(codes.contains(&"/w/a\\u202e (file)".to_owned()), "{codes:?}");
    touching(&mut card.entry, &[("/w/a", "file"); 9]);
    slack.post(fake::CHANNEL, &card).await.unwrap();
    let (text, _) = facts();
    assert_eq!(text.matches("may touch /w/a (file)").count(), 6, "{text}");
    assert!(text.ends_with("\nand may touch 3 more"), "{text}");
    assert_eq!(fake.faults_found(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_command_is_folded_and_says_by_how_much() {
    let fake = fake::Slack::start();
    let slack = slack(&fake);
    let mut card = card(&["echo", "x"]);
    card.entry.exact = Some(format!("echo {} && rm -rf /", "x".repeat(5_000)));
    slack.post(fake::CHANNEL, &card).await.unwrap();
    let block = fake.message().payload["blocks"][1].clone();
    assert_eq!(block["elements"].as_array().unwrap().len(), 3);
    let note = block["elements"][1].to_string();
    assert!(note.contains("2117 of 5017 characters are left out"), "{note}");
    assert!(block["elements"][2].to_string().contains("&& rm -rf /"));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_reason_is_wanted_a_yes_is_only_in_the_dialog() {
    let fake = fake::Slack::start();
    let mut card = card(&["ls"]);
    card.entry.approvals =
        Some(QueueApprovals { reason_required: true, ..QueueApprovals::default() });
    slack(&fake).post(fake::CHANNEL, &card).await.unwrap();
    let text = fake.message().payload.to_string();
    assert!(!text.contains("\"approve\"") && !text.contains("\"session\""), "{text}");
    assert!(text.contains("Approve with a reason") && text.contains("\"deny\""), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_told_apart() {
    let fake = fake::Slack::start();
    let slack = slack(&fake);
    let card = card(&["ls"]);
    let now = |failure: &Failure| matches!(failure, Failure::Now(_));
    for (fault, is_it) in [
        (
            Fault::Limited(7),
            Box::new(|f: &Failure| *f == Failure::Later(Duration::from_secs(7)))
                as Box<dyn Fn(&Failure) -> bool>,
        ),
        (Fault::Error("ratelimited"), Box::new(|f| matches!(f, Failure::Later(_)))),
        (Fault::Error("internal_error"), Box::new(now)),
        (
            Fault::Error("not_in_channel"),
            Box::new(|f| matches!(f, Failure::Never(why) if why.contains("/invite"))),
        ),
        (Fault::Error("token_revoked"), Box::new(|f| matches!(f, Failure::Never(_)))),
        (Fault::Status(503), Box::new(now)),
        (Fault::Garbage, Box::new(now)),
        (Fault::Cut, Box::new(now)),
        (Fault::Lost, Box::new(now)),
    ] {
        fake.fail("chat.postMessage", fault.clone());
        let failure = slack.post(fake::CHANNEL, &card).await.unwrap_err();
        assert!(is_it(&failure), "{fault:?} is {failure:?}");
        for secret in [fake::BOT_TOKEN, fake::APP_TOKEN] {
            assert!(!format!("{failure} {failure:?}").contains(secret));
        }
    }
    fake.fail("chat.postMessage", Fault::Slow(Duration::from_millis(300)));
    let posted = slack.post(fake::CHANNEL, &card).await.unwrap();
    for (error, is_never) in
        [("message_not_found", true), ("edit_window_closed", true), ("fatal_error", false)]
    {
        fake.fail("chat.update", Fault::Error(error));
        let failure = slack.edit(&posted, &card).await.unwrap_err();
        assert_eq!(matches!(failure, Failure::Never(_)), is_never, "{error} {failure:?}");
    }
    let elsewhere = slack.post("C9999999999", &card).await.unwrap_err();
    assert!(matches!(&elsewhere, Failure::Never(why) if why.contains("channel_not_found")));
    assert!(!format!("{slack:?}").contains("xoxb-1"), "{slack:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_command_wrote_stands_below_its_message() {
    let fake = fake::Slack::start();
    let slack = slack(&fake);
    let posted = slack.post(fake::CHANNEL, &card(&["ls"])).await.unwrap();
    slack.reply(&posted, "one\ntwo \u{1b}[31mred\n").await.unwrap();
    let replies = fake.state(|state| state.replies(&posted.message));
    assert_eq!(replies.len(), 1);
    assert!(
        replies[0].payload.to_string().contains(r"one\ntwo \\e[31mred"),
        "{}",
        replies[0].payload
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_is_one_message_that_is_edited_and_posted_again_if_it_was_deleted() {
    let fake = fake::Slack::start();
    let slack = slack(&fake);
    let entry = card(&["ls"]).entry;
    let digest = |waiting| Digest { some: vec![entry.clone()], waiting, answered: 0, page: None };
    let first = slack.digest(fake::CHANNEL, None, &digest(20)).await.unwrap();
    let second = slack.digest(fake::CHANNEL, Some(&first), &digest(30)).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(fake.state(|state| state.messages.len()), 1);
    assert!(fake.message().payload.to_string().contains("30 requests wait"));
    fake.change(|state| state.messages.clear());
    let third = slack.digest(fake::CHANNEL, Some(&first), &digest(31)).await.unwrap();
    assert_ne!(third, first);
    fake.fail("chat.update", Fault::Limited(1));
    assert!(matches!(
        slack.digest(fake::CHANNEL, Some(&third), &digest(1)).await,
        Err(Failure::Later(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_told_alone_at_the_address_of_their_tap_or_in_the_channel() {
    let fake = fake::Slack::start();
    let slack = slack(&fake);
    let hook = format!("{}/hook/T1/1", fake.api().trim_end_matches("/api"));
    let to = |address: Option<String>| ReplyTo {
        place: fake::CHANNEL.to_owned(),
        address,
        user: fake::ALICE.to_owned(),
    };
    slack.tell(&to(Some(hook.clone())), "done").await.unwrap();
    let (_, said) = fake.state(|state| state.responses.last().cloned()).unwrap();
    assert_eq!(
        (&said["response_type"], &said["replace_original"]),
        (&"ephemeral".into(), &false.into())
    );
    for _ in 0..4 {
        slack.tell(&to(Some(hook.clone())), "more").await.unwrap();
    }
    assert_eq!(fake.state(|state| state.messages.len()), 0);
    slack.tell(&to(Some(hook)), "the address is used up").await.unwrap();
    assert_eq!(fake.message().only_for.as_deref(), Some(fake::ALICE));
    slack.tell(&to(Some("https://evil.example/x".to_owned())), "not there").await.unwrap();
    assert!(fake.message().payload.to_string().contains("not there"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_messages_look_like_can_be_rendered() {
    let fake = fake::Slack::start();
    let slack = slack(&fake);
    let card = Card {
        progress: Some("1 of 2 approvals: alice".to_owned()),
        ..card(&["rm", "-rf", "<b>x</b>"])
    };
    slack.post(fake::CHANNEL, &card).await.unwrap();
    let html = fake::page(&[("waiting", &fake.message().payload)]);
    assert!(
        html.contains("rm -rf '&lt;b&gt;x&lt;/b&gt;'") && html.contains("Approve</button>"),
        "{html}"
    );
}
