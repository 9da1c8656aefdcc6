//! Which places are locked: those of the tools, and those that are the same tool under another name. A tool that others
//! lead to is not locked at all: they would be taken away with it.

use std::collections::{BTreeMap, BTreeSet};

use rustix::fs::FileType;

use super::error::InstallError;
use super::house;
use super::root::{is_link, join, plain, split};
use super::world::{Entry, Program, World};

/// Where tools lie on every system.
pub(crate) const USUAL: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A place that is to be locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where.
    pub(crate) path: String,
    /// The tool that was named.
    pub(crate) tool: String,
    /// Whether it holds a link.
    pub(crate) is_link: bool,
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// By path.
    pub(crate) places: Vec<Place>,
    /// Tools that are in none of the folders.
    pub(crate) absent: Vec<String>,
    /// What locking does not take away: the tools, by the path that still executes them.
    pub(crate) open: BTreeMap<String, Vec<String>>,
}

/// The folders of a PATH, and the usual ones, free of links and each once.
///
/// # Errors
/// When one cannot be looked at, or has a name that no manifest holds.
pub(crate) fn folders(world: &World<'_>, path: &str) -> Result<Vec<String>, InstallError> {
    let mut folders: Vec<String> = Vec::new();
    for entry in path.split(':').chain(USUAL.split(':')).filter(|entry| entry.starts_with('/')) {
        let Some(trail) = world.follow(entry)? else { continue };
        let is_folder = match world.root.look(&trail.end)? {
            Some(stat) => FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
            None => false,
        };
        let is_own = trail.end == house::TOP || trail.end.starts_with(house::BELOW);
        if is_folder && !is_own && !folders.contains(&trail.end) {
            folders.push(plain(trail.end.as_bytes())?);
        }
    }
    Ok(folders)
}

/// The tools that are in none of these folders.
///
/// # Errors
/// When one cannot be looked at.
pub(crate) fn absent(
    world: &World<'_>,
    folders: &[String],
    tools: &[String],
) -> Result<Vec<String>, InstallError> {
    let mut absent = Vec::new();
    for tool in tools {
        let mut is_absent = true;
        for folder in folders {
            if let Some(trail) = world.follow(&join(folder, tool))? {
                is_absent &= world.program(&trail.end)?.is_none();
            }
        }
        if is_absent {
            absent.push(tool.clone());
        }
    }
    Ok(absent)
}

/// Looks for the tools in these folders.
///
/// # Errors
/// When a stand-in that is not ours is in a tool's place, when others lead to a tool, or something cannot be looked at.
pub(crate) fn find(
    world: &World<'_>,
    folders: &[String],
    tools: &[String],
) -> Result<Found, InstallError> {
    let mut found = Found::default();
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    for tool in tools {
        let mut is_absent = true;
        for folder in folders {
            let path = join(folder, tool);
            let Some(trail) = world.follow(&path)? else { continue };
            let Some(program) = world.program(&trail.end)? else { continue };
            if program == Program::Shim {
                let beside = format!("{path}.original");
                let beside = world.root.look(&beside)?.map(|_| beside);
                return Err(InstallError::Stray { path, beside });
            }
            is_absent = false;
            let is_link = !trail.passed.is_empty() && trail.passed.first() == Some(&path);
            places.insert(path.clone(), Place { path, tool: tool.clone(), is_link });
        }
        if is_absent {
            found.absent.push(tool.clone());
        }
    }
    let others = Others::of(world, folders, &places)?;
    others.join(world, tools, &mut places)?;
    for place in places.values().filter(|place| place.is_link) {
        let end = world.follow(&place.path)?.map(|trail| trail.end);
        if let Some(end) = end.filter(|end| !places.contains_key(end)) {
            found.open.entry(end).or_default().push(place.tool.clone());
        }
    }
    for other in others.list.iter().filter(|other| !places.contains_key(&other.path)) {
        let same = places.values().find(|place| other.id.is_some() && other.id == id(world, place));
        if let Some(place) = same {
            found.open.entry(other.path.clone()).or_default().push(place.tool.clone());
        }
    }
    for tools in found.open.values_mut() {
        tools.sort_unstable();
        tools.dedup();
    }
    found.places = places.into_values().collect();
    Ok(found)
}

/// Something else that lies in the folders.
struct Other {
    path: String,
    /// Every place that it leads over, its end among them.
    over: Vec<String>,
    /// Which file it is, if it is one.
    id: Option<(u64, u64)>,
}

struct Others {
    list: Vec<Other>,
}

impl Others {
    fn of(
        world: &World<'_>,
        folders: &[String],
        places: &BTreeMap<String, Place>,
    ) -> Result<Self, InstallError> {
        let mut list = Vec::new();
        if places.is_empty() {
            return Ok(Self { list });
        }
        // A crash may have left nothing in a place.
        let mut names: BTreeSet<String> = world.locked().map(str::to_owned).collect();
        for folder in folders {
            for name in world.root.list(folder)? {
                // A name that no manifest holds is no other name of a tool that one can type.
                let Ok(name) = plain(&name) else { continue };
                names.insert(join(folder, &name));
            }
        }
        for path in names {
            match world.entry(&path)? {
                Some(Entry::Link(_)) => {
                    let Some(trail) = world.follow(&path)? else { continue };
                    let mut over = trail.passed;
                    over.push(trail.end);
                    list.push(Other { path, over, id: None });
                }
                Some(Entry::Other(stat)) if stat.st_nlink > 1 => {
                    list.push(Other {
                        path,
                        over: Vec::new(),
                        id: Some((stat.st_dev, stat.st_ino)),
                    });
                }
                _ => {}
            }
        }
        Ok(Self { list })
    }

    /// Takes those in that are the same tool, until there are no more.
    fn join(
        &self,
        world: &World<'_>,
        tools: &[String],
        places: &mut BTreeMap<String, Place>,
    ) -> Result<(), InstallError> {
        loop {
            let before = places.len();
            self.ends(world, places)?;
            let mut taken_away: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
            for other in &self.list {
                if places.contains_key(&other.path) {
                    continue;
                }
                let led = other.over.iter().find_map(|over| places.get(over));
                let same = || {
                    let is_same = |place: &&Place| other.id == id(world, place);
                    other.id.and_then(|_| places.values().find(is_same))
                };
                let Some(place) = led.or_else(same).cloned() else { continue };
                let name = split(&other.path).1;
                // What leads to a tool and begins with its name (`nodejs`, `sudoedit`) is no other one.
                if name.starts_with(&place.tool) || is_family(&place.tool, name) {
                    let (path, is_link) = (other.path.clone(), other.id.is_none());
                    places.insert(path.clone(), Place { path, tool: place.tool, is_link });
                } else if other.id.is_none() && !tools.iter().any(|tool| tool == name) {
                    let entry = taken_away.entry(place.path).or_insert((place.tool, Vec::new()));
                    entry.1.push(name.to_owned());
                }
            }
            if let Some((path, (tool, mut others))) = taken_away.pop_first() {
                others.sort_unstable();
                others.dedup();
                return Err(InstallError::Shared { tool, path, others });
            }
            if places.len() == before {
                return Ok(());
            }
        }
    }

    /// A tool that leads to another name of itself (`python3` to `python3.11`) is locked together with that.
    #[allow(clippy::unused_self)]
    fn ends(
        &self,
        world: &World<'_>,
        places: &mut BTreeMap<String, Place>,
    ) -> Result<(), InstallError> {
        let links: Vec<Place> = places.values().filter(|place| place.is_link).cloned().collect();
        for Place { path, tool, .. } in links {
            let Some(trail) = world.follow(&path)? else { continue };
            for next in trail.passed.into_iter().chain([trail.end]) {
                let in_folder = self.list.iter().any(|other| other.path == next)
                    || split(&next).0 == split(&path).0;
                if places.contains_key(&next) || !in_folder || !is_family(&tool, split(&next).1) {
                    continue;
                }
                let is_link = matches!(world.entry(&next)?, Some(Entry::Link(_)));
                places.insert(next.clone(), Place { path: next, tool: tool.clone(), is_link });
            }
        }
        Ok(())
    }
}

fn id(world: &World<'_>, place: &Place) -> Option<(u64, u64)> {
    match world.entry(&place.path) {
        Ok(Some(Entry::Other(stat))) if !is_link(&stat) => Some((stat.st_dev, stat.st_ino)),
        _ => None,
    }
}

/// Whether two names are a tool's and its version's or part's: `git` and `git-upload-pack`, `python` and `python3.11`.
fn is_family(one: &str, other: &str) -> bool {
    let begins = |short: &str, long: &str| {
        let rest = long.strip_prefix(short).and_then(|rest| rest.bytes().next());
        rest.is_some_and(|b| b.is_ascii_digit() || matches!(b, b'-' | b'.'))
    };
    begins(one, other) || begins(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_parts_are_family_and_other_words_are_not() {
        for (one, other) in [
            ("git", "git-upload-pack"),
            ("python3", "python3.11"),
            ("python3.11", "python"),
            ("perl", "perl5.36.0"),
            ("gcc", "gcc-12"),
        ] {
            assert!(is_family(one, other) && is_family(other, one), "{one} {other}");
        }
        for (one, other) in
            [("xz", "unxz"), ("vi", "vim"), ("sh", "shred"), ("git", "git"), ("awk", "mawk")]
        {
            assert!(!is_family(one, other), "{one} {other}");
        }
    }
}
