//! The certificate by which the API is served over TCP: a given one, or one that is made once and kept.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

use super::secret::hex;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not what it should be.
    #[error("{path} cannot be used: {why}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// None can be made.
    #[error("no certificate can be made: {0}")]
    NotMade(String),
    /// Certificate and key do not go together.
    #[error("{key} is not the key of the certificate in {certificate}")]
    OtherKey {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },
    /// They cannot be used.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// What speaks TLS, and by what it is known.
pub(super) struct Tls {
    pub(super) acceptor: TlsAcceptor,
    /// SHA-256 of the certificate, in hex.
    pub(super) fingerprint: String,
}

impl Tls {
    /// With a certificate and its key, as PEM files.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(super) fn given(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let bad = |path: &Path| {
            let path = path.to_owned();
            move |error: rustls::pki_types::pem::Error| TlsError::File {
                path,
                why: error.to_string(),
            }
        };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(bad(certificate))?;
        let first = chain.first().ok_or_else(|| TlsError::File {
            path: certificate.to_owned(),
            why: "there is no certificate in it".to_owned(),
        })?;
        let fingerprint = hex(&Sha256::digest(first));
        let private = PrivateKeyDer::from_pem_file(key).map_err(bad(key))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    TlsError::OtherKey { certificate: certificate.to_owned(), key: key.to_owned() }
                }
                rustls::Error::InvalidCertificate(why) => TlsError::File {
                    path: certificate.to_owned(),
                    why: format!("it is no certificate that is understood ({why})"),
                },
                error => TlsError::File { path: key.to_owned(), why: error.to_string() },
            })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), fingerprint })
    }

    /// With the one that lies at `path`, made there if there is none: by its fingerprint a client knows it again.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(super) fn own(path: &Path, names: &[String]) -> Result<Self, TlsError> {
        let is_there = super::private::check(path)
            .map_err(|why| TlsError::File { path: path.to_owned(), why })?;
        if !is_there {
            make(path, names)?;
        }
        Self::given(path, path)
    }
}

fn make(path: &Path, names: &[String]) -> Result<(), TlsError> {
    let not_made = |error: rcgen::Error| TlsError::NotMade(error.to_string());
    let mut all: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    all.extend(names.iter().cloned());
    let made = rcgen::generate_simple_self_signed(all).map_err(not_made)?;
    let text = format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem());
    write(path, &text)
        .map_err(|error| TlsError::File { path: path.to_owned(), why: error.to_string() })
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension("pem.new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    file.sync_all()?;
    fs::rename(fresh, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_known_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tls.pem");
        let first = Tls::own(&path, &["warden.example".to_owned()]).unwrap().fingerprint;
        assert_eq!(first.len(), 64);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Tls::own(&path, &[]).unwrap().fingerprint, first);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Tls::own(&path, &[]), Err(TlsError::File { .. })), "others read its key");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "nothing").unwrap();
        assert!(matches!(Tls::own(&path, &[]), Err(TlsError::File { .. })));
    }
}
