//! The house, as `docs/architecture.md` promises it: no module of a crate imports another one that imports it, however far
//! round, nor do the files of a module, but for those that it names.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

const DOCUMENT: &str = include_str!("../../../docs/architecture.md");

/// What each module imports of the others.
type Imports = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file below a folder that is no test, by its module: `one::two`, and an empty name for the crate's own.
fn files(source: &Path) -> BTreeMap<String, PathBuf> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![source.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            if name == "tests" || name.ends_with("_tests") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(source).unwrap().with_extension("");
                let mut parts: Vec<&str> =
                    below.iter().map(|part| part.to_str().unwrap()).collect();
                parts.pop_if(|last| matches!(*last, "mod" | "lib" | "main"));
                found.insert(parts.join("::"), path);
            }
        }
    }
    found
}

/// The paths that a file names before its tests, from the crate on; `module` is its own.
fn named(module: &str, text: &str) -> BTreeSet<String> {
    let tests = Regex::new(r"#\[cfg\(test\)\]\s*mod \w+ \{").unwrap();
    let text = text.split_at(tests.find(text).map_or(text.len(), |found| found.start())).0;
    let code: String = Regex::new(r"//[^\n]*").unwrap().replace_all(text, "").into_owned();
    let apart = Regex::new(r"#\[cfg\(test\)\]\s*(pub(\([^)]*\))? )?use [^;]*;").unwrap();
    let code = apart.replace_all(&code, "").into_owned();
    let uses = Regex::new(r"(?m)^\s*(?:pub(?:\([^)]*\))? )?use\s+([^;]+);").unwrap();
    let mut all = Vec::new();
    for found in uses.captures_iter(&code) {
        spell_out(String::new(), &found[1], &mut all);
    }
    let rest = uses.replace_all(&code, "");
    let inside = Regex::new(r"\b(?:crate|super)(?:::\w+)+").unwrap();
    all.extend(inside.find_iter(&rest).map(|found| found.as_str().to_owned()));
    all.iter().filter_map(|path| from_the_crate(module, path)).collect()
}

/// Every path of a `use`, its braces spelled out.
fn spell_out(head: String, tree: &str, all: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((before, list)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap().trim();
        return all.extend((!path.is_empty()).then(|| head + path));
    };
    let (list, mut depth, mut from) = (list.trim_end().strip_suffix('}').unwrap(), 0, 0);
    for (at, letter) in list.char_indices().chain([(list.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                spell_out(format!("{head}{before}"), &list[from..at], all);
                from = at + 1;
            }
            _ => {}
        }
    }
}

/// The same path without `crate`, `self` and `super`; `None` for another crate's.
fn from_the_crate(module: &str, path: &str) -> Option<String> {
    let mut at: Vec<&str> = module.split("::").filter(|part| !part.is_empty()).collect();
    let mut parts = path.split("::").map(str::trim).peekable();
    match parts.next()? {
        "crate" => at.clear(),
        "self" => {}
        "super" => {
            at.pop();
            while parts.next_if_eq(&"super").is_some() {
                at.pop();
            }
        }
        _ => return None,
    }
    at.extend(parts.filter(|part| *part != "self"));
    Some(at.join("::"))
}

/// What each file imports of others. What holds it, and what it holds, is none.
fn imports(source: &Path) -> Imports {
    let files = files(source);
    let file_of = |path: &str| {
        let mut path = path.to_owned();
        while !files.contains_key(&path) {
            path.truncate(path.rfind("::")?);
        }
        Some(path)
    };
    let holds = |one: &str, other: &str| {
        other.strip_prefix(one).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let mut all = Imports::new();
    for (module, path) in files.iter().filter(|(module, _)| !module.is_empty()) {
        let told = named(module, &fs::read_to_string(path).unwrap());
        let others = told.iter().filter_map(|path| file_of(path));
        let others = others.filter(|other| !holds(module, other) && !holds(other, module));
        all.entry(module.clone()).or_default().extend(others);
    }
    all
}

/// The same of the modules at the top of the crate, each with all that it holds.
fn at_the_top(imports: &Imports) -> Imports {
    let top = |module: &str| module.split("::").next().unwrap().to_owned();
    let mut all = Imports::new();
    for (module, others) in imports {
        let mine = top(module);
        let others = others.iter().map(|other| top(other)).filter(|other| *other != mine);
        all.entry(mine.clone()).or_default().extend(others);
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

/// The modules that the document names behind these words, up to the end of the sentence.
fn exceptions(words: &str) -> BTreeSet<String> {
    let (_, told) = DOCUMENT.split_once(words).unwrap();
    let (told, _) = told.split_once('.').unwrap();
    let quoted = Regex::new(r"`([\w/]+)`").unwrap();
    quoted.captures_iter(told).map(|found| found[1].replace('/', "::")).collect()
}

fn sources() -> Vec<PathBuf> {
    let crates = fs::read_dir(root().join("crates")).unwrap();
    let mut sources: Vec<PathBuf> = crates.map(|entry| entry.unwrap().path().join("src")).collect();
    sources.push(root().join("benches/src"));
    assert!(sources.len() > 6, "{sources:?}");
    sources
}

#[test]
fn no_modules_import_each_other_in_a_circle_but_those_that_the_document_names() {
    let named = exceptions("In the warden alone six do:");
    assert_eq!(named.len(), 6, "{named:?}");
    for source in sources() {
        let imports = at_the_top(&imports(&source));
        assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 0, "{}", source.display());
        let is_warden = source.ends_with("warden/src");
        let wanted = if is_warden { named.clone() } else { BTreeSet::new() };
        assert_eq!(in_circles(&imports), wanted, "{}", source.display());
    }
}

#[test]
fn no_files_of_a_module_import_each_other_in_a_circle_but_those_that_the_document_names() {
    let named = exceptions("Nor do the files of one module, but for");
    let mut seen = BTreeSet::new();
    for source in sources() {
        let circles = in_circles(&imports(&source));
        // Those at the top are the other test's.
        let folders = circles.iter().filter_map(|file| Some(file.rsplit_once("::")?.0.to_owned()));
        seen.extend(folders);
    }
    assert_eq!(seen, named);
}

#[test]
fn what_is_imported_is_seen_however_it_is_written() {
    let text =
        "use crate::one::{A, b::C};\nuse crate::{two, three::{D, E}, four::F as G};\n// crate::no
use std::fs;\npub(crate) use super::{seven, super::eight::H};\nfn f() { crate::five::g() }
#[cfg(test)]\nuse crate::nine::I;\n#[cfg(test)]\nmod tests {\n    use crate::six::H;\n}\n";
    let found: Vec<String> = named("a::b", text).into_iter().collect();
    let wanted = [
        "a::seven",
        "eight::H",
        "five::g",
        "four::F",
        "one::A",
        "one::b::C",
        "three::D",
        "three::E",
        "two",
    ];
    assert_eq!(found, wanted);
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
    let top = at_the_top(&imports(&[("a::x", "b::y"), ("b::z", "a::w"), ("a::x", "a::w")]));
    assert_eq!(in_circles(&top).len(), 2);
}
