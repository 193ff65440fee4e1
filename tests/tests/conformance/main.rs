//! What every backend promises, tested on each: `nspawn_conformance` for containers, `fake_conformance` for the test double where it means
//! something there.

mod commands;
mod power;
mod streams;

/// Makes a test of each function, which takes the ground that `$ground` makes.
macro_rules! conformance {
    ($name:ident, $ground:expr, $needed:expr, [$($module:ident :: $test:ident),* $(,)?]) => {
        mod $name {
            use tandem_tests::ground::Ground;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() -> tandem_tests::TestResult {
                    if !$needed {
                        return Ok(());
                    }
                    let ground = $ground?;
                    crate::$module::$test(&ground).await?;
                    ground.finish().await
                }
            )*
        }
    };
}

conformance!(
    fake_conformance,
    Ground::fake(),
    true,
    [
        commands::status_is_that_of_a_shell,
        commands::timeout_ends_the_whole_process_group,
        commands::commands_run_at_the_same_time,
        commands::a_cancelled_command_is_gone_and_others_go_on,
        streams::stdout_and_stderr_are_apart,
        streams::bytes_come_back_as_they_are,
        streams::large_output_is_complete,
        streams::nothing_is_read_without_stdin,
        streams::streams_can_be_descriptors,
        power::a_machine_is_ready_for_everyone,
        power::stop_powers_off,
        power::kill_ends_at_once,
        power::reboot_is_the_same_guest,
        power::starts_again_after_each_end,
        power::commands_of_a_machine_that_is_gone_fail,
        power::a_command_ends_with_its_machine,
        power::a_good_spec_has_no_problems,
    ]
);

conformance!(
    nspawn_conformance,
    Ground::nspawn().await,
    tandem_tests::requirement::containers(),
    [
        commands::status_is_that_of_a_shell,
        commands::timeout_ends_the_whole_process_group,
        commands::timeout_ends_what_ignores_sigterm,
        commands::commands_run_at_the_same_time,
        commands::a_cancelled_command_is_gone_and_others_go_on,
        commands::a_background_child_does_not_hold_its_command,
        commands::environment_is_that_of_roots_login,
        commands::commands_are_not_in_the_way_of_systemd,
        streams::stdout_and_stderr_are_apart,
        streams::bytes_come_back_as_they_are,
        streams::large_output_is_complete,
        streams::long_scripts_run,
        streams::nothing_is_read_without_stdin,
        streams::streams_can_be_descriptors,
        power::a_machine_is_ready_for_everyone,
        power::stop_powers_off,
        power::power_off_from_inside_is_seen,
        power::kill_ends_at_once,
        power::reboot_is_the_same_guest,
        power::reboot_keeps_the_disk_and_nothing_else,
        power::starts_again_after_each_end,
        power::disk_lasts_from_boot_to_boot,
        power::commands_of_a_machine_that_is_gone_fail,
        power::a_command_ends_with_its_machine,
        power::the_last_handle_takes_the_machine_along,
        power::the_network_can_be_unplugged,
        power::a_good_spec_has_no_problems,
    ]
);
