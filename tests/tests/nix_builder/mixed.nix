# A test with both kinds of machines, which keeps the name of the host that it ran on.
{ tandem }:
import ../../../nix/mk-test.nix {
  inherit tandem;
  distribution = builtins.getEnv "DISTRIBUTION";
} {
  name = "mixed";
  containers.web = { };
  nodes.vm.accel = "tcg";
  testScript = ''
    start_all()
    vm.succeed("ping -c 1 web")
    web.succeed("ping -c 1 vm")
    with open("/machine") as machine:
        (driver.out_dir / "machine").write_text(machine.read())
  '';
}
