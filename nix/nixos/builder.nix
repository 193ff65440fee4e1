# For the configuration of a NixOS host: sets its Nix daemon up as a builder for tests with containers.
#
# The settings are those of the files in ../nix.conf, which are for /etc/nix/nix.conf on any other host.
{ config, lib, ... }:
let
  inherit (lib) mkEnableOption mkOption types;

  cfg = config.tandem.builder;

  security = "As this setting gives sandbox users access to /dev/net, this might impede sandbox security.";
in
{
  options.tandem.builder = {
    containers.enable = mkEnableOption "" // {
      description = ''
        Whether this host builds tests that have containers.

        Nix then gives each build user ids of its own, and a range of them and a cgroup to the builds that ask for the feature `uid-range`.
      '';
    };

    devNet.enable = mkEnableOption "" // {
      description = ''
        Whether this host builds tests that ask for the feature `devnet`. nixpkgs has those ask for it that have both VMs and containers.

        Its driver cannot connect the two without {file}`/dev/net`. Tandem can, and so its tests may opt out by
        `requiredFeatures.devnet = false`.

        ${security}
      '';
    };

    features = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [
        "kvm"
        "nixos-test"
      ];
      description = ''
        Other features that tests ask for and that this host has. Only those have to be named that its `system-features` lack. By default, Nix
        has `nixos-test` there, and `kvm` if {file}`/dev/kvm` can be opened; NixOS names `kvm` on every host, also on those that have none.
      '';
    };
  };

  config = lib.mkMerge [
    (lib.mkIf cfg.containers.enable {
      nix.settings.auto-allocate-uids = true;
      nix.settings.experimental-features = [
        "auto-allocate-uids"
        "cgroups"
      ];
      nix.settings.extra-system-features = [ "uid-range" ];

      assertions = [
        {
          assertion = config.nix.settings.sandbox or true != false;
          message = ''
            `tandem.builder.containers.enable` needs `nix.settings.sandbox = true`: Nix has `uid-range` for sandboxed builds only.
          '';
        }
      ];
    })

    (lib.mkIf cfg.devNet.enable {
      nix.settings.extra-sandbox-paths = [ "/dev/net" ];
      nix.settings.extra-system-features = [ "devnet" ];

      warnings = [ "`tandem.builder.devNet.enable`: ${security}" ];
    })

    (lib.mkIf (cfg.features != [ ]) {
      nix.settings.extra-system-features = cfg.features;
    })
  ];
}
