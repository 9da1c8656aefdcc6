//! Whatever a lower layer says, nothing grows milder by it.

use clawrden_policy::{Action, Facts, Layer, Policy, Source};
use proptest::prelude::*;

const TOOLS: &[&str] = &["git", "rm", "ls", "g*"];
const ARGS: &[&str] = &["", "push", "push -f", "-r", "x *", "**", "--force", "-r /*"];
const WORDS: &[&str] = &["push", "-f", "-rf", "--force", "x", "/", "-q", "--", "status", "../y"];
const ACTIONS: &[&str] = &["allow", "ask", "deny"];
/// What stands before a command; `-c` has it all in one word.
const WRAPPERS: &[&[&str]] =
    &[&[], &[], &["env", "A=1"], &["sudo"], &["xargs"], &["bash", "-c"], &["nice", "sh", "-c"]];

fn rule() -> impl Strategy<Value = String> {
    let parts = (
        prop::sample::select(TOOLS),
        prop::sample::select(ARGS),
        prop::sample::select(ACTIONS),
        0..4,
    );
    parts.prop_map(|(tool, args, action, env)| {
        let args = if args.is_empty() { String::new() } else { format!(", args: '{args}'") };
        let env = if env == 0 { ", dangerous_env: ask" } else { "" };
        format!("{{command: '{tool}'{args}, action: {action}{env}}}")
    })
}

fn rules() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(rule(), 0..5)
}

fn file(default: Option<&str>, rules: &[String]) -> String {
    let default = default.map_or_else(String::new, |action| {
        // What is not understood goes along with what is not spoken of.
        format!("default_action: {action}\non_unparsed: {action}\n")
    });
    format!("{default}rules: [{}]\n", rules.join(", "))
}

/// The command with this before it.
fn wrapped(wrapper: &[&str], words: &[&str]) -> Vec<String> {
    let mut argv: Vec<String> = wrapper.iter().map(|word| (*word).to_owned()).collect();
    match wrapper.last() {
        Some(&"-c") => argv.push(words.join(" ")),
        _ => argv.extend(words.iter().map(|word| (*word).to_owned())),
    }
    argv
}

#[derive(Clone, Debug)]
struct Layers {
    ceiling: Option<String>,
    host: String,
    jail: Option<Vec<String>>,
    repository: Option<String>,
}

impl Layers {
    fn judge(&self, words: &[String], changed: bool) -> Action {
        let jail = self
            .jail
            .as_ref()
            .map(|rules| format!("jails: {{ci: {{rules: [{}]}}}}\n", rules.join(", ")));
        let host = self.host.clone() + &jail.unwrap_or_default();
        let sources = [
            (Layer::Repository, self.repository.clone()),
            (Layer::Host, Some(host)),
            (Layer::Ceiling, self.ceiling.clone()),
        ];
        let sources: Vec<Source> = sources
            .into_iter()
            .filter_map(|(layer, text)| Some(Source::new(layer, format!("{layer:?}"), text?)))
            .collect();
        let policy = Policy::from_sources(&sources).unwrap_or_else(|error| panic!("{error}"));
        let argv: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
        let facts = Facts {
            jail: "ci",
            name: argv[0],
            tool: Some(argv[0]),
            argv: &argv,
            cwd: Some(b"/app"),
            changed_env: if changed { &[b"LD_PRELOAD"] } else { &[] },
            ..Facts::default()
        };
        let decision = policy.decide(&facts);
        assert_eq!(policy.explain(&facts).decision, decision);
        decision.action
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_layer_makes_milder_what_the_others_say(
        (ceiling, host, jail, repository) in (rules(), rules(), rules(), rules()),
        defaults in prop::array::uniform3(prop::option::of(prop::sample::select(ACTIONS))),
        one_more in rule(),
        words in prop::collection::vec(prop::sample::select(WORDS), 0..4),
        tool in prop::sample::select(&TOOLS[..3]),
        wrapper in prop::sample::select(WRAPPERS),
        changed in any::<bool>(),
    ) {
        let argv: Vec<&str> = std::iter::once(tool).chain(words).collect();
        let argv = wrapped(wrapper, &argv);
        let judge = |layers: &Layers| layers.judge(&argv, changed);
        let all = Layers {
            ceiling: Some(file(defaults[0], &ceiling)),
            host: file(defaults[1], &host),
            jail: Some(jail.clone()),
            repository: Some(file(defaults[2], &repository)),
        };
        let whole = judge(&all);
        for fewer in [
            Layers { ceiling: None, ..all.clone() },
            Layers { jail: None, ..all.clone() },
            Layers { repository: None, ..all.clone() },
            Layers { jail: None, repository: None, ..all.clone() },
            // A ceiling by itself holds, whatever stands below.
            Layers {
                ceiling: None,
                host: file(Some(defaults[0].unwrap_or("allow")), &ceiling),
                jail: None,
                repository: None,
            },
        ] {
            prop_assert!(whole >= judge(&fewer), "{whole} with {all:?}, but milder than {fewer:?}");
        }
        let with = |rules: &[String]| [rules, std::slice::from_ref(&one_more)].concat();
        for more in [
            Layers { jail: Some(with(&jail)), ..all.clone() },
            Layers { repository: Some(file(None, &with(&repository))), ..all.clone() },
        ] {
            let before = Layers { repository: more.repository.as_ref().map(|text| {
                if Some(text) == all.repository.as_ref() { text.clone() } else { file(None, &repository) }
            }), ..all.clone() };
            prop_assert!(judge(&more) >= judge(&before), "{more:?} is milder than {before:?}");
        }
    }
}
