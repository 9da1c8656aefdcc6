//! A bridge at work: what the warden tells goes into the table, what the table wants said goes to the service, and what
//! people say there goes to the warden. One task owns the file; everything that waits for somebody is a task of its own.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clawrden_api::{Event, HistoryEntry, QueueEntry, Trouble};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::answers::{Answers, SERVICE_TIMEOUT};
use crate::backoff::Backoff;
use crate::clock::now_ms;
use crate::floods::{Flood, Floods};
use crate::heard::Failure;
use crate::http::MAX_REST;
use crate::inbox::Inbox;
use crate::kept::Tail;
use crate::looks::Looks;
use crate::missed;
use crate::outbox::{Job, Outbox};
use crate::reach;
use crate::routes::Routes;
use crate::service::{Posted, Service};
use crate::shared::Shared;
use crate::standing::{Part, Standing};
use crate::store::{Store, StoreError};
use crate::table::Table;
use crate::taps::Taps;
use crate::told::Told;
use crate::warden::{Refusal, Warden};

/// Events, taps and results that wait to be taken up.
const BUFFER: usize = 256;

/// How long the event that tells what came of a request may be behind the queue that has it no more.
const LOOK_UP_AFTER: Duration = Duration::from_secs(1);

/// Cards that are looked up at once.
const MAX_LOOK_UPS: usize = 200;

/// How soon the queue is read again that could not be.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// How often the queue is read though nothing was told of it: what was missed in any way is made up for then.
const LOOK_EVERY: Duration = Duration::from_secs(5 * 60);

/// How often what is over is put away.
const TIDY_EVERY: Duration = Duration::from_secs(10);

/// How long a service that refuses for good is left alone.
const REFUSED: Duration = Duration::from_secs(5 * 60);

/// Times that a recording is tried to be read.
const TAILS: u32 = 4;

/// How a bridge is set up.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Its name, which its file has.
    pub name: String,
    /// Where its file lies.
    pub state: PathBuf,
    /// Which places are told of what.
    pub routes: Routes,
    /// What is too much for one place at once.
    pub flood: Flood,
    /// The page of the warden, for messages to link to.
    pub page: Option<String>,
    /// Whether the end of what a recorded command wrote is said below its message.
    pub tail: bool,
}

/// What a task has found out.
enum News {
    Sent(String, Box<Job>, Result<Option<Posted>, Failure>),
    Queue(Result<Vec<QueueEntry>, Refusal>),
    LookAgain,
    LookedUp(Vec<(String, LookedUp)>),
    Tail(String, Option<String>),
}

/// What the history says of a card; `Err`: it is not to be asked, or not at this moment.
type LookedUp = Result<Option<HistoryEntry>, ()>;

/// A bridge that runs until it is dropped.
pub struct Bridge<S, W> {
    shared: Arc<Shared<S, W>>,
    store: Store,
    outbox: Outbox,
    /// All that may be told something.
    places: Vec<String>,
    tail: bool,
    tasks: JoinSet<News>,
    looks: Looks,
    /// Cards that are being looked up.
    sought: HashSet<String>,
}

impl<S: Service, W: Warden> Bridge<S, W> {
    /// Takes up what the last one with this name left.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(
        service: Arc<S>,
        warden: Arc<W>,
        standing: Standing,
        options: Options,
    ) -> Result<Self, StoreError> {
        let Options { name, state, routes, flood, page, tail } = options;
        let (store, memory) = Store::open(&state, &name)?;
        let places = routes.all();
        let table = Mutex::new(Table::new(memory, routes, Floods::new(flood), page));
        // The store is this bridge's alone by now, and so is what lies beside it.
        let taps = Arc::new(Mutex::new(Taps::open(&state, &name)));
        let doubt = Notify::new();
        let shared = Arc::new(Shared { service, warden, standing, doubt, table, taps });
        let (outbox, tasks) = (Outbox::default(), JoinSet::new());
        Ok(Self {
            shared,
            store,
            outbox,
            places,
            tail,
            tasks,
            looks: Looks::default(),
            sought: HashSet::new(),
        })
    }

    /// Works until it is dropped. What it waits for then is taken up by the next one.
    pub async fn run(mut self) {
        let (told, mut events) = mpsc::channel(BUFFER);
        let mut beside = JoinSet::new();
        beside.spawn(follow(Arc::clone(&self.shared), told));
        let (inbox, heard) = Inbox::new(BUFFER, self.shared.standing.clone());
        let inbox = inbox.keeping(Arc::clone(&self.shared.taps));
        beside.spawn(listen(Arc::clone(&self.shared), inbox));
        beside.spawn(reach::watch(Arc::clone(&self.shared), std::mem::take(&mut self.places)));
        beside.spawn(Answers::new(Arc::clone(&self.shared)).answer_all(heard));
        self.fetch_tails();
        let (mut tidy, mut look) = (Instant::now(), Instant::now() + LOOK_EVERY);
        loop {
            let now = Instant::now();
            if now >= tidy {
                tidy = now + TIDY_EVERY;
                let mut table = self.shared.table();
                table.tidy(now_ms());
                self.outbox.tidy(&table);
            }
            if now >= look {
                look = now + LOOK_EVERY;
                self.looks.want(now);
            }
            self.look(now);
            self.write();
            let wake = self.send(now).into_iter().chain(self.looks.wake()).chain([tidy]);
            let wake = wake.min().unwrap_or(tidy);
            tokio::select! {
                event = events.recv() => {
                    let Some(event) = event else { return };
                    self.told(&event);
                    // What came with it is one change.
                    while let Ok(event) = events.try_recv() {
                        self.told(&event);
                    }
                }
                Some(news) = self.tasks.join_next() => {
                    if let Ok(news) = news {
                        self.took(news);
                    }
                }
                Some(ended) = beside.join_next() => {
                    // None of them comes to an end while all is well: whoever started this begins anew.
                    if let Err(died) = ended
                        && let Ok(why) = died.try_into_panic()
                    {
                        std::panic::resume_unwind(why);
                    }
                    return;
                }
                () = sleep_until(wake) => {}
            }
        }
    }

    fn write(&mut self) {
        let mut table = self.shared.table();
        let lines = table.changes();
        if !lines.is_empty() {
            self.store.write(&lines, || table.memory().clone(), table.len());
        }
    }

    /// Sends what is due. Gives when there is more.
    fn send(&mut self, now: Instant) -> Option<Instant> {
        let due = self.outbox.due(&self.shared.table(), now);
        self.shared.standing.note(|state| state.outbox = due.waiting);
        for (place, job) in due.now {
            let service = Arc::clone(&self.shared.service);
            self.tasks.spawn(async move {
                let came = timeout(SERVICE_TIMEOUT, carry_out(&*service, &place, &job)).await;
                let silent = |_| Err(Failure::Now("it does not answer".to_owned()));
                News::Sent(place, Box::new(job), came.unwrap_or_else(silent))
            });
        }
        due.wake
    }

    fn told(&mut self, event: &Event) {
        let told = Told::of(event, now_ms());
        let was_missed = told == Told::Missed;
        let ended = matches!(told, Told::Finished { .. });
        let is_greeting = event.name == "hello" || was_missed;
        let mut table = self.shared.table();
        if let Some(id) = &event.id {
            table.heard(id);
        }
        let look = table.told(told, now_ms()) || is_greeting;
        let unfinished = if was_missed { table.unfinished() } else { Vec::new() };
        drop(table);
        if is_greeting {
            self.shared.standing.note(|state| state.follows = true);
            self.shared.standing.went_well(Part::Following);
        }
        if look {
            self.looks.want(Instant::now());
        }
        self.look_up(unfinished);
        if ended {
            self.fetch_tails();
        }
    }

    /// Reads the queue, if that is due.
    fn look(&mut self, now: Instant) {
        if !self.looks.begin(now) {
            return;
        }
        let warden = Arc::clone(&self.shared.warden);
        self.tasks.spawn(async move { News::Queue(warden.queue().await) });
    }

    /// Looks up what came of cards, unless that is under way.
    fn look_up(&mut self, mut ids: Vec<String>) {
        ids.retain(|id| !self.sought.contains(id));
        ids.truncate(MAX_LOOK_UPS);
        if ids.is_empty() {
            return;
        }
        self.sought.extend(ids.iter().cloned());
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn(async move { News::LookedUp(look_up(&shared, ids).await) });
    }

    /// Reads the recordings whose end is wanted.
    fn fetch_tails(&mut self) {
        let mut wanted = Vec::new();
        let mut table = self.shared.table();
        let cards = table.memory().cards.iter();
        for (id, kept) in cards {
            if let Tail::Wanted(request) = &kept.tail {
                wanted.push((id.clone(), request.clone()));
            }
        }
        for (id, _) in &wanted {
            // Once for each: a bridge that ends meanwhile does without.
            table.with(id, |kept| kept.tail = Tail::None);
        }
        drop(table);
        if !self.tail {
            return;
        }
        for (id, request) in wanted {
            let warden = Arc::clone(&self.shared.warden);
            self.tasks.spawn(async move {
                let mut backoff = Backoff::default();
                for _ in 0..TAILS {
                    match warden.tail(&request).await {
                        Ok(text) => return News::Tail(id, Some(text)),
                        Err(Refusal::No(_)) => break,
                        Err(Refusal::Away(_)) => sleep(backoff.wait()).await,
                    }
                }
                News::Tail(id, None)
            });
        }
    }

    fn took(&mut self, news: News) {
        match news {
            News::Sent(place, job, came) => self.sent(&place, &job, came),
            News::Queue(came) => {
                self.looks.end();
                match came {
                    Ok(entries) => {
                        self.shared.standing.went_well(Part::Queue);
                        let missing = self.shared.table().queue(entries, now_ms());
                        self.look_up(missing);
                    }
                    Err(refusal) => {
                        let standing = &self.shared.standing;
                        let why =
                            standing.failed(Part::Queue, Trouble::Warden, &refusal.to_string());
                        tracing::warn!(why, "the queue cannot be read");
                        self.tasks.spawn(async {
                            sleep(LOOK_AGAIN).await;
                            News::LookAgain
                        });
                    }
                }
            }
            News::LookAgain => self.looks.want(Instant::now()),
            News::LookedUp(found) => {
                let mut table = self.shared.table();
                for (id, found) in found {
                    self.sought.remove(&id);
                    if let Ok(found) = found {
                        table.looked_up(&id, found.as_ref(), now_ms());
                    }
                }
            }
            News::Tail(id, text) => {
                let text = text.filter(|text| !text.is_empty());
                self.shared.table().with(&id, |kept| {
                    kept.tail = text.map_or(Tail::None, Tail::Text);
                });
            }
        }
    }

    fn sent(&mut self, place: &str, job: &Job, came: Result<Option<Posted>, Failure>) {
        let standing = &self.shared.standing;
        self.outbox.came(place, job, &came, Instant::now());
        match &came {
            Ok(_) => {
                standing.note(|state| state.sent += 1);
                standing.went_well(Part::Message);
            }
            Err(failure) => {
                let why = standing.refused(Part::Message, failure);
                standing.note(|state| state.failed += 1);
                if !matches!(failure, Failure::Later(_)) {
                    self.shared.doubt.notify_one();
                }
                if matches!(failure, Failure::Never(_)) {
                    tracing::warn!(place, why, "a message is given up");
                } else {
                    tracing::debug!(place, why, "a message is tried again");
                }
            }
        }
        let is_over = matches!(came, Err(Failure::Never(_)));
        let posted = match came {
            Ok(posted) => posted,
            Err(Failure::Never(_)) => None,
            Err(_) => return,
        };
        let mut table = self.shared.table();
        match job {
            Job::Post { entry, version, .. } | Job::Edit { entry, version, .. } => {
                table.with(entry, |kept| {
                    let post = kept.posts.iter_mut().find(|post| post.place == place);
                    if let Some(post) = post {
                        post.posted = posted.or(post.posted.take());
                        (post.said, post.given_up) = (*version, is_over);
                    }
                });
            }
            Job::Reply { entry, .. } => table.with(entry, |kept| {
                let post = kept.posts.iter_mut().find(|post| post.place == place);
                post.into_iter().for_each(|post| post.has_tail = true);
            }),
            Job::Digest { number, said, .. } => table.with_digest(*number, |digest| {
                digest.posted = posted.or(digest.posted.take());
                digest.said = Some(*said);
            }),
        }
    }
}

async fn carry_out<S: Service>(
    service: &S,
    place: &str,
    job: &Job,
) -> Result<Option<Posted>, Failure> {
    match job {
        Job::Post { card, .. } => service.post(place, card).await.map(Some),
        Job::Edit { posted, card, .. } => service.edit(posted, card).await.map(|()| None),
        Job::Reply { posted, text, .. } => service.reply(posted, text).await.map(|()| None),
        Job::Digest { before, digest, .. } => {
            service.digest(place, before.as_ref(), digest).await.map(Some)
        }
    }
}

/// Follows the warden, over its restarts.
async fn follow<S: Service, W: Warden>(shared: Arc<Shared<S, W>>, told: mpsc::Sender<Event>) {
    let mut backoff = Backoff::default();
    loop {
        let after = shared.table().memory().heard.clone();
        let refusal = shared.warden.follow(after, told.clone()).await;
        let was_there = std::cell::Cell::new(false);
        let standing = &shared.standing;
        let why = standing.failed(Part::Following, Trouble::Warden, &refusal.to_string());
        standing.note(|state| was_there.set(std::mem::take(&mut state.follows)));
        if was_there.get() {
            backoff = Backoff::default();
        }
        tracing::info!(why, "the warden tells nothing more; it is looked for again");
        sleep(backoff.wait()).await;
    }
}

/// Listens to people, over whatever the service does. What comes of it is another's business, so that hearing goes on.
async fn listen<S: Service, W: Warden>(shared: Arc<Shared<S, W>>, inbox: Inbox) {
    let (mut backoff, mut again) = (Backoff::default(), shared.standing.wanted_again());
    loop {
        again.mark_unchanged();
        let began = Instant::now();
        let failure = shared.service.listen(inbox.clone()).await;
        let why = shared.standing.refused(Part::Hearing, &failure);
        if began.elapsed() > REFUSED {
            backoff = Backoff::default();
        }
        let rest = match failure {
            Failure::Later(rest) => rest.min(MAX_REST),
            Failure::Now(_) => backoff.wait(),
            Failure::Never(_) => REFUSED,
        };
        tracing::warn!(why, seconds = rest.as_secs(), "nobody is heard there; it is tried again");
        tokio::select! {
            () = sleep(rest) => {}
            // Nobody takes a rest from a service that wants one.
            _ = again.changed(), if matches!(failure, Failure::Never(_)) => {}
        }
    }
}

/// What the history says of cards that are in the queue no more. Of those that are in it after all, or were told of
/// meanwhile, or cannot be looked up at this moment, nothing.
async fn look_up<S: Service, W: Warden>(
    shared: &Shared<S, W>,
    ids: Vec<String>,
) -> Vec<(String, LookedUp)> {
    sleep(LOOK_UP_AFTER).await;
    let Ok(queue) = shared.warden.queue().await else {
        return ids.into_iter().map(|id| (id, Err(()))).collect();
    };
    let mut found = Vec::new();
    for id in ids {
        let sought = shared.table().sought(&id);
        let sought = sought.filter(|_| queue.iter().all(|entry| entry.id != id));
        let what = match sought {
            Some(requests) => missed::find(&*shared.warden, &requests).await.map_err(drop),
            None => Err(()),
        };
        found.push((id, what));
    }
    found
}

#[cfg(test)]
mod tests;
