//! Making a root governed, and undoing it: stand-ins in `/clawrden/bin`, which shells find first, and originals that
//! are out of a prisoner's reach. What is going to be done is written down before it is done.

use std::collections::BTreeSet;

use crate::run::tools::check_name;

mod changes;
mod crash;
mod error;
mod find;
mod house;
mod lock;
mod manifest;
mod report;
mod root;
mod startup;
mod user;
mod world;

pub(crate) use changes::copy as copy_changes;
pub(crate) use error::InstallError;
pub(crate) use report::Report;
pub(crate) use root::Root;
pub(crate) use user::User;

use find::Place;
use manifest::{Manifest, State, Step};
use world::World;

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    /// The tools to stand in for; checked by [`check_name`].
    pub(crate) tools: Vec<String>,
    /// Who the prisoner is.
    pub(crate) user: Option<User>,
    /// Whether the originals are locked.
    pub(crate) lock: bool,
    /// The PATH that processes of this root have.
    pub(crate) path: String,
}

/// Installs, or changes an installation into this one.
///
/// # Errors
/// Before anything is changed: a half-done state, a tool that cannot be locked, anything in the way. Later: what the
/// system refuses; the state is half done then.
pub(crate) fn install(root: &Root, wish: &Wish) -> Result<Report, InstallError> {
    root.lock()?;
    let old = Manifest::read(root)?;
    match &old {
        None => house::refuse_strange(root)?,
        Some(old) if old.state == State::Installed => {}
        Some(_) => return Err(InstallError::HalfDone),
    }
    bring_about(root, old, wish)
}

/// Brings what was interrupted to its end: an installation to be installed, a removal to be gone.
///
/// # Errors
/// When nothing was interrupted, and as [`install`].
pub(crate) fn finish(root: &Root) -> Result<Report, InstallError> {
    root.lock()?;
    let Some(old) = Manifest::read(root)? else { return Err(InstallError::NothingToFinish) };
    match old.state {
        State::Installed => Err(InstallError::NothingToFinish),
        State::Uninstalling => take_away(root, old),
        State::Installing => {
            let user = old.user.parse().ok();
            let (tools, lock, path) = (old.tools.clone(), old.lock, old.path.clone());
            bring_about(root, Some(old), &Wish { tools, user, lock, path })
        }
    }
}

/// Takes everything away and puts back what was there, from whatever state.
///
/// # Errors
/// When nothing is installed, or the system refuses.
pub(crate) fn uninstall(root: &Root) -> Result<Report, InstallError> {
    root.lock()?;
    match Manifest::read(root)? {
        Some(manifest) => take_away(root, manifest),
        None if house::look(root)?.is_some() => {
            // What is left of an installation that had not begun, or of one that is gone but for its folder.
            house::refuse_strange(root)?;
            root.remove(&format!("{}.new", manifest::PATH))?;
            root.remove_folder(house::TOP)?;
            Ok(Report::default())
        }
        None => Err(InstallError::NotInstalled),
    }
}

fn bring_about(root: &Root, old: Option<Manifest>, wish: &Wish) -> Result<Report, InstallError> {
    let tools: BTreeSet<&String> = wish.tools.iter().filter(|t| check_name(t).is_ok()).collect();
    let tools: Vec<String> = tools.into_iter().cloned().collect();
    let (old_path, old_steps, before) = match old {
        Some(old) => (old.path, old.steps, old.tools),
        None => Default::default(),
    };

    let world = World::new(root, &old_steps);
    let folders = find::folders(&world, &format!("{}:{old_path}", wish.path))?;
    let shells = startup::Shells::of(&world, &folders)?;
    let mut names = Names::after(&old_steps);
    let uid = wish.user.map_or(0, |user| user.uid);
    let mut steps = startup::wanted(&world, shells, uid, &old_steps, |path| names.of(path))?;
    let mut report = Report::default();
    if wish.lock {
        let found = find::find(&world, &folders, &tools)?;
        steps.extend(found.places.iter().map(|place| names.step(place)));
        report.found(&found);
    } else {
        report.absent = find::absent(&world, &folders, &tools)?;
    }
    let is_wanted = |old: &Step| steps.contains(old);
    let unwanted: Vec<Step> = old_steps.iter().filter(|old| !is_wanted(old)).cloned().collect();

    let user = wish.user.map(|user| user.to_string()).unwrap_or_default();
    let mut manifest = Manifest::new(user, wish.lock, folders.join(":"), tools.clone());
    manifest.steps = steps.iter().chain(&unwanted).cloned().collect();
    root.make_folder(house::TOP, 0o755)?;
    manifest.write(root)?;

    house::make(root)?;
    undo(root, &unwanted, &mut report)?;
    house::furnish(root, &tools)?;
    for step in &steps {
        startup::add(root, step)?;
    }
    for step in steps.iter().filter(|step| step.is_lock()) {
        if !lock::take(root, step)? {
            report.gone.push(step.path().to_owned());
        }
    }
    steps.retain(|step| !step.is_lock() || !report.gone.iter().any(|gone| gone == step.path()));
    let world = World::new(root, &steps);
    for step in &steps {
        lock::lead(&world, step)?;
    }
    house::prune_locked(root)?;

    report.installed(root, &world, wish, &folders, shells)?;
    report.removed = before.into_iter().filter(|tool| !tools.contains(tool)).collect();
    report.locked = steps.iter().filter(|s| s.is_lock()).map(|s| s.path().to_owned()).collect();
    report.tools = tools;
    drop(world);
    manifest.steps = steps;
    manifest.state = State::Installed;
    manifest.write(root)?;
    Ok(report)
}

fn take_away(root: &Root, mut manifest: Manifest) -> Result<Report, InstallError> {
    let mut report = Report::default();
    if manifest.state != State::Uninstalling {
        manifest.state = State::Uninstalling;
        manifest.write(root)?;
    }
    undo(root, &manifest.steps, &mut report)?;
    house::clear(root, &manifest)?;
    root.remove(&format!("{}.new", manifest::PATH))?;
    root.remove(manifest::PATH)?;
    if !root.remove_folder(house::TOP)? {
        let left = root.list(house::TOP)?;
        report.left = left.iter().map(|n| String::from_utf8_lossy(n).into_owned()).collect();
    }
    report.removed = manifest.tools;
    Ok(report)
}

/// Takes steps back, the last one first.
fn undo(root: &Root, steps: &[Step], report: &mut Report) -> Result<(), InstallError> {
    for step in steps.iter().rev() {
        if !step.is_lock() {
            startup::remove(root, step)?;
        } else if !lock::give_back(root, step)? {
            report.superseded.push(step.path().to_owned());
        }
    }
    Ok(())
}

/// Names for what is kept: those of steps that were there before, and numbers that are free.
struct Names<'a> {
    old: &'a [Step],
    next: u64,
}

impl<'a> Names<'a> {
    fn after(old: &'a [Step]) -> Self {
        let numbers = old.iter().filter_map(Step::kept).filter_map(|name| name.parse().ok());
        Self { old, next: numbers.max().map_or(0, |last: u64| last + 1) }
    }

    fn of(&mut self, path: &str) -> String {
        let same = self.old.iter().find(|old| old.path() == path && old.kept().is_some());
        match same.and_then(Step::kept) {
            Some(name) => name.to_owned(),
            None => {
                self.next += 1;
                (self.next - 1).to_string()
            }
        }
    }

    fn step(&mut self, place: &Place) -> Step {
        let (path, tool) = (place.path.clone(), place.tool.clone());
        if place.is_link {
            Step::Link { kept: self.of(&path), path, tool }
        } else {
            Step::File { path, tool }
        }
    }
}
