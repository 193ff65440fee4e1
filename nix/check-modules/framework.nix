# The options of nixpkgs' test framework that the modules use or set, with their defaults, as its manual and its driver tell them. `age` is
# "current", or "older" for a framework that has neither containers nor `requiredFeatures` nor a configuration for the driver.
{ age, lib }:
let
  inherit (lib) mkOption types;

  isCurrent = age == "current";

  option = type: default: mkOption { inherit type default; };
  flag = option types.bool;

  # What machines are: options that each has, those of its kind, and what the test says of all.
  machine =
    modules:
    (lib.evalModules {
      class = "nixos";
      modules = [
        (
          { name, ... }:
          {
            options = {
              assertions = option (types.listOf types.raw) [ ];
              networking.hostName = option types.str name;
              services = option (types.attrsOf types.anything) { };
              virtualisation.vlans = option (types.listOf types.int) [ 1 ];
              virtualisation.interfaces = option (types.attrsOf types.anything) { };
              system.build = option (types.lazyAttrsOf types.raw) { };
              system.name = option types.str name;
            };
          }
        )
      ]
      ++ modules;
    }).type;

  script = kind: name: {
    type = "derivation";
    meta.mainProgram = "run-${name}-${kind}";
    outPath = "/nix/store/00000000000000000000000000000000-${kind}";
  };

  vm =
    { name, ... }:
    {
      options.virtualisation.memorySize = option types.int 1024;
      options.virtualisation.qemu.options = option (types.listOf types.str) [ ];
      options.virtualisation.useNixStoreImage = flag false;
      config.system.build.vm = script "vm" name;
    };

  container =
    { name, ... }:
    {
      options.virtualisation.systemd-nspawn.options = option (types.listOf types.str) [ ];
      config.system.build.nspawn = script "nspawn" name;
    };

  base =
    {
      config,
      hostPkgs,
      moduleType,
      ...
    }:
    {
      options = {
        name = mkOption { type = types.str; };
        meta = option (types.lazyAttrsOf types.raw) { };
        passthru = option (types.lazyAttrsOf types.raw) { };
        hostPkgs = mkOption { type = types.raw; };
        driver = mkOption { type = types.package; };
        test = mkOption { type = types.package; };
        rawTestDerivation = mkOption { type = types.package; };
        rawTestDerivationArg = mkOption { type = types.functionTo types.raw; };
        interactive = mkOption { type = moduleType; };

        nodes = option (types.lazyAttrsOf config.node.type) { };
        node.type = option types.raw (machine [
          vm
          config.defaults
          config.nodeDefaults
          config.extraBaseModules
          config.extraBaseNodeModules
        ]);
        nodesCompat = mkOption { };
        defaults = option types.deferredModule { };
        nodeDefaults = option types.deferredModule { };
        extraBaseModules = option types.deferredModule { };
        extraBaseNodeModules = option types.deferredModule { };

        qemu.package = option types.package hostPkgs.qemu_test;
        globalTimeout = option types.int 3600;
        enableOCR = flag false;
        extraPythonPackages = option (types.functionTo (types.listOf types.package)) (_: [ ]);
        extraDriverArgs = option (types.listOf types.str) [ ];
        skipLint = flag false;
        skipTypeCheck = flag false;
        enableDebugHook = flag false;
        sshBackdoor.enable = flag config.enableDebugHook;

        testScript = mkOption { type = types.either types.str (types.functionTo types.str); };
        testScriptString = mkOption {
          type = types.str;
          readOnly = true;
        };
      };

      config = {
        _module.args = {
          inherit (config) hostPkgs;
          nodes = config.nodesCompat;
        };
        driver = hostPkgs.runCommand "the-frameworks-own-driver" { } "exit 1";
        nodesCompat = config.nodes;
        testScriptString =
          if lib.isFunction config.testScript then
            config.testScript {
              nodes = lib.mapAttrs (
                _: machine: if machine.virtualisation.useNixStoreImage then throw "an image" else machine
              ) config.nodesCompat;
            }
          else
            config.testScript;
        rawTestDerivation = hostPkgs.stdenv.mkDerivation config.rawTestDerivationArg;
        rawTestDerivationArg = _: {
          name = "vm-test-run-${config.name}";
          requiredSystemFeatures =
            if isCurrent then
              lib.attrNames (lib.filterAttrs (_: isRequired: isRequired) config.requiredFeatures)
            else
              [
                "nixos-test"
                "kvm"
              ];
          buildCommand = ''
            mkdir -p $out
            export LOGFILE=/dev/null
            ${config.driver}/bin/nixos-test-driver -o $out
          '';
          inherit (config) meta passthru;
        };
        test = lib.lazyDerivation {
          derivation = config.rawTestDerivation;
          inherit (config) meta passthru;
        };
        interactive.qemu.package = hostPkgs.qemu;
        interactive.extraDriverArgs = [ "--interactive" ];
        passthru.driver = config.driver;
        passthru.driverInteractive = config.interactive.driver;
      };
    };

  current =
    { config, hostPkgs, ... }:
    {
      options = {
        logLevel = option types.str "info";
        containers = option (types.lazyAttrsOf config.container.type) { };
        container.type = option types.raw (machine [
          container
          config.defaults
          config.containerDefaults
          config.extraBaseModules
        ]);
        containerDefaults = option types.deferredModule { };
        allMachines = mkOption {
          readOnly = true;
          default =
            lib.throwIfNot (builtins.intersectAttrs config.nodes config.containers == { })
              "The following names are used in both `nodes` and `containers`"
              (config.nodes // config.containers);
        };
        requiredFeatures = mkOption {
          default = { };
          description = "Features of builders";
          type = types.submodule {
            freeformType = types.attrsOf types.bool;
            options = {
              nixos-test = flag true;
              kvm = flag (config.nodes != { });
              uid-range = flag (config.containers != { });
              devnet = flag (config.nodes != { } && config.containers != { });
            };
          };
        };
        driverConfiguration = mkOption { type = types.raw; };
        driverConfigurationFile = mkOption { type = types.path; };
      };

      config = {
        _module.args.containers = config.containers;
        extraBaseModules._module.args = {
          inherit (config) containers;
          nodes = config.nodesCompat;
        };
        driverConfiguration = {
          vms = lib.mapAttrs (name: vm: {
            inherit name;
            start_script = lib.getExe vm.system.build.vm;
          }) config.nodes;
          containers = lib.mapAttrs (name: container: {
            inherit name;
            start_script = lib.getExe container.system.build.nspawn;
          }) config.containers;
          vlans = lib.unique (
            lib.concatMap (machine: machine.virtualisation.vlans) (lib.attrValues config.allMachines)
          );
          global_timeout = config.globalTimeout;
          enable_ssh_backdoor = config.sshBackdoor.enable;
          test_script = hostPkgs.writeText "test-script" config.testScriptString;
        };
        driverConfigurationFile =
          hostPkgs.writeText "driverConfiguration.json" (builtins.toJSON config.driverConfiguration);
        passthru = { inherit (config) nodes containers; };
      };
    };

  older =
    { config, ... }:
    {
      config.extraDriverArgs = lib.mkIf config.sshBackdoor.enable [ "--dump-vsocks=2" ];
    };
in
[
  base
  (if isCurrent then current else older)
]
