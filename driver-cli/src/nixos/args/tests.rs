use super::*;

fn parse_with(line: &str, variables: &[(&str, &str)]) -> Result<Args, Stopped> {
    let words = ["nixos-test-driver"].into_iter().chain(line.split_whitespace()).map(OsString::from);
    parse(words, |name| variables.iter().find_map(|(known, value)| (*known == name).then(|| (*value).into())))
}

fn parsed(line: &str) -> Args {
    parse_with(line, &[]).unwrap_or_else(|stopped| panic!("{line}: {stopped:?}"))
}

/// What is said after the usage.
fn said(line: &str, variables: &[(&str, &str)]) -> String {
    match parse_with(line, variables) {
        Err(Stopped::Wrong(text)) => {
            let (usage, error) = text.split_once("\nnixos-test-driver: error: ").unwrap();
            assert!(usage.starts_with("usage: nixos-test-driver "), "{text}");
            error.to_owned()
        }
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn the_definition_is_sound() {
    Line::command().debug_assert();
}

#[test]
fn a_configuration_is_all_that_is_needed() {
    let args = parsed("-c c.json");
    assert_eq!((args.config, args.keep, args.mode), (Some("c.json".into()), false, Mode::Run));
    assert_eq!(args.output, std::env::current_dir().unwrap().canonicalize().unwrap());
    assert_eq!(args.log_level, Level::Info);
    assert!(args.junit.is_none() && args.xml.is_none() && args.debug_hook.is_none() && args.hints.is_empty());
    let [hint] = parsed("-c c.json --keep-vm-state").hints[..] else { panic!() };
    assert!(hint.starts_with("DeprecationWarning: --keep-vm-state"), "{hint}");
}

#[test]
fn every_option_is_read_in_all_its_forms() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().display();
    for line in [
        format!("-c c.json -K -I -o {output} --junit-xml j --log-level error --debug-hook-attach /a"),
        format!("-cc.json -KI -o{output} --junit=j --log=error --debug-hook=/a"),
        format!(
            "--config=c.json --keep-machine-state --interactive --output_directory={output} --junit j --log error --debug /a"
        ),
        format!("-KIo {output} --keep-vm-state -c=c.json --junit-x=j --log-level=error --d=/a"),
    ] {
        let args = parsed(&line);
        assert_eq!((args.config, args.keep, args.mode), (Some("c.json".into()), true, Mode::Interactive), "{line}");
        assert_eq!(args.output, directory.path().canonicalize().unwrap());
        assert_eq!((args.junit, args.log_level), (Some("j".into()), Level::Error));
        assert_eq!(args.debug_hook, Some("/a".into()));
    }
}

#[test]
fn the_last_of_several_counts() {
    let args =
        parsed("-c one --log-level debug -I -c two --log-level=warning --no-interactive -K -K --junit a --junit b");
    assert_eq!((args.config, args.mode), (Some("two".into()), Mode::Run));
    assert_eq!((args.log_level, args.keep, args.junit), (Level::Warning, true, Some("b".into())));
    assert_eq!(parsed("-c a --no-interactive -I").mode, Mode::Interactive);
    assert_eq!(parsed("-c a --no -I --no").mode, Mode::Run);
    // Only the last one must be there.
    parsed("-c a -o /no/such -o .");
}

#[test]
fn the_environment_stands_in() {
    let read = |line| parse_with(line, &[("logLevel", "debug"), ("LOGFILE", "/dev/null")]).unwrap();
    assert_eq!((read("-c a").log_level, read("-c a").xml), (Level::Debug, Some("/dev/null".into())));
    assert_eq!(read("-c a --log-level info").log_level, Level::Info);
    assert_eq!(parse_with("-c a", &[("logLevel", "")]).unwrap().log_level, Level::Info);
    assert_eq!(parse_with("-c a", &[("TANDEM_RECORD", "r")]).unwrap().record, Some("r".into()));
    assert_eq!(read("-c a").record, None);
    let wrong = said("-c a", &[("logLevel", "loud")]);
    assert!(wrong.starts_with("argument --log-level: invalid choice: 'loud' (choose from 'debug', "), "{wrong}");
}

#[test]
fn wrong_usage_is_told_as_argparse_does() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let no_directory = format!("-c a -o {}", file.path().display());
    let not_a_directory = format!("argument -o/--output_directory: {} is not a directory", file.path().display());
    for (line, expected) in [
        ("", "the following arguments are required: -c/--config"),
        ("-K", "the following arguments are required: -c/--config"),
        ("-c", "argument -c/--config: expected one argument"),
        ("-c -K", "argument -c/--config: expected one argument"),
        ("-c a --log-level", "argument --log-level: expected one argument"),
        (
            "-c a --log-level loud",
            "argument --log-level: invalid choice: 'loud' (choose from 'debug', 'info', 'warning', 'error')",
        ),
        ("-c a -o /no/such", "argument -o/--output_directory: /no/such is not a directory"),
        (&no_directory, &not_a_directory),
        ("-c a --interactive=yes", "argument -I/--interactive: ignored explicit argument 'yes'"),
        ("-c a -x", "unrecognized arguments: -x"),
        ("-c a --jnuit-xml=x", "unrecognized arguments: --jnuit-xml; did you mean --junit-xml?"),
        ("-c a --keep", "ambiguous option: --keep could match --keep-machine-state, --keep-vm-state"),
        ("-c a script.py", "unrecognized arguments: testScript; --config says all of that"),
        ("-c a --vlans 1 2 --global 3", "unrecognized arguments: --vlans --global-timeout; --config says all of that"),
        ("one.py two.py", "unrecognized arguments: two.py"),
    ] {
        assert_eq!(said(line, &[]), expected, "{line}");
    }
}

#[test]
fn the_older_command_line_is_the_same_test() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    for name in ["run-a-vm", "run-b-nspawn", "test.py"] {
        std::fs::write(path(name), "pass\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(path(name), mode).unwrap();
    }
    let scripts = format!("{} {}", path("run-a-vm"), path("run-b-nspawn"));
    let line =
        format!("--start-scripts {scripts} --vlans 1 2 --global-timeout 60 --dump-vsocks 5 -- {}", path("test.py"));
    assert!(parsed(&line).hints[0].contains("--config"));
    let (about, spec, problems) = parsed(&line).test();
    assert_eq!((about.as_str(), problems), ("command line", Vec::new()));
    let spec = spec.unwrap();
    let machine = |index: usize| (spec.machines[index].name.as_str(), spec.machines[index].backend.as_str());
    assert_eq!((machine(0), machine(1), spec.machines.len()), (("a", "vm"), ("b", "container"), 2));
    assert_eq!(spec.machines[0].vlans.len(), 2);
    assert_eq!((spec.name.as_str(), spec.global_timeout.as_secs(), spec.ssh_backdoor), ("test", 60, true));

    let script = path("test.py");
    let environment =
        [("startScripts", &*scripts), ("vlans", "1 2"), ("globalTimeout", "60"), ("testScript", &*script)];
    let (_, same, problems) = parse_with("--dump-vsocks 5", &environment).unwrap().test();
    assert_eq!((same, problems), (Some(spec), Vec::new()));
}

#[test]
fn mistakes_in_the_older_command_line_are_told() {
    let test = |line: &str| parsed(line).test().2.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let said = test("--start-scripts /no/run-a-vm /no/run-a-vm --vlans x --global-timeout soon -- /no/test.py");
    for part in [
        "two start scripts are of a machine `a`",
        "`vms.a.start_script`: `/no/run-a-vm` does not exist",
        "`vlans[0]`: expected a whole number, found a string",
        "`global_timeout`: `soon` is not a time",
        "`test_script`: `/no/test.py` does not exist",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn help_has_examples_and_hides_what_is_deprecated() {
    let Err(Stopped::Help(help)) = parse_with("--help", &[]) else { panic!() };
    for part in ["usage: nixos-test-driver", "--output_directory", "Examples:", "143", "LOGFILE", "tandem-record"] {
        assert!(help.to_lowercase().contains(&part.to_lowercase()), "{part} in {help}");
    }
    assert!(!help.contains("keep-vm-state"), "{help}");
}
