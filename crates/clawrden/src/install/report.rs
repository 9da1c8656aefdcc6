//! What an installation did, and what it cannot do.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Wish;
use super::error::InstallError;
use super::find::Found;
use super::house;
use super::root::Root;
use super::startup::Shells;
use super::world::World;

/// The outcome, in parts.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// Tools that have a stand-in.
    pub(crate) tools: Vec<String>,
    /// Those that no longer have one.
    pub(crate) removed: Vec<String>,
    /// Places that are locked.
    pub(crate) locked: Vec<String>,
    /// Tools that are not installed.
    pub(crate) absent: Vec<String>,
    /// What was to be locked and is nowhere any more.
    pub(crate) gone: Vec<String>,
    /// What was not put back, since something else has its place.
    pub(crate) superseded: Vec<String>,
    /// What is left in `/clawrden`.
    pub(crate) left: Vec<String>,
    /// By path, the tools that it still executes.
    open: BTreeMap<String, Vec<String>>,
    /// What is weaker here than elsewhere.
    weaker: Vec<String>,
}

impl Report {
    /// Takes up what the search found.
    pub(super) fn found(&mut self, found: &Found) {
        self.absent.clone_from(&found.absent);
        self.open.clone_from(&found.open);
    }

    /// Looks at what was made.
    pub(super) fn installed(
        &mut self,
        root: &Root,
        world: &World<'_>,
        wish: &Wish,
        folders: &[String],
        shells: Shells,
    ) -> Result<(), InstallError> {
        let top = house::look(root)?.map_or(0, |stat| stat.st_uid);
        if top != 0 {
            self.weaker.push(format!(
                "/clawrden belongs to uid {top}, not to root: whoever has that uid inside can undo all of this; give \
                 the files to root when the image is packed"
            ));
        }
        let opener = wish.user.filter(|user| wish.lock && (user.uid == 0 || user.uid == top));
        if let Some(user) = opener {
            self.weaker.push(format!("uid {} can open what is locked: it owns it", user.uid));
        }
        if wish.lock && wish.user.is_none() {
            self.weaker.push(
                "root inside can open what is locked; run the prisoner as another user".into(),
            );
        }
        if !shells.posix {
            self.weaker.push("there is no shell, so no startup file was made or changed".into());
        }
        for folder in folders {
            let Some(user) = wish.user.filter(|user| user.uid != 0) else { break };
            let stat = match world.follow(folder)? {
                Some(trail) => root.look(&trail.end)?,
                None => None,
            };
            if stat.is_some_and(|stat| user.can_write(&stat)) {
                self.weaker.push(format!(
                    "uid {} can write {folder}: it can put a tool back that was locked there",
                    user.uid
                ));
            }
        }
        Ok(())
    }

    /// For people.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut add = |head: &str, list: &[String]| {
            if !list.is_empty() {
                lines.push(format!("{head}: {}", list.join(" ")));
            }
        };
        add("stand-ins", &self.tools);
        add("no stand-in any more", &self.removed);
        add("locked", &self.locked);
        add("not installed here", &self.absent);
        add("gone, so not locked", &self.gone);
        add("not put back, since something else is there", &self.superseded);
        add("not ours, so left in /clawrden", &self.left);
        for (path, tools) in &self.open {
            lines.push(format!("not governed by its path: {path} ({})", tools.join(" ")));
        }
        lines.extend(self.weaker.iter().map(|text| format!("weaker: {text}")));
        lines
    }
}
