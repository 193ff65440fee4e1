//! The settings of a Nix builder, for `nix.conf` and for NixOS.

use super::{Cure, Where};

/// Lines of `/etc/nix/nix.conf` by which builds get a range of user ids.
pub const CONTAINERS: &str = include_str!("../../../nix/nix.conf/containers.conf");

/// Lines of `/etc/nix/nix.conf` by which builds get taps.
pub const DEVNET: &str = include_str!("../../../nix/nix.conf/devnet.conf");

/// The same as `CONTAINERS` for NixOS.
const CONTAINERS_NIXOS: &str = "\
nix.settings.auto-allocate-uids = true;

nix.settings.experimental-features = [
  \"auto-allocate-uids\"
  \"cgroups\"
];

nix.settings.extra-system-features = [
  \"uid-range\"
];";

/// The same as `DEVNET` for NixOS.
const DEVNET_NIXOS: &str = "\
nix.settings.extra-sandbox-paths = [
  \"/dev/net\"
];

nix.settings.extra-system-features = [
  \"devnet\"
];";

/// What has builds get root and a range of user ids.
pub fn uid_range(advice: &str) -> Cure {
    settings(advice, CONTAINERS_NIXOS, CONTAINERS)
}

/// What has builds get `/dev/net/tun`.
pub fn devnet(advice: &str) -> Cure {
    settings(advice, DEVNET_NIXOS, DEVNET)
}

/// What has builds get a system feature, such as `kvm`.
pub fn feature(advice: &str, name: &str) -> Cure {
    let nixos = format!("nix.settings.extra-system-features = [ \"{name}\" ];");
    settings(advice, &nixos, &format!("extra-system-features = {name}"))
}

/// What turns the sandbox of builds on.
pub fn sandbox(advice: &str) -> Cure {
    settings(advice, "nix.settings.sandbox = true;", "sandbox = true")
}

fn settings(advice: &str, nixos: &str, conf: &str) -> Cure {
    let cure = Cure::new(advice).text(Where::NixOs, nixos).text(Where::NixConf, conf);
    cure.line(Where::Shell, "systemctl restart nix-daemon.service")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_say_the_same() {
        for (conf, nixos) in [(CONTAINERS, CONTAINERS_NIXOS), (DEVNET, DEVNET_NIXOS)] {
            for (name, value) in conf.lines().map(|line| line.split_once(" = ").unwrap()) {
                let setting =
                    nixos.split(';').find(|setting| setting.contains(&format!("nix.settings.{name} ="))).unwrap();
                // What NixOS has in other options is left out there.
                let values: Vec<&str> =
                    value.split(' ').filter(|word| !["nix-command", "flakes"].contains(word)).collect();
                assert!(values.iter().all(|value| setting.contains(value)), "{name}: {values:?} in {setting}");
            }
        }
    }

    #[test]
    fn the_lines_are_those_of_the_manual() {
        assert!(CONTAINERS.lines().eq([
            "auto-allocate-uids = true",
            "experimental-features = nix-command flakes auto-allocate-uids cgroups",
            "extra-system-features = uid-range"
        ]));
        assert!(DEVNET.lines().eq(["extra-sandbox-paths = /dev/net", "extra-system-features = devnet"]));
    }
}
