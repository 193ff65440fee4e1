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

  # Tests that are refused.
  containers = mkTest {
    name = "containers";
    containers.web = { };
    containers.db = { };
    testScript = "pass";
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
