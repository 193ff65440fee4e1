//! What hosts are told to set, by the module and by the files for /etc/nix/nix.conf, against the words of the manual; and the defaults of
//! containers.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use tandem_tests::TestResult;

use super::nix;

/// The manual's lines for /etc/nix/nix.conf.
const CONTAINERS: &str = "\
auto-allocate-uids = true
experimental-features = nix-command flakes auto-allocate-uids cgroups
extra-system-features = uid-range
";
const DEVNET: &str = "\
extra-sandbox-paths = /dev/net
extra-system-features = devnet
";

/// The manual's warning.
const SECURITY: &str = "As this setting gives sandbox users access to /dev/net, this might impede sandbox security.";

/// Of nixpkgs' `lib`, what these modules use: conditions hold or do not, and defaults are told from other values.
const LIB: &str = "rec {
  mkIf = condition: content: if condition then content else { };
  mkMerge = contents: builtins.foldl' merge { } contents;
  merge = a: b: a // b // builtins.mapAttrs (name: value:
    if builtins.isAttrs value && a ? ${name} then merge a.${name} value
    else if builtins.isList value && a ? ${name} then a.${name} ++ value
    else value) b;
  mkDefault = value: { default = value; };
  mkOption = option: option;
  mkEnableOption = _: { };
  types = { str = null; listOf = _: null; };
}";

/// What the module for hosts sets, with these options.
fn host(options: &Value) -> TestResult<Value> {
    let options = options.to_string().replace('\'', "");
    nix::value(
        &[],
        &format!(
            "(import ./nix/nixos/builder.nix {{
            lib = {LIB};
            config.nix.settings = {{ }};
            config.tandem.builder = builtins.fromJSON ''{options}'';
        }}).config"
        ),
    )
}

/// Lines of nix.conf as settings: words after a name.
fn settings(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let pairs = text.lines().filter_map(|line| line.split_once(" = "));
    pairs.map(|(name, words)| (name, words.split(' ').collect())).collect()
}

#[test]
fn files_have_the_manuals_lines() -> TestResult {
    let file = |name: &str| fs::read_to_string(nix::project().join("nix/nix.conf").join(name));
    assert_eq!((file("containers.conf")?.as_str(), file("devnet.conf")?.as_str()), (CONTAINERS, DEVNET));
    Ok(())
}

#[test]
fn hosts_get_the_manuals_settings() -> TestResult {
    if !nix::is_there() {
        return Ok(());
    }
    let nothing = json!({"containers": {"enable": false}, "devNet": {"enable": false}, "features": []});
    assert_eq!(host(&nothing)?, json!({}));

    let mut containers = nothing.clone();
    containers["containers"]["enable"] = true.into();
    let set = host(&containers)?;
    let expected = json!({
        "auto-allocate-uids": true,
        "experimental-features": ["auto-allocate-uids", "cgroups"],
        "extra-system-features": ["uid-range"],
    });
    assert_eq!((&set["nix"]["settings"], &set["warnings"]), (&expected, &Value::Null));

    let mut devnet = nothing.clone();
    devnet["devNet"]["enable"] = true.into();
    let set = host(&devnet)?;
    let expected = json!({"extra-sandbox-paths": ["/dev/net"], "extra-system-features": ["devnet"]});
    assert_eq!(set["nix"]["settings"], expected);
    let warning = format!("`tandem.builder.devNet.enable`: {SECURITY}");
    assert_eq!(set["warnings"], json!([warning]));

    containers["devNet"]["enable"] = true.into();
    containers["features"] = json!(["kvm", "nixos-test"]);
    let set = host(&containers)?;
    assert_eq!(set["nix"]["settings"]["extra-system-features"], json!(["uid-range", "devnet", "kvm", "nixos-test"]));
    Ok(())
}

#[test]
fn module_and_files_say_the_same() -> TestResult {
    if !nix::is_there() {
        return Ok(());
    }
    for (option, text) in [("containers", CONTAINERS), ("devNet", DEVNET)] {
        let mut options = json!({"containers": {"enable": false}, "devNet": {"enable": false}, "features": []});
        options[option]["enable"] = true.into();
        let set = host(&options)?;
        let of_module: BTreeMap<_, Vec<String>> =
            serde_json::from_value::<BTreeMap<String, Value>>(set["nix"]["settings"].clone())?
                .into_iter()
                .map(|(name, value)| match value {
                    Value::Array(words) => (name, words.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
                    one => (name, vec![one.to_string()]),
                })
                .collect();
        let of_file = settings(text);
        assert!(of_module.keys().eq(of_file.keys()), "{of_module:?} {of_file:?}");
        for (name, words) in &of_module {
            // NixOS adds to what is set, a file sets it anew.
            let usual = if name == "experimental-features" { &["nix-command", "flakes"][..] } else { &[] };
            let words: Vec<&str> = usual.iter().copied().chain(words.iter().map(String::as_str)).collect();
            assert_eq!(of_file[name.as_str()], words, "{name}");
        }
    }
    Ok(())
}

#[test]
fn the_warning_is_where_it_can_be_read() -> TestResult {
    let module = fs::read_to_string(nix::project().join("nix/nixos/builder.nix"))?;
    assert!(module.contains(&format!("security = \"{SECURITY}\";")) && module.matches("${security}").count() == 2);
    assert!(fs::read_to_string(nix::project().join("docs/nix.md"))?.contains(SECURITY));
    Ok(())
}

#[test]
fn all_of_a_container_is_a_default() -> TestResult {
    if !nix::is_there() {
        return Ok(());
    }
    let profile: Value = nix::value(
        &[],
        &format!(
            "import ./nix/nixos/container.nix {{
            lib = {LIB};
            options.boot.isNspawnContainer = {{ }};
            pkgs = {{ coreutils = \"/c\"; bash = \"/b\"; }};
        }}"
        ),
    )?;
    let of = |path: &str| profile.pointer(path).cloned().unwrap_or_default();
    for (path, default) in [
        ("/users/users/root/initialHashedPassword", json!("")),
        ("/documentation/enable", json!(false)),
        ("/documentation/info/enable", json!(false)),
        ("/documentation/nixos/enable", json!(false)),
        ("/system/switch/enable", json!(false)),
        ("/systemd/services/backdoor/enable", json!(true)),
        ("/boot/isNspawnContainer", json!(true)),
    ] {
        assert_eq!(of(path), json!({"default": default}), "{path}");
    }
    let mut rest = vec![(String::new(), &profile)];
    while let Some((path, value)) = rest.pop() {
        let Value::Object(entries) = value else { return Err(format!("{path} is no default: {value}").into()) };
        if !entries.contains_key("default") {
            rest.extend(entries.iter().map(|(name, value)| (format!("{path}/{name}"), value)));
        }
    }
    Ok(())
}

#[test]
fn every_file_can_be_read() -> TestResult {
    if !nix::is_there() {
        return Ok(());
    }
    for directory in ["nix/nixos", "nix/nixos/test", "nix/check-modules", "nix/check-modules/cases"] {
        for entry in fs::read_dir(nix::project().join(directory))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let Some((_, "nix")) = name.rsplit_once('.') else { continue };
            let output = nix::run(&[], &["nix-instantiate", "--parse", &format!("{directory}/{name}")])?;
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    Ok(())
}
