//! Tokens: who has one may use the API over TCP. Of a token the file beside the ledger keeps a hash only; whoever reads
//! the file can open nothing with it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use clawrden_api::{Role, Scope, TokenInfo, TokenRequest};
use serde::{Deserialize, Serialize};

use super::secret;
use crate::switch::{read_file, write_file};

/// Tokens that hold at once. Beyond it none is made.
pub const MAX_TOKENS: usize = 1024;

/// Bytes of the file.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// What every token begins with, so that those who look for secrets in files find it.
const MARK: &str = "clawrden";

/// How long a token holds unless somebody says otherwise.
const USUAL_LIFE_MS: u64 = 90 * 24 * 3600 * 1000;

/// How long a token can hold.
const LONGEST_LIFE_MS: u64 = 366 * 24 * 3600 * 1000;

/// How exactly it is kept when a token was last used.
const LAST_USED_STEP_MS: u64 = 60 * 1000;

/// Names of jails or rules that a token lists at most.
const MAX_NAMES: usize = 64;

/// Why something is not done with tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be trusted or understood.
    #[error(
        "the tokens in {path} cannot be used: {why}; put the file right, or remove it and make them anew"
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// What was asked for cannot be.
    #[error("{0}")]
    Bad(String),
    /// There are enough.
    #[error("there are {MAX_TOKENS} tokens; revoke some first")]
    TooMany,
    /// It cannot be kept.
    #[error("the tokens cannot be kept in {path}: {source}")]
    NotKept {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The kernel has no random bytes.
    #[error("the kernel gives no random bytes: {0}")]
    NoRandom(io::Error),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Token {
    #[serde(flatten)]
    info: TokenInfo,
    /// SHA-256 of the whole token, in hex.
    sha256: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Kept {
    tokens: Vec<Token>,
}

/// All tokens of a warden.
#[derive(Debug)]
pub(super) struct Tokens {
    path: PathBuf,
    /// Never held while the file is written: the event loop takes it. A token that is revoked expires at 0, and stays
    /// until a file without it is written.
    kept: Mutex<Kept>,
    /// Who writes the file holds it, and took it before `kept`.
    writing: Mutex<()>,
}

impl Kept {
    /// What the file is to hold.
    fn to_write(&self) -> Self {
        let tokens = self.tokens.iter().filter(|token| token.info.expires_ms > 0);
        Self { tokens: tokens.cloned().collect() }
    }
}

impl Tokens {
    /// Reads what is kept. No file: there are none.
    ///
    /// # Errors
    /// [`TokenError::Unusable`] for a file that others may read or write, or that is not understood.
    pub(super) fn open(path: &Path) -> Result<Self, TokenError> {
        let unusable = |why: String| TokenError::Unusable { path: path.to_owned(), why };
        super::private::check(path).map_err(unusable)?;
        let kept: Option<Kept> =
            read_file(path, MAX_FILE).map_err(|error| unusable(error.to_string()))?;
        let kept = kept.unwrap_or_default();
        if kept.tokens.iter().any(|token| secret::unhex(&token.sha256).is_none()) {
            return Err(unusable("a hash in it is none".to_owned()));
        }
        Ok(Self { path: path.to_owned(), kept: Mutex::new(kept), writing: Mutex::default() })
    }

    /// What a request for one comes to, before anything is done: so that it can be recorded first. The token's text is
    /// the second value.
    ///
    /// # Errors
    /// [`TokenError::Bad`], [`TokenError::TooMany`], [`TokenError::NoRandom`].
    pub(super) fn draft(
        &self,
        request: TokenRequest,
        by: &str,
        now_ms: u64,
    ) -> Result<(TokenInfo, String), TokenError> {
        check(&request).map_err(TokenError::Bad)?;
        let kept = self.kept();
        if kept.tokens.iter().filter(|token| token.info.expires_ms > now_ms).count() >= MAX_TOKENS {
            return Err(TokenError::TooMany);
        }
        let mut id = secret::fresh_id().map_err(TokenError::NoRandom)?;
        while kept.tokens.iter().any(|token| token.info.id == id) {
            id = secret::fresh_id().map_err(TokenError::NoRandom)?;
        }
        let text = format!("{MARK}_{id}_{}", secret::fresh().map_err(TokenError::NoRandom)?);
        let usual = request.speaks_for.map_or_else(|| request.role.to_string(), |s| s.to_string());
        let info = TokenInfo {
            name: request.name.unwrap_or(usual),
            id,
            role: request.role,
            scope: Scope { jails: request.jails, rules: request.rules },
            created_ms: now_ms,
            created_by: by.to_owned(),
            expires_ms: now_ms.saturating_add(request.expires_in_ms.unwrap_or(USUAL_LIFE_MS)),
            last_used_ms: None,
            speaks_for: request.speaks_for,
        };
        Ok((info, text))
    }

    /// Keeps a token that was drafted: from here on it opens.
    ///
    /// # Errors
    /// [`TokenError::NotKept`]; then it opens nothing.
    pub(super) fn add(&self, info: TokenInfo, text: &str, now_ms: u64) -> Result<(), TokenError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let token = Token { info, sha256: secret::hex(&secret::hash(text)) };
        let holds = |token: &Token| token.info.expires_ms > now_ms;
        let mut next = self.kept().to_write();
        next.tokens.retain(holds);
        next.tokens.push(token.clone());
        self.write(&next)?;
        let mut kept = self.kept();
        kept.tokens.retain(holds);
        kept.tokens.push(token);
        Ok(())
    }

    /// Forgets a token. It opens nothing from here on, kept or not. `false` for none of that id.
    ///
    /// # Errors
    /// [`TokenError::NotKept`]; a restart would know it again, and so it can be removed again.
    pub(super) fn remove(&self, id: &str) -> Result<bool, TokenError> {
        match self.kept().tokens.iter_mut().find(|token| token.info.id == id) {
            Some(token) => token.info.expires_ms = 0,
            None => return Ok(false),
        }
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let next = self.kept().to_write();
        self.write(&next)?;
        self.kept().tokens.retain(|token| token.info.id != id);
        Ok(true)
    }

    /// Those that hold, oldest first.
    pub(super) fn list(&self, now_ms: u64) -> Vec<TokenInfo> {
        let kept = self.kept();
        let holds = kept.tokens.iter().filter(|token| token.info.expires_ms > now_ms);
        holds.map(|token| token.info.clone()).collect()
    }

    /// Whose token this is, if it holds.
    pub(super) fn find(&self, text: &str, now_ms: u64) -> Option<TokenInfo> {
        let id = text.strip_prefix(MARK)?.strip_prefix('_')?.split('_').next()?;
        let mut kept = self.kept();
        let token = kept.tokens.iter_mut().find(|token| token.info.id == id)?;
        let hash = secret::unhex(&token.sha256)?;
        if !secret::fits(text, &hash) || token.info.expires_ms <= now_ms {
            return None;
        }
        let found = token.info.clone();
        let is_stale = |last: u64| now_ms.saturating_sub(last) >= LAST_USED_STEP_MS;
        if token.info.last_used_ms.is_none_or(is_stale) {
            token.info.last_used_ms = Some(now_ms);
            drop(kept);
            self.keep_use();
        }
        Some(found)
    }

    /// Keeps when tokens were used, unless somebody writes just now: it is known all the same until the warden ends.
    fn keep_use(&self) {
        let _writing = match self.writing.try_lock() {
            Ok(writing) => writing,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let next = self.kept().to_write();
        if let Err(error) = self.write(&next) {
            tracing::warn!(%error, "when a token was used could not be kept");
        }
    }

    /// Whether the token of this id holds. Waits for no disk.
    pub(super) fn holds(&self, id: &str, now_ms: u64) -> bool {
        self.kept().tokens.iter().any(|t| t.info.id == id && t.info.expires_ms > now_ms)
    }

    fn write(&self, kept: &Kept) -> Result<(), TokenError> {
        write_file(&self.path, kept)
            .map_err(|source| TokenError::NotKept { path: self.path.clone(), source })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check(request: &TokenRequest) -> Result<(), String> {
    let TokenRequest { role, name, jails, rules, expires_in_ms, speaks_for } = request;
    if let Some(name) = name {
        let plain = |c: char| c.is_ascii_alphanumeric() || " ._@-".contains(c);
        let is_name = (1..=64).contains(&name.len()) && name.chars().all(plain);
        if !is_name || name.trim() != name {
            return Err(format!(
                "{name:?} is no name for a token: 1 to 64 letters, digits, spaces and ._@- make one"
            ));
        }
        if secret::is_id(name) {
            return Err(format!(
                "{name:?} could be the id of another token, by which people are known; add a letter that no id has"
            ));
        }
    }
    if let Some(service) = speaks_for
        && *role != Role::Approver
    {
        return Err(format!("a bridge to {service} is an approver, and not {role}"));
    }
    if *role == Role::Admin && !(jails.is_empty() && rules.is_empty()) {
        return Err("an admin may everything: bound a viewer or an approver instead".to_owned());
    }
    if *role == Role::Viewer && !rules.is_empty() {
        return Err("rules bound who answers, and a viewer does not".to_owned());
    }
    if jails.len() > MAX_NAMES || rules.len() > MAX_NAMES {
        return Err(format!("a token lists at most {MAX_NAMES} jails and {MAX_NAMES} rules"));
    }
    if let Some(error) = jails.iter().find_map(|jail| crate::jails::JailName::new(jail).err()) {
        return Err(error.to_string());
    }
    let odd = |rule: &&String| {
        rule.is_empty() || rule.len() > 200 || !rule.chars().all(clawrden_api::display::is_plain)
    };
    if let Some(rule) = rules.iter().find(odd) {
        return Err(format!("{rule:?} names no rule"));
    }
    match expires_in_ms {
        Some(life) if !(1000..=LONGEST_LIFE_MS).contains(life) => {
            Err(format!("a token holds for a second to 366 days, not for {life} ms"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    fn request(role: Role) -> TokenRequest {
        TokenRequest {
            role,
            name: None,
            jails: Vec::new(),
            rules: Vec::new(),
            expires_in_ms: None,
            speaks_for: None,
        }
    }

    fn made(tokens: &Tokens, request: TokenRequest, now: u64) -> (TokenInfo, String) {
        let (info, text) = tokens.draft(request, "root", now).unwrap();
        tokens.add(info.clone(), &text, now).unwrap();
        (info, text)
    }

    #[test]
    fn no_token_has_a_name_that_is_anothers_id() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(&folder.path().join("tokens.json")).unwrap();
        let (bob, _) = made(&tokens, request(Role::Approver), 5);
        let named =
            |name: &str| TokenRequest { name: Some(name.into()), ..request(Role::Approver) };
        assert!(tokens.draft(named(&bob.id), "root", 5).is_err());
        assert!(tokens.draft(named("bob"), "root", 5).is_ok());
        // One that was made when such names were taken.
        let old = TokenInfo { id: "01234567".into(), name: bob.id.clone(), ..bob };
        assert_eq!(super::super::token_actor(old).doors.token_name, None);
    }

    #[test]
    fn a_token_opens_until_it_expires_or_is_revoked_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let tokens = Tokens::open(&path).unwrap();
        let short = TokenRequest { expires_in_ms: Some(1000), ..request(Role::Viewer) };
        let (_, short) = made(&tokens, short, 5);
        let (info, long) = made(&tokens, request(Role::Approver), 5);
        assert!(tokens.find(&short, 1004).is_some() && tokens.find(&short, 1005).is_none());
        let tokens = Tokens::open(&path).unwrap();
        assert_eq!(tokens.find(&long, 2000).unwrap().role, Role::Approver);
        let altered = format!("{}A", &long[..long.len() - 1]);
        for wrong in [&altered, &long[1..], "", "clawrden", "clawrden__", &format!("{long}x")] {
            assert!(tokens.find(wrong, 2000).is_none() || wrong == long, "{wrong}");
        }
        assert!(tokens.remove(&info.id).unwrap() && !tokens.remove(&info.id).unwrap());
        assert!(tokens.find(&long, 2000).is_none());
        assert!(Tokens::open(&path).unwrap().find(&long, 2000).is_none());
    }

    #[test]
    fn a_token_whose_removal_could_not_be_kept_opens_nothing_and_is_removed_by_the_next_try() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("state");
        fs::create_dir(&inner).unwrap();
        let path = inner.join("tokens.json");
        let tokens = Tokens::open(&path).unwrap();
        let (info, text) = made(&tokens, request(Role::Admin), 5);
        let (_, other) = made(&tokens, request(Role::Viewer), 5);
        // A folder that is not there takes no file, whoever writes.
        let away = folder.path().join("away");
        fs::rename(&inner, &away).unwrap();
        assert!(matches!(tokens.remove(&info.id), Err(TokenError::NotKept { .. })));
        assert!(tokens.find(&text, 6).is_none() && !tokens.holds(&info.id, 6));
        assert!(tokens.list(6).iter().all(|listed| listed.id != info.id));
        fs::rename(&away, &inner).unwrap();
        assert!(tokens.remove(&info.id).unwrap(), "it is there until it is gone for good");
        assert!(!tokens.remove(&info.id).unwrap());
        let reopened = Tokens::open(&path).unwrap();
        assert!(reopened.find(&text, 6).is_none() && reopened.find(&other, 6).is_some());
    }

    #[test]
    fn the_event_loop_waits_for_nobody_who_writes() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(&folder.path().join("tokens.json")).unwrap();
        let (info, text) = made(&tokens, request(Role::Viewer), 5);
        let _writing = tokens.writing.lock().unwrap();
        assert!(tokens.find(&text, 1_000_000).is_some() && tokens.holds(&info.id, 1_000_000));
    }

    #[test]
    fn the_file_holds_no_token_and_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let tokens = Tokens::open(&path).unwrap();
        let (_, text) = made(&tokens, request(Role::Admin), 5);
        let kept = fs::read_to_string(&path).unwrap();
        assert!(!kept.contains(text.splitn(3, '_').nth(2).unwrap()), "{kept}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        assert!(matches!(Tokens::open(&path), Err(TokenError::Unusable { .. })));
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        fs::write(&path, "{").unwrap();
        assert!(matches!(Tokens::open(&path), Err(TokenError::Unusable { .. })));
    }

    #[test]
    fn last_use_is_kept_to_the_minute_and_not_written_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let tokens = Tokens::open(&path).unwrap();
        let (_, text) = made(&tokens, request(Role::Viewer), 5);
        tokens.find(&text, 1_000_000).unwrap();
        let first = fs::metadata(&path).unwrap().ino();
        tokens.find(&text, 1_030_000).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().ino(), first, "it was written again");
        assert_eq!(tokens.list(1_030_000)[0].last_used_ms, Some(1_000_000));
        tokens.find(&text, 1_060_000).unwrap();
        assert_eq!(tokens.list(1_060_000)[0].last_used_ms, Some(1_060_000));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let jail = |role| TokenRequest { jails: vec!["a".to_owned()], ..request(role) };
        assert!(check(&jail(Role::Approver)).is_ok() && check(&jail(Role::Viewer)).is_ok());
        assert!(check(&jail(Role::Admin)).is_err());
        for role in Role::ALL {
            let speaks_for = Some(clawrden_api::ChatService::Slack);
            let bridge = TokenRequest { speaks_for, ..request(role) };
            assert_eq!(check(&bridge).is_ok(), role == Role::Approver, "{role}");
        }
        for name in ["", " a", "a\nb", "a\u{202e}b", &"x".repeat(65)] {
            let named = TokenRequest { name: Some(name.to_owned()), ..request(Role::Viewer) };
            assert!(check(&named).is_err(), "{name:?}");
        }
        for life in [0, 999, u64::MAX] {
            let lasting = TokenRequest { expires_in_ms: Some(life), ..request(Role::Viewer) };
            assert!(check(&lasting).is_err(), "{life}");
        }
        let outside = TokenRequest { jails: vec!["../x".to_owned()], ..request(Role::Viewer) };
        assert!(check(&outside).is_err());
    }
}
