//! The key that a ledger is signed with. It is made when it is first needed, lies beside the ledger for its owner
//! alone, and is never shown: what proves a ledger is the public half.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use rustix::fs::{FlockOperation, flock};

use super::error::LedgerError;
use super::place::open_own;
use crate::beside::beside;

/// Bytes of the longest file that is read as a key.
const MAX_KEY_FILE: u64 = 4096;

/// The private half.
pub(super) struct Key(SigningKey);

/// The public half: what is needed to prove that a head was signed by a ledger's own warden.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// Text that is no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no Ed25519 public key; give what `clawrden audit key` prints, as base64 or as a PEM file"
)]
pub struct BadKey;

impl Key {
    /// The key of the ledgers in `folder`. Where there is none, one is made, with its public half beside it.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] when others can read it, or it is no key; [`LedgerError::Io`] for the rest.
    pub(super) fn of(folder: &Path) -> Result<Self, LedgerError> {
        let folder = key_folder(folder);
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(LedgerError::io("make", folder)(e));
            }
            _ => {}
        }
        let about = fs::symlink_metadata(&folder).map_err(LedgerError::io("look at", &folder))?;
        if !about.is_dir() || about.uid() != rustix::process::geteuid().as_raw() {
            let why = "it is no folder of this user's; move it".to_owned();
            return Err(LedgerError::Refused { path: folder, why });
        }
        // Ledgers that begin in one folder at the same moment are to have the same key.
        let held = File::open(&folder).map_err(LedgerError::io("open", &folder))?;
        flock(&held, FlockOperation::LockExclusive)
            .map_err(|errno| LedgerError::io("lock", &folder)(errno.into()))?;
        let path = folder.join("private.pem");
        let key = match fs::symlink_metadata(&path) {
            Ok(_) => Self::read(&path)?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Self::make(&path)?,
            Err(e) => return Err(LedgerError::io("look at", path)(e)),
        };
        let public = folder.join("public.pem");
        if fs::read_to_string(&public).ok().and_then(|text| text.parse().ok()) != Some(key.public())
        {
            write_whole(&public, key.public().pem()?.as_bytes())?;
        }
        Ok(key)
    }

    fn make(path: &Path) -> Result<Self, LedgerError> {
        let mut seed = [0; 32];
        match rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty()) {
            Ok(32) => {}
            Ok(_) => return Err(LedgerError::Encode("the kernel gives no random bytes".into())),
            Err(errno) => {
                return Err(LedgerError::io("take random bytes for", path)(errno.into()));
            }
        }
        let key = SigningKey::from_bytes(&seed);
        let pem = key
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|e| LedgerError::Encode(format!("the ledger's key: {e}")))?;
        write_whole(path, pem.as_bytes())?;
        Ok(Self(key))
    }

    fn read(path: &Path) -> Result<Self, LedgerError> {
        let refused = |why: &str| LedgerError::Refused { path: path.to_owned(), why: why.into() };
        let about = fs::symlink_metadata(path).map_err(LedgerError::io("look at", path))?;
        if about.mode() & 0o077 != 0 {
            return Err(refused(
                "others can read this key; move it away for a fresh one, or `chmod 600` it if nobody did",
            ));
        }
        let file = open_own(path, OpenOptions::new().read(true))?;
        let mut text = String::new();
        file.take(MAX_KEY_FILE).read_to_string(&mut text).map_err(LedgerError::io("read", path))?;
        SigningKey::from_pkcs8_pem(&text).map(Self).map_err(|_| {
            refused("it is no Ed25519 key in PEM; put it back, or move it away for a fresh one")
        })
    }

    pub(super) fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The signature of `text`, in base64.
    pub(super) fn sign(&self, text: &str) -> String {
        STANDARD.encode(self.0.sign(text.as_bytes()).to_bytes())
    }
}

impl PublicKey {
    /// The public half of the key that the ledgers in `folder` are signed with.
    ///
    /// # Errors
    /// [`LedgerError::Io`] when there is none, [`LedgerError::Refused`] when it is no key.
    pub fn of(folder: &Path) -> Result<Self, LedgerError> {
        let path = key_folder(folder).join("public.pem");
        let text = fs::read_to_string(&path).map_err(LedgerError::io("read", &path))?;
        text.parse().map_err(|e: BadKey| LedgerError::Refused { path, why: e.to_string() })
    }

    /// Whether `signature`, in base64, is of `text` and by this key.
    #[must_use]
    pub fn has_signed(&self, text: &str, signature: &str) -> bool {
        let bytes = STANDARD.decode(signature).ok();
        let signature = bytes.and_then(|bytes| Signature::from_slice(&bytes).ok());
        signature.is_some_and(|signature| self.0.verify_strict(text.as_bytes(), &signature).is_ok())
    }

    /// In the form that other tools read.
    ///
    /// # Errors
    /// [`LedgerError::Encode`], which does not happen with a key.
    pub fn pem(&self) -> Result<String, LedgerError> {
        self.0
            .to_public_key_pem(LineEnding::LF)
            .map_err(|e| LedgerError::Encode(format!("the ledger's public key: {e}")))
    }
}

/// Base64 of its 32 bytes.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = BadKey;

    /// From base64, of its 32 bytes or of what stands in a PEM file, or from that file.
    fn from_str(text: &str) -> Result<Self, BadKey> {
        let text = text.trim();
        if text.starts_with("-----BEGIN") {
            return VerifyingKey::from_public_key_pem(text).map(Self).map_err(|_| BadKey);
        }
        let bytes = STANDARD.decode(text).map_err(|_| BadKey)?;
        if let Ok(key) = VerifyingKey::from_public_key_der(&bytes) {
            return Ok(Self(key));
        }
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| BadKey)?;
        VerifyingKey::from_bytes(&bytes).map(Self).map_err(|_| BadKey)
    }
}

fn key_folder(folder: &Path) -> PathBuf {
    folder.join("key")
}

/// Writes a file of ours that is there whole or not at all, and stays.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> Result<(), LedgerError> {
    let fresh = beside(path, ".new");
    let mut options = OpenOptions::new();
    let mut file = open_own(&fresh, options.write(true).create(true).truncate(true))?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    let written = written.and_then(|()| fs::rename(&fresh, path));
    let folder = path.parent().unwrap_or(Path::new("."));
    written.and_then(|()| File::open(folder)?.sync_all()).map_err(LedgerError::io("write", path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::of(folder.path()).unwrap();
        assert_eq!(Key::of(folder.path()).unwrap().public(), key.public());
        let mode = |name: &str| {
            fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o7777
        };
        assert_eq!((mode("key"), mode("key/private.pem")), (0o700, 0o600));
        assert_eq!(PublicKey::of(folder.path()).unwrap(), key.public());
        assert_eq!(key.public().to_string().parse(), Ok(key.public()));
        let pem = key.public().pem().unwrap();
        assert_eq!(pem.parse(), Ok(key.public()));
        let inside = pem.lines().nth(1).unwrap();
        assert!(inside.starts_with("MCow"), "{inside}");
        assert_eq!(inside.parse(), Ok(key.public()));
        assert!(key.public().has_signed("x", &key.sign("x")));
        assert!(!key.public().has_signed("y", &key.sign("x")));
        let other = tempfile::tempdir().unwrap();
        assert!(!Key::of(other.path()).unwrap().public().has_signed("x", &key.sign("x")));
    }

    #[test]
    fn ledgers_that_begin_at_the_same_moment_have_one_key() {
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let begin = Barrier::new(8);
            let keys: Vec<_> = thread::scope(|scope| {
                let of = || {
                    begin.wait();
                    Key::of(folder.path()).map(|key| key.public())
                };
                let all: Vec<_> = (0..8).map(|_| scope.spawn(of)).collect();
                all.into_iter().map(|one| one.join().unwrap().unwrap()).collect()
            });
            let public = PublicKey::of(folder.path()).unwrap();
            assert!(keys.iter().all(|key| *key == public), "{keys:?}");
        }
    }

    #[test]
    fn a_key_that_others_read_or_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        Key::of(folder.path()).unwrap();
        let path = folder.path().join("key/private.pem");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Key::of(folder.path()).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("others can read"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "").unwrap();
        assert!(matches!(Key::of(folder.path()), Err(LedgerError::Refused { .. })));
        for text in ["", "AAAA", "-----BEGIN PUBLIC KEY-----"] {
            assert_eq!(text.parse::<PublicKey>(), Err(BadKey), "{text}");
        }
    }
}
