//! What a client asks: version 1, version 2, and asking after a request that still waits.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::error::ProtocolError;
use crate::limits::{MAX_JSON_V2, MAX_REQUEST, MAX_STRINGS};
use crate::wire::length;

/// Any request that can come over the intercom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A command, in the words of version 1.
    V1(RequestV1),
    /// A command, in the words of version 2.
    V2(RequestV2),
    /// Wait for the answer to a request that was made before (version 2).
    Wait(WaitRequest),
}

/// A command as version 1 tells it: text only, streams by frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestV1 {
    /// The tool's name or path.
    pub command: String,
    /// The arguments behind it.
    #[serde(default)]
    pub args: Vec<String>,
    /// The working directory.
    pub cwd: String,
    /// The environment, `NAME=value` each.
    #[serde(default)]
    pub env: Vec<String>,
    /// Who the client says it is. Never believed: the kernel is asked.
    #[serde(default)]
    pub identity: Option<Identity>,
}

/// A user and group as a version 1 client claims them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// A command as version 2 tells it. Strings are bytes without NUL, unharmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestV2 {
    /// Chosen by the client at random, so that it can find its waiting request again.
    pub id: [u8; 16],
    /// Which of descriptors 0, 1 and 2 are terminals (bits 0, 1 and 2), and the size of the first that is.
    pub tty: Option<Tty>,
    strings: Strings,
}

/// The terminal that a request was made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tty {
    /// Bit N set: descriptor N is a terminal.
    pub fds: u8,
    /// Rows of the window.
    pub rows: u16,
    /// Columns of the window.
    pub cols: u16,
}

/// Asks for the answer to a request that was left waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitRequest {
    /// The id as it was shown to the caller: the request's own, or a prefix of it, in hex.
    pub wait: String,
}

/// The strings of a version 2 request in the order of the wire: what was executed, the working directory, argv,
/// environment; each ended by a NUL.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Strings {
    bytes: Vec<u8>,
    argc: u32,
    argv_at: usize,
    env_at: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderV2 {
    #[serde(rename = "v")]
    _v: u64,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    argc: Option<u32>,
    #[serde(default)]
    envc: Option<u32>,
    #[serde(default)]
    tty: Option<Tty>,
    #[serde(default)]
    wait: Option<String>,
}

/// Every field that either version knows, to tell which one a header speaks.
#[derive(Deserialize)]
struct Probe {
    v: Option<u64>,
    id: Option<serde::de::IgnoredAny>,
    argc: Option<serde::de::IgnoredAny>,
    envc: Option<serde::de::IgnoredAny>,
    tty: Option<serde::de::IgnoredAny>,
    wait: Option<serde::de::IgnoredAny>,
}

/// Checks the length that a request announces.
///
/// # Errors
/// [`ProtocolError::RequestTooLong`] over [`MAX_REQUEST`].
pub fn check_length(length: u32) -> Result<usize, ProtocolError> {
    let too_long = ProtocolError::RequestTooLong { length, limit: MAX_REQUEST };
    if length > MAX_REQUEST { Err(too_long) } else { usize::try_from(length).map_err(|_| too_long) }
}

impl Request {
    /// Reads a request from the bytes behind its length.
    ///
    /// # Errors
    /// A header that does not parse, mixes versions or repeats a field; strings that are not as counted.
    pub fn parse(mut bytes: Vec<u8>) -> Result<Self, ProtocolError> {
        // No JSON text holds a raw NUL, so the first one ends a version 2 header.
        let Some(end) = bytes.iter().position(|&b| b == 0) else {
            return Self::parse_json_alone(&bytes);
        };
        if end > MAX_JSON_V2 {
            return Err(ProtocolError::BadBody("a NUL byte where no version 2 header can end"));
        }
        let header: HeaderV2 = header(&bytes[..end])?;
        bytes.drain(..=end);
        RequestV2::from_parts(&header, bytes).map(Self::V2)
    }

    fn parse_json_alone(bytes: &[u8]) -> Result<Self, ProtocolError> {
        let probe: Probe = serde_json::from_slice(bytes).map_err(bad_header)?;
        match probe.v {
            None => {
                let Probe { id, argc, envc, tty, wait, .. } = probe;
                let fields =
                    [("id", id), ("argc", argc), ("envc", envc), ("tty", tty), ("wait", wait)];
                if let Some((name, _)) = fields.iter().find(|(_, field)| field.is_some()) {
                    return Err(ProtocolError::MixedVersions(name));
                }
                serde_json::from_slice(bytes).map(Self::V1).map_err(bad_header)
            }
            Some(2) => match header(bytes)? {
                HeaderV2 {
                    wait: Some(wait), id: None, argc: None, envc: None, tty: None, ..
                } => WaitRequest::new(wait).map(Self::Wait),
                _ => Err(ProtocolError::BadBody("no strings follow the header")),
            },
            Some(other) => Err(ProtocolError::UnknownVersion(other)),
        }
    }
}

fn header(json: &[u8]) -> Result<HeaderV2, ProtocolError> {
    let probe: Probe = serde_json::from_slice(json).map_err(bad_header)?;
    match probe.v {
        Some(2) => serde_json::from_slice(json).map_err(bad_header),
        Some(other) => Err(ProtocolError::UnknownVersion(other)),
        None => Err(ProtocolError::BadHeader("strings follow a header without `\"v\":2`".into())),
    }
}

// By value, as `map_err` gives it.
#[allow(clippy::needless_pass_by_value)]
fn bad_header(error: serde_json::Error) -> ProtocolError {
    ProtocolError::BadHeader(error.to_string())
}

impl RequestV1 {
    /// The request as it goes over the wire, length included.
    ///
    /// # Errors
    /// [`ProtocolError::RequestTooLong`] when it does not fit.
    pub fn encode(&self) -> Result<Vec<u8>, ProtocolError> {
        let json = serde_json::to_vec(self).map_err(bad_header)?;
        framed(json)
    }
}

impl RequestV2 {
    /// Builds a request. `exec` is the path that the caller executed, whose last part names the tool; an empty
    /// `cwd` says that it could not be told. A string with a NUL inside cannot be sent and is refused.
    ///
    /// # Errors
    /// [`ProtocolError::BadBody`] for such a string or an empty argv.
    pub fn new<'a>(
        id: [u8; 16],
        tty: Option<Tty>,
        exec: &[u8],
        cwd: &[u8],
        argv: impl IntoIterator<Item = &'a [u8]>,
        env: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, ProtocolError> {
        let mut bytes = Vec::new();
        let mut put = |text: &[u8]| {
            if text.contains(&0) {
                return Err(ProtocolError::BadBody("a NUL byte inside a string"));
            }
            bytes.extend_from_slice(text);
            bytes.push(0);
            Ok(())
        };
        put(exec)?;
        put(cwd)?;
        let argv_at = exec.len() + cwd.len() + 2;
        let mut env_at = argv_at;
        let mut argc = 0u32;
        for arg in argv {
            put(arg)?;
            env_at += arg.len() + 1;
            argc += 1;
        }
        for entry in env {
            put(entry)?;
        }
        if argc == 0 {
            return Err(ProtocolError::BadBody("argv is empty"));
        }
        Ok(Self { id, tty, strings: Strings { bytes, argc, argv_at, env_at } })
    }

    /// The request as it goes over the wire, length included.
    ///
    /// # Errors
    /// [`ProtocolError::RequestTooLong`] when it does not fit.
    pub fn encode(&self) -> Result<Vec<u8>, ProtocolError> {
        let Strings { bytes, argc, env_at, .. } = &self.strings;
        let envc = bytes[*env_at..].iter().filter(|&&b| b == 0).count();
        let mut whole =
            format!("{{\"v\":2,\"id\":\"{}\",\"argc\":{argc},\"envc\":{envc}", hex(&self.id));
        if let Some(Tty { fds, rows, cols }) = self.tty {
            whole += &format!(",\"tty\":{{\"fds\":{fds},\"rows\":{rows},\"cols\":{cols}}}");
        }
        whole += "}\0";
        let mut whole = whole.into_bytes();
        whole.extend_from_slice(bytes);
        framed(whole)
    }

    fn from_parts(header: &HeaderV2, bytes: Vec<u8>) -> Result<Self, ProtocolError> {
        let HeaderV2 { id: Some(id), argc: Some(argc), envc: Some(envc), tty, wait: None, .. } =
            header
        else {
            return Err(ProtocolError::BadHeader("`id`, `argc` and `envc` make a command".into()));
        };
        let id = unhex(id)
            .ok_or_else(|| ProtocolError::BadHeader("`id` is not 32 hex digits".into()))?;
        let wanted = u64::from(*argc) + u64::from(*envc) + 2;
        if *argc == 0 {
            return Err(ProtocolError::BadBody("argv is empty"));
        }
        if wanted > u64::from(MAX_STRINGS) || bytes.last() != Some(&0) {
            return Err(ProtocolError::BadBody("too many of them, or the last is not ended"));
        }
        let (mut seen, mut argv_at, mut env_at) = (0u64, 0, 0);
        for (at, _) in bytes.iter().enumerate().filter(|&(_, &b)| b == 0) {
            seen += 1;
            if seen == 2 {
                argv_at = at + 1;
            }
            if seen == u64::from(*argc) + 2 {
                env_at = at + 1;
            }
        }
        if seen != wanted {
            return Err(ProtocolError::BadBody("not as many as `argc` and `envc` say"));
        }
        Ok(Self { id, tty: *tty, strings: Strings { bytes, argc: *argc, argv_at, env_at } })
    }

    /// The path that the caller executed.
    #[must_use]
    pub fn exec(&self) -> &[u8] {
        self.leading().next().unwrap_or_default()
    }

    /// The working directory as the client knows it; empty when it could not be told.
    #[must_use]
    pub fn cwd(&self) -> &[u8] {
        self.leading().nth(1).unwrap_or_default()
    }

    /// The argument vector, never empty.
    pub fn argv(&self) -> impl Iterator<Item = &[u8]> {
        split(&self.strings.bytes[self.strings.argv_at..self.strings.env_at])
    }

    /// The environment, in order, as it was: an entry need not hold a `=`.
    pub fn env(&self) -> impl Iterator<Item = &[u8]> {
        split(&self.strings.bytes[self.strings.env_at..])
    }

    fn leading(&self) -> impl Iterator<Item = &[u8]> {
        split(&self.strings.bytes[..self.strings.argv_at])
    }
}

impl WaitRequest {
    /// Asks after the request that `id` (4 to 32 hex digits) names.
    ///
    /// # Errors
    /// [`ProtocolError::BadHeader`] when it is not such an id.
    pub fn new(id: String) -> Result<Self, ProtocolError> {
        let fits = (4..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_hexdigit());
        if fits {
            Ok(Self { wait: id })
        } else {
            Err(ProtocolError::BadHeader("`wait` is not 4 to 32 hex digits".into()))
        }
    }

    /// The request as it goes over the wire, length included.
    ///
    /// # Errors
    /// None for an id that [`WaitRequest::new`] took.
    pub fn encode(&self) -> Result<Vec<u8>, ProtocolError> {
        framed(format!("{{\"v\":2,\"wait\":\"{}\"}}", self.wait).into_bytes())
    }
}

fn framed(body: Vec<u8>) -> Result<Vec<u8>, ProtocolError> {
    let length = length(body.len());
    check_length(length)?;
    let mut whole = body;
    whole.splice(..0, length.to_be_bytes());
    Ok(whole)
}

fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|&b| b == 0).map(|s| s.strip_suffix(&[0]).unwrap_or(s))
}

/// Bytes as lower-case hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |n: u8| char::from(if n < 10 { b'0' + n } else { b'a' + n - 10 });
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}

fn unhex(text: &str) -> Option<[u8; 16]> {
    let digits = text.as_bytes();
    let value = |d: u8| char::from(d).to_digit(16).and_then(|v| u8::try_from(v).ok());
    let mut id = [0; 16];
    if digits.len() != 32 {
        return None;
    }
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(id)
}

#[cfg(test)]
mod tests {
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
}
