//! Power is lost: whatever has run was announced on the disk before, what a person said is there, and the ledger holds with
//! nothing but its torn end set aside.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clawrden_warden::ledger::{Ledger, Options, Proof, PublicKey, verify_by};
use serde_json::Value;

use crate::POLICY;
use crate::platter::{Image, Left, Platter};
use crate::points::asked;
use crate::support::approvers::{Panel, TWO, people};
use crate::support::other::is_root;
use crate::support::{House, read_ledger, until};

/// A warden whose state is on such a disk, in a folder that it makes itself; `None` where none can be had.
fn house(settings: &str) -> Option<(Platter, House)> {
    house_with(settings, POLICY, &[])
}

/// The same with another policy and further words.
fn house_with(settings: &str, policy: &str, more: &[&str]) -> Option<(Platter, House)> {
    if !is_root() || !Path::new("/dev/fuse").exists() {
        eprintln!("not tried: only root can mount what forgets");
        return None;
    }
    let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
    let mount = dir.path().join("disk");
    fs::create_dir(&mount).unwrap();
    let platter = match Platter::mount(&mount) {
        Ok(platter) => platter,
        Err(error) => {
            eprintln!("not tried: nothing can be mounted here: {error}");
            return None;
        }
    };
    let file = dir.path().join("warden.yaml");
    fs::write(&file, settings).unwrap();
    let ledger = mount.join("state/ledger.jsonl");
    let words = ["--audit", ledger.to_str().unwrap(), "--config", file.to_str().unwrap()];
    let words = [&["--grace", "300ms"], &words[..], more].concat();
    let house = House::within(dir, &[], policy, &words);
    fs::create_dir(house.path("marks")).unwrap();
    Some((platter, house))
}

/// What a machine finds, on a disk that can be written.
fn put(image: &Image, at: &Path) {
    for (path, bytes) in image {
        let path = at.join(path);
        match bytes {
            None => fs::create_dir_all(&path).unwrap(),
            Some(bytes) => {
                fs::write(&path, bytes).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            }
        }
    }
}

/// Everything that is in the ledger there, after a warden has taken it up again.
fn taken_up(at: &Path) -> Vec<Value> {
    let path = at.join("state/ledger.jsonl");
    let (ledger, recovery) = Ledger::open(&path, &Options::default()).unwrap();
    assert_eq!((recovery.broken, recovery.missing), (None, None));
    drop(ledger);
    let keys = vec![PublicKey::of(path.parent().unwrap()).unwrap()];
    let proof = Proof { keys, ..Proof::default() };
    verify_by(&path, &proof).unwrap_or_else(|error| panic!("{error}"));
    let files = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let is_ledger = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "jsonl");
    files.filter(is_ledger).flat_map(|file| read_ledger(&file)).collect()
}

/// A row of numbers that look like chance.
fn chance(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    }
}

#[test]
fn what_has_run_with_authority_was_announced_on_the_disk() {
    let settings = "ledger: {segment: {bytes: 16KiB}, heads: 50ms}\n";
    let Some((platter, house)) = house(settings) else { return };
    let (is_over, number) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    let n = number.fetch_add(1, Ordering::SeqCst);
                    let mark = house.path("marks").join(format!("number-{n}."));
                    let mut sort = house.shimmed("sort");
                    sort.args(["-o", mark.to_str().unwrap(), "/dev/null"]).stdin(Stdio::null());
                    assert!(sort.status().unwrap().success());
                    let mut free = house.shimmed("true");
                    assert!(free.stdin(Stdio::null()).status().unwrap().success());
                    std::thread::sleep(Duration::from_millis(15));
                }
            });
        }
        let end = scope.spawn(|| {
            let mut seen = 0;
            for round in 0..40 {
                std::thread::sleep(Duration::from_millis(30 + round % 7));
                // First what has run, then what would be left.
                let ran: Vec<String> = fs::read_dir(house.path("marks"))
                    .unwrap()
                    .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                    .collect();
                let mut below = chance(round);
                let image = match round % 2 {
                    0 => platter.image(Left::None),
                    _ => platter.image(Left::Some(&mut below)),
                };
                let left = tempfile::tempdir().unwrap();
                put(&image, left.path());
                if !left.path().join("state").exists() {
                    assert!(ran.is_empty(), "round {round}: its folder was never on the disk");
                    continue;
                }
                let ledger = taken_up(left.path());
                let of = |event: &'static str| ledger.iter().filter(move |r| r["event"] == event);
                let ids =
                    |event| of(event).map(|r| r["id"].as_str().unwrap()).collect::<HashSet<_>>();
                let (decided, started) = (ids("decided"), ids("started"));
                let asked: HashMap<&str, &str> = of("requested")
                    .filter_map(|r| {
                        let name = r["argv"].as_array()?.get(2)?.as_str()?.rsplit('/').next()?;
                        Some((name, r["id"].as_str()?))
                    })
                    .collect();
                for name in &ran {
                    let id = asked.get(&name[..]);
                    let id = id.unwrap_or_else(|| panic!("round {round}: {name} is lost"));
                    assert!(decided.contains(id) && started.contains(id), "round {round}: {name}");
                }
                seen = ran.len();
            }
            seen
        });
        let seen = end.join();
        is_over.store(true, Ordering::SeqCst);
        assert!(seen.unwrap() > 20);
    });
    assert!(fs::read_dir(house.path("disk/state")).unwrap().count() > 6, "segments were closed");
}

#[test]
fn what_a_person_let_run_was_recorded_on_the_disk() {
    let Some((platter, house)) = house("ledger: {heads: 50ms}\n") else { return };
    for (round, tool) in ["tee", "dd", "tee", "dd"].into_iter().enumerate() {
        let mut child = asked(&house, tool);
        let entry = house.pending();
        assert!(house.cli(&["approve", entry["short"].as_str().unwrap()]).status.success());
        until("its mark", || house.path("mark").exists().then_some(()));
        let left = tempfile::tempdir().unwrap();
        put(&platter.image(Left::None), left.path());
        let ledger = taken_up(left.path());
        let count = |event: &str| ledger.iter().filter(|r| r["event"] == event).count();
        assert_eq!((count("approved"), count("started")), (round + 1, round + 1), "{ledger:?}");
        until("the shim to end", || child.try_wait().unwrap());
        fs::remove_file(house.path("mark")).unwrap();
    }
}

#[test]
fn what_several_people_let_run_has_all_their_votes_on_the_disk() {
    let Some((platter, house)) = house_with(&people(), TWO, &["--api", "127.0.0.1:0"]) else {
        return;
    };
    let panel = Panel::around(house);
    panel.token("bob");
    panel.token("carol");
    // What a machine finds of this entry: its votes, and what has become of it.
    let found = |id: &str, left: Left<'_>| {
        let at = tempfile::tempdir().unwrap();
        put(&platter.image(left), at.path());
        let all = taken_up(at.path());
        let requests: HashSet<Value> = all
            .iter()
            .filter(|record| record["entry"] == *id)
            .map(|record| record["id"].clone())
            .collect();
        let is_its = |record: &&Value| record["entry"] == *id || requests.contains(&record["id"]);
        let of = |event| {
            all.iter().filter(is_its).filter(|record| record["event"] == event).cloned().collect()
        };
        ["voted", "approved", "started"].map(of) as [Vec<Value>; 3]
    };
    for round in 0..6 {
        let (mut child, short) = panel.waiting();
        let id = panel.house.pending()["id"].as_str().unwrap().to_owned();
        assert_eq!(panel.by("bob", &["approve", &short]).0, Some(0));
        // A vote alone lets nothing run, and is there as soon as everything else is.
        until("the vote to be on the disk", || {
            let [voted, approved, started] = found(&id, Left::None);
            assert!(approved.is_empty() && started.is_empty(), "{round}");
            (voted.len() == 1 && voted[0]["person"] == "bob").then_some(())
        });
        std::thread::scope(|scope| {
            scope.spawn(|| assert_eq!(panel.by("carol", &["approve", &short]).0, Some(0)));
            // Whatever is left at whichever moment: nothing that one of them alone has let run.
            let mut below = chance(round);
            while !panel.mark().exists() {
                let [voted, approved, started] = found(&id, Left::Some(&mut below));
                assert_eq!(voted.len(), 1, "{round}");
                assert!(started.len() <= approved.len(), "{round}: {started:?}");
            }
        });
        let [voted, approved, started] = found(&id, Left::None);
        assert_eq!((voted.len(), approved.len(), started.len()), (1, 1, 1), "{round}");
        let by = approved[0]["approver"].as_str().unwrap();
        assert!(by.starts_with("bob ") && by.contains(" and carol "), "{by}");
        assert!(child.wait().unwrap().success());
        fs::remove_file(panel.mark()).unwrap();
    }
}
