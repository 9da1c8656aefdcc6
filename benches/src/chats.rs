//! Approvals in chats: a shim waits, a message is there, somebody taps, the command runs, and the message says so. The
//! services are the fakes of the tests, on loopback, which add no delay of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::house::{Bench, House, PATIENCE};
use crate::pairs::Spread;
use crate::report::{Budget, Report, Row, Unit};

#[path = "../../crates/bridge/tests/fakes/slack/mod.rs"]
#[allow(unreachable_pub)]
mod slack;
#[path = "../../crates/bridge/tests/fakes/telegram/mod.rs"]
mod telegram;

/// Requests in a row; a quick run has a fifth of them.
const TIMES: usize = 50;

const ASK: &str = "default_action: ask\n";

/// From the start of the shim to the message that says how the command ended, but for the person, in milliseconds.
const WHOLE: f64 = 300.0;

/// A service: where people see messages and tap.
trait Service {
    /// Waits for the message of the request that came after so many, and gives it.
    fn asked(&self, before: usize) -> Option<usize>;
    /// Taps its button, and waits until the person is told what came of it.
    fn tap(&self, message: usize) -> Option<()>;
    /// Waits until the message says how the command ended.
    fn says_the_end(&self, message: usize) -> Option<()>;
}

impl Service for slack::Slack {
    fn asked(&self, before: usize) -> Option<usize> {
        self.within(PATIENCE, |state| (state.messages.len() > before).then_some(before))
    }

    fn tap(&self, index: usize) -> Option<()> {
        let message = self.state(|state| state.messages[index].clone());
        slack::Slack::tap(self, &message, "approve", slack::ALICE);
        self.within(PATIENCE, |state| (state.responses.len() > index).then_some(()))
    }

    fn says_the_end(&self, message: usize) -> Option<()> {
        self.within(PATIENCE, |state| {
            let said = state.messages[message].payload.to_string();
            said.contains("exit code 0").then_some(())
        })
    }
}

impl Service for telegram::Telegram {
    fn asked(&self, before: usize) -> Option<usize> {
        soon(|| (self.messages().len() > before).then_some(before))
    }

    fn tap(&self, message: usize) -> Option<()> {
        let tap =
            telegram::Telegram::tap(self, telegram::ALICE, &self.messages()[message], "Approve");
        soon(|| self.answer_of(&tap).map(drop))
    }

    fn says_the_end(&self, message: usize) -> Option<()> {
        soon(|| self.messages()[message].text.contains("exit 0").then_some(()))
    }
}

fn soon<T>(look: impl Fn() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(found) = look() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    None
}

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let fake = slack::Slack::start();
    let channel = |folder: &Path| {
        Ok(format!(
            "people: {{alice: ['slack:{}/{}']}}\nnotify:\n  - {{name: ops, kind: slack, token_file: '{}', \
             app_token_file: '{}', api: '{}', to: {}, flood: {{posts: 1000, seconds: 60}}}}\n",
            slack::TEAM,
            slack::ALICE,
            secret(folder, "bot", slack::BOT_TOKEN)?,
            secret(folder, "app", slack::APP_TOKEN)?,
            fake.api(),
            slack::CHANNEL
        ))
    };
    let house = house(bench, "slack", channel)?;
    fake.within(PATIENCE, |state| (!state.sockets.is_empty()).then_some(())).ok_or(NOBODY)?;
    report.group("a yes in Slack", rows(bench, &house, &fake)?);
    drop(house);

    let fake = telegram::Telegram::start();
    let channel = |folder: &Path| {
        Ok(format!(
            "people: {{alice: ['telegram:{}']}}\nnotify:\n  - {{name: phone, kind: telegram, token_file: '{}', \
             api: '{}', to: {}, flood: {{posts: 1000, seconds: 60}}}}\n",
            telegram::ALICE.id,
            secret(folder, "bot", telegram::TOKEN)?,
            fake.api(),
            telegram::GROUP
        ))
    };
    let house = self::house(bench, "telegram", channel)?;
    soon(|| (!fake.calls("getUpdates").is_empty()).then_some(())).ok_or(NOBODY)?;
    report.group("a yes in Telegram", rows(bench, &house, &fake)?);
    Ok(())
}

const NOBODY: &str = "the channel does not listen";

/// A warden with these settings, which are made in a folder for secrets.
fn house(bench: &Bench, name: &str, settings: impl Fn(&Path) -> Outcome<String>) -> Outcome<House> {
    let folder = bench.dir().join(format!("chat-{name}"));
    fs::create_dir(&folder)?;
    let config = folder.join("warden.yaml");
    fs::write(&config, settings(&folder)?)?;
    let config = config.to_str().ok_or("the folder has no name in letters")?;
    bench.house_with(&format!("in-{name}"), ASK, &["--config", config])
}

fn secret(folder: &Path, name: &str, text: &str) -> Outcome<String> {
    let path = folder.join(name);
    fs::write(&path, text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(path.display().to_string())
}

/// Steps, in the order in which they come about.
const STEPS: [&str; 5] = [
    "from the shim's start to the message",
    "from the tap to what the person is told",
    "from the tap to the command's end",
    "from the tap to the message that says so",
    "all of it, but for the person",
];

fn rows(bench: &Bench, house: &House, service: &impl Service) -> Outcome<Vec<Row>> {
    let times = if bench.quick() { TIMES / 5 } else { TIMES };
    let mut spent: [Vec<f64>; STEPS.len()] = Default::default();
    for turn in 0..=times {
        let steps = one(bench, house, service, turn)?;
        // The first one opens connections.
        for (all, step) in spent.iter_mut().zip(steps).filter(|_| turn > 0) {
            all.push(step.as_secs_f64() * 1e3);
        }
    }
    let rows = STEPS.into_iter().zip(spent).map(|(what, all)| {
        let row = Row::value(what, Unit::Millis, Spread::of(all));
        if what == STEPS[4] { row.budget(Budget::UpTo(WHOLE)) } else { row }
    });
    Ok(rows.collect())
}

fn one(
    bench: &Bench,
    house: &House,
    service: &impl Service,
    before: usize,
) -> Outcome<[Duration; STEPS.len()]> {
    let start = Instant::now();
    let mut child = bench.shimmed("true", &[], &house.socket())?.spawn()?;
    let message = service.asked(before).ok_or("no message came")?;
    let asked = start.elapsed();
    let tapped = Instant::now();
    service.tap(message).ok_or("the tap is not answered")?;
    let answered = tapped.elapsed();
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("what was approved ended with {status}").into());
    }
    let ran = tapped.elapsed();
    service.says_the_end(message).ok_or("the message does not say how it ended")?;
    Ok([asked, answered, ran, tapped.elapsed(), start.elapsed()])
}
