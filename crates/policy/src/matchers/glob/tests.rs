use super::few::SMALL;
use super::*;

fn text(pattern: &str, text: &str) -> bool {
    Glob::new(pattern, Kind::Text).unwrap().matches(text.as_bytes())
}

fn path(pattern: &str, text: &str) -> bool {
    Glob::new(pattern, Kind::Path).unwrap().matches(text.as_bytes())
}

fn tree(pattern: &str, text: &str) -> bool {
    Glob::new(pattern, Kind::Tree).unwrap().matches(text.as_bytes())
}

#[test]
fn a_pattern_is_anchored_at_both_ends() {
    assert!(text("push", "push"));
    assert!(!text("push", "push2") && !text("push", "xpush") && !text("push", ""));
    assert!(!text("push", "push\n"));
}

#[test]
fn a_star_in_text_is_anything() {
    assert!(text("a*c", "abc") && text("a*c", "ac") && text("a*c", "a/b/c"));
    assert!(text("*", "") && text("*x*", "axb") && !text("*x*", "ab"));
    assert!(text("a*b*c", "a1b2b3c") && !text("a*b*c", "a1b2b3"));
}

#[test]
fn a_star_in_a_path_stays_in_its_component() {
    assert!(path("/home/*/x", "/home/ann/x") && !path("/home/*/x", "/home/ann/b/x"));
    assert!(path("/home/**/x", "/home/ann/b/x") && path("**/x", "/a/b/x"));
    assert!(path("/a/*/**/c*", "/a/b/d/e/cc") && !path("/a/*/**/c*", "/a/b/d/e/cc/f"));
    assert!(!path("/a?b", "/a/b") && !path("/a[!x]b", "/a/b"));
    assert!(text("a?b", "a/b") && text("a[!x]b", "a/b"));
}

#[test]
fn a_trailing_star_of_a_tree_is_the_folder_and_everything_below() {
    for place in ["/app", "/app/x", "/app/x/y", "/app/"] {
        assert!(tree("/app/*", place), "{place}");
    }
    assert!(!tree("/app/*", "/application") && !tree("/app/*", "/ap"));
    assert!(tree("/*", "/") && tree("/*", "/x/y"));
    assert!(tree("/app/", "/app") && !tree("/app", "/app/x"));
    assert!(tree("/a/*/b/*", "/a/x/b/y/z") && !tree("/a/*/b/*", "/a/x/y/b/z"));
}

#[test]
fn braces_spell_out_alternatives() {
    for word in ["pull", "push"] {
        assert!(text("{push,pull}", word), "{word}");
    }
    assert!(text("{,of=}/x", "/x") && text("{,of=}/x", "of=/x") && !text("{a,b}", "{a,b}"));
    assert!(text("{a,b\\,c}", "b,c") && text("\\{a,b\\}", "{a,b}"));
}

#[test]
fn classes_and_escapes_are_understood() {
    assert!(text("[a-c]x", "bx") && !text("[a-c]x", "dx") && text("[!a-c]x", "dx"));
    assert!(text("[]x]", "]") && text("[a-]", "-") && text("\\*", "*") && !text("\\*", "x"));
}

#[test]
fn bytes_that_are_not_text_are_matched_too() {
    let glob = Glob::new("a*z", Kind::Text).unwrap();
    assert!(glob.matches(b"a\xff\xfez") && !glob.matches(b"a\xff"));
}

#[test]
fn a_bad_pattern_is_refused_with_its_reason() {
    let error = |pattern: &str| Glob::new(pattern, Kind::Text).unwrap_err();
    assert_eq!(error(""), GlobError::Empty);
    assert_eq!(error("[a"), GlobError::OpenClass);
    assert_eq!(error("[]"), GlobError::OpenClass);
    assert_eq!(error("{a"), GlobError::OpenBrace);
    assert_eq!(error("{a,{b}}"), GlobError::NestedBrace);
    assert_eq!(error("[z-a]"), GlobError::BackwardRange);
    assert_eq!(error("a\\"), GlobError::DanglingEscape);
    assert_eq!(error(&"{a,b}".repeat(7)), GlobError::TooManyAlternatives);
    assert_eq!(error(&"{a,b}".repeat(200)), GlobError::TooManyAlternatives);
    assert_eq!(error(&"a".repeat(2000)), GlobError::TooLong);
}

#[test]
fn many_stars_do_not_explode() {
    let hay = "a".repeat(100_000);
    assert!(!text(&format!("{}b", "*a".repeat(50)), &hay));
    assert!(!path(&format!("/**/{}b", "*a".repeat(50)), &format!("/{hay}")));
}

mod properties {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// The plain definition, slow and short: what the fast ways must agree with.
    fn slow(tokens: &[Token], text: &[u8]) -> bool {
        match (tokens.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((Token::Deep, rest)), next) => {
                slow(rest, text) || next.is_some_and(|(_, after)| slow(tokens, after))
            }
            (Some((Token::Star, rest)), next) => {
                slow(rest, text)
                    || next.is_some_and(|(byte, after)| *byte != b'/' && slow(tokens, after))
            }
            (Some((token, rest)), Some((byte, after))) => token.takes(*byte) && slow(rest, after),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    /// A piece of a pattern with a text that it matches.
    fn piece() -> impl Strategy<Value = (String, String)> {
        prop_oneof![
            "[a-z.]{1,6}".prop_map(|text| (text.clone(), text)),
            "[a-z.]".prop_map(|text| ("?".to_owned(), text)),
            "[a-f]".prop_map(|text| ("[a-f]".to_owned(), text)),
            "[a-z.]{0,90}".prop_map(|text| ("*".to_owned(), text)),
            "[a-z.]{1,3}".prop_map(|text| (format!("{{{text},x}}"), text)),
            Just(("/x".to_owned(), "/x".to_owned())),
        ]
    }

    proptest! {
        #[test]
        fn the_fast_ways_agree_with_the_definition(
            pattern in "[ab/?*]{1,8}", text in "[ab/]{0,10}"
        ) {
            for kind in [Kind::Text, Kind::Path] {
                let tokens = tokenise(pattern.as_bytes(), kind).unwrap();
                let truth = slow(&tokens, text.as_bytes());
                prop_assert_eq!(run_table(&tokens, false, text.as_bytes()), truth);
                prop_assert_eq!(Wild::new(tokens).matches(text.as_bytes()), truth);
                if kind == Kind::Text {
                    let glob = Glob::new(&pattern, kind).unwrap();
                    prop_assert_eq!(glob.matches(text.as_bytes()), truth);
                }
            }
        }

        /// The text is made of the pattern, piece by piece, so that it has all that is looked for before the pattern is run.
        #[test]
        fn what_a_pattern_describes_is_let_through(pieces in vec(piece(), 1..12)) {
            let pattern: String = pieces.iter().map(|(pattern, _)| pattern.as_str()).collect();
            let text: String = pieces.iter().map(|(_, text)| text.as_str()).collect();
            for kind in [Kind::Text, Kind::Path] {
                let glob = Glob::new(&pattern, kind).unwrap();
                prop_assert!(glob.matches(text.as_bytes()), "{kind:?} {pattern} {text}");
            }
        }

        #[test]
        fn no_pattern_panics(pattern in any::<String>(), text in any::<Vec<u8>>()) {
            for kind in [Kind::Text, Kind::Path, Kind::Tree] {
                if let Ok(glob) = Glob::new(&pattern, kind) {
                    let _ = glob.matches(&text);
                }
            }
        }

        #[test]
        fn what_is_escaped_matches_itself(text in "[ -~é]{1,20}") {
            let mut pattern = String::new();
            text.chars().for_each(|c| escape_into(c, &mut pattern));
            prop_assert!(Glob::new(&pattern, Kind::Text).unwrap().matches(text.as_bytes()));
        }
    }
}

#[test]
fn few_tokens_are_gone_through_as_many_are() {
    let many = "x".repeat(SMALL);
    let texts: Vec<Vec<Piece<'_>>> = vec![
        vec![(None, b"/a/"), (Some(true), b"")],
        vec![(None, b"/a/"), (Some(false), b".b")],
        vec![(None, b""), (Some(false), b".txt")],
        vec![(None, b"./"), (Some(true), b"/c"), (Some(false), b"")],
        vec![(None, b"a"), (Some(false), b""), (Some(true), b"c")],
        vec![(None, b"/home/ann/"), (Some(false), b"/id")],
    ];
    let patterns = [
        "/a/*",
        "/a/.b",
        "*.txt",
        "**/c*",
        "a*c",
        "/home/?*/.id/*",
        "*id",
        "[a-c]*",
        "/**/.b",
        "a?c",
        "/a/b.b",
        ".*",
        "/home/*/id",
        "?.txt",
        "*/c/x",
    ];
    for pattern in patterns {
        for kind in [Kind::Text, Kind::Path, Kind::Tree] {
            let tokens = tokenise(pattern.as_bytes(), kind).unwrap();
            // The same pattern behind many bytes, for a text behind as many.
            let mut long = many.bytes().map(Token::Byte).collect::<Vec<_>>();
            long.extend(tokens.iter().cloned());
            for text in &texts {
                let head = [many.as_bytes(), text[0].1].concat();
                let mut behind = text.clone();
                behind[0].1 = &head;
                let few = run_pieces(&tokens, &|_| true, text.iter().copied());
                let told = |at: usize| at >= many.len();
                // At its start a text is at the start of a component, behind other bytes it is not.
                if !text[0].1.is_empty() {
                    let slow = run_pieces(&long, &told, behind.iter().copied());
                    assert_eq!(few, slow, "{pattern} {kind:?} {text:?}");
                }
            }
        }
    }
}
