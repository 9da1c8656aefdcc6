//! Names of images. They stand in a Dockerfile and on command lines, so nothing else may be in them.

/// Bytes of a reference: registry, path, tag and digest.
const MAX_REFERENCE: usize = 512;

/// Why a name is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    /// It cannot be an image's.
    #[error("{0:?} is no image's name; write NAME, NAME:TAG or NAME@DIGEST")]
    Bad(String),
    /// Nothing can be made of it.
    #[error(
        "an image that is named by its digest or id gives no name to the governed one; add --tag NAME"
    )]
    NoName,
}

/// Refuses what is no reference.
///
/// # Errors
/// [`NameError::Bad`].
pub(crate) fn check_reference(name: &str) -> Result<(), NameError> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b);
    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if begins && name.len() <= MAX_REFERENCE && name.bytes().all(fits) {
        Ok(())
    } else {
        Err(NameError::Bad(name.to_owned()))
    }
}

/// `alpine:3.23` becomes `alpine-governed:3.23`.
///
/// # Errors
/// [`NameError::NoName`] for a digest or an id.
pub(crate) fn governed_name(image: &str) -> Result<String, NameError> {
    let is_id = image.len() >= 12 && image.bytes().all(|b| b.is_ascii_hexdigit());
    if image.contains('@') || image.starts_with("sha256:") || is_id {
        return Err(NameError::NoName);
    }
    // A colon before the last slash is a registry's port.
    Ok(match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => format!("{name}-governed:{tag}"),
        _ => format!("{image}-governed"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_governed_image_is_named_after_its_base() {
        for (base, governed) in [
            ("alpine", "alpine-governed"),
            ("alpine:3.23", "alpine-governed:3.23"),
            ("registry.test:5000/a/b", "registry.test:5000/a/b-governed"),
            ("registry.test:5000/a/b:1", "registry.test:5000/a/b-governed:1"),
        ] {
            assert_eq!(governed_name(base).unwrap(), governed);
        }
        for base in ["a@sha256:00", "sha256:00", "0123456789ab"] {
            assert_eq!(governed_name(base), Err(NameError::NoName), "{base}");
        }
    }

    #[test]
    fn what_would_be_more_than_a_name_is_refused() {
        for bad in ["", "-v", "a b", "a\nRUN x", "a\"", "$x", "../x", "é", "a;b"] {
            assert!(check_reference(bad).is_err(), "{bad:?}");
        }
        check_reference("registry.test:5000/a_b/c-d:1.2@sha256:00").unwrap();
    }
}
