//! Commands of a prisoner in a container, some at once, by every way that the engine has a part in: handed off, started by
//! exec, in ghosts, asked about, denied, killed and left.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::other::is_root;
use crate::support::{House, engine, text, until};
use crate::{books, people, setting};

/// Who the prisoner is.
const USER: u32 = 1000;

const POLICY: &str = "
default_action: deny
on_unparsed: allow
ghost_images: {'*': IMAGE}
jails:
  box: {commands: [cat, sh, sort, tee, rm, sleep], workspace: [/work]}
rules:
  - {command: [cat, kill], action: allow}
  - {command: sh, action: allow, supervised: true}
  - {command: sort, action: allow, executor: ghost}
  - {command: tee, action: ask, executor: ghost}
  - {command: sleep, args: ['31'], action: allow, supervised: true}
  - {command: sleep, args: ['32'], action: allow, executor: ghost}
";

/// One worker: its name, and how often. It says what is not as it should be.
const WORK: &str = r#"
is() { [ "$2" = "$3" ] || echo "$mark: $1 ended with $2"; }
leaves() { sleep "$1" & /bin/sleep 0.$((round % 7)); kill -9 $!; wait $! 2>/dev/null; }
round=0
while [ "$round" -lt "$2" ]; do
    round=$((round + 1)) mark=/work/marks/$1-$round
    cat /dev/null; is handoff $? 0
    sh -c 'echo x >>"$0"' "$mark-exec."; is exec $? 0
    sort /dev/null -o "$mark-ghost."; is ghost $? 0
    echo x | tee -a "$mark-yes." >/dev/null; is asked $? 0
    echo x | tee -a "$mark-no." >/dev/null 2>&1; is refused $? 126
    rm "$mark-exec." 2>/dev/null; is denied $? 126
    sh -c 'kill -9 $$'; is killed $? 137
    leaves 31; leaves 32
done
exit 0
"#;

/// Requests of a round whose callers stay until they have their answers.
const WHOLE: u64 = 7;

fn soak(rounds: u64, at_once: u64, time: Duration) {
    if !is_root() || !engine::is_there() {
        eprintln!("not tried: there is no container engine");
        return;
    }
    let ours = engine::get();
    let policy = POLICY.replace("IMAGE", &ours.image("alpine"));
    let house = House::with(&policy, &["--engine", &ours.address, "--grace", "300ms"]);
    house.json(&["status", "--json"]);
    let work = tempfile::Builder::new().prefix("clawrden-work-").tempdir().unwrap();
    fs::set_permissions(work.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let marks = work.path().join("marks");
    fs::create_dir(&marks).unwrap();
    for folder in [work.path(), &marks] {
        chown(folder, Some(USER), Some(USER)).unwrap();
    }
    let prisoner = ours
        .container("debian12")
        .mount_read_only(&house.path("jails/box"), "/run/clawrden")
        .mount_read_only(&house.path("clawrden/jails/box/bin"), "/clawrden/bin")
        .mount(work.path(), "/work")
        .user(&USER.to_string())
        .start();
    let (began, mut done) = (Instant::now(), 0);
    people::answering(&house.control(), || {
        while done < rounds && began.elapsed() < time {
            // A few at a time, so that it ends when its time has come.
            let some = (rounds - done).div_ceil(at_once).min(5);
            std::thread::scope(|scope| {
                for nth in 0..at_once {
                    let (name, some) = (format!("{done}-{nth}"), some.to_string());
                    let prisoner = &prisoner;
                    scope.spawn(move || {
                        let path = "PATH=/clawrden/bin:/usr/bin:/bin";
                        let words = ["/bin/sh", "-c", WORK, "work", &name, &some];
                        let told = prisoner.exec_with(&["-w", "/work", "-e", path], &words);
                        let told = { told }.output().unwrap();
                        assert!(told.status.success() && told.stdout.is_empty(), "{told:?}");
                    });
                }
            });
            done += some * at_once;
        }
        until("nothing to run or to wait", || {
            let status = house.json(&["status", "--json"]);
            (status["running"] == 0 && status["pending"] == 0).then_some(())
        });
    });
    is_right(&house, &marks, done);
    eprintln!("{done} rounds in {:.0} s", began.elapsed().as_secs_f64());
}

/// What is there of all these rounds, in the folder and in the books.
fn is_right(house: &House, marks: &Path, rounds: u64) {
    let mut made = 0;
    for entry in fs::read_dir(marks).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        let name = name.into_string().unwrap();
        assert!(!name.ends_with("no."), "{name} was denied");
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert_eq!(lines, usize::from(!name.ends_with("ghost.")), "{name}");
        made += 1;
    }
    assert_eq!(made, 3 * rounds);
    let summary = books::holds(house.dir.path());
    let books = books::read(house.dir.path(), "marks/");
    assert!(books.requested >= WHOLE * rounds, "{} recorded", books.requested);
    assert_eq!(books.open, 0, "each request has its end");
    assert_eq!((books.approved, books.refused), (rounds, rounds));
    assert_eq!(books.marks.len() as u64, 3 * rounds);
    assert!(books.marks.values().all(|&times| times == 1), "nothing is started twice");
    let started: Vec<String> = house
        .events("started")
        .iter()
        .map(|record| record["id"].as_str().unwrap().to_owned())
        .collect();
    until("no ghost to be left", || {
        let all = engine::get().docker().args(["ps", "-a", "--format", "{{.Names}}"]).output();
        let all = text(&all.unwrap().stdout);
        let ghosts: Vec<&str> =
            all.lines().filter_map(|n| n.strip_prefix("clawrden-ghost-")).collect();
        (!ghosts.iter().any(|id| started.iter().any(|one| one == id))).then_some(())
    });
    eprintln!(
        "{} requested, {} started, {} records",
        books.requested, books.started, summary.last_seq
    );
}

#[test]
fn a_prisoner_in_a_container_leaves_nothing_behind_by_any_way() {
    soak(6, 2, Duration::from_secs(3600));
}

#[test]
#[ignore = "long: thousands of ghosts; `make soak` runs it"]
fn a_prisoner_in_a_container_leaves_nothing_behind_for_long() {
    let time = Duration::from_secs(setting("CLAWRDEN_SOAK_SECONDS", 24 * 3600));
    soak(setting("CLAWRDEN_SOAK_ROUNDS", 1000), 8, time);
}
