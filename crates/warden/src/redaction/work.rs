//! How much of our time a text can take: nobody who writes one may make us read it more than a few times.

use super::runs::LOOKED_AT;
use super::*;

/// Bytes that were looked at while `work` was done.
fn looked_at(work: impl FnOnce()) -> usize {
    LOOKED_AT.with(|all| all.set(0));
    work();
    LOOKED_AT.with(std::cell::Cell::get)
}

type Way = fn(&Redactor, &[u8]);

/// What a text is looked through as.
const WAYS: [(&str, Way); 5] = [
    ("an argument", |redactor, text| drop(redactor.argv(&[text]))),
    ("a line for a shell", |redactor, text| drop(redactor.argv(&[b"-c", text]))),
    ("a line with quotes open", |redactor, text| {
        drop(redactor.argv(&[b"-c".to_vec(), [b"\"", text].concat()]));
    }),
    ("a text", |redactor, text| drop(redactor.bytes(text))),
    ("JSON", |redactor, text| {
        drop(redactor.json(&[b"{\"reason\":\"", text, b"\"}"].concat(), &Fields::default()));
    }),
];

/// Everything that says that a secret is near.
fn signs() -> Vec<&'static str> {
    let shapes = shapes::SHAPES.iter().map(|shape| shape.begin);
    let names = names::NAMES.iter().map(|name| name.word);
    let others = ["bearer ", "://", "eyJ", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----"];
    shapes.chain(names).chain(names::HEADERS.iter().copied()).chain(others).collect()
}

/// What stands between signs, so that each is looked at closely, and as few as can be are found.
const BETWEEN: [&str; 22] = [
    "",
    "-",
    ".",
    "/",
    " ",
    "=",
    ": ",
    ": $",
    "=$",
    "='",
    "=\"",
    "=\\\"",
    "=`",
    "\": \"",
    "=$(",
    "=/",
    "=*",
    ";",
    "'\"",
    "\\",
    "\n",
    "-----END ",
];

/// Bytes of a text. Were each sign read from to the end, every byte would be looked at a hundred times and more.
const SIZE: usize = 8192;

/// How often each byte is looked at, at most.
const MOST: usize = 40;

fn is_bounded(text: &[u8], told: &str) -> usize {
    let redactor = Redactor::default();
    let mut worst = 0;
    for (what, way) in WAYS {
        let looked = looked_at(|| way(&redactor, text));
        assert!(looked >= text.len(), "{told} as {what}: nothing is counted");
        assert!(looked <= MOST * text.len(), "{told} as {what}: {looked} of {}", text.len());
        worst = worst.max(looked / text.len());
    }
    worst
}

#[test]
fn a_text_is_read_a_few_times_whatever_signs_it_has() {
    let mut worst = 0;
    let few = [
        "ghp_",
        "sk-ant-",
        "ghs_",
        "AKIA",
        "dapi",
        "hooks.slack.com/services/",
        "password",
        "pw",
        "token",
        "key",
        "cookie:",
        "bearer ",
        "://",
        "eyJ",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
    ];
    for sign in signs() {
        let between: &[&str] = if few.contains(&sign) { &BETWEEN } else { &["", "-", "="] };
        for between in between {
            let part = format!("{sign}{between}");
            let text = part.repeat(SIZE / part.len());
            worst = worst.max(is_bounded(text.as_bytes(), &format!("{part:?}")));
        }
    }
    assert!(worst >= 4, "the signs are looked at closely");
}

#[test]
fn one_long_run_behind_many_signs_is_read_once() {
    for (many, long) in [
        ("-eyJ", "aaaaaaaaaaaaaaaa"),
        ("-eyJ", "a.eyJa"),
        ("ghs_-", "-=-=-=-="),
        ("token='", "\"x"),
        ("key='", "\"x"),
        ("key=\"", "x"),
        ("key=", "key="),
        ("cookie:", "$$$$"),
        ("cookie:$", "x"),
        ("x=-----BEGIN PRIVATE KEY-----", "AAAA"),
        ("-----BEGIN PRIVATE KEY-----", "    "),
        ("-----BEGIN PRIVATE KEY-----Version:", "x"),
        ("-----BEGIN PRIVATE KEY-----Comment:", "x"),
        ("-----BEGIN PRIVATE KEY----------END ", "x"),
        ("://", "x:y"),
    ] {
        let half = SIZE / 2;
        let text = [many.repeat(half / many.len()), long.repeat(half / long.len())].concat();
        is_bounded(text.as_bytes(), &format!("{many:?}, {long:?}"));
    }
}

#[test]
fn many_words_take_no_more_than_their_bytes() {
    let redactor = Redactor::default();
    let words = |count| {
        let few = ["mysql", "--password", "-p", "x", "-k", "curl", "-u", "login", "a:b"];
        few.into_iter().cycle().take(count).collect::<Vec<_>>()
    };
    let once = looked_at(|| drop(redactor.argv(&words(9 * 500))));
    let twice = looked_at(|| drop(redactor.argv(&words(9 * 1000))));
    assert!(once > 0 && twice * 10 <= once * 22, "{once}, {twice}");
}

#[test]
fn an_ordinary_command_is_looked_at_once() {
    let argv =
        ["git", "commit", "--all", "--message", "fix", "src/main.rs", "docs/a-long-name-of-a-file"];
    let bytes: usize = argv.iter().map(|argument| argument.len()).sum();
    let looked = looked_at(|| assert_eq!(Redactor::default().argv(&argv), None));
    // Only the longest argument has a dot or a digit, or could be a token.
    assert!(looked <= 2 * bytes, "{looked} of {bytes}");
}
