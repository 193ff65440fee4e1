# Tests with something wrong in them: `nix-instantiate --eval wrong.nix -A NAME`.
let
  distribution = builtins.getEnv "DISTRIBUTION";
  mkTest = import ./mk_test.nix { tandem = distribution; };
  bare = import ../../../nix/mk-test.nix {
    tandem = distribution;
    shell = "${distribution}/usr/bin/busybox";
  };
  test = machines: mkTest ({ name = "wrong"; testScript = "start_all()"; } // machines);
in
{
  nothing = mkTest { };
  no-set = mkTest [ ];
  empty = mkTest { name = "empty"; testScript = " \n\t"; };
  empty-file = mkTest { name = "empty"; testScript = ./empty.py; };
  no-file = mkTest { name = "empty"; testScript = ./none.py; };
  no-script = (mkTest { name = "number"; testScript = { nodes }: 3; }).driver.script;
  name = mkTest { name = "a b"; testScript = "start_all()"; };
  long-name = mkTest { name = builtins.concatStringsSep "" (builtins.genList (_: "x") 181); testScript = "start_all()"; };
  twice = test { containers.web = { }; nodes.web = { }; containers.db = { }; nodes.db = { }; };
  crowd = test { containers = builtins.listToAttrs (builtins.genList (number: { name = "m${toString number}"; value = { }; }) 255); };
  no-root = bare { name = "bare"; testScript = "start_all()"; containers.web = { }; nodes.db.root = null; };
  no-shell = (import ../../../nix/mk-test.nix { tandem = distribution; }) { name = "bare"; testScript = "start_all()"; };
  all = mkTest {
    name = 1;
    testscript = "";
    testScript = { nodes, pkgs, lib, ... }: "";
    colour = true;
    globalTimeout = [ ];
    lan = "bus";
    sshBackdoor = "yes";
    requiredFeatures = { kvm = "no"; };
    seed = { };
    containers = {
      a = { vlnas = [ 1 ]; colour = 1; memory = 512; backend = "container"; };
      b = { vlans = [ 0 256 "1" ]; units = "nginx.service"; env.A = [ ]; binds = [ 1 ]; root = "host"; };
      c = { pkgs, ... }: { };
      d_e = { root = "/srv/root"; devices = null; };
      status = { root = ./none; env = distribution; start-script = 1; };
    };
    nodes = {
      v = { cpus = "2"; memory = true; disks = [ [ ] "10G" "/disk" ]; accel = "no"; binds = [ ]; cmdline = [ "quiet" ]; qemu-args = "-S"; };
    };
  };
  groups = mkTest { name = "groups"; testScript = "start_all()"; containers = [ "web" ]; nodes = null; };
}
