//! Words: how cases and examples write a command. A line is split at spaces, quotes hold words together, and nothing
//! else is special. The tests beside the code read their cases by it as well.

/// The words of a command as a case writes it.
pub(crate) fn words(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    for byte in line.bytes() {
        match (quote, byte) {
            (None, b' ') => words.extend(word.take()),
            (None, b'\'' | b'"') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (Some(open), _) if open == byte => quote = None,
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words
}
