use super::*;

/// As Claude Code documents it.
const CLAUDE: &str = r#"{"session_id":"abc123","transcript_path":"/home/ann/.claude/projects/x/t.jsonl",
    "cwd":"/home/ann/project","permission_mode":"default","hook_event_name":"PreToolUse","tool_name":"Bash",
    "tool_input":{"command":"npm test","description":"Run the tests","timeout":120000,"run_in_background":false},
    "tool_use_id":"toolu_01ABC123"}"#;

/// As Codex documents it.
const CODEX: &str = r#"{"session_id":"0199","turn_id":"turn-1","transcript_path":null,"cwd":"/home/ann/project",
    "hook_event_name":"PreToolUse","model":"gpt-5","permission_mode":"bypassPermissions","tool_name":"Bash",
    "tool_input":{"command":"git push"},"tool_use_id":"call_1"}"#;

fn with(tool: &str, input: &Value) -> Result<Option<Vec<String>>, String> {
    let text =
        json!({"hook_event_name": EVENT, "cwd": "/w", "tool_name": tool, "tool_input": input});
    let asked = Agent::ClaudeCode.read(text.to_string().as_bytes())?;
    let text = |word: Vec<u8>| String::from_utf8(word).unwrap();
    Ok(asked.argv.map(|argv| argv.into_iter().map(text).collect()))
}

fn line(tool: &str, input: &Value) -> String {
    let argv = with(tool, input).unwrap().unwrap();
    assert_eq!(argv[..2], ["bash", "-c"]);
    argv[2].clone()
}

#[test]
fn a_shell_line_is_what_bash_would_run() {
    for (agent, text, line) in
        [(Agent::ClaudeCode, CLAUDE, "npm test"), (Agent::Codex, CODEX, "git push")]
    {
        let asked = agent.read(text.as_bytes()).unwrap();
        let argv = ["bash", "-c", line].map(|word| word.as_bytes().to_vec());
        let cwd = b"/home/ann/project".to_vec();
        assert_eq!(asked, Asked { argv: Some(argv.into()), cwd });
    }
}

#[test]
fn what_the_agents_tell_besides_changes_nothing() {
    let more = r#""agent_id":"a-1","agent_type":"Explore","effort":{"level":"high"},"permission_mode":"plan","#;
    for (agent, text) in [(Agent::ClaudeCode, CLAUDE), (Agent::Codex, CODEX)] {
        let text_with = text.replacen(r#""permission_mode":"default","#, "", 1);
        let text_with = text_with.replacen(r#""permission_mode":"bypassPermissions","#, "", 1);
        let text_with = text_with.replacen('{', &format!("{{{more}"), 1);
        assert_eq!(agent.read(text_with.as_bytes()), agent.read(text.as_bytes()));
    }
}

#[test]
fn a_denial_has_the_fields_that_codex_knows_and_always_a_reason() {
    for why in ["", "use a branch"] {
        let (out, _) = Agent::Codex.words(&Answer::Deny(why.into()));
        let told: Value = serde_json::from_str(&out).unwrap();
        let fields: Vec<&str> =
            told["hookSpecificOutput"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, ["hookEventName", "permissionDecision", "permissionDecisionReason"]);
        // Without a reason it is a failed hook to Codex, and the tool runs; so is exit code 2 with nothing said.
        assert!(
            !told["hookSpecificOutput"]["permissionDecisionReason"]
                .as_str()
                .unwrap()
                .trim()
                .is_empty()
        );
        let (_, err) = Agent::Codex.words(&Answer::Broken(why.into()));
        assert!(!err.trim().is_empty());
    }
}

#[test]
fn a_vector_is_taken_as_it_is() {
    let argv = with("shell", &json!({"command": ["git", "push"]})).unwrap().unwrap();
    assert_eq!(argv, ["git", "push"]);
    assert_eq!(line("exec_command", &json!({"cmd": "ls"})), "ls");
    assert_eq!(line("bash", &json!({"command": "ls"})), "ls");
}

#[test]
fn a_tool_that_writes_is_the_redirection_that_it_amounts_to() {
    assert_eq!(line("Write", &json!({"file_path": "/w/a b", "content": "x"})), "> '/w/a b'");
    assert_eq!(line("Edit", &json!({"file_path": "/w/it's"})), r"> '/w/it'\''s'");
    assert_eq!(line("NotebookEdit", &json!({"notebook_path": "/w/n"})), "> '/w/n'");
    let patch = "*** Begin Patch\n*** Update File: src/a.rs\n*** Move to: src/b.rs\n@@\n-x\n+y\n\
                 *** Delete File: c\n*** End Patch";
    assert_eq!(line("apply_patch", &json!({"command": patch})), "> 'src/a.rs' > 'src/b.rs' > 'c'");
}

#[test]
fn other_tools_are_none_of_ours() {
    for tool in
        ["Read", "Glob", "Grep", "WebFetch", "WebSearch", "mcp__memory__create", "Task", "Agent"]
    {
        assert_eq!(with(tool, &json!({"command": "rm -rf /"})), Ok(None), "{tool}");
        for odd in [json!("x"), json!([1, "x"]), json!(-1), json!(1.5), json!(true)] {
            assert_eq!(with(tool, &odd), Ok(None), "{tool} {odd}");
        }
    }
}

#[test]
fn what_is_not_whole_is_an_error() {
    for text in [
        "",
        "{",
        "[]",
        "null",
        r#"{"hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"ls"}}"#,
        r#"{"hook_event_name":"PreToolUse","cwd":"w","tool_name":"Bash","tool_input":{"command":"ls"}}"#,
        r#"{"hook_event_name":"PreToolUse","cwd":"/w","tool_input":{"command":"ls"}}"#,
        r#"{"hook_event_name":"PostToolUse","cwd":"/w","tool_name":"Read"}"#,
        r#"{"cwd":"/w","tool_name":"Bash","tool_input":{"command":"ls"}}"#,
        r#"{"hook_event_name":"PreToolUse","cwd":"/w","tool_name":"Bash","tool_input":{"command":"a\u0000b"}}"#,
        r#"{"hook_event_name":"PreToolUse","cwd":"/w","tool_name":"Bash","tool_name":"Read","tool_input":{}}"#,
        r#"{"hook_event_name":"PreToolUse","cwd":"/w","tool_name":"Bash",
            "tool_input":{"command":"rm -rf /","command":"ls"}}"#,
    ] {
        assert!(Agent::Codex.read(text.as_bytes()).is_err(), "{text}");
    }
    for (tool, input) in [
        ("Bash", json!({})),
        ("Bash", json!(null)),
        ("Bash", json!("ls")),
        ("Bash", json!(["ls"])),
        ("Bash", json!(7)),
        ("Bash", json!({"command": 7})),
        ("Bash", json!({"command": []})),
        ("Bash", json!({"command": ["ls", 7]})),
        ("Write", json!({"content": "x"})),
        ("Write", json!({"file_path": ""})),
        ("apply_patch", json!({"command": "echo"})),
        ("apply_patch", json!({"command": "*** Add File: \n"})),
    ] {
        assert!(with(tool, &input).is_err(), "{tool} {input}");
    }
}

#[test]
fn answers_are_in_the_agents_own_words() {
    let said = |agent: Agent, answer: &Answer| -> (Value, String) {
        let (out, err) = agent.words(answer);
        (serde_json::from_str(&out).unwrap_or_default(), err)
    };
    let (out, err) = said(Agent::ClaudeCode, &Answer::Allow);
    assert_eq!(out["hookSpecificOutput"]["permissionDecision"], "allow");
    assert_eq!(err, "");
    // Codex takes an `allow` for a failed hook.
    assert_eq!(Agent::Codex.words(&Answer::Allow), (String::new(), String::new()));
    for agent in [Agent::ClaudeCode, Agent::Codex] {
        assert_eq!(agent.words(&Answer::NoOpinion), (String::new(), String::new()));
        let (out, err) = said(agent, &Answer::Deny("use a branch\u{1b}[2J".into()));
        let told = &out["hookSpecificOutput"];
        assert_eq!(told["hookEventName"], EVENT);
        assert_eq!(told["permissionDecision"], "deny");
        let reason = told["permissionDecisionReason"].as_str().unwrap();
        assert!(reason.contains("use a branch") && !reason.contains('\u{1b}'), "{reason}");
        assert_eq!(err, "");
        assert_eq!(out.as_object().unwrap().len(), 1, "Codex refuses fields that it does not know");
        let (out, err) = said(agent, &Answer::Broken("no warden".into()));
        assert_eq!(out["hookSpecificOutput"]["permissionDecision"], "deny");
        assert!(err.contains("no warden"), "{err}");
    }
}

#[test]
fn two_fields_that_could_both_be_the_command_are_an_error() {
    for input in [
        json!({"command": "ls", "cmd": "rm -rf /"}),
        json!({"command": "ls", "workdir": 7}),
        json!({"command": "ls", "shell": ""}),
    ] {
        assert!(with("exec_command", &input).is_err(), "{input}");
    }
    let patch = "*** Add File: a";
    assert!(with("apply_patch", &json!({"command": patch, "input": patch})).is_err());
}

#[test]
fn the_shell_and_the_directory_that_a_tool_is_told_are_those_that_are_judged() {
    let input = json!({"cmd": "1", "shell": "/usr/bin/python3", "workdir": null});
    let argv = with("exec_command", &input).unwrap().unwrap();
    assert_eq!(argv, ["/usr/bin/python3", "-c", "1"]);
    for (dir, cwd) in [("/etc", "/etc"), ("sub", "/w/sub"), ("../x", "/w/../x")] {
        let text = json!({"hook_event_name": EVENT, "cwd": "/w", "tool_name": "shell",
            "tool_input": {"command": "ls", "workdir": dir}});
        assert_eq!(Agent::Codex.read(text.to_string().as_bytes()).unwrap().cwd, cwd.as_bytes());
    }
}
