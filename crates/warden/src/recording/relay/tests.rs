use std::io::{Read, Write};
use std::time::Instant;

use clawrden_policy::{Recorded as What, Recording};
use clawrden_protocol::{FromClient, ToClient};

use super::*;
use crate::recording::{Recordings, Secrets, Subject};

struct Scene {
    dir: tempfile::TempDir,
    relay: Relay,
    client: UnixStream,
    runner: UnixStream,
}

fn scene(what: What) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let recordings = Recordings::beside(&dir.path().join("ledger.jsonl"));
    let begun = recordings
        .begin(&Subject {
            id: [7; 16],
            jail: "dev".to_owned(),
            title: "cat".to_owned(),
            tty: None,
            wanted: Recording { what, bytes: 1 << 20 },
            secrets: Secrets::default(),
        })
        .unwrap();
    let (client, theirs) = UnixStream::pair().unwrap();
    let way = Way { pid: std::process::id(), is_ours: false };
    let (relay, runner) = Ready::new().unwrap().carry(begun, theirs.into(), way);
    Scene { dir, relay, client, runner: runner.into() }
}

fn recorded(scene: &Scene) -> String {
    let path = scene.dir.path().join(format!("recordings/{}.cast", "07".repeat(16)));
    std::fs::read_to_string(path).unwrap()
}

async fn end(mut relay: Relay) -> Recorded {
    relay.end().await
}

#[tokio::test]
async fn bytes_pass_unchanged_in_both_directions_and_what_is_shown_is_recorded() {
    let mut scene = scene(What::Output);
    let mut out = vec![0];
    ToClient::Stdout(b"").encode(&mut out);
    ToClient::Stdout("h\u{e9}llo\n".as_bytes()).encode(&mut out);
    ToClient::Stderr(b"oh\n").encode(&mut out);
    ToClient::Exit(3).encode(&mut out);
    let mut into = Vec::new();
    FromClient::Stdin(b"typed").encode(&mut into);
    FromClient::StdinEnd.encode(&mut into);
    scene.client.write_all(&into).unwrap();
    scene.client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut heard = Vec::new();
    scene.runner.read_to_end(&mut heard).unwrap();
    assert_eq!(heard, into);
    // In odd pieces.
    for piece in out.chunks(3) {
        scene.runner.write_all(piece).unwrap();
    }
    drop(std::mem::replace(&mut scene.runner, UnixStream::pair().unwrap().0));
    let mut seen = Vec::new();
    scene.client.read_to_end(&mut seen).unwrap();
    assert_eq!(seen, out);
    let text = recorded(&scene);
    let recorded = end(scene.relay).await;
    assert_eq!((recorded.error, recorded.bytes), (None, text.len() as u64));
    assert!(text.contains(r#""o", "h"#) && text.contains(r#""e", """#), "{text}");
    assert!(!text.contains("typed"), "{text}");
}

#[tokio::test]
async fn a_client_that_reads_nothing_holds_up_its_tool_and_not_the_end_of_the_recording() {
    let mut scene = scene(What::Output);
    scene.runner.set_nonblocking(true).unwrap();
    let mut frames = vec![0];
    let piece = ToClient::Stdout(&[b'x'; 1000]);
    (0..4000).for_each(|_| piece.encode(&mut frames));
    let (mut taken, mut last) = (0, Instant::now());
    while last.elapsed() < Duration::from_millis(300) {
        match scene.runner.write(&frames[taken..]) {
            Ok(n) => (taken, last) = (taken + n, Instant::now()),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    assert!(taken < 3 * 1024 * 1024, "{taken} bytes were taken for nobody");
    let Scene { dir, relay, mut client, runner } = scene;
    drop(runner);
    let recorded = end(relay).await;
    assert_eq!(recorded.error, None);
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), taken, "and its client gets all of it");
    drop(dir);
}

#[tokio::test]
async fn a_runner_learns_that_its_client_has_gone_whatever_it_has_not_read() {
    let Scene { dir, relay, mut client, mut runner } = scene(What::Session);
    let mut into = Vec::new();
    FromClient::Stdin(&[b'y'; 100_000]).encode(&mut into);
    client.set_nonblocking(true).unwrap();
    for _ in 0..20 {
        let _ = client.write(&into);
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(client);
    let recorded = end(relay).await;
    assert_eq!(recorded.error.as_deref(), Some("its caller has gone"), "more could have come");
    let path = dir.path().join(format!("recordings/{}.cast", "07".repeat(16)));
    let text = std::fs::read_to_string(path).unwrap();
    let last = text.lines().last().unwrap();
    assert!(last.contains(r#""m", "clawrden: the recording ends here: its caller"#), "{last}");
    runner.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut heard = Vec::new();
    // It is over, whether or not with everything.
    match runner.read_to_end(&mut heard) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
    }
    assert!(!heard.is_empty());
    drop(dir);
}

#[tokio::test]
async fn a_client_that_leaves_with_all_that_there_is_has_a_whole_recording() {
    let Scene { dir, relay, mut client, mut runner } = scene(What::Output);
    let mut out = vec![0];
    ToClient::Stdout(b"all\n").encode(&mut out);
    ToClient::Exit(0).encode(&mut out);
    runner.write_all(&out).unwrap();
    client.read_exact(&mut vec![0; out.len()]).unwrap();
    // The runner still holds its end.
    drop(client);
    assert_eq!(end(relay).await.error, None);
    drop((dir, runner));
}

#[tokio::test]
async fn a_recording_of_what_is_not_understood_says_so() {
    let Scene { dir, relay, mut client, mut runner } = scene(What::Output);
    runner.write_all(&[0, 3, 0xff, 0xff, 0xff, 0xff, 1]).unwrap();
    drop(runner);
    client.read_to_end(&mut Vec::new()).unwrap();
    let recorded = end(relay).await;
    assert_eq!(recorded.error.as_deref(), Some("what came was not of the protocol"));
    drop(dir);
}
