//! Who people are by now: the file of settings is read anew when it changes, and users of chats are bound to people by codes.
//!
//! All of it or nothing: what does not load whole leaves the people as they were, and says so in log, ledger and status.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use clawrden_api::{
    ChatUser, ErrorBody, ErrorCode, GroupInfo, PairedUser, PeopleList, PeopleStatus, PersonInfo,
    UnpairRequest,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::signal::unix::Signal;

use super::{Warden, refused};
use crate::approvals::Now;
use crate::config::{ConfigError, File, Groups, Persons};
use crate::control::access::check_private;
use crate::control::{Actor, Folk};
use crate::layers::LayersError;
use crate::ledger::{self, Record};
use crate::people::{Current, People, PeopleError};
use crate::policies::{Changes, MOST, QUIET, Unsteady, Watching, known, steadily};
use crate::switch::{now_ms, read_file, write_file};

/// Users that are bound by codes at most.
const MAX_PAIRED: usize = 1024;

/// Bytes of the file that keeps them.
const MAX_FILE: u64 = 1024 * 1024;

/// Why the bindings cannot be used.
#[derive(Debug, Error)]
#[error(
    "who was paired with whom cannot be read from {path}: {why}; put the file right, or remove it and pair anew"
)]
pub struct PairedError {
    path: PathBuf,
    why: String,
}

/// Why the people that the file names are not in force.
#[derive(Debug, Error)]
enum Unread {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Policy(#[from] LayersError),
    #[error("{}", written(.0))]
    Unsteady(#[from] Unsteady),
}

fn written(error: &Unsteady) -> String {
    match error {
        Unsteady::Written(path) => format!("the settings {path:?} are being written"),
        Unsteady::Changed | Unsteady::TooMany => {
            "the settings changed while they were read".to_owned()
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    paired: Vec<PairedUser>,
}

/// The people, where they come from, and who is bound to them.
pub(crate) struct Folks {
    current: Arc<Current>,
    named: Option<PathBuf>,
    usual: PathBuf,
    kept: PathBuf,
    /// One change after the other; the event loop never takes it.
    state: Mutex<State>,
    changes: Changes,
    watching: Mutex<Option<Watching>>,
}

struct State {
    persons: Persons,
    groups: Groups,
    paired: Vec<PairedUser>,
    /// Who holds no more, and is in the file all the same: it could not be written.
    unwritten: Vec<PairedUser>,
    since_ms: u64,
    fault: Option<String>,
    unsteady: Option<Instant>,
}

impl State {
    /// The people of the settings, with whom is bound to them.
    fn people(&self) -> Result<Arc<People>, PeopleError> {
        let mut people = self.persons.with(&self.groups)?;
        for paired in &self.paired {
            people.bind(&paired.person, &paired.user);
        }
        Ok(Arc::new(people))
    }
}

impl Folks {
    /// The people of the settings that were read, and those bound to them of whom the file at `kept` knows.
    ///
    /// # Errors
    /// When that file cannot be used, or the settings make no people.
    pub(super) fn open(
        named: Option<&Path>,
        usual: PathBuf,
        (persons, groups): (Persons, Groups),
        kept: PathBuf,
    ) -> Result<Self, super::ServeError> {
        let unusable = |why: String| PairedError { path: kept.clone(), why };
        check_private(&kept).map_err(unusable)?;
        let read: Option<Kept> =
            read_file(&kept, MAX_FILE).map_err(|error| unusable(error.to_string()))?;
        let paired = read.unwrap_or_default().paired;
        let since_ms = now_ms();
        let (unwritten, fault, unsteady) = (Vec::new(), None, None);
        let state = State { persons, groups, paired, unwritten, since_ms, fault, unsteady };
        let people = state.people().map_err(ConfigError::from)?;
        Ok(Self {
            current: Arc::new(Current::new(people)),
            named: named.map(Path::to_owned),
            usual,
            kept,
            state: Mutex::new(state),
            changes: Changes::default(),
            watching: Mutex::default(),
        })
    }

    /// The people of the moment, for whoever has to ask again and again.
    pub(crate) fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current)
    }

    /// The people of this moment.
    pub(crate) fn now(&self) -> Arc<People> {
        self.current.now()
    }

    /// How they are.
    pub(super) fn status(&self) -> PeopleStatus {
        let (people, state) = (self.now(), self.state());
        PeopleStatus {
            people: state.persons.all().len(),
            groups: state.groups.all().len(),
            paired: state.paired.iter().filter(|paired| holds(&people, paired)).count(),
            since_ms: state.since_ms,
            error: state.fault.clone(),
        }
    }

    /// Has the settings read again: what they say may fit by now.
    pub(super) fn look_again(&self) {
        self.changes.tell();
    }

    fn path(&self) -> &Path {
        self.named.as_deref().unwrap_or(&self.usual)
    }

    fn read(&self) -> Result<File, Unread> {
        let path = [self.path().to_owned()];
        Ok(steadily(&path, || File::read(self.named.as_deref(), &self.usual))??)
    }

    fn keep(&self, paired: &[PairedUser]) -> std::io::Result<()> {
        write_file(&self.kept, &Kept { paired: paired.to_vec() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether somebody is who they were paired with: the settings may say another thing by now.
fn holds(people: &People, paired: &PairedUser) -> bool {
    people.is_bound(&paired.person, &paired.user)
}

impl Warden {
    /// Reads the people anew whenever their file changes or SIGHUP comes. Never ends.
    pub(super) async fn follow_people(self: Arc<Self>, mut hangup: Signal) {
        let changes = self.people.changes.clone();
        let paths = vec![self.people.path().to_owned()];
        let watching = {
            let changes = changes.clone();
            tokio::task::spawn_blocking(move || Watching::new(paths, changes))
        };
        match watching.await {
            Ok(Ok(watching)) => {
                *self.people.watching.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(watching);
                // It may have changed since it was read.
                changes.tell();
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the settings are not watched: SIGHUP has them read anew");
            }
            Err(error) => tracing::error!(%error, "the settings are not watched"),
        }
        loop {
            tokio::select! {
                () = changes.settled() => {}
                Some(()) = hangup.recv() => {}
            }
            let warden = Arc::clone(&self);
            let read = tokio::task::spawn_blocking(move || warden.reload_people());
            if let Ok(true) = read.await {
                tokio::time::sleep(QUIET).await;
                changes.tell();
            }
        }
    }

    /// Reads the file and puts its people in force. Blocks. Whether it is to be read again in a moment.
    fn reload_people(&self) -> bool {
        let folks = &self.people;
        if let Some(watching) =
            folks.watching.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
        {
            watching.renew();
        }
        let read = folks.read();
        let mut state = folks.state();
        let file = match read {
            Ok(file) => file,
            Err(error) => return self.keep_people(&mut state, &error),
        };
        state.unsteady = None;
        if file.people == state.persons && file.groups == state.groups {
            if state.fault.take().is_some() {
                tracing::info!("the settings name again the people who are in force");
                self.record(&[self.people_loaded(&state)]);
            }
            return false;
        }
        let fresh = State {
            persons: file.people,
            groups: file.groups,
            paired: state.paired.clone(),
            unwritten: state.unwritten.clone(),
            since_ms: now_ms(),
            fault: None,
            unsteady: None,
        };
        let people = fresh.people().map_err(ConfigError::from).map_err(Unread::from);
        match people.and_then(|people| self.put_fitting(people)) {
            Ok(()) => {
                *state = fresh;
                tracing::info!("other people are in force");
                self.record(&[self.people_loaded(&state)]);
                // It may have waited for them.
                self.own.look_again();
                false
            }
            Err(error) => self.keep_people(&mut state, &error),
        }
    }

    /// Puts people in force who fit to every policy that is.
    fn put_fitting(&self, people: Arc<People>) -> Result<(), Unread> {
        let put = {
            // Neither a policy nor a prisoner with one comes between the look and the change.
            let _admission = self.admission();
            self.fit(&people).map(|()| {
                crate::crash::point("people_fit");
                self.put_people(people);
            })
        };
        // A warden that wanted to go while this went on asks again.
        self.due.notify_one();
        put
    }

    /// Refuses people without one whom a policy in force asks for, prisoners' own policies included. Who was nobody
    /// before, as after an unpairing, keeps no settings from being read; and what is held against living prisoners from
    /// before a change only ever asks for more.
    fn fit(&self, people: &People) -> Result<(), Unread> {
        let before = self.people.now();
        let stays = |name: &str| people.knows(name) || !before.knows(name);
        for jail in self.jails.all() {
            known(&jail.in_force().policy, stays)?;
        }
        Ok(known(&self.own.sourced().policy, stays)?)
    }

    /// These people hold from here on, for votes that were given as well.
    fn put_people(&self, people: Arc<People>) {
        self.people.current.put(Arc::clone(&people));
        self.approvals.know(people);
    }

    fn people_loaded(&self, state: &State) -> Record {
        Record::PeopleLoaded(ledger::PeopleLoaded {
            source: self.people.path().to_string_lossy().into_owned(),
            people: state.persons.all().len() as u64,
            groups: state.groups.all().len() as u64,
        })
    }

    /// Who was in force stays so, and everybody can learn why. Said once for each cause. Whether to read again in a moment.
    fn keep_people(&self, state: &mut State, error: &Unread) -> bool {
        if let Unread::Unsteady(_) = error {
            // Writing takes a moment, and is an error only when it does not end.
            if state.unsteady.get_or_insert_with(Instant::now).elapsed() < MOST {
                return true;
            }
        } else {
            state.unsteady = None;
        }
        let message = error.to_string();
        if state.fault.as_ref() != Some(&message) {
            tracing::error!(
                error = message,
                "the settings do not load: the people before stay in force"
            );
            state.fault = Some(message.clone());
            let source = self.people.path().to_string_lossy().into_owned();
            self.record(&[Record::PeopleRefused(ledger::PeopleRefused { source, error: message })]);
        }
        matches!(error, Unread::Unsteady(_))
    }

    /// Keeps who is bound, and puts it in force.
    fn bind(&self, person: &str, user: &ChatUser, by: &str) -> Result<PairedUser, ErrorBody> {
        let mut state = self.people.state();
        may_pair(&state, person)?;
        if let Some(owner) = self.people.now().chat_owner(user) {
            let text =
                format!("{user} is {owner} already; unpair it first, or change the settings");
            return Err(refused(ErrorCode::Conflict, text));
        }
        // One of the settings comes before it, and one that holds no more makes room.
        let mut paired: Vec<PairedUser> =
            state.paired.iter().filter(|paired| paired.user != *user).cloned().collect();
        if paired.len() >= MAX_PAIRED {
            let text = format!("{MAX_PAIRED} users of chats are paired; unpair some first");
            return Err(refused(ErrorCode::Conflict, text));
        }
        let (person, by) = (person.to_owned(), by.to_owned());
        let made = PairedUser { person, user: user.clone(), since_ms: Now::read().ms, by };
        self.in_ledger(&Record::Paired(paired_record(&made)))?;
        paired.push(made.clone());
        if let Err(error) = self.people.keep(&paired) {
            self.record(&[Record::Unpaired(paired_record(&made))]);
            return Err(not_kept(&self.people.kept, &error));
        }
        state.paired = paired;
        state.unwritten.clear();
        self.renew_people(&state)?;
        // It may have waited for this one.
        self.own.look_again();
        tracing::info!(person = made.person, %user, "a user of a chat is paired");
        Ok(made)
    }

    /// It holds no more from here on, recorded or not: a full disk keeps nobody's power. What cannot be kept is told.
    fn unbind(&self, by: &str, request: &UnpairRequest) -> Result<PairedUser, ErrorBody> {
        let UnpairRequest { person, user } = request;
        let mut state = self.people.state();
        let is_it = |paired: &PairedUser| paired.person == *person && paired.user == *user;
        let at = state.paired.iter().position(is_it);
        let left = state.unwritten.iter().find(|paired| is_it(paired)).cloned();
        let Some(gone) = at.map(|at| state.paired.remove(at)).or(left) else {
            let of_settings = self.people.now().chat_owner(user).is_some_and(|o| *o == **person);
            let (code, text) = if of_settings {
                let text = format!(
                    "{user} is {person} by the settings: change them in {:?}",
                    self.people.path()
                );
                (ErrorCode::Conflict, text)
            } else {
                (
                    ErrorCode::NotFound,
                    format!("{user} is not paired with {person}; `clawrden people` lists who is"),
                )
            };
            return Err(refused(code, text));
        };
        let in_force = self.renew_people(&state);
        let kept = self.people.keep(&state.paired);
        let record = ledger::Paired { by: by.to_owned(), ..paired_record(&gone) };
        self.record(&[Record::Unpaired(record)]);
        if let Err(error) = kept {
            // A restart would know it again: it can be unpaired again.
            state.unwritten.retain(|paired| !is_it(paired));
            state.unwritten.push(gone);
            let text = format!(
                "{user} is {person} no more, but will be again after a restart, for it cannot be kept in {}: {error}; \
                 unpair it once more when it can",
                self.people.kept.display()
            );
            return Err(refused(ErrorCode::Internal, text));
        }
        state.unwritten.clear();
        in_force.map(|()| gone)
    }

    fn renew_people(&self, state: &State) -> Result<(), ErrorBody> {
        let people =
            state.people().map_err(|error| refused(ErrorCode::Internal, error.to_string()))?;
        self.put_people(people);
        Ok(())
    }

    fn in_ledger(&self, record: &Record) -> Result<(), ErrorBody> {
        self.ledger.append(std::slice::from_ref(record)).map(|_| ()).map_err(|error| {
            let text = format!("the ledger cannot be written, so nobody becomes another: {error}");
            refused(ErrorCode::LedgerUnavailable, text)
        })
    }
}

fn paired_record(paired: &PairedUser) -> ledger::Paired {
    let PairedUser { person, user, by, .. } = paired.clone();
    ledger::Paired { person, user: user.to_string(), by }
}

fn may_pair(state: &State, person: &str) -> Result<(), ErrorBody> {
    if state.persons.has(person) {
        return Ok(());
    }
    let text = format!(
        "there is nobody of the name {:?} in `people` of the warden's settings: put them there first, with `[]` for no door",
        person.chars().take(80).collect::<String>()
    );
    Err(refused(ErrorCode::NotFound, text))
}

fn not_kept(path: &Path, error: &std::io::Error) -> ErrorBody {
    refused(
        ErrorCode::Internal,
        format!("who is paired cannot be kept in {}: {error}", path.display()),
    )
}

impl Folk for super::control::Control {
    fn person_of(&self, user: &ChatUser) -> Option<String> {
        self.0.people.now().chat_owner(user).map(|person| person.to_string())
    }

    fn people(&self) -> Result<PeopleList, ErrorBody> {
        let people = self.0.people.now();
        let state = self.0.people.state();
        let (held, idle): (Vec<_>, Vec<_>) =
            state.paired.iter().cloned().partition(|paired| holds(&people, paired));
        let person = |(name, doors): (&str, Vec<String>)| PersonInfo {
            name: name.to_owned(),
            doors,
            paired: held.iter().filter(|paired| paired.person == name).cloned().collect(),
        };
        let group = |(name, members): (&str, &[String])| GroupInfo {
            name: name.to_owned(),
            members: members.to_vec(),
        };
        Ok(PeopleList {
            people: state.persons.all().map(person).collect(),
            groups: state.groups.all().map(group).collect(),
            idle,
        })
    }

    fn may_pair(&self, person: &str) -> Result<(), ErrorBody> {
        may_pair(&self.0.people.state(), person)
    }

    fn bind(&self, person: &str, user: &ChatUser, by: &str) -> Result<PairedUser, ErrorBody> {
        self.0.bind(person, user, by)
    }

    fn unbind(&self, actor: &Actor, request: UnpairRequest) -> Result<PairedUser, ErrorBody> {
        self.0.unbind(&actor.who, &request)
    }
}
