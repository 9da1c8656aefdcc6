//! Which characters may be shown as they are.
//! A character that moves the cursor, turns the line round, is invisible, looks like a space or changes the look of
//! its neighbours never is.

/// Ranges of characters beyond ASCII that are never shown as they are, in order. From the Unicode character database:
/// general categories Cc, Cf, Zs, Zl, Zp, Co; `Default_Ignorable_Code_Point`; noncharacters; the general blocks of
/// combining marks; and the blank U+2800 and U+FFFC.
const HIDDEN: &[(u32, u32)] = &[
    (0x0080, 0x00A0),    // C1 controls, no-break space
    (0x00AD, 0x00AD),    // soft hyphen
    (0x0300, 0x036F),    // combining marks
    (0x0483, 0x0489),    // combining Cyrillic
    (0x0600, 0x0605),    // Arabic number signs
    (0x061C, 0x061C),    // Arabic letter mark
    (0x06DD, 0x06DD),    // Arabic end of ayah
    (0x070F, 0x070F),    // Syriac abbreviation mark
    (0x0890, 0x0891),    // Arabic pound and piastre marks
    (0x08E2, 0x08E2),    // Arabic disputed end of ayah
    (0x115F, 0x1160),    // Hangul fillers
    (0x1680, 0x1680),    // Ogham space
    (0x17B4, 0x17B5),    // Khmer inherent vowels
    (0x180B, 0x180F),    // Mongolian selectors
    (0x1AB0, 0x1AFF),    // combining marks, extended
    (0x1DC0, 0x1DFF),    // combining marks, supplement
    (0x2000, 0x200F),    // spaces, zero width, direction marks
    (0x2028, 0x202F),    // line and paragraph separators, bidi embedding, narrow no-break space
    (0x205F, 0x206F),    // mathematical space, invisible operators, bidi isolates
    (0x20D0, 0x20FF),    // combining marks for symbols
    (0x2800, 0x2800),    // blank Braille pattern
    (0x3000, 0x3000),    // ideographic space
    (0x302A, 0x302F),    // tone marks
    (0x3164, 0x3164),    // Hangul filler
    (0xE000, 0xF8FF),    // private use
    (0xFDD0, 0xFDEF),    // noncharacters
    (0xFE00, 0xFE0F),    // variation selectors
    (0xFE20, 0xFE2F),    // combining half marks
    (0xFEFF, 0xFEFF),    // byte order mark
    (0xFFA0, 0xFFA0),    // half-width Hangul filler
    (0xFFF0, 0xFFFC),    // unassigned ignorables, interlinear marks, object replacement
    (0xFFFE, 0xFFFF),    // noncharacters
    (0x110BD, 0x110BD),  // Kaithi number sign
    (0x110CD, 0x110CD),  // Kaithi number sign above
    (0x13430, 0x1345F),  // Egyptian format controls
    (0x1BCA0, 0x1BCA3),  // shorthand format controls
    (0x1D159, 0x1D159),  // musical null notehead
    (0x1D165, 0x1D182),  // musical combining and format
    (0x1FFFE, 0x1FFFF),  // noncharacters
    (0xE0000, 0x10FFFF), // tags, selectors, private use
];

/// Whether `c` may be shown as it is: it is visible, or the ASCII space, and changes nothing around it.
///
/// The ledger uses the same rule for what stands literally in a line.
#[must_use]
pub fn is_plain(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    let code = u32::from(c);
    let at = HIDDEN.partition_point(|&(_, last)| last < code);
    HIDDEN.get(at).is_none_or(|&(first, _)| code < first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(HIDDEN.iter().all(|&(first, last)| first <= last));
        assert!(HIDDEN.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }

    #[test]
    fn every_control_and_every_space_but_one_is_hidden() {
        for c in '\0'..=char::MAX {
            if c.is_control() || (c.is_whitespace() && c != ' ') {
                assert!(!is_plain(c), "{:x}", u32::from(c));
            }
        }
        assert!(is_plain(' '));
    }

    #[test]
    fn letters_of_the_world_are_plain() {
        assert!("aZ~/é ß Ж 日本語 한국 עברית العربية हिन्दी 😀 → …".chars().all(is_plain));
    }

    #[test]
    fn characters_that_lie_are_hidden() {
        for c in
            "\u{200b}\u{200d}\u{202e}\u{2066}\u{feff}\u{ad}\u{3164}\u{e0041}\u{fe0f}\u{301}\u{2800}"
                .chars()
        {
            assert!(!is_plain(c), "{:x}", u32::from(c));
        }
    }
}
