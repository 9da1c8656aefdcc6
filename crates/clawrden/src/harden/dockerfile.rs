//! The Dockerfile. An image with a shell runs the script; in one without, our own binary runs by the loader and the
//! libraries that it came with, in a stage of its own, and the image gets what that has changed.

use std::fmt::Write;

use crate::install::User;

use super::bundle::Bundle;

/// Where the parts lie while the image is built.
const KIT: &str = "/clawrden-kit";
/// The label of a stage that is of no use when the image is built.
pub(crate) const STAGE_LABEL: &str = "clawrden.stage";
/// PATH where the image says nothing.
const USUAL: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is known of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Its `PATH`, if it sets one.
    pub(crate) path: Option<String>,
    /// Its `User`; empty for root.
    pub(crate) user: String,
    /// Whether it has `/bin/sh`.
    pub(crate) has_shell: bool,
}

impl Default for Facts {
    fn default() -> Self {
        Self { path: None, user: String::new(), has_shell: true }
    }
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    /// The image to start from; checked.
    pub(crate) image: String,
    /// The tools to stand in for; checked.
    pub(crate) tools: Vec<String>,
    /// Who the prisoner is; the image's own user otherwise.
    pub(crate) user: Option<User>,
    /// Whether the originals are locked.
    pub(crate) lock: bool,
    /// The jail that its containers are in.
    pub(crate) jail: Option<String>,
    /// The value of the label by which the first stage is found, to be removed when nothing needs it any more.
    pub(crate) stage: String,
}

impl Order {
    fn user(&self, facts: &Facts) -> String {
        match self.user {
            Some(user) => user.to_string(),
            None => facts.user.clone(),
        }
    }

    /// Words for the installer.
    fn words(&self, facts: &Facts) -> Vec<String> {
        let mut words = vec!["--tools".to_owned(), self.tools.join(",")];
        // The installer takes numbers: a name means what the image says.
        let user = self.user(facts);
        if user.parse::<User>().is_ok() {
            words.extend(["--user".to_owned(), user]);
        }
        if self.lock {
            words.push("--lock".to_owned());
        }
        if let Some(path) = &facts.path {
            words.extend(["--path".to_owned(), path.clone()]);
        }
        words
    }
}

/// The whole Dockerfile; `bundle` is for an image without a shell.
pub(crate) fn text(order: &Order, facts: &Facts, bundle: Option<&Bundle>) -> String {
    let image = &order.image;
    let mut words = order.words(facts);
    let mut text = String::new();
    if let Some(bundle) = bundle {
        let mut command = bundle.command(KIT);
        command.push("install".into());
        command.append(&mut words);
        command.extend(["--changes".into(), format!("{KIT}/changes")]);
        let run = array(&command);
        text += &format!(
            "# No shell in it: what the first stage changes, the second takes over.\nFROM {image} AS governed\n"
        );
        let stage = quoted(&order.stage);
        text += &format!("LABEL {STAGE_LABEL}={stage}\nUSER 0\nCOPY kit/ {KIT}/\nRUN {run}\n\n");
        text += &format!("FROM {image}\nUSER 0\nCOPY --from=governed {KIT}/changes/ /\n");
    } else {
        let mut command = vec!["/bin/sh".to_owned(), format!("{KIT}/install-clawrden.sh")];
        command.append(&mut words);
        command.push("--clean".into());
        let run = array(&command);
        text += &format!("FROM {image}\nUSER 0\nCOPY kit/ {KIT}/\nRUN {run}\n");
    }
    let path = facts.path.as_deref().unwrap_or(USUAL);
    let others = path.split(':').filter(|entry| *entry != "/clawrden/bin");
    let path = others.fold(String::from("/clawrden/bin"), |path, entry| path + ":" + entry);
    text += "# For what is started without a shell.\n";
    text += &format!("ENV PATH={}\n", quoted(&path));
    let mut labels =
        format!("clawrden.enabled=true clawrden.cmds={}", quoted(&order.tools.join(",")));
    if order.lock {
        labels += " clawrden.mode=hardened";
    }
    if let Some(jail) = &order.jail {
        // Writing to a String does not fail.
        let _ = write!(labels, " clawrden.jail={}", quoted(jail));
    }
    text += &format!("LABEL {labels}\n");
    let user = order.user(facts);
    if !user.is_empty() {
        text += &format!("USER {user}\n");
    }
    text
}

/// A JSON array, which a Dockerfile takes as a command line without a shell.
fn array(words: &[String]) -> String {
    serde_json::Value::from(words).to_string()
}

/// A value between quotes, in which a Dockerfile expands nothing.
fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Order {
        Order {
            image: "alpine:3.23".into(),
            tools: vec!["git".into(), "npm".into()],
            user: Some(User { uid: 1000, gid: None }),
            lock: true,
            jail: Some("agents".into()),
            stage: "harden".into(),
        }
    }

    #[test]
    fn an_image_with_a_shell_runs_the_script() {
        let facts = Facts { path: Some("/x:/clawrden/bin:/$y".into()), ..Facts::default() };
        assert_eq!(
            text(&order(), &facts, None),
            "FROM alpine:3.23\nUSER 0\nCOPY kit/ /clawrden-kit/\n\
             RUN [\"/bin/sh\",\"/clawrden-kit/install-clawrden.sh\",\"--tools\",\"git,npm\",\"--user\",\"1000\",\"--lock\",\
             \"--path\",\"/x:/clawrden/bin:/$y\",\"--clean\"]\n\
             # For what is started without a shell.\nENV PATH=\"/clawrden/bin:/x:/\\$y\"\n\
             LABEL clawrden.enabled=true clawrden.cmds=\"git,npm\" clawrden.mode=hardened clawrden.jail=\"agents\"\n\
             USER 1000\n"
        );
    }

    #[test]
    fn the_image_s_own_user_stays_where_none_is_named() {
        let order = Order { user: None, lock: false, jail: None, ..order() };
        let facts = Facts { user: "node".into(), ..Facts::default() };
        let text = text(&order, &facts, None);
        assert!(text.ends_with("\nUSER node\n") && !text.contains("--user"), "{text}");
        assert!(text.contains("ENV PATH=\"/clawrden/bin:/usr/local/sbin:"), "{text}");
    }

    #[test]
    fn an_image_without_a_shell_takes_over_what_a_stage_has_changed() {
        let bundle =
            Bundle::of_maps("1-2 r-xp 0 0:0 1 /lib/ld-x.so\n1-2 r-xp 0 0:0 1 /lib/libc.so\n");
        let text = text(&order(), &Facts::default(), Some(&bundle));
        assert!(text.contains(
            "RUN [\"/clawrden-kit/ld-x.so\",\"--library-path\",\"/clawrden-kit\",\"/clawrden-kit/clawrden\",\"install\","
        ), "{text}");
        assert!(text.contains("\nCOPY --from=governed /clawrden-kit/changes/ /\n"), "{text}");
        assert!(!text.contains("/bin/sh"), "{text}");
    }
}
