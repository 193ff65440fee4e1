# The features that tests of all kinds ask a builder for.
let
  mkTest = import ./mk_test.nix { tandem = builtins.getEnv "DISTRIBUTION"; };
  test =
    name: machines:
    mkTest (
      {
        inherit name;
        testScript = "start_all()";
      }
      // machines
    );
  tests = {
    none = { };
    containers.containers.web = { };
    nodes.nodes.web = { };
    both = {
      containers.web = { };
      nodes.db = { };
    };
    emulated.nodes = {
      one.accel = "tcg";
      other.accel = "tcg";
    };
    emulated-in-part.nodes = {
      one.accel = "tcg";
      other.accel = null;
    };
    both-emulated = {
      containers.web = { };
      nodes.db.accel = "tcg";
    };
    without-kvm = {
      nodes.web = { };
      requiredFeatures.kvm = false;
    };
    without-devnet = {
      containers.web = { };
      nodes.db = { };
      requiredFeatures.devnet = false;
    };
    without-range = {
      containers.web = { };
      requiredFeatures.uid-range = false;
    };
    more = {
      containers.web = { };
      requiredFeatures = {
        cuda = true;
        big-parallel = false;
      };
    };
    without-any.requiredFeatures.nixos-test = false;
  };
  features = builtins.mapAttrs (name: machines: (test name machines).requiredSystemFeatures) tests;
  both = test "both" tests.both;
in
features
// {
  "the report of both" = both.report.requiredSystemFeatures;
  "all else of both" = map (derivation: derivation.requiredSystemFeatures or [ ]) [
    both.checked
    both.driver
    both.driverInteractive
  ];
}
