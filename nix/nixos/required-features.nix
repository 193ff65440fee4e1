# For tests on a nixpkgs of before April 2026, beside test.nix: the option `requiredFeatures`, which its test framework does not have yet.
{
  config,
  hostPkgs,
  lib,
  options,
  ...
}:
let
  inherit (lib) mkOption types;
  inherit (hostPkgs.stdenv) hostPlatform;

  hasVms = config.nodes != { };
  hasContainers = options ? containers && options.containers.isDefined && config.containers != { };

  feature =
    default: description:
    mkOption {
      type = types.bool;
      inherit default description;
    };
in
{
  _class = "nixosTest";

  options.requiredFeatures = mkOption {
    description = ''
      The features that a builder must have for this test. Any name may be set to `true` or `false`.
    '';
    example = {
      cuda = true;
      devnet = false;
    };
    default = { };
    type = types.submodule {
      freeformType = types.attrsOf types.bool;
      options = {
        nixos-test = feature true "Whether it is a builder for tests of NixOS'.";
        kvm = feature (hostPlatform.isLinux && hasVms) "Whether VMs run with the help of the kernel.";
        apple-virt = feature hostPlatform.isDarwin "Whether VMs run with the help of macOS.";
        uid-range = feature hasContainers "Whether builds get a range of user ids, as containers need it.";
        devnet = feature (hasVms && hasContainers) "Whether builds see `/dev/net`.";
      };
    };
  };

  config.rawTestDerivation = lib.mkForce (
    (hostPkgs.stdenv.mkDerivation config.rawTestDerivationArg).overrideAttrs {
      requiredSystemFeatures = lib.attrNames (lib.filterAttrs (_: isRequired: isRequired) config.requiredFeatures);
    }
  );
}
