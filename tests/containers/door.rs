//! The control API over TCP and containers: from a network that a jail's container is on nobody gets in, whatever they have.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::{fs, thread};

use crate::support::engine::{self, Container, Engine, Own};
use crate::support::other::is_root;
use crate::support::{House, clawrden, text, until};

/// A network of the engine's, for one test.
struct Network<'e> {
    engine: &'e Engine,
    name: String,
}

impl<'e> Network<'e> {
    fn new(engine: &'e Engine, name: &str) -> Self {
        let name = format!("clawrden-{name}-{}", std::process::id());
        engine.say(&["network", "create", &name]);
        Self { engine, name }
    }

    fn gateway(&self) -> String {
        let format = "{{(index .IPAM.Config 0).Gateway}}";
        self.engine.say(&["network", "inspect", "-f", format, &self.name])
    }

    fn container(&self) -> engine::Spec<'e> {
        self.engine.container("alpine").option("--network").option(&self.name)
    }
}

impl Drop for Network<'_> {
    fn drop(&mut self) {
        let _ = self.engine.docker().args(["network", "rm", &self.name]).output();
    }
}

/// A warden that other machines reach, and a token for it.
struct Served {
    house: House,
    port: String,
    fingerprint: String,
    token: PathBuf,
    /// The token itself.
    secret: String,
}

impl Served {
    fn new(engine: &Engine) -> Self {
        let policy = "default_action: allow\njails:\n  box: {commands: [echo]}\n";
        let extra = ["--engine", &engine.address, "--api", "0.0.0.0:0", "--api-tls"];
        let house = House::with(policy, &extra);
        house.json(&["status", "--json"]);
        let line = until("the log to say where the API is", || {
            let log = fs::read_to_string(house.path("warden.log")).unwrap();
            log.lines().find(|line| line.contains("served over TCP")).map(str::to_owned)
        });
        let word = |name: &str| line.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next();
        let port = word("url").unwrap().rsplit(':').next().unwrap().to_owned();
        let fingerprint = word("fingerprint").unwrap().to_owned();
        let made = house.cli(&["token", "create", "--role", "admin", "--name", "lent"]);
        let (secret, token) = (text(&made.stdout).trim().to_owned(), house.path("token"));
        fs::write(&token, &secret).unwrap();
        fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        Self { house, port, fingerprint, token, secret }
    }

    /// What the CLI of whoever has the network of a container's first process is told at `host`.
    fn from(&self, pid: u32, host: &str, words: &[&str]) -> Output {
        let mut command = Command::new("nsenter");
        command.args(["-t", &pid.to_string(), "-n"]).arg(clawrden().get_program());
        command.args(["--host", &format!("https://{host}:{}", self.port)]);
        command.args(["--fingerprint", &self.fingerprint, "--token-file"]).arg(&self.token);
        command.args(words).output().unwrap()
    }

    /// Whether somebody there gets in with an admin's token. If not, they are told why not, and it is in the ledger.
    fn lets_in(&self, container: &Container<'_>, host: &str) -> bool {
        let before = self.refused();
        let output = self.from(container.pid(), host, &["status", "--json"]);
        let said = text(&output.stderr);
        if output.status.success() {
            assert_eq!(self.refused(), before);
            return true;
        }
        assert!(said.contains("prisoners in containers are on the network"), "{said}");
        assert!(
            !said.contains("box") && !said.contains(&container.id[..12]),
            "no more than that: {said}"
        );
        false
    }

    /// Refusals that are recorded.
    fn refused(&self) -> usize {
        let is_one = |record: &&serde_json::Value| record["event"] == "control_refused";
        self.house.ledger().iter().filter(is_one).count()
    }

    /// What lies in a jail's folder for its containers.
    fn jail(&self) -> PathBuf {
        self.house.path("jails/box")
    }
}

/// The status of the answer to one request over TLS, by the python of a container of its own; 0 for none.
const ASK: &str = "
import socket, ssl, sys
host, port, token, line = sys.argv[1:]
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
try:
    plain = socket.create_connection((host, int(port)), 10)
    with context.wrap_socket(plain, server_hostname='localhost') as stream:
        head = f'{line} HTTP/1.1\\r\\nhost: localhost\\r\\nauthorization: Bearer {token}\\r\\nconnection: close\\r\\n'
        stream.sendall((head + 'content-type: application/json\\r\\ncontent-length: 0\\r\\n\\r\\n').encode())
        print(stream.recv(4096).split()[1].decode())
except OSError:
    print(0)
";

#[test]
fn from_a_jails_network_nothing_is_reached_with_any_token_and_from_others_all_of_it() {
    if !is_root() {
        eprintln!("skipped: this needs root, who enters the network of a container");
        return;
    }
    let engine = engine::get();
    let served = Served::new(engine);
    let (agents, others) = (Network::new(engine, "agents"), Network::new(engine, "others"));
    let prisoner = agents.container().mount_read_only(&served.jail(), "/run/clawrden").start();
    let neighbour = agents.container().start();
    let stranger = others.container().start();
    assert!(!served.lets_in(&prisoner, &agents.gateway()));
    let refused = served.house.event("control_refused");
    let address = prisoner.inspect();
    let address = &address["NetworkSettings"]["Networks"][&agents.name]["IPAddress"];
    let why = refused["why"].as_str().unwrap();
    assert!(why.starts_with(address.as_str().unwrap()), "{refused}");
    assert!(why.contains("GET /api/status") && !why.contains(&served.secret), "{refused}");
    // By whichever of the host's addresses, and whoever is beside it, as it could have that address.
    assert!(!served.lets_in(&prisoner, &others.gateway()));
    assert!(!served.lets_in(&neighbour, &agents.gateway()));
    assert!(served.lets_in(&stranger, &others.gateway()), "no prisoner is on its network");
    assert!(served.lets_in(&stranger, &agents.gateway()));
    // The host itself has the gateways' addresses, and is told by its users.
    let own = format!("https://{}:{}", agents.gateway(), served.port);
    let mut cli = clawrden();
    cli.args(["--host", &own, "--fingerprint", &served.fingerprint, "--token-file"]);
    let output = cli.arg(&served.token).arg("status").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    // The one becomes another's network as soon as a prisoner is on it, and is again nobody's when it has gone.
    let second = others.container().mount_read_only(&served.jail(), "/run/clawrden").start();
    assert!(!served.lets_in(&second, &others.gateway()), "from its first moment");
    assert!(!served.lets_in(&stranger, &others.gateway()));
    drop(second);
    assert!(served.lets_in(&stranger, &others.gateway()));
}

#[test]
fn a_process_in_a_jails_container_gets_neither_the_page_nor_liveness() {
    let engine = engine::get();
    let served = Served::new(engine);
    let network = Network::new(engine, "page");
    let spec = engine.container("python-slim").option("--network").option(&network.name);
    let (jail, gateway) = (served.jail(), network.gateway());
    let ask = |container: &Container<'_>, line: &str| {
        let words = ["python3", "-c", ASK, &gateway, &served.port, &served.secret, line];
        text(&container.exec(&words).output().unwrap().stdout).trim().to_owned()
    };
    let lines = ["GET /healthz", "GET /", "GET /ui/app.js", "GET /api/status", "GET /nothing"];
    let free = spec.start();
    let told: Vec<String> = lines.iter().map(|line| ask(&free, line)).collect();
    assert_eq!(told, ["200", "200", "200", "200", "404"]);
    drop(free);
    let spec = engine.container("python-slim").option("--network").option(&network.name);
    let prisoner = spec.mount_read_only(&jail, "/run/clawrden").start();
    for line in lines.iter().chain(&["POST /api/session", "POST /api/kill"]) {
        assert_eq!(ask(&prisoner, line), "403", "{line}");
    }
    // One that has no way in but by the network of the prisoner's.
    let shared = format!("container:{}", prisoner.id);
    let beside = engine.container("python-slim").option("--network").option(&shared).start();
    assert_eq!(ask(&beside, "GET /api/status"), "403");
    assert_eq!(served.house.json(&["status", "--json"])["stopped"], serde_json::Value::Null);
    // As often as it likes: the records of it are bounded.
    let before = served.refused();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    assert_eq!(ask(&prisoner, "GET /api/status"), "403");
                }
            });
        }
    });
    assert!(served.refused() - before <= 20, "{} more", served.refused() - before);
}

#[test]
fn a_prisoner_on_the_hosts_network_is_told_by_its_container() {
    let engine = engine::get();
    let served = Served::new(engine);
    let on_host = |spec: engine::Spec<'static>| spec.option("--network").option("host");
    let ask = |container: &Container<'_>| {
        let words =
            ["python3", "-c", ASK, "127.0.0.1", &served.port, &served.secret, "GET /api/status"];
        text(&container.exec(&words).output().unwrap().stdout).trim().to_owned()
    };
    let free = on_host(engine.container("python-slim")).start();
    assert_eq!(ask(&free), "200", "root of a container that is in no jail");
    let spec = on_host(engine.container("python-slim"));
    let prisoner = spec.mount_read_only(&served.jail(), "/run/clawrden").start();
    assert_eq!(ask(&prisoner), "403");
    let refused = served.house.event("control_refused");
    assert!(refused["why"].as_str().unwrap().contains("you belong to a prisoner"), "{refused}");
    assert_eq!(ask(&free), "200");
}

#[test]
fn while_the_engine_is_away_what_was_known_of_its_networks_holds() {
    if !is_root() {
        eprintln!("skipped: this needs root, who enters the network of a container");
        return;
    }
    let mut own = Own::start();
    // Its address stays the same.
    let engine = Engine::at(own.engine.address.clone());
    let served = Served::new(&engine);
    let (agents, others) = (Network::new(&engine, "away"), Network::new(&engine, "near"));
    let prisoner = agents.container().mount_read_only(&served.jail(), "/run/clawrden").start();
    let stranger = others.container().start();
    let (agents_gate, others_gate) = (agents.gateway(), others.gateway());
    let (inside, outside) = (prisoner.pid(), stranger.pid());
    let gets_in = |pid, host: &str| served.from(pid, host, &["status", "--json"]).status.success();
    assert!(!gets_in(inside, &agents_gate) && gets_in(outside, &others_gate));
    own.kill();
    until("the warden to know that its engine is away", || {
        let status = served.house.json(&["status", "--json"]);
        status["engine"]["error"].is_string().then_some(())
    });
    assert!(!gets_in(inside, &agents_gate), "what is known holds");
    assert!(gets_in(outside, &others_gate), "and no more than that");
    // So that what is left on it can be removed.
    own.restart_with_containers();
}
