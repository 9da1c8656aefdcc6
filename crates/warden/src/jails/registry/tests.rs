use std::process::{Child, Command, Stdio};

use super::*;
use crate::jails::Baseline;
use crate::process::cgroup::{Cgroups, Kind, Leaf, Parent};
use crate::process::{Namespaces, pidfd};

fn name(text: &str) -> JailName {
    JailName::new(text).unwrap()
}

fn jail(text: &str, fingerprint: &str) -> Jail {
    let in_force = InForce {
        policy: Arc::new(Policy::stock()),
        name: "test".to_owned(),
        fingerprint: fingerprint.to_owned(),
        since_ms: 0,
    };
    Jail::new(name(text), PathBuf::from("/s"), None, vec!["git".to_owned()], Origin::Own, in_force)
}

fn prisoner(id: &str, jail: &str, root: u32, leaf: Option<Leaf>) -> Prisoner {
    Prisoner {
        id: id.to_owned(),
        jail: name(jail),
        root: Identity::of(root).unwrap(),
        pidfd: pidfd::open(root).unwrap(),
        labels: BTreeMap::new(),
        command: Vec::new(),
        baseline: Baseline::default(),
        namespaces: Namespaces::of(root).unwrap(),
        unattended: false,
        leaf,
        since_ms: 0,
        requests: AtomicU64::new(0),
    }
}

/// A shell with a child that sleeps, and that child's number.
fn family() -> (Child, u32) {
    use std::io::{BufRead, BufReader};
    let mut root = Command::new("sh")
        .args(["-c", "sleep 90 & echo $!; wait"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(root.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (root, line.trim().parse().unwrap())
}

fn end(mut child: Child) {
    let root = Identity::of(child.id()).unwrap();
    let report =
        process::tree::end_tree(root, process::tree::Scope::Whole, std::time::Duration::ZERO);
    assert_eq!(report.problems, Vec::<String>::new());
    child.wait().unwrap();
}

#[test]
fn a_descendant_belongs_to_its_prisoner_and_the_run_itself_does_not() {
    let jails = Jails::default();
    jails.add(jail("a", "1")).unwrap();
    let (root, child) = family();
    jails.add_prisoner(prisoner("p", "a", root.id(), None)).unwrap();
    assert_eq!(jails.prisoner_of(child).unwrap().unwrap().id, "p");
    assert!(jails.prisoner_of(root.id()).unwrap().is_none());
    assert!(jails.prisoner_of(std::process::id()).unwrap().is_none());
    end(root);
    assert!(matches!(jails.prisoner_of(child), Err(ProcessError::Gone { .. })));
}

#[test]
fn the_nearest_of_two_nested_prisoners_is_the_one() {
    let jails = Jails::default();
    jails.add(jail("a", "1")).unwrap();
    let (root, child) = family();
    jails.add_prisoner(prisoner("outer", "a", std::process::id(), None)).unwrap();
    jails.add_prisoner(prisoner("inner", "a", root.id(), None)).unwrap();
    assert_eq!(jails.prisoner_of(child).unwrap().unwrap().id, "inner");
    assert_eq!(jails.prisoner_of(root.id()).unwrap().unwrap().id, "outer");
    end(root);
}

#[test]
fn a_process_that_left_the_tree_is_known_by_its_cgroup() {
    let Some(cgroups) = Cgroups::probe() else { return };
    let leaf = cgroups.create(Parent::Own, Kind::Prisoner, "registry-test").unwrap();
    let jails = Jails::default();
    jails.add(jail("a", "1")).unwrap();
    let (root, _child) = family();
    let (stranger, far) = family();
    leaf.add(Identity::of(far).unwrap()).unwrap();
    jails.add_prisoner(prisoner("p", "a", root.id(), Some(leaf))).unwrap();
    assert_eq!(jails.prisoner_of(far).unwrap().unwrap().id, "p");
    assert!(jails.prisoner_of(stranger.id()).unwrap().is_none());
    end(root);
    end(stranger);
}

#[test]
fn a_request_in_a_jail_with_one_prisoner_is_put_down_to_it() {
    let jails = Jails::default();
    jails.add(jail("a", "1")).unwrap();
    jails.add(jail("b", "1")).unwrap();
    assert!(jails.attribute(&name("a"), None).is_none());
    let (root, child) = family();
    jails.add_prisoner(prisoner("one", "a", root.id(), None)).unwrap();
    assert_eq!(jails.attribute(&name("a"), None).unwrap().id, "one");
    assert!(jails.attribute(&name("b"), Some(child)).is_none());
    let (second, grandchild) = family();
    jails.add_prisoner(prisoner("two", "a", second.id(), None)).unwrap();
    assert!(jails.attribute(&name("a"), None).is_none());
    assert_eq!(jails.attribute(&name("a"), Some(grandchild)).unwrap().id, "two");
    assert_eq!(jails.attribute(&name("a"), Some(child)).unwrap().id, "one");
    end(root);
    end(second);
}

#[test]
fn names_ids_and_roots_are_given_once() {
    let jails = Jails::default();
    jails.add(jail("a", "1")).unwrap();
    assert_eq!(jails.add(jail("a", "2")).unwrap_err(), RegistryError::NameTaken(name("a")));
    assert_eq!(jails.free_name(&name("a")), name("a-2"));
    assert_eq!(jails.free_name(&name("b")), name("b"));
    let (root, child) = family();
    jails.add_prisoner(prisoner("p", "a", root.id(), None)).unwrap();
    let twice = jails.add_prisoner(prisoner("p", "a", child, None));
    assert_eq!(twice.unwrap_err(), RegistryError::IdTaken("p".to_owned()));
    let same_root = jails.add_prisoner(prisoner("q", "a", root.id(), None));
    assert_eq!(same_root.unwrap_err(), RegistryError::RootTaken(root.id()));
    let nowhere = jails.add_prisoner(prisoner("q", "b", child, None));
    assert_eq!(nowhere.unwrap_err(), RegistryError::NoSuchJail(name("b")));
    end(root);
}

#[test]
fn a_jail_with_a_prisoner_is_not_given_up() {
    let jails = Jails::default();
    jails.add(jail("a", "1")).unwrap();
    let (root, _child) = family();
    jails.add_prisoner(prisoner("p", "a", root.id(), None)).unwrap();
    assert!(jails.remove_empty(&name("a")).is_none());
    jails.remove_prisoner("p").unwrap();
    assert!(jails.remove_empty(&name("a")).is_some());
    assert!(jails.get(&name("a")).is_none());
    end(root);
}

#[test]
fn a_jail_is_found_by_policy_and_tools_together() {
    let jails = Jails::default();
    jails.add(jail("a", "1")).unwrap();
    let tools = ["git".to_owned()];
    assert_eq!(jails.with_policy("1", &tools).unwrap().name, name("a"));
    assert!(jails.with_policy("2", &tools).is_none());
    assert!(jails.with_policy("1", &[]).is_none());
}

#[test]
fn the_number_of_jails_is_bounded() {
    let jails = Jails::default();
    for number in 0..MAX_JAILS {
        jails.add(jail(&format!("j{number}"), "1")).unwrap();
    }
    let refused = jails.add(jail("one-more", "1")).unwrap_err();
    assert_eq!(refused, RegistryError::TooMany(MAX_JAILS, "jails"));
}

#[test]
fn a_request_keeps_the_policy_it_got() {
    let jails = Jails::default();
    let added = jails.add(jail("a", "1")).unwrap();
    let before = added.in_force();
    let after = InForce {
        policy: Arc::new(Policy::stock()),
        name: "n".into(),
        fingerprint: "2".into(),
        since_ms: 0,
    };
    added.put_in_force(after, []);
    assert_eq!((before.fingerprint.as_str(), added.in_force().fingerprint.as_str()), ("1", "2"));
    added.count_request();
    let status = jails.status(Some("line 3"));
    assert_eq!((status[0].requests, status[0].policy_fingerprint.as_str()), (1, "2"));
}
