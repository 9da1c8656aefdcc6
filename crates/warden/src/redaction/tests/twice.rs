//! What was looked through once is looked through again, and stays as it is.

use super::*;

#[test]
fn what_is_marked_stays_as_it_is() {
    for (_, token) in tokens() {
        let once = text(&token);
        assert_eq!(text(&once), once);
    }
    let once = argv(&["mysql", "-phunter2", "--password=x", "http://a:b@c", "-H", "Cookie: a=b"]);
    assert_eq!(text(&once), once);
}

/// What texts are put together of, so that signs, values and ends meet in every order.
const PIECES: &[&str] = &[
    "token",
    "password",
    "key",
    "pw",
    "=",
    ": ",
    ":",
    " ",
    "\"",
    "'",
    "`",
    "\\",
    "$(",
    ")",
    ";",
    "|",
    "&",
    "\n",
    "-",
    "--",
    "-p",
    "-u",
    "mysql ",
    "curl ",
    "x",
    "hunter2",
    "ghp_a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2",
    "AKIAIOSFODNN7EXAMPLE",
    "://",
    "u:p@h",
    "@",
    "/",
    "cookie:",
    "Authorization: ",
    "Bearer ",
    "eyJ",
    "abcdef0123456789",
    ".",
    "*",
    "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----",
    "[redacted:x]",
    "]",
    "é",
    ",",
    "sh -c ",
];

#[test]
fn no_mark_is_marked_again() {
    let mut seed = 7_u64;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    let mut wrong = Vec::new();
    for _ in 0..30_000 {
        let count = 2 + next(9);
        let whole: String = (0..count).map(|_| PIECES[next(PIECES.len())]).collect();
        let line = argv(&["-c", &whole]);
        for once in [text(&whole), line.strip_prefix("-c ").unwrap().to_owned()] {
            let json = serde_json::json!({ "a": once }).to_string();
            let json = Redactor::default().json(json.as_bytes(), &Fields::default());
            let json = json.map(|json| String::from_utf8(json).unwrap()).unwrap_or_default();
            for again in [text(&once), argv(&["-c", &once]), json] {
                // What stood behind a mark may be a value by now; a mark itself is none.
                let marks = again.match_indices(MARK).map(|(at, _)| &again[at + MARK.len()..]);
                if marks.into_iter().any(|kind| {
                    kind.find('[').is_some_and(|open| kind.find(']').is_none_or(|end| open < end))
                }) {
                    wrong.push((whole.clone(), once.clone(), again));
                }
            }
        }
    }
    wrong.sort_by_key(|(whole, ..)| whole.len());
    wrong.truncate(12);
    assert!(wrong.is_empty(), "{wrong:#?}");
}
