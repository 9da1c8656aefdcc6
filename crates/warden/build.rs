//! Builds the raw shim, which the warden carries inside it. The shim is another program with a profile of its own, so
//! it is a cargo run of its own, in a clean environment: none of the flags that hold for the warden hold for it.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Variables that the inner cargo needs to find itself, its registry and a linker.
const KEPT: [&str; 18] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "TMPDIR",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "MAKEFLAGS",
    "CARGO_MAKEFLAGS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "no_proxy",
];

/// Settings of cargo that say where crates come from.
const KEPT_PREFIXES: [&str; 4] = ["CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_SOURCE_"];

fn main() -> Result<(), Box<dyn Error>> {
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    let target = variable("TARGET")?.into_string().map_err(|_| "TARGET is not text")?;
    let crates = here.parent().ok_or("the crate has no folder above it")?;
    let workspace = crates.parent().ok_or("the crate is not in a workspace")?;
    for path in [crates.join("shim"), crates.join("protocol"), workspace.join("Cargo.lock")] {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    println!("cargo::rerun-if-changed={}", workspace.join("Cargo.toml").display());

    // Offline first: what the warden was built from is at hand, and a build needs no network twice.
    if !build(workspace, &out, &target, true)? && !build(workspace, &out, &target, false)? {
        return Err("the shim does not build; its messages are above".into());
    }
    let built = out.join("shim").join(&target).join("shim").join("clawrden-shim");
    fs::copy(&built, out.join("clawrden-shim"))
        .map_err(|error| format!("cannot copy {}: {error}", built.display()))?;
    Ok(())
}

fn build(
    workspace: &Path,
    out: &Path,
    target: &str,
    offline: bool,
) -> Result<bool, Box<dyn Error>> {
    let mut cargo = Command::new(variable("CARGO")?);
    cargo.current_dir(workspace).env_clear().envs(env::vars_os().filter(|(name, _)| is_kept(name)));
    cargo.args(["build", "--package", "clawrden-shim", "--bin", "clawrden-shim"]);
    cargo.args(["--profile", "shim", "--features", "raw", "--locked", "--target", target]);
    cargo.arg("--target-dir").arg(out.join("shim"));
    if offline {
        cargo.arg("--offline");
    }
    let status = cargo.status().map_err(|error| format!("cannot start cargo: {error}"))?;
    Ok(status.success())
}

fn is_kept(name: &OsString) -> bool {
    let name = name.to_string_lossy();
    KEPT.contains(&name.as_ref()) || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("cargo did not set {name}"))
}
