//! A ledger's file, line by line, read and hashed by several threads: what a line says about its place in the chain
//! needs no other line. What is held is a few blocks, whatever the file is.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use super::line::{self, Link, MAX_LINE};
use super::record::Record;

/// Bytes that are read at once. A line can be as long, so that a block without a line's beginning is rare.
const BLOCK: u64 = 1024 * 1024;

/// Threads that hash, at most.
const MAX_THREADS: usize = 8;

/// Blocks that a thread has ready beside the one that it makes.
const AHEAD: usize = 2;

/// One line.
pub(super) struct Line {
    /// Where it begins in the file.
    pub(super) at: u64,
    /// Its bytes, the newline counted.
    pub(super) bytes: u64,
    /// What it says about the chain; of one that is too long, nothing.
    pub(super) link: Option<Link>,
    /// The record, where it is about the ledger itself.
    pub(super) own: Option<Box<Record>>,
}

/// The lines that begin in one block.
struct Block {
    lines: Vec<Line>,
    /// Where something begins that has no end.
    torn: Option<u64>,
}

/// Hands the lines of the first `size` bytes of `file` to `take`, in order, until it breaks. Gives where something
/// without an end begins, if there is such.
pub(super) fn each_line(
    file: &File,
    size: u64,
    mut take: impl FnMut(Line) -> ControlFlow<()>,
) -> io::Result<Option<u64>> {
    let blocks = size.div_ceil(BLOCK);
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    if threads == 1 || blocks <= 2 {
        let mut buffer = Vec::new();
        for index in 0..blocks {
            let block = read(file, index, size, &mut buffer)?;
            if block.lines.into_iter().try_for_each(&mut take).is_break() {
                return Ok(None);
            }
            if block.torn.is_some() {
                return Ok(block.torn);
            }
        }
        return Ok(None);
    }
    thread::scope(|scope| {
        let mut made: Vec<Receiver<io::Result<Block>>> = Vec::with_capacity(threads);
        for nth in 0..threads {
            let (sender, receiver) = sync_channel(AHEAD);
            made.push(receiver);
            scope.spawn(move || {
                let mut buffer = Vec::new();
                for index in (nth as u64..blocks).step_by(threads) {
                    // Nobody listens any more when enough is known.
                    if sender.send(read(file, index, size, &mut buffer)).is_err() {
                        return;
                    }
                }
            });
        }
        for index in 0..blocks {
            let nth = usize::try_from(index).unwrap_or(usize::MAX) % threads;
            let Ok(block) = made[nth].recv() else {
                return Err(io::Error::other("a thread that hashes has ended"));
            };
            let block = block?;
            if block.lines.into_iter().try_for_each(&mut take).is_break() {
                return Ok(None);
            }
            if block.torn.is_some() {
                return Ok(block.torn);
            }
        }
        Ok(None)
    })
}

/// Reads the lines that begin in a block.
fn read(file: &File, index: u64, size: u64, buffer: &mut Vec<u8>) -> io::Result<Block> {
    let start = index * BLOCK;
    let end = (start + BLOCK).min(size);
    // The byte before tells whether a line begins at the block's first one.
    let from = start.saturating_sub(1);
    buffer.resize(usize::try_from(end - from).unwrap_or(0), 0);
    file.read_exact_at(buffer, from)?;
    let mut block = Block { lines: Vec::new(), torn: None };
    let mut at = match start {
        0 => 0,
        _ => match memchr::memchr(b'\n', buffer) {
            Some(newline) => newline + 1,
            None => return Ok(block),
        },
    };
    at += lines_in(&buffer[at..], from + at as u64, |line| {
        block.lines.push(line);
        ControlFlow::Continue(())
    });
    if at == buffer.len() {
        return Ok(block);
    }
    let begun = from + at as u64;
    buffer.drain(..at);
    finish(file, (begun, end, size), buffer, &mut block)?;
    Ok(block)
}

/// Hands the whole lines of `bytes`, which stand at `at` in their file, to `take`, in order, until it breaks. Gives how many
/// bytes these are.
pub(super) fn lines_in(
    bytes: &[u8],
    at: u64,
    mut take: impl FnMut(Line) -> ControlFlow<()>,
) -> usize {
    let mut next = 0;
    while let Some(length) = memchr::memchr(b'\n', &bytes[next..]) {
        let line = whole(at + next as u64, &bytes[next..next + length]);
        next += length + 1;
        if take(line).is_break() {
            break;
        }
    }
    next
}

/// Reads the rest of a line whose beginning is in `buffer`.
fn finish(
    file: &File,
    (begun, end, size): (u64, u64, u64),
    buffer: &mut Vec<u8>,
    block: &mut Block,
) -> io::Result<()> {
    let mut chunk = vec![0; 64 * 1024];
    let mut at = end;
    while at < size {
        let want = usize::try_from(size - at).unwrap_or(usize::MAX).min(chunk.len());
        file.read_exact_at(&mut chunk[..want], at)?;
        let newline = memchr::memchr(b'\n', &chunk[..want]);
        let part = newline.unwrap_or(want);
        // Of a line that is too long to be one nothing is kept but its length.
        if buffer.len() <= MAX_LINE {
            buffer.extend_from_slice(&chunk[..part]);
        }
        at += part as u64;
        if newline.is_some() {
            let line = match at - begun > MAX_LINE as u64 {
                true => Line { at: begun, bytes: at - begun + 1, link: None, own: None },
                false => whole(begun, buffer),
            };
            block.lines.push(line);
            return Ok(());
        }
    }
    block.torn = Some(begun);
    Ok(())
}

fn whole(at: u64, line: &[u8]) -> Line {
    let bytes = line.len() as u64 + 1;
    if line.len() > MAX_LINE {
        return Line { at, bytes, link: None, own: None };
    }
    let link = line::link(line);
    let own = if link.is_whole { line::own(line) } else { None };
    Line { at, bytes, link: Some(link), own }
}
