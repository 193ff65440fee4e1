# What `nix flake check` builds: the package, and tests that boot machines of NixOS.
{
  # The flake of nixpkgs.
  nixpkgs,
  # Whom they are built for.
  system,
  package,
  mkTest,
  # The NixOS module of what is a container.
  profile,
}:

let
  # A NixOS with a web server, as a store path.
  server =
    modules:
    (nixpkgs.lib.nixosSystem {
      inherit system;
      modules = modules ++ [
        (
          { pkgs, ... }:
          {
            networking.firewall.enable = false;
            environment.systemPackages = [ pkgs.curl ];
            services.nginx.enable = true;
            services.nginx.virtualHosts.localhost.locations."/".return = "200 'hello from Tandem'";
            system.stateVersion = "25.11";
          }
        )
      ];
    }).config.system.build.toplevel;

  container.root = server [ profile ];
  vm.root = server [
    {
      boot.loader.grub.enable = false;
      fileSystems."/".device = "none";
      fileSystems."/".fsType = "tmpfs";
    }
  ];

  talk = client: ''
    start_all()
    server.wait_for_unit("nginx.service")
    assert "hello from Tandem" in ${client}.wait_until_succeeds("curl --fail http://server/")
  '';
in
{
  inherit package;

  containers = mkTest {
    name = "containers";
    containers = {
      inherit container;
      server = container;
    };
    testScript = talk "container";
  };

  # Without `devnet`, so that a builder needs no /dev/net.
  mixed = mkTest {
    name = "mixed";
    containers.server = container;
    nodes = { inherit vm; };
    requiredFeatures.devnet = false;
    testScript = talk "vm";
  };
}
