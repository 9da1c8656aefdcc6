//! Runs the byte examples of `docs/protocol.md`: a client written from the document speaks the protocol.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::collections::BTreeMap;

use clawrden_protocol::frame::{Handoff, Numbers, Status, Strings};
use clawrden_protocol::request::{Identity, Tty};
use clawrden_protocol::{
    Ack, FrameBuffer, FromClient, Request, RequestV1, RequestV2, ToClient, WaitRequest,
};

fn examples() -> BTreeMap<String, Vec<u8>> {
    let document = include_str!("../../../docs/protocol.md");
    let mut examples = BTreeMap::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("```hex ") else { continue };
        let digits: Vec<&str> = lines
            .by_ref()
            .take_while(|l| !l.starts_with("```"))
            .flat_map(str::split_whitespace)
            .collect();
        let bytes = digits.iter().map(|d| u8::from_str_radix(d, 16).unwrap()).collect();
        assert!(examples.insert(name.to_owned(), bytes).is_none(), "{name} stands twice");
    }
    examples
}

fn request(name: &str) -> (Request, Vec<u8>) {
    let bytes = examples()[name].clone();
    let length = u32::from_be_bytes(*bytes.first_chunk().unwrap());
    assert_eq!(usize::try_from(length).unwrap(), bytes.len() - 4, "the length of {name}");
    (Request::parse(bytes[4..].to_vec()).unwrap(), bytes)
}

/// Splits off the ack, where there is one, and gives the frames.
fn frames(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut buffer = FrameBuffer::new();
    buffer.push(bytes);
    let mut frames = Vec::new();
    while let Some((kind, payload)) = buffer.next_frame().unwrap() {
        frames.push((kind, payload.to_vec()));
    }
    assert!(buffer.is_empty());
    frames
}

#[test]
fn a_version_1_request_is_as_documented() {
    let (request, bytes) = request("request-v1");
    let wanted = RequestV1 {
        command: "ls".into(),
        args: vec!["-l".into()],
        cwd: "/app".into(),
        env: vec!["PATH=/bin".into()],
        identity: Some(Identity { uid: 1000, gid: 1000 }),
    };
    assert_eq!(wanted.encode().unwrap(), bytes);
    assert_eq!(request, Request::V1(wanted));
}

#[test]
fn a_version_2_request_is_as_documented() {
    let (request, bytes) = request("request-v2");
    let mut id = [0; 16];
    id.iter_mut().zip(0u8..).for_each(|(byte, n)| *byte = n * 0x11);
    let wanted = RequestV2::new(
        id,
        Some(Tty { fds: 3, rows: 24, cols: 80 }),
        b"/clawrden/bin/git",
        b"/app",
        [&b"git"[..], b"status"],
        [&b"PATH=/bin"[..]],
    )
    .unwrap();
    assert_eq!(wanted.encode().unwrap(), bytes);
    assert_eq!(request, Request::V2(wanted));
}

#[test]
fn a_request_that_is_only_to_be_judged_is_as_documented() {
    let (request, bytes) = request("request-judge");
    let argv = [&b"bash"[..], b"-c", b"make it"];
    let mut wanted = RequestV2::new([0xab; 16], None, b"bash", b"/app", argv, []).unwrap();
    wanted.judge = true;
    assert_eq!(wanted.encode().unwrap(), bytes);
    assert_eq!(request, Request::V2(wanted));
}

#[test]
fn a_wait_is_as_documented() {
    let (request, bytes) = request("wait");
    let wanted = WaitRequest::new("7f3a".into()).unwrap();
    assert_eq!(wanted.encode().unwrap(), bytes);
    assert_eq!(request, Request::Wait(wanted));
}

#[test]
fn answers_are_as_documented() {
    let all = examples();
    let answer = &all["answer-v1"];
    assert_eq!(Ack::try_from(answer[0]), Ok(Ack::Allowed));
    let parsed = frames(&answer[1..]);
    assert_eq!(ToClient::parse(parsed[0].0, &parsed[0].1), Ok(ToClient::Stdout(b"hi\n")));
    assert_eq!(ToClient::parse(parsed[1].0, &parsed[1].1), Ok(ToClient::Exit(3)));

    let denial = &all["denial"];
    assert_eq!(Ack::try_from(denial[0]), Ok(Ack::Denied));
    let mut encoded = Vec::new();
    ToClient::Denial { rule: "policy.yaml:3", reason: "no" }.encode(&mut encoded);
    assert_eq!(encoded, denial[1..]);

    let reconnect = &all["reconnect"];
    assert_eq!(Ack::try_from(reconnect[0]), Ok(Ack::Pending));
    let mut encoded = Vec::new();
    ToClient::Reconnect(10).encode(&mut encoded);
    assert_eq!(encoded, reconnect[1..]);

    let mut encoded = Vec::new();
    let set = Strings::new(b"A=bc\0").unwrap();
    ToClient::Handoff(Handoff { report: false, by_path: false, path: b"/bin/ls", set })
        .encode(&mut encoded);
    assert_eq!(encoded, all["handoff"]);
}

#[test]
fn what_clients_send_is_as_documented() {
    let all = examples();
    let mut encoded = Vec::new();
    FromClient::Cancel.encode(&mut encoded);
    assert_eq!(encoded, all["cancel"]);
    let mut encoded = Vec::new();
    let numbers: Vec<u8> = [0u32, 1, 2, 9].iter().flat_map(|n| n.to_be_bytes()).collect();
    FromClient::Descriptors(Numbers::new(&numbers).unwrap()).encode(&mut encoded);
    assert_eq!(encoded, all["descriptors"]);
}

#[test]
fn one_of_each_other_frame_is_as_documented() {
    let all = examples();
    for (name, frame) in [
        ("stdin", FromClient::Stdin(b"hi\n")),
        ("stdin-end", FromClient::StdinEnd),
        ("window-size", FromClient::WindowSize { rows: 24, cols: 80 }),
        ("signal", FromClient::Signal(15)),
        ("signal-group", FromClient::SignalGroup(2)),
        ("exited", FromClient::Exited(Status::Exited(3))),
        ("exited-by-signal", FromClient::Exited(Status::Killed(9))),
    ] {
        let mut encoded = Vec::new();
        frame.encode(&mut encoded);
        assert_eq!(encoded, all[name], "{name}");
        let (kind, payload) = &frames(&all[name])[0];
        assert_eq!(FromClient::parse(*kind, payload), Ok(frame), "{name}");
    }
    for (name, frame) in [
        ("killed", ToClient::ExitBySignal(9)),
        ("stopped", ToClient::Stopped(20)),
        ("notice", ToClient::Notice("waiting")),
        ("still-waiting", ToClient::StillWaiting("later")),
        ("want-descriptors", ToClient::WantDescriptors),
        ("failure", ToClient::Failure { code: 124, text: "time" }),
    ] {
        let mut encoded = Vec::new();
        frame.encode(&mut encoded);
        assert_eq!(encoded, all[name], "{name}");
        let (kind, payload) = &frames(&all[name])[0];
        assert_eq!(ToClient::parse(*kind, payload), Ok(frame), "{name}");
    }
}

#[test]
fn every_example_of_the_document_is_run() {
    let here = include_str!("document.rs");
    for name in examples().keys() {
        let used =
            [format!("all[\"{name}\"]"), format!("request(\"{name}\")"), format!("(\"{name}\", ")];
        assert!(used.iter().any(|words| here.contains(words)), "nothing runs the example {name}");
    }
}

#[test]
fn limits_are_as_documented() {
    use clawrden_protocol::limits;
    let document = include_str!("../../../docs/protocol.md");
    let mib = |bytes: u32| format!("{} MiB", bytes / (1024 * 1024));
    let thousands = |n: usize| format!("{},{:03}", n / 1000, n % 1000);
    let strings = usize::try_from(limits::MAX_STRINGS).unwrap();
    for (what, limit) in [
        ("a request", mib(limits::MAX_REQUEST)),
        ("the JSON of a version 2 request", format!("{} bytes", thousands(limits::MAX_JSON_V2))),
        (
            "arguments and environment entries of a request",
            format!(
                "{}; of version 1: {} each",
                thousands(strings),
                thousands(limits::MAX_STRINGS_V1)
            ),
        ),
        ("a frame of a stream (1, 2, 16)", mib(limits::MAX_STREAM_FRAME)),
        ("any other frame", format!("{} KiB", limits::MAX_CONTROL_FRAME / 1024)),
        (
            "from connecting to the request's last byte",
            format!("{} s", limits::REQUEST_DEADLINE.as_secs()),
        ),
        (
            "descriptors that ride along",
            format!("{}, the working directory among them", limits::MAX_DESCRIPTORS),
        ),
    ] {
        let row = format!("| {what} | {limit} |");
        assert!(document.contains(&row), "{row}");
    }
}
