//! A warden elsewhere, for every verb that asks one: where it is, the token for it, and by what it is known.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use clawrden_api::{Client, Trust};

use crate::bounded::read_bounded;
use crate::failure::{Failure, chain};

/// Bytes of a file with a token.
const MAX_TOKEN: u64 = 4096;

/// Where a warden elsewhere is
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A warden elsewhere, such as https://warden.example:8080
    #[arg(
        long,
        global = true,
        value_name = "URL",
        conflicts_with = "control",
        requires = "token_file"
    )]
    host: Option<String>,
    /// The file with the token for it (mode 0600)
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// SHA-256 of its certificate, as its log says it
    #[arg(long, global = true, value_name = "HEX", conflicts_with = "ca")]
    fingerprint: Option<String>,
    /// The authorities that may have signed its certificate, as a PEM file
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// For a verb that looks at files of this machine unless a warden is meant.
#[derive(Debug, clap::Args)]
pub(crate) struct AskWarden {
    /// Ask the warden rather than look at files of this machine; with --host that is so without it
    #[arg(long)]
    warden: bool,
}

impl AskWarden {
    /// Whether a warden is meant.
    pub(crate) fn is_meant(&self) -> bool {
        self.warden || client().is_some()
    }

    /// Refuses what goes with files alone.
    ///
    /// # Errors
    /// [`Failure::Usage`] with the first of these that was given.
    pub(crate) fn refuse(&self, given: &[(bool, &str)]) -> Result<(), Failure> {
        match given.iter().find(|(is_given, _)| *is_given) {
            Some((_, what)) => Err(Failure::Usage(format!(
                "{what} is about files of this machine, and goes neither with --warden nor with --host"
            ))),
            None => Ok(()),
        }
    }
}

/// Set once, before any verb runs.
static CLIENT: OnceLock<Client> = OnceLock::new();

/// The client of the warden that `--host` names.
pub(crate) fn client() -> Option<Client> {
    CLIENT.get().cloned()
}

/// Reads what `--host` and its like say.
///
/// # Errors
/// [`Failure::Usage`] for a verb that is about this machine, an address that is none, and a token that cannot be read.
pub(crate) fn settle(args: Args, is_asked_elsewhere: bool) -> Result<(), Failure> {
    let (url, file) = match (args.host, args.token_file) {
        (Some(url), Some(file)) => (url, file),
        (None, None) if args.fingerprint.is_none() && args.ca.is_none() => return Ok(()),
        // Never the warden of this machine instead.
        (None, _) => {
            let text = "--token-file, --fingerprint and --ca are of a warden elsewhere: name it with --host URL";
            return Err(Failure::Usage(text.to_owned()));
        }
        (Some(_), None) => {
            return Err(Failure::Usage("--host needs --token-file FILE".to_owned()));
        }
    };
    if !is_asked_elsewhere {
        let text =
            "--host is for verbs that ask a warden; this one is about the machine that it runs on";
        return Err(Failure::Usage(text.to_owned()));
    }
    let bad = |why: String| Failure::Usage(format!("--token-file {}: {why}", file.display()));
    let mode = std::fs::metadata(&file).map_err(|e| bad(e.to_string()))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(bad("others may read it (chmod 600)".to_owned()));
    }
    let token = read_bounded(&file, MAX_TOKEN).map_err(|e| bad(e.to_string()))?;
    let trust = match (&args.fingerprint, &args.ca) {
        (Some(fingerprint), _) => Trust::Fingerprint(fingerprint),
        (None, Some(file)) => Trust::Authority(file),
        (None, None) => Trust::System,
    };
    let client = Client::remote(&url, &token, trust).map_err(|e| Failure::Usage(chain(&e)))?;
    // It is set by nobody else.
    let _ = CLIENT.set(client);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_warden_elsewhere_is_never_taken_for_this_machine() {
        let none = || Args { host: None, token_file: None, fingerprint: None, ca: None };
        assert!(settle(none(), true).is_ok());
        for args in [
            Args { token_file: Some("t".into()), ..none() },
            Args { fingerprint: Some("00".to_owned()), ..none() },
            Args { ca: Some("c".into()), ..none() },
            Args { host: Some("https://a".to_owned()), ..none() },
        ] {
            let refused = settle(args, true);
            assert!(matches!(&refused, Err(Failure::Usage(text)) if text.contains("--host")));
        }
    }
}
