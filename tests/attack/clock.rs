//! The time of day is set while requests wait and answers are kept: it decides nothing.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{House, text, until};
use crate::{nothing_started, write_tool};

/// Moves the time of day, and no other clock, by as many seconds as a file says.
const STEPPED: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int done = real(clock, now);
  const char *path = getenv("STEP");
  if (done || clock != CLOCK_REALTIME || !path) return done;
  FILE *file = fopen(path, "r");
  long seconds = 0;
  if (file) {
    if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
    fclose(file);
  }
  now->tv_sec += seconds;
  return 0;
}
"#;

const DAY: i64 = 86_400;

/// A house whose warden sees another time of day, and how to set it.
struct Stepped {
    house: House,
    _tools: tempfile::TempDir,
    step: std::path::PathBuf,
}

impl Stepped {
    fn new(policy: &str) -> Self {
        let tools = tempfile::tempdir().unwrap();
        let (source, library) = (tools.path().join("step.c"), tools.path().join("step.so"));
        fs::write(&source, STEPPED).unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
        assert!(cc.status().unwrap().success());
        let step = tools.path().join("step");
        fs::write(&step, "0").unwrap();
        let variables =
            [format!("LD_PRELOAD={}", library.display()), format!("STEP={}", step.display())];
        let house = House::under(&["env", &variables[0], &variables[1]], policy, &[]);
        house.json(&["status", "--json"]);
        Self { house, _tools: tools, step }
    }

    fn set(&self, seconds: i64) {
        let fresh = self.step.with_extension("new");
        fs::write(&fresh, seconds.to_string()).unwrap();
        fs::rename(fresh, &self.step).unwrap();
    }

    fn last_ms(&self) -> i64 {
        self.house.ledger().last().unwrap()["time_ms"].as_i64().unwrap()
    }
}

#[test]
fn a_clock_that_goes_back_keeps_no_request_open() {
    let stepped = Stepped::new("approval_timeout: 2s\nrules: [{command: touch, action: ask}]");
    let (house, mark) = (&stepped.house, stepped.house.path("mark"));
    let begin = Instant::now();
    let mut touch = house.shimmed("touch");
    let waiting = touch.arg(&mark).stderr(Stdio::piped()).spawn().unwrap();
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    let before = stepped.last_ms();
    stepped.set(-DAY);
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(126), "{}", text(&output.stderr));
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    house.event("expired");
    // The step was seen indeed.
    assert!(stepped.last_ms() < before - DAY * 500, "{before}");
    let late = house.cli(&["approve", &short]);
    assert!(!late.status.success(), "{late:?}");
    assert!(!mark.exists());
    nothing_started(house);
    clawrden_warden::ledger::verify(&house.path("ledger.jsonl")).unwrap();
}

#[test]
fn a_clock_that_jumps_ahead_ends_nothing_early_and_answers_nothing() {
    let stepped = Stepped::new("rules: [{command: touch, action: ask}]");
    let (house, mark) = (&stepped.house, stepped.house.path("mark"));
    let mut waiting = house.shimmed("touch").arg(&mark).spawn().unwrap();
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    stepped.set(DAY);
    assert_eq!(house.pending()["short"], short.as_str());
    assert!(waiting.try_wait().unwrap().is_none() && !mark.exists());
    assert!(house.cli(&["approve", &short]).status.success());
    assert!(waiting.wait().unwrap().success() && mark.exists());
}

#[test]
fn an_approval_that_is_kept_runs_once_whatever_the_clock_does_between() {
    let stepped = Stepped::new("rules: [{command: counter, action: ask}]");
    let house = &stepped.house;
    let tools = house.path("tools");
    write_tool(&tools, "counter", "#!/bin/sh\necho run >> ran\n");
    fs::copy(house.bin().join("touch"), house.bin().join("counter")).unwrap();
    let counter = || {
        let mut counter = house.shimmed("counter");
        let path = format!("{}:{}:/usr/bin:/bin", house.bin().display(), tools.display());
        counter.env("PATH", path).stderr(Stdio::null());
        counter
    };
    let mut first = counter().spawn().unwrap();
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    first.kill().unwrap();
    first.wait().unwrap();
    house.event("parked");
    assert!(house.cli(&["approve", &short]).status.success());
    stepped.set(-DAY);
    assert!(counter().status().unwrap().success());
    stepped.set(-2 * DAY);
    // It is used up, and no earlier hour brings it back.
    let mut again = counter().spawn().unwrap();
    let entry = until("the question to be asked again", || {
        let entry = house.pending();
        (entry["short"] != short.as_str()).then_some(entry)
    });
    assert!(house.cli(&["deny", entry["short"].as_str().unwrap()]).status.success());
    assert_eq!(again.wait().unwrap().code(), Some(126));
    assert_eq!(fs::read_to_string(house.path("ran")).unwrap(), "run\n");
    clawrden_warden::ledger::verify(&house.path("ledger.jsonl")).unwrap();
}
