//! The control API over TLS by a certificate that was given: whom a client takes for its warden, and what a browser is told
//! to keep to itself.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use tempfile::TempDir;

use crate::door::{POLICY, elsewhere, place, token};
use crate::support::other::{UID, by, is_root, set_user};
use crate::support::{House, clawrden, text};

/// An authority, and certificates by it.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let file = folder.join(format!("{name}.pem"));
        fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), file }
    }

    /// A certificate for `names`, and its key, as files. It has ended long ago, or holds for long.
    fn certify(&self, names: &[&str], has_ended: bool) -> (PathBuf, PathBuf) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let stem = self.file.with_extension("");
        let path = |kind: &str| {
            PathBuf::from(format!("{}-{}-{has_ended}.{kind}", stem.display(), names.join("+")))
        };
        let (certificate, private) = (path("crt"), path("key"));
        let mut params = CertificateParams::new(names.clone()).unwrap();
        params.not_before = date_time_ymd(2001, 1, 1);
        if has_ended {
            params.not_after = date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        fs::write(&certificate, params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        fs::write(&private, key.serialize_pem()).unwrap();
        fs::set_permissions(&private, PermissionsExt::from_mode(0o600)).unwrap();
        (certificate, private)
    }
}

/// A warden that is served by this certificate and key, with these further words.
fn house((certificate, key): &(PathBuf, PathBuf), more: &[&str]) -> House {
    let files = [certificate.to_str().unwrap(), "--api-key", key.to_str().unwrap()];
    House::with(POLICY, &[&["--api", "127.0.0.1:0", "--api-cert"], &files[..], more].concat())
}

/// What comes of one that is given files which are no certificate and key.
fn refused(certificate: &Path, key: &Path) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("policy.yaml"), POLICY).unwrap();
    let mut warden = clawrden();
    warden.args(["warden", "--api", "127.0.0.1:0", "--api-cert"]).arg(certificate);
    warden.arg("--api-key").arg(key).arg("--socket").arg(path("warden.sock"));
    warden.arg("--control").arg(path("control.sock")).arg("--policy").arg(path("policy.yaml"));
    warden.arg("--audit").arg(path("ledger.jsonl")).output().unwrap()
}

#[test]
fn a_client_takes_a_warden_by_its_authority_and_name_and_nobody_else_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new(folder.path(), "ours");
    let others = Authority::new(folder.path(), "others");
    let house = house(&ours.certify(&["localhost", "warden.example"], false), &[]);
    let (url, fingerprint) = place(&house);
    let fingerprint = fingerprint.unwrap();
    let port = url.rsplit(':').next().unwrap();
    let (_, admin) = token(&house, "admin", &["--role", "admin"]);
    let ask = |host: &str, trust: &[&str]| {
        let url = format!("https://{host}:{port}");
        elsewhere(&url, &admin, &[trust, &["status"][..]].concat())
    };
    let by = |file: &Authority| file.file.to_str().unwrap().to_owned();
    let (code, said) = ask("localhost", &["--ca", &by(&ours)]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(ask("127.0.0.1", &["--fingerprint", &fingerprint]).0, Some(0));
    for (host, trust, why) in [
        ("localhost", vec!["--ca".to_owned(), by(&others)], "authority"),
        ("127.0.0.1", vec!["--ca".to_owned(), by(&ours)], "name"),
        ("localhost", vec!["--fingerprint".to_owned(), "ab".repeat(32)], "fingerprint"),
    ] {
        let trust: Vec<&str> = trust.iter().map(String::as_str).collect();
        let (code, said) = ask(host, &trust);
        assert_eq!(code, Some(3), "{host} {trust:?}: {said}");
        assert!(said.contains(why), "{host} {trust:?} is told {why}: {said}");
    }
    for (file, why) in [("nowhere.pem", "No such file"), ("policy.yaml", "no certificate")] {
        let file = house.path(file);
        let (code, said) = ask("localhost", &["--ca", file.to_str().unwrap()]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(why) && said.contains(file.to_str().unwrap()), "{said}");
    }
    // In the clear to the port that speaks TLS, nothing is said.
    let mut stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{}", text(&answer));
}

#[test]
fn a_certificate_that_has_ended_is_told_by_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new(folder.path(), "ours");
    let house = house(&ours.certify(&["localhost"], true), &[]);
    let port = place(&house).0.rsplit(':').next().unwrap().to_owned();
    let (_, admin) = token(&house, "admin", &["--role", "admin"]);
    let url = format!("https://localhost:{port}");
    let (code, said) = elsewhere(&url, &admin, &["--ca", ours.file.to_str().unwrap(), "status"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("expired"), "{said}");
}

#[test]
fn a_warden_whose_certificate_or_key_is_none_does_not_start_and_says_which_file_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new(folder.path(), "ours");
    let (certificate, key) = ours.certify(&["localhost"], false);
    let (_, other) = ours.certify(&["other.example"], false);
    let nowhere = folder.path().join("nowhere.pem");
    let (empty, junk) = (folder.path().join("empty.pem"), folder.path().join("junk.pem"));
    fs::write(&empty, "").unwrap();
    fs::write(&junk, "-----BEGIN CERTIFICATE-----\nno base64\n-----END CERTIFICATE-----\n")
        .unwrap();
    for (certificate, key, named, why) in [
        (&certificate, &other, &other, "is not the key of the certificate"),
        (&nowhere, &key, &nowhere, "No such file"),
        (&certificate, &nowhere, &nowhere, "No such file"),
        (&empty, &key, &empty, "no certificate"),
        (&junk, &key, &junk, "cannot be used"),
        (&certificate, &empty, &empty, "cannot be used"),
        (&certificate, &certificate, &certificate, "cannot be used"),
        (&key, &key, &key, "no certificate"),
        (&folder.path().to_owned(), &key, &folder.path().to_owned(), "directory"),
    ] {
        let output = refused(certificate, key);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(named.to_str().unwrap()) && said.contains(why), "{why}: {said}");
        assert!(!said.contains("PRIVATE KEY"), "{said}");
    }
}

#[test]
fn a_key_that_the_wardens_user_may_not_read_is_told() {
    if !is_root() {
        eprintln!("skipped: this needs root, who starts a warden of another user");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new(folder.path(), "ours");
    let (certificate, key) = ours.certify(&["localhost"], false);
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let cli = folder.path().join("cli");
    fs::copy(clawrden().get_program(), &cli).unwrap();
    let run = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(run.path(), Some(UID), Some(UID)).unwrap();
    let mut warden = std::process::Command::new(&cli);
    warden.args(["warden", "--api", "127.0.0.1:0", "--api-cert"]).arg(&certificate);
    warden.arg("--api-key").arg(&key);
    for name in ["XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "HOME"] {
        warden.env(name, run.path());
    }
    let output = by(&set_user(UID), &warden).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(key.to_str().unwrap()) && said.contains("ermission denied"), "{said}");
}

/// A session of TLS, as a browser has one that trusts the authority.
fn browser(authority: &Authority, port: &str) -> StreamOwned<ClientConnection, TcpStream> {
    let config =
        clawrden_api::client::tls(clawrden_api::Trust::Authority(&authority.file)).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(client, TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap())
}

/// One request of a browser's, on a connection of its own.
fn browse(authority: &Authority, port: &str, request: &str) -> String {
    let mut stream = browser(authority, port);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // It ends with the answer, in good order or not.
    let _ = stream.read_to_end(&mut answer);
    text(&answer)
}

#[test]
fn by_tls_the_cookie_is_the_hosts_own_and_goes_nowhere_in_the_clear() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let ours = Authority::new(folder.path(), "ours");
    let house = house(&ours.certify(&["localhost"], false), &["--api-host", "localhost"]);
    let port = place(&house).0.rsplit(':').next().unwrap().to_owned();
    let (secret, _) = token(&house, "alice", &["--role", "admin"]);
    let request = |method: &str, path: &str, headers: &str, body: &str| {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n"
        );
        browse(&ours, &port, &(head + body))
    };
    let origin = format!("origin: https://localhost:{port}\r\n");
    let answer =
        request("POST", "/api/session", &origin, &format!(r#"{{"token":"{}"}}"#, secret.trim()));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let cookies: Vec<&str> =
        answer.lines().filter_map(|line| line.strip_prefix("set-cookie: ")).collect();
    let [cookie] = cookies[..] else { panic!("{cookies:?}") };
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert!(pair.starts_with("__Host-clawrden_session="), "{cookie}");
    let attributes: Vec<&str> = attributes.split("; ").collect();
    // What `__Host-` demands, and nothing that would lend it to others.
    for wanted in ["Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert_eq!(attributes.iter().filter(|one| **one == wanted).count(), 1, "{cookie}");
    }
    assert!(!attributes.iter().any(|one| one.to_ascii_lowercase().starts_with("domain")));
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let session: serde_json::Value = serde_json::from_str(body).unwrap();
    let csrf = format!("x-csrf-token: {}\r\n", session["csrf"].as_str().unwrap());
    let get = |headers: &str| {
        let answer = request("GET", "/api/session", headers, "");
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(get(&format!("cookie: {pair}\r\n{csrf}")), "200");
    assert_eq!(get(&format!("cookie: {pair}\r\n")), "401", "without its second half");
    // Under the name that it has in the clear, which another port of the host could have set, it opens nothing.
    let plain = pair.strip_prefix("__Host-").unwrap();
    assert_eq!(get(&format!("cookie: {plain}\r\n{csrf}")), "401");
    let ended = request("DELETE", "/api/session", &format!("cookie: {pair}\r\n{csrf}"), "");
    let taken = ended.lines().find(|line| line.starts_with("set-cookie: __Host-")).unwrap();
    for wanted in ["Max-Age=0", "Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(taken.contains(wanted), "a browser drops it by this alone: {taken}");
    }
    assert_eq!(get(&format!("cookie: {pair}\r\n{csrf}")), "401");
}
