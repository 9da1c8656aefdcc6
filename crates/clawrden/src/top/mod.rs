//! `clawrden top`: queue, running commands and history on a terminal, and answering from there.

mod draw;
mod keys;
mod model;
mod orders;
mod output;
mod page;
mod screen;
mod tail;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use clawrden_api::{Client, ClientError, display};
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::cast::player::interrupted;
use crate::connection::{Connection, block_on};
use crate::failure::{Failure, Outcome, done};
use crate::when;
use keys::Order;
use model::{Known, Model};
use output::{Following, Piece};
use page::Body;
use screen::Screen;

/// How often the warden is asked.
const PERIOD: Duration = Duration::from_secs(1);

/// How long it may take to say how things are.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two pictures of an output that goes on: whatever comes in this time is one, so that a slow line keeps up.
const PACE: Duration = Duration::from_millis(100);

const EXAMPLES: &str = "\
Keys:
  1 2 3, Tab     queue, running, history      j k, arrows  move
  Enter          the whole request            /            filter
  a              approve                      d            deny, with a reason
  A              approve for more, see there
  o              what a command shows, live where its rule has it recorded
  s              stop a running command       K            stop or pause everything
  q, Ctrl-C      quit                         ?            help

Examples:
  clawrden top
  NO_COLOR=1 clawrden top
  ssh -t HOST clawrden top
  clawrden --host https://warden.example:8080 --token-file token top";

/// Watch and answer on a terminal: queue, running commands with their output, history
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

/// Runs the verb.
pub(crate) fn run(_args: &Args, control: Option<&Path>) -> Outcome {
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return Err(Failure::Usage(
            "`clawrden top` needs a terminal; `clawrden queue`, `ps` and `history` answer in --json".to_owned(),
        ));
    }
    draws(std::env::var_os("TERM").as_deref())?;
    let connection = Connection::new(control)?;
    block_on(watch(connection.client))?
}

/// Whether a terminal of this kind can be drawn on.
fn draws(term: Option<&OsStr>) -> Result<(), Failure> {
    let is = match term.and_then(OsStr::to_str) {
        None | Some("") => "TERM is not set".to_owned(),
        Some(term @ ("dumb" | "unknown")) => format!("TERM is `{term}`"),
        Some(_) => return Ok(()),
    };
    Err(Failure::Usage(format!(
        "`clawrden top` draws on a terminal whose cursor moves, and {is}; `clawrden watch` asks and answers line by line, \
         `clawrden queue`, `ps` and `history` print what there is"
    )))
}

async fn watch(client: Client) -> Outcome {
    let looking = client.clone().with_timeout(PATIENCE);
    // Before the screen is taken: who cannot be reached is said on a usual line.
    let known = orders::look(&looking).await.map_err(Connection::failure)?;
    // Heard from before it as well: whatever ends this gives the terminal back.
    let mut interrupted = pin!(interrupted());
    tokio::select! {
        biased;
        code = &mut interrupted => return Ok(ExitCode::from(code)),
        () = std::future::ready(()) => {}
    }
    let mut screen = Screen::take().map_err(failed)?;
    let (tell, mut news) = mpsc::channel(16);
    let mut top = Top::new(client, looking, tell, Model::new(known, when::now_ms()));
    let mut keys = listen();
    let mut clock = interval(PERIOD);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut drawn = Instant::now();
    let mut due = Some(drawn);
    while !top.is_done() {
        let mut order = None;
        tokio::select! {
            code = &mut interrupted => return Ok(ExitCode::from(code)),
            event = keys.recv() => {
                due = Some(Instant::now());
                order = match event {
                    Some(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                        keys::press(&mut top.model, key)
                    }
                    Some(_) => None,
                    None => Some(Order::Quit { at_once: true }),
                };
            }
            _ = clock.tick() => top.look(),
            Some(heard) = news.recv() => {
                due = Some(Instant::now());
                top.hear(heard);
            }
            piece = next(top.following.as_mut()) => {
                due = due.or(Some(drawn + PACE));
                top.take(piece);
            }
            () = sleep_until(due.unwrap_or(drawn)), if due.is_some() => {
                let now = when::now_ms();
                screen.draw(|frame| draw::all(frame, &top.model, now)).map_err(failed)?;
                (drawn, due) = (Instant::now(), None);
            }
        }
        match order {
            Some(Order::Redraw) => screen.clear().map_err(failed)?,
            Some(Order::Suspend) => {
                drop(screen);
                screen::suspend();
                screen = Screen::take().map_err(failed)?;
            }
            Some(order) => top.obey(order),
            None => {}
        }
        top.settle();
    }
    drop(screen);
    if let Some(told) = top.last_words() {
        println!("{told}");
    }
    done()
}

/// What came from the warden.
enum News {
    Known(Box<Result<Known, ClientError>>),
    Told(String),
}

/// What goes on besides the picture.
struct Top {
    client: Client,
    /// The same, for looks at how things are.
    looking: Client,
    tell: mpsc::Sender<News>,
    model: Model,
    following: Option<Following>,
    looks: usize,
    /// What was asked for and is not heard of yet.
    unanswered: usize,
    leaving: Leaving,
}

#[derive(PartialEq, Eq)]
enum Leaving {
    No,
    /// When what was asked for is heard of.
    Soon,
    AtOnce,
}

impl Top {
    fn new(client: Client, looking: Client, tell: mpsc::Sender<News>, model: Model) -> Self {
        let (following, leaving) = (None, Leaving::No);
        Self { client, looking, tell, model, following, looks: 0, unanswered: 0, leaving }
    }

    /// Looks how things are, where nobody does already.
    fn look(&mut self) {
        if self.looks == 0 {
            self.look_anew();
        }
    }

    fn look_anew(&mut self) {
        self.looks += 1;
        let (looking, tell) = (self.looking.clone(), self.tell.clone());
        tokio::spawn(async move {
            let known = orders::look(&looking).await;
            // Nobody hears it where this has ended.
            let _ = tell.send(News::Known(Box::new(known))).await;
        });
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Known(known) => {
                self.looks -= 1;
                self.model.learn(*known, when::now_ms());
            }
            News::Told(text) => {
                self.unanswered -= 1;
                self.model.told = Some(text);
                // What was looked at meanwhile may be from before.
                self.look_anew();
            }
        }
    }

    fn take(&mut self, piece: Option<Piece>) {
        match (piece, &mut self.model.view) {
            (Some(piece), Some(view)) => view.take(piece),
            _ => self.following = None,
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Ask(ask) => {
                self.unanswered += 1;
                let (client, tell) = (self.client.clone(), self.tell.clone());
                tokio::spawn(async move {
                    let told = orders::carry_out(&client, ask).await;
                    let _ = tell.send(News::Told(told.unwrap_or_else(|e| e.to_string()))).await;
                });
            }
            Order::Follow { id } => self.following = Some(Following::begin(&self.client, &id)),
            Order::Quit { at_once: true } => self.leaving = Leaving::AtOnce,
            Order::Quit { at_once: false } if self.unanswered == 0 => {
                self.leaving = Leaving::AtOnce;
            }
            Order::Quit { at_once: false } => self.leaving = Leaving::Soon,
            // The screen's.
            Order::Redraw | Order::Suspend => {}
        }
    }

    /// What follows from whatever happened.
    fn settle(&mut self) {
        if self.model.body != Body::Output {
            self.following = None;
        }
        if self.unanswered > 0 && self.model.told.is_none() && self.model.over.is_none() {
            self.model.told = Some("the warden is asked".to_owned());
        }
    }

    fn is_done(&self) -> bool {
        match self.leaving {
            Leaving::No => false,
            Leaving::Soon => self.unanswered == 0,
            Leaving::AtOnce => true,
        }
    }

    /// What came of the last order, which nobody has read yet.
    fn last_words(&self) -> Option<String> {
        let told = self.model.told.as_ref().filter(|_| self.leaving == Leaving::Soon);
        told.map(|told| display::text(told))
    }
}

/// The next piece of what is followed, if anything is.
async fn next(following: Option<&mut Following>) -> Option<Piece> {
    match following {
        Some(following) => following.next().await,
        None => std::future::pending().await,
    }
}

/// What is typed. The thread ends with the program.
fn listen() -> mpsc::Receiver<Event> {
    let (sender, events) = mpsc::channel(64);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
    events
}

// By value, as `map_err` gives it.
#[allow(clippy::needless_pass_by_value)]
fn failed(error: std::io::Error) -> Failure {
    Failure::Refused(format!("the terminal cannot be used: {error}"))
}
