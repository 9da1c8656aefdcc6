//! What a rule gives to its ghosts, and bounds them by.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::cell::{Cell, Plan};
use crate::prison::PATH;
use crate::support::{engine, text, until};

/// A value that is looked for wherever it must not be.
const HUSH: &str = "s3cret-7f1d0a";

#[test]
fn a_secret_reaches_its_tool_and_shows_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    fs::write(&file, format!("{HUSH}-file\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let policy = format!(
        "secrets:\n  plain: {{from_variable: PLAIN, as_variable: TOKEN}}\n  kept: {{from_file: {}}}",
        file.display()
    );
    let variable = format!("{HUSH}-variable");
    let cell = Cell::new(&Plan {
        rule: ", secrets: [plain, kept]",
        policy: &policy,
        env: &[("PLAIN", &variable)],
        ..Plan::default()
    });
    let script = "echo $TOKEN; cat /run/secrets/kept; echo; ls -ln /run/secrets | tail -1; touch ready; \
                  while [ -e ready ]; do sleep 0.1; done";
    let child = cell.start(script);
    until("the tool to run", || cell.work.path().join("ready").exists().then_some(()));
    let ghosts = cell.ghosts();
    let inspected = engine::get().say(&["inspect", &ghosts[0]]);
    assert!(inspected.contains("clawrden.ghost") && !inspected.contains(HUSH));
    let logs = engine::get().docker().args(["logs", &ghosts[0]]).output().unwrap();
    assert!(!text(&logs.stdout).contains(HUSH));
    let processes = std::process::Command::new("ps").args(["-eww", "-o", "args"]).output().unwrap();
    assert!(!text(&processes.stdout).contains(HUSH));
    // The prisoner sees no process of the ghost's, and so no environment of one.
    let seen = cell.container.sh("cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'");
    assert!(!text(&seen.stdout).contains(HUSH));
    fs::remove_file(cell.work.path().join("ready")).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = text(&output.stdout);
    assert!(told.starts_with(&format!("{HUSH}-variable\n{HUSH}-file\n-r--------")), "{told}");
    assert!(told.contains(" 1000 "), "{told}");
    let ledger = fs::read_to_string(cell.house.path("ledger.jsonl")).unwrap();
    assert!(ledger.contains("\"secrets\":[\"plain\",\"kept\"]") && !ledger.contains(HUSH));
    let log = fs::read_to_string(cell.house.path("warden.log")).unwrap();
    assert!(!log.contains(HUSH));
    assert!(!cell.house.path("clawrden").join("secrets").exists());
}

#[test]
fn a_secret_that_cannot_be_had_runs_nothing() {
    let policy = "secrets:\n  kept: {from_file: /nonexistent/token}";
    let cell = Cell::new(&Plan { rule: ", secrets: kept", policy, ..Plan::default() });
    let output = cell.ghost("true");
    assert_eq!(output.status.code(), Some(125));
    assert!(
        text(&output.stderr).contains("the secret kept cannot be had"),
        "{}",
        text(&output.stderr)
    );
    assert!(cell.records("started").is_empty());
}

#[test]
fn whoever_is_asked_is_told_what_the_ghost_gets() {
    let policy = "secrets:\n  kept: {from_variable: KEPT}\ndefaults: {approval_timeout: 1m}";
    let network = network("asked");
    let rule = format!(", secrets: kept, network: {network}");
    let cell = Cell::new(&Plan { rule: &rule, policy, env: &[("KEPT", HUSH)], ..Plan::default() });
    let policy = fs::read_to_string(cell.house.path("policy.yaml")).unwrap();
    fs::write(
        cell.house.path("policy.yaml"),
        policy.replace("'*', action: allow", "'*', action: ask"),
    )
    .unwrap();
    assert!(cell.house.cli(&["policy", "reload"]).status.success());
    let child = cell.start("cat /run/secrets/kept");
    let entry = cell.house.pending();
    let noticed = entry["noticed"].to_string();
    assert!(noticed.contains("secret kept") && noticed.contains(&network), "{noticed}");
    assert!(noticed.contains("clawrden-test/alpine"), "{noticed}");
    assert!(cell.house.cli(&["approve", entry["short"].as_str().unwrap()]).status.success());
    assert_eq!(text(&child.wait_with_output().unwrap().stdout), HUSH);
    engine::get().docker().args(["network", "rm", &network]).output().unwrap();
}

#[test]
fn a_folder_that_is_shared_no_more_when_a_person_answers_is_not_mounted() {
    let cell = Cell::new(&Plan::default());
    let path = cell.house.path("policy.yaml");
    let put_in_force = |policy: String| {
        fs::write(&path, policy).unwrap();
        assert!(cell.house.cli(&["policy", "reload"]).status.success());
    };
    let asking =
        fs::read_to_string(&path).unwrap().replace("'*', action: allow", "'*', action: ask");
    put_in_force(asking.clone());
    let child = cell.start("touch made");
    let entry = cell.house.pending();
    let narrower = asking.replace("workspace: [/work]", "workspace: [/elsewhere]");
    assert_ne!(narrower, asking);
    put_in_force(narrower);
    assert!(cell.house.cli(&["approve", entry["short"].as_str().unwrap()]).status.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(126), "{output:?}");
    assert!(text(&output.stderr).contains("is not shared with a ghost"), "{output:?}");
    assert!(!cell.work.path().join("made").exists());
    assert!(cell.records("started").is_empty());
}

fn network(name: &str) -> String {
    let name = format!("clawrden-test-{name}-{}", std::process::id());
    engine::get().say(&["network", "create", "--internal", &name]);
    name
}

#[test]
fn a_network_is_there_where_a_rule_names_it_and_only_there() {
    let network = network("named");
    let rule = format!(", network: {network}");
    let cell = Cell::new(&Plan { rule: &rule, ..Plan::default() });
    assert_eq!(text(&cell.ghost("ls /sys/class/net").stdout), "eth0\nlo\n");
    assert_eq!(cell.records("started")[0]["ghost"]["network"], network.as_str());
    cell.is_clean();
    engine::get().docker().args(["network", "rm", &network]).output().unwrap();
}

#[test]
fn the_prisoners_own_image_is_one_of_its_own_and_its_shims_are_passed_over() {
    let cell = Cell::new(&Plan { image: "debian12", rule: ", image: same", ..Plan::default() });
    cell.container.exec_with(&["-u", "0"], &["/bin/touch", "/only-here"]).status().unwrap();
    let output = cell.ghost(". /etc/os-release; echo $ID; ls /only-here 2>/dev/null; id -u");
    assert_eq!(text(&output.stdout), "debian\n1000\n");
    let image = cell.records("started")[0]["ghost"]["image_id"].clone();
    assert_eq!(image, cell.container.inspect()["Image"]);
}

#[test]
fn what_a_ghost_installs_is_imported_by_its_prisoner() {
    let cell = Cell::new(&Plan { image: "python-slim", rule: ", image: same", ..Plan::default() });
    let wheel = "import zipfile
w = zipfile.ZipFile('gift-1.0-py3-none-any.whl', 'w')
w.writestr('gift.py', 'value = 42')
w.writestr('gift-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: gift\\nVersion: 1.0\\n')
w.writestr('gift-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
w.writestr('gift-1.0.dist-info/RECORD', '')
w.close()";
    fs::write(cell.work.path().join("make.py"), wheel).unwrap();
    let made = cell.container.exec_with(&["-w", "/work"], &["/usr/local/bin/python3", "make.py"]);
    let made = { made }.output().unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    let words = ["pip", "install", "--no-index", "--target", "lib", "./gift-1.0-py3-none-any.whl"];
    let output = cell.command(&[], &words).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let path = format!("PATH={PATH}");
    let import = ["/usr/local/bin/python3", "-c", "import gift; print(gift.value)"];
    let mut import =
        cell.container.exec_with(&["-w", "/work", "-e", &path, "-e", "PYTHONPATH=lib"], &import);
    assert_eq!(text(&import.output().unwrap().stdout), "42\n");
}

#[test]
fn limits_are_the_kernels_own() {
    let cell = Cell::new(&Plan {
        rule: ", limits: {memory: 64m, cpus: 0.5, pids: 20, output: 1k}",
        ..Plan::default()
    });
    let child = cell.start("touch ready; while [ -e ready ]; do sleep 0.1; done");
    until("the tool to run", || cell.work.path().join("ready").exists().then_some(()));
    let inspected: serde_json::Value =
        serde_json::from_str(&engine::get().say(&["inspect", &cell.ghosts()[0]])).unwrap();
    let host = &inspected[0]["HostConfig"];
    assert_eq!(host["Memory"], 64 << 20);
    assert_eq!(host["MemorySwap"], 64 << 20);
    assert_eq!(host["NanoCpus"], 500_000_000);
    assert_eq!(host["PidsLimit"], 20);
    fs::remove_file(cell.work.path().join("ready")).unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    let hungry = cell.ghost("exec tail /dev/zero");
    assert_eq!(hungry.status.code(), Some(137), "{}", text(&hungry.stderr));
    let talkative = cell.ghost("head -c 1024 /dev/zero");
    assert_eq!((talkative.status.code(), talkative.stdout.len()), (Some(0), 1024));
    let talkative = cell.ghost("head -c 1025 /dev/zero; sleep 5");
    assert_eq!((talkative.status.code(), talkative.stdout.len()), (Some(125), 1024));
    assert!(text(&talkative.stderr).contains("more than it may"), "{}", text(&talkative.stderr));
    // Its caller hears of the end before it is written down.
    until("the reason to be written", || {
        let ends = cell.records("finished");
        let says =
            |end: &serde_json::Value| end["error"].to_string().contains("1024 bytes that it may");
        ends.iter().any(says).then_some(())
    });
    cell.is_clean();
}

#[test]
fn without_an_engine_a_ghost_is_denied_and_its_rule_alone_may_fall_back() {
    let nowhere = "unix:///nonexistent/docker.sock";
    for (rule, code) in [("", 126), (", fallback: local", 0)] {
        let policy = format!(
            "default_action: allow\non_unparsed: allow\nghost_images: {{'*': 'a:1'}}\nrules:\n  - {{command: '*', \
             action: allow, executor: ghost{rule}}}\n"
        );
        let house = crate::support::House::with(&policy, &["--engine", nowhere]);
        let output = house.shimmed("echo").arg("hello").output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
        if code == 126 {
            assert!(
                text(&output.stderr).contains("no container engine answers"),
                "{}",
                text(&output.stderr)
            );
        } else {
            assert_eq!(house.event("started")["executor"], "local");
        }
    }
}

#[test]
fn a_container_never_falls_back_to_the_wardens_side() {
    let cell = Cell::new(&Plan {
        rule: ", fallback: local",
        engine: "unix:///nonexistent/docker.sock",
        ..Plan::default()
    });
    let output = cell.ghost("hostname");
    assert_eq!(output.status.code(), Some(126), "{}", text(&output.stdout));
    assert!(cell.records("started").is_empty());
}

#[test]
fn a_prisoner_on_the_host_shares_what_its_jail_declares() {
    let work = crate::cell::workspace();
    let alpine = engine::get().image("alpine");
    let policy = |rule: &str| {
        format!(
            "default_action: allow\non_unparsed: allow\nghost_images: {{'*': '{alpine}'}}\njails: {{default: {{workspace: \
             {}}}}}\nsecrets: {{s: {{from_variable: HOME}}}}\nrules:\n  - {{command: '*', action: allow, executor: ghost{rule}}}\n",
            work.path().display()
        )
    };
    let run = |rule: &str, dir: &std::path::Path| {
        let house =
            crate::support::House::with(&policy(rule), &["--engine", &engine::get().address]);
        fs::set_permissions(house.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = std::process::Command::new("setpriv");
        command
            .args(["--reuid=1000", "--regid=1000", "--clear-groups"])
            .arg(house.bin().join("sh"));
        command.args(["-c", "id -u; pwd; cat /etc/alpine-release"]);
        house.governed(&mut command).current_dir(dir);
        command.output().unwrap()
    };
    let output = run("", work.path());
    let told = text(&output.stdout);
    assert!(
        told.starts_with(&format!("1000\n{}\n3.", work.path().display())),
        "{told} {}",
        text(&output.stderr)
    );
    let outside = run("", std::path::Path::new("/tmp"));
    assert_eq!(outside.status.code(), Some(126));
    assert!(
        text(&outside.stderr).contains("is not shared with a ghost"),
        "{}",
        text(&outside.stderr)
    );
    // The caller could read the environment of whatever runs as its own user on this host.
    let secret = run(", secrets: s", work.path());
    assert_eq!(secret.status.code(), Some(126));
    assert!(
        text(&secret.stderr).contains("can reach into whatever runs as user 1000"),
        "{}",
        text(&secret.stderr)
    );
}
