//! What an approver should know of the characters of a command: letters that look like others, and what is hidden.

use unicode_security::MixedScript as _;
use unicode_security::confusable_detection::skeleton;
use unicode_security::mixed_script::is_potential_mixed_script_confusable_char;

use super::characters::is_plain;
use super::quote::text;

/// Warnings that are given of one command; the last then says how many are left out.
pub const MAX_WARNINGS: usize = 8;

/// Characters of one argument that are looked at.
const LOOKED_AT: usize = 4096;

/// Characters of a word that a warning shows.
const SHOWN: usize = 40;

/// What is odd about the characters of an argument vector, one sentence each; safe to show.
#[must_use]
pub fn warnings(argv: &[String]) -> Vec<String> {
    let mut all = Vec::new();
    for (at, argument) in argv.iter().enumerate().filter(|(_, argument)| !argument.is_ascii()) {
        let looked_at: String = argument.chars().take(LOOKED_AT).collect();
        for word in looked_at.split(|c: char| !c.is_alphanumeric()) {
            all.extend(of_word(word).map(|what| format!("argument {at}: {what}")));
        }
        let hidden = argument.chars().filter(|&c| !c.is_ascii() && !is_plain(c)).count();
        if hidden > 0 {
            let plural = if hidden == 1 { "character" } else { "characters" };
            all.push(format!(
                "argument {at}: {hidden} {plural} that cannot be seen, or change how others look"
            ));
        }
    }
    if all.len() > MAX_WARNINGS {
        let left_out = all.len() - (MAX_WARNINGS - 1);
        all.truncate(MAX_WARNINGS - 1);
        all.push(format!("and {left_out} more like these"));
    }
    all
}

fn of_word(word: &str) -> Option<String> {
    if word.is_ascii() {
        return None;
    }
    let shown = text(&word.chars().take(SHOWN).collect::<String>());
    let looks: String = skeleton(word).collect();
    // Letters of ASCII that are confused with others of ASCII make a skeleton of their own: `m` is `rn`.
    if looks.is_ascii() && !looks.is_empty() {
        let like = text(&looks.replace("rn", "m").chars().take(SHOWN).collect::<String>());
        return Some(format!(
            "`{shown}` looks like `{like}` and is not: letters of another script"
        ));
    }
    let has_ascii = word.bytes().any(|b| b.is_ascii_alphabetic());
    let may_lie =
        word.chars().any(|c| !c.is_ascii() && is_potential_mixed_script_confusable_char(c));
    (has_ascii && may_lie && !word.is_single_script())
        .then(|| format!("`{shown}` mixes letters of several scripts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(argument: &str) -> Vec<String> {
        warnings(&["tool".to_owned(), argument.to_owned()])
    }

    #[test]
    fn letters_that_look_like_others_are_told() {
        for (lie, like) in [("gіt", "git"), ("аpp", "app"), ("рush", "push"), ("ｇit", "git")] {
            let told = of(lie);
            assert!(
                told.iter().any(|text| text.contains(&format!("looks like `{like}`"))),
                "{lie}: {told:?}"
            );
        }
        let whole = of("https://exаmple.com/раth");
        assert!(whole.iter().any(|text| text.contains("`exаmple`")), "{whole:?}");
    }

    #[test]
    fn ordinary_words_of_the_world_are_not_warned_of() {
        for word in [
            "plain",
            "café",
            "naïve-größe",
            "日本語.txt",
            "Привет",
            "שלום",
            "file-Ω.txt",
            "東京tower",
        ] {
            assert_eq!(of(word), Vec::<String>::new(), "{word}");
        }
    }

    #[test]
    fn what_is_hidden_is_counted() {
        let told = of("a\u{202e}b\u{200b}");
        assert_eq!(
            told,
            ["argument 1: 2 characters that cannot be seen, or change how others look"]
        );
    }

    #[test]
    fn warnings_are_bounded_and_harmless() {
        let many = vec!["gіt\u{202e}".repeat(1000); 500];
        let told = warnings(&many);
        assert_eq!(told.len(), MAX_WARNINGS);
        assert!(told.iter().all(|text| text.chars().all(is_plain)), "{told:?}");
    }
}
