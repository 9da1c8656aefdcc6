//! Tokens as their makers document them, all made up; what is none; and what stays of texts around them.

mod commands;
mod twice;

use super::*;

/// The words joined again, marks in place.
fn argv(words: &[&str]) -> String {
    let redactor = Redactor::default();
    match redactor.argv(words) {
        None => words.join(" "),
        Some(redacted) => {
            let words = redacted.argv.iter().map(|word| String::from_utf8_lossy(word));
            words.collect::<Vec<_>>().join(" ")
        }
    }
}

fn text(text: &str) -> String {
    Redactor::default().text(text).0.into_owned()
}

/// So many letters and digits that look like chance.
fn chance(count: usize) -> String {
    let letters = b"7aB3kZ9qLm2XwR5tYc8VnD1hJ6fGpS4e";
    letters.iter().cycle().take(count).map(|&b| char::from(b)).collect()
}

fn hex(count: usize) -> String {
    chance(count).chars().map(|c| char::from(b"0123456789abcdef"[c as usize % 16])).collect()
}

/// Tokens in the forms that are documented for them. They are put together here, so that nobody takes them for real ones.
fn tokens() -> Vec<(&'static str, String)> {
    let jwt = format!("eyJ{}.eyJ{}.{}", chance(30), chance(40), chance(43));
    let key = |name: &str| {
        format!(
            "-----BEGIN {name}PRIVATE KEY-----\n{}\n-----END {name}PRIVATE KEY-----",
            chance(64)
        )
    };
    vec![
        ("github-token", format!("ghp_{}", chance(36))),
        ("github-token", format!("gho_{}", chance(36))),
        ("github-token", format!("ghu_{}", chance(36))),
        ("github-token", format!("ghs_{}", chance(36))),
        ("github-token", format!("ghs_12345_{jwt}")),
        ("github-token", format!("ghr_{}", chance(76))),
        ("github-token", format!("github_pat_{}_{}", chance(22), chance(59))),
        ("gitlab-token", format!("glpat-{}", chance(20))),
        ("gitlab-token", format!("glpat-{}.01.{}", chance(27), chance(9))),
        ("gitlab-token", format!("gldt-{}", chance(20))),
        ("gitlab-token", format!("glrt-{}", chance(20))),
        ("gitlab-token", format!("GR1348941{}", chance(20))),
        ("aws-key-id", "AKIAIOSFODNN7EXAMPLE".to_owned()),
        ("aws-key-id", "ASIAY34FZKBOKMUTVV7A".to_owned()),
        ("slack-token", format!("xoxb-123456789012-1234567890123-{}", chance(24))),
        ("slack-token", format!("xoxp-123456789012-123456789012-{}", hex(32))),
        ("slack-token", format!("xapp-1-A0123456789-1234567890123-{}", hex(64))),
        ("slack-token", format!("xoxe.xoxp-1-{}", chance(146))),
        ("stripe-key", format!("sk_live_{}", chance(24))),
        ("stripe-key", format!("rk_test_{}", chance(99))),
        ("stripe-key", format!("whsec_{}", chance(32))),
        ("npm-token", format!("npm_{}", chance(36))),
        ("pypi-token", format!("pypi-AgEIcHlwaS5vcmc{}", chance(150))),
        ("rubygems-key", format!("rubygems_{}", hex(48))),
        ("crates-token", format!("cio{}", chance(32))),
        ("google-key", format!("AIzaSy{}", chance(33))),
        ("google-token", format!("ya29.{}", chance(80))),
        ("google-secret", format!("GOCSPX-{}", chance(28))),
        ("anthropic-key", format!("sk-ant-api03-{}-{}AA", chance(46), chance(46))),
        ("openai-key", format!("sk-{}", chance(48))),
        ("openai-key", format!("sk-proj-{}_{}", chance(70), chance(70))),
        ("openai-key", format!("sk-svcacct-{}", chance(80))),
        ("openrouter-key", format!("sk-or-v1-{}", hex(64))),
        ("huggingface-token", format!("hf_{}", chance(34))),
        ("groq-key", format!("gsk_{}", chance(52))),
        ("replicate-token", format!("r8_{}", chance(37))),
        ("sendgrid-key", format!("SG.{}.{}", chance(22), chance(43))),
        ("digitalocean-token", format!("dop_v1_{}", hex(64))),
        ("docker-token", format!("dckr_pat_{}", chance(27))),
        ("vault-token", format!("hvs.{}", chance(90))),
        ("shopify-token", format!("shpat_{}", hex(32))),
        ("atlassian-token", format!("ATATT3xFfGF0{}={}", chance(170), "0A1B2C3D")),
        ("linear-key", format!("lin_api_{}", chance(40))),
        ("figma-token", format!("figd_{}", chance(40))),
        ("grafana-token", format!("glsa_{}_{}", chance(32), hex(8))),
        ("newrelic-key", format!("NRAK-{}", chance(27).to_ascii_uppercase())),
        ("sentry-token", format!("sntrys_eyJ{}", chance(100))),
        ("databricks-token", format!("dapi{}", hex(32))),
        ("pulumi-token", format!("pul-{}", hex(40))),
        ("postman-key", format!("PMAK-{}-{}", hex(24), hex(34))),
        ("tailscale-key", format!("tskey-auth-{}-{}", chance(17), chance(32))),
        ("age-key", format!("AGE-SECRET-KEY-1{}", chance(58).to_ascii_uppercase())),
        ("jwt", jwt),
        ("private-key", key("")),
        ("private-key", key("RSA ")),
        ("private-key", key("OPENSSH ")),
        ("private-key", key("EC ")),
        ("private-key", key("ENCRYPTED ")),
    ]
}

#[test]
fn every_form_of_token_is_found_wherever_it_stands() {
    for (kind, token) in tokens() {
        let mark = format!("[redacted:{kind}]");
        for (before, after) in [
            ("", ""),
            ("--x=", ""),
            ("a ", " b"),
            ("\"", "\""),
            ("https://x.example/?t=", "&b=1"),
            ("{'a': '", "'}"),
            ("é", "é"),
        ] {
            let whole = format!("{before}{token}{after}");
            assert_eq!(text(&whole), format!("{before}{mark}{after}"), "{token}");
            let words = argv(&["tool", &whole]);
            assert_eq!(words, format!("tool {before}{mark}{after}"), "{token}");
        }
    }
}

#[test]
fn what_looks_like_chance_and_is_no_secret_stays() {
    let mut wrong = Vec::new();
    for harmless in [
        "git checkout 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
        "docker run sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "uuid 550e8400-e29b-41d4-a716-446655440000",
        "echo SGVsbG8sIHdvcmxkISBUaGlzIGlzIGEgdGVzdC4=",
        "openssl rand -base64 32",
        "npm install sk-learn-tools npm_config_cache",
        "pip install pypi-simple hf_transfer",
        "git push origin AKIAs-branch task-1234567890123456789012345678901234567890",
        "ls ghp_notes.txt glpat- xoxb- sk_live_ AIza",
        "curl https://example.com/a:b@c",
        "git clone git@github.com:org/repo.git ssh://git@github.com/org/repo",
        "curl http://user@host:80/path http://[::1]:8080/",
        "PWD=/work OLDPWD=/tmp make",
        "make compass=north bypass=yes keyboard=us monkey=true",
        "tool --max-tokens=4096 --max-tokens 4096 --tokenizer bpe --token-file /run/x",
        "tool --password-file /run/secrets/db --secret-name db --key-id 17",
        "docker build --secret id=npm,src=.npmrc . --token-path x",
        "kubectl create secret generic db --from-file=./db",
        "PASSWORD=$DB_PASSWORD TOKEN=${TOKEN} API_KEY=$(cat key) run",
        "grep -rn password: src",
        "grep token README.md",
        "mysql -p -h host",
        "docker run -p 8080:80 -u 1000:1000 image",
        "mkdir -p build/secret/token",
        "adduser --disabled-password alice",
        "ssh-tool --no-password alice --skip-token alice --without-secret alice --ask-password alice",
        "git log --author=alice --pretty=%H",
        "cargo test authorization bearer tokens",
        "ssh -i ~/.ssh/id_ed25519 -p 2222 host",
        "the token: it is needed",
        "eyJhbGciOiJIUzI1NiJ9",
        "-----BEGIN CERTIFICATE----- MIIB -----END CERTIFICATE-----",
    ] {
        let words: Vec<&str> = harmless.split(' ').collect();
        if argv(&words) != harmless {
            wrong.push(argv(&words));
        }
        // In a sentence, what follows `password:` may be one: marking it errs to the safe side.
        if text(harmless) != harmless && !harmless.contains(": ") {
            wrong.push(text(harmless));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_key_is_marked_as_far_as_it_goes() {
    let lines = format!("{}\n{}\n{}==", chance(64), chance(64), chance(10));
    for (before, after) in [
        ("-----BEGIN PRIVATE KEY-----\n", "\n-----END PRIVATE KEY-----"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,0A\n\n",
            "",
        ),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\n", "\n=abcd\n"),
    ] {
        let key = format!("{before}{lines}{after}");
        for form in [
            key.clone(),
            key.replace('\n', "\r\n"),
            key.replace('\n', "\\n"),
            key.replace('\n', "\\\\n"),
            key.replace('\n', "\n    "),
            key.replace('\n', "\\n\" +\n \""),
            key.replace('\n', "\",\""),
            key.replace('\n', "\\n\", \""),
        ] {
            let shown = text(&form);
            assert!(shown.starts_with("[redacted:private-key]"), "{shown}");
            assert!(!shown.contains("7aB3kZ9qLm2X"), "{shown}");
            let shown = argv(&["x", "-e", &format!("SSH_PRIVATE_KEY={form}")]);
            assert!(!shown.contains("7aB3kZ9qLm2X"), "{shown}");
        }
        let flat = key.replace('\n', " ");
        if !before.contains(": ") {
            assert!(!text(&flat).contains("7aB3kZ9qLm2X"), "{flat}");
        }
    }
    let unended = format!("-----BEGIN PRIVATE KEY-----\n{lines}\nand more; ls");
    assert_eq!(text(&unended), "[redacted:private-key]\nand more; ls");
}

#[test]
fn declared_secrets_are_found_wherever_they_stand_by_their_name() {
    let redactor = Redactor::default();
    redactor.declare([
        ("db".to_owned(), b"correct horse\n".to_vec()),
        ("two".to_owned(), b"first line\nsecond line".to_vec()),
        ("tiny".to_owned(), b"abc".to_vec()),
    ]);
    assert_eq!(redactor.text("xcorrect horsey").0, "x[redacted:db]y");
    assert_eq!(redactor.text("a second line").0, "a [redacted:two]");
    assert_eq!(redactor.text("abc").0, "abc");
    redactor.declare([("db".to_owned(), b"battery staple".to_vec())]);
    let both = redactor.argv(&["correct horse", "battery staple"]).unwrap();
    assert_eq!(both.count, 2);
    assert!(both.argv.iter().all(|word| &**word == b"[redacted:db]"));
}

#[test]
fn bytes_that_are_no_text_are_kept_around_a_mark() {
    let redactor = Redactor::default();
    let argument = [&b"\xff--password="[..], b"\xfe\xfd"].concat();
    let words: [&[u8]; 3] = [b"tool", b"\xff\xfe", &argument];
    let redacted = redactor.argv(&words).unwrap();
    assert_eq!(redacted.argv[1], words[1]);
    assert_eq!(&*redacted.argv[2], b"\xff--password=[redacted:password]");
}

#[test]
fn json_stays_json_and_its_strings_are_looked_through() {
    let redactor = Redactor::default();
    let mark = |json: &str| {
        redactor.json(json.as_bytes(), &Fields::default()).map(|b| String::from_utf8(b).unwrap())
    };
    for harmless in [
        r#"{"argv":["tool","--password","hunter2"],"cwd":"/a-b"}"#,
        r#"{"token":5,"password":"","auth":null,"reason":"a \"token\" is needed"}"#,
    ] {
        assert_eq!(mark(harmless), None, "{harmless}");
    }
    let token = &tokens()[0].1;
    assert_eq!(
        mark(&format!(r#"{{"reason":"has {token}\n\"x\"","n":1}}"#)).unwrap(),
        r#"{"reason":"has [redacted:github-token]\n\"x\"","n":1}"#
    );
    for (json, marked) in [
        (
            r#"{"a":"Authorization: Basic abc","b":"c"}"#,
            r#"{"a":"Authorization: Basic [redacted:header]","b":"c"}"#,
        ),
        (
            r#"{"a":"-----BEGIN PRIVATE KEY-----\nMII","b":"c"}"#,
            r#"{"a":"[redacted:private-key]","b":"c"}"#,
        ),
        (r#"{"labels":{"api_key":"abc"}}"#, r#"{"labels":{"api_key":"[redacted:api-key]"}}"#),
        (r#"{"a":"http://u:p\u001b@h/","b":"c"}"#, r#"{"a":"http://u:p\u001b@h/","b":"c"}"#),
    ] {
        let found = mark(json).unwrap_or_else(|| json.to_owned());
        assert_eq!(found, marked);
        serde_json::from_str::<serde_json::Value>(&found).unwrap();
    }
    // What would take more than a string is marked string by string.
    let odd = mark(r#"{"password":true,"a":"password=x"}"#).unwrap();
    assert_eq!(odd, r#"{"a":"password=[redacted:password]","password":true}"#);
}

#[test]
fn fields_of_our_own_stay_and_names_that_others_gave_do_not() {
    let redactor = Redactor::default();
    redactor
        .declare([("db".to_owned(), b"default".to_vec()), ("j".to_owned(), b"jail\"s".to_vec())]);
    let fields = Fields { ours: &["jail", "token", "argv"], maps: &["labels"] };
    let mark =
        |json: &str| redactor.json(json.as_bytes(), &fields).map(|b| String::from_utf8(b).unwrap());
    for ours in [
        r#"{"jail":"default","token":"0123456789abcdef"}"#,
        r#"{"argv":["default",{"default":"x\"default"}],"default":1,"a":{"default":2}}"#,
    ] {
        assert_eq!(mark(ours), None, "{ours}");
    }
    for (json, marked) in [
        (
            r#"{"jail":"default","reason":"default","token":"x","a":{"jail":"a default"}}"#,
            r#"{"jail":"default","reason":"[redacted:db]","token":"x","a":{"jail":"a [redacted:db]"}}"#,
        ),
        (
            r#"{"labels":{"default":"default","token":"abc"},"jail":"default"}"#,
            r#"{"labels":{"[redacted:db]":"[redacted:db]","token":"[redacted:token]"},"jail":"default"}"#,
        ),
        (r#"{"a":"the jail\"s door","jail":"x"}"#, r#"{"a":"the [redacted:j] door","jail":"x"}"#),
    ] {
        assert_eq!(mark(json).as_deref(), Some(marked));
    }
    // Ours as well where strings are taken one by one.
    let odd = mark(r#"{"password":true,"jail":"default","a":"default"}"#).unwrap();
    assert_eq!(odd, r#"{"a":"[redacted:db]","jail":"default","password":true}"#);
}

#[test]
fn nothing_is_made_of_what_has_no_secret() {
    let redactor = Redactor::default();
    assert_eq!(redactor.argv(&["git", "commit", "-m", "a token of it"]), None);
    assert!(matches!(redactor.text("git commit"), (Cow::Borrowed(_), 0)));
    assert_eq!(redactor.argv::<&str>(&[]), None);
}
