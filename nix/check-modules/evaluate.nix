# Evaluates the modules, and takes out of them what there is to look at.
{ lib }:
let
  inherit (builtins) unsafeDiscardStringContext;

  packages = import ./packages.nix { inherit lib; };

  nixos =
    modules:
    (lib.evalModules {
      class = "nixos";
      specialArgs.pkgs = packages;
      modules = [ (import ./nixos.nix { inherit lib; }) ] ++ modules;
    }).config;

  evaluate =
    age: modules:
    (lib.evalModules {
      class = "nixosTest";
      modules =
        import ./framework.nix { inherit age lib; }
        ++ [
          ../nixos/test.nix
          seen
          {
            name = "some-test";
            hostPkgs = packages;
            tandem.package = packages.tandem;
            testScript = lib.mkDefault "start_all()";
          }
        ]
        ++ modules;
    }).config;

  # What the driver reads, as the module has it.
  seen =
    {
      config,
      hostPkgs,
      options,
      ...
    }:
    {
      passthru.seen = import ../nixos/test/configuration.nix {
        inherit
          config
          hostPkgs
          lib
          options
          ;
        machines = import ../nixos/test/machines.nix { inherit config lib options; };
      };
    };

  current = module: evaluate "current" [ module ];
  older = module: evaluate "older" [ module ];
  olderWithFeatures =
    module:
    evaluate "older" [
      ../nixos/required-features.nix
      module
    ];

  vm.nodes.server = { };
  container.containers.web = { };
  both = {
    nodes.server.virtualisation.memorySize = 2048;
    nodes.server.networking.hostName = "host";
    containers.web = { };
  };
  flipped = to: module: {
    imports = [ module ];
    tandem.machines = to;
  };

  features = config: config.rawTestDerivation.requiredSystemFeatures;
  build = config: unsafeDiscardStringContext config.driver.attributes.buildCommand;
  has = part: config: isIn (build config) part;
  isIn = text: part: lib.hasInfix (unsafeDiscardStringContext part) (unsafeDiscardStringContext text);

  # What the wrapper is given.
  wrapper = config: lib.trim (lib.last (lib.splitString "$out/bin/nixos-test-driver \\\n" (build config)));

  configuration = config: config.passthru.seen;
  json = config: builtins.fromJSON (unsafeDiscardStringContext (configuration config).file.text);
  starts = kind: names: lib.genAttrs names (name: {
    inherit name;
    start_script = "/nix/store/00000000000000000000000000000000-${kind}/bin/run-${name}-${kind}";
  });

  # The name of the package that is wrapped.
  program =
    config: lib.head (builtins.match ".*/[a-z0-9]{32}-(tandem[a-z-]*)/bin/nixos-test-driver .*" (build config));

  host =
    settings:
    nixos [
      ../nixos/builder.nix
      { tandem.builder = settings; }
    ];
  profile =
    module:
    nixos [
      ../nixos/container.nix
      module
    ];

  case = actual: expected: { inherit actual expected; };
in
{
  inherit
    both
    build
    case
    configuration
    container
    current
    features
    flipped
    has
    host
    isIn
    json
    nixos
    older
    olderWithFeatures
    packages
    profile
    program
    starts
    vm
    wrapper
    ;
}
