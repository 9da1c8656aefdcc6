//! A warden elsewhere: over TCP with a token, and by TLS unless it is on this machine.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use hyper::Uri;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where certificates of the usual authorities lie on most systems.
const USUAL_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// By what the warden's certificate is known.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// By the authorities that this system trusts.
    System,
    /// By those of a PEM file.
    Authority(&'a Path),
    /// By its own SHA-256 in hex, as the warden prints it.
    Fingerprint(&'a str),
}

/// Why a warden elsewhere cannot be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The address is none.
    #[error("{0:?} is no address of a warden; write https://HOST:PORT")]
    BadAddress(String),
    /// The token would travel in the clear.
    #[error(
        "{0:?} would send the token in the clear; write https://, or http:// to this machine alone"
    )]
    InTheClear(String),
    /// The token is none.
    #[error("the token has characters that no token has; `clawrden token create` makes one")]
    BadToken,
    /// What its certificate is to be known by cannot be had.
    #[error("the certificate of the other side cannot be checked: {0}")]
    NoTrust(String),
}

/// Where a warden is, and what is shown to it.
#[derive(Clone)]
pub(super) struct Remote {
    pub(super) authority: String,
    pub(super) token: String,
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// It has a token.
impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("authority", &self.authority).finish_non_exhaustive()
    }
}

/// A connection to one.
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Remote {
    pub(super) fn new(url: &str, token: &str, trust: Trust<'_>) -> Result<Self, RemoteError> {
        let bad = || RemoteError::BadAddress(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let authority = uri.authority().ok_or_else(bad)?;
        if !matches!(uri.path(), "" | "/")
            || uri.query().is_some()
            || authority.as_str().contains('@')
        {
            return Err(bad());
        }
        let is_secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad()),
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_here =
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if !is_secure && !is_here {
            return Err(RemoteError::InTheClear(url.to_owned()));
        }
        let token = token.trim();
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(RemoteError::BadToken);
        }
        let tls = if is_secure {
            let name = ServerName::try_from(host.clone()).map_err(|_| bad())?;
            Some((TlsConnector::from(Arc::new(tls(trust)?)), name))
        } else {
            None
        };
        let port = authority.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        Ok(Self { authority: authority.to_string(), token: token.to_owned(), host, port, tls })
    }

    pub(super) async fn connect(&self) -> io::Result<Wire> {
        let stream = TcpStream::connect((&self.host[..], self.port)).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Wire::Plain(stream)),
            Some((tls, name)) => Ok(Wire::Tls(Box::new(tls.connect(name.clone(), stream).await?))),
        }
    }
}

/// How TLS is spoken as a client: by ring alone, and with whom is said by `trust`.
///
/// # Errors
///
/// [`RemoteError::NoTrust`]: what the other side is to be known by cannot be had.
pub fn tls(trust: Trust<'_>) -> Result<ClientConfig, RemoteError> {
    let no_trust = |why: String| RemoteError::NoTrust(why);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| no_trust(error.to_string()))?;
    let file = match trust {
        Trust::Fingerprint(text) => {
            let verifier = Arc::new(Pinned { sha256: fingerprint(text)?, provider });
            let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
            return Ok(builder.with_no_client_auth());
        }
        Trust::Authority(file) => file,
        Trust::System => {
            USUAL_ROOTS.iter().map(Path::new).find(|file| file.exists()).ok_or_else(|| {
                no_trust(
                    "this system has no certificates of authorities; give a PEM file of them"
                        .to_owned(),
                )
            })?
        }
    };
    let mut roots = RootCertStore::empty();
    let read =
        |error: rustls::pki_types::pem::Error| no_trust(format!("{}: {error}", file.display()));
    for certificate in CertificateDer::pem_file_iter(file).map_err(read)? {
        // One that is not understood is trusted for nothing.
        let _ = roots.add(certificate.map_err(read)?);
    }
    if roots.is_empty() {
        return Err(no_trust(format!("there is no certificate in {}", file.display())));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// What helps where the other side is not taken for the warden.
pub(super) fn remedy(source: &io::Error) -> Option<&'static str> {
    use rustls::CertificateError as Bad;
    let rustls::Error::InvalidCertificate(why) =
        source.get_ref()?.downcast_ref::<rustls::Error>()?
    else {
        return None;
    };
    Some(match why {
        Bad::UnknownIssuer | Bad::BadSignature => {
            "no authority that is trusted here has signed its certificate: name one with --ca FILE, or its own with \
             --fingerprint HEX"
        }
        Bad::Expired | Bad::ExpiredContext { .. } => "it needs a certificate that has not expired",
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
            "call it by a name that its certificate is for"
        }
        _ => "see the warden's certificate",
    })
}

fn fingerprint(text: &str) -> Result<[u8; 32], RemoteError> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    let bad = || RemoteError::NoTrust(format!("{text:?} is no SHA-256 in hex"));
    if digits.len() != 64 || !digits.is_ascii() {
        return Err(bad());
    }
    let mut sha256 = [0; 32];
    for (byte, at) in sha256.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| bad())?;
    }
    Ok(sha256)
}

/// Takes the one certificate that has this hash, whoever signed it. That the other side has its key is still checked.
#[derive(Debug)]
struct Pinned {
    sha256: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if <[u8; 32]>::from(Sha256::digest(certificate)) == self.sha256 {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::General(
            "the certificate is another than the fingerprint says".to_owned(),
        ))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_keep_the_token_secret_are_taken() {
        let new = |url: &str| Remote::new(url, "t", Trust::Fingerprint(&"ab".repeat(32)));
        for url in [
            "https://warden.example:8080",
            "https://10.0.0.1",
            "http://127.0.0.1:8080/",
            "http://[::1]:1",
        ] {
            assert!(new(url).is_ok(), "{url}");
        }
        for url in
            ["http://warden.example:8080", "http://10.0.0.1:1", "http://localhost.evil.example:1"]
        {
            assert!(matches!(new(url), Err(RemoteError::InTheClear(_))), "{url}");
        }
        for url in
            ["", "warden", "ftp://x", "https://u:p@x", "https://x/api", "https://x?y", "unix:///x"]
        {
            assert!(new(url).is_err(), "{url}");
        }
        let remote = Remote::new("http://localhost:1", "secret\n", Trust::System).unwrap();
        assert_eq!(remote.token, "secret");
        assert!(!format!("{remote:?}").contains("secret"));
        assert!(Remote::new("http://localhost:1", "a\r\nb", Trust::System).is_err());
        assert!(Remote::new("https://x", "t", Trust::Fingerprint("ab")).is_err());
    }
}
