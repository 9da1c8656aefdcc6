//! What a command shows, followed while it runs or read to its end afterwards. Nothing that is typed reaches it.

use std::cell::Cell;

use clawrden_api::{
    Client, ClientError, ErrorBody, ErrorCode, HistoryEntry, RECORDING_DROPPED, RECORDING_REVOKED,
    RecordingQuery, RunningEntry, display,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::page::Body;
use super::tail::Tail;
use crate::cast::reader::{Reader, What};

/// Pieces that wait to be shown. Whoever sends them waits meanwhile.
const WAITING: usize = 4;

/// How it stands with what is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// The warden was asked for it.
    Asked,
    /// It comes as the command writes it.
    Live,
    /// The command has ended, and what it wrote is being read.
    Reading,
    /// This is all.
    Whole,
    /// It broke off; the last line says why.
    Lost,
    /// There is nothing to show, and why; and what would make it so.
    Nothing(String),
}

/// The output of one command.
#[derive(Debug)]
pub(super) struct View {
    pub(super) id: String,
    pub(super) command: String,
    pub(super) state: State,
    pub(super) tail: Tail,
    /// What is gone back to.
    pub(super) back: Body,
    /// What is said where there is no recording.
    unrecorded: String,
    reader: Reader,
    /// The last line that is shown; the newest where none is held on to.
    held: Option<u64>,
    /// Lines from the first on that the screen has room for, as it was drawn last.
    pub(super) room: Cell<u64>,
}

/// A piece of it.
#[derive(Debug)]
pub(super) enum Piece {
    /// It is there; and whether the command runs.
    Begun {
        live: bool,
    },
    Bytes(Vec<u8>),
    /// There is no more, and why it is not whole, where it is not.
    End(Option<String>),
    Failed(ClientError),
}

impl View {
    fn new(id: &str, argv: &[String], unrecorded: String, back: Body) -> Self {
        Self {
            id: id.to_owned(),
            command: display::command(argv),
            state: State::Asked,
            tail: Tail::default(),
            back,
            unrecorded,
            reader: Reader::default(),
            held: None,
            room: Cell::new(1),
        }
    }

    /// Of a command that runs.
    pub(super) fn of_running(entry: &RunningEntry, back: Body) -> Self {
        let why = unfollowed(entry);
        let mut view = Self::new(&entry.id, &entry.argv, why.clone(), back);
        if entry.recording.is_none() {
            view.state = State::Nothing(why);
        }
        view
    }

    /// Of one of the history.
    pub(super) fn of_past(entry: &HistoryEntry, back: Body) -> Self {
        let mut view = Self::new(&entry.id, &entry.argv, unkept(entry), back);
        if !entry.started {
            view.state = State::Nothing("It was not started, so it has shown nothing.".to_owned());
        }
        view
    }

    /// Begins again.
    pub(super) fn again(&mut self) {
        (self.tail, self.reader) = (Tail::default(), Reader::default());
        (self.held, self.state) = (None, State::Asked);
    }

    /// Takes a piece.
    pub(super) fn take(&mut self, piece: Piece) {
        match piece {
            Piece::Begun { live } => self.state = if live { State::Live } else { State::Reading },
            Piece::Bytes(bytes) => {
                for event in self.reader.take(&bytes) {
                    let lost = [RECORDING_DROPPED, RECORDING_REVOKED];
                    if matches!(&event.what, What::Marker(text) if lost.contains(&&text[..])) {
                        self.state = State::Lost;
                    }
                    self.tail.take(&event);
                }
            }
            Piece::End(why) => {
                if let Some(why) = why {
                    self.tail.say(&format!("not whole: {why}"));
                }
                if self.state != State::Lost {
                    self.state = State::Whole;
                }
            }
            Piece::Failed(ClientError::Api(ErrorBody { code: ErrorCode::NotFound, .. })) => {
                self.state = State::Nothing(self.unrecorded.clone());
            }
            Piece::Failed(error) => {
                self.state = State::Lost;
                self.tail.say(&error.to_string());
            }
        }
    }

    /// The number behind the last line that is shown.
    pub(super) fn bottom(&self) -> u64 {
        let end = self.tail.end();
        // What was held on to may have been let go since.
        self.held.map_or(end, |held| held.clamp(self.lowest(), end))
    }

    /// The bottom that has the first line at the top.
    fn lowest(&self) -> u64 {
        (self.tail.first() + self.room.get()).min(self.tail.end())
    }

    /// Lines below what is shown.
    pub(super) fn below(&self) -> u64 {
        self.tail.end() - self.bottom()
    }

    /// Moves by lines. At the end it goes on with what comes.
    pub(super) fn step(&mut self, by: i64) {
        let bottom = self.bottom().saturating_add_signed(by).clamp(self.lowest(), self.tail.end());
        self.held = (bottom < self.tail.end()).then_some(bottom);
    }
}

/// Why a running command that is not recorded cannot be followed, and what would make it so.
fn unfollowed(entry: &RunningEntry) -> String {
    let rule = rule(entry.rule.as_ref());
    if entry.cooperative {
        return format!(
            "Its output cannot be followed. It runs in the prisoner's own process ({}, by handoff) and writes straight \
             to its caller: nothing of it passes the warden.\n\n{}",
            entry.executor,
            remedy(&rule)
        );
    }
    format!(
        "Its output cannot be followed, because it is not recorded: its rule does not say so.\n\n{}",
        remedy(&rule)
    )
}

/// Why there is no output of a command that has ended.
fn unkept(entry: &HistoryEntry) -> String {
    format!(
        "There is no recording of it: its rule did not say so, or it was removed since.\n\n{}",
        remedy(&rule(entry.rule.as_ref()))
    )
}

fn rule(rule: Option<&String>) -> String {
    rule.map_or_else(|| "the default action".to_owned(), |rule| display::text(rule))
}

fn remedy(rule: &str) -> String {
    format!(
        "Commands like it are recorded, and can be followed, from when the rule that lets them run ({rule}) says `record: \
         output`. A recorded command is not handed off: outside of containers its rule needs `executor: local` besides, \
         or `ghost`."
    )
}

/// An output that is being read. Dropped, it is read no further.
pub(super) struct Following {
    pieces: mpsc::Receiver<Piece>,
    task: JoinHandle<()>,
}

impl Following {
    /// Begins to read the output of a command.
    pub(super) fn begin(client: &Client, id: &str) -> Self {
        let (sender, pieces) = mpsc::channel(WAITING);
        let (client, id) = (client.clone(), id.to_owned());
        let task = tokio::spawn(async move {
            let last = match read(&client, &id, &sender).await {
                Ok(error) => Piece::End(error),
                Err(error) => Piece::Failed(error),
            };
            // Whoever has gone wants to know no more.
            let _ = sender.send(last).await;
        });
        Self { pieces, task }
    }

    /// The next piece; `None` when there are no more.
    pub(super) async fn next(&mut self) -> Option<Piece> {
        self.pieces.recv().await
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(
    client: &Client,
    id: &str,
    sender: &mpsc::Sender<Piece>,
) -> Result<Option<String>, ClientError> {
    let mut stream = client.recording(id, RecordingQuery { follow: true, new: false }).await?;
    let mut is_wanted = sender.send(Piece::Begun { live: stream.facts.live }).await.is_ok();
    while is_wanted && let Some(bytes) = stream.next().await? {
        is_wanted = sender.send(Piece::Bytes(bytes.to_vec())).await.is_ok();
    }
    Ok(stream.facts.error.clone())
}
