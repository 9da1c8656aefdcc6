//! Reading an asciicast line by line, from pieces of any size.

/// Bytes of the longest line that is taken for one.
const MOST: usize = 1024 * 1024;

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    /// It showed this.
    Output(String),
    /// This was typed.
    Input(String),
    /// The window got so many columns and rows.
    Resize(u16, u16),
    /// The recording itself says something.
    Marker(String),
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    /// Seconds since the beginning.
    pub(crate) at: f64,
    pub(crate) what: What,
    /// It came by standard error.
    pub(crate) is_error: bool,
}

/// Bytes as they come.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    line: Vec<u8>,
    is_behind_header: bool,
    next_is_error: bool,
}

impl Reader {
    /// The events that are whole with these bytes. A line that is none, such as the torn last one of a warden that was
    /// killed, is left out.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for part in bytes.split_inclusive(|&b| b == b'\n') {
            if self.line.len() + part.len() <= MOST {
                self.line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                events.extend(self.event(&line));
            }
        }
        events
    }

    fn event(&mut self, line: &[u8]) -> Option<Event> {
        if !std::mem::replace(&mut self.is_behind_header, true) {
            return None;
        }
        let (at, code, data): (f64, String, String) = serde_json::from_slice(line).ok()?;
        if code == "e" {
            self.next_is_error = true;
            return None;
        }
        let is_error = std::mem::take(&mut self.next_is_error);
        let what = match code.as_str() {
            "o" => What::Output(data),
            "i" => What::Input(data),
            "m" => What::Marker(data),
            "r" => {
                let (cols, rows) = data.split_once('x')?;
                What::Resize(cols.parse().ok()?, rows.parse().ok()?)
            }
            _ => return None,
        };
        Some(Event { at, what, is_error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAST: &str = "{\"version\": 2}\n[0.1, \"o\", \"a\\n\"]\n[0.2, \"e\", \"\"]\n[0.2, \"o\", \"b\"]\n[0.3, \"i\", \
                        \"x\"]\n[0.4, \"r\", \"80x24\"]\n[0.5, \"m\", \"end\"]\n[0.6, \"z\", \"?\"]\n[0.7, \"o";

    #[test]
    fn who_reads_too_slowly_is_told_so_wherever_what_it_got_was_cut() {
        for cut in 0..CAST.len() {
            let mut reader = Reader::default();
            reader.take(&CAST.as_bytes()[..cut]);
            let last = reader.take(clawrden_api::dropped_line().as_bytes()).pop();
            let told = What::Marker(clawrden_api::RECORDING_DROPPED.to_owned());
            // Without a header there is nothing to tell.
            assert_eq!(last.map(|event| event.what), Some(told), "cut at {cut}");
        }
    }

    #[test]
    fn events_are_read_in_pieces_of_any_size_and_a_torn_line_is_left_out() {
        for size in 1..CAST.len() {
            let mut reader = Reader::default();
            let events: Vec<Event> =
                CAST.as_bytes().chunks(size).flat_map(|piece| reader.take(piece)).collect();
            let whats: Vec<What> = events.iter().map(|event| event.what.clone()).collect();
            assert_eq!(
                whats,
                [
                    What::Output("a\n".to_owned()),
                    What::Output("b".to_owned()),
                    What::Input("x".to_owned()),
                    What::Resize(80, 24),
                    What::Marker("end".to_owned()),
                ]
            );
            assert_eq!(events.iter().filter(|event| event.is_error).count(), 1);
            assert!((events[1].at - 0.2).abs() < 1e-9 && events[1].is_error);
        }
    }
}
