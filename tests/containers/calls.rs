//! What the warden asks of a container engine, asked of a real one.

use std::os::unix::fs::PermissionsExt;

use clawrden_warden::engine::{
    Action, Bind, Engine, EngineError, Event, Limits, NewContainer, NewExec, Running, Tmpfs,
};

use crate::support::engine;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn connected() -> Engine {
    Engine::new(engine::get().address.parse().unwrap())
}

/// A container that goes whatever becomes of the test.
struct Gone(String);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = engine::get().docker().args(["rm", "-f", "-v", &self.0]).output();
    }
}

fn sleeping() -> NewContainer {
    NewContainer {
        image: engine::get().image("alpine"),
        command: words(&["/bin/sleep", "1000"]),
        user: "1000:1001".to_owned(),
        ..NewContainer::default()
    }
}

#[tokio::test]
async fn an_engine_tells_what_it_is() {
    let engine = connected();
    assert_eq!(engine.state().about, None);
    let about = engine.about().await.unwrap();
    assert_eq!((&about.name[..], &about.api[..2]), ("Docker Engine", "1."));
    assert!(!about.version.is_empty());
    assert_eq!(engine.state().about, Some(about));
    let details = engine.details().await.unwrap();
    assert!(!details.maps_users && !details.cgroup_driver.is_empty());
    assert!(!engine.maps_users().await.unwrap());
}

#[tokio::test]
async fn a_container_lives_from_its_making_to_its_removal() {
    let engine = connected();
    let mut events = engine.events();
    assert!(matches!(events.next().await, Event::Connected(_)));
    let id = engine.create_container(&sleeping()).await.unwrap();
    let _gone = Gone(id.clone());
    let made = engine.inspect_container(&id).await.unwrap();
    assert_eq!((made.running, made.pid, made.exit_code), (Running::No, None, None));
    for _ in 0..2 {
        engine.start_container(&id).await.unwrap();
    }
    let runs = engine.inspect_container(&made.name).await.unwrap();
    assert_eq!((&runs.id, runs.running, &runs.user[..]), (&id, Running::Yes, "1000:1001"));
    assert!(std::path::Path::new(&format!("/proc/{}", runs.pid.unwrap())).exists());
    let conflict =
        |result: Result<(), EngineError>| matches!(result, Err(EngineError::Conflict { .. }));
    engine.pause_container(&id).await.unwrap();
    assert!(conflict(engine.pause_container(&id).await));
    engine.unpause_container(&id).await.unwrap();
    assert!(conflict(engine.unpause_container(&id).await));
    let waiting = tokio::spawn({
        let (engine, id) = (engine.clone(), id.clone());
        async move { engine.wait_container(&id).await }
    });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    engine.kill_container(&id, "SIGKILL").await.unwrap();
    assert_eq!(waiting.await.unwrap(), Ok(137));
    assert_eq!(engine.wait_container(&id).await, Ok(137));
    assert!(conflict(engine.kill_container(&id, "SIGKILL").await));
    assert_eq!(engine.inspect_container(&id).await.unwrap().exit_code, Some(137));
    for _ in 0..2 {
        engine.remove_container(&id).await.unwrap();
    }
    assert!(engine.inspect_container(&id).await.unwrap_err().is_not_found());
    let mut told = Vec::new();
    while told.last() != Some(&Action::Removed) {
        if let Event::Container { id: about, action, .. } = events.next().await
            && about == id
        {
            told.push(action);
        }
    }
    use Action::{Created, Ended, Paused, Removed, Started, Unpaused};
    assert_eq!(told, [Created, Started, Paused, Unpaused, Ended, Removed]);
}

#[tokio::test]
async fn a_container_gets_what_it_was_given_and_nothing_more() {
    let shared = tempfile::tempdir().unwrap();
    std::fs::write(shared.path().join("file"), "shared\n").unwrap();
    let engine = connected();
    let out = tempfile::tempdir().unwrap();
    std::fs::set_permissions(out.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let script = "exec >/out/said 2>&1; cat /work/file; touch /work/x /etc/x; id; ls /sys/class/net; grep CapEff /proc/self/status; \
                  grep NoNewPrivs /proc/self/status; touch /home/x && stat -c %u:%g /home; echo $SAID; \
                  cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes";
    let new = NewContainer {
        command: words(&["/bin/sh", "-c", script]),
        groups: vec![7],
        environment: words(&["SAID=so"]),
        binds: [(&shared, "/work"), (&out, "/out")]
            .map(|(folder, target)| Bind {
                source: folder.path().display().to_string(),
                target: target.to_owned(),
                is_read_only: target == "/work",
            })
            .into(),
        tmpfs: vec![Tmpfs {
            target: "/home".to_owned(),
            bytes: 1 << 20,
            mode: 0o700,
            owner: Some((1000, 1001)),
            is_executable: false,
        }],
        limits: Limits { memory: 64 << 20, pids: 32, ..Limits::default() },
        ..sleeping()
    };
    let id = engine.create_container(&new).await.unwrap();
    let _gone = Gone(id.clone());
    engine.start_container(&id).await.unwrap();
    engine.wait_container(&id).await.unwrap();
    let said = std::fs::read_to_string(out.path().join("said")).unwrap();
    for wanted in [
        "shared\n",
        "uid=1000(quicksand) gid=1001 groups=7(lp)",
        "lo\n",
        "CapEff:\t0000000000000000",
        "NoNewPrivs:\t1",
        "1000:1001",
        "so\n",
        "67108864",
    ] {
        assert!(said.contains(wanted), "{wanted:?} of:\n{said}");
    }
    assert!(!said.contains("eth0"), "{said}");
    assert_eq!(said.matches("Read-only").count(), 2, "{said}");
}

#[tokio::test]
async fn what_cannot_be_is_told_apart() {
    let engine = connected();
    let missing = |error: EngineError| error.is_not_found();
    let none = NewContainer { image: "clawrden-test/none:1".to_owned(), ..NewContainer::default() };
    assert!(missing(engine.create_container(&none).await.unwrap_err()));
    assert!(missing(engine.inspect_image("clawrden-test/none:1").await.unwrap_err()));
    assert!(missing(engine.inspect_container("no-such-container").await.unwrap_err()));
    assert!(missing(engine.start_exec(&"0".repeat(64)).await.unwrap_err()));
    let odd = engine.inspect_container("x/../../info").await.unwrap_err();
    assert!(matches!(odd, EngineError::BadName { .. }), "{odd}");
    let started = async |new: NewContainer| {
        let id = engine.create_container(&new).await?;
        let _gone = Gone(id.clone());
        engine.start_container(&id).await
    };
    let program = NewContainer { command: words(&["/no/such"]), ..sleeping() };
    let program = started(program).await.unwrap_err();
    assert!(program.to_string().contains("no such file"), "{program}");
    let network = NewContainer { network: "no-such-network".to_owned(), ..sleeping() };
    assert!(missing(started(network).await.unwrap_err()));
    let bind =
        Bind { source: "/no/such/folder".to_owned(), target: "/x".to_owned(), ..Bind::default() };
    let folder = started(NewContainer { binds: vec![bind], ..sleeping() }).await.unwrap_err();
    assert!(folder.to_string().contains("/no/such/folder"), "{folder}");
}

#[tokio::test]
async fn a_process_is_started_in_a_container_and_its_end_is_told() {
    let engine = connected();
    let id = engine.create_container(&sleeping()).await.unwrap();
    let _gone = Gone(id.clone());
    engine.start_container(&id).await.unwrap();
    let new = NewExec {
        command: words(&["/bin/sh", "-c", "sleep 1; exit 7"]),
        user: "0:0".to_owned(),
        ..NewExec::default()
    };
    let exec = engine.create_exec(&id, &new).await.unwrap();
    engine.start_exec(&exec).await.unwrap();
    let runs = engine.inspect_exec(&exec).await.unwrap();
    assert_eq!((&runs.container, runs.is_running, runs.exit_code), (&id, true, None));
    let status = std::fs::read_to_string(format!("/proc/{}/status", runs.pid.unwrap())).unwrap();
    assert!(status.contains("Uid:\t0\t0\t0\t0"), "{status}");
    for _ in 0..100 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        if !engine.inspect_exec(&exec).await.unwrap().is_running {
            break;
        }
    }
    let ended = engine.inspect_exec(&exec).await.unwrap();
    assert_eq!((ended.is_running, ended.pid, ended.exit_code), (false, None, Some(7)));
    let none = NewExec { command: words(&["/no/such"]), ..NewExec::default() };
    let exec = engine.create_exec(&id, &none).await.unwrap();
    assert!(engine.start_exec(&exec).await.is_err());
}
