# What tests become, and what their scripts know of the machines.
let
  distribution = builtins.getEnv "DISTRIBUTION";
  mkTest = import ./mk_test.nix { tandem = distribution; };
  package = derivation {
    name = "package";
    system = builtins.currentSystem;
    builder = "/bin/sh";
  };
  test = mkTest {
    name = "all";
    globalTimeout = "10m";
    bootTimeout = 90.5;
    lan = "switch";
    machined = "never";
    sshBackdoor = true;
    logLevel = "debug";
    containers = {
      # Before `db` by name, although not in the file.
      cache = {
        vlans = [
          3
          1
        ];
        units = [ "nginx.service" ];
        env = {
          A = "text";
          B = package;
        };
        devices = [ "/dev/fuse" ];
        binds = [ "/srv/data:/data:rw" ];
        root = null;
      };
      scripted.start-script = "${package}/bin/run-scripted-nspawn";
    };
    nodes.db = {
      cpus = 2;
      memory = "1G";
      disks = [
        512
        "10G"
        "${distribution}/disk.img"
        ./config.nix
      ];
      kernel = "${distribution}/vmlinuz";
      initrd = package;
      cmdline = "quiet";
      accel = "tcg";
      qemu-args = [
        "-device"
        "virtio-balloon"
      ];
      vlans = [ ];
      root = package;
    };
    testScript = "start_all()";
    passthru.extra = 1;
    meta.description = "a test";
  };
  script =
    testScript:
    (mkTest {
      name = "script";
      containers.b = { };
      containers.a.vlans = [
        7
        2
      ];
      nodes.c = { };
      inherit testScript;
    }).driver.script;
  text = builtins.toJSON test.config;
in
{
  inherit (test) config extra;
  package = "${package}";
  # What the sandbox must have for it.
  context = builtins.attrNames (builtins.getContext text);
  names = map (derivation: derivation.name) [
    test
    test.test
    test.report
    test.checked
    test.driver
    test.driverInteractive
  ];
  description = test.meta.description;
  commands = [
    test.driver.command
    test.driverInteractive.command
  ];
  scripts = map script [
    "one()"
    ./script.py
    ({ nodes, ... }: "nodes: ${toString (builtins.attrNames nodes)}")
    ({ containers, machines }: "${toString (builtins.attrNames containers)}, of ${toString (builtins.attrNames machines)}")
    (all: toString (builtins.attrNames all))
    ({ nodes, pkgs ? 1 }: toString pkgs)
    ({ nodes, ... }: "${nodes.c.networking.primaryIPAddress} ${nodes.c.networking.primaryIPv6Address} ${nodes.c.networking.hostName}")
  ];
  machines =
    builtins.mapAttrs
      (_: { number, backend, interfaces, ... }: { inherit number backend interfaces; })
      (mkTest {
        name = "addresses";
        testScript = "start_all()";
        # More than ten, so that the order of texts and of numbers differ.
        containers = builtins.listToAttrs (
          builtins.genList (number: {
            name = "m${toString number}";
            value.vlans = [
              (number + 1)
              255
            ];
          }) 12
        );
        nodes.B = { };
        nodes.z.vlans = [ ];
      }).machines;
  # Another value is another build.
  seeds =
    map
      (
        seed:
        (mkTest {
          name = "seed";
          testScript = "start_all()";
          inherit seed;
        }).report.outPath
      )
      [
        1
        1
        "2"
      ];
}
