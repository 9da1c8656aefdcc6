//! Berkeley yacc: a C project that make drives. Its check runs yacc over its grammars and compares some hundred files
//! of output with references, each by sed, mv, cmp and rm in a shell.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::{Stage, cache, house, report, requests};

/// What a build and its check came to.
struct Built {
    verdicts: Vec<String>,
    program: Vec<u8>,
    took: Duration,
}

/// The check wants a file that cannot be written, which is none for root.
fn without_override() -> &'static [&'static str] {
    if rustix::process::geteuid().is_root() {
        const DROPPED: [&str; 3] = [
            "setpriv",
            "--inh-caps=-dac_override,-dac_read_search",
            "--bounding-set=-dac_override,-dac_read_search",
        ];
        &DROPPED
    } else {
        &[]
    }
}

fn build(archive: &Path, stage: &Stage<'_>) -> Built {
    // In the same place both times: paths get into what is built.
    let _ = fs::remove_dir_all(&stage.dir);
    fs::create_dir(&stage.dir).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("xf").arg(archive).arg("--strip-components=1").current_dir(&stage.dir);
    assert!(tar.status().unwrap().success());
    let shell = stage.path("sh");
    let make_shell = format!("SHELL={}", shell.display());
    let mut took = Duration::ZERO;
    let mut said = String::new();
    for (tool, args) in
        [("sh", &["./configure"][..]), ("make", &[&make_shell]), ("make", &[&make_shell, "check"])]
    {
        let ran = stage.run(without_override(), tool, args, &[("CONFIG_SHELL", &shell)]);
        assert_eq!(ran.code, Some(0), "{tool} {args:?}:\n{}", ran.said);
        took += ran.took;
        said = ran.said;
    }
    let is_verdict = |line: &&str| line.starts_with("...") || line.starts_with("** testing");
    let verdicts = said.lines().filter(is_verdict).map(str::to_owned).collect();
    Built { verdicts, program: fs::read(stage.dir.join("yacc")).unwrap(), took }
}

#[test]
fn byacc_builds_and_passes_its_check() {
    let archive = cache::debian_source("byacc");
    let work = tempfile::tempdir().unwrap();
    let stage = |house| Stage {
        house,
        first: Vec::new(),
        dir: work.path().join("byacc"),
        log: work.path().join("log"),
    };
    let native = build(&archive, &stage(None));
    let passed = native.verdicts.iter().filter(|line| line.starts_with("...ok")).count();
    assert!(passed >= 300, "only {passed} comparisons: {:?}", native.verdicts);

    let house = house(&[]);
    let shimmed = build(&archive, &stage(Some(&house)));
    assert_eq!(shimmed.verdicts, native.verdicts);
    assert!(shimmed.program == native.program, "yacc was built otherwise");

    let tools = requests(&house);
    let count = |tool: &str| tools.get(tool).copied().unwrap_or(0);
    assert!(tools.values().sum::<usize>() > 2000, "{tools:?}");
    for tool in ["sed", "mv", "rm", "cmp", "make", "grep", "cat"] {
        assert!(count(tool) > 0, "{tool} was never asked for: {tools:?}");
    }
    eprintln!("byacc: {passed} comparisons hold");
    report("byacc", &tools, native.took, shimmed.took);
}
