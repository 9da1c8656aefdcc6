//! Startup files that keep the shims first on PATH. Each lets the user's own files, and the system's, do what they
//! always do, with the tools that they always use, and puts the shims in front afterwards. None is written outside of
//! the run's own folder.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::run::environment::{BASH_ENV, Environment, SH_ENV, ZSH};
use crate::run::folder::{FolderError, Part};
use crate::run::quote::{expanded, lines, single};

/// What the generated files need to know.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    /// The folder of the shims.
    bin: &'a Path,
    /// The jail's intercom socket.
    socket: &'a Path,
    /// The user's own `BASH_ENV`, `ENV` and `ZDOTDIR`.
    bash_env: Option<&'a OsStr>,
    env: Option<&'a OsStr>,
    zdotdir: Option<&'a OsStr>,
}

impl<'a> Facts<'a> {
    /// For shims in `bin`, and a user whose environment was `inherited`.
    pub(crate) fn new(bin: &'a Path, socket: &'a Path, inherited: &'a Environment) -> Self {
        Self {
            bin,
            socket,
            bash_env: inherited.get("BASH_ENV"),
            env: inherited.get("ENV"),
            zdotdir: inherited.get("ZDOTDIR"),
        }
    }
}

/// In the same folder, for `bash --rcfile`.
pub(crate) const BASHRC: &str = "home/.bashrc";

const RESTORE_HOME: &[u8] = include_bytes!("shells/restore_home.sh");
const LOGIN_BASH: &[u8] = include_bytes!("shells/login.bash");
const LOGIN_SH: &[u8] = include_bytes!("shells/login.sh");
const RC_BASH: &[u8] = include_bytes!("shells/rc.bash");

/// Writes every file that a variable can point to.
///
/// # Errors
/// [`FolderError::Write`].
pub(crate) fn write(folder: &Part, facts: &Facts<'_>) -> Result<(), FolderError> {
    let Pieces { hide, show, hash, .. } = &Pieces::new(folder, facts);
    let own = |value: Option<&OsStr>| match value {
        Some(value) => lines(&[hide, &own_file(value.as_bytes())]),
        None => Vec::new(),
    };
    folder.write(BASH_ENV, &lines(&[&own(facts.bash_env), show, hash]))?;
    folder.write(SH_ENV, &lines(&[&own(facts.env), show]))?;
    let bashrc = b"[ ! -r ~/.bashrc ] || . ~/.bashrc\n";
    folder.write(BASHRC, &lines(&[RESTORE_HOME, hide, bashrc, show, hash]))?;
    zsh(folder, facts)
}

/// What the generated files are put together from.
struct Pieces {
    /// Before the files of others are read: PATH without the shims, and the user's `BASH_ENV`. What a startup file
    /// runs is the user's own doing, and a shell that cannot start until somebody approves is no use.
    hide: Vec<u8>,
    /// Afterwards: PATH with the shims in front, and our `BASH_ENV`.
    show: Vec<u8>,
    /// Whoever changes PATH inside a running bash or zsh (a virtual environment's `activate`, version managers) says
    /// `hash -r` then, so that is when the shims go in front again.
    hash: Vec<u8>,
    /// The jail's socket, for a shell that was started without environment.
    socket: Vec<u8>,
}

impl Pieces {
    fn new(folder: &Part, facts: &Facts<'_>) -> Self {
        let bin = &single(facts.bin.as_os_str().as_bytes());
        let first = lines(&[
            &[b"case ${PATH-} in\n", &bin[..], b" | ", bin, b":*) ;;\n"].concat(),
            &[b"*) PATH=", &bin[..], b"${PATH:+:$PATH} ;;\nesac\n"].concat(),
        ]);
        let own_bash_env = match facts.bash_env {
            Some(own) => [b"export BASH_ENV=", &single(own.as_bytes())[..]].concat(),
            None => b"unset BASH_ENV".to_vec(),
        };
        let bash_env = single(folder.path().join(BASH_ENV).as_os_str().as_bytes());
        Self {
            hide: lines(&[
                &[b"_clawrden_hidden=1\ncase ${PATH-} in\n", &bin[..], b":*) "].concat(),
                &[b"PATH=${PATH#", &bin[..], b":} ;;\nesac\n"].concat(),
                &own_bash_env,
                b"\n",
            ]),
            show: lines(&[
                &first,
                b"export PATH BASH_ENV=",
                &bash_env,
                b"\nunset _clawrden_hidden\n",
            ]),
            hash: lines(&[
                b"hash() {\nbuiltin hash \"$@\"\nset -- $?\n",
                &first,
                b"return \"$1\"\n}\n",
            ]),
            socket: lines(&[
                b"[ -n \"${CLAWRDEN_SOCKET-}\" ] || CLAWRDEN_SOCKET=",
                &single(facts.socket.as_os_str().as_bytes()),
                b"\nexport CLAWRDEN_SOCKET\n",
            ]),
        }
    }
}

fn own_file(value: &[u8]) -> Vec<u8> {
    let value = expanded(value);
    lines(&[b"[ ! -r ", &value, b" ] || . ", &value, b"\n"])
}

fn zsh(folder: &Part, facts: &Facts<'_>) -> Result<(), FolderError> {
    let Pieces { hide, show, hash, .. } = &Pieces::new(folder, facts);
    let ours = single(folder.path().join(ZSH).as_os_str().as_bytes());
    let own = single(facts.zdotdir.map(OsStr::as_bytes).unwrap_or_default());
    for name in [".zshenv", ".zprofile", ".zshrc", ".zlogin", ".zlogout"] {
        let begin = match name {
            ".zshenv" => {
                lines(&[b"[[ -n ${_clawrden_zdotdir-} ]] || _clawrden_zdotdir=", &own, b"\n"])
            }
            _ => Vec::new(),
        };
        let end = match name {
            ".zshenv" => hash.clone(),
            // A system-wide zshrc may have put the history into the folder that it took for the user's.
            ".zshrc" => lines(&[
                b"case ${HISTFILE-} in ",
                &ours,
                b"/*) HISTFILE=${_clawrden_zdotdir:-$HOME}/${HISTFILE##*/} ;;\nesac\n",
            ]),
            _ => Vec::new(),
        };
        let name_bytes = name.as_bytes();
        let content = lines(&[
            &begin,
            hide,
            b"if [[ -n ${_clawrden_zdotdir-} ]]; then ZDOTDIR=$_clawrden_zdotdir; else unset ZDOTDIR; fi\n",
            &[b"[[ ! -r ${ZDOTDIR-$HOME}/", name_bytes, b" ]] || . \"${ZDOTDIR-$HOME}/", name_bytes, b"\"\n"]
                .concat(),
            b"_clawrden_zdotdir=${ZDOTDIR-}\nexport ZDOTDIR=",
            &ours,
            b"\n",
            show,
            &end,
        ]);
        folder.write(&format!("{ZSH}/{name}"), &content)?;
    }
    Ok(())
}

/// A file of the system and what is to be shown in its place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shadow {
    /// What is shown.
    pub(crate) source: PathBuf,
    /// In whose place.
    pub(crate) target: PathBuf,
}

/// Writes what can be shown in the place of the system's startup files, for a mount table of our own: those are read
/// even by shells that were started with an empty environment.
///
/// # Errors
/// A file that cannot be read or written.
pub(crate) fn write_shadows(
    folder: &Part,
    facts: &Facts<'_>,
    originals: &[Original],
) -> Result<Vec<Shadow>, FolderError> {
    let Pieces { hide, show, hash, socket } = &Pieces::new(folder, facts);
    let own_bash = b"if [ -r ~/.bash_profile ]; then . ~/.bash_profile\n\
        elif [ -r ~/.bash_login ]; then . ~/.bash_login\n\
        elif [ -r ~/.profile ]; then . ~/.profile\nfi\n";
    let own_sh = b"if [ -n \"${BASH_VERSION-}\" ]; then [ ! -r ~/.profile ] || . ~/.profile\n\
        elif [ -n \"${HOME-}\" ]; then [ ! -r \"$HOME/.profile\" ] || . \"$HOME/.profile\"\nfi\n";
    let own_files = [(".bash_profile", &own_bash[..], &hash[..]), (".profile", own_sh, b"")];
    for (name, own, end) in own_files {
        folder.write(&format!("home/{name}"), &lines(&[RESTORE_HOME, hide, own, show, end]))?;
    }

    let home = single(folder.path().join("home").as_os_str().as_bytes());
    let with_home = |script: &[u8]| lines(&[b"_clawrden_generated=", &home, b"\n", script]);
    let login_bash = folder.write("login.bash", &with_home(LOGIN_BASH))?;
    let login_sh = folder.write("login.sh", &with_home(LOGIN_SH))?;
    let rc_bash = folder.write("rc.bash", &with_home(RC_BASH))?;

    let word = |path: &Path| single(path.as_os_str().as_bytes());
    let zdotdir = word(&folder.path().join(ZSH));
    let set_zdotdir = lines(&[
        b"if [[ ${ZDOTDIR-} != ",
        &zdotdir,
        b" ]]; then _clawrden_zdotdir=${ZDOTDIR-}; export ZDOTDIR=",
        &zdotdir,
        b"; fi\n",
    ]);
    let read_own = lines(&[
        b"if [ -z \"${BASH_VERSION-}\" ]; then . ",
        &word(&login_sh),
        b"\nelse . ",
        &word(&login_bash),
        b"\nfi\n",
    ]);
    let mut shadows = Vec::new();
    for Original { target, content } in originals {
        let name = target.replace('/', "_");
        let copy = folder.write(&format!("original{name}"), content)?;
        let original = lines(&[b". ", &word(&copy), b"\n"]);
        let whole = match target.as_str() {
            "/etc/profile" => lines(&[hide, &original, show, socket, &read_own]),
            // A startup file that reads this one is still at work, and goes on without the shims.
            "/etc/bash.bashrc" => lines(&[
                &[b"if [ -n \"${_clawrden_hidden-}\" ]; then\n", &original[..], b"else\n"].concat(),
                &[&hide[..], &original, show, hash, b". ", &word(&rc_bash), b"\nfi\n"].concat(),
            ]),
            _ => lines(&[hide, &original, show, socket, &set_zdotdir]),
        };
        let source = folder.write(&format!("shadow{name}"), &whole)?;
        shadows.push(Shadow { source, target: PathBuf::from(target) });
    }
    Ok(shadows)
}

/// A startup file of the system, as it was before anything was shown in its place.
#[derive(Debug)]
pub(crate) struct Original {
    target: String,
    content: Vec<u8>,
}

/// The startup files that this system has.
///
/// # Errors
/// [`FolderError::Read`].
pub(crate) fn originals() -> Result<Vec<Original>, FolderError> {
    let mut found = Vec::new();
    for target in ["/etc/profile", "/etc/bash.bashrc", "/etc/zsh/zshenv", "/etc/zshenv"] {
        match std::fs::read(target) {
            Ok(content) => found.push(Original { target: target.to_owned(), content }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(FolderError::Read { path: target.into(), source }),
        }
    }
    Ok(found)
}
