# The options of NixOS that the modules for hosts and containers use or set.
{ lib }:
let
  inherit (lib) mkOption types;
  option = type: default: mkOption { inherit type default; };
in
{
  options = {
    assertions = option (types.listOf types.raw) [ ];
    warnings = option (types.listOf types.str) [ ];
    boot.isNspawnContainer = option types.bool false;
    documentation.enable = option types.bool true;
    documentation.info.enable = option types.bool true;
    documentation.nixos.enable = option types.bool true;
    networking.useDHCP = option types.bool true;
    nix.settings = option (types.submodule {
      freeformType = types.attrsOf (
        types.oneOf [
          types.bool
          types.str
          (types.listOf types.str)
        ]
      );
    }) { };
    system.switch.enable = option types.bool true;
    users.users = option (types.attrsOf (
      types.submodule { options.initialHashedPassword = option (types.nullOr types.str) null; }
    )) { };
    systemd.services = option (types.attrsOf (
      types.submodule {
        options = {
          enable = option types.bool true;
          description = option types.str "";
          wantedBy = option (types.listOf types.str) [ ];
          script = option types.lines "";
          unitConfig = option (types.attrsOf types.str) { };
          serviceConfig = option (types.attrsOf types.str) { };
        };
      }
    )) { };
  };
}
