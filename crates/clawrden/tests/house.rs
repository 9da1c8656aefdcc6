//! The house, as `docs/architecture.md` promises it: no module of a crate imports another one that imports it, however far
//! round, but for those that it names.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

const DOCUMENT: &str = include_str!("../../../docs/architecture.md");

/// What each module at the top of a crate imports of the others.
type Imports = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file below a folder that is no test, and the module at the top that it belongs to.
fn files(source: &Path) -> Vec<(String, PathBuf)> {
    let (mut found, mut folders) = (Vec::new(), vec![source.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            if name == "tests" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(source).unwrap().with_extension("");
                let module = below.iter().next().unwrap().to_str().unwrap().to_owned();
                found.push((module, path));
            }
        }
    }
    found
}

/// The modules that are imported by what a file says before its tests.
fn imported(text: &str) -> BTreeSet<String> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code: Vec<&str> =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let one = Regex::new(r"\bcrate::(\w+)").unwrap();
    let several = Regex::new(r"\bcrate::\{([^;]*)\};").unwrap();
    let inner = Regex::new(r"\{[^{}]*\}").unwrap();
    let mut found: BTreeSet<String> =
        one.captures_iter(&code).map(|found| found[1].to_owned()).collect();
    for list in several.captures_iter(&code) {
        let list = inner.replace_all(&list[1], "");
        let first = |word: &str| word.trim().split("::").next().unwrap_or_default().to_owned();
        found.extend(list.split(',').map(first));
    }
    found
}

fn imports(source: &Path) -> Imports {
    let files = files(source);
    let modules: BTreeSet<String> = files.iter().map(|(module, _)| module.clone()).collect();
    let mut all = Imports::new();
    for (module, path) in files.iter().filter(|(module, _)| module != "lib" && module != "main") {
        let told = imported(&fs::read_to_string(path).unwrap());
        let others = told.into_iter().filter(|other| other != module && modules.contains(other));
        all.entry(module.clone()).or_default().extend(others);
    }
    all
}

/// The modules that import themselves by way of others.
fn in_circles(imports: &Imports) -> BTreeSet<String> {
    let reaches_itself = |module: &String| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![module]);
        while let Some(at) = next.pop() {
            for other in imports.get(at).into_iter().flatten() {
                if other == module {
                    return true;
                }
                if seen.insert(other) {
                    next.push(other);
                }
            }
        }
        false
    };
    imports.keys().filter(|module| reaches_itself(module)).cloned().collect()
}

#[test]
fn no_modules_import_each_other_in_a_circle_but_those_that_the_document_names() {
    let (_, told) = DOCUMENT.split_once("imports another one that imports it").unwrap();
    let told = told.split("\n\n").next().unwrap();
    let named: BTreeSet<String> = Regex::new(r"`(\w+)`")
        .unwrap()
        .captures_iter(told)
        .map(|found| found[1].to_owned())
        .collect();
    assert!(named.contains("executor"), "{told}");
    let mut sources = vec![root().join("benches/src")];
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        sources.push(entry.unwrap().path().join("src"));
    }
    assert!(sources.len() > 6, "{sources:?}");
    for source in sources {
        let imports = imports(&source);
        assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 0, "{}", source.display());
        let is_warden = source.ends_with("warden/src");
        let wanted = if is_warden { named.clone() } else { BTreeSet::new() };
        assert_eq!(in_circles(&imports), wanted, "{}", source.display());
    }
}

#[test]
fn what_is_imported_is_seen_however_it_is_written() {
    let text = "use crate::one::{A, b::C};\nuse crate::{two, three::{D, E}, four::F};\n// crate::no\nfn f() { crate::five::g() }
#[cfg(test)]\nmod tests {\n    use crate::six::H;\n}\n";
    let found: Vec<String> = imported(text).into_iter().collect();
    assert_eq!(found, ["five", "four", "one", "three", "two"]);
    let imports = |pairs: &[(&str, &str)]| {
        let mut all = Imports::new();
        for (from, to) in pairs {
            all.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        all
    };
    let round = imports(&[("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")]);
    assert_eq!(in_circles(&round).len(), 3);
    assert!(in_circles(&imports(&[("a", "b"), ("b", "c"), ("a", "c")])).is_empty());
}
