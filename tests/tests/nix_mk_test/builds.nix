# Tests that are built.
{ tandem }:
let
  mkTest = import ./mk_test.nix { inherit tandem; };
  distribution = builtins.storePath (builtins.getEnv "DISTRIBUTION");
  busybox = "${distribution}/usr/bin/busybox";

  # A shell that is no busybox by its name, and the tools beside it.
  sh = derivation {
    name = "sh";
    system = builtins.currentSystem;
    builder = busybox;
    args = [
      "sh"
      "-euc"
      "${busybox} mkdir -p $out/bin; ${busybox} --install -s $out/bin"
    ];
  };
  mkTestOfPrograms = import ../../../nix/mk-test.nix {
    inherit tandem distribution;
    shell = "${sh}/bin/sh";
    programs = [ sh ];
  };

  # A VM and a container on one LAN.
  lan =
    requiredFeatures:
    mkTest {
      name = "lan";
      nodes.vm.accel = "tcg";
      containers.web = { };
      bootTimeout = "5m";
      inherit requiredFeatures;
      testScript =
        { nodes, containers, ... }:
        ''
          assert os.path.exists("/dev/net/tun") == ${if requiredFeatures.devnet or true then "True" else "False"}
          start_all()
          vm.wait_until_succeeds("ping -c 1 -W 1 web && ping -c 1 -W 1 ${containers.web.networking.primaryIPAddress}", timeout=120)
          web.wait_until_succeeds("ping -c 1 -W 1 vm && ping -c 1 -W 1 ${nodes.vm.networking.primaryIPAddress}", timeout=120)
          web.succeed("systemd-run --working-directory=/etc python3 -m http.server 80")
          web.wait_for_open_port(80)
          vm.succeed("curl -fsS http://web/hostname | grep -x web")
        '';
    };

  files = ''
    out = driver.out_dir
    (out / "kept").write_text("kept")
    (out / "directory").mkdir()
    (out / "directory" / "link").symlink_to("../kept")
    os.mkfifo(out / "fifo")
  '';
in
{
  passing = mkTest {
    name = "passing";
    testScript = files;
  };
  failing = mkTest {
    name = "failing";
    testScript = files + ''
      (out / "status").write_text("of the script")
      with subtest("what went wrong"):
          raise Exception("this is why")
    '';
  };
  # What the driver refuses before it starts anything.
  refused = mkTest {
    name = "refused";
    testScript = "this is no Python";
  };
  undriven = import ./mk_test.nix { tandem = sh; } {
    name = "undriven";
    testScript = "pass";
  };
  timeout = mkTest {
    name = "timeout";
    globalTimeout = 1;
    testScript = ''
      import time
      time.sleep(100)
    '';
  };
  programs = mkTestOfPrograms {
    name = "programs";
    testScript = ''
      import shutil
      assert shutil.which("mount").startswith("${sh}/bin/")
      assert os.environ["HOME"] == "/build/home"
    '';
  };
  # With a range of ids, and without: the distribution's programs are where they belong, and what the sandbox has is still there.
  range = mkTest {
    name = "range";
    requiredFeatures.uid-range = true;
    testScript = ./sandbox.py;
  };
  single = mkTest {
    name = "single";
    testScript = ./sandbox.py;
  };

  # Tests with machines.
  two-containers = mkTest {
    name = "two-containers";
    containers.server = { };
    containers.client = { };
    testScript = ./containers.py;
  };
  one-vm = mkTest {
    name = "one-vm";
    nodes.vm.accel = "tcg";
    bootTimeout = "5m";
    testScript = ''
      t.assertIn("6.1", vm.succeed("uname -r"))
      vm.screenshot("seen")
      vm.copy_from_machine("/etc/hostname")
    '';
  };
  lan-with-devnet = lan { };
  lan-without-devnet = lan { devnet = false; };
  failing-machine = mkTest {
    name = "failing-machine";
    containers.web = { };
    testScript = ''
      web.succeed("echo 'in the journal' | systemd-cat -t test")
      web.wait_for_unit("multi-user.target")
      with vlan1.capture("lan.pcapng"):
          web.fail("ping -c 1 -W 1 192.168.1.77")
      web.copy_from_machine("/etc/hostname", "copied")
      web.succeed("systemctl start missing.service")
    '';
  };

  # Tests that are refused.
  containers = mkTest {
    name = "containers";
    containers.web = { };
    containers.db = { };
    testScript = "pass";
  };
  no-system = mkTest {
    name = "no-system";
    containers.web.root = ./.;
    testScript = "start_all()";
  };
  without-range = mkTest {
    name = "without-range";
    containers.web = { };
    containers.db = { };
    requiredFeatures.uid-range = false;
    testScript = "pass";
  };
  mixed = mkTest {
    name = "mixed";
    containers.web = { };
    nodes.db.accel = "tcg";
    testScript = "pass";
  };
  vm = mkTest {
    name = "vm";
    nodes.vm = { };
    testScript = "pass";
  };
  special = mkTest {
    name = "special";
    requiredFeatures.cuda = true;
    testScript = "pass";
  };
}
