//! Following frames in bytes that pass, whatever pieces they come in.

use clawrden_protocol::frame::{HEAD, is_stream, parse_head};

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen<'a> {
    /// A part of a stream, by the type of its frame.
    Stream(u8, &'a [u8]),
    /// A whole frame of another type.
    Frame(u8, &'a [u8]),
}

/// Where in a frame the bytes have come to.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Bytes before the first frame.
    skip: usize,
    head: Vec<u8>,
    kind: u8,
    left: usize,
    payload: Vec<u8>,
    /// What came is no frame; nothing is looked at from there on.
    lost: bool,
}

impl Frames {
    /// Frames that begin behind `skip` bytes.
    pub(super) fn behind(skip: usize) -> Self {
        Self { skip, ..Self::default() }
    }

    /// Whether something came that is no frame.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Looks at bytes that pass.
    pub(super) fn look(&mut self, mut bytes: &[u8], mut seen: impl FnMut(Seen<'_>)) {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        bytes = &bytes[skipped..];
        while !bytes.is_empty() && !self.lost {
            if self.left == 0 {
                let taken = (HEAD - self.head.len()).min(bytes.len());
                self.head.extend_from_slice(&bytes[..taken]);
                bytes = &bytes[taken..];
                let Ok(head) = <[u8; HEAD]>::try_from(&self.head[..]) else { return };
                self.head.clear();
                match parse_head(head) {
                    Ok((kind, length)) => {
                        self.kind = kind;
                        self.left = usize::try_from(length).unwrap_or(usize::MAX);
                    }
                    Err(_) => self.lost = true,
                }
                if self.left > 0 || self.lost {
                    continue;
                }
                let empty = if is_stream(self.kind) { Seen::Stream } else { Seen::Frame };
                seen(empty(self.kind, &[]));
                continue;
            }
            let (part, rest) = bytes.split_at(self.left.min(bytes.len()));
            bytes = rest;
            self.left -= part.len();
            if is_stream(self.kind) {
                seen(Seen::Stream(self.kind, part));
                continue;
            }
            self.payload.extend_from_slice(part);
            if self.left == 0 {
                seen(Seen::Frame(self.kind, &std::mem::take(&mut self.payload)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clawrden_protocol::ToClient;

    use super::*;

    #[test]
    fn frames_are_found_in_pieces_of_any_size() {
        let mut bytes = vec![0];
        for frame in [
            ToClient::Stdout(b""),
            ToClient::Stdout(b"hello"),
            ToClient::Stderr(b"oh"),
            ToClient::Notice("note"),
            ToClient::Exit(3),
        ] {
            frame.encode(&mut bytes);
        }
        for size in 1..bytes.len() {
            let mut frames = Frames::behind(1);
            let (mut out, mut err, mut others) = (Vec::new(), Vec::new(), Vec::new());
            for piece in bytes.chunks(size) {
                frames.look(piece, |seen| match seen {
                    Seen::Stream(1, part) => out.extend_from_slice(part),
                    Seen::Stream(_, part) => err.extend_from_slice(part),
                    Seen::Frame(kind, payload) => others.push((kind, payload.to_vec())),
                });
            }
            assert_eq!((&out[..], &err[..]), (&b"hello"[..], &b"oh"[..]), "in pieces of {size}");
            assert_eq!(others, [(34, b"note".to_vec()), (3, vec![3])]);
        }
    }

    #[test]
    fn what_is_no_frame_is_not_looked_at() {
        let mut frames = Frames::default();
        let mut count = 0;
        frames.look(&[3, 0xff, 0xff, 0xff, 0xff, 1, 1, 0, 0, 0, 1, b'x'], |_| count += 1);
        assert_eq!(count, 0);
        assert!(frames.is_lost());
    }
}
