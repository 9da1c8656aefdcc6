//! What Slack refuses, and what can be done about it.

use std::time::Duration;

use crate::heard::Failure;

/// How long to rest where Slack does not say.
const REST: Duration = Duration::from_secs(30);

/// Characters of a word of Slack's that is shown.
const MAX_WORD: usize = 100;

/// An answer that is no yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It did not come to an answer, or it asks for a rest.
    Failed(Failure),
    /// Slack said no: its word for why, and the scope that is missing.
    Said {
        /// Such as `channel_not_found`.
        error: String,
        /// Such as `chat:write`.
        needed: Option<String>,
    },
}

impl Refusal {
    /// What an answer with `ok: false` says.
    pub(super) fn said(error: Option<&str>, needed: Option<&str>, rest: Option<Duration>) -> Self {
        let error = error.map_or_else(|| "unknown_error".to_owned(), word);
        if matches!(&error[..], "ratelimited" | "rate_limited" | "message_limit_exceeded") {
            return Self::Failed(Failure::Later(rest.unwrap_or(REST)));
        }
        Self::Said { error, needed: needed.map(word) }
    }

    /// Whether it said this.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Said { error, .. } if error == word)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let (error, needed) = match refusal {
            Refusal::Failed(failure) => return failure,
            Refusal::Said { error, needed } => (error, needed),
        };
        if error == "missing_scope" {
            let scope = needed.as_deref().unwrap_or("that it needs");
            return Self::Never(format!(
                "the app has not the scope {scope}; add it on the app's page OAuth & Permissions and install the app again"
            ));
        }
        match remedy(&error) {
            Some(remedy) => Self::Never(format!("slack says {error}: {remedy}")),
            None => Self::Now(format!("slack says {error}")),
        }
    }
}

/// What to do about what will never go well.
fn remedy(error: &str) -> Option<&'static str> {
    Some(match error {
        "invalid_auth"
        | "not_authed"
        | "token_revoked"
        | "token_expired"
        | "account_inactive"
        | "not_allowed_token_type"
        | "two_factor_setup_required" => {
            "the token is not taken; copy it again from the app's page (xoxb- from OAuth & Permissions, xapp- from Basic Information), and install the app again if it was removed"
        }
        "channel_not_found" => {
            "there is no such channel for the bot; take the channel's id (C…) from its details, and invite the bot where it is private: /invite @…"
        }
        "not_in_channel" => "the bot is not in the channel; write /invite @… there",
        "is_archived" => "the channel is archived; take another",
        "user_not_in_channel" | "user_not_found" => "the person is not in that channel",
        "message_not_found" | "cant_update_message" | "edit_window_closed" | "thread_not_found" => {
            "the message is gone, or another app's"
        }
        "invalid_blocks"
        | "invalid_blocks_format"
        | "msg_blocks_too_long"
        | "msg_too_long"
        | "no_text"
        | "invalid_arguments"
        | "invalid_arg_name"
        | "invalid_json"
        | "json_not_object"
        | "invalid_metadata_format"
        | "invalid_form_data" => {
            "it does not take what was sent; that is a fault of clawrden, please report it"
        }
        "expired_trigger_id"
        | "exchanged_trigger_id"
        | "trigger_expired"
        | "trigger_exchanged"
        | "invalid_trigger_id" => "the tap is too old for a dialog; tap again",
        "restricted_action"
        | "restricted_action_read_only_channel"
        | "restricted_action_thread_only_channel"
        | "restricted_action_non_threadable_channel"
        | "restricted_action_thread_locked"
        | "access_denied"
        | "no_permission"
        | "ekm_access_denied"
        | "org_login_required"
        | "team_access_not_granted"
        | "method_deprecated"
        | "deprecated_endpoint"
        | "forbidden_team"
        | "app_not_installed" => "the workspace does not permit it; ask its administrators",
        "socket_mode_disabled" | "link_disabled" | "socket_mode_not_enabled" => {
            "Socket Mode is switched off; switch it on, on the app's page Socket Mode"
        }
        "unknown_method" | "not_found" => "there is no Slack at the address of the api",
        _ => return None,
    })
}

/// A word of Slack's as it may be shown.
fn word(text: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || "_:.,-".contains(*c);
    let word: String = text.chars().filter(is_plain).take(MAX_WORD).collect();
    if word.is_empty() { "unknown_error".to_owned() } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(error: &str, needed: Option<&str>) -> Failure {
        Refusal::said(Some(error), needed, None).into()
    }

    #[test]
    fn what_will_never_go_well_comes_with_what_to_do() {
        for (error, says) in [
            ("invalid_auth", "copy it again"),
            ("channel_not_found", "C…"),
            ("not_in_channel", "/invite"),
            ("message_not_found", "gone"),
            ("invalid_blocks", "report"),
        ] {
            let failure = failure(error, None);
            let Failure::Never(why) = &failure else { panic!("{failure:?}") };
            assert!(why.contains(error) && why.contains(says), "{why}");
        }
        let Failure::Never(why) = failure("missing_scope", Some("chat:write")) else { panic!() };
        assert!(why.contains("chat:write"), "{why}");
    }

    #[test]
    fn a_limit_asks_for_rest_and_the_unknown_is_tried_again() {
        assert_eq!(failure("ratelimited", None), Failure::Later(REST));
        let rest = Some(Duration::from_secs(3));
        let limited = Refusal::said(Some("rate_limited"), None, rest);
        assert_eq!(Failure::from(limited), Failure::Later(Duration::from_secs(3)));
        assert_eq!(
            failure("internal_error", None),
            Failure::Now("slack says internal_error".into())
        );
        let strange = failure("<script>\u{1b}[2J\n", None);
        assert_eq!(strange, Failure::Now("slack says script2J".into()));
        assert!(Refusal::said(None, None, None).is("unknown_error"));
    }
}
