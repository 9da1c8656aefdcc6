//! `clawrden install` and `uninstall`, and the script that does the same, on roots that have every kind of tool in them.

#![allow(clippy::unwrap_used)]

mod image;
mod script;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use image::{Image, SHIM, all, same, timeless};

pub(crate) const LOCKED: &[&str] =
    &["--tools", "git,ls,awk,perl,npm,python3", "--lock", "--user", "4711"];

#[test]
fn every_kind_of_tool_is_locked_and_put_back_as_it_was() {
    let image = Image::new();
    let before = image.listing();
    let said = image.run("install", LOCKED);
    for tool in ["git", "ls", "awk", "perl", "npm", "python3"] {
        assert_eq!(image.link(&format!("clawrden/bin/{tool}")).unwrap(), "clawrden-shim");
    }
    for place in [
        "usr/bin/git",
        "usr/bin/git-upload-pack",
        "usr/bin/ls",
        "usr/bin/awk",
        "usr/bin/perl",
        "usr/bin/perl5.36.0",
        "usr/bin/python3",
        "usr/bin/python3.11",
        "usr/local/bin/npm",
    ] {
        assert_eq!(image.link(place).as_deref(), Some(SHIM), "{place}");
    }
    // The others still work, and what leads to a locked file leads to where it is.
    assert_eq!(image.link("usr/bin/cat").unwrap(), "/bin/busybox");
    for (locked, target) in [
        ("usr/bin/ls", "/usr/bin/busybox"),
        ("usr/bin/awk", "/usr/bin/mawk"),
        ("usr/bin/python3", "/clawrden/locked/usr/bin/python3.11"),
        ("usr/bin/git-upload-pack", "/clawrden/locked/usr/bin/git"),
        ("usr/local/bin/npm", "/usr/local/lib/node_modules/npm/bin/npm-cli.js"),
    ] {
        assert_eq!(image.link(&format!("clawrden/locked/{locked}")).unwrap(), target);
    }
    for folder in ["locked", "locked/usr", "locked/usr/bin", "kept"] {
        let mode = fs::metadata(image.at("clawrden").join(folder)).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o700, "{folder}");
    }
    assert!(
        said.contains("/usr/bin/busybox (ls)") && said.contains("/usr/bin/mawk (awk)"),
        "{said}"
    );
    image.run("uninstall", &[]);
    same(&image.listing(), &before, "put back");
}

#[test]
fn what_was_done_is_told_in_json() {
    let image = Image::new();
    let told = image.run("install", &[LOCKED, &["--json"]].concat());
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let tools: Vec<_> =
        told["tools"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
    assert!(tools.contains(&"git") && tools.len() == 6, "{told}");
    assert_eq!(told["open"]["/usr/bin/busybox"][0], "ls", "{told}");
    let told = image.run("uninstall", &["--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert!(told["removed"].as_array().unwrap().contains(&"git".into()), "{told}");
}

#[test]
fn startup_files_get_lines_at_their_end_and_lose_them() {
    let image = Image::new().with_home();
    let before = image.listing();
    let own = rustix::process::getuid().as_raw().to_string();
    image.run("install", &["--tools", "git", "--user", &own]);
    for file in ["etc/profile", "home/agent/.profile", "etc/zsh/zshenv"] {
        let content = fs::read_to_string(image.at(file)).unwrap();
        assert!(content.ends_with("path.sh\n# clawrden: end\n"), "{file}: {content}");
    }
    // Somebody else's lines stay.
    let profile = image.at("etc/profile");
    let with_more = fs::read_to_string(&profile).unwrap() + "umask 022\n";
    fs::write(&profile, with_more).unwrap();
    image.run("uninstall", &[]);
    let left = fs::read_to_string(&profile).unwrap();
    assert_eq!(left, "PATH=/usr/bin\nexport PATH # no newline\numask 022\n");
    let mut after = image.listing();
    after.insert("etc/profile".into(), before[Path::new("etc/profile")].clone());
    same(&after, &before, "all but what somebody wrote");
}

#[test]
fn installing_again_changes_nothing_and_with_others_is_as_if_they_had_been_named_at_once() {
    let image = Image::new();
    let before = image.listing();
    image.run("install", LOCKED);
    let once = image.listing();
    image.run("install", LOCKED);
    let mut twice = image.listing();
    // These are written anew, and say the same.
    for written in ["install.json", "shell/path.sh"] {
        let path = Path::new("clawrden").join(written);
        let path = path.components().as_path();
        let entry = twice.get_mut(path).unwrap();
        entry.1 = once[path].1;
    }
    same(&twice, &once, "installed twice");

    let other = &["--tools", "git,mawk,awk,cat", "--lock"];
    image.run("install", other);
    assert_eq!(image.link("clawrden/locked/usr/bin/awk").unwrap(), "/clawrden/locked/usr/bin/mawk");
    let manifest = fs::read_to_string(image.at("clawrden/install.json")).unwrap();
    let fresh = Image::new();
    fresh.run("install", other);
    let (mut one, mut two) = (timeless(image.listing()), timeless(fresh.listing()));
    // Numbers of what is kept are given once.
    one.retain(|path, _| !path.starts_with("clawrden/kept"));
    two.retain(|path, _| !path.starts_with("clawrden/kept"));
    let json = Path::new("clawrden/install.json");
    assert!(one.remove(json).is_some() && two.remove(json).is_some());
    same(&one, &two, &manifest);

    image.run("install", &["--tools", "git"]);
    assert!(!image.at("clawrden/locked/usr").exists());
    image.run("uninstall", &[]);
    same(&image.listing(), &before, "put back");
}

#[test]
fn killed_at_any_moment_it_can_be_undone_and_finished() {
    if !cfg!(debug_assertions) {
        eprintln!("not tried: only debug builds can be killed at a point");
        return;
    }
    let whole = Image::new();
    whole.run("install", LOCKED);
    let whole = timeless(whole.listing());
    let mut points = 0;
    loop {
        let image = Image::new();
        let before = image.listing();
        let output = image.killed_at(points, "install", LOCKED);
        if output.status.success() {
            break;
        }
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(9));
        let is_begun = image.at("clawrden/install.json").exists();
        if is_begun {
            let said = image.refused("install", LOCKED);
            assert!(said.contains("--finish") && said.contains("clawrden uninstall"), "{said}");
        }
        if is_begun || image.at("clawrden").exists() {
            image.run("uninstall", &[]);
        }
        same(&image.listing(), &before, &format!("undone after change {points}"));

        image.killed_at(points, "install", LOCKED);
        if is_begun {
            image.run("install", &["--finish"]);
        } else {
            image.run("install", LOCKED);
        }
        same(&timeless(image.listing()), &whole, &format!("finished after change {points}"));

        points += 1;
    }
    assert!(points > 40, "{points}");
}

#[test]
fn a_removal_that_was_killed_at_any_moment_goes_on() {
    if !cfg!(debug_assertions) {
        eprintln!("not tried: only debug builds can be killed at a point");
        return;
    }
    for point in 0.. {
        let image = Image::new();
        let before = image.listing();
        image.run("install", LOCKED);
        let output = image.killed_at(point, "uninstall", &[]);
        if output.status.success() {
            assert!(point > 30, "{point}");
            break;
        }
        let manifest = fs::read_to_string(image.at("clawrden/install.json")).unwrap_or_default();
        if manifest.contains("uninstalling") && point % 2 == 0 {
            image.run("install", &["--finish"]);
        } else if image.at("clawrden").exists() {
            image.run("uninstall", &[]);
        }
        same(&image.listing(), &before, &format!("after change {point}"));
    }
}

#[test]
fn a_change_of_tools_that_was_killed_at_any_moment_can_be_finished_and_undone() {
    if !cfg!(debug_assertions) {
        eprintln!("not tried: only debug builds can be killed at a point");
        return;
    }
    let other = &["--tools", "git,mawk,awk,cat", "--lock"];
    let whole = Image::new();
    whole.run("install", LOCKED);
    whole.run("install", other);
    let whole = timeless(whole.listing());
    for point in 0.. {
        let image = Image::new();
        let before = image.listing();
        image.run("install", LOCKED);
        if image.killed_at(point, "install", other).status.success() {
            assert!(point > 20, "{point}");
            break;
        }
        let manifest = fs::read_to_string(image.at("clawrden/install.json")).unwrap();
        let is_begun = manifest.contains("installing");
        if point % 2 == 0 {
            image.run("install", if is_begun { &["--finish"] } else { other });
            same(&timeless(image.listing()), &whole, &format!("finished after change {point}"));
        }
        image.run("uninstall", &[]);
        same(&image.listing(), &before, &format!("undone after change {point}"));
    }
}

#[test]
fn links_of_the_image_do_not_lead_to_the_host() {
    let outside = tempfile::tempdir().unwrap();
    let victim = |name: &str| outside.path().join(name);
    for name in ["git", "profile", "bashrc"] {
        fs::write(victim(name), "host\n").unwrap();
        fs::set_permissions(victim(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::create_dir(victim("bin")).unwrap();
    fs::write(victim("bin/npm"), "host\n").unwrap();
    fs::set_permissions(victim("bin/npm"), fs::Permissions::from_mode(0o755)).unwrap();
    let host = |dir: &Path| {
        let image = Image { dir: tempfile::tempdir_in(dir).unwrap() };
        let listing = all(outside.path()).into_iter().filter(|p| !p.starts_with(image.dir.path()));
        let listing: Vec<_> = listing
            .map(|p| (fs::read(&p).ok(), fs::symlink_metadata(&p).unwrap().ino(), p))
            .collect();
        drop(image);
        listing
    };
    let before = host(outside.path());

    let image = Image::new();
    for (link, target) in [
        ("usr/bin/git", victim("git")),
        ("etc/profile", victim("profile")),
        ("usr/local/bin", victim("bin")),
        (
            "etc/bash.bashrc",
            PathBuf::from("../../../../../..").join(victim("bashrc").strip_prefix("/").unwrap()),
        ),
        ("opt", outside.path().to_owned()),
    ] {
        let at = image.at(link);
        fs::remove_file(&at).or_else(|_| fs::remove_dir_all(&at)).ok();
        symlink(target, at).unwrap();
    }
    image.run("install", &["--tools", "git,npm,ls", "--lock", "--path", "/opt/bin:/opt"]);
    assert_eq!(host(outside.path()), before);
    image.run("uninstall", &[]);
    assert_eq!(host(outside.path()), before);

    for link in ["clawrden", "clawrden/bin", "clawrden/locked", "clawrden/install.json"] {
        let image = Image::new();
        fs::create_dir_all(image.at(link).parent().unwrap()).unwrap();
        symlink(outside.path(), image.at(link)).unwrap();
        let output = image.clawrden("install", LOCKED).output().unwrap();
        assert!(!output.status.success(), "{link}");
        assert_eq!(host(outside.path()), before, "{link}");
    }
}

#[test]
fn a_tool_that_others_lead_to_is_not_locked() {
    let image = Image::new();
    let before = image.listing();
    let said = image.refused("install", &["--tools", "busybox,git", "--lock"]);
    assert!(said.contains("cat, ls, sh would be taken away"), "{said}");
    let said = image.refused("install", &["--tools", "mawk", "--lock"]);
    assert!(said.contains("awk would be taken away"), "{said}");
    same(&image.listing(), &before, "put back");
    image.run("install", &["--tools", "busybox,git"]);
    image.run("uninstall", &[]);
    same(&image.listing(), &before, "put back");
}

#[test]
fn states_that_nobody_can_answer_for_are_refused() {
    let image = Image::new();
    let said = image.refused("uninstall", &[]);
    assert!(said.contains("nothing is installed"), "{said}");
    let said = image.refused("install", &["--finish"]);
    assert!(said.contains("no installation was interrupted"), "{said}");

    fs::create_dir(image.at("clawrden")).unwrap();
    fs::write(image.at("clawrden/mine"), "").unwrap();
    for (verb, words) in [("install", LOCKED), ("uninstall", &[])] {
        let said = image.refused(verb, words);
        assert!(said.contains("\"mine\"") && said.contains("move it away"), "{said}");
    }
    fs::remove_dir_all(image.at("clawrden")).unwrap();

    image.run("install", &["--tools", "git"]);
    let bin = image.at("clawrden/bin");
    fs::rename(image.at("usr/bin/git"), image.at("usr/bin/git.original")).unwrap();
    fs::copy(bin.join("clawrden-shim"), image.at("usr/bin/git")).unwrap();
    let said = image.refused("install", &["--tools", "git", "--lock"]);
    assert!(said.contains("/usr/bin/git is a stand-in already"), "{said}");
    assert!(said.contains("/usr/bin/git.original"), "{said}");

    fs::write(image.at("clawrden/install.json"), "{").unwrap();
    let said = image.refused("uninstall", &[]);
    assert!(said.contains("is not understood"), "{said}");
}

#[test]
fn what_a_package_has_put_in_a_locked_place_is_kept() {
    let image = Image::new();
    image.run("install", LOCKED);
    for tool in ["usr/bin/git", "usr/bin/awk"] {
        fs::remove_file(image.at(tool)).unwrap();
        fs::write(image.at(tool), "newer").unwrap();
        fs::set_permissions(image.at(tool), fs::Permissions::from_mode(0o755)).unwrap();
    }
    image.run("install", LOCKED);
    for tool in ["usr/bin/git", "usr/bin/awk"] {
        assert_eq!(image.link(tool).as_deref(), Some(SHIM));
        let locked = image.at("clawrden/locked").join(tool);
        assert_eq!(fs::read_to_string(locked).unwrap(), "newer");
    }
    fs::remove_file(image.at("usr/bin/git")).unwrap();
    image.tool("usr/bin/git");
    let said = image.run("uninstall", &[]);
    assert!(said.contains("not put back, since something else is there: /usr/bin/git"), "{said}");
    assert!(fs::read_to_string(image.at("usr/bin/git")).unwrap().starts_with("#!"));
    assert_eq!(fs::read_to_string(image.at("usr/bin/awk")).unwrap(), "newer");
    assert!(!image.at("clawrden").exists());
}

#[test]
fn what_is_no_name_and_no_user_is_refused_before_anything_is_done() {
    let image = Image::new();
    let before = image.listing();
    for words in [
        &["--tools", "../x"][..],
        &["--tools", "clawrden"],
        &["--tools", "git", "--user", "root"],
        &["--finish", "--lock"],
        &[],
    ] {
        let output = image.clawrden("install", words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
    }
    same(&image.listing(), &before, "put back");
}

#[test]
fn an_ordinary_user_governs_a_root_of_their_own_and_is_told_what_is_weaker() {
    const UID: u32 = 4711;
    let image = Image::new();
    let before = image.listing();
    let own = rustix::process::getuid();
    let mut install = if own.is_root() {
        for path in all(image.dir.path()) {
            std::os::unix::fs::lchown(path, Some(UID), Some(UID)).unwrap();
        }
        // The binary may lie where that user may not look.
        let copy = image.dir.path().join("../").join(format!("clawrden-{}", std::process::id()));
        fs::copy(env!("CARGO_BIN_EXE_clawrden"), &copy).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid=4711", "--regid=4711", "--clear-groups"]).arg(&copy);
        command
    } else {
        Command::new(env!("CARGO_BIN_EXE_clawrden"))
    };
    let uid = if own.is_root() { UID } else { own.as_raw() };
    let listing = image.listing();
    let user = uid.to_string();
    install.arg("install").arg("--root").arg(image.dir.path());
    install.args(["--tools", "git,ls", "--lock", "--user", &user]);
    let output = install.output().unwrap();
    if own.is_root() {
        fs::remove_file(install.get_args().nth(3).unwrap()).unwrap();
    }
    let said = image::text(&output.stdout) + &image::text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains(&format!("weaker: /clawrden belongs to uid {uid}")), "{said}");
    assert!(said.contains(&format!("uid {uid} can open what is locked")), "{said}");
    assert!(said.contains(&format!("uid {uid} can write /usr/bin")), "{said}");
    assert_eq!(image.link("usr/bin/git").as_deref(), Some(SHIM));
    assert_eq!(fs::metadata(image.at("clawrden/locked")).unwrap().uid(), uid);
    image.run("uninstall", &[]);
    same(&image.listing(), &listing, "put back");
    assert_eq!(before.len(), listing.len());
}
