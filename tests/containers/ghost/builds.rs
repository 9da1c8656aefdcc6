//! What a person approves to be installed is built in a ghost of the prisoner's own image, and used by the prisoner.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::cell::{put, workspace};
use crate::prison::{PATH, inside};
use crate::support::engine::{self, Container};
use crate::support::{House, text};

/// Both are asked about, and nothing else is governed.
const POLICY: &str = "default_action: deny
on_unparsed: ask
ghost_images: {'*': same}
jails: {box: {commands: [npm, pip], workspace: [/work]}}
rules:
  - {command: [npm, pip], action: ask, executor: ghost, timeout: 5m}
";

/// A prisoner of this image with a workspace.
struct Shop {
    container: Container<'static>,
    house: House,
    work: TempDir,
}

impl Shop {
    fn new(image: &str) -> Self {
        let engine = engine::get();
        let house = House::with(POLICY, &["--engine", &engine.address]);
        house.json(&["status", "--json"]);
        let work = workspace();
        let spec = inside(&house, engine.container(image)).mount(work.path(), "/work");
        Self { container: spec.user("1000:1000").start(), house, work }
    }

    /// A governed command that somebody approves.
    fn approved(&self, words: &[&str]) -> Output {
        let path = format!("PATH=/clawrden/bin:{PATH}");
        let mut command = self.container.exec_with(&["-w", "/work", "-e", &path], words);
        let asked = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let entry = self.house.pending();
        assert_eq!(entry["executor"], "ghost", "{entry}");
        let answered = self.house.cli(&["approve", entry["id"].as_str().unwrap()]);
        assert!(answered.status.success(), "{}", text(&answered.stderr));
        let output = asked.wait_with_output().unwrap();
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        let started = self.house.event("started");
        assert_eq!(started["ghost"]["image_id"], self.container.inspect()["Image"]);
        output
    }

    /// What the prisoner itself does, ungoverned.
    fn own(&self, words: &[&str]) -> Command {
        let path = format!("PATH={PATH}");
        self.container.exec_with(&["-w", "/work", "-e", &path], words)
    }

    fn put(&self, name: &str, content: &str) -> PathBuf {
        put(&self.work, name, content, 0o644)
    }
}

#[test]
fn a_native_npm_module_is_built_in_a_ghost_and_loaded_by_its_prisoner() {
    let shop = Shop::new("node-build");
    let folder = shop.own(&["/bin/mkdir", "package"]).status().unwrap();
    assert!(folder.success());
    shop.put(
        "package/package.json",
        r#"{"name": "gift", "version": "1.0.0", "main": "build/Release/gift.node", "gypfile": true}"#,
    );
    shop.put(
        "package/binding.gyp",
        r#"{"targets": [{"target_name": "gift", "sources": ["gift.c"]}]}"#,
    );
    shop.put(
        "package/gift.c",
        "#include <node_api.h>
static napi_value init(napi_env env, napi_value exports) {
  napi_value number;
  napi_create_int32(env, 42, &number);
  napi_set_named_property(env, exports, \"value\", number);
  return exports;
}
NAPI_MODULE(gift, init)
",
    );
    let packed = shop.own(&["/bin/tar", "-czf", "gift-1.0.0.tgz", "package"]).status().unwrap();
    assert!(packed.success());
    shop.approved(&[
        "npm",
        "install",
        "--offline",
        "--no-audit",
        "--no-fund",
        "--nodedir=/usr/local",
        "./gift-1.0.0.tgz",
    ]);
    let built = shop.work.path().join("node_modules/gift/build/Release/gift.node");
    assert!(built.exists(), "it was built, and not only unpacked");
    let load = ["/usr/local/bin/node", "-p", "require('gift').value"];
    let output = shop.own(&load).output().unwrap();
    assert_eq!(text(&output.stdout), "42\n", "{}", text(&output.stderr));
}

#[test]
fn what_pip_installs_into_a_folder_in_a_ghost_is_imported_by_its_prisoner() {
    let shop = Shop::new("python-slim");
    shop.put(
        "make.py",
        "import zipfile
w = zipfile.ZipFile('gift-1.0-py3-none-any.whl', 'w')
w.writestr('gift.py', 'value = 42')
w.writestr('gift-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: gift\\nVersion: 1.0\\n')
w.writestr('gift-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
w.writestr('gift-1.0.dist-info/RECORD', '')
w.close()",
    );
    assert!(shop.own(&["/usr/local/bin/python3", "make.py"]).status().unwrap().success());
    shop.approved(&[
        "pip",
        "install",
        "--no-index",
        "--target",
        "lib",
        "./gift-1.0-py3-none-any.whl",
    ]);
    let import = "import sys; sys.path.insert(0, 'lib'); import gift; print(gift.value)";
    let output = shop.own(&["/usr/local/bin/python3", "-c", import]).output().unwrap();
    assert_eq!(text(&output.stdout), "42\n", "{}", text(&output.stderr));
}
