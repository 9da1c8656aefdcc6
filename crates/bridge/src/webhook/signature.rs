//! How callbacks and what is sent are signed.

use crate::secret::Secret;
use crate::signature::{self, Form};

/// The header with the time, in seconds since 1970.
pub const TIMESTAMP: &str = "clawrden-timestamp";

/// The header with `v1=` and the HMAC-SHA256 in hex over the time, a full stop and the body.
pub const SIGNATURE: &str = "clawrden-signature";

/// How it is signed.
const FORM: Form = Form { prefix: "v1=", before: "", between: "." };

/// What signs with this secret.
#[must_use]
pub fn signer(secret: &Secret) -> signature::Signer {
    signature::Signer::new(secret, FORM)
}

/// What takes callbacks that are signed with this secret from `now` on, in seconds since 1970.
#[must_use]
pub fn verifier(secret: &Secret, now: u64) -> signature::Verifier {
    signature::Verifier::new(secret, FORM, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_others_compute() {
        let signer = signer(&Secret::new("0123456789abcdef"));
        let (timestamp, signature) = signer.sign(1_700_000_000, b"{}");
        assert_eq!(timestamp, "1700000000");
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac 0123456789abcdef
        assert_eq!(
            signature,
            "v1=e4f8e2ecae2295b2ddb2f0b5584c8275e226c0ebe9b3b819e70156bb67122e3e"
        );
    }
}
