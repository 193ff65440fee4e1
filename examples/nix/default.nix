# Two containers as a build of plain Nix, over a distribution that is in the store (docs/nix.md tells how it gets there):
#
#     nix-build examples/nix --arg tandem /path/to/tandem --arg distribution /nix/store/...-debian
#
# Of /path/to/tandem only `bin/tandem` counts.
{ tandem, distribution }:
let
  mkTest = import ../../nix/mk-test.nix { inherit tandem distribution; };
in
mkTest {
  name = "hello";
  containers.server = { };
  containers.client = { };
  testScript =
    { containers, ... }:
    ''
      start_all()
      server.succeed("mkdir -p /srv/hello", "echo 'Hello from the server' > /srv/hello/index.html")
      server.succeed("systemd-run --unit=hello --working-directory=/srv/hello python3 -m http.server 80")
      server.wait_for_open_port(80)

      with subtest("the client reaches the server by its name and by its address"):
          for host in ["server", "${containers.server.networking.primaryIPAddress}"]:
              page = f"import urllib.request; print(urllib.request.urlopen('http://{host}/').read().decode())"
              t.assertIn("Hello", client.succeed(f'python3 -c "{page}"'))
    '';
}
