//! What tokens look like that can be told by themselves, as those who give them out document it.

use std::ops::Range;

use super::runs::{self, Runs, find, span};

/// The form of a kind of token: a beginning, and how it goes on.
pub(super) struct Shape {
    /// What it is called in a mark.
    pub(super) kind: &'static str,
    pub(super) begin: &'static str,
    /// Bytes behind the beginning, at least and at most.
    length: (usize, usize),
    chars: Chars,
    /// It begins a word: what is short may stand in any other.
    begins_word: bool,
}

/// What a token goes on with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chars {
    /// Letters and digits.
    Word,
    /// These, `_` and `-`.
    Dashed,
    /// These and what base64 has, and dots.
    Base64,
    /// Capital letters and digits.
    Capital,
    /// Small hex digits.
    Hex,
}

impl Chars {
    /// What no byte of it is.
    fn ends(self) -> runs::Bytes {
        match self {
            Self::Word => runs::NOT_WORD,
            Self::Dashed => runs::NOT_DASHED,
            Self::Base64 => runs::NOT_BASE64,
            Self::Capital => runs::NOT_CAPITAL,
            Self::Hex => runs::NOT_HEX,
        }
    }
}

impl Shape {
    /// The end of the token whose beginning stands at `hit`, if it is one.
    pub(super) fn end(&self, text: &[u8], hit: Range<usize>, runs: &mut Runs) -> Option<usize> {
        if text.get(hit.clone())? != self.begin.as_bytes() {
            return None;
        }
        let before = hit.start.checked_sub(1).map(|before| text[before]);
        if self.begins_word && before.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return None;
        }
        let end = runs.until(text, hit.end, self.chars.ends());
        let (least, most) = self.length;
        if !(least..=most).contains(&(end - hit.end)) {
            return None;
        }
        // A word that only begins like a token has no digits; nearly every token has.
        let is_mixed = runs.until(text, hit.end, runs::DIGIT) < end;
        (is_mixed || !self.begins_word).then_some(end)
    }
}

const fn shape(
    kind: &'static str,
    begin: &'static str,
    least: usize,
    most: usize,
    chars: Chars,
) -> Shape {
    Shape { kind, begin, length: (least, most), chars, begins_word: true }
}

const LONG: usize = 4096;

/// All of them.
pub(super) const SHAPES: &[Shape] = &[
    shape("github-token", "ghp_", 36, 255, Chars::Word),
    shape("github-token", "gho_", 36, 255, Chars::Word),
    shape("github-token", "ghu_", 36, 255, Chars::Word),
    shape("github-token", "ghs_", 36, LONG, Chars::Base64),
    shape("github-token", "ghr_", 36, 255, Chars::Word),
    shape("github-token", "github_pat_", 36, 255, Chars::Dashed),
    shape("gitlab-token", "glpat-", 20, 400, Chars::Base64),
    shape("gitlab-token", "gldt-", 20, 400, Chars::Base64),
    shape("gitlab-token", "glrt-", 20, 400, Chars::Base64),
    shape("gitlab-token", "glcbt-", 20, 400, Chars::Base64),
    shape("gitlab-token", "glptt-", 20, 400, Chars::Base64),
    shape("gitlab-token", "glft-", 20, 400, Chars::Base64),
    shape("gitlab-token", "glsoat-", 20, 400, Chars::Base64),
    shape("gitlab-token", "gloas-", 20, 400, Chars::Base64),
    shape("gitlab-token", "GR1348941", 20, 60, Chars::Dashed),
    shape("aws-key-id", "AKIA", 16, 16, Chars::Capital),
    shape("aws-key-id", "ASIA", 16, 16, Chars::Capital),
    shape("aws-key-id", "ABIA", 16, 16, Chars::Capital),
    shape("aws-key-id", "ACCA", 16, 16, Chars::Capital),
    shape("aws-bedrock-key", "ABSK", 60, 300, Chars::Base64),
    shape("slack-token", "xoxb-", 20, 255, Chars::Dashed),
    shape("slack-token", "xoxp-", 20, 255, Chars::Dashed),
    shape("slack-token", "xoxa-", 20, 255, Chars::Dashed),
    shape("slack-token", "xoxr-", 20, 255, Chars::Dashed),
    shape("slack-token", "xoxs-", 20, 255, Chars::Dashed),
    shape("slack-token", "xoxe-", 20, 400, Chars::Dashed),
    shape("slack-token", "xoxe.xox", 20, 400, Chars::Base64),
    shape("slack-token", "xapp-", 20, 255, Chars::Dashed),
    Shape {
        begins_word: false,
        ..shape("slack-webhook", "hooks.slack.com/services/", 20, 120, Chars::Base64)
    },
    Shape {
        begins_word: false,
        ..shape("slack-webhook", "hooks.slack.com/workflows/", 20, 160, Chars::Base64)
    },
    Shape {
        begins_word: false,
        ..shape("discord-webhook", "discord.com/api/webhooks/", 40, 160, Chars::Base64)
    },
    shape("stripe-key", "sk_live_", 16, 255, Chars::Word),
    shape("stripe-key", "sk_test_", 16, 255, Chars::Word),
    shape("stripe-key", "rk_live_", 16, 255, Chars::Word),
    shape("stripe-key", "rk_test_", 16, 255, Chars::Word),
    shape("stripe-key", "whsec_", 24, 255, Chars::Base64),
    shape("npm-token", "npm_", 36, 36, Chars::Word),
    shape("pypi-token", "pypi-AgEIcHlwaS5vcmc", 50, 1000, Chars::Dashed),
    shape("pypi-token", "pypi-AgENdGVzdC5weXBpLm9yZw", 50, 1000, Chars::Dashed),
    shape("rubygems-key", "rubygems_", 48, 48, Chars::Hex),
    shape("crates-token", "cio", 32, 32, Chars::Word),
    shape("google-key", "AIza", 35, 35, Chars::Dashed),
    shape("google-token", "ya29.", 20, LONG, Chars::Base64),
    shape("google-secret", "GOCSPX-", 28, 28, Chars::Dashed),
    shape("google-token", "1//0", 40, 255, Chars::Dashed),
    shape("anthropic-key", "sk-ant-", 24, 255, Chars::Dashed),
    shape("openai-key", "sk-proj-", 24, 255, Chars::Dashed),
    shape("openai-key", "sk-svcacct-", 24, 255, Chars::Dashed),
    shape("openai-key", "sk-admin-", 24, 255, Chars::Dashed),
    shape("openrouter-key", "sk-or-v1-", 64, 64, Chars::Hex),
    shape("openai-key", "sk-", 32, 255, Chars::Word),
    shape("huggingface-token", "hf_", 34, 37, Chars::Word),
    shape("groq-key", "gsk_", 48, 60, Chars::Word),
    shape("xai-key", "xai-", 60, 120, Chars::Word),
    shape("replicate-token", "r8_", 37, 37, Chars::Word),
    shape("perplexity-key", "pplx-", 40, 64, Chars::Word),
    shape("sendgrid-key", "SG.", 60, 80, Chars::Base64),
    shape("mailchimp-key", "mandrill-", 20, 60, Chars::Dashed),
    shape("digitalocean-token", "dop_v1_", 64, 64, Chars::Hex),
    shape("digitalocean-token", "doo_v1_", 64, 64, Chars::Hex),
    shape("digitalocean-token", "dor_v1_", 64, 64, Chars::Hex),
    shape("docker-token", "dckr_pat_", 20, 60, Chars::Dashed),
    shape("docker-token", "dckr_oat_", 20, 60, Chars::Dashed),
    shape("vault-token", "hvs.", 24, 400, Chars::Dashed),
    shape("vault-token", "hvb.", 24, 400, Chars::Dashed),
    shape("terraform-token", "atlasv1.", 40, 120, Chars::Base64),
    shape("shopify-token", "shpat_", 32, 32, Chars::Hex),
    shape("shopify-token", "shpca_", 32, 32, Chars::Hex),
    shape("shopify-token", "shppa_", 32, 32, Chars::Hex),
    shape("shopify-token", "shpss_", 32, 32, Chars::Hex),
    shape("atlassian-token", "ATATT3xFfG", 60, 400, Chars::Base64),
    shape("atlassian-token", "ATCTT3xFfG", 60, 400, Chars::Base64),
    shape("linear-key", "lin_api_", 32, 60, Chars::Word),
    shape("notion-token", "ntn_", 40, 60, Chars::Word),
    shape("figma-token", "figd_", 32, 80, Chars::Dashed),
    shape("grafana-token", "glsa_", 32, 80, Chars::Dashed),
    shape("grafana-token", "glc_eyJ", 32, 400, Chars::Base64),
    shape("newrelic-key", "NRAK-", 27, 27, Chars::Capital),
    shape("sentry-token", "sntrys_", 40, 400, Chars::Base64),
    shape("sentry-token", "sntryu_", 64, 64, Chars::Hex),
    shape("supabase-key", "sbp_", 40, 60, Chars::Hex),
    shape("supabase-key", "sb_secret_", 20, 60, Chars::Dashed),
    shape("databricks-token", "dapi", 32, 34, Chars::Hex),
    shape("planetscale-token", "pscale_tkn_", 32, 64, Chars::Dashed),
    shape("pulumi-token", "pul-", 40, 40, Chars::Hex),
    shape("postman-key", "PMAK-", 50, 70, Chars::Dashed),
    shape("doppler-token", "dp.pt.", 40, 50, Chars::Word),
    shape("tailscale-key", "tskey-", 20, 80, Chars::Dashed),
    shape("fly-token", "fo1_", 40, 60, Chars::Dashed),
    shape("onepassword-token", "ops_eyJ", 60, LONG, Chars::Base64),
    shape("age-key", "AGE-SECRET-KEY-1", 58, 58, Chars::Capital),
    shape("artifactory-token", "cmVmdGtuO", 40, 80, Chars::Word),
    shape("azure-key", "AccountKey=", 86, 88, Chars::Base64),
];

/// The end of a JSON web token, `eyJ….eyJ….…`, that begins at `begin`.
pub(super) fn web_token(text: &[u8], begin: usize, runs: &mut Runs) -> Option<usize> {
    let before = begin.checked_sub(1).map(|before| text[before]);
    if before.is_some_and(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    // Each part is looked for on its own: the next token may begin in this one's head.
    let mut part = |from, which| runs.until(text, from, runs::NOT_DASHED | which);
    let head = part(begin, runs::SECOND);
    if text.get(head) != Some(&b'.') || head - begin < 12 {
        return None;
    }
    let body = part(head + 1, runs::THIRD);
    if !text.get(head + 1..body)?.starts_with(b"eyJ") || body - head < 8 {
        return None;
    }
    let tail = runs::SECOND | runs::THIRD;
    Some(if text.get(body) == Some(&b'.') { part(body + 1, tail) } else { body })
}

/// Bytes of what a private key is called, at most.
const TITLE: usize = 64;

/// What stands before the lines of a key, with a colon.
const KEY_HEADERS: [&[u8]; 6] =
    [b"Proc-Type:", b"DEK-Info:", b"Version:", b"Comment:", b"Hash:", b"Charset:"];

/// The end of a private key that begins with `-----BEGIN ` at `begin`: its lines go with it, as far as they are ones of a
/// key. Whether quotes end strings is for `is_json` to say.
pub(super) fn private_key(text: &[u8], begin: usize, is_json: bool) -> Option<usize> {
    const TAIL: &[u8] = b"-----";
    const END: &[u8] = b"-----END ";
    let title_end = |from: usize| {
        let title = text.get(from..text.len().min(from + TITLE))?;
        find(title, TAIL).map(|length| (from + length + TAIL.len(), &title[..length]))
    };
    let (mut end, title) = title_end(begin + b"-----BEGIN ".len())?;
    if !title.ends_with(b"PRIVATE KEY") && !title.ends_with(b"PRIVATE KEY BLOCK") {
        return None;
    }
    // The whole key may stand on one line.
    let mut is_first = true;
    loop {
        let gap = Gap::after(text, end, is_json);
        let at = gap.end;
        is_first &= !gap.has_break;
        let rest = text.get(at..).unwrap_or_default();
        if rest.starts_with(END) {
            return Some(title_end(at + END.len()).map_or(end, |(end, _)| end));
        }
        if !gap.may_be_within {
            return Some(end);
        }
        if KEY_HEADERS.iter().any(|header| rest.starts_with(header)) {
            let ends = |b: u8| b"\r\n\\\"'`$;|&".contains(&b);
            end = at + span(rest, |b| !ends(b));
            is_first = false;
            continue;
        }
        let word = span(rest, |b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
        let behind = Gap::after(text, at + word, is_json);
        let is_alone = behind.has_break || behind.end == text.len() || behind.has_quote || {
            text[behind.end..].starts_with(END)
        };
        let is_whole = behind.end > at + word || at + word == text.len() || is_alone;
        if word == 0 || !(is_alone || is_first && is_whole) {
            // The quote that ends a string in JSON ends what is in it.
            let is_last = word > 0 && is_json && rest.get(word) == Some(&b'"');
            return Some(if is_last { at + word } else { end });
        }
        end = at + word;
    }
}

/// What stands between two words of a key.
struct Gap {
    end: usize,
    has_break: bool,
    has_quote: bool,
    /// Strings that are put together have a break, a `+` or a comma between them.
    may_be_within: bool,
}

impl Gap {
    fn after(text: &[u8], from: usize, is_json: bool) -> Self {
        let (mut at, mut has_break, mut has_quote, mut has_join) = (from, false, false, false);
        loop {
            let rest = text.get(at..).unwrap_or_default();
            let escapes = span(rest, |b| b == b'\\');
            match rest.get(escapes) {
                Some(b'n' | b'r') if escapes > 0 => has_break = true,
                Some(b't') if escapes > 0 => {}
                Some(b'"' | b'\'') if !is_json => has_quote = true,
                _ if escapes > 0 => break,
                Some(b'\n' | b'\r') => has_break = true,
                // Base64 has `+` as well.
                Some(b',' | b'+') if has_quote => has_join = true,
                Some(b' ' | b'\t' | b',') => {}
                _ => break,
            }
            at += escapes + 1;
        }
        let may_be_within = !has_quote || has_break || has_join;
        Self { end: at, has_break, has_quote, may_be_within }
    }
}
