//! Paths and values as shell words. Everything that gets into a generated file passes through here.

/// `text` as one word of any shell of the Bourne family, whatever bytes it holds.
pub(crate) fn single(text: &[u8]) -> Vec<u8> {
    let mut word = Vec::with_capacity(text.len() + 2);
    word.push(b'\'');
    for &byte in text {
        if byte == b'\'' {
            word.extend_from_slice(b"'\\''");
        } else {
            word.push(byte);
        }
    }
    word.push(b'\'');
    word
}

/// A value that a shell would have expanded itself, as it expands `BASH_ENV` and `ENV`: between double quotes, so that
/// the same expansions happen. A value with a backslash or a double quote is taken literally instead.
pub(crate) fn expanded(text: &[u8]) -> Vec<u8> {
    if text.iter().any(|b| matches!(b, b'\\' | b'"')) {
        return single(text);
    }
    [b"\"", text, b"\""].concat()
}

/// Joins pieces of a generated file.
pub(crate) fn lines(pieces: &[&[u8]]) -> Vec<u8> {
    pieces.concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::process::Command;

    #[test]
    fn any_bytes_come_through_a_shell_unharmed() {
        for text in
            [&b"a b"[..], b"it's", b"$(touch /x)`y`\"\\", b"\xff\xfe\n\t", b"", b"'''", b"-n"]
        {
            let script = [b"printf %s ", &single(text)[..]].concat();
            for shell in ["sh", "bash"] {
                let script = OsStr::from_bytes(&script);
                let said = Command::new(shell).arg("-c").arg(script).output().unwrap();
                assert_eq!(said.stdout, text, "{shell}");
            }
        }
    }

    #[test]
    fn a_value_that_is_expanded_cannot_leave_its_quotes() {
        assert_eq!(expanded(b"$HOME/x"), b"\"$HOME/x\"");
        assert_eq!(expanded(b"x\"; rm y"), b"'x\"; rm y'");
        assert_eq!(expanded(b"x\\"), b"'x\\'");
    }
}
