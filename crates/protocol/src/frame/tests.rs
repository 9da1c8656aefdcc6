use super::*;
use alloc::vec;

fn to_client() -> Vec<ToClient<'static>> {
    vec![
        ToClient::Stdout(b"\0\xff"),
        ToClient::Stderr(b""),
        ToClient::Exit(255),
        ToClient::ExitBySignal(9),
        ToClient::Handoff(Handoff {
            report: true,
            by_path: true,
            path: b"/bin/\xff",
            set: Strings(b"A=b\0C=\0"),
        }),
        ToClient::Notice("waiting"),
        ToClient::Denial { rule: "policy.yaml:3", reason: "no" },
        ToClient::StillWaiting("later"),
        ToClient::WantDescriptors,
        ToClient::Stopped(20),
        ToClient::Failure { code: 124, text: "time" },
    ]
}

fn from_client() -> Vec<FromClient<'static>> {
    vec![
        FromClient::Cancel,
        FromClient::Stdin(b"x"),
        FromClient::StdinEnd,
        FromClient::WindowSize { rows: 24, cols: 80 },
        FromClient::Signal(15),
        FromClient::SignalGroup(2),
        FromClient::Descriptors(Numbers(&[0, 0, 0, 9])),
        FromClient::Exited(Status::Exited(3)),
        FromClient::Exited(Status::Killed(15)),
    ]
}

#[test]
fn every_frame_comes_back_as_it_went_byte_by_byte() {
    let mut whole = Vec::new();
    to_client().iter().for_each(|f| f.encode(&mut whole));
    let mut buffer = FrameBuffer::new();
    let mut back = 0;
    for byte in whole {
        buffer.push(&[byte]);
        if let Some((kind, payload)) = buffer.next_frame().unwrap() {
            assert_eq!(ToClient::parse(kind, payload), Ok(to_client()[back]));
            back += 1;
        }
    }
    assert_eq!(back, to_client().len());

    let mut whole = Vec::new();
    from_client().iter().for_each(|f| f.encode(&mut whole));
    buffer.push(&whole);
    for frame in from_client() {
        let (kind, payload) = buffer.next_frame().unwrap().unwrap();
        assert_eq!(FromClient::parse(kind, payload), Ok(frame));
    }
    assert!(buffer.is_empty());
}

#[test]
fn a_length_of_four_gibibytes_is_refused_at_once() {
    let mut buffer = FrameBuffer::new();
    buffer.push(&[STDIN, 0xff, 0xff, 0xff, 0xff]);
    assert!(matches!(buffer.next_frame(), Err(ProtocolError::FrameTooLong { .. })));
}

#[test]
fn a_head_gives_type_and_length_up_to_the_limit_of_the_type() {
    assert_eq!(parse_head(stdout_head(MAX_STREAM_FRAME)), Ok((STDOUT, MAX_STREAM_FRAME)));
    assert!(parse_head(stdin_head(MAX_STREAM_FRAME + 1)).is_err());
    assert!(parse_head(head(NOTICE, MAX_CONTROL_FRAME + 1)).is_err());
    assert!(is_stream(STDERR) && !is_stream(NOTICE));
}

#[test]
fn each_side_refuses_the_others_frames() {
    assert_eq!(FromClient::parse(STDOUT, b""), Err(ProtocolError::UnknownFrame(STDOUT)));
    assert_eq!(ToClient::parse(SIGNAL, b"\x01"), Err(ProtocolError::UnknownFrame(SIGNAL)));
}

#[test]
fn payloads_of_the_wrong_shape_are_refused() {
    for (kind, payload) in [
        (SIGNAL, &b""[..]),
        (SIGNAL, b"12"),
        (WINDOW_SIZE, b"abc"),
        (DESCRIPTORS, b"abc"),
        (EXITED, b"\x02\x00"),
    ] {
        assert!(FromClient::parse(kind, payload).is_err());
    }
    for (kind, payload) in [
        (EXIT, &b""[..]),
        (DENIAL, b"no nul"),
        (HANDOFF, b"\0/bin/x"),
        (NOTICE, b"\xff"),
        (FAILURE, b""),
    ] {
        assert!(ToClient::parse(kind, payload).is_err());
    }
}

#[test]
fn frames_of_version_2_cannot_be_taken_for_an_ack() {
    for frame in to_client() {
        let mut out = Vec::new();
        frame.encode(&mut out);
        let version_1 = matches!(out[0], STDOUT | STDERR | EXIT);
        assert_eq!(starts_frame(out[0]), !version_1);
    }
}
