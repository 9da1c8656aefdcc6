//! A house whose settings name people, and tokens by which they answer.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use super::{House, clawrden, text, until};

/// Alice is whoever runs the tests, and has a token and a user of Slack besides, as bob has; bob and carol are with her in security; dave leads.
pub fn people() -> String {
    let uid = rustix::process::geteuid().as_raw();
    format!(
        "people:
  alice: ['uid:{uid}', 'token:alice', 'slack:T1/ALICE']
  bob: ['token:bob', 'slack:T1/BOB']
  carol: ['token:carol']
groups:
  security: [alice, bob, carol]
  leads: ['token:dave']
"
    )
}

/// What two of security have to approve.
pub const TWO: &str = "
default_action: deny
rules:
  - {command: touch, action: ask, approvers: {from: [security], count: 2}}
";

/// A house with these people, and its API.
pub struct Panel {
    pub house: House,
    pub url: String,
}

/// What a verb came to: its exit code, and everything that it said.
pub type Said = (Option<i32>, String);

impl Panel {
    pub fn new(policy: &str) -> Self {
        Self::of(&people(), policy)
    }

    /// With settings of one's own.
    pub fn of(settings: &str, policy: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
        let config = dir.path().join("warden.yaml");
        fs::write(&config, settings).unwrap();
        let config = config.to_str().unwrap().to_owned();
        let extra = ["--api", "127.0.0.1:0", "--config", &config];
        Self::around(House::within(dir, &[], policy, &extra))
    }

    /// A house that was made already and whose API is served.
    pub fn around(house: House) -> Self {
        let url = place(&house);
        Self { house, url }
    }

    /// Makes a token of this name. Gives its id.
    pub fn token(&self, name: &str) -> String {
        self.token_in(name, name)
    }

    /// The same, kept in another file.
    pub fn token_in(&self, name: &str, file: &str) -> String {
        let made = self.house.cli(&["token", "create", "--role", "approver", "--name", name]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        let token = text(&made.stdout).trim().to_owned();
        let file = self.file(file);
        fs::write(&file, &token).unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        token.split('_').nth(1).unwrap().to_owned()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.house.path(&format!("token-{name}"))
    }

    /// A verb by the token in this file.
    pub fn by(&self, file: &str, words: &[&str]) -> Said {
        let mut command = clawrden();
        command.args(["--host", &self.url, "--token-file"]).arg(self.file(file)).args(words);
        said(&command.stdin(Stdio::null()).output().unwrap())
    }

    /// A verb by the control socket.
    pub fn here(&self, words: &[&str]) -> Said {
        let mut command = clawrden();
        command.arg("--control").arg(self.house.control()).args(words);
        said(&command.stdin(Stdio::null()).output().unwrap())
    }

    /// A `touch` that waits for people, and its short id.
    pub fn waiting(&self) -> (Child, String) {
        let mut touch = self.house.shimmed("touch");
        touch.arg(self.mark()).stderr(Stdio::piped());
        let child = touch.spawn().unwrap();
        (child, self.house.pending()["short"].as_str().unwrap().to_owned())
    }

    /// What a `touch` makes.
    pub fn mark(&self) -> PathBuf {
        self.house.path("mark")
    }

    /// How far the only entry is.
    pub fn progress(&self) -> String {
        self.house.pending()["approvals"]["summary"].as_str().unwrap().to_owned()
    }

    /// Another policy comes into force.
    pub fn policy(&self, text: &str) -> Said {
        fs::write(self.house.path("policy.yaml"), text).unwrap();
        self.here(&["policy", "reload"])
    }

    pub fn crash_and_restart(&mut self, env: &[(&str, &str)]) {
        self.house.crash();
        self.restart(env);
    }

    pub fn restart(&mut self, env: &[(&str, &str)]) {
        // The port may be the same again.
        let before = served(&self.house);
        self.house.restart_with(env);
        until("the API to be served", || (served(&self.house) > before).then_some(()));
        self.url = place(&self.house);
    }
}

fn said(output: &std::process::Output) -> Said {
    (output.status.code(), format!("{}{}", text(&output.stdout), text(&output.stderr)))
}

/// How often an API was served there.
fn served(house: &House) -> usize {
    fs::read_to_string(house.path("warden.log")).unwrap().matches("served over TCP").count()
}

/// Where the API of the warden is that was started last.
/// Where the house's API is, as a URL.
pub fn place(house: &House) -> String {
    until("the log to say where the API is", || {
        let log = fs::read_to_string(house.path("warden.log")).unwrap();
        let line = log.lines().rfind(|line| line.contains("served over TCP"))?;
        Some(line.split("url=\"").nth(1)?.split('"').next()?.to_owned())
    })
}
