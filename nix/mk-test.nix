# Tests as derivations of plain Nix. docs/nix.md tells how to use it.
{
  # The platform that tests are built on, which is that of the tools.
  system ? builtins.currentSystem,
  # A package with `bin/tandem`.
  tandem,
  # Packages whose `bin` and `sbin` the driver finds its tools in: Python, systemd, QEMU, and coreutils, findutils and util-linux for the
  # build itself.
  programs ? [ ],
  # A POSIX shell. A static busybox, which has the tools of the build in it, has that in its name.
  shell ? null,
  # The root of a distribution whose programs the driver shall find where they belong, in place of `programs` or beside them.
  distribution ? null,
}:
let
  inherit (builtins)
    attrNames
    concatStringsSep
    filter
    isFunction
    isPath
    listToAttrs
    mapAttrs
    ;

  value = import ./mk-test/value.nix;
  keys = import ./mk-test/keys.nix;
  problemsOf = import ./mk-test/problems.nix;
  machinesOf = import ./mk-test/machines.nix;

  distributionRoot = if distribution == null then null else value.inStore distribution;
  shellProgram =
    if shell != null then
      value.inStore shell
    else if distribution != null then
      "${distributionRoot}/usr/bin/busybox"
    else
      throw "tandem: no `shell`; give the path of a POSIX shell, such as `\"\${pkgs.bash}/bin/bash\"`";
  isBusybox = builtins.match "busybox.*" (baseNameOf (builtins.unsafeDiscardStringContext shellProgram)) != null;

  # A package of several outputs has its programs in one of them.
  binaries = package: value.inStore (package.bin or package.out or package);

  # A derivation that a script of ours builds.
  build =
    script: attributes:
    derivation (
      {
        inherit system;
        builder = shellProgram;
        args = (if isBusybox then [ "sh" ] else [ ]) ++ [ "-eu" script ];
        shell = shellProgram;
        applet = if isBusybox then "sh" else "";
        tools = ./mk-test/tools.sh;
        programs = concatStringsSep ":" (map (package: "${binaries package}/bin:${binaries package}/sbin") programs);
      }
      // attributes
    );

  # A set without the keys that are as good as not there.
  given =
    set:
    listToAttrs (
      map (name: {
        inherit name;
        value = set.${name};
      }) (filter (name: set.${name} != null) (attrNames set))
    );
in
test:
let
  problems = problemsOf distribution test;
  name = test.name;
  containers = test.containers or { };
  nodes = test.nodes or { };
  machines = machinesOf nodes containers;

  machine =
    backend: spec:
    let
      root = if distribution != null && (spec.start-script or null) == null then { root = distribution; } else { };
    in
    mapAttrs (key: keys.machine.${key}.json) (given (root // given spec)) // { inherit backend; };

  # What becomes the test file.
  config =
    listToAttrs (
      map (key: {
        name = keys.test.${key}.key;
        value = keys.test.${key}.json test.${key};
      }) (filter (key: keys.test.${key} ? key) (attrNames test))
    )
    // {
      script = "test-script.py";
      machines = mapAttrs (_: machine "vm") nodes // mapAttrs (_: machine "container") containers;
    };

  script =
    let
      given = test.testScript;
      known = {
        inherit machines;
        nodes = builtins.intersectAttrs nodes machines;
        containers = builtins.intersectAttrs containers machines;
      };
      # A function without named arguments gets all of them.
      asked = builtins.functionArgs given;
      text =
        if isPath given then
          builtins.readFile given
        else if isFunction given then
          given (if asked == { } then known else builtins.intersectAttrs asked known)
        else
          given;
    in
    if builtins.isString text && builtins.match "[[:space:]]*" text == null then
      text
    else
      throw "tandem: the test `${name}`: `testScript` is to give a script, and gives ${
        if builtins.isString text then "none" else value.found text
      }";

  hasContainers = containers != { };
  hasNodes = nodes != { };
  features =
    let
      emulated = name: (nodes.${name}.accel or null) == "tcg";
      wanted = {
        nixos-test = true;
        kvm = !builtins.all emulated (attrNames nodes);
        uid-range = hasContainers;
        devnet = hasContainers && hasNodes;
      }
      // (test.requiredFeatures or { });
    in
    filter (feature: wanted.${feature}) (attrNames wanted);

  driverOf =
    suffix: command:
    build ./mk-test/driver.sh {
      name = "tandem-test-driver-${name}${suffix}";
      inherit command script;
      tandem = binaries tandem;
      json = builtins.toJSON config;
      passAsFile = [
        "json"
        "script"
      ];
      preferLocalBuild = true;
    }
    // {
      meta.mainProgram = "tandem-test";
    };
  logLevel = if test ? logLevel then " --log-level ${test.logLevel}" else "";
  driver = driverOf "" "run${logLevel}";

  run =
    suffix: attributes:
    build ./build.sh (
      {
        name = "vm-test-run-${name}${suffix}";
        inherit driver;
        machines = concatStringsSep " " (attrNames machines);
        containers = concatStringsSep " " (attrNames containers);
        distribution = if distribution == null then "" else distributionRoot;
        requiredSystemFeatures = features;
        seed = toString (test.seed or "");
        containersConf = builtins.readFile ./nix.conf/containers.conf;
        devnetConf = builtins.readFile ./nix.conf/devnet.conf;
      }
      // attributes
    );

  report = run "-report" { keep = "record"; };

  self =
    run "" { keep = "output"; }
    // {
      inherit
        config
        containers
        driver
        machines
        nodes
        report
        ;
      test = self;
      driverInteractive = driverOf "-interactive" "repl${logLevel}";
      checked = build ./mk-test/checked.sh {
        name = "vm-test-run-${name}-checked";
        inherit report;
        preferLocalBuild = true;
      };
      meta = test.meta or { };
    }
    // (test.passthru or { });
in
if problems == [ ] then
  self
else
  throw ''
    tandem: the test ${if builtins.isString (test.name or null) then "`${test.name}`" else "without a name"} cannot be built:
      ${concatStringsSep "\n  " problems}''
