# For nixpkgs' test framework: every test that imports this is run by Tandem's driver. All options of the framework keep their meaning.
#
# The framework has the driver in one option, `driver`: a package whose nixos-test-driver runs the test. This makes another such package, in
# the same way and with the same checks. What runs it, and on which builders, stays with the framework.
{
  config,
  hostPkgs,
  lib,
  options,
  ...
}:
let
  inherit (lib)
    literalExpression
    mkForce
    mkIf
    mkOption
    types
    ;

  cfg = config.tandem;

  machines = import ./test/machines.nix { inherit config lib options; };
  configuration = import ./test/configuration.nix {
    inherit
      config
      hostPkgs
      lib
      machines
      options
      ;
  };
in
{
  _class = "nixosTest";

  imports = [ ./test/report.nix ];

  options = {
    tandem.package = mkOption {
      type = types.package;
      default = hostPkgs.callPackage ../package.nix { };
      defaultText = literalExpression "hostPkgs.callPackage ./nix/package.nix { }";
      description = ''
        The package of Tandem. Its `override` takes what that of nixpkgs' own driver does: `enableOCR`, `enableNspawn`,
        `extraPythonPackages` and `qemu_pkg`.
      '';
    };

    tandem.machines = mkOption {
      type = types.enum [
        "as-declared"
        "containers"
        "vms"
      ];
      default = "as-declared";
      description = ''
        What the test's machines are. With `containers`, everything in [{option}`nodes`](#test-opt-nodes) is a container as if it were in
        [{option}`containers`](#test-opt-containers), and no VM is left; with `vms`, it is the other way round. The features that the test
        requires follow.

        The memory, the cores and the like of a VM mean nothing to a container and are ignored. What else only one of them has, such as options
        for QEMU or for systemd-nspawn, is an error.
      '';
    };

    tandem.devNet = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether a test that has both VMs and containers requires the feature `devnet` of its builder, as nixpkgs has it by default. Tandem
        does not need it: the machines share their LANs without. `requiredFeatures.devnet` counts more than this.
      '';
    };

    # Parts of declarations; the others are the framework's.
    nodes = mkOption { apply = machines.apply.nodes; };
    containers = mkOption { apply = machines.apply.containers; };
  };

  config = lib.mkMerge (
    [
      {
        _module.args = machines.arguments;

        driver = mkForce (
          import ./test/driver.nix {
            inherit
              config
              configuration
              hostPkgs
              lib
              machines
              ;
          }
        );
      }
      (mkIf (cfg.machines == "containers") machines.asContainers)
      (mkIf (cfg.machines == "vms") machines.asVms)
    ]
    ++ lib.optional (options ? requiredFeatures) (
      mkIf (!cfg.devNet) {
        # More than a default of the framework's, less than what a test says.
        requiredFeatures.devnet = lib.mkOverride 900 false;
      }
    )
  );
}
