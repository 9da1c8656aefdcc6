//! `install-clawrden.sh`, in a root whose only program is busybox.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::image::{Image, SHIM, same, text, timeless};

const WORDS: &[&str] =
    &["--tools", "git,ls,awk,perl,npm,python3,rm,mv", "--lock", "--user", "4711"];

/// What the script calls.
const APPLETS: &[&str] =
    &["chmod", "cp", "grep", "ln", "mkdir", "mv", "readlink", "rm", "rmdir", "sed", "touch", "tr"];

#[allow(clippy::print_stderr)]
fn said(what: &str) {
    eprintln!("{what}");
}

/// A root in which a busybox runs; `None` where there is none, or nobody may change roots.
fn image() -> Option<Image> {
    let static_one = Path::new("/bin/busybox");
    let is_static = Command::new("ldd").arg(static_one).output().is_ok_and(|o| !o.status.success());
    if !static_one.exists() || !is_static || !rustix::process::getuid().is_root() {
        said("not tried: it takes root and a static busybox (Debian's busybox-static)");
        return None;
    }
    let image = Image::new();
    fs::remove_file(image.at("usr/bin/busybox")).unwrap();
    fs::copy(static_one, image.at("usr/bin/busybox")).unwrap();
    for applet in APPLETS {
        symlink("/bin/busybox", image.at("usr/bin").join(applet)).unwrap();
    }
    for folder in ["kit", "dev"] {
        fs::create_dir(image.at(folder)).unwrap();
    }
    let made = Command::new("mknod").arg(image.at("dev/null")).args(["c", "1", "3"]).status();
    assert!(made.unwrap().success());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/install-clawrden.sh");
    fs::copy(script, image.at("kit/install-clawrden.sh")).unwrap();
    let shim = tempfile::tempdir().unwrap();
    let mut shims = Command::new(env!("CARGO_BIN_EXE_clawrden"));
    let made = shims.arg("shims").arg(shim.path()).arg("git").output().unwrap();
    assert!(made.status.success());
    fs::copy(shim.path().join("clawrden-shim"), image.at("kit/clawrden-shim")).unwrap();
    image.age();
    Some(image)
}

impl Image {
    fn script(&self, words: &[&str]) -> Command {
        let mut command = Command::new("chroot");
        command.arg(self.dir.path()).args(["/usr/bin/busybox", "sh", "/kit/install-clawrden.sh"]);
        command.args(words).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    fn scripted(&self, words: &[&str]) -> String {
        let output = self.script(words).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    fn script_killed_at(&self, point: usize, words: &[&str]) -> Output {
        let mut command = self.script(words);
        command.env("CLAWRDEN_CRASH_AT", format!("install:{point}")).output().unwrap()
    }

    fn refuses(&self, words: &[&str], code: i32) -> String {
        let output = self.script(words).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
        text(&output.stderr)
    }
}

/// The manifests name the same steps, but each in an order of its own.
fn without_manifest(image: &Image) -> crate::image::Listing {
    let mut listing = timeless(image.listing());
    let json = PathBuf::from("clawrden/install.json");
    assert!(listing.remove(&json).is_some());
    listing.retain(|path, _| !path.starts_with("clawrden/kept") && !path.starts_with("kit"));
    listing
}

#[test]
fn the_script_does_what_the_binary_does_and_each_undoes_the_other() {
    let Some(image) = image() else { return };
    let before = image.listing();
    let said = image.scripted(WORDS);
    assert!(said.contains("not governed by its path: /usr/bin/mawk (awk)"), "{said}");
    assert_eq!(image.link("usr/bin/mv").as_deref(), Some(SHIM));
    let by_script = without_manifest(&image);
    image.run("uninstall", &[]);
    same(&without_kit(&image.listing()), &without_kit(&before), "undone by the binary");

    image.run("install", WORDS);
    same(&without_manifest(&image), &by_script, "by the binary");
    image.scripted(&["--uninstall"]);
    same(&without_kit(&image.listing()), &without_kit(&before), "undone by the script");
}

#[test]
fn the_script_changes_an_installation_into_another() {
    let Some(image) = image() else { return };
    let before = image.listing();
    image.scripted(WORDS);
    let once = without_manifest(&image);
    image.scripted(WORDS);
    same(&without_manifest(&image), &once, "twice");
    image.run("install", WORDS);
    same(&without_manifest(&image), &once, "the binary after the script");
    for other in [&["--tools", "git,mawk,awk", "--lock"][..], &["--tools", "git"]] {
        image.scripted(other);
        let by_script = without_manifest(&image);
        image.run("install", other);
        same(&without_manifest(&image), &by_script, "changed");
    }
    image.scripted(&["--uninstall"]);
    same(&without_kit(&image.listing()), &without_kit(&before), "put back");
}

#[test]
fn a_script_that_was_killed_can_be_undone_and_finished_by_either() {
    let Some(whole) = image() else { return };
    whole.scripted(WORDS);
    let whole = without_manifest(&whole);
    // Each is a second's work, so not all of them.
    let step = 3;
    let (mut point, mut tried) = (0, 0);
    loop {
        let image = image().unwrap();
        let before = image.listing();
        let output = image.script_killed_at(point, WORDS);
        if output.status.success() {
            break;
        }
        if image.at("clawrden/install.json").exists() {
            let said = image.refuses(WORDS, 1);
            assert!(said.contains("--finish") && said.contains("--uninstall"), "{said}");
            if tried % 2 == 0 {
                image.scripted(&["--finish"]);
            } else {
                image.run("install", &["--finish"]);
            }
            same(&without_manifest(&image), &whole, &format!("finished after change {point}"));
            image.scripted(&["--uninstall"]);
            same(
                &without_kit(&image.listing()),
                &without_kit(&before),
                &format!("after change {point}"),
            );
            image.script_killed_at(point, WORDS);
        }
        if tried % 2 == 0 && image.at("clawrden").exists() {
            image.run("uninstall", &[]);
        } else if image.at("clawrden").exists() {
            image.scripted(&["--uninstall"]);
        }
        same(
            &without_kit(&image.listing()),
            &without_kit(&before),
            &format!("undone after {point}"),
        );
        point += step;
        tried += 1;
    }
    assert!(tried > 8, "{tried}");
}

/// The script keeps a time in its own folder for a moment.
fn without_kit(listing: &crate::image::Listing) -> crate::image::Listing {
    let mut listing = listing.clone();
    listing.retain(|path, _| !path.starts_with("kit"));
    listing
}

#[test]
fn the_script_refuses_what_it_cannot_answer_for() {
    let Some(image) = image() else { return };
    let before = image.listing();
    for words in [
        &["--tools", "../x"][..],
        &["--tools", "a b"],
        &["--tools", "clawrden"],
        &["--tools", "git", "--user", "root"],
        &["--tools", "git", "--root", "/x"],
        &["--tools"],
        &["--finish", "--lock"],
        &[],
    ] {
        image.refuses(words, 2);
    }
    let said = image.refuses(&["--tools", "busybox", "--lock"], 1);
    assert!(said.contains("sh") && said.contains("would be taken away"), "{said}");
    for (words, expected) in [
        (&["--uninstall"][..], "nothing is installed"),
        (&["--finish"], "no installation was interrupted"),
    ] {
        let said = image.refuses(words, 1);
        assert!(said.contains(expected), "{said}");
    }
    same(&image.listing(), &before, "refused");
    fs::create_dir(image.at("clawrden")).unwrap();
    fs::write(image.at("clawrden/mine"), "").unwrap();
    let said = image.refuses(WORDS, 1);
    assert!(said.contains("'mine'"), "{said}");
    fs::remove_dir_all(image.at("clawrden")).unwrap();
    symlink("/etc", image.at("clawrden")).unwrap();
    image.refuses(WORDS, 1);
    assert!(!image.at("etc/bin").exists());
}

#[test]
fn the_script_leaves_nothing_of_itself_behind_when_told_so() {
    let Some(image) = image() else { return };
    image.scripted(&["--tools", "git,rm", "--lock", "--clean"]);
    assert!(!image.at("kit").exists());
    assert_eq!(fs::metadata(image.at("clawrden/bin/clawrden-shim")).unwrap().mode() & 0o777, 0o755);
    assert!(image.link("usr/bin/rm").is_some_and(|target| target == SHIM));
}
