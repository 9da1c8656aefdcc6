//! The environment of a request: which dangerous variables the prisoner changed, and what a local run keeps.

use clawrden_policy::EnvRules;

use crate::jails::Baseline;

/// An environment as the kernel had it: `NAME=value` entries, of any bytes.
pub(crate) type Entry<'a> = &'a [u8];

/// Splits an entry at its first `=`. An entry without one is a name without a value.
pub(crate) fn split(entry: Entry<'_>) -> (&[u8], &[u8]) {
    match entry.iter().position(|&b| b == b'=') {
        Some(at) => (&entry[..at], &entry[at + 1..]),
        None => (entry, &[]),
    }
}

/// The value that a tool would see for `name`: the first one wins, as in the C library.
pub(crate) fn value<'a>(env: impl IntoIterator<Item = Entry<'a>>, name: &[u8]) -> Option<&'a [u8]> {
    env.into_iter().map(split).find_map(|(n, value)| (n == name).then_some(value))
}

/// `NAME=value` with every value that `name` has, in their order and with a NUL between them, which no value holds: of a
/// name that is there twice, tools differ in which one they take.
pub(crate) fn every_value<'a>(env: impl IntoIterator<Item = Entry<'a>>, name: Vec<u8>) -> Vec<u8> {
    let of_name = env.into_iter().map(split).filter(|(other, _)| *other == name);
    let values: Vec<&[u8]> = of_name.map(|(_, value)| value).collect();
    [name, b"=".to_vec(), values.join(&0)].concat()
}

/// The names of variables in `env` that one of `rules` calls dangerous and the prisoner was not started with, in order,
/// once each.
pub(crate) fn changed<'a>(
    env: impl IntoIterator<Item = Entry<'a>>,
    baseline: &Baseline,
    rules: &[&EnvRules],
) -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = Vec::new();
    for (name, value) in env.into_iter().map(split) {
        let suspect = rules.iter().any(|rules| rules.is_dangerous(name, value))
            && !baseline.is_unchanged(name, value);
        if suspect && !names.iter().any(|n| n == name) {
            names.push(name.to_vec());
        }
    }
    names
}

/// What a local run starts with, and what was left behind.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LocalEnvironment {
    pub(crate) kept: Vec<Vec<u8>>,
    pub(crate) stripped: Vec<String>,
}

/// Starts from nothing, adds what all of `rules` keep, and sets PATH to the prisoner's first one.
pub(crate) fn local<'a>(
    env: impl IntoIterator<Item = Entry<'a>>,
    rules: &[&EnvRules],
    baseline: &Baseline,
) -> LocalEnvironment {
    let mut result = LocalEnvironment::default();
    result.kept.push([b"PATH=", baseline.path()].concat());
    for entry in env {
        let (name, value) = split(entry);
        if name == b"PATH" {
            continue;
        }
        if rules.iter().all(|rules| rules.keeps(name, value)) {
            result.kept.push(entry.to_vec());
        } else {
            result.stripped.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use clawrden_policy::Policy;

    fn entries<'a>(list: &[&'a str]) -> Vec<&'a [u8]> {
        list.iter().map(|e| e.as_bytes()).collect()
    }

    #[test]
    fn only_dangerous_variables_that_differ_are_facts() {
        let baseline = Baseline::from_block(b"LD_PRELOAD=/a.so\0HOME=/h\0").unwrap();
        let policy = Policy::stock();
        let same = entries(&["LD_PRELOAD=/a.so", "HOME=/other", "X=1"]);
        assert!(changed(same, &baseline, &[policy.env()]).is_empty());
        let other = entries(&["LD_PRELOAD=/b.so", "BASH_ENV=/x", "LD_PRELOAD=/c.so"]);
        assert_eq!(changed(other, &baseline, &[policy.env()]), [&b"LD_PRELOAD"[..], b"BASH_ENV"]);
    }

    #[test]
    fn of_a_name_that_is_there_twice_every_value_counts_in_its_place() {
        let of = |list: &[&str]| every_value(entries(list), b"A".to_vec());
        assert_eq!(of(&["A=1", "B=2"]), b"A=1");
        assert_eq!(of(&["A=1", "B=2", "A=3"]), b"A=1\x003");
        assert_ne!(of(&["A=3", "A=1"]), of(&["A=1", "A=3"]));
        assert_eq!(of(&["B=2"]), b"A=");
    }

    #[test]
    fn a_local_run_starts_from_nothing() {
        let baseline = Baseline::from_block(b"PATH=/bin\0").unwrap();
        let policy = Policy::stock();
        let env =
            entries(&["PATH=/tmp/evil", "HOME=/h", "SECRET_TOKEN=x", "LD_PRELOAD=/x", "LANG=C"]);
        let local = local(env, &[policy.env()], &baseline);
        assert_eq!(local.kept, [&b"PATH=/bin"[..], b"HOME=/h", b"LANG=C"]);
        assert_eq!(local.stripped, ["SECRET_TOKEN", "LD_PRELOAD"]);
    }

    #[test]
    fn of_two_policies_the_one_that_calls_more_dangerous_and_keeps_less_counts() {
        let with = |text| Policy::from_yaml("policy.yaml", text).unwrap();
        let old = with("env: {dangerous: [TARGET]}");
        let new = with("env: {keep: [MINE]}");
        let both = [old.env(), new.env()];
        let env = entries(&["MINE=1", "TARGET=x"]);
        let baseline = Baseline::from_block(b"PATH=/bin\0").unwrap();
        let named = changed(env.iter().copied(), &baseline, &both);
        assert_eq!(named, [b"TARGET".to_vec()]);
        assert!(local(env.clone(), &both[1..], &baseline).stripped == ["TARGET"]);
        assert_eq!(local(env, &both, &baseline).stripped, ["MINE", "TARGET"]);
    }
}
