//! The list of cases.

use std::fmt;
use std::pin::Pin;

use super::Power::{
    Cable, Console, Files, Keyboard, Lan, Monitor, Overlap, Pointer, Profile, Qmp, Reboot, Screen, ScreenText,
    StderrApart, Terminal, Units,
};
use super::cases::{commands, console, copies, lan, monitor, power, screen, sockets, streams, units, waits};
use super::{Power, Stage};
use crate::TestResult;

/// One thing that every backend promises.
pub struct Case {
    /// The machines that it is tested on.
    pub group: Group,
    /// Its name, which says what is promised.
    pub name: &'static str,
    /// The verbs that it tests; none where it is about what is below them.
    pub verbs: &'static [&'static str],
    /// What a machine must be able to do for it.
    pub needs: &'static [Power],
    pub(super) check: Check,
}

pub(super) type Check = for<'a> fn(&'a Stage) -> Pin<Box<dyn Future<Output = TestResult> + Send + 'a>>;

/// Cases that share machines, because a boot in an emulated machine takes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Two machines that run.
    Running,
    /// One machine, on and off. Each case finds it as the one before left it.
    Power,
}

impl Group {
    /// All groups.
    pub const ALL: [Self; 2] = [Self::Running, Self::Power];
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Power => "power",
        })
    }
}

macro_rules! cases {
    ($($group:ident: $module:ident::$name:ident [$($verb:ident)*] $([needs $($need:ident)*])?;)*) => {
        &[$(Case {
            group: Group::$group,
            name: stringify!($name),
            verbs: &[$(stringify!($verb)),*],
            needs: &[$($($need),*)?],
            check: |stage| Box::pin($module::$name(stage)),
        }),*]
    };
}

/// All cases, in the order in which they are run: group, name, verbs, and what they need.
pub const CASES: &[Case] = cases! {
    Running: power::machines_start_at_the_same_time [start boot_is_over];
    Running: power::the_list_is_true_of_the_guest [];
    Running: power::a_good_spec_has_no_problems [];
    Running: commands::status_is_that_of_a_shell [];
    Running: commands::timeout_ends_the_whole_process_group [];
    Running: commands::timeout_ends_what_ignores_sigterm [] [needs Files];
    Running: commands::commands_run_at_the_same_time [] [needs Overlap];
    Running: commands::a_cancelled_command_is_gone_and_others_go_on [] [needs Overlap];
    Running: commands::a_person_has_a_shell_with_job_control [shell] [needs Overlap];
    Running: commands::a_cancelled_command_does_not_break_the_next [];
    Running: commands::a_background_child_does_not_hold_its_command [execute];
    Running: commands::environment_is_that_of_roots_login [] [needs Files];
    Running: commands::a_profile_that_changes_is_read_again [] [needs Files Profile];
    Running: commands::commands_are_not_in_the_way_of_systemd [] [needs Units StderrApart];
    Running: commands::execute_tells_status_and_output [execute];
    Running: commands::succeed_and_fail_say_what_was_not_so [succeed fail];
    Running: commands::pipes_and_sequences_are_strict [succeed fail];
    Running: commands::time_passes_in_the_guest [sleep];
    Running: streams::stdout_and_stderr_are_apart [] [needs StderrApart];
    Running: streams::bytes_come_back_as_they_are [];
    Running: streams::large_output_is_complete [];
    Running: streams::long_scripts_run [];
    Running: streams::nothing_is_read_without_stdin [];
    Running: streams::streams_can_be_descriptors [];
    Running: waits::a_command_is_tried_until_it_succeeds_or_fails [wait_until_succeeds wait_until_fails];
    Running: waits::a_wait_for_a_file_returns_when_it_is_there [wait_for_file];
    Running: waits::waits_give_up_in_time_and_say_what_they_saw [wait_until_succeeds wait_until_fails wait_for_file];
    Running: sockets::ports_open_and_close [wait_for_open_port wait_for_closed_port];
    Running: sockets::unix_sockets_open [wait_for_open_unix_socket];
    Running: copies::a_file_goes_in_and_comes_out [copy_from_host copy_from_machine];
    Running: copies::a_directory_goes_in_and_comes_out [copy_from_host copy_from_machine];
    Running: copies::a_large_file_goes_in_and_comes_out [copy_from_host copy_from_machine];
    Running: copies::what_is_not_there_cannot_be_copied [copy_from_host copy_from_machine];
    Running: units::a_unit_is_started_looked_at_and_stopped
        [systemctl start_job stop_job unit_info unit_property require_unit_state wait_for_unit] [needs Units];
    Running: units::a_wait_ends_when_a_unit_has_failed [wait_for_unit require_unit_state] [needs Units];
    Running: units::users_have_units [systemctl start_job stop_job unit_info unit_property wait_for_unit] [needs Units];
    Running: console::text_is_found_over_lines_and_used_up [wait_for_console_text] [needs Console];
    Running: console::a_wait_for_text_gives_up_in_time [wait_for_console_text];
    Running: console::what_is_typed_into_the_console_is_read [send_console] [needs Terminal];
    Running: console::the_first_terminal_shows_what_is_written_to_it [tty_text wait_until_tty_matches] [needs Console];
    Running: screen::a_screenshot_is_a_picture_of_the_screen [screenshot] [needs Screen];
    Running: screen::text_on_the_screen_is_read [screen_text screen_text_variants wait_for_text] [needs ScreenText];
    Running: screen::keys_are_typed [send_key press_key send_chars] [needs Keyboard];
    Running: screen::the_pointer_moves_and_clicks [move_pointer click press_button release_button] [needs Pointer];
    Running: monitor::the_monitor_answers [monitor_command] [needs Monitor];
    Running: monitor::qmp_has_answers_and_events [qmp qmp_events wait_for_qmp_event] [needs Qmp];
    Running: lan::machines_know_and_reach_each_other [] [needs Lan];
    Running: lan::interfaces_are_those_of_the_plan [] [needs Lan];
    Running: lan::broadcasts_are_heard [] [needs Lan];
    Running: lan::a_blocked_machine_is_cut_off_until_it_is_unblocked [block unblock] [needs Lan Cable];
    Running: lan::the_network_can_be_unplugged [] [needs Lan Cable];
    Running: lan::a_port_of_the_host_leads_into_the_machine [forward_port] [needs Lan];
    Running: lan::a_partition_holds_until_it_is_healed [] [needs Lan];
    Running: lan::a_partition_can_be_one_way [] [needs Lan];
    Running: lan::a_link_delays_and_loses_what_it_is_told [] [needs Lan];
    Running: lan::a_link_goes_down_and_up [] [needs Lan];
    Running: lan::a_capture_has_what_passed_and_the_counts_too [] [needs Lan];
    Running: power::power_off_from_inside_is_seen [wait_for_shutdown] [needs Units Console];

    Power: power::a_machine_is_ready_for_everyone [start];
    Power: power::a_reboot_that_is_not_allowed_is_the_end [start wait_for_shutdown] [needs Units];
    Power: power::an_allowed_reboot_keeps_the_machine_up [start_allowing_reboot] [needs Units Reboot];
    Power: power::a_reboot_keeps_the_disk_and_nothing_else [reboot] [needs Reboot Files];
    Power: power::a_reboot_is_the_same_guest [reboot] [needs Reboot];
    Power: power::a_crash_ends_everything_that_goes_on [crash wait_for_file];
    Power: power::a_machine_that_is_down_refuses_or_does_nothing [crash end reboot shutdown wait_for_shutdown];
    Power: power::the_disk_lasts_from_boot_to_boot [end start] [needs Files];
    Power: power::a_shutdown_ends_its_commands [shutdown wait_for_shutdown];
    Power: power::the_last_handle_takes_the_machine_along [];
    Power: power::a_released_machine_does_not_start_again [release start];
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::super::refusal;
    use super::*;

    /// The names of all verbs, read off their source.
    fn verbs() -> BTreeSet<String> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../driver-core/src/machine");
        let sources = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let sources = sources.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
        let text: String = sources.map(|path| std::fs::read_to_string(path).unwrap()).collect();
        let blocks = text.split("\nimpl Machine {").skip(1).filter_map(|rest| rest.split("\n}").next());
        let names = blocks.flat_map(|block| block.split("\n    pub async fn ").skip(1));
        let names = names.filter_map(|rest| rest.split(['(', '<']).next());
        names.map(str::to_owned).collect()
    }

    #[test]
    fn every_verb_has_a_case() {
        let verbs = verbs();
        assert!(verbs.contains("succeed") && verbs.len() > 30, "{verbs:?}");
        let cases = CASES.iter().flat_map(|case| case.verbs).map(|verb| (*verb).to_owned());
        assert_eq!(cases.collect::<BTreeSet<_>>(), verbs, "cases (left) and verbs (right) differ");
    }

    #[test]
    fn what_cannot_be_done_is_a_verb_of_a_case_that_needs_it() {
        for (power, verbs) in refusal::ALL.iter().map(|(power, _, verbs)| (power, verbs)) {
            for verb in *verbs {
                let needing = |case: &Case| case.needs.contains(power) && case.verbs.contains(verb);
                assert!(CASES.iter().any(needing), "no case needs {power:?} for `{verb}`");
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
    }
}
