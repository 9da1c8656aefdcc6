//! What the page shows of a command is what the CLI shows: two commands never look the same.

use std::fs;
use std::process::{Command, Stdio};

use clawrden_api::display;

use super::tests::text;

/// The ranges of the class of characters that `show.js` calls odd.
fn odd() -> Vec<(u32, u32)> {
    let text = text("show.js");
    let class = text.split("const ODD = /[").nth(1).and_then(|rest| rest.split("]/u").next());
    let mut rest = class.unwrap();
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    while let Some(after) = rest.strip_prefix("\\u{") {
        let (hex, after) = after.split_once('}').unwrap();
        let code = u32::from_str_radix(hex, 16).unwrap();
        let (is_end, after) = after.strip_prefix('-').map_or((false, after), |after| (true, after));
        match ranges.last_mut() {
            Some(last) if last.1 == u32::MAX => last.1 = code,
            _ => ranges.push((code, code)),
        }
        if is_end {
            ranges.last_mut().unwrap().1 = u32::MAX;
        }
        rest = after;
    }
    assert_eq!(rest, "", "a form of range that this does not know");
    ranges
}

#[test]
fn the_page_hides_exactly_the_characters_that_the_cli_hides() {
    let odd = odd();
    for c in '\0'..=char::MAX {
        let code = u32::from(c);
        let is_odd = odd.iter().any(|&(first, last)| (first..=last).contains(&code));
        assert_eq!(is_odd, !display::is_plain(c), "{code:x}");
    }
}

/// A page in which nothing is but text.
const PAGE: &str = r#"
class Node {
  constructor() { this.parts = []; this.dataset = {}; }
  append(...parts) { this.parts.push(...parts); }
  replaceChildren(...parts) { this.parts = parts; }
  setAttribute() {}
  addEventListener(_, act) { this.act = act; }
  get textContent() { return this.parts.map((part) => part.textContent ?? part).join(""); }
  all() { return [this, ...this.parts.flatMap((part) => part.all?.() ?? [])]; }
}
globalThis.document = { createElement: () => new Node(), querySelectorAll: () => [] };
globalThis.setInterval = () => {};
const { command, copyable, visible } = await import("./show.js");
const given = JSON.parse(process.argv[2]);
console.log(JSON.stringify(given.map((argv) => {
  const made = command(argv);
  const folded = made.textContent;
  for (const node of made.all()) node.act?.();
  return { folded, shown: made.textContent, copied: copyable(argv), sentence: visible(argv.join(" ")).map((part) => part.textContent ?? part).join("") };
})));
"#;

#[derive(serde::Deserialize)]
struct Seen {
    folded: String,
    shown: String,
    copied: String,
    sentence: String,
}

/// What the page shows of each; `None` where no `node` is to run it.
fn seen(argvs: &[Vec<String>]) -> Option<Vec<Seen>> {
    let folder = tempfile::tempdir().unwrap();
    for name in ["show.js", "dom.js"] {
        fs::write(folder.path().join(name), text(name)).unwrap();
    }
    fs::write(folder.path().join("package.json"), r#"{"type":"module"}"#).unwrap();
    fs::write(folder.path().join("page.js"), PAGE).unwrap();
    let mut node = Command::new("node");
    node.arg("page.js").arg(serde_json::to_string(argvs).unwrap()).current_dir(folder.path());
    let out = match node.stderr(Stdio::inherit()).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        out => out.unwrap(),
    };
    assert!(out.status.success(), "{out:?}");
    Some(serde_json::from_slice(&out.stdout).unwrap())
}

fn argv(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|&part| part.to_owned()).collect()
}

#[test]
fn the_page_shows_each_command_exactly_and_no_two_alike() {
    let long = "x'".repeat(2000);
    let argvs: Vec<Vec<String>> = [
        &["sh", "-c", ": ' ' ; rm -rf ~"][..],
        &["sh", "-c", ": ", " ; rm -rf ~"],
        &["a=b", "a=b", "", "-n", "~", "$(id)", "it's", "\\", "a\\n", "a\n", "'\\n'"],
        &[
            "printf",
            "\u{1b}[0m\u{7}\u{8}\t\u{b}\u{c}\r\0\u{7f}",
            "\u{202e}x",
            "\u{e0041}1",
            "é日本",
        ],
        &["x", "a\u{2000}b", "a\u{2800}b", "e\u{301}", "\u{e000}", "\u{1680}", "a' 'b", "…"],
        &["echo", &long, "end"],
    ]
    .map(argv)
    .to_vec();
    let Some(seen) = seen(&argvs) else {
        let all = std::env::var_os("CLAWRDEN_TEST_ALL").is_some_and(|all| all == "1");
        assert!(!all, "LEFT OUT, though CLAWRDEN_TEST_ALL=1: there is no node");
        eprintln!("LEFT OUT: there is no node to run the page's scripts");
        return;
    };
    for (argv, seen) in argvs.iter().zip(&seen) {
        assert_eq!(seen.shown, display::exact(argv));
        assert_eq!(seen.copied, display::exact(argv));
        assert_eq!(seen.sentence, display::text(&argv.join(" ")));
        assert!(seen.folded.chars().all(display::is_plain), "{}", seen.folded);
    }
    assert_ne!(seen[0].shown, seen[1].shown);
    let folded = &seen.last().unwrap().folded;
    assert!(folded.contains("' … 3,384 more characters … $'"), "{folded}");
}
