//! How Slack signs its calls: `X-Slack-Signature`, version `v0`.

use crate::secret::Secret;
use crate::signature::{Form, Verifier};

/// How it is signed.
const FORM: Form = Form { prefix: "v0=", before: "v0:", between: ":" };

/// What takes calls of Slack from `now` on, in seconds since 1970.
#[must_use]
pub fn verifier(secret: &Secret, now: u64) -> Verifier {
    Verifier::new(secret, FORM, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::Refused;

    const NOW: u64 = 1_531_420_618;

    /// The example of Slack's own documentation.
    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
    const BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

    #[test]
    fn the_example_of_the_documentation_is_taken_once() {
        let mut verifier = verifier(&Secret::new(SECRET), NOW + 3);
        let (at, body) = (NOW.to_string(), BODY.as_bytes());
        let headers = (Some(&at[..]), Some(SIGNATURE));
        let checked = verifier.check(headers, body, NOW + 3).unwrap();
        verifier.use_up(&checked).unwrap();
        assert_eq!(verifier.check(headers, body, NOW + 4).map(drop), Err(Refused::Replayed));
    }
}
