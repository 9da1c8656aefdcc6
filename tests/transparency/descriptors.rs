//! Descriptors beyond the usual three.

use crate::{Stage, same};

#[test]
fn a_process_substitution() {
    let output = same("<()", |stage| {
        stage.script("{cat} <(echo one) <(echo two)", &["cat"]).output().unwrap()
    });
    assert_eq!(output.stdout, b"one\ntwo\n");
}

#[test]
fn a_lock_that_is_held_by_descriptor() {
    let output = same("flock 9>", |stage| {
        let script = "exec 9>lock; flock 9; {sh} -c 'flock -n 9 && echo same lock'; \
                      flock -n lock -c true || echo held";
        stage.script(script, &["sh"]).output().unwrap()
    });
    assert_eq!(output.stdout, b"same lock\nheld\n");
}

#[test]
fn exactly_the_callers_descriptors_are_open() {
    let list = "import os; fds = sorted(int(f) for f in os.listdir('/proc/self/fd')); print([f for f in fds if os.path.exists(f'/proc/self/fd/{f}')])";
    let output = same("open descriptors", |stage| {
        let script = format!(
            "exec 5</dev/null 77>/dev/null 200</dev/null; {{python3}} -c \"{list}\" </dev/null"
        );
        stage.script(&script, &["python3"]).output().unwrap()
    });
    let shown = String::from_utf8(output.stdout).unwrap();
    for number in ["[0, 1, 2, 5,", " 77,", " 200"] {
        assert!(shown.contains(number), "{shown}");
    }
}

#[test]
fn two_hundred_descriptors_ride_along() {
    same("many descriptors", |stage| {
        let script = "for i in $(seq 10 209); do eval \"exec $i</dev/null\"; done; \
                      {python3} -c 'import os; print(len([f for f in os.listdir(\"/proc/self/fd\") if 10 <= int(f) < 210]))'";
        stage.script(script, &["python3"]).output().unwrap()
    });
}

#[test]
fn a_descriptor_shares_its_position_with_the_caller() {
    let output = same("shared position", |stage| {
        let script = "printf 'one\\ntwo\\nthree\\n' > lines; exec 7<lines; {sh} -c 'read -r a <&7; echo $a'; \
                      read -r b <&7; echo $b";
        stage.script(script, &["sh"]).output().unwrap()
    });
    // A shell reads a file byte by byte, so that the next reader goes on where it stopped.
    assert_eq!(output.stdout, b"one\ntwo\n");
}

#[test]
fn more_descriptors_than_can_ride_along_are_refused_where_they_would_have_to() {
    let script =
        "ulimit -n 1024; for i in $(seq 10 400); do eval \"exec $i</dev/null\"; done; {echo} ran";
    let mirror = Stage::new(crate::Way::Mirror).script(script, &["echo"]).output().unwrap();
    assert_eq!(mirror.stdout, b"ran\n");
    let local = Stage::new(crate::Way::Local).script(script, &["echo"]).output().unwrap();
    assert_eq!(local.status.code(), Some(125));
    assert_eq!(local.stdout, b"");
}
