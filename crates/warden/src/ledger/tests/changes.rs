//! Every single change of a ledger of many lines and several segments. What a line comes to depends on the lines before it by
//! the verifier's state alone, so each change is proved from the state that is kept from before it, line by line and by
//! the verifier's own code, until it is found. Some of them are put into the files and proved from the beginning as well:
//! both must come to the same.

use std::io::Write as _;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::super::blocks::{Line, lines_in};
use super::super::place::Place;
use super::super::verify::{ended, reaches, read_head};
use super::super::walk::{Scan, Walk};
use super::*;

/// One file of a ledger.
struct Part {
    path: PathBuf,
    bytes: Vec<u8>,
    is_closed: bool,
    /// Where its lines are.
    lines: Vec<Range<usize>>,
    /// How the proof stands before each line, and behind the last.
    before: Vec<(Walk, Scan)>,
}

impl Part {
    fn line(&self, n: usize) -> &[u8] {
        &self.bytes[self.lines[n].clone()]
    }

    fn start(&self, n: usize) -> usize {
        self.lines.get(n).map_or(self.bytes.len(), |line| line.start)
    }
}

/// A ledger that holds, and its proof at every line.
struct Kept {
    fixture: Fixture,
    proof: Proof,
    parts: Vec<Part>,
    /// The part and the line in it of each line of the ledger.
    places: Vec<(usize, usize)>,
    /// How many changes were tried.
    tried: AtomicU64,
    /// Of so many, one is tried in the files too.
    one_of: u64,
    compared: Mutex<u64>,
}

/// A ledger of so many requests, its files and how it is proved.
fn written(requests: u64, segment_bytes: u64) -> (Fixture, Proof, Vec<PathBuf>) {
    let fixture = Fixture::new();
    let options = Options { signed: true, segment_bytes, ..plain() };
    let ledger = Ledger::open(&fixture.path(), &options).unwrap().0;
    for n in 0..requests {
        ledger.append(&[requested(n, &["git", "push"]), decided(n, "allow")]).unwrap();
    }
    drop(ledger);
    let keys = vec![PublicKey::of(fixture.folder.path()).unwrap()];
    let (mut files, _) = files_of(&fixture.path()).unwrap();
    files.push(fixture.path());
    (fixture, Proof { keys, ..Proof::default() }, files)
}

/// Goes on over the lines of `bytes`, which stand at `at` in their file, up to the first that does not hold. Gives how many
/// bytes were read.
fn walk_on(walk: &mut Walk, scan: &mut Scan, path: &Path, bytes: &[u8], at: usize) -> usize {
    lines_in(bytes, at as u64, |line| {
        walk.take(path, &line, scan);
        if scan.broken.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
}

/// A line as the verifier reads it.
fn read(bytes: &[u8]) -> Line {
    let mut read = None;
    lines_in(bytes, 0, |line| {
        read = Some(line);
        ControlFlow::Break(())
    });
    read.unwrap()
}

/// The line as somebody would write it who knows how sums are made, and has no key: dated otherwise.
fn forged(line: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(line).unwrap();
    let (content, _) = text.rsplit_once(",\"sum\":\"").unwrap();
    let (start, rest) = content.split_once("\"time_ms\":1").unwrap();
    let content = format!("{start}\"time_ms\":2{rest}");
    let mut forged = content.clone().into_bytes();
    let sum: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    writeln!(forged, ",\"sum\":\"{}\"}}", &sum[..16]).unwrap();
    forged
}

impl Kept {
    fn of(requests: u64, segment_bytes: u64, one_of: u64) -> Self {
        let (fixture, proof, files) = written(requests, segment_bytes);
        verify_by(&fixture.path(), &proof).unwrap();
        let mut walk = Walk::by(proof.keys.clone(), 0..=u64::MAX);
        let head = read_head(&Place::new(&fixture.path()).unwrap().head()).unwrap();
        walk.heads.entry(head.last).or_default().push(head);
        let mut parts: Vec<Part> = Vec::new();
        let last = files.len() - 1;
        for (nth, path) in files.into_iter().enumerate() {
            let bytes = fs::read(&path).unwrap();
            let (mut lines, mut before, mut scan) = (Vec::new(), Vec::new(), Scan::default());
            for line in bytes.split_inclusive(|&byte| byte == b'\n') {
                let start = lines.last().map_or(0, |line: &Range<usize>| line.end);
                before.push((walk.clone(), scan.clone()));
                walk_on(&mut walk, &mut scan, &path, line, start);
                lines.push(start..start + line.len());
            }
            let is_closed = nth < last;
            ended((&path, bytes.len() as u64), &scan, &walk, is_closed).unwrap();
            before.push((walk.clone(), scan));
            parts.push(Part { path, bytes, is_closed, lines, before });
        }
        let of_part = |(nth, part): (usize, &Part)| (0..part.lines.len()).map(move |n| (nth, n));
        let places = parts.iter().enumerate().flat_map(of_part).collect();
        let (tried, compared) = (AtomicU64::new(0), Mutex::new(0));
        Self { fixture, proof, parts, places, tried, one_of, compared }
    }

    /// What the proof comes to where `bytes` stand in the place of lines `from` to `to` of a part.
    fn told(&self, nth: usize, from: usize, bytes: &[u8], to: usize) -> Result<(), Broken> {
        let part = &self.parts[nth];
        let (mut walk, mut scan) = part.before[from].clone();
        let start = part.start(from);
        let whole = walk_on(&mut walk, &mut scan, &part.path, bytes, start);
        let rest = &part.bytes[part.start(to)..];
        if scan.broken.is_none() {
            scan.torn = whole < bytes.len();
            assert!(!scan.torn || rest.is_empty(), "what follows would be of the same line");
            walk_on(&mut walk, &mut scan, &part.path, rest, start + bytes.len());
        }
        let size = (start + bytes.len() + rest.len()) as u64;
        ended((&part.path, size), &scan, &walk, part.is_closed)?;
        let mut last = (&part.path, size, scan.lines);
        for part in &self.parts[nth + 1..] {
            let (mut scan, size) = (Scan::default(), part.bytes.len() as u64);
            walk_on(&mut walk, &mut scan, &part.path, &part.bytes, 0);
            ended((&part.path, size), &scan, &walk, part.is_closed)?;
            last = (&part.path, size, scan.lines);
        }
        walk.begins().map_err(|why| {
            let file = self.parts[0].path.clone();
            Broken { file, line: 1, at: 0, seq: 1, damage: Damage::Missing, why }
        })?;
        reaches((last.0, last.1), last.2, &walk)
    }

    /// That this change is found.
    fn is_found(&self, nth: usize, from: usize, bytes: &[u8], to: usize, what: &str) {
        let told = self.told(nth, from, bytes, to);
        let Err(told) = told else {
            panic!("{what} at line {from} of part {nth} is not found: {}", text(bytes));
        };
        if self.tried.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.one_of) {
            self.compare(nth, from, bytes, to, &told);
        }
    }

    /// That it is found in the files, and at the same place.
    fn compare(&self, nth: usize, from: usize, bytes: &[u8], to: usize, told: &Broken) {
        let mut compared = self.compared.lock().unwrap_or_else(PoisonError::into_inner);
        let part = &self.parts[nth];
        let changed =
            [&part.bytes[..part.start(from)], bytes, &part.bytes[part.start(to)..]].concat();
        fs::write(&part.path, changed).unwrap();
        let found = match verify_by(&self.fixture.path(), &self.proof) {
            Err(VerifyError::Broken(found)) => found,
            other => panic!("{other:?} where {told}"),
        };
        fs::write(&part.path, &part.bytes).unwrap();
        let place = |broken: &Broken| (broken.file.clone(), broken.line, broken.at, broken.seq);
        assert_eq!(place(&found), place(told), "{found}, and {told}");
        // Further down it shows where a line went that is missing here.
        let moved = (told.damage, found.damage) == (Damage::Missing, Damage::Misplaced);
        assert!(moved || told.damage == found.damage, "{found}, and {told}");
        *compared += 1;
    }

    /// Every bit of a line is flipped, every byte left out, others put between, and the file cut off at every byte.
    fn bytes_of(&self, nth: usize, n: usize) {
        let part = &self.parts[nth];
        // Without its newline it is one line with the next.
        let to = (n + 2).min(part.lines.len());
        let mut bytes = part.bytes[part.start(n)..part.start(to)].to_vec();
        for at in 0..part.lines[n].len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                self.is_found(nth, n, &bytes, to, "a flipped bit");
                bytes[at] ^= 1 << bit;
            }
            let byte = bytes.remove(at);
            self.is_found(nth, n, &bytes, to, "a byte less");
            bytes.insert(at, byte);
            for more in [b' ', b'\n', byte] {
                bytes.insert(at, more);
                self.is_found(nth, n, &bytes, to, "a byte more");
                bytes.remove(at);
            }
            self.is_found(nth, n, &bytes[..at], part.lines.len(), "a cut");
        }
    }

    /// A line is left out, and others stand before it or in its place. The foreign one is what another ledger has there.
    fn line_of(&self, nth: usize, n: usize, foreign: &[u8]) {
        let line = self.parts[nth].line(n);
        self.is_found(nth, n, b"", n + 1, "a line less");
        for (what, more) in
            [("twice", line), ("a foreign line", foreign), ("nothing", b"\n"), ("{}", b"{}\n")]
        {
            self.is_found(nth, n, more, n, what);
        }
        self.is_found(nth, n, foreign, n + 1, "a foreign line instead");
        self.is_found(nth, n, &forged(line), n + 1, "a forged line");
    }

    /// No line but its own is taken at a place, so none can be moved or copied there, nor change places with another, whatever
    /// follows.
    fn place_of(&self, nth: usize, n: usize, all: &[Line]) {
        let part = &self.parts[nth];
        let own = self.places.iter().position(|place| *place == (nth, n));
        for (other, line) in all.iter().enumerate() {
            if Some(other) != own {
                let (mut walk, mut scan) = part.before[n].clone();
                walk.take(&part.path, line, &mut scan);
                assert!(scan.broken.is_some(), "line {other} is taken for line {n} of part {nth}");
                self.tried.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// The same of the first place, at which a ledger may begin with any line: what follows shows it.
    fn first_place(&self, all: &[Line]) {
        for &(nth, n) in &self.places[1..] {
            let line = self.parts[nth].line(n);
            self.is_found(0, 0, line, 0, "another line before the first");
            self.is_found(0, 0, line, 1, "another line instead of the first");
        }
        // The first one further down, where everything before it has moved up.
        let part = &self.parts[0];
        let (mut walk, mut scan) = part.before[0].clone();
        for line in &all[1..part.lines.len()] {
            walk.take(&part.path, line, &mut scan);
            let (mut walk, mut scan) = (walk.clone(), scan.clone());
            walk.take(&part.path, &all[0], &mut scan);
            assert!(
                scan.broken.is_some(),
                "the first line is taken behind record {}",
                walk.head().seq
            );
            self.tried.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All of it, by all processors.
    fn try_all(&self, others: &[Vec<u8>]) {
        let line = |&(nth, n): &(usize, usize)| read(self.parts[nth].line(n));
        let all: Vec<Line> = self.places.iter().map(line).collect();
        let next = AtomicUsize::new(0);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed))
                        && let Some(&(nth, n)) = self.places.get(at)
                    {
                        self.bytes_of(nth, n);
                        self.line_of(nth, n, &others[at.min(others.len() - 1)]);
                        if at > 0 {
                            self.place_of(nth, n, &all);
                        }
                    }
                });
            }
        });
        self.first_place(&all);
        for (nth, part) in self.parts.iter().enumerate() {
            let behind = part.lines.len();
            let last = part.line(behind - 1);
            for more in [last, b"\n", b" ", &others[0]] {
                self.is_found(nth, behind, more, behind, "more behind the last line");
            }
        }
        // Behind all of it none of them goes on.
        self.place_of(self.parts.len() - 1, self.parts.last().unwrap().lines.len(), &all);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Every change of a ledger of so many requests, two lines each. Of `one_of`, one is tried in the files.
#[allow(clippy::print_stderr)]
fn every_change(requests: u64, segment_bytes: u64, one_of: u64) {
    let began = std::time::Instant::now();
    let kept = Kept::of(requests, segment_bytes, one_of);
    assert!(kept.parts.len() > 2 && kept.places.len() as u64 > 2 * requests);
    let (_foreign, _, files) = written(requests, segment_bytes);
    let lines = |path: &PathBuf| -> Vec<Vec<u8>> {
        fs::read(path).unwrap().split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec).collect()
    };
    let others: Vec<Vec<u8>> = files.iter().flat_map(lines).collect();
    kept.try_all(&others);
    verify_by(&kept.fixture.path(), &kept.proof).unwrap();
    let compared = *kept.compared.lock().unwrap();
    assert!(compared > 50, "{compared}");
    eprintln!(
        "{} changes of {} lines in {} files, {compared} of them in the files as well, in {:.0} s",
        kept.tried.load(Ordering::Relaxed),
        kept.places.len(),
        kept.parts.len(),
        began.elapsed().as_secs_f64(),
    );
}

#[test]
fn every_change_of_a_hundred_lines_is_found() {
    every_change(50, 10_000, 4000);
}

#[test]
#[ignore = "long: every change of ten thousand lines; `make soak` runs it"]
fn every_change_of_ten_thousand_lines_is_found() {
    every_change(5000, 400_000, 400_000);
}
