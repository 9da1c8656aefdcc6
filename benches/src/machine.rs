//! What the numbers were measured on.

use std::fs;
use std::path::Path;

/// Kernel, processors, memory, file system and how busy it all is.
pub(crate) fn describe(dir: &Path) -> Vec<(&'static str, String)> {
    let cpu =
        field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let load = text("/proc/loadavg");
    let load: Vec<&str> = load.split(' ').take(3).collect();
    vec![
        ("processor", format!("{cpu}, {cores} cores")),
        ("kernel", format!("Linux {}", text("/proc/sys/kernel/osrelease").trim())),
        ("memory", memory),
        ("ledger on", file_system(dir)),
        ("load", format!("{} when it began", load.join(" "))),
    ]
}

/// What stands behind `key` and a colon in the first line that has it.
pub(crate) fn field(file: &str, key: &str) -> Option<String> {
    let text = text(file);
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(':'));
    line.map(|value| value.trim().to_owned())
}

fn text(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

/// The kind of file system that `dir` lies on: the longest mount point that leads to it.
fn file_system(dir: &Path) -> String {
    let mounts = text("/proc/self/mounts");
    let lines = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (_, at, kind) = (words.next()?, words.next()?, words.next()?);
        dir.starts_with(at).then_some((at.len(), kind))
    });
    lines.max().map_or_else(String::new, |(_, kind)| kind.to_owned())
}
