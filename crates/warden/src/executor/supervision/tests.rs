use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use clawrden_policy::{Recorded as What, Recording};

use super::*;
use crate::plan::Origin;
use crate::recording::{Recordings, Secrets, Subject};
use crate::running::{Card, Order, Running};

/// A recorded run whose runner is a process in a container, so to say, that does nothing that it is told.
struct Scene {
    running: Arc<Running>,
    supervision: Supervision,
    /// The ends that the runner and the client would have.
    warden: UnixStream,
    carried: OwnedFd,
    client: UnixStream,
    process: Child,
    _dir: tempfile::TempDir,
}

/// Its runner runs `script`.
fn scene(script: &str) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let recordings = Recordings::beside(&dir.path().join("ledger.jsonl"));
    let subject = Subject {
        id: [7; 16],
        jail: "dev".to_owned(),
        title: "sh".to_owned(),
        tty: None,
        wanted: Recording { what: What::Output, bytes: 1 << 20 },
        secrets: Secrets::default(),
    };
    let begun = recordings.begin(&subject).unwrap();
    let process = Command::new("sh").args(["-c", script]).process_group(0).spawn().unwrap();
    let (client, theirs) = UnixStream::pair().unwrap();
    let way = Way { pid: process.id(), is_ours: false };
    let (relay, carried) = recording::Ready::new().unwrap().carry(begun, theirs.into(), way);
    let (warden, ours) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let socket = tokio::net::UnixStream::from_std(ours).unwrap();
    let running = Arc::new(Running::default());
    let origin = Origin { jails: Vec::new(), container: None, is_told: true };
    let run = running.enter([7; 16], origin, Card::default());
    let runner = Runner::connected(socket, Some(process.id())).unwrap();
    let supervision = Supervision {
        relay: Some(relay),
        is_given: true,
        ..Supervision::new(Id([7; 16]), run, runner, Instant::now(), None)
    };
    Scene { running, supervision, warden, carried, client, process, _dir: dir }
}

#[tokio::test]
async fn orders_are_heard_while_a_recording_is_closed_and_it_is_not_waited_for_then() {
    let scene = scene("exec sleep 60");
    let Scene { running, mut supervision, mut warden, carried, mut process, .. } = scene;
    let finished = ended(Id([7; 16]), Instant::now(), Some(Status::Exited(0)), None);
    // As long as a runner holds its end there is more to come.
    let closing = tokio::spawn(async move { supervision.close(finished).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!closing.is_finished());
    assert_eq!(running.order(&Order::Leave, |_| true), 1);
    let finished = tokio::time::timeout(HURRY * 4, closing).await.expect("it is deaf").unwrap();
    let recorded = finished.recording.unwrap();
    assert!(recorded.error.unwrap().contains("in time"));
    warden.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert_ne!(warden.read(&mut [0; 64]).unwrap(), 0, "its runner is told");
    drop(carried);
    process.kill().unwrap();
    process.wait().unwrap();
}

#[tokio::test]
async fn the_tree_of_a_runner_that_is_stuck_is_ended_before_its_recording_is_waited_for() {
    let scene = scene("sleep 60; :");
    let Scene { running, mut supervision, warden, carried, mut process, .. } = scene;
    // What the runner holds goes with it.
    let gone = std::thread::spawn(move || {
        let status = process.wait().unwrap();
        drop((warden, carried));
        status
    });
    running.order(&Order::End { why: "the kill switch".to_owned() }, |_| true);
    let clock = Instant::now();
    let finished = supervision.follow(None).await;
    assert!(finished.error.as_deref().unwrap().contains("in time"), "{finished:?}");
    let finished = supervision.close(finished).await;
    assert!(clock.elapsed() < Duration::from_secs(8), "the recording was waited for");
    assert_eq!(finished.recording.unwrap().error, None, "the recording has its end");
    assert!(!gone.join().unwrap().success());
}

#[tokio::test]
async fn a_client_that_takes_its_time_is_within_reach_and_an_order_lets_it_go() {
    let scene = scene("exec sleep 60");
    let Scene { running, mut supervision, warden, carried, mut client, mut process, .. } = scene;
    let mut frames = vec![0];
    let piece = clawrden_protocol::ToClient::Stdout(&[b'x'; 1000]);
    (0..1000).for_each(|_| piece.encode(&mut frames));
    let (length, mut runner) = (frames.len(), UnixStream::from(carried));
    std::thread::spawn(move || std::io::Write::write_all(&mut runner, &frames).unwrap());
    drop(warden);
    process.kill().unwrap();
    process.wait().unwrap();
    let finished = ended(Id([7; 16]), Instant::now(), Some(Status::Exited(0)), None);
    assert_eq!(supervision.close(finished).await.recording.unwrap().error, None);
    let serving = tokio::spawn(supervision.serve());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(running.count(), 1, "there is something left of it");
    assert!(!serving.is_finished());
    running.order(&Order::Stop { why: "ann".to_owned() }, |_| true);
    tokio::time::timeout(Duration::from_secs(5), serving).await.expect("it stays").unwrap();
    assert_eq!(running.count(), 0);
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    assert!(all.len() < length, "it was let go");
}
