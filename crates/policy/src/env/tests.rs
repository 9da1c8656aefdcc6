use super::*;

fn dangerous(name: &str, value: &str) -> bool {
    is_dangerous(name.as_bytes(), value.as_bytes())
}

#[test]
fn the_variables_that_load_or_run_something_are_dangerous() {
    for name in [
        "IFS",
        "ENV",
        "BASH_ENV",
        "PS4",
        "SHELLOPTS",
        "BASHOPTS",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "PERL5LIB",
        "PERL5OPT",
        "PERLLIB",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "PYTHONHOME",
        "RUBYOPT",
        "RUBYLIB",
        "NODE_OPTIONS",
        "NODE_PATH",
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_KEY_0",
        "GIT_CONFIG_PARAMETERS",
        "GIT_EXTERNAL_DIFF",
        "JAVA_TOOL_OPTIONS",
        "DOCKER_HOST",
        "KUBECONFIG",
        "RUSTC_WRAPPER",
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER",
        "npm_config_script_shell",
        "BASH_FUNC_ls%%",
    ] {
        assert!(dangerous(name, "anything"), "{name}");
    }
}

/// The list that `sudo -V` shows to root, on every system that it is built for; where it has a star, a name of them.
#[test]
fn every_variable_that_sudo_takes_away_is_dangerous() {
    for name in [
        "IFS",
        "CDPATH",
        "LOCALDOMAIN",
        "RES_OPTIONS",
        "HOSTALIASES",
        "NLSPATH",
        "PATH_LOCALE",
        "LD_PRELOAD",
        "_RLD_LIST",
        "SHLIB_PATH",
        "LDR_PRELOAD",
        "LIBPATH",
        "AUTHSTATE",
        "DYLD_INSERT_LIBRARIES",
        "KRB5_CONFIG",
        "KRB5_KTNAME",
        "VAR_ACE",
        "USR_ACE",
        "DLC_ACE",
        "TERMINFO",
        "TERMINFO_DIRS",
        "TERMPATH",
        "TERMCAP",
        "ENV",
        "BASH_ENV",
        "PS4",
        "GLOBIGNORE",
        "BASHOPTS",
        "SHELLOPTS",
        "JAVA_TOOL_OPTIONS",
        "PERLIO_DEBUG",
        "PERLLIB",
        "PERL5LIB",
        "PERL5OPT",
        "PERL5DB",
        "FPATH",
        "NULLCMD",
        "READNULLCMD",
        "ZDOTDIR",
        "TMPPREFIX",
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONINSPECT",
        "PYTHONUSERBASE",
        "RUBYLIB",
        "RUBYOPT",
        "BASH_FUNC_ls%%",
        "__BASH_FUNC<ls>()",
    ] {
        assert!(dangerous(name, "anything"), "{name}");
    }
}

#[test]
fn everyday_variables_are_not() {
    for name in [
        "PATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "TERM",
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
        "CI",
        "FOO",
        "PYTHONUNBUFFERED",
        "PYTHONDONTWRITEBYTECODE",
        "VIRTUAL_ENV",
        "DOCKER_BUILDKIT",
        "V",
        "RUST_LOG",
        "RUST_BACKTRACE",
        "NODE_ENV",
        "CARGO_TERM_COLOR",
        "XENV",
        "LDX",
        "EN",
        "GIT_TERMINAL_PROMPT",
        "GIT_AUTHOR_NAME",
        "NO_COLOR",
        "npm_config_user_agent",
    ] {
        assert!(!dangerous(name, "anything"), "{name}");
    }
}

#[test]
fn an_exported_function_is_dangerous_under_any_name() {
    assert!(dangerous("ls", "() { evil; }"));
    assert!(!dangerous("ls", "(plain)"));
}

#[test]
fn the_shell_that_configure_names_is_harmless() {
    assert!(!dangerous("SHELL", "/bin/sh"));
    assert!(!dangerous("SHELL", "/usr/bin/bash"));
    assert!(dangerous("SHELL", "/tmp/sh"));
    assert!(dangerous("SHELL", "sh"));
}

#[test]
fn a_pager_that_only_shows_is_harmless() {
    assert!(!dangerous("PAGER", "cat"));
    assert!(!dangerous("GIT_PAGER", ""));
    assert!(dangerous("GIT_PAGER", "sh -c evil"));
    assert!(!dangerous("EDITOR", "vi"));
    assert!(dangerous("EDITOR", "/tmp/vi"));
    assert!(!dangerous("GIT_CONFIG_GLOBAL", "/dev/null"));
    assert!(dangerous("GIT_CONFIG_GLOBAL", "/tmp/evil"));
}

#[test]
fn what_make_exports_by_itself_is_harmless() {
    for value in ["", "w", "ks", " -j4 --jobserver-auth=fifo:/tmp/G1", "-w", "w -j --"] {
        assert!(!dangerous("MAKEFLAGS", value), "{value}");
    }
    for value in ["--eval=x", "-f evil.mk", "w -- SHELL=/tmp/sh", "I/tmp", "--file=x"] {
        assert!(dangerous("MAKEFLAGS", value), "{value}");
    }
}

#[test]
fn local_keeps_a_short_list_and_what_the_policy_adds() {
    let stock = EnvRules::default();
    assert!(stock.keeps(b"LC_TIME", b"C"));
    assert!(!stock.keeps(b"PATH", b"/bin"));
    assert!(!stock.keeps(b"SECRET", b"x"));
    assert!(!stock.keeps(b"HOME", b"() { evil; }"));
    let rules = EnvRules {
        keep: vec!["MY_*".into(), "*".into(), "KUBECONFIG".into()],
        strip: vec!["MY_SECRET".into()],
        ..EnvRules::default()
    };
    assert!(rules.keeps(b"MY_NAME", b"x"));
    assert!(!rules.keeps(b"MY_SECRET", b"x"));
    assert!(rules.keeps(b"KUBECONFIG", b"x"), "spelled out");
    assert!(!rules.keeps(b"LD_PRELOAD", b"x"), "a star does not keep what is dangerous");
}

#[test]
fn a_policy_adds_to_and_takes_from_the_table() {
    let rules = EnvRules {
        dangerous: vec!["DEPLOY_*".into()],
        ignore: vec!["LD_LIBRARY_PATH".into()],
        ..EnvRules::default()
    };
    assert!(rules.is_dangerous(b"DEPLOY_TARGET", b"x"));
    assert!(!rules.is_dangerous(b"LD_LIBRARY_PATH", b"x"));
    assert!(rules.is_dangerous(b"LD_PRELOAD", b"x"));
    assert!(rules.is_dangerous(b"LD_LIBRARY_PATH", b"() { x; }"));
}

#[test]
fn a_build_variable_does_not_concern_a_plain_tool() {
    let rules = EnvRules::default();
    assert!(!rules.concerns(b"MAKEFLAGS", Some(b"sed")));
    assert!(rules.concerns(b"MAKEFLAGS", Some(b"make")));
    assert!(rules.concerns(b"MAKEFLAGS", Some(b"somebodys-tool")));
    assert!(rules.concerns(b"MAKEFLAGS", None));
    assert!(rules.concerns(b"LD_PRELOAD", Some(b"sed")));
    assert!(rules.concerns(b"FROM_THE_POLICY", Some(b"sed")));
}

#[test]
fn every_row_says_why_and_matches_its_own_name() {
    for entry in DANGEROUS {
        assert!(!entry.why.is_empty(), "{}", entry.name);
        let name = entry.name.replace('*', "X");
        assert!(row(name.as_bytes()).is_some(), "{name}");
    }
}

#[test]
fn no_row_stands_behind_one_that_covers_it_and_no_name_is_there_twice() {
    for (at, row) in DANGEROUS.iter().enumerate() {
        let name = row.name.as_bytes();
        for before in &DANGEROUS[..at] {
            let covers = star(before.name.as_bytes(), name);
            assert!(!covers, "{} comes first and covers {}", before.name, row.name);
        }
        assert_eq!(super::row(name).map(|found| found.name), Some(row.name));
    }
}
