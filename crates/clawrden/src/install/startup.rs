//! The startup files of shells: lines at their end that put the stand-ins first on PATH, and taking those away again.
//! Files are changed in place, so owner, mode and links stay.

use rustix::fs::Stat;

use super::error::InstallError;
use super::house;
use super::manifest::Step;
use super::root::{Root, is_file, join, modified, split};
use super::world::World;

const BEGIN: &[u8] = b"# clawrden: begin (clawrden uninstall takes these lines away)\n";
const LINE: &[u8] = b"[ ! -r /clawrden/shell/path.sh ] || . /clawrden/shell/path.sh\n";
const END: &[u8] = b"# clawrden: end\n";

/// Files of the system that every shell of a kind reads.
const OF_SYSTEM: [&str; 4] =
    ["/etc/profile", "/etc/bash.bashrc", "/etc/bash/bashrc", "/etc/bashrc"];
/// Files of zsh, in `/etc/zsh` or `/etc`.
const OF_ZSH: [&str; 4] = ["zshenv", "zprofile", "zshrc", "zlogin"];
/// Files of a user, read after those of the system.
const OF_USER: [&str; 8] = [
    ".bash_profile",
    ".bash_login",
    ".profile",
    ".bashrc",
    ".zshenv",
    ".zprofile",
    ".zshrc",
    ".zlogin",
];

/// Which shells there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shells {
    /// One that reads `/etc/profile`.
    pub(crate) posix: bool,
    /// zsh.
    pub(crate) zsh: bool,
}

impl Shells {
    /// Those in these folders.
    ///
    /// # Errors
    /// When one cannot be looked at.
    pub(crate) fn of(world: &World<'_>, folders: &[String]) -> Result<Self, InstallError> {
        let has = |names: &[&str]| {
            for (folder, name) in folders.iter().flat_map(|f| names.iter().map(move |n| (f, n))) {
                if world.follow(&join(folder, name))?.is_some() {
                    return Ok::<_, InstallError>(true);
                }
            }
            Ok(false)
        };
        Ok(Self { posix: has(&["sh", "bash", "dash", "ash"])?, zsh: has(&["zsh"])? })
    }
}

/// The files to change for a prisoner with this uid; `kept` names the copies. What these `old` steps made is made of
/// our lines still.
///
/// # Errors
/// When one cannot be looked at.
pub(crate) fn wanted(
    world: &World<'_>,
    shells: Shells,
    uid: u32,
    old: &[Step],
    mut kept: impl FnMut(&str) -> String,
) -> Result<Vec<Step>, InstallError> {
    let mut steps: Vec<Step> = Vec::new();
    let mut files: Vec<String> = OF_SYSTEM.iter().map(|&file| file.to_owned()).collect();
    if shells.zsh {
        let folder = match world.follow("/etc/zsh")? {
            Some(trail) => trail.end,
            None => "/etc".to_owned(),
        };
        files.extend(OF_ZSH.iter().map(|name| join(&folder, name)));
    }
    for file in files {
        let step = Step::Create { path: file };
        if old.contains(&step) {
            steps.push(step);
            continue;
        }
        let file = step.path();
        match world.follow(file)? {
            Some(trail) => {
                let is_own = |stat: Stat| is_file(&stat) && stat.st_uid == owner(world.root);
                if world.root.look(&trail.end)?.is_some_and(is_own) {
                    add_edit(&mut steps, trail.end, &mut kept);
                }
            }
            None if is_needed(file, shells) && is_free(world, file)? => steps.push(step),
            None => {}
        }
    }
    if let Some(home) = home(world.root, uid)? {
        for name in OF_USER {
            let file = join(&home, name);
            // A link could lead anywhere, and the home's owner has made it.
            let is_own = |stat: Stat| {
                is_file(&stat) && stat.st_nlink == 1 && [uid, 0].contains(&stat.st_uid)
            };
            if world.root.look(&file)?.is_some_and(is_own) {
                add_edit(&mut steps, file, &mut kept);
            }
        }
    }
    Ok(steps)
}

/// Who owns the system's files.
fn owner(root: &Root) -> u32 {
    root.look("/").ok().flatten().map_or(0, |stat| stat.st_uid)
}

fn add_edit(steps: &mut Vec<Step>, path: String, kept: &mut impl FnMut(&str) -> String) {
    if !steps.iter().any(|step| step.path() == path) {
        let kept = kept(&path);
        steps.push(Step::Edit { path, kept });
    }
}

/// Whether a file that is missing has to be made.
fn is_needed(file: &str, shells: Shells) -> bool {
    (file == "/etc/profile" && shells.posix) || (file.ends_with("/zshenv") && shells.zsh)
}

/// Whether the folder is there and nothing, not even a link to nothing, has the name.
fn is_free(world: &World<'_>, file: &str) -> Result<bool, InstallError> {
    let (folder, _) = split(file);
    let is_direct = world.follow(folder)?.is_some_and(|trail| trail.end == folder);
    Ok(is_direct && world.root.look(file)?.is_none())
}

/// The home of a user, by the root's own list of users; only one that has no links in its path.
fn home(root: &Root, uid: u32) -> Result<Option<String>, InstallError> {
    let text = match root.look("/etc/passwd")? {
        Some(stat) if is_file(&stat) => root.read("/etc/passwd")?,
        _ => return Ok(None),
    };
    let text = String::from_utf8_lossy(&text);
    let mut users = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let line = users.find(|user| user.get(2).and_then(|id| id.parse().ok()) == Some(uid));
    let home = line.and_then(|user| user.get(5).map(|&home| home.to_owned()));
    let fits = |home: &String| home.starts_with('/') && super::root::plain(home.as_bytes()).is_ok();
    Ok(home.filter(fits).map(|home| home.trim_end_matches('/').to_owned()))
}

/// Adds the lines.
///
/// # Errors
/// When the file cannot be read or written.
pub(crate) fn add(root: &Root, step: &Step) -> Result<(), InstallError> {
    let lines = [BEGIN, LINE, END].concat();
    match step {
        Step::Create { path } => match root.look(path)? {
            None => root.write(path, &lines, 0o644, None),
            Some(_) => append(root, path, &lines),
        },
        Step::Edit { path, kept } => {
            let Some(stat) = root.look(path)? else { return Ok(()) };
            let content = root.read(path)?;
            if without(&content).is_none() {
                root.write(&house::kept(kept), &content, 0o600, Some(modified(&stat)))?;
            }
            append(root, path, &lines)
        }
        Step::File { .. } | Step::Link { .. } => Ok(()),
    }
}

fn append(root: &Root, path: &str, lines: &[u8]) -> Result<(), InstallError> {
    let content = root.read(path)?;
    match without(&content) {
        // A crash may have cut them off.
        Some(other) if !ends(&content) => {
            root.overwrite(path, other.len() as u64, &joined(&other, lines), None)
        }
        Some(_) => Ok(()),
        None => root.overwrite(path, content.len() as u64, &joined(&content, lines), None),
    }
}

/// The lines, on lines of their own.
fn joined(content: &[u8], lines: &[u8]) -> Vec<u8> {
    let is_open = content.last().is_some_and(|&b| b != b'\n');
    [if is_open { &b"\n"[..] } else { b"" }, lines].concat()
}

/// Takes the lines away; a file that is as it was gets the time that it had, and one that was made of them alone goes.
///
/// # Errors
/// When the file cannot be read or written.
pub(crate) fn remove(root: &Root, step: &Step) -> Result<(), InstallError> {
    let Step::Edit { path, .. } = step else {
        let Step::Create { path } = step else { return Ok(()) };
        root.remove(&format!("{path}.new"))?;
        if root.look(path)?.is_none() {
            return Ok(());
        }
        return match without(&root.read(path)?) {
            Some(other) if other.is_empty() => root.remove(path),
            Some(other) => root.overwrite(path, 0, &other, None),
            None => Ok(()),
        };
    };
    let at = house::original(step);
    let before = match root.look(&at)? {
        Some(stat) => Some((root.read(&at)?, modified(&stat))),
        None => None,
    };
    if root.look(path)?.is_some_and(|stat| is_file(&stat)) {
        let content = root.read(path)?;
        let other = without(&content);
        match (other, &before) {
            (Some(other), Some((kept, time))) if same(&other, kept) => {
                root.overwrite(path, kept.len() as u64, b"", Some(*time))?;
            }
            (Some(other), _) => root.overwrite(path, 0, &other, None)?,
            // Cut short before the lines came to an end, or even to a beginning.
            (None, Some((kept, time))) if content.starts_with(kept) && content != *kept => {
                let rest = &content[kept.len()..];
                if joined(kept, BEGIN).starts_with(rest) {
                    root.overwrite(path, kept.len() as u64, b"", Some(*time))?;
                }
            }
            (None, _) => {}
        }
    }
    root.remove(&at)?;
    root.remove(&format!("{at}.new"))
}

/// Whether it is what was kept, but for the newline that our lines needed before them.
fn same(other: &[u8], kept: &[u8]) -> bool {
    other == kept || (other.strip_suffix(b"\n") == Some(kept) && kept.last() != Some(&b'\n'))
}

/// The content without our lines; `None` when it has none.
fn without(content: &[u8]) -> Option<Vec<u8>> {
    let from = find(content, BEGIN)?;
    let after = find(&content[from..], END).map(|at| from + at + END.len());
    Some([&content[..from], &content[after.unwrap_or(content.len())..]].concat())
}

fn ends(content: &[u8]) -> bool {
    find(content, END).is_some()
}

fn find(content: &[u8], line: &[u8]) -> Option<usize> {
    let is_start = |&at: &usize| at == 0 || content[at - 1] == b'\n';
    let mut windows = content.windows(line.len()).enumerate().filter(|(_, part)| *part == line);
    windows.find(|(at, _)| is_start(at)).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_found_and_taken_out_wherever_they_stand() {
        let lines = [BEGIN, LINE, END].concat();
        let whole = [b"a\n", &lines[..], b"b\n"].concat();
        assert_eq!(without(&whole).unwrap(), b"a\nb\n");
        assert_eq!(without(&lines).unwrap(), b"");
        assert_eq!(without(b"a\n"), None);
        let cut = [b"a\n", &lines[..lines.len() - 5]].concat();
        assert_eq!(without(&cut).unwrap(), b"a\n");
        assert!(!ends(&cut) && ends(&whole));
    }

    #[test]
    fn a_file_without_a_last_newline_is_the_same_with_one() {
        assert_eq!(joined(b"a", b"x\n"), b"\nx\n");
        assert_eq!(joined(b"", b"x\n"), b"x\n");
        assert!(same(b"a\n", b"a") && same(b"a\n", b"a\n") && !same(b"b\n", b"a"));
        assert!(!same(b"a\n\n", b"a\n"));
    }

    #[test]
    fn the_script_writes_the_same_lines() {
        let script = include_str!("../../../../deploy/install-clawrden.sh");
        for (name, text) in [("begin", BEGIN), ("line", LINE), ("end_line", END)] {
            let text = std::str::from_utf8(text).unwrap().trim_end();
            assert!(script.contains(&format!("\n{name}='{text}'\n")), "{text}");
        }
        let path_sh = include_str!("path.sh");
        assert!(script.contains(&format!("<<'PATH_SH'\n{path_sh}PATH_SH\n")));
    }
}
