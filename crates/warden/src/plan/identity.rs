//! Identity: what makes two requests the same question to a person.
//! Whatever could change what runs or for whom is in it; nothing that a request can leave out makes it fit another.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// SHA-256 over everything that an answer is given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity(pub [u8; 32]);

impl Identity {
    /// The same request with something more that tells it from others.
    #[must_use]
    pub fn within(self, more: &str) -> Self {
        let mut digest = Sha256::new();
        digest.update(self.0);
        digest.update(more.as_bytes());
        Self(digest.finalize().into())
    }
}

/// The parts of an [`Identity`].
#[derive(Debug, Clone, Copy)]
pub struct Same<'a, A, V> {
    /// The jail's name.
    pub jail: &'a str,
    /// The caller's user; one that is unknown is only the same as another unknown one.
    pub uid: Option<u32>,
    /// The file that will run, resolved.
    pub executable: &'a [u8],
    /// The argument vector.
    pub argv: &'a [A],
    /// The working directory, resolved; one that is unknown is only the same as another unknown one.
    pub cwd: Option<&'a [u8]>,
    /// The dangerous variables that the caller changed, `NAME=value` each. Their order does not matter.
    pub variables: &'a [V],
    /// What tells the caller's container from others; `None` for a caller in none.
    pub container: Option<&'a str>,
    /// The client runs it itself: a word for that is none for a run, nor the other way round.
    pub only_judged: bool,
}

impl<A: AsRef<[u8]>, V: AsRef<[u8]>> Same<'_, A, V> {
    /// Takes everything together. Each part is preceded by its length, so that no two lists run into each other.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let mut digest = Sha256::new();
        part(&mut digest, self.jail.as_bytes());
        digest.update([u8::from(self.uid.is_some())]);
        digest.update(self.uid.unwrap_or(0).to_be_bytes());
        part(&mut digest, self.executable);
        digest.update((self.argv.len() as u64).to_be_bytes());
        for argument in self.argv {
            part(&mut digest, argument.as_ref());
        }
        digest.update([u8::from(self.cwd.is_some())]);
        part(&mut digest, self.cwd.unwrap_or_default());
        let mut variables: Vec<&[u8]> = self.variables.iter().map(AsRef::as_ref).collect();
        variables.sort_unstable();
        for variable in variables {
            part(&mut digest, variable);
        }
        // No variable is like one of these: each has a `=`.
        if let Some(container) = self.container {
            part(&mut digest, b"container");
            part(&mut digest, container.as_bytes());
        }
        if self.only_judged {
            part(&mut digest, b"judge");
        }
        Identity(digest.finalize().into())
    }
}

fn part(digest: &mut Sha256, bytes: &[u8]) {
    digest.update((bytes.len() as u64).to_be_bytes());
    digest.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Same<'_, &str, &str> = Same {
        jail: "dev",
        uid: Some(1000),
        executable: b"/usr/bin/npm",
        argv: &["npm", "install", "left-pad"],
        cwd: Some(b"/app"),
        variables: &["NODE_OPTIONS=--inspect", "LD_PRELOAD=/x.so"],
        container: None,
        only_judged: false,
    };

    #[test]
    fn the_order_of_variables_does_not_matter() {
        let other = Same { variables: &["LD_PRELOAD=/x.so", "NODE_OPTIONS=--inspect"], ..BASE };
        assert_eq!(BASE.identity(), other.identity());
    }

    #[test]
    fn every_part_makes_a_difference() {
        let others = [
            Same { jail: "de", ..BASE },
            Same { uid: Some(0), ..BASE },
            Same { only_judged: true, ..BASE },
            Same { container: Some("a"), ..BASE },
            Same { container: Some("b"), ..BASE },
            Same { uid: None, ..BASE },
            Same { executable: b"/tmp/npm", ..BASE },
            Same { argv: &["npm", "install", "left", "pad"], ..BASE },
            Same { argv: &["npm", "install left-pad"], ..BASE },
            Same { argv: &["npm", "install", "left-pad", ""], ..BASE },
            Same { argv: &["npm", "installleft-pad", ""], ..BASE },
            Same { cwd: Some(b"/application"), ..BASE },
            Same { cwd: Some(b""), ..BASE },
            Same { cwd: None, ..BASE },
            Same { variables: &[], ..BASE },
            Same { variables: &["NODE_OPTIONS=--inspect"], ..BASE },
        ];
        let mut all: Vec<Identity> = others.iter().map(Same::identity).collect();
        all.push(BASE.identity());
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), others.len() + 1);
    }
}
