//! What helps a person to judge a request and decides nothing: what started it, which repository it stands in, and which
//! paths it names. All of it is the prisoner's word: it wrote its command lines and its files.
//!
//! Reading it can hang, so a worker does; it is bounded, and what does not come in time is left out.

mod touches;

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use clawrden_api::QueueContext;
use clawrden_policy::Named;
use rustix::fs::{Mode, OFlags};

use crate::decision::Judged;
use crate::plan::{Depth, Root};
use crate::process;
use crate::redaction;
use crate::warden::Warden;

/// How long all of it may take: the request is not shown before.
const PATIENCE: Duration = Duration::from_millis(250);

/// Bytes of a parent's command line that are read.
const MAX_LINE: u64 = 4096;

/// Bytes of a file of git's that are read.
const MAX_FILE: u64 = 64 * 1024;

/// Characters of a branch, or of an address, that are shown.
const MAX_SHOWN: usize = 256;

/// Folders that are looked through for a repository, from the working directory upward.
const MAX_FOLDERS: usize = 24;

/// Approvals of the same command that are counted.
pub(crate) const MOST_APPROVALS: usize = 100;

/// What a worker needs to know.
struct Asked {
    caller: Option<process::Identity>,
    cwd: Option<Vec<u8>>,
    /// Paths that it names; `None` where it is too long to be looked through.
    named: Option<Vec<Named>>,
    /// It runs in the warden's own world.
    on_host: bool,
}

/// Looks at what surrounds a request that a person is asked about. `argv` is the command where it is known to the letter:
/// one with marks, or without its end, is like others.
pub(crate) async fn of(
    warden: &Arc<Warden>,
    judged: &Judged,
    argv: Option<Vec<String>>,
) -> QueueContext {
    let plan = judged.plan();
    let asked = Asked {
        caller: plan.caller.identity(),
        cwd: plan.meant_cwd().map(|cwd| cwd.path.clone()),
        named: plan.named(),
        on_host: plan.on_host.is_some(),
    };
    let look = warden.workers.run(move || look(&asked));
    let (jail, index) = (plan.jail.name.to_string(), Arc::clone(warden));
    let approved = async {
        let argv = argv?;
        let count = move || index.index.approvals(&jail, &argv, MOST_APPROVALS);
        let count = tokio::task::spawn_blocking(count);
        tokio::time::timeout(PATIENCE, count).await.ok()?.ok()?
    };
    // Each comes in time or is left out, whatever becomes of the other.
    let (context, approved) = tokio::join!(tokio::time::timeout(PATIENCE, look), approved);
    let context = context.ok().and_then(Result::ok).unwrap_or_default();
    QueueContext {
        approved_before: approved.and_then(|count| u32::try_from(count).ok()),
        ..context
    }
}

fn look(asked: &Asked) -> QueueContext {
    let Some(caller) = asked.caller else { return QueueContext::default() };
    let parent = parent(caller.pid);
    let root = Root::of(caller.pid).ok();
    let git = root.as_ref().zip(asked.cwd.as_deref());
    let git = git.and_then(|(root, cwd)| Repository::around(root, cwd));
    let world = if asked.on_host { Root::own().ok() } else { root };
    let found = world.zip(asked.named.as_deref()).map(|(root, named)| touches::of(&root, named));
    // Only now is it sure that all of this was the caller's.
    if !process::Identity::of(caller.pid).is_ok_and(|identity| identity == caller) {
        return QueueContext::default();
    }
    let clean = |text: String| cut(redaction::ours().clean(text));
    let git = git.unwrap_or_default();
    let (touches, touches_more) = found.unwrap_or((Vec::new(), true));
    QueueContext {
        parent: parent.unwrap_or_default(),
        git_remote: git.remote.map(clean),
        git_branch: git.branch.map(clean),
        approved_before: None,
        touches,
        touches_more,
    }
}

/// As much of a text as is shown.
fn cut(text: String) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The command line of the process that started `pid`, secrets marked; of a long one the first words.
fn parent(pid: u32) -> Option<Vec<String>> {
    let parent = process::stat(pid).ok()?.ppid;
    let mut line = Vec::new();
    let file = std::fs::File::open(format!("/proc/{parent}/cmdline")).ok()?;
    file.take(MAX_LINE).read_to_end(&mut line).ok()?;
    // Its number may be another's by now.
    if process::stat(pid).ok()?.ppid != parent {
        return None;
    }
    words_of(&line)
}

/// The words of what `/proc/PID/cmdline` gave, secrets marked.
fn words_of(line: &[u8]) -> Option<Vec<String>> {
    let is_cut = line.len() as u64 >= MAX_LINE && line.last() != Some(&0);
    let line = line.strip_suffix(b"\0").unwrap_or(line);
    if line.is_empty() {
        return None;
    }
    let mut words: Vec<&[u8]> = line.split(|&b| b == 0).collect();
    if is_cut {
        // What is left of a secret is not known for one.
        words.pop();
        words.push("…".as_bytes());
    }
    let redacted = redaction::ours().argv(&words);
    let words = match &redacted {
        Some(redacted) => redacted.argv.iter().map(|word| &**word).collect(),
        None => words,
    };
    Some(words.into_iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect())
}

/// What a repository's files say of it. Git itself is never run: its configuration can name programs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Repository {
    remote: Option<String>,
    branch: Option<String>,
}

impl Repository {
    /// The one that the folder `cwd` of `root` is in.
    fn around(root: &Root, cwd: &[u8]) -> Option<Self> {
        let mut folder = cwd;
        for _ in 0..MAX_FOLDERS {
            let git = join(folder, b".git");
            if let Ok(found) = root.lookup(&git, Depth::Full) {
                let git = if found.is_directory() { git } else { linked(root, folder, &git)? };
                return Some(Self::at(root, &git));
            }
            let above = folder.iter().rposition(|&b| b == b'/')?;
            if folder == b"/" {
                return None;
            }
            folder = if above == 0 { b"/" } else { &folder[..above] };
        }
        None
    }

    fn at(root: &Root, git: &[u8]) -> Self {
        let head = read(root, &join(git, b"HEAD")).unwrap_or_default();
        let head = head.trim();
        let branch = match head.strip_prefix("ref: refs/heads/") {
            Some(branch) => Some(branch.to_owned()),
            None if head.is_empty() => None,
            None => Some(format!("detached at {}", head.get(..12).unwrap_or(head))),
        };
        // A worktree has the configuration of its repository.
        let common = read(root, &join(git, b"commondir"));
        let common = common.map(|common| beside(git, common.trim().as_bytes()));
        let config = read(root, &join(common.as_deref().unwrap_or(git), b"config"));
        Self { remote: config.as_deref().and_then(remote), branch }
    }
}

/// Where a `.git` that is a file leads.
fn linked(root: &Root, folder: &[u8], file: &[u8]) -> Option<Vec<u8>> {
    let text = read(root, file)?;
    Some(beside(folder, text.strip_prefix("gitdir:")?.trim().as_bytes()))
}

/// The address of the remote `origin`, or of the first.
fn remote(config: &str) -> Option<String> {
    let mut section = None;
    let mut first = None;
    for line in config.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.strip_prefix("remote \"").and_then(|rest| rest.split('"').next());
            continue;
        }
        let Some(name) = section else { continue };
        let Some((key, url)) = line.split_once('=') else { continue };
        if key.trim().eq_ignore_ascii_case("url") {
            let url = url.trim().to_owned();
            if name == "origin" {
                return Some(url);
            }
            first.get_or_insert(format!("{url} ({name})"));
        }
    }
    first
}

/// The text of a regular file in `root`, as much as is looked at. Nothing that is no file is opened.
fn read(root: &Root, path: &[u8]) -> Option<String> {
    let found = root.lookup(path, Depth::Full).ok()?;
    if !found.is_file() {
        return None;
    }
    let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&found.fd));
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = std::fs::File::from(rustix::fs::open(again, flags, Mode::empty()).ok()?);
    let mut text = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if folder.ends_with(b"/") { b"" } else { b"/" };
    [folder, slash, name].concat()
}

/// `path`, from `folder` on where it is not absolute.
fn beside(folder: &[u8], path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") { path.to_vec() } else { join(folder, path) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn around(root: &Path, cwd: &str) -> Option<Repository> {
        Repository::around(&Root::at(root).unwrap(), cwd.as_bytes())
    }

    fn repository(at: &Path, head: &str, config: &str) {
        fs::create_dir_all(at).unwrap();
        fs::write(at.join("HEAD"), head).unwrap();
        fs::write(at.join("config"), config).unwrap();
    }

    const CONFIG: &str = "[core]\n\tbare = false\n[remote \"fork\"]\n\turl = git@h:me/x\n\
                          [remote \"origin\"]\n\tURL = https://h/x.git\n\tfetch = +refs/heads/*\n";

    #[test]
    fn the_repository_above_a_folder_is_found() {
        let root = tempfile::tempdir().unwrap();
        repository(&root.path().join("work/x/.git"), "ref: refs/heads/feature/a\n", CONFIG);
        fs::create_dir_all(root.path().join("work/x/src/deep")).unwrap();
        let found = around(root.path(), "/work/x/src/deep").unwrap();
        assert_eq!(found.remote.as_deref(), Some("https://h/x.git"));
        assert_eq!(found.branch.as_deref(), Some("feature/a"));
        assert_eq!(around(root.path(), "/work"), None);
        assert_eq!(around(root.path(), "/"), None);
    }

    #[test]
    fn a_worktree_is_followed_to_its_repository() {
        let root = tempfile::tempdir().unwrap();
        repository(&root.path().join("main/.git"), "ref: refs/heads/main\n", CONFIG);
        let tree = root.path().join("main/.git/worktrees/w");
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join("HEAD"), "0123456789abcdef0123456789abcdef01234567\n").unwrap();
        fs::write(tree.join("commondir"), "../..\n").unwrap();
        fs::create_dir(root.path().join("w")).unwrap();
        fs::write(root.path().join("w/.git"), "gitdir: /main/.git/worktrees/w\n").unwrap();
        let found = around(root.path(), "/w").unwrap();
        assert_eq!(found.remote.as_deref(), Some("https://h/x.git"));
        assert_eq!(found.branch.as_deref(), Some("detached at 0123456789ab"));
    }

    #[test]
    fn links_lead_nowhere_outside_of_the_callers_root() {
        let outside = tempfile::tempdir().unwrap();
        repository(&outside.path().join(".git"), "ref: refs/heads/secret\n", CONFIG);
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("w")).unwrap();
        std::os::unix::fs::symlink(outside.path().join(".git"), root.path().join("w/.git"))
            .unwrap();
        assert_eq!(around(root.path(), "/w"), None);
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("w/.git")).unwrap();
        let pipe = root.path().join("w/.git/HEAD");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert_eq!(around(root.path(), "/w"), Some(Repository::default()));
    }

    #[test]
    fn what_is_long_is_cut_and_a_word_without_its_end_is_left_out() {
        assert_eq!(cut("main".to_owned()), "main");
        assert_eq!(cut("é".repeat(70_000)), format!("{}…", "é".repeat(MAX_SHOWN)));
        let size = usize::try_from(MAX_LINE).unwrap();
        let mut line = b"sh\0".repeat(size / 3);
        line.extend_from_slice(b"ghp_a1B2a1B2");
        line.truncate(size);
        let words = words_of(&line).unwrap();
        assert_eq!(words.len(), size / 3 + 1);
        assert_eq!(words.last().map(String::as_str), Some("…"));
        assert_eq!(words_of(b"a\0b\0").unwrap(), ["a", "b"]);
        assert_eq!(words_of(b""), None);
    }

    #[test]
    fn a_parents_command_line_has_its_secrets_marked() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "sleep 30 & wait", "sh", "--password", "hunter2"])
            .spawn()
            .unwrap();
        let parent_of_child = parent(child.id()).unwrap();
        assert!(!parent_of_child.is_empty(), "the test itself");
        let grandchild = loop {
            let found = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id()));
            let found = found.unwrap_or_default();
            if let Some(pid) = found.split_whitespace().next() {
                break pid.parse().unwrap();
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let line = parent(grandchild).unwrap();
        assert_eq!(line[3..], ["sh", "--password", "[redacted:password]"]);
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(i32::try_from(grandchild).unwrap()).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
        child.wait().unwrap();
    }
}
