# What the modules make of options, case by case. `library` is the directory `lib` of nixpkgs or what contains it.
{ library }:
let
  lib = import (if builtins.pathExists (library + "/default.nix") then library else library + "/lib");
  evaluate = import ./evaluate.nix { inherit lib; };

  cases = lib.concatMapAttrs (_: file: import file { inherit evaluate lib; }) {
    configuration = ./cases/configuration.nix;
    driver = ./cases/driver.nix;
    machines = ./cases/machines.nix;
    nixos = ./cases/nixos.nix;
    report = ./cases/report.nix;
  };

  list = lib.concatLists (
    lib.mapAttrsToList (
      group: lib.mapAttrsToList (name: case: case // { name = "${group}.${name}"; })
    ) cases
  );

  config = evaluate.current evaluate.both;
in
rec {
  count = lib.length list;

  # The cases that do not come out as they should.
  failed = lib.filter ({ actual, expected, ... }: actual != expected) list;

  refused = import ./cases/refused.nix { inherit evaluate lib; };

  # A line for each: its name, a space, the message.
  refusals = lib.concatStrings (lib.mapAttrsToList (name: { says, ... }: "${name} ${says}\n") refused);

  # How the driver of a test is built, for whoever wants to do it.
  driver = {
    inherit (config) driverConfigurationFile;
    inherit (config.driver.attributes) buildCommand declarations;
    inherit (config.tandem.package) pythonPackage;
  };
}
