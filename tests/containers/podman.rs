//! Podman's compatible socket: the tests of the other modules, on that engine.

use std::process::Command;

use crate::support::{engine, other, text};

/// Runs these tests of this very program on an engine that `scripts/engine` knows by this name. None of them may stop
/// everything on its engine: others run on the same one.
#[track_caller]
pub(crate) fn again(kind: &str, tests: &[&str]) {
    if !other::is_root() {
        eprintln!("not tried: only root can start an engine");
        return;
    }
    let address = engine::kind(kind);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--test-threads=1"]).args(tests);
    // What a runner of tests told this one is not for those.
    command.env("CLAWRDEN_TEST_ENGINE", &address).env_remove("NEXTEST_EXECUTION_MODE");
    let output = command.output().unwrap();
    let told = text(&output.stdout);
    assert!(output.status.success(), "{told}{}", text(&output.stderr));
    assert!(told.contains(&format!("ok. {} passed", tests.len())), "{told}");
}

#[test]
fn podman_tells_who_asks_and_which_jail_it_is_in() {
    again(
        "podman",
        &[
            "calls::a_container_lives_from_its_making_to_its_removal",
            "callers::a_container_of_another_jail_is_not_served",
            "callers::a_rule_sees_names_and_labels_and_so_do_records_and_people",
            "jails::containers_are_found_by_their_labels_also_those_that_run_already",
            "jails::a_killed_jail_is_down_and_stays_so_and_the_other_one_does_not_mind",
        ],
    );
}

#[test]
fn podman_mirrors_by_handoff_and_by_exec() {
    again(
        "podman",
        &[
            "transparency::streams::standard_input_arrives_with_every_byte_it_has",
            "exec::a_locked_tool_runs_as_its_caller_where_its_caller_is",
            "exec::codes_and_signals_are_exact",
            "exec::a_terminal_is_one_of_the_containers_own",
            "exec::a_timeout_ends_the_whole_tree",
        ],
    );
}

#[test]
fn podman_has_ghosts_and_nothing_is_left_of_them() {
    again(
        "podman",
        &[
            "ghost::a_ghost_runs_where_its_caller_is_as_its_caller_and_leaves_nothing_behind",
            "ghost::a_ghost_has_no_more_than_it_needs",
            "ghost::a_missing_image_is_a_clear_error_and_a_missing_network_too",
            "ghost::ends::a_caller_that_goes_away_takes_its_ghost_along",
            "ghost::ends::a_warden_that_is_killed_leaves_no_ghost_once_it_is_back",
        ],
    );
}
