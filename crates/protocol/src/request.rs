//! What a client asks: version 1, version 2, and asking after a request that still waits.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::error::ProtocolError;
use crate::limits::{MAX_JSON_V2, MAX_REQUEST, MAX_STRINGS, MAX_STRINGS_V1};
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
    #[serde(default, deserialize_with = "bounded")]
    pub args: Vec<String>,
    /// The working directory.
    pub cwd: String,
    /// The environment, `NAME=value` each.
    #[serde(default, deserialize_with = "bounded")]
    pub env: Vec<String>,
    /// Who the client says it is. Never believed: the kernel is asked.
    #[serde(default)]
    pub identity: Option<Identity>,
}

/// A list of strings that stops to grow at [`MAX_STRINGS_V1`].
fn bounded<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    struct Bounded;
    impl<'de> serde::de::Visitor<'de> for Bounded {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            write!(f, "a list of at most {MAX_STRINGS_V1} strings")
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(
            self,
            mut seq: A,
        ) -> Result<Vec<String>, A::Error> {
            let mut list = Vec::new();
            while let Some(text) = seq.next_element()? {
                if list.len() >= MAX_STRINGS_V1 {
                    return Err(serde::de::Error::invalid_length(list.len() + 1, &self));
                }
                list.push(text);
            }
            Ok(list)
        }
    }
    from.deserialize_seq(Bounded)
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
    /// Only to be judged, and asked about: the client runs it elsewhere, or not at all.
    pub judge: bool,
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
    judge: Option<bool>,
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
    judge: Option<serde::de::IgnoredAny>,
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
                let Probe { id, argc, envc, tty, judge, wait, .. } = probe;
                let fields = [
                    ("id", id),
                    ("argc", argc),
                    ("envc", envc),
                    ("tty", tty),
                    ("judge", judge),
                    ("wait", wait),
                ];
                if let Some((name, _)) = fields.iter().find(|(_, field)| field.is_some()) {
                    return Err(ProtocolError::MixedVersions(name));
                }
                serde_json::from_slice(bytes).map(Self::V1).map_err(bad_header)
            }
            Some(2) => match header(bytes)? {
                HeaderV2 {
                    wait: Some(wait),
                    id: None,
                    argc: None,
                    envc: None,
                    tty: None,
                    judge: None,
                    ..
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
        framed(&json)
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
        Ok(Self { id, tty, judge: false, strings: Strings { bytes, argc, argv_at, env_at } })
    }

    /// The request as it goes over the wire, length included.
    ///
    /// # Errors
    /// [`ProtocolError::RequestTooLong`] when it does not fit.
    pub fn encode(&self) -> Result<Vec<u8>, ProtocolError> {
        let Strings { bytes, argc, env_at, .. } = &self.strings;
        let envc = length(bytes[*env_at..].iter().filter(|&&b| b == 0).count());
        let id = hex(&self.id);
        let mut header = ["{\"v\":2,\"id\":\"", &id, "\",\"argc\":"].concat();
        put_decimal(&mut header, *argc);
        header += ",\"envc\":";
        put_decimal(&mut header, envc);
        if let Some(Tty { fds, rows, cols }) = self.tty {
            header += ",\"tty\":{\"fds\":";
            put_decimal(&mut header, fds.into());
            header += ",\"rows\":";
            put_decimal(&mut header, rows.into());
            header += ",\"cols\":";
            put_decimal(&mut header, cols.into());
            header += "}";
        }
        if self.judge {
            header += ",\"judge\":true";
        }
        header += "}\0";
        let mut whole = Vec::with_capacity(4 + header.len() + bytes.len());
        whole.extend_from_slice(&[0; 4]);
        whole.extend_from_slice(header.as_bytes());
        whole.extend_from_slice(bytes);
        with_length(whole)
    }

    fn from_parts(header: &HeaderV2, bytes: Vec<u8>) -> Result<Self, ProtocolError> {
        let HeaderV2 {
            id: Some(id),
            argc: Some(argc),
            envc: Some(envc),
            tty,
            judge,
            wait: None,
            ..
        } = header
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
        let judge = judge.unwrap_or(false);
        Ok(Self { id, tty: *tty, judge, strings: Strings { bytes, argc: *argc, argv_at, env_at } })
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

    /// The argument vector, not empty until it is forgotten.
    pub fn argv(&self) -> impl Iterator<Item = &[u8]> {
        split(&self.strings.bytes[self.strings.argv_at..self.strings.env_at])
    }

    /// The environment, in order, as it was: an entry need not hold a `=`.
    pub fn env(&self) -> impl Iterator<Item = &[u8]> {
        split(&self.strings.bytes[self.strings.env_at..])
    }

    /// Lets go of argument vector and environment, and their memory.
    pub fn forget_words(&mut self) {
        self.strings.bytes.truncate(self.strings.argv_at);
        self.strings.bytes.shrink_to_fit();
        self.strings.env_at = self.strings.argv_at;
        self.strings.argc = 0;
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
        framed(format!("{{\"v\":2,\"wait\":\"{}\"}}", self.wait).as_bytes())
    }
}

fn framed(body: &[u8]) -> Result<Vec<u8>, ProtocolError> {
    let mut whole = Vec::with_capacity(body.len() + 4);
    whole.extend_from_slice(&[0; 4]);
    whole.extend_from_slice(body);
    with_length(whole)
}

/// Puts the length of what follows into the first four bytes.
fn with_length(mut whole: Vec<u8>) -> Result<Vec<u8>, ProtocolError> {
    let length = length(whole.len().saturating_sub(4));
    check_length(length)?;
    if let Some(first) = whole.first_chunk_mut() {
        *first = length.to_be_bytes();
    }
    Ok(whole)
}

fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|&b| b == 0).map(|s| s.strip_suffix(&[0]).unwrap_or(s))
}

/// Appends a number in decimal digits. The shim encodes without the code for formatting, which is most of its size.
fn put_decimal(out: &mut String, n: u32) {
    if n >= 10 {
        put_decimal(out, n / 10);
    }
    out.push(char::from_digit(n % 10, 10).unwrap_or('0'));
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
mod tests;
