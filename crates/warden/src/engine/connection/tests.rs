use super::*;

#[test]
fn both_speak_the_older_of_their_versions_and_none_before_1_41() {
    assert_eq!(spoken("1.41"), Some((1, 41)));
    assert_eq!(spoken("1.45"), Some((1, 45)));
    let ours = bollard::API_DEFAULT_VERSION;
    assert_eq!(spoken("1.999"), Some((ours.major_version, ours.minor_version)));
    for old in ["1.40", "0.99", "", "1", "x.y"] {
        assert_eq!(spoken(old), None, "{old:?}");
    }
}

#[test]
fn every_call_names_the_version_that_is_spoken() {
    let uri: Uri = "unix://2f78/containers/json?all=true".parse().unwrap();
    let versioned = versioned(&uri, "/v1.41").unwrap();
    assert_eq!(versioned.to_string(), "unix://2f78/v1.41/containers/json?all=true");
}

#[test]
fn an_engine_says_whether_its_root_is_the_hosts() {
    let info = |options: &[&str]| SystemInfo {
        security_options: Some(options.iter().map(|&option| option.to_owned()).collect()),
        ..SystemInfo::default()
    };
    let about = |name: &str, owner| About {
        address: String::new(),
        name: name.to_owned(),
        version: String::new(),
        api: String::new(),
        owner,
    };
    let maps = |options: &[&str]| details(&about("Docker Engine", 1000), info(options)).maps_users;
    assert!(!maps(&["name=seccomp,profile=default", "name=apparmor"]));
    assert!(maps(&["name=seccomp,profile=default", "name=userns"]));
    assert!(maps(&["name=rootless"]));
    let podman = |owner| details(&about("Podman Engine", owner), info(&[])).maps_users;
    assert_eq!([podman(0), podman(1000), podman(OVERFLOW)], [false, true, false]);
}

/// An engine that says these headers to a ping, and answers each other question by the end of its path with a text;
/// without one it never does. Gives the paths that it was asked.
fn speaking(
    socket: &Path,
    headers: &'static str,
    answers: &'static [(&'static str, &'static str)],
) -> Arc<std::sync::Mutex<Vec<String>>> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::UnixListener::bind(socket).unwrap();
    let asked = Arc::<std::sync::Mutex<Vec<String>>>::default();
    let told = Arc::clone(&asked);
    let answer = move |path: &str| {
        if path == "/_ping" {
            return Some((headers, "OK"));
        }
        answers.iter().find(|(end, _)| path.ends_with(end)).map(|(_, text)| ("", *text))
    };
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let told = Arc::clone(&told);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let path = head.split([' ', '?']).nth(1).unwrap().to_owned();
                let answer = answer(&path);
                told.lock().unwrap().push(path);
                let Some((headers, text)) = answer else {
                    return std::future::pending().await;
                };
                let length = text.len();
                let said = format!(
                    "HTTP/1.1 200 OK\r\n{headers}connection: close\r\ncontent-type: application/json\r\n\
                     content-length: {length}\r\n\r\n{text}"
                );
                stream.write_all(said.as_bytes()).await.unwrap();
            });
        }
    });
    asked
}

const PODMAN: &str =
    "Api-Version: 1.41\r\nLibpod-Api-Version: 5.4.2\r\nServer: Libpod/5.4.2 (linux)\r\n";

#[tokio::test]
async fn an_engine_that_is_slow_to_describe_itself_is_known_and_asked_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let asked = speaking(&socket, PODMAN, &[("/v1.41/containers/json", "[]")]);
    let engine = Engine::new(super::super::EngineAddress::Unix(socket));
    let about = engine.about().await.unwrap();
    let (name, version, api) = (&about.name[..], &about.version[..], &about.api[..]);
    assert_eq!((name, version, api), ("Podman Engine", "5.4.2", "1.41"));
    assert_eq!(engine.list_containers(&[], true).await.unwrap(), vec![]);
    let asked = asked.lock().unwrap().clone();
    assert!(asked.iter().all(|path| !path.ends_with("/version")), "{asked:?}");
    assert!(engine.state().about.is_some() && engine.may_be_there());
}

#[tokio::test]
async fn an_engine_that_does_not_say_what_it_is_to_a_ping_is_asked_for_its_version() {
    const INFO: &str =
        r#"{"ID": "an-id", "CgroupDriver": "systemd", "SecurityOptions": ["name=rootless"]}"#;
    const VERSION: &str = r#"{"ApiVersion": "1.41", "Version": "4.3.1", "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}]}"#;
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let asked = speaking(&socket, "", &[("/version", VERSION), ("/v1.41/info", INFO)]);
    let engine = Engine::new(super::super::EngineAddress::Unix(socket));
    let about = engine.about().await.unwrap();
    let (name, version, api) = (&about.name[..], &about.version[..], &about.api[..]);
    assert_eq!((name, version, api), ("Podman Engine", "4.3.1", "1.41"));
    let details = engine.details().await.unwrap();
    assert_eq!((&details.id[..], &details.cgroup_driver[..]), ("an-id", "systemd"));
    assert!(engine.maps_users().await.unwrap());
    let infos = || asked.lock().unwrap().iter().filter(|path| path.ends_with("/info")).count();
    assert_eq!(infos(), 1, "it is asked once, whoever wants to know");
}

#[tokio::test]
async fn an_engine_that_speaks_too_old_an_api_says_so_by_its_headers() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    speaking(&socket, "Api-Version: 1.40\r\nServer: Docker/19.03.15 (linux)\r\n", &[]);
    let engine = Engine::new(super::super::EngineAddress::Unix(socket));
    let refused = engine.about().await.unwrap_err();
    assert!(matches!(&refused, EngineError::TooOld { api, .. } if api == "1.40"), "{refused}");
}

#[tokio::test]
async fn who_waits_for_a_look_that_finds_nothing_does_not_look_again() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let came = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counting = std::sync::Arc::clone(&came);
    // It takes connections and closes them.
    let closing = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counting.fetch_add(1, Ordering::SeqCst);
            drop(stream);
        }
    });
    let address = super::super::EngineAddress::Unix(socket);
    let engine = Engine::new(address);
    let ask = || engine.about();
    let all = futures_util::future::join_all([ask(), ask(), ask()]).await;
    assert!(all.iter().all(|found| found.as_ref().is_err_and(EngineError::is_absent)));
    let of_three = came.swap(0, Ordering::SeqCst);
    assert!(ask().await.is_err(), "who comes later looks anew");
    assert_eq!((of_three, of_three > 0), (came.load(Ordering::SeqCst), true));
    closing.abort();
}
