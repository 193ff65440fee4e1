//! What is wrong with tests is told when they are evaluated: what, where and the cure, and all of it at once.

use tandem_tests::TestResult;

use crate::{evaluate, nix, said};

/// What follows the name of the test in what is said of it.
fn problems(attribute: &str) -> TestResult<Option<Vec<String>>> {
    let Some(host) = nix() else { return Ok(None) };
    let output = evaluate(&host, "wrong.nix", &["-A", attribute])?;
    let said = said(&output);
    assert!(!output.status.success(), "{said}");
    let (_, message) = said.split_once("error: tandem: ").ok_or_else(|| said.clone())?;
    Ok(Some(message.lines().map(|line| line.trim().to_owned()).collect()))
}

fn are(attribute: &str, expected: &[&str]) -> TestResult {
    let Some(problems) = problems(attribute)? else { return Ok(()) };
    assert_eq!(problems, expected, "{attribute}");
    Ok(())
}

#[test]
fn a_test_needs_a_name_and_a_script() -> TestResult {
    const NAMELESS: &str = "the test without a name cannot be built:";
    const EMPTY: &str = "key `testScript`: the script is empty; write what is to be tested, such as `start_all()`";
    are(
        "nothing",
        &[
            NAMELESS,
            "no `name`; add the key `name`, such as `name = \"hello\"`",
            "no `testScript`; add the key `testScript`, such as `testScript = \"start_all()\"`",
        ],
    )?;
    are("no-set", &[NAMELESS, "expected a set with `name` and `testScript`, found a list"])?;
    are("empty", &["the test `empty` cannot be built:", EMPTY])?;
    are("empty-file", &["the test `empty` cannot be built:", EMPTY])?;
    are(
        "no-file",
        &[
            "the test `empty` cannot be built:",
            "key `testScript`: `/project/tests/tests/nix_mk_test/none.py` does not exist",
        ],
    )?;
    are("no-script", &["the test `number`: `testScript` is to give a script, and gives a whole number"])
}

#[test]
fn names_are_those_of_store_paths() -> TestResult {
    are(
        "name",
        &[
            "the test `a b` cannot be built:",
            "key `name`: `a b` is no name for the store; use letters, digits and `+-._?=`, and no `.` first",
        ],
    )?;
    let long = format!("the test `{}` cannot be built:", "x".repeat(181));
    are("long-name", &[&long, "key `name`: 181 characters are too many for the store; use 180 or fewer"])
}

#[test]
fn a_machine_is_a_container_or_a_vm() -> TestResult {
    are(
        "twice",
        &[
            "the test `wrong` cannot be built:",
            "machine `db` is both in `containers` and in `nodes`; rename one of them",
            "machine `web` is both in `containers` and in `nodes`; rename one of them",
        ],
    )?;
    are(
        "groups",
        &[
            "the test `groups` cannot be built:",
            "key `containers`: expected a set, found a list",
            "key `nodes`: expected a set, found null",
        ],
    )?;
    are(
        "crowd",
        &[
            "the test `wrong` cannot be built:",
            "255 machines, but a VLAN has addresses for no more than 254; use fewer machines",
        ],
    )
}

#[test]
fn without_a_distribution_roots_and_a_shell_must_be_given() -> TestResult {
    const ROOT: &str = "no `root`; add a directory with a system, such as a distribution's, or a disk image";
    are(
        "no-root",
        &[
            "the test `bare` cannot be built:",
            &format!("containers: machine `web`: {ROOT}"),
            &format!("nodes: machine `db`: {ROOT}"),
        ],
    )?;
    are("no-shell", &["no `shell`; give the path of a POSIX shell, such as `\"${pkgs.bash}/bin/bash\"`"])
}

#[test]
fn everything_is_told_at_once() -> TestResult {
    const STORE: &str = "is not in the store, where the sandbox could see it; give a package, a path of the store, or a path without quotes, \
        which is copied there";
    are(
        "all",
        &[
            "the test without a name cannot be built:",
            "key `colour`: unknown key; the keys here are `bootTimeout`, `containers`, `globalTimeout`, `lan`, `logLevel`, `machined`, \
             `meta`, `name`, `nodes`, `passthru`, `requiredFeatures`, `seed`, `sshBackdoor`, `testScript`",
            "key `globalTimeout`: expected seconds or a time such as `\"5m\"`, found a list",
            "key `lan`: expected one of `auto`, `bridge`, `switch`, found `bus`",
            "key `name`: expected a string, found a whole number",
            "key `requiredFeatures`: feature `kvm`: expected true or false, found a string",
            "key `seed`: expected a string or a number, found a set",
            "key `sshBackdoor`: expected true or false, found a string",
            "key `testscript`: unknown key; did you mean `testScript`?",
            "key `testScript`: the function asks for `lib`; it can have `containers`, `machines`, `nodes`",
            "key `testScript`: the function asks for `pkgs`; it can have `containers`, `machines`, `nodes`",
            "containers: machine `a`: key `backend`: VMs are below `nodes`, containers below `containers`; take it out",
            "containers: machine `a`: key `colour`: unknown key; the keys here are `binds`, `devices`, `env`, `root`, `start-script`, \
             `units`, `vlans`",
            "containers: machine `a`: key `memory`: only machines below `nodes` have it; take it out, or put the machine there",
            "containers: machine `a`: key `vlnas`: unknown key; did you mean `vlans`?",
            "containers: machine `b`: key `binds`: expected a list of strings such as `[ \"/srv/data:/data:rw\" ]`, found a whole number",
            "containers: machine `b`: key `env`: variable `A`: expected a string, found a list",
            "containers: machine `b`: key `root`: a build has no host to share; give a package, a path of the store, or a path without \
             quotes, which is copied there",
            "containers: machine `b`: key `units`: expected a list of strings such as `[ \"nginx.service\" ]`, found a string",
            "containers: machine `b`: key `vlans`: 0 is no VLAN; use numbers from 1 to 255",
            "containers: machine `b`: key `vlans`: 256 is no VLAN; use numbers from 1 to 255",
            "containers: machine `b`: key `vlans`: expected whole numbers in the list, found a string",
            "containers: machine `c`: expected a set of keys, found a function; a module of NixOS is for the test framework of nixpkgs",
            "containers: machine `d_e`: the name is no host name; use 1 to 63 letters, digits and `-`, and no `-` at either end",
            &format!("containers: machine `d_e`: key `root`: `/srv/root` {STORE}"),
            "containers: machine `status`: a report has something else by that name; choose another name",
            "containers: machine `status`: key `env`: expected a set of strings, found a string",
            "containers: machine `status`: key `root`: `/project/tests/tests/nix_mk_test/none` does not exist",
            "containers: machine `status`: key `start-script`: expected the path of a program in the store, found a whole number",
            "nodes: machine `v`: key `accel`: expected one of `auto`, `kvm`, `tcg`, found `no`",
            "nodes: machine `v`: key `binds`: only machines below `containers` have it; take it out, or put the machine there",
            "nodes: machine `v`: key `cmdline`: expected one string such as `\"quiet loglevel=3\"`, found a list",
            "nodes: machine `v`: key `cpus`: expected a whole number, found a string",
            "nodes: machine `v`: key `disks`: expected a list of sizes such as `\"10G\"` and disk images, found a list",
            &format!("nodes: machine `v`: key `disks`: `/disk` {STORE}"),
            "nodes: machine `v`: key `memory`: expected a number of MiB or a size such as `\"2G\"`, found a truth value",
            "nodes: machine `v`: key `qemu-args`: expected a list of strings such as `[ \"-device\" \"virtio-balloon\" ]`, found a string",
        ],
    )
}

#[test]
fn slips_are_recognised_as_in_test_files() -> TestResult {
    use driver_core::spec::nearest;

    let Some(host) = nix() else { return Ok(()) };
    let known = ["root", "vlans", "units", "memory", "qemu-args", "start-script", "cpus"];
    let slips = [
        "root",
        "rot",
        "roto",
        "toor",
        "Vlans",
        "vlnas",
        "vla",
        "memry",
        "mmeory",
        "qemu-arg",
        "qemuargs",
        "script",
        "startscript",
        "statr-script",
        "cpu",
        "gpus",
        "c",
        "",
        "x",
        "untis",
        "unix",
    ];
    let list = |words: &[&str]| words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" ");
    let expression =
        format!("map (word: import ./nix/mk-test/nearest.nix word [ {} ]) [ {} ]", list(&known), list(&slips));
    let output = host.nix(&[], &["nix-instantiate", "--eval", "--strict", "--json", "--expr", &expression])?;
    assert!(output.status.success(), "{}", said(&output));
    let found: Vec<Option<String>> = serde_json::from_slice(&output.stdout)?;
    let expected: Vec<_> = slips.iter().map(|word| nearest(word, known).map(str::to_owned)).collect();
    assert_eq!(found, expected);
    Ok(())
}
