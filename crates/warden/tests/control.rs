//! The control API over a real socket, with a backend that only remembers.

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clawrden_api::{ErrorBody, ErrorCode, Queue};
use clawrden_warden::control::{Limits, Readiness};
use clawrden_warden::process::Identity;
use support::{Served, ask, header, helper, request, whole};

const ANSWERED: &str = "aaaa0000000000000000000000000000";
const WAITING: &str = "bbbb0000000000000000000000000000";

/// Not a test: a client in a process of its own, see [`helper`].
#[test]
fn helper_client() {
    support::be_a_client();
}

#[test]
fn every_route_answers_its_own_user() {
    let served = Served::start(Limits::default());
    for (method, path, body) in [
        ("GET", "/api/status", ""),
        ("GET", "/api/queue", ""),
        ("GET", "/api/history?limit=5&decision=ask", ""),
        ("POST", &format!("/api/queue/{WAITING}/approve"), "{}"),
        ("POST", &format!("/api/queue/{WAITING}/deny"), r#"{"reason":"no"}"#),
        ("POST", "/api/kill", r#"{"pause":true,"reason":"stop"}"#),
        ("POST", "/api/kill", ""),
        ("POST", "/api/resume", ""),
        ("POST", "/api/prisoners", r#"{"command":["sh"],"environment":""}"#),
    ] {
        let (status, text) = ask(&served.path, method, path, body);
        assert_eq!(status, 200, "{method} {path}: {text}");
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
    assert_eq!(
        served.backend.calls(),
        [
            "status",
            "queue",
            "history Some(5) Some(\"ask\")",
            "answer bbbb0000000000000000000000000000 Approve None",
            "answer bbbb0000000000000000000000000000 Deny Some(\"no\")",
            "kill true Some(\"stop\")",
            "kill false None",
            "resume",
            "register [\"sh\"]",
        ]
    );
}

#[test]
fn every_error_has_the_one_shape() {
    let served = Served::start(Limits::default());
    let long = "f".repeat(33);
    for (method, path, body, status, code) in [
        ("GET", "/api/nothing", "", 404, ErrorCode::NotFound),
        ("POST", "/api/queue/cccc/approve", "{}", 404, ErrorCode::NotFound),
        ("POST", "/api/queue/zzzz/deny", "{}", 404, ErrorCode::NotFound),
        ("POST", "/api/queue/..%2f..%2fx/deny", "{}", 404, ErrorCode::NotFound),
        ("POST", &format!("/api/queue/{long}/deny"), "{}", 404, ErrorCode::NotFound),
        ("POST", "/api/queue/abc/approve", "{}", 400, ErrorCode::BadRequest),
        ("POST", "/api/queue/%ff%fe/approve", "{}", 400, ErrorCode::BadRequest),
        ("POST", &format!("/api/queue/{ANSWERED}/approve"), "{}", 409, ErrorCode::Conflict),
        ("GET", "/api/kill", "", 405, ErrorCode::MethodNotAllowed),
        ("DELETE", "/api/queue", "", 405, ErrorCode::MethodNotAllowed),
        ("POST", "/api/kill", "{", 400, ErrorCode::BadRequest),
        ("POST", "/api/kill", "[]", 400, ErrorCode::BadRequest),
        ("POST", "/api/kill", r#"{"force":true}"#, 400, ErrorCode::BadRequest),
        ("POST", "/api/kill", r#"{"pause":true,"pause":false}"#, 400, ErrorCode::BadRequest),
        ("POST", "/api/resume", r#"{"x":1}"#, 400, ErrorCode::BadRequest),
        ("POST", "/api/prisoners", "", 400, ErrorCode::BadRequest),
        ("GET", "/api/history?limit=0", "", 400, ErrorCode::BadRequest),
        ("POST", "/api/queue/dddd/approve", "{}", 500, ErrorCode::Internal),
    ] {
        let (found, text) = ask(&served.path, method, path, body);
        assert_eq!(found, status, "{method} {path}: {text}");
        let error: ErrorBody = serde_json::from_str(&text).unwrap();
        assert_eq!(error.code, code, "{method} {path}: {text}");
        assert!(!error.message.is_empty());
    }
    let (_, text) = ask(&served.path, "GET", "/api/history?since_ms=soon", "");
    assert!(text.contains("since_ms"), "{text}");
    assert_eq!(ask(&served.path, "GET", "/api/status", "").0, 200);
}

#[test]
fn liveness_is_told_to_everybody_and_nothing_else() {
    let served = Served::start(Limits::default());
    served.backend.imprison(Identity::own().unwrap());
    let path = served.path.to_str().unwrap();
    let said = helper(&[]).arg(path).args(["GET", "/healthz"]).output().unwrap();
    assert!(String::from_utf8_lossy(&said.stdout).contains("said:200 ok"), "{said:?}");
    for path_asked in ["/healthz/", "/healthz/../api/status", "//healthz", "/Healthz"] {
        let said = helper(&[]).arg(path).args(["GET", path_asked]).output().unwrap();
        assert!(String::from_utf8_lossy(&said.stdout).contains("said:403"), "{said:?}");
    }
}

#[test]
fn readiness_says_what_is_missing() {
    let served = Served::start(Limits::default());
    assert_eq!(ask(&served.path, "GET", "/readyz", ""), (200, "ready\n".to_owned()));
    let notes = vec!["the policy's files do not load".to_owned()];
    served.backend.be(Readiness { missing: Vec::new(), notes: notes.clone() });
    let noted = "ready\nnote: the policy's files do not load\n".to_owned();
    assert_eq!(ask(&served.path, "GET", "/readyz", ""), (200, noted));
    served.backend.be(Readiness { missing: vec!["a\nready".to_owned(), "b".to_owned()], notes });
    let (status, text) = ask(&served.path, "GET", "/readyz", "");
    assert_eq!(status, 503, "{text}");
    let error: ErrorBody = serde_json::from_str(&text).unwrap();
    assert_eq!((error.code, &*error.message), (ErrorCode::NotReady, "a\nready; b"));
    assert_eq!(ask(&served.path, "POST", "/readyz", "").0, 405);
}

#[test]
fn metrics_come_in_the_format_that_is_accepted() {
    let served = Served::start(Limits::default());
    for (accept, kind) in [
        ("*/*", "content-type: text/plain; version=0.0.4"),
        (
            "application/openmetrics-text; version=1.0.0",
            "content-type: application/openmetrics-text",
        ),
    ] {
        let mut stream = UnixStream::connect(&served.path).unwrap();
        let asked = format!(
            "GET /metrics HTTP/1.1\r\nhost: warden\r\naccept: {accept}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(asked.as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.starts_with("HTTP/1.1 200") && said.contains(kind), "{said}");
        assert!(said.ends_with("clawrden_pending 0\n"), "{said}");
    }
    assert_eq!(served.backend.calls(), ["metrics Prometheus", "metrics OpenMetrics"]);
}

#[test]
fn a_prisoner_learns_no_metrics() {
    let served = Served::start(Limits::default());
    served.backend.imprison(Identity::own().unwrap());
    let path = served.path.to_str().unwrap();
    for asked in ["/metrics", "/readyz"] {
        let said = helper(&[]).arg(path).args(["GET", asked]).output().unwrap();
        assert!(String::from_utf8_lossy(&said.stdout).contains("said:403"), "{said:?}");
    }
    assert_eq!(served.backend.calls(), Vec::<String>::new());
}

#[test]
fn a_prisoner_s_descendant_is_refused_and_recorded() {
    let served = Served::start(Limits::default());
    let path = served.path.to_str().unwrap();
    // The shell waits until it is a prisoner's root; the client below it is its grandchild.
    let script = "read go; (\"$@\" & wait)";
    let mut root = helper(&["sh", "-c", script, "sh"])
        .arg(path)
        .args(["POST", "/api/kill"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    served.backend.imprison(Identity::of(root.id()).unwrap());
    root.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let said = root.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("said:403") && said.contains("forbidden"), "{said}");
    assert!(said.contains("prisoner"), "{said}");
    assert_eq!(served.backend.calls(), Vec::<String>::new());
    assert_eq!(served.backend.refusals(), ["POST /api/kill: Prisoner(\"p\")"]);

    let said = helper(&[]).arg(path).args(["GET", "/api/status"]).output().unwrap();
    assert!(String::from_utf8_lossy(&said.stdout).contains("said:200"), "{said:?}");
}

#[test]
fn a_caller_whose_ancestry_cannot_be_told_is_refused() {
    let served = Served::start(Limits::default());
    served.backend.know_nothing();
    let (status, text) = ask(&served.path, "GET", "/api/queue", "");
    assert_eq!(status, 403, "{text}");
    assert_eq!(served.backend.refusals(), ["GET /api/queue: Unclear(\"blind\")"]);
}

#[test]
fn refusals_on_the_socket_are_recorded_a_hundred_times_a_minute() {
    let served = Served::start(Limits::default());
    served.backend.know_nothing();
    for _ in 0..120 {
        assert_eq!(ask(&served.path, "GET", "/api/queue", "").0, 403);
    }
    let refusals = served.backend.refusals();
    assert_eq!(refusals.len(), 100);
    assert!(refusals[99].ends_with("further ones are only counted"), "{}", refusals[99]);
}

#[test]
fn a_peer_that_became_a_prisoner_loses_its_open_connection() {
    let served = Served::start(Limits::default());
    let mut stream = UnixStream::connect(&served.path).unwrap();
    let keep = "GET /api/queue HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(keep.as_bytes()).unwrap();
    assert!(support::read_one(&mut stream).starts_with("HTTP/1.1 200"));
    served.backend.know_nothing();
    stream.write_all(keep.as_bytes()).unwrap();
    assert!(support::read_one(&mut stream).starts_with("HTTP/1.1 403"));
}

#[test]
fn a_peer_that_has_ended_is_refused_and_recorded() {
    let served = Served::start(Limits::default());
    let folder = tempfile::tempdir().unwrap();
    let answer = folder.path().join("answer");
    // The helper connects, gives its connection to a shell and ends; the shell speaks for it then.
    let mut client = helper(&[])
        .arg(served.path.to_str().unwrap())
        .args(["LEAVE", answer.to_str().unwrap()])
        .spawn()
        .unwrap();
    assert!(client.wait().unwrap().success());
    std::fs::write(answer.with_extension("go"), "").unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while !answer.with_extension("done").exists() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    let said = std::fs::read_to_string(&answer).unwrap();
    assert!(said.starts_with("HTTP/1.1 403"), "{said}");
    assert_eq!(served.backend.refusals(), ["GET /api/status: Ended"]);
}

#[test]
fn a_body_over_its_limit_is_refused() {
    let served = Served::start(Limits::default());
    let reason = |length: usize| format!(r#"{{"reason":"{}"}}"#, "x".repeat(length));
    let (status, _) = ask(&served.path, "POST", "/api/kill", &reason(1024 * 1024 - 13));
    assert_eq!(status, 200);
    let (status, text) = ask(&served.path, "POST", "/api/kill", &reason(1024 * 1024 - 12));
    assert_eq!(status, 413, "{text}");
    assert_eq!(serde_json::from_str::<ErrorBody>(&text).unwrap().code, ErrorCode::TooLarge);
    let (status, text) = ask(&served.path, "POST", "/api/kill", &reason(20 * 1024 * 1024));
    assert_eq!(status, 413, "{text}");

    let prisoner =
        |length: usize| format!(r#"{{"command":[],"environment":"{}"}}"#, "A".repeat(length));
    assert_eq!(ask(&served.path, "POST", "/api/prisoners", &prisoner(9 * 1024 * 1024)).0, 200);
    assert_eq!(ask(&served.path, "POST", "/api/prisoners", &prisoner(16 * 1024 * 1024)).0, 413);
}

#[test]
fn a_slow_head_and_an_idle_connection_are_cut() {
    let limits = Limits { head: Duration::from_millis(200), ..Limits::default() };
    let served = Served::start(limits);
    for begun in ["", "GET /api/status HTTP/1.1\r\nhost: x\r\n"] {
        let mut stream = UnixStream::connect(&served.path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(begun.as_bytes()).unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert!(!rest.contains("200 OK"), "{rest}");
    }
    assert_eq!(served.backend.calls(), Vec::<String>::new());
}

#[test]
fn a_slow_body_is_cut() {
    let served = Served::start(Limits { body: Duration::from_millis(200), ..Limits::default() });
    let mut stream = UnixStream::connect(&served.path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"POST /api/kill HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{").unwrap();
    let text = support::read_one(&mut stream);
    assert!(text.starts_with("HTTP/1.1 408") && text.contains("too_slow"), "{text}");
    assert_eq!(served.backend.calls(), Vec::<String>::new());
}

#[test]
fn a_reader_that_does_not_read_gives_its_seat_away() {
    let limits = Limits { connections: 1, write: Duration::from_millis(300), ..Limits::default() };
    let served = Served::start(limits);
    served.backend.fill_queue(20_000);
    let mut greedy = UnixStream::connect(&served.path).unwrap();
    greedy.write_all(request("GET", "/api/queue", "").as_bytes()).unwrap();
    let (status, text) = ask(&served.path, "GET", "/api/queue", "");
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_str::<Queue>(&text).unwrap().entries.len(), 20_000);
}

#[test]
fn more_clients_than_seats_are_all_served() {
    let served = Served::start(Limits { connections: 4, ..Limits::default() });
    let path = &served.path;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..64)
            .map(|number| {
                scope.spawn(move || {
                    let method = if number % 2 == 0 { "GET" } else { "POST" };
                    let route = if number % 2 == 0 { "/api/status" } else { "/api/resume" };
                    ask(path, method, route, "").0
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), 200);
        }
    });
    assert_eq!(served.backend.calls().len(), 64);
}

#[test]
fn a_stop_answers_what_is_open_and_takes_nothing_more() {
    let served = Served::start(Limits::default());
    served.backend.be_slow(Duration::from_millis(400));
    let idle = UnixStream::connect(&served.path).unwrap();
    let mut busy = UnixStream::connect(&served.path).unwrap();
    busy.write_all(request("POST", "/api/kill", "").as_bytes()).unwrap();
    while served.backend.calls().is_empty() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let path = served.path.clone();
    let begin = Instant::now();
    served.stop();
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    assert!(support::read_one(&mut busy).starts_with("HTTP/1.1 200"));
    let mut nothing = String::new();
    (&idle).read_to_string(&mut nothing).unwrap();
    assert_eq!(nothing, "");
    assert!(UnixStream::connect(path).is_err());
}

#[test]
fn garbage_is_no_request() {
    let served = Served::start(Limits::default());
    let long = vec![b'a'; 2 * 1024 * 1024];
    for bytes in [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"\r\n\r\n\r\n", &[0xff; 4096], &long] {
        let mut stream = UnixStream::connect(&served.path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // The server may close before all of it is written.
        let _closed = stream.write_all(bytes);
        let _closed = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
    assert_eq!(ask(&served.path, "GET", "/api/status", "").0, 200);
}

#[test]
fn a_second_server_is_told_who_holds_the_socket() {
    let served = Served::start(Limits::default());
    let error = clawrden_warden::sockets::bind_private(&served.path, 0o600).unwrap_err();
    assert!(error.to_string().contains(&format!("held by pid {}", std::process::id())));
    assert_eq!(ask(&served.path, "GET", "/api/status", "").0, 200);
}

#[test]
fn the_socket_of_a_killed_holder_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let mut holder =
        helper(&[]).arg(&path).args(["HOLD", "-"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = [0; 1];
    while said[0] != b'!' {
        holder.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    }
    let error = clawrden_warden::sockets::bind_private(&path, 0o600).unwrap_err();
    assert!(error.to_string().contains(&format!("held by pid {}", holder.id())), "{error}");
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(path.exists());
    let bound = clawrden_warden::sockets::bind_private(&path, 0o600).unwrap();
    UnixStream::connect(bound.path()).unwrap();
}

#[test]
fn another_user_is_refused_although_the_socket_is_open_to_it() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let served = Served::start(Limits::default());
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(&served.path, 0o666);
    open(served.path.parent().unwrap(), 0o755);
    // The test program itself may lie where that user cannot go, so a copy of it is run.
    let copy = served.path.with_file_name("client");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    open(&copy, 0o755);
    let said = Command::new(&copy)
        .args(["--exact", "helper_client", "--nocapture"])
        .env(support::HELPER, format!("{}\nGET\n/api/status", served.path.display()))
        .current_dir("/")
        .uid(4711)
        .gid(4711)
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&said.stdout).contains("said:403"), "{said:?}");
    assert_eq!(served.backend.refusals(), ["GET /api/status: ForeignUser(4711)"]);
}

#[test]
fn every_answer_has_an_id_of_its_own_and_nothing_that_a_browser_could_misuse() {
    let served = Served::start(Limits::default());
    let mut ids = std::collections::BTreeSet::new();
    for (method, path) in
        [("GET", "/healthz"), ("GET", "/api/status"), ("GET", "/nothing"), ("PUT", "/api/queue")]
    {
        let (head, body) = whole(&served.path, &request(method, path, ""));
        let id = header(&head, "x-request-id").unwrap();
        assert!(ids.insert(id.to_owned()), "{id} came twice");
        assert_eq!(header(&head, "x-content-type-options"), Some("nosniff"), "{head}");
        assert_eq!(header(&head, "x-frame-options"), Some("deny"), "{head}");
        assert!(header(&head, "content-security-policy").unwrap().contains("'none'"), "{head}");
        assert_eq!(header(&head, "cache-control"), Some("no-store"), "{head}");
        if !head.contains(" 200 ") {
            assert_eq!(header(&head, "content-type"), Some("application/problem+json"), "{head}");
            let problem: clawrden_api::Problem = serde_json::from_str(&body).unwrap();
            assert_eq!(problem.request_id, id);
        }
    }
}

#[test]
fn the_description_is_served_and_a_queue_that_a_client_has_is_not_sent_again() {
    let served = Served::start(Limits::default());
    served.backend.fill_queue(30);
    let (head, body) = whole(&served.path, &request("GET", "/api/openapi.json", ""));
    assert!(head.contains(" 200 "), "{head}");
    let described: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert!(described["paths"]["/api/queue/{id}/approve"]["post"].is_object());
    let (_, body) = whole(&served.path, &request("GET", "/api/queue?limit=20", ""));
    let page: Queue = serde_json::from_str(&body).unwrap();
    assert_eq!(page.entries.len(), 20);
    let rest = format!("/api/queue?limit=20&cursor={}", page.next.unwrap());
    let (head, body) = whole(&served.path, &request("GET", &rest, ""));
    let page: Queue = serde_json::from_str(&body).unwrap();
    assert_eq!((page.entries.len(), page.next), (10, None));
    let tag = header(&head, "etag").unwrap().replace("w/", "W/");
    let again = request("GET", &rest, "")
        .replace("connection:", &format!("if-none-match: {tag}\r\nconnection:"));
    let (head, body) = whole(&served.path, &again);
    assert!(head.contains(" 304 "), "{head}");
    assert_eq!(body, "");
}

#[test]
fn a_head_over_its_bounds_is_refused() {
    let served = Served::start(Limits::default());
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = format!("x: {}\r\n", "y".repeat(200_000));
    for headers in [many, long] {
        let mut stream = UnixStream::connect(&served.path).unwrap();
        let head = format!("GET /api/status HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        // It may close before it has read all of it.
        let written = stream.write_all(head.as_bytes());
        let mut text = Vec::new();
        let read = stream.read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text);
        let was_cut = text.is_empty() && (written.is_err() || read.is_err());
        assert!(was_cut || text.starts_with("HTTP/1.1 431 "), "{text}");
    }
    assert!(served.backend.calls().is_empty());
}
