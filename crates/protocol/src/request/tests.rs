use super::*;
use alloc::vec;

fn sample() -> RequestV2 {
    RequestV2::new(
        [7; 16],
        Some(Tty { fds: 0b111, rows: 24, cols: 80 }),
        b"/clawrden/bin/git",
        b"/work",
        [&b"git"[..], b"log", b"\xff\xfe", b""],
        [&b"PATH=/bin"[..], b"NOEQUALS", b""],
    )
    .unwrap()
}

fn parse(whole: &[u8]) -> Result<Request, ProtocolError> {
    Request::parse(whole[4..].to_vec())
}

#[test]
fn version_2_comes_back_as_it_went_any_bytes_included() {
    let request = sample();
    let whole = request.encode().unwrap();
    assert_eq!(whole[..4], length(whole.len() - 4).to_be_bytes());
    let Ok(Request::V2(back)) = parse(&whole) else { panic!("not version 2") };
    assert_eq!(back, request);
    assert_eq!(back.exec(), b"/clawrden/bin/git");
    assert_eq!(back.cwd(), b"/work");
    assert_eq!(back.argv().collect::<Vec<_>>(), [&b"git"[..], b"log", b"\xff\xfe", b""]);
    assert_eq!(back.env().collect::<Vec<_>>(), [&b"PATH=/bin"[..], b"NOEQUALS", b""]);
}

#[test]
fn a_request_that_is_only_to_be_judged_says_so() {
    let request = RequestV2 { judge: true, ..sample() };
    let whole = request.encode().unwrap();
    assert_eq!(parse(&whole), Ok(Request::V2(request)));
    let plain = sample().encode().unwrap();
    assert_ne!(whole, plain);
    let Ok(Request::V2(back)) = parse(&plain) else { panic!("not version 2") };
    assert!(!back.judge);
    let refused = [
        &br#"xxxx{"command":"ls","cwd":"/","judge":true}"#[..],
        br#"xxxx{"v":2,"wait":"abcd","judge":true}"#,
        b"xxxx{\"v\":2,\"id\":\"00000000000000000000000000000000\",\"argc\":1,\"envc\":0,\"judge\":1}\0x\0\0x\0",
    ];
    for json in refused {
        assert!(parse(json).is_err(), "{}", String::from_utf8_lossy(json));
    }
}

#[test]
fn what_is_forgotten_leaves_the_tool_and_the_directory() {
    let mut request = sample();
    request.forget_words();
    assert_eq!((request.env().count(), request.argv().count()), (0, 0));
    assert_eq!((request.exec(), request.cwd()), (&b"/clawrden/bin/git"[..], &b"/work"[..]));
}

#[test]
fn an_empty_environment_is_empty() {
    let request = RequestV2::new([0; 16], None, b"x", b"", [&b"x"[..]], []).unwrap();
    let Ok(Request::V2(back)) = parse(&request.encode().unwrap()) else { panic!() };
    assert_eq!(back.env().count(), 0);
    assert_eq!(back.argv().count(), 1);
}

#[test]
fn version_1_comes_back_as_it_went() {
    let request = RequestV1 {
        command: "ls".into(),
        args: vec!["-l".into()],
        cwd: "/app".into(),
        env: vec!["A=b".into()],
        identity: Some(Identity { uid: 1, gid: 2 }),
    };
    assert_eq!(parse(&request.encode().unwrap()), Ok(Request::V1(request)));
}

#[test]
fn mixed_versions_are_refused() {
    let json = br#"xxxx{"command":"ls","cwd":"/","id":"00"}"#;
    assert_eq!(parse(json), Err(ProtocolError::MixedVersions("id")));
    let json = br#"xxxx{"v":2,"wait":"abcd","command":"ls"}"#;
    assert!(matches!(parse(json), Err(ProtocolError::BadHeader(_))));
    let json = br#"xxxx{"v":2,"command":"ls","cwd":"/"}"#;
    assert!(parse(json).is_err());
}

#[test]
fn duplicate_fields_are_refused() {
    for json in [
        &br#"xxxx{"command":"ls","command":"rm","cwd":"/"}"#[..],
        br#"xxxx{"v":2,"v":2,"wait":"abcd"}"#,
        br#"xxxx{"v":2,"wait":"abcd","wait":"abce"}"#,
    ] {
        assert!(matches!(parse(json), Err(ProtocolError::BadHeader(_))));
    }
}

#[test]
fn counts_that_lie_are_refused() {
    let good = sample().encode().unwrap();
    let text = String::from_utf8_lossy(&good[4..]).into_owned();
    assert!(text.contains("\"argc\":4,\"envc\":3"));
    for (from, to) in [
        ("\"envc\":3", "\"envc\":2"),
        ("\"envc\":3", "\"envc\":4"),
        ("\"argc\":4", "\"argc\":0"),
        ("\"argc\":4", "\"argc\":4294967295"),
    ] {
        let at = good.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        let mut bad = good[4..at].to_vec();
        bad.extend(to.as_bytes());
        bad.extend(&good[at + from.len()..]);
        assert!(Request::parse(bad).is_err(), "{to}");
    }
    let mut cut = good[4..].to_vec();
    cut.pop();
    assert!(Request::parse(cut).is_err());
}

#[test]
fn a_version_of_the_future_is_named() {
    assert_eq!(parse(br#"xxxx{"v":3}"#), Err(ProtocolError::UnknownVersion(3)));
    assert_eq!(parse(b"xxxx{\"v\":3}\0"), Err(ProtocolError::UnknownVersion(3)));
}

#[test]
fn a_length_over_the_limit_is_refused() {
    assert!(check_length(MAX_REQUEST).is_ok());
    assert!(check_length(MAX_REQUEST + 1).is_err());
    assert!(check_length(u32::MAX).is_err());
}

#[test]
fn six_mebibytes_of_any_bytes_fit() {
    let arg = vec![0xff; 128 * 1024 - 1];
    let argv: Vec<&[u8]> = (0..48).map(|_| &arg[..]).collect();
    let request = RequestV2::new([0; 16], None, b"x", b"/", argv, []).unwrap();
    assert!(request.encode().is_ok());
}

#[test]
fn wait_takes_hex_only() {
    assert!(WaitRequest::new("7f3a".into()).is_ok());
    assert!(WaitRequest::new("7f3".into()).is_err());
    assert!(WaitRequest::new("../a".into()).is_err());
    let whole = WaitRequest::new("7f3a".into()).unwrap().encode().unwrap();
    assert_eq!(parse(&whole), Ok(Request::Wait(WaitRequest { wait: "7f3a".into() })));
}
