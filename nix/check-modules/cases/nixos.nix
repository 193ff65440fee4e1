# Modules for hosts and for the systems of containers.
{ evaluate, lib }:
let
  inherit (evaluate)
    case
    host
    nixos
    profile
    ;

  request = {
    containers = {
      auto-allocate-uids = true;
      experimental-features = [
        "auto-allocate-uids"
        "cgroups"
      ];
      extra-system-features = [ "uid-range" ];
    };
    devNet = {
      extra-sandbox-paths = [ "/dev/net" ];
      extra-system-features = [ "devnet" ];
    };
  };
in
{
  builder = {
    nothing = case (host { }).nix.settings { };
    containers = case (host { containers.enable = true; }).nix.settings request.containers;
    devNet = case (host { devNet.enable = true; }).nix.settings request.devNet;
    devNetWarns = case (host { devNet.enable = true; }).warnings [
      "`tandem.builder.devNet.enable`: As this setting gives sandbox users access to /dev/net, this might impede sandbox security."
    ];
    othersDoNot = case (host {
      containers.enable = true;
      features = [ "kvm" ];
    }).warnings [ ];
    all =
      case
        (lib.sort lib.lessThan
          (host {
            containers.enable = true;
            devNet.enable = true;
            features = [
              "kvm"
              "nixos-test"
            ];
          }).nix.settings.extra-system-features
        )
        [
          "devnet"
          "kvm"
          "nixos-test"
          "uid-range"
        ];
    merges =
      case
        (lib.sort lib.lessThan
          (nixos [
            ../../nixos/builder.nix
            {
              tandem.builder.containers.enable = true;
              nix.settings.experimental-features = [
                "nix-command"
                "flakes"
              ];
            }
          ]).nix.settings.experimental-features
        )
        [
          "auto-allocate-uids"
          "cgroups"
          "flakes"
          "nix-command"
        ];
    sandboxed = case (map (it: it.assertion) (host { containers.enable = true; }).assertions) [ true ];
    unsandboxed =
      case
        (map (it: it.assertion)
          (nixos [
            ../../nixos/builder.nix
            {
              tandem.builder.containers.enable = true;
              nix.settings.sandbox = false;
            }
          ]).assertions
        )
        [ false ];
    # Builds are sandboxed that do not ask to be without.
    relaxed =
      case
        (map (it: it.assertion)
          (nixos [
            ../../nixos/builder.nix
            {
              tandem.builder.containers.enable = true;
              nix.settings.sandbox = "relaxed";
            }
          ]).assertions
        )
        [ true ];
  };

  profile = {
    isContainer = case (profile { }).boot.isNspawnContainer true;
    password = case (profile { }).users.users.root.initialHashedPassword "";
    manuals = case (profile { }).documentation {
      enable = false;
      info.enable = false;
      nixos.enable = false;
    };
    switch = case (profile { }).system.switch.enable false;
    dhcp = case (profile { }).networking.useDHCP false;
    backdoor = case (profile { }).systemd.services.backdoor.enable true;
    backdoorIsWanted = case (profile { }).systemd.services.backdoor.wantedBy [ "multi-user.target" ];
    backdoorSays =
      let
        banner = "echo 'Spawning backdoor root shell...'";
      in
      case (lib.hasInfix banner (profile { }).systemd.services.backdoor.script) true;
    # Each on its own, by a plain definition.
    again =
      case
        (
          let
            config = profile {
              boot.isNspawnContainer = false;
              users.users.root.initialHashedPassword = "!";
              documentation.enable = true;
              system.switch.enable = true;
              networking.useDHCP = true;
              systemd.services.backdoor.enable = false;
              systemd.services.backdoor.serviceConfig.KillSignal = "SIGTERM";
            };
          in
          [
            config.boot.isNspawnContainer
            config.users.users.root.initialHashedPassword
            config.documentation.enable
            config.documentation.nixos.enable
            config.system.switch.enable
            config.networking.useDHCP
            config.systemd.services.backdoor.enable
            config.systemd.services.backdoor.serviceConfig
            config.systemd.services.backdoor.unitConfig
          ]
        )
        [
          false
          "!"
          true
          false
          true
          true
          false
          { KillSignal = "SIGTERM"; }
          { ConditionPathExists = "/dev/hvc0"; }
        ];
  };
}
