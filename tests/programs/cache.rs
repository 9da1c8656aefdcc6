//! What the suites are downloaded to: a folder under the target directory that outlives the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The folder of one program's downloads.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs").join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The file in `folder` whose name begins and ends so.
pub(crate) fn file(folder: &Path, begins: &str, ends: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?;
    let mut files: Vec<PathBuf> = entries.map_while(Result::ok).map(|e| e.path()).collect();
    files.sort();
    files.into_iter().find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(begins) && name.ends_with(ends)
    })
}

/// Runs what needs a network, or fails with a sentence that says so.
pub(crate) fn fetch(what: &str, command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{what} cannot be downloaded: {:?} does not start: {error}", command.get_program())
    });
    assert!(
        output.status.success(),
        "{what} cannot be downloaded; this test needs a network the first time, then what it needs is kept in {}:\n{}{}",
        env!("CARGO_TARGET_TMPDIR"),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    output
}

/// The upstream source of a Debian package, by sources lists made of the machine's own, which are left alone.
pub(crate) fn debian_source(package: &str) -> PathBuf {
    let folder = folder(package);
    let begins = format!("{package}_");
    let kept = |ends: &str| file(&folder, &begins, ends);
    if let Some(archive) = kept(".orig.tar.gz").or_else(|| kept(".orig.tar.xz")) {
        return archive;
    }
    let work = tempfile::tempdir().unwrap();
    let sub = |name: &str| {
        let path = work.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    };
    let (parts, lists, cache, got) = (sub("parts"), sub("lists"), sub("cache"), sub("got"));
    let count = source_lists(&parts);
    assert!(
        count > 0,
        "no sources list of this machine names Debian or Ubuntu, whose source of {package} is needed"
    );
    let apt = || {
        let mut apt = Command::new("apt-get");
        let option = |name: &str, path: &Path| format!("{name}={}", path.display());
        apt.args(["-o", "Dir::Etc::sourcelist=/dev/null", "-o"]);
        apt.arg(option("Dir::Etc::sourceparts", &parts)).arg("-o");
        apt.arg(option("Dir::State::lists", &lists)).arg("-o");
        apt.arg(option("Dir::Cache", &cache)).args(["-o", "APT::Sandbox::User=", "-q"]);
        apt
    };
    fetch("the list of Debian's sources", apt().arg("update"));
    let what = format!("the source of {package}");
    // Only downloaded: unpacking it as a package would need tools of Debian's.
    fetch(&what, apt().args(["source", "--download-only", package]).current_dir(&got));
    let archive =
        file(&got, &begins, ".orig.tar.gz").or_else(|| file(&got, &begins, ".orig.tar.xz"));
    let archive = archive.unwrap_or_else(|| panic!("apt-get brought no source of {package}"));
    let place = folder.join(archive.file_name().unwrap());
    let fresh = folder.join("fresh");
    fs::copy(&archive, &fresh).unwrap();
    fs::rename(&fresh, &place).unwrap();
    place
}

/// Writes the machine's sources lists, as lists of source packages, into `parts`; gives how many there are.
fn source_lists(parts: &Path) -> usize {
    let more = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().map_while(Result::ok);
    let files = more.map(|entry| entry.path()).chain([PathBuf::from("/etc/apt/sources.list")]);
    let mut count = 0;
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let name = file.file_name().unwrap_or_default();
        let is_ours = |text: &str| text.contains("/debian") || text.contains("/ubuntu");
        let lines = text.lines().map(|line| match file.extension() {
            Some(kind) if kind == "sources" => {
                (line.starts_with("Types:"), "Types: deb-src".to_owned(), line)
            }
            _ => (line.starts_with("deb "), line.replacen("deb ", "deb-src ", 1), line),
        });
        let known = name == "sources.list"
            || ["sources", "list"].iter().any(|k| file.extension().is_some_and(|e| e == *k));
        if known && is_ours(&text) {
            let lines =
                lines.map(|(is_type, source, line)| if is_type { source } else { line.to_owned() });
            fs::write(parts.join(name), lines.collect::<Vec<_>>().join("\n") + "\n").unwrap();
            count += 1;
        }
    }
    count
}
