//! Braces: the texts that they spell out.

use super::{GlobError, MAX_ALTERNATIVES};

/// The texts that the braces of `source` spell out, each still a pattern.
pub(crate) fn spellings(source: &str) -> Result<Vec<String>, GlobError> {
    let spelled = expand_braces(source.as_bytes())?;
    Ok(spelled.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect())
}

/// How many texts the braces of `source` spell out, or more; 1 without braces. Nothing is spelled out for it.
pub(crate) fn count_spellings(source: &str) -> usize {
    let (mut all, mut choices) = (1_usize, 1_usize);
    for byte in source.bytes().skip_while(|byte| *byte != b'{') {
        match byte {
            b',' => choices += 1,
            b'}' => {
                all = all.saturating_mul(choices);
                choices = 1;
            }
            _ => {}
        }
    }
    all.saturating_mul(choices)
}

/// Spells out `{a,b}`: `x{a,b}y` is `xay` and `xby`.
pub(super) fn expand_braces(source: &[u8]) -> Result<Vec<Vec<u8>>, GlobError> {
    let mut done: Vec<Vec<u8>> = vec![Vec::new()];
    let mut rest = source;
    while let Some((&byte, after)) = rest.split_first() {
        match byte {
            b'\\' => {
                let Some((&escaped, after)) = after.split_first() else {
                    return Err(GlobError::DanglingEscape);
                };
                done.iter_mut().for_each(|text| text.extend([b'\\', escaped]));
                rest = after;
            }
            b'{' => {
                let (choices, after) = read_choices(after)?;
                if done.len() * choices.len() > MAX_ALTERNATIVES {
                    return Err(GlobError::TooManyAlternatives);
                }
                done = done
                    .iter()
                    .flat_map(|head| choices.iter().map(move |tail| [&head[..], tail].concat()))
                    .collect();
                rest = after;
            }
            _ => {
                done.iter_mut().for_each(|text| text.push(byte));
                rest = after;
            }
        }
    }
    Ok(done)
}

/// Reads up to the closing brace; gives the choices and what follows it.
fn read_choices(text: &[u8]) -> Result<(Vec<Vec<u8>>, &[u8]), GlobError> {
    let mut choices = vec![Vec::new()];
    let mut current = Vec::new();
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'}' => {
                if let Some(last) = choices.last_mut() {
                    *last = current;
                }
                return Ok((choices, rest));
            }
            b'{' => return Err(GlobError::NestedBrace),
            b',' => {
                if let Some(last) = choices.last_mut() {
                    *last = std::mem::take(&mut current);
                }
                if choices.len() == MAX_ALTERNATIVES {
                    return Err(GlobError::TooManyAlternatives);
                }
                choices.push(Vec::new());
            }
            b'\\' => {
                let Some((&escaped, after)) = rest.split_first() else {
                    return Err(GlobError::DanglingEscape);
                };
                current.extend([b'\\', escaped]);
                rest = after;
            }
            _ => current.push(byte),
        }
    }
    Err(GlobError::OpenBrace)
}
