//! A registry of the test's own on loopback, from which an engine can only fetch.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As it should.
    Serves,
    /// The same, with a layer that takes some seconds.
    IsSlow,
    /// It takes connections and says nothing.
    Hangs,
    /// It closes every connection.
    IsDown,
}

#[derive(Default)]
struct Content {
    /// By digest.
    blobs: HashMap<String, Vec<u8>>,
    /// Manifests, by tag.
    tags: HashMap<String, Vec<u8>>,
    /// Manifests that were asked for.
    asked: usize,
    /// Connections that are kept open.
    kept: Vec<TcpStream>,
}

/// It answers until the test's end.
pub(crate) struct Registry {
    pub(crate) port: u16,
    mood: Arc<Mutex<Mood>>,
    content: Arc<Mutex<Content>>,
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

impl Registry {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (mood, content) =
            (Arc::new(Mutex::new(Mood::Serves)), Arc::new(Mutex::new(Content::default())));
        let registry = Self { port, mood: Arc::clone(&mood), content: Arc::clone(&content) };
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let (mood, content) = (*mood.lock().unwrap(), Arc::clone(&content));
                std::thread::spawn(move || {
                    // Whoever asks may leave.
                    let _ = answer(&connection, mood, &content);
                });
            }
        });
        registry
    }

    pub(crate) fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Manifests that were asked for so far.
    pub(crate) fn asked(&self) -> usize {
        self.content.lock().unwrap().asked
    }

    /// Puts an image here under a tag, `tools/box:TAG`: a busybox whose `/mark` says `mark`. Gives its reference.
    pub(crate) fn put(&self, tag: &str, mark: &str) -> String {
        let layer = layer(mark);
        let config = serde_json::json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
        });
        let config = config.to_string().into_bytes();
        let described = |kind: &str, blob: &[u8]| {
            let kind = format!("application/vnd.docker.{kind}");
            serde_json::json!({"mediaType": kind, "size": blob.len(), "digest": digest(blob)})
        };
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": described("container.image.v1+json", &config),
            "layers": [described("image.rootfs.diff.tar", &layer)],
        });
        let mut content = self.content.lock().unwrap();
        content.blobs.extend([(digest(&config), config), (digest(&layer), layer)]);
        content.tags.insert(tag.to_owned(), manifest.to_string().into_bytes());
        format!("127.0.0.1:{}/tools/box:{tag}", self.port)
    }
}

fn layer(mark: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let bin = dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let busybox =
        ["/usr/bin/busybox", "/bin/busybox"].into_iter().find(|at| Path::new(at).exists());
    std::fs::copy(busybox.expect("a static busybox"), bin.join("busybox")).unwrap();
    for name in ["sh", "cat", "sleep", "true"] {
        std::os::unix::fs::symlink("busybox", bin.join(name)).unwrap();
    }
    std::fs::write(dir.path().join("mark"), mark).unwrap();
    let mut tar = Command::new("tar");
    tar.args(["-c", "--owner=0", "--group=0", "--mode=a+rX", "-C"]).arg(dir.path()).arg(".");
    let made = tar.output().unwrap().stdout;
    assert!(made.len() > 100_000, "{} bytes", made.len());
    made
}

fn answer(mut to: &TcpStream, mood: Mood, content: &Mutex<Content>) -> std::io::Result<()> {
    match mood {
        Mood::Serves | Mood::IsSlow => {}
        Mood::Hangs => {
            content.lock().unwrap().kept.push(to.try_clone()?);
            return Ok(());
        }
        Mood::IsDown => return Ok(()),
    }
    let mut lines = BufReader::new(to.try_clone()?).lines();
    while let Some(Ok(first)) = lines.next() {
        // The rest of the head; there is no body.
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let mut words = first.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let last = path.rsplit('/').next().unwrap_or_default();
        let found = {
            let mut content = content.lock().unwrap();
            let is_manifest = path.contains("/manifests/");
            content.asked += usize::from(is_manifest);
            let by_digest =
                || content.tags.values().find(|manifest| digest(manifest) == last).cloned();
            match (path, is_manifest) {
                ("/v2/", _) => Some(b"{}".to_vec()),
                (_, true) => content.tags.get(last).cloned().or_else(by_digest),
                _ => content.blobs.get(last).cloned(),
            }
        };
        let (status, body) = match found {
            Some(body) => ("200 OK", body),
            None => ("404 Not Found", br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#.to_vec()),
        };
        let kind = if path.contains("/manifests/") && status.starts_with("200") {
            "application/vnd.docker.distribution.manifest.v2+json"
        } else {
            "application/json"
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nDocker-Distribution-Api-Version: registry/2.0\r\nContent-Type: {kind}\r\n\
             Docker-Content-Digest: {}\r\nContent-Length: {}\r\n\r\n",
            digest(&body),
            body.len()
        );
        to.write_all(head.as_bytes())?;
        if method == "HEAD" {
            continue;
        }
        let pause = Duration::from_millis(if mood == Mood::IsSlow { 300 } else { 0 });
        for part in body.chunks(body.len().div_ceil(16).max(4096)) {
            to.write_all(part)?;
            std::thread::sleep(pause);
        }
    }
    Ok(())
}
